"""The user's own n2p2 files: where they are looked for, molecules that are not water."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.runner.n2p2 import N2P2
from tasks.datasets.runner.options import N2P2Config
from tests.tasks.conftest import sets
from tests.tasks.datasets.runner.conftest import A_PER_BOHR, prepared, text_of

Water = Callable[..., Data]

METHANOL = Data(
    z=torch.tensor([6, 8, 1, 1, 1, 1]),
    pos=torch.tensor([[0, 0, 0], [1.42, 0, 0], [-0.4, 1.0, 0], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9], [1.7, 0.9, 0]]),
    neg_dy=torch.zeros(6, 3),
)


def test_own_files_without_periodicity(tmp_path: Path) -> None:
    (tmp_path / "input.data").write_text(text_of(METHANOL, "a"))
    dataset = prepared(N2P2(N2P2Config(path=tmp_path / "input.data", title="my methanol")), tmp_path / "data")
    sample = dataset.samples[0]
    assert "box" not in sample
    assert sample.molecule.tolist() == [0] * 6
    assert sets(sample.site.numpy()) == {frozenset({0, 2, 3, 4}), frozenset({1, 5})}
    assert dataset.species == (1, 6, 8)
    assert dataset.provenance["box_widths_A"] is None
    assert "citation" not in dataset.provenance


@pytest.mark.parametrize(("decimals", "step_bohr"), [(2, 0.01), (3, 0.001), (9, 0.0)])
def test_to_which_step_positions_are_rounded_is_noticed(tmp_path: Path, decimals: int, step_bohr: float) -> None:
    """By that the audit looks for copies of these frames in other files."""
    frames = []
    for seed in range(8):
        moved = METHANOL.clone()
        noise = torch.rand(6, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        moved.pos = (METHANOL.pos.double() + noise).div(A_PER_BOHR).round(decimals=decimals) * A_PER_BOHR
        frames.append(text_of(moved, str(seed)))
    (tmp_path / "input.data").write_text("".join(frames))
    dataset = prepared(N2P2(N2P2Config(path=tmp_path / "input.data")), tmp_path / "data")
    assert dataset.precision_A == pytest.approx(step_bohr * A_PER_BOHR)


def test_periodic_and_other_structures_do_not_mix(tmp_path: Path, water: Water) -> None:
    path = tmp_path / "input.data"
    path.write_text(text_of(water(4), "a") + text_of(METHANOL, "b"))
    with pytest.raises(DatasetError, match=r"input\.data, line 21: .*no 'lattice', others have"):
        N2P2(N2P2Config(path=path)).prepare(tmp_path)


def test_where_own_files_are_looked_for(tmp_path: Path, water: Water, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir, work = tmp_path / "data", tmp_path / "work"
    for folder, molecules in ((data_dir, 4), (work, 5)):
        folder.mkdir()
        (folder / "mine.data").write_text(text_of(water(molecules), "a"))
    monkeypatch.chdir(work)
    task = N2P2(N2P2Config(path="mine.data"))
    assert task.title == "structures of mine.data"
    assert len(prepared(task, data_dir).samples[0].z) == 12
    (data_dir / "mine.data").unlink()
    assert len(prepared(task, data_dir).samples[0].z) == 15
    example = task.example(data_dir, 3)
    assert len(example.z) == 15
    assert "y" not in example
    assert "neg_dy" not in example
    missing = N2P2(N2P2Config(path="other.data"))
    for use in (missing.outline, missing.prepare, missing.load):
        with pytest.raises(DatasetError, match=rf"other\.data is not there \(looked for {data_dir}.* and {work}"):
            use(data_dir)


@pytest.mark.parametrize("options", [{}, {"path": 3}])
def test_bad_options(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        N2P2Config(**options)
