"""Simulations with the potentials of a finished run: every test leaves its tables, once, and the report shows them."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.run.watching.progress import Display
from benchmark.simulate import run as simulations
from benchmark.simulate.estimate import estimate_seconds
from benchmark.simulate.job import SimulationJob
from benchmark.simulate.run import execute, prepare, simulate_finished
from benchmark.simulate.setting import OWN_MODEL
from reports.page.write import build_report
from reports.records.folder import RunFolder
from reports.records.simulations import read_simulations
from tests.benchmark.runs import in_turn

pytestmark = pytest.mark.slow

TINY = {
    "nvt_ps": "0.02",
    "nve_ps": "0.03",
    "frame_fs": "1",
    "replicas": "1",
    "reference_factor": "2",
    "elsewhere_ps": "0.01",
    "elsewhere_frames": "2",
    "temperatures_K": "400",
    "densities": "0.9,1.2",
}
ARMS = {"strategy": ["scratch", "masked"]}


@pytest.fixture(scope="module")
def folder(smoke, tmp_path_factory):
    """A copy of the run, to be simulated with."""
    place = tmp_path_factory.mktemp("simulated") / "run"
    shutil.copytree(smoke[0], place)
    return place


@pytest.fixture(scope="module")
def simulated(folder, data_dir):
    """The same after all simulations; jobs run in this process."""
    with pytest.MonkeyPatch.context() as patch, Display(Console(quiet=True)) as display:
        patch.setattr(simulations, "run_jobs", in_turn)
        failed = execute(prepare(folder, data_dir, ARMS, TINY, jobs=1), display)
    assert failed == []
    run = RunFolder(folder)
    return read_simulations(run, [cell.key for cell in run.read_plan().cells])


def measured(simulated, kind, quantity, place=None):
    rows = simulated.measures.query("kind == @kind and quantity == @quantity")
    return (rows if place is None else rows[rows["place"] == place])["value"]


def test_every_subject_went_through_its_tests(simulated):
    found = {(row.kind, row.test) for row in simulated.measures.itertuples()}
    cells = {("cell", test) for test in ("nvt", "nve", "elsewhere", "scans")}
    assert found >= cells | {("null", "nvt"), ("null", "elsewhere"), ("own model", "nvt"), ("own model", "nve")}
    assert len(simulated.measures.query("kind == 'cell'")["subject"].unique()) == 2
    assert set(simulated.ends["cause"].dropna()) <= {"bond", "temperature", "not finite"}


def test_the_own_model_is_its_own_reference(simulated):
    assert (measured(simulated, "own model", "stable_ps") == 0.02).all()
    assert measured(simulated, "own model", "scan_rmse_mev").max() == 0
    assert measured(simulated, "own model", "drift_mev_per_atom_per_ps").max() < 100
    assert len(measured(simulated, "own model", "force_rmse_mev_per_A")) == 0


def test_null_and_cells_are_as_far_off_elsewhere_as_they_are(simulated):
    """The null reference has the forces' own root mean square as its error: hundreds of meV/Å."""
    null = measured(simulated, "null", "force_rmse_mev_per_A")
    places = set(simulated.measures.query("kind == 'null' and quantity == 'force_rmse_mev_per_A'")["place"])
    assert places == {"300 K", "400 K", "density × 0.9", "density × 1.2", "2 boxes side by side"}
    assert null.dropna().between(300, 3000).all()
    # At 1.2 times the density the box is less than two cutoffs wide: not measured, and not left out.
    of_cells = measured(simulated, "cell", "force_rmse_mev_per_A", "density × 1.2")
    assert len(of_cells) == 2
    assert of_cells.isna().all()


def test_curves_are_distributions(simulated):
    for (subject, quantity, place), rows in simulated.series.groupby(["subject", "quantity", "place"]):
        width = np.diff(rows["x"]).mean()
        if quantity in ("bond", "angle", "spectrum"):
            assert rows["y"].sum() * width == pytest.approx(1, rel=1e-6), (subject, quantity, place)


def test_what_is_done_is_not_done_again(simulated, folder, data_dir):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    again = prepare(folder, data_dir, ARMS, TINY, jobs=1)
    assert again.left == []
    assert estimate_seconds(again) == 0
    more = prepare(folder, data_dir, {"strategy": ["denoised"]}, {**TINY, "tests": "scans"}, jobs=1)
    assert [job.name for job in more.left] == ["tip3p/egnn/denoised/seed 0: scans"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")} == before


def test_other_settings_are_refused(simulated, folder, data_dir):
    with pytest.raises(BenchmarkError, match=r"nvt_ps is 0\.02 there, 0\.04 now"):
        prepare(folder, data_dir, ARMS, {**TINY, "nvt_ps": "0.04"})


def test_the_report_has_its_section(simulated, folder, tmp_path):
    text = build_report(folder, tmp_path).markdown.read_text(encoding="utf-8")
    assert "## In use" in text
    assert "In use, simulations of 0.02 ps reached their end" in text
    assert "the data's own model" in text
    assert (tmp_path / "tables" / "simulations.csv").exists()
    assert (tmp_path / "figures" / "survival-0.svg").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nvt": "1"}, "unknown key; allowed here"),
        ({"replicas": "0"}, "replicas: Input should be greater than or equal to 1"),
        ({"tests": "nvt,npt"}, "Input should be 'nvt', 'nve', 'elsewhere' or 'scans'"),
        ({"nvt_ps": "["}, r"--set nvt_ps=\[: .* is no value"),
        ({"nvt_ps": "2024-13-45"}, "is no value; write a number"),
    ],
)
def test_wrong_settings_are_refused(smoke, data_dir, changes, message):
    with pytest.raises(BenchmarkError, match=message):
        prepare(smoke[0], data_dir, changes=changes)


def test_without_a_finished_cell_there_is_nothing_to_simulate(smoke, data_dir, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(smoke[0], folder)
    run = RunFolder(folder)
    for cell in run.read_plan().cells:
        run.cell(cell.key).set_status("failed", "out of memory")
    with pytest.raises(BenchmarkError, match=r"none of the 4 chosen cells .* has ended well"):
        prepare(folder, data_dir)
    assert not (folder / "simulations").exists()


def test_a_time_that_is_spent_leaves_simulations_for_the_next_call(smoke, data_dir, tmp_path, monkeypatch):
    shutil.copytree(smoke[0], tmp_path / "run", ignore=shutil.ignore_patterns(".run.lock"))
    monkeypatch.setattr(simulations, "run_jobs", in_turn)
    printed = io.StringIO()
    with Display(Console(file=printed, width=200)) as display:
        assert simulate_finished(tmp_path / "run", data_dir, 1, display, budget_s=-1.0) == []
    assert "the time is spent: 24 simulations are left; the same command goes on" in printed.getvalue()
    assert not list((tmp_path / "run").glob("simulations/*/*.parquet"))


def test_what_is_compared_to_a_reference_that_failed_waits_for_it(smoke, data_dir, tmp_path, monkeypatch):
    shutil.copytree(smoke[0], tmp_path / "run", ignore=shutil.ignore_patterns(".run.lock"))
    monkeypatch.setattr(simulations, "run_jobs", in_turn)
    find = SimulationJob._find

    def broken(job):
        if job.subject.kind == OWN_MODEL and job.test == "elsewhere":
            raise MemoryError("no room")
        return find(job)

    chosen, settings = {"strategy": ["scratch"]}, TINY | {"tests": "nvt,elsewhere"}
    with Display(Console(quiet=True)) as display:
        monkeypatch.setattr(SimulationJob, "_find", broken)
        planned = prepare(tmp_path / "run", data_dir, chosen, settings, jobs=1)
        (failed,) = execute(planned, display)
        assert "MemoryError: no room" in failed
        assert {job.test for job in planned.left} == {"elsewhere"}
        assert {job.folder.status().state for job in planned.left} == {"failed", "pending"}
        monkeypatch.setattr(SimulationJob, "_find", find)
        assert execute(planned, display) == []
    assert not planned.left
    run = RunFolder(tmp_path / "run")
    found = read_simulations(run, [cell.key for cell in run.read_plan().cells])
    assert len(measured(found, "cell", "force_rmse_mev_per_A", "400 K")) == sum(
        job.subject.kind == "cell" and job.test == "elsewhere" for job in planned.jobs
    )


def test_the_command_line(smoke, data_dir, refuse):
    refuse("simulate", smoke[0], "--set", "nvt_ps", fragments=["write NAME=VALUE"])
    refuse("simulate", smoke[0], "--select", "strategy=none", "--data-dir", data_dir, fragments=["unknown strategy"])
