"""From a suite to cells and their keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.cell.checking.checks import needed_entries
from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.primaries import planned_primaries, without_cells
from benchmark.planning.reading import load_suite
from benchmark.planning.suite_files import available_suites, read_suite_file
from tests.benchmark.own_suite import arms, cells_of, entry

SUITES = [pytest.param(name, marks=pytest.mark.slow if name == "rmd17" else ()) for name in sorted(available_suites())]


@pytest.mark.parametrize("name", SUITES)
def test_every_scale_of_every_shipped_suite_validates_and_plans(name):
    for scale in read_suite_file(name)["scales"]:
        suite = load_suite(name, scale)
        cells = make_plan(suite)
        seeds = sum(entry.seeds or suite.seeds for entry in suite.models.values())
        assert len(cells) == seeds * len(suite.datasets) * len(suite.strategies)
        # What the suite is run for is declared, and there are cells for it.
        assert planned_primaries(suite)
        assert without_cells(suite, cells) == []
        assert len({c.key for c in cells}) == len(cells)
        assert suite.seeds >= 2 or scale == "smoke"


def test_arms_of_one_seed_share_everything_but_the_strategy(load):
    cells = {c.arm.strategy: c for c in make_plan(load())}
    scratch, extended, masked = cells["scratch"], cells["scratch-extended"], cells["masked"]
    assert scratch.pretraining is None
    assert extended.phase.epochs == scratch.phase.epochs + masked.pretraining.phase.epochs
    assert masked.phase == scratch.phase
    for cell in cells.values():
        assert (cell.dataset, cell.model, cell.seed, cell.batch_size) == (
            scratch.dataset, scratch.model, scratch.seed, scratch.batch_size,
        )  # fmt: skip


def test_key_ignores_labels_and_follows_everything_else(load):
    def keys(change=lambda c: None):
        return {c.arm.strategy: c.key for c in make_plan(load(change), seeds=1)}

    before = keys()

    def relabel(c):
        c["strategies"]["scratch"]["label"] = "another name"

    def more_pretraining(c):
        c["scales"]["smoke"]["training"]["pretrain"]["epochs"] = 7

    def other_ratio(c):
        c["strategies"]["masked"]["pretext"]["options"]["ratio"] = 0.25

    def other_split(c):
        c["scales"]["smoke"]["datasets"]["tip3p"]["split"]["val"] = 0.3

    def more_seeds(c):
        c["models"]["egnn"]["seeds"] = 2

    def turned(c):
        c["scales"]["smoke"]["training"]["rotate"] = True

    def not_turned(c):
        c["models"] = {name: {**entry, "training": {"rotate": False}} for name, entry in c["models"].items()}

    assert keys(relabel) == before
    assert keys(more_seeds) == before
    assert keys(not_turned) == before
    assert not set(keys(turned).values()) & set(before.values())
    assert [s for s, key in keys(more_pretraining).items() if key != before[s]] == [
        "scratch-extended", "masked", "denoised",
    ]  # fmt: skip
    assert [s for s, key in keys(other_ratio).items() if key != before[s]] == ["masked"]
    assert not set(keys(other_split).values()) & set(before.values())


def test_defaults_are_written_out_so_that_keys_do_not_hang_on_them(load):
    def explicit(c):
        c["models"]["egnn"]["options"] = {"radial": "squared"}
        c["strategies"]["masked"]["pretext"]["options"]["loss"] = "mean"

    assert [c.key for c in make_plan(load(explicit))] == [c.key for c in make_plan(load())]
    cell = make_plan(load())[0]
    assert cell.model.options["radial"] == "squared"
    assert cell.dataset.options["steps_between_frames"] == 50


def test_selection_and_seeds(load):
    suite = load()
    cells = make_plan(suite, seeds=3, select={"strategy": ["masked", "scratch"]})
    assert {(c.arm.strategy, c.seed) for c in cells} == {(s, n) for s in ("masked", "scratch") for n in range(3)}
    with pytest.raises(BenchmarkError, match=r"unknown strategy 'maskd'.*Did you mean 'masked'"):
        make_plan(suite, select={"strategy": ["maskd"]})
    with pytest.raises(BenchmarkError, match=r"field of --select 'molecule'.*Options of the datasets.*rigid"):
        make_plan(suite, select={"molecule": ["x"]})
    assert len(make_plan(suite, select={"rigid": ["False"]})) == len(make_plan(suite))
    with pytest.raises(BenchmarkError, match="unknown rigid 'True'; known are: False"):
        make_plan(suite, select={"rigid": ["True"]})
    with pytest.raises(BenchmarkError, match="at least 1"):
        make_plan(suite, seeds=0)


def test_models_may_have_seeds_of_their_own_and_pairs_stay_whole(load_own):
    suite = load_own(seeds=2, models={"egnn": {"seeds": 3}, "gns": {"seeds": 1}, "forcenet": None})
    cells = make_plan(suite)
    assert [(c.seed, c.arm.model) for c in cells if c.arm.strategy == "scratch"] == [
        (0, "egnn"), (0, "gns"), (1, "egnn"), (2, "egnn"),
    ]  # fmt: skip
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    everything = make_plan(suite, seeds=2)
    assert {(c.arm.model, c.seed) for c in everything} == {(m, s) for m in ("egnn", "gns") for s in (0, 1)}


def test_shares_of_labels_become_datasets_that_share_their_pretraining(load_own):
    suite = load_own(datasets={"tip3p": {"labelled": [0.25, 1]}}, models={"gns": None, "forcenet": None})
    assert {name: entry.labelled for name, entry in suite.datasets.items()} == {"tip3p@25%": 0.25, "tip3p@100%": None}
    cells = {(c.arm.dataset, c.arm.strategy): c for c in make_plan(suite)}
    few, all_ = cells["tip3p@25%", "masked"], cells["tip3p@100%", "masked"]
    assert few.key != all_.key
    assert few.pretraining.key == all_.pretraining.key
    # All labels: the same work as where the share is not varied at all.
    assert all_.key in {c.key for c in make_plan(load_suite("water", "smoke"))}


def test_a_pool_is_one_pretraining_for_all_chosen_datasets(own):
    cells = cells_of(own())
    shared = cells["a", "masked"].pretraining
    assert shared == cells["b", "masked"].pretraining
    assert [part.options["path"] for part in shared.parts] == [str(own.files["a"]), str(own.files["b"])]
    alone = cells_of(own(), {"path": [str(own.files["a"])]})
    assert set(alone) == {("a", arm) for arm in ("scratch", "longer", "masked")}
    assert len(alone["a", "masked"].pretraining.parts) == 1
    assert alone["a", "scratch"].key == cells["a", "scratch"].key


def test_the_extended_baseline_sees_as_many_frames(own):
    """a has 12 training frames, b 6, c 45; pretraining has 2 epochs, finetuning 3."""
    pooled = cells_of(own())
    assert pooled["a", "longer"].phase.epochs == 3 + 2  # 2 x 18 / 2 sharers / 12 = 1.5
    assert pooled["b", "longer"].phase.epochs == 3 + 3
    own_frames = cells_of(own(strategies=arms()))
    assert own_frames["a", "longer"].phase.epochs == own_frames["b", "longer"].phase.epochs == 3 + 2
    others = cells_of(own(strategies=arms(pretrain_on=["c"])))
    assert others["a", "longer"].phase.epochs == 3 + 8  # 2 x 45 / 12 = 7.5
    assert others["b", "longer"].phase.epochs == 3 + 15
    both = cells_of(own(strategies=arms(pretrain_on=["c", "b", "c"])))
    assert both["b", "longer"].phase.epochs == 3 + 17
    assert len(both["a", "masked"].pretraining.parts) == 2


def test_shares_of_labels_are_one_part_of_a_pool(own):
    """Three shares of one dataset: pretraining sees its frames once, and the baseline is charged for all of them."""
    datasets = {"a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, labelled=[0.25, 0.5, 1])}
    cells = cells_of(own(datasets=datasets))
    pretraining = cells["a@25%", "masked"].pretraining
    assert len(pretraining.parts) == pretraining.sharers == 1
    assert cells["a@25%", "longer"].phase.epochs == 3 + 2


def test_keys_are_those_of_the_stored_run_of_an_earlier_version():
    """Finished cells stay the same work: what came since is no part of a key while it is off."""
    stored = json.loads((Path(__file__).parents[2] / "data" / "run-schema-1" / "plan.json").read_text(encoding="utf-8"))
    cells = make_plan(load_suite("water", "smoke"), select={"model": ["egnn"]})
    assert {cell.key for cell in cells} == {cell["key"] for cell in stored["cells"]}
    assert {cell.pretraining.key for cell in cells if cell.pretraining} == {
        cell["pretraining_key"] for cell in stored["cells"] if cell["pretraining_key"]
    }


def test_data_of_other_seeds_for_other_seeds(load_own, tmp_path):
    suite = load_own(datasets={"tip3p": {"data_seeds": "per-cell"}}, seeds=2, models={"gns": None, "forcenet": None})
    shared = load_own(seeds=2, models={"gns": None, "forcenet": None})
    cells, same = make_plan(suite), make_plan(shared)
    assert [cell.dataset.options["seed"] for cell in cells] == [cell.seed for cell in cells]
    assert all(
        part.options["seed"] == cell.seed for cell in cells if cell.pretraining for part in cell.pretraining.parts
    )
    # The first seed's data are those of before, and so are its cells.
    assert [a.key == b.key for a, b in zip(cells, same, strict=True)] == [cell.seed == 0 for cell in cells]
    needed = needed_entries(suite, cells)
    assert list(needed) == ["tip3p, data of seed 0", "tip3p, data of seed 1"]
    assert list(needed_entries(shared, same)) == ["tip3p"]
    with pytest.raises(BenchmarkError, match="kind 'rmd17' has no option 'seed'"):
        load_own(
            datasets={
                "tip3p": None,
                "a": {"kind": "rmd17", "options": {"molecule": "ethanol"}, "data_seeds": "per-cell"},
            }
        )
