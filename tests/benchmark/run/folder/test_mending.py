"""Whatever is damaged in a run folder is set aside and done again: that job, no other, with the same numbers."""

from __future__ import annotations

import json
import shutil
import tarfile

import pandas as pd
import pytest
import torch

from benchmark.cell.cell import CellJob
from benchmark.cell.job import Settings
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from reports.records.archive import write_archive
from reports.records.run import read_run
from tests.benchmark.runs import contents, records

pytestmark = pytest.mark.slow

TIMING = ["pretrain_seconds", "finetune_seconds", "peak_memory_mb"]


def job_of(run, strategy):
    cells = json.loads((run / "plan.json").read_text())["cells"]
    return run / "cells" / next(cell["key"] for cell in cells if cell["strategy"] == strategy)


def pretraining_of(run):
    return next((run / "pretrainings").iterdir())


def interrupt(job):
    """As if it had been killed after its last epoch, before the evaluation."""
    for name in ("record", "elements", "predictions", "curves"):
        (job / f"{name}.parquet").unlink(missing_ok=True)
    (job / "status.json").write_text('{"state": "running"}', encoding="utf-8")


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def mended(made, run, *fragments):
    """Run again: the words are printed, and all numbers are those of the undamaged run."""
    printed = made.run(run)
    for fragment in fragments:
        assert fragment in printed
    assert "weights_only" not in printed
    pd.testing.assert_frame_equal(
        records(made.folder).drop(columns=TIMING), records(run).drop(columns=TIMING), check_exact=True
    )
    assert read_run(run).count("ok") == 2


def test_a_damaged_checkpoint_starts_its_cell_over_and_no_other(made, copy):
    job, other = job_of(copy, "scratch"), job_of(copy, "masked")
    interrupt(job)
    empty(job / "last.ckpt")
    before = contents(other)
    mended(made, copy, "last.ckpt", "set aside as last.ckpt.damaged", "b/egnn/scratch/seed 0 is done again")
    assert (job / "best.ckpt.damaged").exists(), "one without the other is nothing to resume from"
    assert contents(other) == before


def test_a_damaged_pretraining_is_done_again_where_a_cell_needs_it(made, copy):
    interrupt(job_of(copy, "masked"))
    flip(job_of(copy, "masked") / "best.ckpt")
    flip(pretraining_of(copy) / "potential.pt")
    (pretraining_of(copy) / "result.json").unlink()
    mended(
        made, copy, "best.ckpt.damaged", "potential.pt", "result.json is missing", "pretraining/seed 0 is done again"
    )


def test_the_weights_of_a_pretraining_that_no_cell_needs_any_more_are_not_missed(made, copy):
    empty(pretraining_of(copy) / "potential.pt")
    assert "2 of 2 cells were finished before" in made.run(copy)


def test_what_is_unpacked_of_an_archive_goes_on(made, copy, tmp_path):
    interrupt(job_of(copy, "masked"))
    write_archive(copy, tmp_path / "run.tar.xz")
    with tarfile.open(tmp_path / "run.tar.xz") as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    unpacked = tmp_path / "elsewhere" / copy.name
    scratch = contents(job_of(unpacked, "scratch"))
    assert not list(unpacked.rglob("*.pt")) + list(unpacked.rglob("*.ckpt"))
    mended(made, unpacked, "potential.pt is missing", "pretraining/seed 0 is done again")
    assert contents(job_of(unpacked, "scratch")) == scratch


@pytest.mark.parametrize(
    ("scratch", "masked"), [("record.parquet", "curves.parquet"), ("provenance.json", "predictions.parquet")]
)
def test_a_finished_cell_counts_only_with_its_files_readable(made, copy, scratch, masked):
    (job_of(copy, "scratch") / scratch).unlink()
    empty(job_of(copy, "masked") / masked)
    mended(made, copy, scratch, masked, "b/egnn/scratch/seed 0 is done again", "b/egnn/masked/seed 0 is done again")


def test_a_damaged_status_or_audit_is_no_dead_end(made, copy):
    empty(copy / "audit.json")
    (job_of(copy, "scratch") / "status.json").write_text('{"state": "ok", "fraction": 7}', encoding="utf-8")
    mended(made, copy, "audit.json", "status.json", "b/egnn/scratch/seed 0 is done again")


def test_checkpoints_and_weights_of_other_jobs_are_refused(made, copy):
    """Of the same network they fit, and would be resumed to an error that is off by anything."""
    scratch, masked = job_of(copy, "scratch"), job_of(copy, "masked")
    interrupt(masked)
    for name in ("last.ckpt", "best.ckpt"):
        shutil.copy(scratch / name, masked / name)
    shutil.copy(scratch / "last.ckpt", pretraining_of(copy) / "potential.pt")
    foreign = f"holds weights of job {scratch.name}, those of"
    mended(made, copy, f"{foreign} {masked.name} were expected", f"{foreign} {pretraining_of(copy).name} were expected")


def test_a_job_refuses_what_was_damaged_after_the_look_at_the_folder(made, copy):
    cells = {cell.arm.strategy: cell for cell in make_plan(load_suite(str(made.suite), "tiny"))}
    job = CellJob(cells["masked"], Settings(copy, made.folder.parent, "cpu", torch.get_num_threads()))
    interrupt(job.folder.path)
    empty(pretraining_of(copy) / "potential.pt")
    job.run()
    assert job.folder.status().state == "failed"
    assert "potential.pt cannot be read, it is damaged" in job.folder.status().reason
    assert "run again; only this job is repeated" in job.folder.status().reason


def test_what_killed_writers_left_is_removed(made, copy):
    """A checkpoint that was being written: as large as the network, and nobody's any more."""
    left = [folder / f".last.ckpt.{'0' * 32}.tmp" for folder in (copy, job_of(copy, "masked"), pretraining_of(copy))]
    for path in left:
        path.write_bytes(b"half")
    made.run(copy)
    assert not any(path.exists() for path in left)
