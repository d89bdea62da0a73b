"""How long simulations take: evaluations counted by hand."""

from __future__ import annotations

import pytest

from benchmark.planning.planner import make_plan
from benchmark.planning.reading import read_suite
from benchmark.planning.simulation import SimulationSettings
from benchmark.run.machine import count_threads
from benchmark.simulate import estimate
from benchmark.simulate.setting import DATA, OWN_MODEL

PLAN = SimulationSettings(nvt_ps=1, nve_ps=0.5, timestep_fs=0.5, elsewhere_ps=1, temperatures_K=(400,), densities=())


def test_evaluations_are_steps():
    assert [estimate.evaluations("cell", test, PLAN) for test in ("nvt", "nve", "elsewhere", "scans")] == [
        2000,
        1000,
        0,
        0,
    ]
    # At the data's temperature, at 400 K, and in the larger box.
    assert estimate.evaluations(OWN_MODEL, "elsewhere", PLAN) == 3 * 2000
    assert estimate.evaluations(OWN_MODEL, "scans", PLAN) == 0
    assert estimate.evaluations(DATA, "nvt", PLAN) == 0


def test_a_plan_is_estimated_before_there_is_any_data(monkeypatch, tmp_path):
    asked = []

    def time_step(forces, start, threads):
        forces(start.pos, estimate.torch.arange(len(start.samples)))
        asked.append((len(start.samples), len(start.z), threads))
        return 0.5

    monkeypatch.setattr(estimate, "_time_step", time_step)
    cells = [cell for cell in make_plan(read_suite("tip3p", "smoke")) if cell.arm.model != "gns"]
    plan = PLAN.model_copy(update={"boxes": 2, "tests": ("nvt", "elsewhere")})
    found = estimate.estimate_planned(plan, cells, tmp_path / "nothing", workers=1)
    # Two networks, then eight replicas of the data's own model; elsewhere two, in single boxes.
    assert asked == [(*size, count_threads(1)) for size in ((2, 48), (2, 48), (8, 48), (2, 24))]
    assert found == pytest.approx(0.5 * (8 * 2000 + 2000 + 3 * 2000))
    assert not (tmp_path / "nothing").exists()
