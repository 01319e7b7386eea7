# SPDX-License-Identifier: Apache-2.0
"""Options of a core, and every size that its blocks derive from a network. Knows no gateware."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Shape, signed, unsigned

from ..edge.cycles import CycleModel, queue_depth
from ..edge.errors import TargetError, UsageError
from ..edge.network import Network, Readout, Reset
from ..edge.validation import gather_bounds
from .pack import PackedSynapses, block_rams, check_packing, live_sources, pack, table_columns
from .words import Table, index_bits

__all__ = ["CoreConfig", "Geometry"]

LOOKUP_KINDS = 16  # up to so many kinds are looked up in logic; more are stored with each neuron
# what the generated logic and the simulators were tried with; the limit of a board is far lower
LIMITS = {"neurons": 4096, "input channels": 4096, "slots of synapses": 1 << 20, "rows of the axon table": 1 << 17, "rows of the event history": 1 << 20}
KIND_COLUMNS = ("membrane_decay", "firing", "reset", "refractory", "drive_shift", "current_shift")
FIRING_COLUMNS = ("reset", "refractory")  # of no effect in a kind that does not fire


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """How to build a core.

    Parameters
    ----------
    packing : {"auto", "plain", "shared", "indices", "bitmap"}
        Memory packing; auto is the smallest where the network has boolean hints, else shared where it has a motif hint.
    queue_depth : int or None
        Least depth of the axon queue of a network without delays; rounded up to a power of two that holds the spikes of all neurons, which is
        the default. Input beyond it waits.
    trace, counters, coverage : bool
        Generate the port of that name.
    """

    packing: str = "auto"
    queue_depth: int | None = None
    trace: bool = False
    counters: bool = False
    coverage: bool = False

    def __post_init__(self) -> None:
        if self.queue_depth is not None and self.queue_depth < 1:
            raise UsageError(f"queue_depth must be at least 1, not {self.queue_depth}")


class Geometry:
    """Sizes, tables and features of the core for one network.

    Parameters
    ----------
    network : Network
        What the core runs.
    config : CoreConfig
        Options.

    Raises
    ------
    TargetError
        With everything that is beyond what the generator supports, one a line.
    """

    def __init__(self, network: Network, config: CoreConfig) -> None:
        self.network = network
        self.config = config
        self._check(neurons=network.n_neurons, **{"input channels": network.n_inputs})
        self.packed: PackedSynapses = pack(network, config.packing)
        check_packing(network, self.packed)
        rows = 0 if not network.max_delay else self.history_depth
        slots = max(len(self.packed.targets), len(self.packed.weights))
        self._check(**{"slots of synapses": slots, "rows of the axon table": len(self.packed.table), "rows of the event history": rows})

    @staticmethod
    def _check(**sizes: int) -> None:
        wrong = [f"a core must have at most {LIMITS[name]} {name}, not {size}" for name, size in sizes.items() if size > LIMITS[name]]
        if wrong:
            raise TargetError("\n".join(wrong))

    @property
    def cycles(self) -> CycleModel:
        """Clocks of this core."""
        return CycleModel.of(self.network, self.packed.walk, self.config.queue_depth)

    @cached_property
    def memories(self) -> dict[str, tuple[int, int]]:
        """Rows and bits a row of each memory that becomes block RAM."""
        net, packed = self.network, self.packed
        event = self.source_bits + (net.formats.payload_bits if self.stored_payload else 0)
        state = net.formats.membrane_bits + self.max_refractory.bit_length() + self.keeps_fired
        sizes = {
            "axon table": (len(packed.table), self.axon_table.layout.size),
            "bitmap" if packed.packing == "bitmap" else "targets": (len(packed.targets), packed.slot_bits),
            **({"weights": (len(packed.weights), packed.weight_bits)} if packed.weights else {}),
            "accumulators": (self.state_rows(net.n_compartments), self.accumulator_bits),
            "currents": (self.state_rows(net.n_compartments), net.formats.current_bits * self.has_current_memory),
            "membranes": (net.n_neurons, state),
            "neuron parameters": (net.n_neurons, self.neurons.layout.size),
        }
        if net.max_delay:
            depth = self.history_depth
            return sizes | {"event history": (depth, event), "timesteps": (1 << index_bits(net.max_delay + 1), index_bits(depth))}
        return sizes | {"axon queue": (self.queue_depth, event)}

    @property
    def block_rams(self) -> int:
        """Block RAMs of an iCE40 that the memories take, scores aside (``hdl/score.py`` keeps small ones in flip-flops)."""
        return sum(block_rams(*size) for size in self.memories.values())

    # --- events -------------------------------------------------------------------------------------------------------------------

    @property
    def live_neurons(self) -> int:
        """Neurons up to the last that sources an axon: only their spikes enter the queue."""
        return live_sources(self.network) - self.network.n_inputs

    @property
    def source_bits(self) -> int:
        """Width of a source index."""
        return self.packed.source_bits

    @property
    def stored_payload(self) -> bool:
        """Whether events carry a payload other than 1."""
        return self.network.formats.payload_bits > 1

    @property
    def payload_shape(self) -> Shape:
        """Shape of a payload: as declared; the 1 of a spike fits wherever payloads are stored."""
        formats = self.network.formats
        return signed(formats.payload_bits) if formats.payload_signed else unsigned(formats.payload_bits)

    @property
    def queue_depth(self) -> int:
        """Rows of the queue without delays: a power of two that holds the spikes of all neurons."""
        return queue_depth(self.live_neurons, self.config.queue_depth)

    @property
    def history_depth(self) -> int:
        """Rows of the event history: a power of two that holds every possible event of max_delay + 1 timesteps."""
        return 1 << max(1, ((self.network.max_delay + 1) * max(1, live_sources(self.network)) - 1).bit_length())

    # --- synapses -----------------------------------------------------------------------------------------------------------------

    @cached_property
    def axon_table(self) -> Table:
        """Rows of ``Part``, weights in units of the alignment; ``head`` only where something counts it."""
        return Table(table_columns(self.packed, head=self.config.counters or self.config.coverage))

    @property
    def neuron_bits(self) -> int:
        """Width of a neuron index."""
        return index_bits(self.network.n_neurons)

    @property
    def accumulator_bits(self) -> int:
        """Width of an accumulator: what the proof P1 needs, never more than the declared one."""
        lo, hi = (int(bound) for bound in (gather_bounds(self.network)[0].min(), gather_bounds(self.network)[1].max()))
        return max(hi.bit_length(), (~lo).bit_length()) + 1

    def state_rows(self, planes: int) -> int:
        """Rows of a memory addressed by compartment (high bits) and neuron (low bits)."""
        return (planes - 1 << self.neuron_bits) + self.network.n_neurons

    # --- neurons ------------------------------------------------------------------------------------------------------------------

    @cached_property
    def _kinds_in_use(self) -> tuple[dict[str, list[int | None]], np.ndarray]:
        """Columns of the distinct kinds of the neurons, and each neuron's row. None: of no effect, as the kind does not fire."""
        net = self.network
        table = np.column_stack([*(getattr(net, f"kind_{name}") for name in KIND_COLUMNS), net.kind_current_decay]).astype(np.int64)
        silent = ~net.kind_firing
        for name in FIRING_COLUMNS:
            table[silent, KIND_COLUMNS.index(name)] = 0
        rows, row_of_neuron = np.unique(table[net.neuron_kind], axis=0, return_inverse=True)
        names = (*KIND_COLUMNS, *(f"current_decay{k}" for k in range(net.n_compartments)))
        columns: dict[str, list[int | None]] = {name: rows[:, i].tolist() for i, name in enumerate(names)}
        for name in FIRING_COLUMNS:
            columns[name] = [v if fires else None for v, fires in zip(columns[name], columns["firing"], strict=True)]
        return columns, row_of_neuron.ravel()

    @cached_property
    def kinds(self) -> Table | None:
        """Kind table in logic, indexed by the column ``kind`` of ``neurons``; None where its columns are stored with each neuron."""
        columns = self._kinds_in_use[0]
        return Table(columns) if len(columns["firing"]) <= LOOKUP_KINDS else None

    @cached_property
    def neurons(self) -> Table:
        """Parameters of each neuron that vary."""
        net = self.network
        kind = net.neuron_kind
        firing = net.kind_firing[kind]
        subtracts = firing & (net.kind_reset[kind] == Reset.SUBTRACT)
        columns = {
            "threshold": [int(v) if f else None for v, f in zip(net.threshold, firing, strict=True)],
            "bias": net.bias.tolist(),
            "initial_membrane": net.initial_membrane.tolist(),
        }
        if self.own_reset_by:
            columns["reset_by"] = [int(v) if s else None for v, s in zip(net.reset_by, subtracts, strict=True)]
        if self.kinds is None:
            of_kind, kind_row = self._kinds_in_use
            columns |= {name: [column[i] for i in kind_row.tolist()] for name, column in of_kind.items()}
        else:
            columns["kind"] = self._kinds_in_use[1].tolist()
        return Table(columns)

    @property
    def own_reset_by(self) -> bool:
        """Whether some SUBTRACT neuron has a ``reset_by`` other than its threshold."""
        net = self.network
        subtracts = net.kind_firing[net.neuron_kind] & (net.kind_reset[net.neuron_kind] == Reset.SUBTRACT)
        return bool(np.any((net.reset_by != net.threshold) & subtracts))

    @property
    def max_refractory(self) -> int:
        """Longest refractory period of a neuron that can fire."""
        used = np.unique(self.network.neuron_kind)
        return int((self.network.kind_refractory * self.network.kind_firing)[used].max(initial=0))

    @property
    def has_current_memory(self) -> bool:
        """Whether any current survives a timestep."""
        return bool(np.any(self.network.kind_current_decay[np.unique(self.network.neuron_kind)]))

    @property
    def keeps_fired(self) -> bool:
        """Whether the readout needs the spikes of the timestep."""
        return self.network.readout == Readout.SPIKES
