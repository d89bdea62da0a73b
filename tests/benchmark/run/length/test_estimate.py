"""What a dry run times: one fit of each sort, however many there are of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmark.cell.job import Settings
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.run.length import estimate as module
from benchmark.run.length.estimate import Pace, estimate


@pytest.mark.parametrize("data_seeds", ["shared", "per-cell"])
def test_each_sort_of_fit_is_timed_once_whatever_the_seeds_of_cells_and_data(data_seeds, tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(module, "_pace", lambda part, work, frames, settings: timed.append(frames) or Pace(0.5, 0.25))
    file = tmp_path / "own.yaml"
    file.write_text(
        f"extends: water\nname: own\ntitle: T\ndescription: D\ndatasets: {{tip3p: {{data_seeds: {data_seeds}}}}}\n",
        encoding="utf-8",
    )
    found = []
    for seeds in (1, 3):
        settings = Settings(tmp_path / "run", tmp_path / "data", "cpu", 1)
        run = SimpleNamespace(
            cells=make_plan(load_suite(str(file), "smoke"), seeds=seeds),
            settings=settings,
            compile_steps="never",
            workers=2,
        )
        found.append((estimate(run), len(timed)))
        timed.clear()
    (one, once), (three, again) = found
    # Three networks, each without a pretext, masking and denoising.
    assert once == again == 9
    assert three.fits == 3 * one.fits
    assert three.steps == 3 * one.steps
    assert three.seconds == pytest.approx(3 * one.seconds)
    assert one.seconds > 0.5 * one.steps, "validation is counted"


def test_a_step_is_never_of_more_frames_than_there_are_to_train(tmp_path, monkeypatch):
    """A batch size far above them would be timed, and its frames made, for nothing."""
    timed = []
    monkeypatch.setattr(module, "_pace", lambda part, work, frames, settings: timed.append(frames) or Pace(0.5, 0.25))
    file = tmp_path / "own.yaml"
    file.write_text(
        "extends: water\nname: own\ntitle: T\ndescription: D\nscales: {smoke: {training: {batch_size: 1000000}}}\n",
        encoding="utf-8",
    )
    run = SimpleNamespace(
        cells=make_plan(load_suite(str(file), "smoke")),
        settings=Settings(tmp_path / "run", tmp_path / "data", "cpu", 1),
        compile_steps="never",
        workers=2,
    )
    estimate(run)
    assert set(timed) == {16}
