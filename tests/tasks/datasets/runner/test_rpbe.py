"""Datasets from n2p2 files: water molecules, trajectories, the binary form, the published set and its stand-in."""

import copy
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetError
from tasks.datasets.runner import task as n2p2
from tasks.datasets.runner.rpbe import RPBE, RPBEConfig
from tasks.datasets.runner.task import N2P2, N2P2Config, choose, trajectories, water_topology
from tasks.pretexts.masking import Masking, MaskingConfig
from tasks.registry import DATASETS

A_PER_BOHR, EV_PER_HARTREE = 0.529177210903, 27.211386245988
SYMBOLS = {1: "H", 6: "C", 8: "O"}
Water = Callable[..., Data]

NO_TRAJECTORIES = (
    "the comments do not tell for all structures which trajectory they are from (seed=...): those count as one each, "
    "and a split may part neighbours in time"
)


def text_of(sample: Data, comment: str, energy_hartree: float = -76.5) -> str:
    """A sample as it stands in input.data."""
    lines = ["begin", f"comment {comment}"]
    if "box" in sample:
        lines += ["lattice {} {} {}".format(*row) for row in (sample.box[0].double() / A_PER_BOHR).tolist()]
    forces = sample.neg_dy.double() / EV_PER_HARTREE * A_PER_BOHR
    for number, pos, force in zip(
        sample.z.tolist(), (sample.pos.double() / A_PER_BOHR).tolist(), forces.tolist(), strict=True
    ):
        lines.append("atom {} {} {} {} 0.0 0.0 {} {} {}".format(*pos, SYMBOLS[number], *force))
    return "\n".join([*lines, f"energy {energy_hartree!r}", "charge 0.0", "end", ""])


def publish(folder: Path, *texts: str) -> Path:
    """The archive under the name that it has where it is published."""
    folder.mkdir(exist_ok=True)
    inside = folder / "input.data"
    inside.write_text("".join(texts))
    path = folder / "training-data_H2O.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(inside, "training-data_H2O/input.data")
    inside.unlink()
    return path


def ready(task: RPBE | N2P2, data_dir: Path) -> Dataset:
    task.prepare(data_dir)
    return task.load(data_dir)


def sets(molecule: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(molecule == number).tolist()) for number in np.unique(molecule)}


def arrays(sample: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sample.z.numpy(), sample.pos.double().numpy(), sample.box[0].double().numpy()


def test_fields_and_units(tmp_path: Path, water: Water) -> None:
    made = [water(8, 0), water(12, 1, side=9.0), water(8, 2, side=8.5)]
    # Totals of DFT: a difference of 1e-7 hartree, 0.003 meV, must survive.
    energies = [-2450.0624743887, -2450.0624742887, -1225.1]
    publish(tmp_path, *(text_of(s, "liquid", e) for s, e in zip(made, energies, strict=True)))
    task = RPBE(RPBEConfig())
    dataset = ready(task, tmp_path)
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
    assert dataset.moments is None
    assert dataset.title == task.title == "RPBE-D3 water"
    assert [*dataset.warnings] == [NO_TRAJECTORIES]
    provenance = json.loads(json.dumps(dataset.provenance))
    assert provenance["level_of_theory"] == "RPBE-D3"
    assert provenance["citation"]["doi"] == "10.1073/pnas.1602375113"
    assert provenance["structures_by_molecules"] == {"8": 2, "12": 1}
    assert provenance["box_widths_A"] == pytest.approx([8.0, 9.0], rel=1e-5)
    assert len(provenance["sha256"]) == 64


@given(
    molecules=st.integers(1, 12),
    seed=st.integers(0, 1000),
    triclinic=st.booleans(),
    data=st.data(),
)
def test_molecules_do_not_depend_on_order_or_wrapping(
    molecules: int, seed: int, triclinic: bool, data: st.DataObject, water: Water
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    z, pos, box = arrays(water(molecules, seed, side=9.0))
    whole = np.arange(3 * molecules) // 3
    if triclinic:  # the same layer of molecules in a tilted box: molecules are first made whole
        oxygen = pos[3 * whole]
        pos = oxygen + (pos - oxygen) - np.round((pos - oxygen) / 9.0) * 9.0
        tilted = box + np.array([[0, 0, 0], [3.0, 0, 0], [-2.0, 2.5, 0]])
        shift = pos[3 * whole] @ np.linalg.inv(box) @ (tilted - box)
        pos, box = pos + shift, tilted
    order = rng.permutation(len(z))
    moved = pos + rng.integers(-2, 3, pos.shape) @ box + rng.uniform(-9, 9, 3)
    reference = water_topology(z, pos, box)
    shuffled = water_topology(z[order], moved[order], box)
    assert reference is not None
    assert shuffled is not None
    assert sets(reference.molecule) == sets(whole)
    assert sets(shuffled.molecule[np.argsort(order)]) == sets(whole)
    assert np.array_equal(shuffled.site, shuffled.molecule)


# Along x: H at 0.96 Å from its oxygen, the next oxygen at 2.5 Å from the first.
PAIR = np.array([[0, 0, 0], [0.96, 0, 0], [-0.3, 0.9, 0], [2.5, 0, 0], [2.8, 0.9, 0], [2.8, -0.9, 0]])
PAIR_Z = np.array([8, 1, 1, 8, 1, 1])


@pytest.mark.parametrize(
    ("x", "known"),
    [(0.96, True), (1.15, True), (1.2, False), (1.25, False)],
    ids=["bond", "stretched", "shared", "midway"],
)
def test_hydrogen_between_two_oxygens(x: float, known: bool) -> None:
    pos = PAIR.copy()
    pos[1, 0] = x
    assert (water_topology(PAIR_Z, pos, None) is not None) == known


@pytest.mark.parametrize(
    ("atom", "place"),
    [(1, [1.6, 0, 0]), (1, [0, -1.45, 0])],
    ids=["three and one", "no oxygen in range"],
)
def test_dissociated(atom: int, place: list[float]) -> None:
    # With a third molecule that is whole.
    pos, z = np.concatenate([PAIR, PAIR[:3] + np.array([0, 5, 5])]), np.append(PAIR_Z, PAIR_Z[:3])
    assert water_topology(z, pos, None) is not None
    pos[atom] = place
    assert water_topology(z, pos, None) is None


@pytest.mark.parametrize("z", [[8, 1, 8, 8, 1, 1], [8, 1, 1, 6, 1, 1], [1] * 6])
def test_other_compositions_are_no_water(z: list[int]) -> None:
    assert water_topology(np.array(z), PAIR, None) is None


def test_unknown_molecules_are_reported_and_only_they_are_not_masked(tmp_path: Path, water: Water) -> None:
    good, shared = water(8, 0), water(8, 1)
    gap = shared.pos[3] - shared.pos[0]
    gap -= torch.round(gap / 8.0) * 8.0
    shared.pos[1] = shared.pos[0] + gap / 2  # 2 Å from both: bonded to none
    incomplete = good.clone()
    for field in ("z", "pos", "neg_dy"):
        incomplete[field] = incomplete[field][:-1]
    publish(tmp_path, text_of(shared, "a"), text_of(good, "b"), text_of(incomplete, "c"))
    dataset = ready(RPBE(RPBEConfig()), tmp_path)
    masking = Masking(MaskingConfig())
    assert [masking.applies_to(sample) for sample in dataset.samples] == [False, True, False]
    assert dataset.samples[0].molecule.tolist() == dataset.samples[0].site.tolist() == list(range(24))
    assert dataset.provenance["structures_not_told_apart"] == 2
    assert dataset.provenance["structures_by_molecules"] == {"8": 1}
    assert len(dataset.warnings) == 2
    assert "in 2 of 3 structures the water molecules cannot be told apart" in dataset.warnings[0]


def test_trajectories_from_comments() -> None:
    groups, moments = trajectories(["a seed=7 T=300", "seed=3", "T=1 seed=7", "seed=70"])
    assert groups.tolist() == [0, 1, 0, 2]
    assert moments is not None
    assert moments.tolist() == [[7, 0], [3, 0], [7, 1], [70, 0]]
    groups, moments = trajectories(["seed=7", "", "noseed=7", "seed=7", "seed=x"])
    assert groups.tolist() == [0, 1, 2, 0, 3]
    assert moments is None


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=20), wanted=st.integers(1, 60))
def test_choice_is_of_whole_trajectories_and_spread(sizes: list[int], wanted: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    chosen = choose(groups, wanted)
    names = np.unique(groups[chosen])
    assert np.array_equal(chosen, np.flatnonzero(np.isin(groups, names)))
    assert len(chosen) <= wanted or len(names) == 1
    steps = np.diff([*names, len(sizes)])
    assert steps.max() - steps.min() <= 1
    if len(set(sizes)) == 1:  # then as many as fit
        assert len(names) == max(1, min(len(sizes), wanted // sizes[0]))
    assert np.array_equal(choose(groups, None), np.arange(len(groups)))


def test_some_structures_of_several_trajectories(tmp_path: Path, water: Water) -> None:
    texts = [text_of(water(4, seed=i), f"seed={i // 3}", -76.0 - i) for i in range(12)]
    publish(tmp_path, *texts)
    task = RPBE(RPBEConfig(structures=7))
    dataset = ready(task, tmp_path)
    assert [round(-sample.y.item() / EV_PER_HARTREE) - 76 for sample in dataset.samples] == [0, 1, 2, 6, 7, 8]
    assert dataset.outline.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.moments is not None
    assert dataset.moments.tolist() == [[0, 0], [0, 1], [0, 2], [2, 0], [2, 1], [2, 2]]
    assert dataset.provenance["structures_in_file"] == 12
    outline = task.outline(tmp_path)
    assert outline is not None
    assert np.array_equal(outline.groups, dataset.outline.groups)
    assert len(ready(RPBE(RPBEConfig()), tmp_path).samples) == 12


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
    dataset = ready(RPBE(RPBEConfig()), tmp_path)
    assert dataset.title == title
    if warning is None:
        assert [*dataset.warnings] == [NO_TRAJECTORIES]
        assert dataset.licence == "NOASSERTION"
    else:
        assert warning in dataset.warnings[0]
        assert "not from DFT" in dataset.warnings[0]
        assert "not the published set" in dataset.licence
        assert "HDNNP" in dataset.provenance["level_of_theory"]


def test_binary_form_is_made_once_for_each_content(
    tmp_path: Path, water: Water, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, text_of(water(4, 0), "a"))
    task = RPBE(RPBEConfig())
    first = ready(task, tmp_path)

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} is read again")

    with monkeypatch.context() as patch:
        patch.setattr(n2p2, "read_structures", refuse)
        again = ready(task, tmp_path)
    assert again.content_hash == first.content_hash
    publish(tmp_path, text_of(water(4, 1), "a"))
    with pytest.raises(DatasetError, match="has to be prepared first"):
        task.load(tmp_path)
    assert ready(task, tmp_path).content_hash != first.content_hash


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
    assert len(ready(RPBE(RPBEConfig()), tmp_path).samples) == 1


def test_nothing_is_kept_of_bad_input(tmp_path: Path, water: Water) -> None:
    publish(tmp_path, text_of(water(4), "a"), text_of(water(4), "b").replace("end\n", ""))
    task = RPBE(RPBEConfig())
    with pytest.raises(
        DatasetError, match=r"training-data_H2O\.tar\.gz: training-data_H2O/input\.data, line 21: .*cut"
    ):
        task.prepare(tmp_path)
    with pytest.raises(DatasetError, match="cut short"):
        task.outline(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_example_needs_no_data(tmp_path: Path) -> None:
    task = RPBE(RPBEConfig())
    example = task.example(tmp_path, 1)
    z, pos, box = arrays(example)
    volume_cm3 = float(np.linalg.det(box)) * 1e-24
    assert 32 * 18.0153 / 6.02214076e23 / volume_cm3 == pytest.approx(0.997, rel=1e-5)
    found = water_topology(z, pos, box)
    assert found is not None
    assert sets(found.molecule) == sets(example.molecule.numpy()) == sets(example.site.numpy())
    assert not torch.equal(example.pos, task.example(tmp_path, 2).pos)
    assert "y" not in example


def test_a_sample_does_not_carry_the_dataset(tmp_path: Path, water: Water) -> None:
    publish(tmp_path, *(text_of(water(4, i), "a") for i in range(3)))
    sample = ready(RPBE(RPBEConfig()), tmp_path).samples[1]
    for field in ("pos", "neg_dy", "y", "box", "molecule"):
        tensor = copy.copy(sample[field])
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_progress_rises_to_one(tmp_path: Path, water: Water) -> None:
    publish(tmp_path, text_of(water(4), "a"))
    seen: list[float] = []
    RPBE(RPBEConfig()).prepare(tmp_path, lambda message, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)


METHANOL = Data(
    z=torch.tensor([6, 8, 1, 1, 1, 1]),
    pos=torch.tensor([[0, 0, 0], [1.42, 0, 0], [-0.4, 1.0, 0], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9], [1.7, 0.9, 0]]),
    neg_dy=torch.zeros(6, 3),
)


def test_own_files_without_periodicity(tmp_path: Path) -> None:
    (tmp_path / "input.data").write_text(text_of(METHANOL, "a"))
    dataset = ready(N2P2(N2P2Config(path=tmp_path / "input.data", title="my methanol")), tmp_path / "data")
    sample = dataset.samples[0]
    assert "box" not in sample
    assert sample.molecule.tolist() == [0] * 6
    assert sets(sample.site.numpy()) == {frozenset({0, 2, 3, 4}), frozenset({1, 5})}
    assert dataset.species == (1, 6, 8)
    assert dataset.provenance["box_widths_A"] is None
    assert "citation" not in dataset.provenance


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
    assert len(ready(task, data_dir).samples[0].z) == 12
    (data_dir / "mine.data").unlink()
    assert len(ready(task, data_dir).samples[0].z) == 15
    example = task.example(data_dir, 3)
    assert len(example.z) == 15
    assert "y" not in example
    assert "neg_dy" not in example
    missing = N2P2(N2P2Config(path="other.data"))
    for use in (missing.outline, missing.prepare, missing.load):
        with pytest.raises(DatasetError, match=rf"other\.data is not there \(looked for {data_dir}.* and {work}"):
            use(data_dir)


@pytest.mark.parametrize(
    ("config", "options"),
    [(RPBEConfig, {"structures": 0}), (RPBEConfig, {"molecules": 3}), (N2P2Config, {}), (N2P2Config, {"path": 3})],
)
def test_bad_options(config: type, options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        config(**options)


def test_kinds_are_registered() -> None:
    assert DATASETS.get("rpbe") is RPBE
    assert DATASETS.get("n2p2") is N2P2
