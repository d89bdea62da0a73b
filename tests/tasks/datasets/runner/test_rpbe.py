"""The published RPBE-D3 set and its stand-in: fields, sources, what they are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.runner.rpbe import RPBE, RPBEConfig
from tasks.datasets.structures.molecules import find_water_molecules
from tests.tasks.conftest import sets
from tests.tasks.datasets.runner.conftest import EV_PER_HARTREE, NO_TRAJECTORIES, prepared, publish, text_of

Water = Callable[..., Data]


def test_fields_and_units(tmp_path: Path, water: Water) -> None:
    made = [water(8, 0), water(12, 1, side=9.0), water(8, 2, side=8.5)]
    # Totals of DFT: a difference of 1e-7 hartree, 0.003 meV, must survive.
    energies = [-2450.0624743887, -2450.0624742887, -1225.1]
    publish(tmp_path, *(text_of(s, "liquid", e) for s, e in zip(made, energies, strict=True)))
    task = RPBE(RPBEConfig())
    dataset = prepared(task, tmp_path)
    assert len(dataset.samples) == 3
    for sample, source, energy in zip(dataset.samples, made, energies, strict=True):
        assert {key: sample[key].dtype for key in sample.keys()} == {  # noqa: SIM118  (Data iterates over pairs)
            "z": torch.int64,
            "pos": torch.float32,
            "y": torch.float64,
            "neg_dy": torch.float32,
            "box": torch.float32,
            "molecule": torch.int64,
            "site": torch.int64,
        }
        assert sample.y.shape == (1, 1)
        assert sample.y.item() == pytest.approx(energy * EV_PER_HARTREE, rel=1e-10)
        assert torch.equal(sample.z, source.z)
        for field in ("pos", "neg_dy", "box"):
            torch.testing.assert_close(sample[field], source[field], atol=2e-6, rtol=1e-6)
        assert torch.equal(sample.molecule, source.molecule)
        assert torch.equal(sample.site, source.molecule)
    difference = (dataset.samples[1].y - dataset.samples[0].y).item()
    assert difference == pytest.approx(1e-7 * EV_PER_HARTREE, rel=1e-3)
    assert dataset.species == (1, 8)
    assert dataset.outline.groups.tolist() == [0, 1, 2]
    assert dataset.trajectory_frames is None
    assert dataset.title == task.title == "RPBE-D3 water"
    assert [*dataset.warnings] == [NO_TRAJECTORIES]
    provenance = json.loads(json.dumps(dataset.provenance))
    assert provenance["level_of_theory"] == "RPBE-D3"
    assert provenance["citation"]["doi"] == "10.1073/pnas.1602375113"
    assert provenance["structures_by_molecules"] == {"8": 2, "12": 1}
    assert provenance["box_widths_A"] == pytest.approx([8.0, 9.0], rel=1e-5)
    assert len(provenance["sha256"]) == 64


@pytest.mark.parametrize(
    ("comments", "title", "warning"),
    [
        (["a", "b"], "RPBE-D3 water", None),
        (["Surrogate seed=1", "surrogate"], "RPBE-D3 water (HDNNP surrogate)", "labels of all structures come from a"),
        (["a", "surrogate"], "RPBE-D3 water (HDNNP surrogate)", "labels of 1 of 2 structures come from a published"),
    ],
)
def test_stand_in_is_called_so(
    tmp_path: Path, water: Water, comments: list[str], title: str, warning: str | None
) -> None:
    publish(tmp_path, *(text_of(water(4, seed=i), comment) for i, comment in enumerate(comments)))
    dataset = prepared(RPBE(RPBEConfig()), tmp_path)
    assert dataset.title == title
    assert dataset.stand_in == (warning is not None)
    if warning is None:
        assert [*dataset.warnings] == [NO_TRAJECTORIES]
        assert dataset.licence == "NOASSERTION"
    else:
        assert warning in dataset.warnings[0]
        assert "not from DFT" in dataset.warnings[0]
        assert "not the published set" in dataset.licence
        assert "HDNNP" in dataset.provenance["level_of_theory"]


def test_without_the_file(tmp_path: Path) -> None:
    task = RPBE(RPBEConfig())
    assert task.outline(tmp_path) is None
    with pytest.raises(DatasetError, match="has to be prepared first"):
        task.load(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["training-data_H2O", "rpbe/training-data_H2O"])
def test_unpacked_folder_is_taken(tmp_path: Path, water: Water, place: str) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "input.data").write_text(text_of(water(4), "a"))
    assert len(prepared(RPBE(RPBEConfig()), tmp_path).samples) == 1


def test_example_needs_no_data(tmp_path: Path) -> None:
    task = RPBE(RPBEConfig())
    example = task.example(tmp_path, 1)
    z, pos, box = example.z.numpy(), example.pos.double().numpy(), example.box[0].double().numpy()
    volume_cm3 = float(np.linalg.det(box)) * 1e-24
    assert 32 * 18.0153 / 6.02214076e23 / volume_cm3 == pytest.approx(0.997, rel=1e-5)
    found = find_water_molecules(z, pos, box)
    assert found is not None
    assert sets(found.molecule) == sets(example.molecule.numpy()) == sets(example.site.numpy())
    assert not torch.equal(example.pos, task.example(tmp_path, 2).pos)
    assert "y" not in example


@pytest.mark.parametrize("options", [{"structures": 0}, {"molecules": 3}])
def test_bad_options(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        RPBEConfig(**options)
