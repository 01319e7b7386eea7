# SPDX-License-Identifier: Apache-2.0
"""Searches from the recipe to plots: resume, self-repair, what stops them safely, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.errors import DataError, UsageError  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from ormia.train.config import Config  # noqa: E402
from ormia.train.hrmas.config import RECIPES, PlasticityConfig, PriceConfig, SearchConfig, load_recipe  # noqa: E402
from ormia.train.hrmas.discretize import SearchStopped  # noqa: E402
from ormia.train.hrmas.plots import motif_by_epoch, write_plots  # noqa: E402
from ormia.train.hrmas.result import finish, found_config, kinds_loss  # noqa: E402
from ormia.train.hrmas.search import CHECKPOINT, Search, run_search  # noqa: E402
from ormia.train.loop import accuracy, calibrate  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.recipe import recipe_names, with_settings  # noqa: E402
from ormia.train.topology import Link  # noqa: E402
from toy_events import Toy  # noqa: E402

SMALL = SearchConfig(
    epochs=3, size_epochs=1, sizes=(2, 4), architecture_rate=0.05, plasticity=PlasticityConfig(measure_every=2),
    training=Config(epochs=1, batch=16, model=ModelConfig(layers=(LayerConfig(neurons=8, tau_membrane=(4.0,)),))),
)  # fmt: skip


def state(search):
    return [p.detach().clone() for p in [*search.supernet.architecture, *search.weights]] + [
        torch.from_numpy(x.copy()) for x in search.supernet.intrinsic(0)[:2]
    ]


def test_an_interrupted_search_ends_as_an_uninterrupted_one_with_logs_and_plots(tmp_path):
    pytest.importorskip("matplotlib")
    whole = run_search(SMALL, Toy(), tmp_path / "whole")
    run_search(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path / "cut")
    run_search(dataclasses.replace(SMALL, epochs=2), Toy(), tmp_path / "cut")
    resumed = run_search(SMALL, Toy(), tmp_path / "cut")
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))
    assert whole.history == resumed.history
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "cut" / "log.csv").read_text()
    rows = list(csv.DictReader((tmp_path / "cut" / "log.csv").read_text().splitlines()))
    assert [row["iteration"] for row in rows] == [str(k) for k in range(9)]
    with np.load(tmp_path / "cut" / "logits" / "epoch0002.npz") as file:
        assert np.array_equal(file["layer0_links"][-1], whole.supernet.architecture[1].detach().numpy())
        assert file["layer0_sizes"].shape == (3, 2)
    assert {entry["sizes"][0][whole.supernet.candidates[0].chosen] for entry in whole.history[3:]} == {1.0}  # phase B
    assert any("rate_after" in entry for entry in whole.history)
    plots = write_plots(whole, tmp_path / "whole")
    assert {path.name for path in plots} == {f"layer0_{n}.{k}" for n in ("motif", "sizes", "rates", "divergence") for k in ("svg", "png")}
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in plots if path.suffix == ".png")
    last = motif_by_epoch(whole, tmp_path / "whole", 0)[-1][1]
    assert last.rows() == found_config(whole).model.layers[0].topology


def test_the_found_topology_is_a_recipe_that_trains_and_kinds_are_counted(tmp_path):
    search = run_search(dataclasses.replace(SMALL, epochs=1, keep_intrinsic=True, kinds=3), Toy(), tmp_path)
    config = found_config(search)
    assert len(set(config.model.layers[0].tau_membrane)) <= 3
    model = SCMLModel(config.model, 8, 2, 1)
    assert 0 <= accuracy(model, *Toy().fixed("test")) <= 1
    lost = kinds_loss(search)
    assert lost["kinds_after"][0] <= 3 <= lost["kinds_before"][0]
    assert 0 <= lost["changed"] <= 1
    plain = found_config(run_search(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path))
    assert plain.model.layers[0].tau_membrane == (4.0,)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")
def test_a_finished_search_leaves_a_network_file_and_what_it_saves(tmp_path):
    search = run_search(SMALL, Toy(), tmp_path)
    result = finish(search, Toy(), tmp_path, name="tiny")
    assert json.loads((tmp_path / "metrics.json").read_text()) == json.loads(json.dumps(result))
    net = read_network(tmp_path / "network" / "net.ormia")
    (layer,) = result["layers"]
    assert (net.name, net.motifs[0].size, len(net.motifs[0].intra)) == ("tiny", layer["size"], "".join(layer["topology"][: layer["size"]]).count("+")
            + "".join(layer["topology"][: layer["size"]]).count("-"))  # fmt: skip
    assert result["network"]["torch_exact_mode_agrees_on_every_clip"]
    assert set(result["network"]["accuracy"]) == {"valid", "test"}
    assert result["memory_bits"]["shared"] > 0


def batches(search):
    return next(iter(search._batches()))


def test_the_architecture_learns_from_valid_alone_and_weights_from_train_alone():
    search = Search(SMALL, Toy())
    train, valid = batches(search)
    other = (1 - train[0], train[1])
    before = state(search)
    search.architecture_step(train, valid)
    moved = [not torch.equal(a, b) for a, b in zip(before, state(search), strict=True)]
    assert moved == [True, True] + [False] * (len(moved) - 2)
    again = Search(SMALL, Toy())
    again.architecture_step(other, valid)
    assert all(torch.equal(a, b) for a, b in zip(state(search), state(again), strict=True))
    before = state(search)
    search.weight_step(train)
    moved = [not torch.equal(a, b) for a, b in zip(before, state(search), strict=True)]
    assert moved[:2] == [False, False]
    assert all(moved[2:-2])
    before = state(search)
    search.repair(train)
    assert [not torch.equal(a, b) for a, b in zip(before, state(search), strict=True)] == [False] * (len(before) - 2) + [True, True]


def test_the_second_order_gives_back_the_weights_and_steps_elsewhere():
    first, second = Search(SMALL, Toy()), Search(dataclasses.replace(SMALL, order=2), Toy())
    train, valid = batches(first)
    kept = state(second)
    first.architecture_step(train, valid)
    second.architecture_step(train, valid)
    assert all(torch.equal(a, b) for a, b in zip(kept[2:], state(second)[2:], strict=True))
    assert not torch.equal(first.supernet.architecture[1].grad, second.supernet.architecture[1].grad)


def test_a_price_lowers_what_links_are_expected(tmp_path):
    costly = dataclasses.replace(SMALL, price=PriceConfig(synapses=30.0))
    found = [run_search(dataclasses.replace(c, epochs=1), Toy(), tmp_path / str(k)) for k, c in enumerate((SMALL, costly))]
    none = [float(search.supernet.candidates[0].link_probabilities()[:, 0].detach().mean()) for search in found]
    assert none[1] > none[0] + 0.01


@pytest.mark.parametrize(("types", "rate"), [((Link.EXCITATORY, Link.NONE), "low"), ((Link.NONE, Link.EXCITATORY), "high")])
def test_self_repair_brings_a_layer_back_after_a_bad_architecture_step(types, rate):
    config = with_settings(SMALL, ["plasticity.target=0.15", "sizes=[8]"])
    search = Search(config, Toy())
    net, logits, (train, _) = search.supernet, search.supernet.candidates[0].link_logits, batches(search)
    with torch.no_grad():
        logits[:, types[0]] = 50
        net.lateral[0].fill_(0.5)
        calibrate(net, train[0], target=0.15)
        logits[:, types[1]] = 100  # a layer that excitation carried loses it, or gets it all at once
    rates = [search.repair(train)["rate"][0] for _ in range(50)]
    assert rates[0] < 0.02 if rate == "low" else rates[0] > 0.7
    assert 0.5 < np.mean(rates[-10:]) / 0.15 < 1.5


def test_limited_changes_settle_where_the_rule_alone_swings_between_silence_and_saturation():
    swings = []
    for limit in (0.0, 0.05):
        search = Search(with_settings(SMALL, ["plasticity.target=0.15", f"plasticity.largest_change={limit}", "sizes=[8]"]), Toy())
        logits, ((payloads, labels), _) = search.supernet.candidates[0].link_logits, batches(search)
        with torch.no_grad():
            logits[:, Link.EXCITATORY] = 50
            search.supernet.lateral[0].fill_(0.5)
        window = np.tile(payloads, (1, 6, 1)), labels  # long enough for the rule to overshoot
        rates = [search.repair(window)["rate"][0] for _ in range(60)]
        swings.append(np.ptp(rates[-10:]))
    assert swings[1] < 0.5 * swings[0]


def test_a_loss_that_is_no_number_stops_and_the_last_good_epoch_stays(tmp_path, monkeypatch):
    run_search(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("ormia.train.loop.nn.functional.cross_entropy", lambda *_, **__: torch.tensor(float("nan"), requires_grad=True))
        with pytest.raises(SearchStopped, match=r"the loss on valid must be finite; it is not at iteration 3\. Lower learning_rate"):
            run_search(SMALL, Toy(), tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert len(run_search(SMALL, Toy(), tmp_path).history) == 9


def test_a_stopped_search_goes_on_from_its_last_good_epoch_under_remedied_settings(tmp_path):
    run_search(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(SearchStopped, match=r"every architecture logit must be finite"):
        run_search(dataclasses.replace(SMALL, architecture_rate=float("inf")), Toy(), tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    search = run_search(dataclasses.replace(SMALL, architecture_rate=0.01, learning_rate=0.02), Toy(), tmp_path)
    assert len(search.history) == 9
    assert search.changes == [{"learning_rate": 0.03, "architecture_rate": 0.05, "until_epoch": 1}]
    assert search.architecture_optimizer.param_groups[0]["lr"] == 0.01
    with pytest.raises(UsageError, match="architecture_rate differ"):
        run_search(dataclasses.replace(SMALL, architecture_rate=0.02), Toy(), tmp_path)  # nothing is left to go on with
    assert search.weight_optimizer.param_groups[0]["lr"] == Search(search.config, Toy()).weight_optimizer.param_groups[0]["lr"]


def test_logits_that_are_no_numbers_stop_the_search():
    search = Search(dataclasses.replace(SMALL, architecture_rate=float("inf")), Toy())
    with pytest.raises(SearchStopped, match=r"every architecture logit must be finite"):
        search.architecture_step(*batches(search))


def test_a_layer_that_stays_silent_stops_the_search(tmp_path):
    config = dataclasses.replace(SMALL, plasticity=PlasticityConfig(on=False))
    search = Search(config, Toy())
    with torch.no_grad():
        search.supernet.feed_forward[0].zero_()
    with pytest.raises(SearchStopped, match=r"every layer must fire between 0\.0001 and 0\.95 .* layer 0 is at 0 by iteration 2\. Turn plasticity on"):
        search.run_epoch(tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_checkpoint_of_another_recipe_or_corpus_or_none_at_all_is_refused(tmp_path):
    run_search(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path)
    with pytest.raises(UsageError, match="order, corpus differ"):
        run_search(dataclasses.replace(SMALL, order=2), Toy("other"), tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(DataError, match="must be the checkpoint of a search: remove it"):
        run_search(SMALL, Toy(), tmp_path)


def test_a_corpus_without_valid_clips_is_refused():
    with pytest.raises(DataError, match="must have clips of valid"):
        Search(SMALL, Toy(valid=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sizes=[2, 3]"], "every motif size must divide the layer: 8 neurons are no whole number of motifs of 3"),
        (["sizes=[]"], "sizes must be different numbers"),
        (["order=3"], "order must be 1 or 2, not 3"),
        (["size_epochs=9"], r"size_epochs must be within 0\.\.epochs"),
        (["size_epochs=0"], "size_epochs must be at least 1"),
        (["lateral=false", "ring=true"], "ring and untied must go with lateral = true"),
        (["plasticity.target=0"], r"plasticity\.target must be within 0\.\.1"),
        (["plasticity.mu=0.1"], "unknown key 'mu'"),
    ],
)
def test_a_wrong_setting_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        with_settings(SMALL, settings)


@pytest.mark.parametrize("name", recipe_names(RECIPES))
def test_every_recipe_that_ships_is_valid(name):
    assert load_recipe(name).epochs > 0
