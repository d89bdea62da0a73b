"""Which fits are compiled: one choice for a network, by the whole plan and by what is finished."""

from __future__ import annotations

import pytest

from benchmark.cell.job import Settings
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.run import ways
from benchmark.run.jobs import make_jobs
from benchmark.run.ways import choose_compiled, way_of
from benchmark.training.steps.functions import function_of
from reports.records.atomic import write_json
from tasks.models.egnn import EGNN


@pytest.fixture
def cells():
    return make_plan(load_suite("water", "smoke"))


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path / "run", tmp_path / "data", "cpu", 1)


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch):
    monkeypatch.setattr(ways, "read_measured", lambda function: None)
    monkeypatch.setattr(ways, "missing_compiler", lambda device: None)


def test_always_and_never(cells, settings):
    every = {job.key for job in make_jobs(cells, settings)}
    assert choose_compiled(cells, settings, "always", 2) == every
    assert choose_compiled(cells, settings, "never", 2) == frozenset()


def test_networks_of_torchmd_net_are_never_compiled(settings):
    cells = make_plan(load_suite("torchmd-net", "smoke"))
    own = {job.key for job in make_jobs(cells, settings) if job.work.model.kind in ("egnn", "gns", "forcenet")}
    assert choose_compiled(cells, settings, "always", 1) == own


def test_auto_compiles_where_the_fits_are_long_and_a_compiler_is_there(cells, settings, monkeypatch):
    assert choose_compiled(cells, settings, "auto", 2) == frozenset(), "a smoke run is over before it would be compiled"
    monkeypatch.setattr(ways, "COLD_SECONDS", 0.0)
    monkeypatch.setattr(ways, "WARM_SECONDS", 0.0)
    every = {job.key for job in make_jobs(cells, settings)}
    assert choose_compiled(cells, settings, "auto", 2) == every
    monkeypatch.setattr(ways, "missing_compiler", lambda device: "there is no C++ compiler")
    assert choose_compiled(cells, settings, "auto", 2) == frozenset()


@pytest.mark.parametrize(("suite", "functions"), [("water", 1), ("ablation-head", 2)])
def test_a_function_that_several_pretexts_call_is_compiled_once(suite, functions, settings, monkeypatch):
    """Forces alone in `water`; in `ablation-head` displacements too. 1.5 times what that costs is to be saved."""
    monkeypatch.setattr(ways, "_guess_seconds", lambda work, data_dir: 1.0)
    monkeypatch.setattr(ways, "COLD_SECONDS", 1.0)
    monkeypatch.setattr(ways, "WARM_SECONDS", 0.0)
    cells = make_plan(load_suite(suite, "smoke"))
    jobs = [job for job in make_jobs(cells, settings) if job.work.model.kind == "egnn"]
    assert len({function_of(job.work) for job in jobs}) == functions
    assert len({job.work.pretext.model_dump_json() for job in jobs if not job.cells}) > 1
    enough = 1.5 * functions / len(jobs)
    for share, compiles in ((0.99 * enough, False), (1.01 * enough, True)):
        monkeypatch.setattr(EGNN, "compiled_saves", share)
        chosen = choose_compiled(cells, settings, "auto", 2)
        assert {job.key for job in jobs if job.key in chosen} == ({job.key for job in jobs} if compiles else set())


def test_auto_keeps_to_what_finished_fits_of_the_network_did(cells, settings):
    gns = [job for job in make_jobs(cells, settings) if job.work.model.kind == "gns"]
    gns[0].folder.path.mkdir(parents=True)
    gns[0].folder.set_status("ok")
    write_json(gns[0].folder.provenance, {"schema": 1, "computed": {"way": "compiled"}})
    assert choose_compiled(cells, settings, "auto", 2) == {job.key for job in gns}


def test_a_provenance_that_says_nothing_is_eager():
    assert way_of({}) == "eager"
    assert way_of({"computed": {"way": "compiled"}}) == "compiled"


def test_another_word_is_refused_with_those_allowed(refuse):
    refuse("run", "--suite", "water", "--compile", "maybe", fragments=["--compile maybe", "auto, always, never"])


def test_of_fits_that_differ_in_their_seed_alone_one_is_guessed(settings, monkeypatch):
    guessed = []
    monkeypatch.setattr(ways, "_guess_seconds", lambda work, data_dir: guessed.append(work.key) or 1.0)
    plans = [make_plan(load_suite("water", "smoke"), seeds=seeds) for seeds in (1, 5)]
    numbers = []
    for cells in plans:
        choose_compiled(cells, settings, "auto", 2)
        numbers.append(len(guessed))
        guessed.clear()
    assert numbers[0] == numbers[1] > 0
