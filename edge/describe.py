# SPDX-License-Identifier: Apache-2.0
"""What is in a network file, as one JSON-able dict: for ``ormia inspect`` and for reports. Computes nothing that a backend could."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .cost import Memory, block_rams, footprint
from .design_rules import advice, violations
from .detector import detector_config
from .netfile import network_digest
from .network import SEMANTICS_VERSION, Network, Reset
from .target import Target
from .validation import gather_bounds, score_bound

__all__ = ["describe", "timestep_ms"]


def timestep_ms(net: Network) -> float | None:
    """Milliseconds of a timestep where the metadata says it: hop over sample rate of the front end."""
    front_end = net.metadata.get("front_end")
    if not isinstance(front_end, Mapping):
        return None
    hop, rate = front_end.get("hop_samples"), front_end.get("sample_rate")
    return 1000 * hop / rate if type(hop) is int and type(rate) is int and rate > 0 else None


def describe(net: Network, target: Target | None = None) -> dict[str, Any]:
    """Sizes, formats, kinds, motifs, proofs, footprint, detector and rules of ``net``."""
    return {
        "name": net.name,
        "digest": network_digest(net),
        "semantics": SEMANTICS_VERSION,
        "labels": list(net.labels),
        "readout": net.readout.name,
        "timestep_ms": timestep_ms(net),
        "sizes": {
            "inputs": net.n_inputs,
            "neurons": net.n_neurons,
            "firing_neurons": int(net.kind_firing[net.neuron_kind].sum()),
            "axons": net.n_axons,
            "synapses": net.n_synapses,
            "compartments": net.n_compartments,
            "kinds": net.n_kinds,
            "readouts": len(net.readout_neuron),
            "classes": net.n_classes,
            "max_delay": net.max_delay,
        },
        "formats": vars(net.formats) | {},
        "kinds": [_kind(net, kind) for kind in range(net.n_kinds)],
        "motifs": [_motif(net, number) for number in range(len(net.motifs))],
        "boolean_axons": int(net.axon_boolean.sum()),
        "proofs": _proofs(net),
        "footprint": _footprint(net),
        "front_end": _front_end(net),
        "detector": detector_config(net).as_dict(),
        "training": net.metadata.get("provenance"),
        "advice": advice(net),
        "target": None if target is None else {"name": target.name, "device": target.device, "violations": violations(net, target)},
    }


def _kind(net: Network, kind: int) -> dict[str, Any]:
    members = np.flatnonzero(net.neuron_kind == kind)
    thresholds = net.threshold[members]
    return {
        "kind": kind,
        "neurons": len(members),
        "firing": bool(net.kind_firing[kind]),
        "reset": Reset(int(net.kind_reset[kind])).name,
        "refractory": int(net.kind_refractory[kind]),
        "drive_shift": int(net.kind_drive_shift[kind]),
        "current_shift": int(net.kind_current_shift[kind]),
        "threshold": [int(thresholds.min()), int(thresholds.max())] if len(members) else None,
        "membrane": _constant(net, int(net.kind_membrane_decay[kind])),
        "currents": [_constant(net, int(factor)) for factor in net.kind_current_decay[kind]],
    }


def _constant(net: Network, factor: int) -> dict[str, Any]:
    """A decay factor and its time constant, -1 / ln(a): 0 for no memory, None for an integrator, which has none."""
    full = 1 << net.formats.decay_bits
    timesteps = 0.0 if factor == 0 else None if factor == full else -1 / math.log(factor / full)
    step = timestep_ms(net)
    return {"decay": factor, "timesteps": timesteps, "ms": None if step is None or timesteps is None else timesteps * step}


def _motif(net: Network, number: int) -> dict[str, Any]:
    hint = net.motifs[number]
    return {
        "neurons": [hint.base, hint.base + hint.size * hint.count - 1],
        "size": hint.size,
        "count": hint.count,
        "intra_links": len(hint.intra),
        "intra_density": len(set(hint.intra)) / hint.size**2,
        "lateral_links": len(hint.lateral),
        "lateral_distances": sorted({delta for delta, _ in hint.lateral}),
    }


def _proofs(net: Network) -> dict[str, Any]:
    lo, hi = gather_bounds(net)
    reach = (int(lo.min()), int(hi.max()))
    bound = score_bound(net)
    needs = max((~reach[0]).bit_length(), reach[1].bit_length()) + 1
    return {
        "gather": {"reach": list(reach), "bits": needs, "declared_bits": net.formats.accumulator_bits},
        "score": {"reach": bound, "bits": bound.bit_length() + 1, "declared_bits": net.formats.score_bits},
    }


def _footprint(net: Network) -> dict[str, Any]:
    sizes = footprint(net)

    def core(memories: list[Memory]) -> dict[str, Any]:
        rows = [{"name": m.name, "rows": m.rows, "bits": m.bits, "block_rams": m.block_rams} for m in memories]
        return {"bits": sum(m.size for m in memories), "block_rams": block_rams(memories), "memories": rows}

    return {
        "core_plain": core(sizes.plain),
        "core_shared": core(sizes.shared),
        **{f"core_{name}": core(memories) for name, memories in sizes.boolean.items()},
        "core_packing": sizes.packing,
        "c_flash_bytes": sizes.flash_bytes,
        "c_ram_bytes": sizes.ram_bytes,
        "weight_bytes": -(-net.n_synapses * net.formats.weight_bits // 8),
    }


def _front_end(net: Network) -> dict[str, Any] | None:
    given = net.metadata.get("front_end")
    if not isinstance(given, Mapping):
        return None
    spectrum = given.get("spectrum")
    channels = spectrum.get("n_channels") if isinstance(spectrum, Mapping) else None
    return {name: given.get(name) for name in ("version", "kind", "sample_rate", "hop_samples")} | {"n_channels": channels}
