"""rMD17 from files of its authors' layout, made here: units, splits, duplicates, forms of storage, damage."""

from __future__ import annotations

import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.rmd17.files import FORMULAS
from tasks.datasets.rmd17.options import RMD17Config
from tasks.datasets.rmd17.task import RMD17
from tasks.datasets.splits import OfficialSplit, TrajectorySplit
from tasks.datasets.storage import cache, sources
from tasks.registry import DATASETS

KCAL_PER_MOL_eV = 4184 / 96485.33212  # J/kcal over the Faraday constant in C/mol
ETHANOL = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.uint8)
OWNERS = np.array([0, 1, 2, 0, 0, 0, 1, 1, 2])  # the heavy atom of each atom
SPLITS = {1: ([5, 3, 9], [20, 1]), 2: ([9, 4, 1], [3, 30])}
"""Numbers in MD17; 9, 3 and 1 are in both splits."""


def frames(numbers, **changed):
    """A file's content: each frame is a function of its number in MD17 alone."""
    draws = [np.random.default_rng(number) for number in numbers]
    heavy = np.array([[0.0, 0, 0], [1.5, 0, 0], [2.9, 0, 0]])
    shift = np.where(ETHANOL == 1, 1.05, 0.0)[:, None] * np.array([0, 1.0, 0])
    content = {
        "nuclear_charges": ETHANOL,
        "coords": np.array([heavy[OWNERS] + shift + rng.uniform(-0.05, 0.05, (9, 3)) for rng in draws]),
        "energies": np.array([-97079.0 - number / 7 for number in numbers]),
        "forces": np.array([rng.normal(0, 27.57, (9, 3)) for rng in draws]),
        "old_indices": np.array(numbers),
        "old_energies": np.zeros(len(numbers)),
    }
    return {key: value for key, value in (content | changed).items() if value is not None}


def write_single(folder, splits=SPLITS):
    """The author's files of single splits."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, pair in splits.items():
        for part, numbers in zip(("train", "test"), pair, strict=True):
            np.savez(folder / f"rmd17_ethanol_{part}_0{split}.npz", **frames(numbers))


def write_complete(folder, lists=None):
    """The file of all frames, 0 to 39 but 7, and the splits' lists of places in it."""
    numbers = [number for number in range(40) if number != 7]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "rmd17_ethanol.npz", **frames(numbers))
    lists = lists or folder
    lists.mkdir(parents=True, exist_ok=True)
    for split, pair in SPLITS.items():
        for part, chosen in zip(("train", "test"), pair, strict=True):
            places = [numbers.index(number) for number in chosen]
            (lists / f"index_{part}_0{split}.csv").write_text("".join(f"{place}\n" for place in places))


def write_unpacked(folder):
    write_complete(folder / "npz_data", folder / "splits")


def write_archive(folder):
    with TemporaryDirectory() as temporary:
        write_unpacked(Path(temporary) / "rmd17")
        (Path(temporary) / "rmd17" / "readme.txt").write_text("about the data")
        with tarfile.open(folder / "rmd17.tar.bz2", "w:bz2") as tar:
            tar.add(Path(temporary) / "rmd17", "rmd17")


def task(**options):
    return RMD17(RMD17Config(**({"molecule": "ethanol", "splits": (1, 2)} | options)))


def forbid_downloads(monkeypatch):
    """Nothing may be fetched."""
    monkeypatch.setattr(sources, "obtain", lambda *arguments: pytest.fail(f"fetches {arguments[:2]}"))


def numbers_of(dataset, indices):
    """Numbers in MD17 of frames."""
    return dataset.trajectory_frames[indices, 1].tolist()


def test_frames_of_several_splits_are_merged_and_in_the_order_of_time(tmp_path):
    write_single(tmp_path)
    dataset = task().load(tmp_path)
    assert dataset.trajectory_frames.tolist() == [[0, number] for number in (1, 3, 4, 5, 9, 20, 30)]
    assert dataset.provenance["frames"] == 7
    assert dataset.provenance["duplicates_merged"] == 3
    for (train, test), (train_numbers, test_numbers) in zip(dataset.outline.official, SPLITS.values(), strict=True):
        assert numbers_of(dataset, train) == sorted(train_numbers)
        assert numbers_of(dataset, test) == sorted(test_numbers)
    for sample, number in zip(dataset.samples, dataset.trajectory_frames[:, 1], strict=True):
        expected = frames([number])
        assert sample.z.tolist() == ETHANOL.tolist()
        torch.testing.assert_close(sample.pos, torch.tensor(expected["coords"][0], dtype=torch.float32))
        assert sample.y.shape == (1, 1)
        assert sample.y.item() == pytest.approx(expected["energies"][0] * KCAL_PER_MOL_eV, rel=1e-7)
        forces = torch.tensor(expected["forces"][0] * KCAL_PER_MOL_eV, dtype=torch.float32)
        torch.testing.assert_close(sample.neg_dy, forces)
        assert sample.molecule.tolist() == [0] * 9
        assert sample.site.tolist() == OWNERS.tolist()
        assert "box" not in sample
    assert dataset.species == (1, 6, 8)
    assert dataset.title == "rMD17 ethanol"
    assert dataset.licence == "CC0-1.0"
    assert dataset.warnings == ()


def test_forces_of_27_57_kcal_per_mol_and_A_are_1_196_eV_per_A(tmp_path):
    """The root mean square of ethanol's first training set: the usual slip is a factor of 23 (eV) or 4.184 (kJ)."""
    content = frames([1, 2], forces=np.full((2, 9, 3), 27.57) * np.array([[[1], [-1], [1]] * 3] * 2))
    np.savez(tmp_path / "rmd17_ethanol_train_01.npz", **content)
    np.savez(tmp_path / "rmd17_ethanol_test_01.npz", **frames([3]))
    dataset = task(splits=[1]).load(tmp_path)
    forces = torch.stack([dataset.samples[frame].neg_dy for frame in dataset.outline.official[0][0]])
    assert forces.square().mean().sqrt().item() == pytest.approx(1.1955, abs=1e-4)


def test_energies_keep_what_float32_would_round_away(tmp_path):
    write_single(tmp_path)
    energies = np.array([-97079.0, -97079.0 + 1e-5, -97079.0 - 1e-5])
    np.savez(tmp_path / "rmd17_ethanol_train_01.npz", **frames([51, 52, 53], energies=energies))
    dataset = task(splits=[1]).load(tmp_path)
    first, second, third = (dataset.samples[frame].y.item() for frame in dataset.outline.official[0][0])
    assert [second - first, third - first] == pytest.approx([1e-5 * KCAL_PER_MOL_eV, -1e-5 * KCAL_PER_MOL_eV], rel=1e-4)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda folder: write_single(folder / "rmd17-npz"), id="single splits in a subfolder"),
        pytest.param(write_complete, id="complete file and lists"),
        pytest.param(lambda folder: write_unpacked(folder / "rmd17"), id="unpacked archive"),
        pytest.param(write_unpacked, id="inside the unpacked archive"),
        pytest.param(write_archive, id="archive"),
    ],
)
def test_every_form_gives_the_same_data_without_a_download(tmp_path, write, monkeypatch):
    forbid_downloads(monkeypatch)
    reference, other = tmp_path / "reference", tmp_path / "other"
    write_single(reference)
    other.mkdir()
    write(other)
    seen = []
    task().prepare(other, lambda message, done: seen.append((message, done)))
    assert seen[-1] == ("rMD17 ethanol: ready", 1.0)
    assert all(0 <= done <= 1 for _, done in seen)
    found, expected = task().load(other), task().load(reference)
    assert np.array_equal(found.trajectory_frames, expected.trajectory_frames)
    for a, b in zip(found.samples, expected.samples, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a.keys())  # noqa: SIM118  (Data iterates over pairs)
    outline = task().outline(other)
    for mine, theirs in ((found.outline, expected.outline), (outline, expected.outline)):
        assert np.array_equal(mine.groups, theirs.groups)
        assert [[part.tolist() for part in pair] for pair in mine.official] == [
            [part.tolist() for part in pair] for pair in theirs.official
        ]


def test_the_archive_is_unpacked_once_for_all(tmp_path):
    write_archive(tmp_path)
    nominal = task(splits=(4, 2)).outline(tmp_path)
    assert [(len(train), len(test)) for train, test in nominal.official] == [(1000, 1000)] * 2
    assert len(np.unique(np.concatenate([part for pair in nominal.official for part in pair]))) == 4000
    assert len(task(frames="all").outline(tmp_path).groups) == 100_000
    task().prepare(tmp_path)
    (tmp_path / "rmd17.tar.bz2").unlink()
    task(frames="all").prepare(tmp_path)
    assert len(task().load(tmp_path).samples) == 7
    assert len(task(frames="all").load(tmp_path).samples) == 39


def test_all_frames_come_with_the_authors_warning_and_without_official_splits(tmp_path):
    write_complete(tmp_path)
    dataset = task(frames="all").load(tmp_path)
    assert dataset.trajectory_frames[:, 1].tolist() == [number for number in range(40) if number != 7]
    assert dataset.outline.official == ()
    assert "DO NOT train a model on more than 1000 samples" in dataset.warnings[0]
    assert dataset.title == "rMD17 ethanol, all frames"
    assert len(task(frames="all").outline(tmp_path).groups) == 39


def test_official_splits_and_no_split_by_trajectory(tmp_path):
    write_single(tmp_path)
    outline = task().outline(tmp_path)
    for seed, (train, test) in enumerate(outline.official):
        split = OfficialSplit(official=True, val=0.3).split(outline, 0, seed)
        assert split.test.tolist() == test.tolist()
        assert sorted([*split.train, *split.val]) == train.tolist()
    with pytest.raises(DatasetError, match="1 trajectory cannot be split"):
        TrajectorySplit(val=0.1, test=0.1).split(outline, 0, 0)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_overlaps_each_frame_is_there_once(data):
    pool = st.permutations(range(12))
    orders = [data.draw(pool), data.draw(pool), data.draw(pool)]
    splits = {i + 1: (order[:5], order[5:8]) for i, order in enumerate(orders)}
    with TemporaryDirectory() as folder:
        write_single(Path(folder), splits)
        dataset = task(splits=(3, 1, 2)).load(Path(folder))
    numbers = dataset.trajectory_frames[:, 1].tolist()
    assert numbers == sorted({number for pair in splits.values() for part in pair for number in part})
    for split, (train, test) in zip((3, 1, 2), dataset.outline.official, strict=True):
        assert numbers_of(dataset, train) == sorted(splits[split][0])
        assert numbers_of(dataset, test) == sorted(splits[split][1])


def test_a_proton_belongs_to_the_heavy_atom_that_it_is_next_to(tmp_path):
    """Its site changes with the frame; that the bond is stretched beyond any cutoff does not matter."""
    content = frames([1, 2, 3])
    content["coords"][1, 8] = [0, 2.0, 0]  # the hydroxyl hydrogen moves to the methyl carbon
    content["coords"][2, 8] = [2.9, 9.0, 0]
    np.savez(tmp_path / "rmd17_ethanol_train_01.npz", **content)
    np.savez(tmp_path / "rmd17_ethanol_test_01.npz", **frames([4]))
    sites = [sample.site.tolist() for sample in task(splits=[1]).load(tmp_path).samples]
    assert sites[0] == sites[2] == sites[3] == OWNERS.tolist()
    assert sites[1] == [*OWNERS[:8].tolist(), 0]


@pytest.mark.parametrize(
    ("options", "source", "files"),
    [
        ({"splits": [4]}, "rmd17-npz", ["rmd17_ethanol_train_04.npz", "rmd17_ethanol_test_04.npz"]),
        ({"splits": [4], "frames": "all"}, "rmd17", ["rmd17_ethanol.npz"]),
    ],
)
def test_what_is_not_there_is_fetched_when_preparing(tmp_path, monkeypatch, options, source, files):
    asked = []
    monkeypatch.setattr(sources, "obtain", lambda *arguments: asked.append(arguments[:3]))
    write_single(tmp_path)
    with pytest.raises(DatasetError, match="not complete"):
        task(**options).load(tmp_path)
    with pytest.raises(DatasetError, match="prepare the data first"):
        task(**options).load(tmp_path)
    task(**options).prepare(tmp_path)
    assert asked == [(source, file, tmp_path) for file in files]


def test_names_of_files_are_those_of_the_sources():
    for molecule in FORMULAS:
        for split in range(1, 6):
            for part in ("train", "test"):
                assert sources.get_source("rmd17-npz").file(f"rmd17_{molecule}_{part}_0{split}.npz")
        assert sources.get_source("rmd17").file(f"rmd17_{molecule}.npz")


def _change(key, place, value):
    def change(content):
        content[key] = content[key].copy() if value != -1 else content[key].astype(int)
        content[key][place] = value
        return content

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"forces": None}, "has no forces"),
        (lambda c: c | {"old_indices": None, "energies": None}, "has no old_indices, energies"),
        (lambda c: c | {"coords": c["coords"][:, :8]}, r"coords has shape \(3, 8, 3\).*\(3, 9, 3\) are needed"),
        (lambda c: c | {"energies": c["energies"][:2]}, r"energies has shape \(2,\).*\(3,\) are needed"),
        (lambda c: c | {"energies": np.array(["a", "b", "c"])}, "energies has shape .* type <U1"),
        (lambda c: frames([]), "at least one frame"),
        (_change("coords", (2, 4, 1), np.nan), "coords of frame 2 is not finite"),
        (_change("forces", (1, 0, 0), np.inf), "forces of frame 1 is not finite"),
        (_change("energies", 0, np.nan), "energies of frame 0 is not finite"),
        (_change("nuclear_charges", 3, 0), "nuclear_charges has atomic number 0, ethanol is C2H6O"),
        (_change("nuclear_charges", 3, -1), "nuclear_charges has atomic number -1"),
        (_change("nuclear_charges", 3, 9), "nuclear_charges has C2H5FO, ethanol is C2H6O"),
        (lambda c: c | {"old_indices": c["old_indices"] + 0.5}, "old_indices has numbers that are not whole"),
        (lambda c: c | {"nuclear_charges": ETHANOL[::-1]}, "list the atoms in different orders"),
        (lambda c: c | {"old_indices": np.array([5, 20, 9])}, "1 frames in common, e.g. number 20"),
        (lambda c: c | {"coords": c["coords"] + 1e-6}, r"differ in coords of frame 9 .*\(2 such frames\)"),
        (lambda c: c | {"forces": c["forces"] * 2}, "differ in forces of frame 9 of MD17"),
    ],
)
def test_damage_is_told_by_file_and_place(tmp_path, change, message):
    write_single(tmp_path)
    path = tmp_path / "rmd17_ethanol_train_01.npz"
    content = change(frames(SPLITS[1][0]))
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    with pytest.raises(DatasetError, match=message) as error:
        task().load(tmp_path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no npz", lambda b: b[:900]])
def test_truncated_files_are_told(tmp_path, damage):
    write_single(tmp_path)
    path = tmp_path / "rmd17_ethanol_test_02.npz"
    path.write_bytes(damage(path.read_bytes()))
    for read in (task().load, task().outline):
        with pytest.raises(DatasetError, match=r"test_02\.npz cannot be read"):
            read(tmp_path)


def test_an_altered_byte_is_noticed(tmp_path):
    write_single(tmp_path)
    path = tmp_path / "rmd17_ethanol_test_02.npz"
    content = bytearray(path.read_bytes())
    content[content.index(b"forces.npy") + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"test_02\.npz cannot be read"):
        task().load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\n39\n", "line 2 is 39.0; whole numbers from 0 to 38"),
        ("-1\n", "line 1 is -1.0"),
        ("1.5\n", "line 1 is 1.5"),
        ("frame\n3\n", "cannot be read as numbers"),
        ("1 2\n3 4\n", "line 1 is"),
    ],
)
def test_lists_of_frames_are_checked(tmp_path, text, message):
    write_complete(tmp_path)
    (tmp_path / "index_test_02.csv").write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        task().load(tmp_path)
    assert "index_test_02.csv" in str(error.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "cannot be unpacked"),
        (lambda content: b"no archive" * 100, "cannot be unpacked"),
        (lambda content: content[:1000] + b"\0" * 64 + content[1064:], "cannot be unpacked"),
    ],
)
def test_nothing_of_a_damaged_archive_is_kept(tmp_path, damage, message):
    write_archive(tmp_path)
    path = tmp_path / "rmd17.tar.bz2"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=message):
        task().prepare(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == []


def test_an_archive_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with tarfile.open(tmp_path / "rmd17.tar.bz2", "w:bz2") as tar:
        tar.add(tmp_path / "notes.txt", "notes.txt")
    with pytest.raises(DatasetError, match=r"has no npz_data/\*\.npz"):
        task().prepare(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"molecule": "methane"},
        {"splits": []},
        {"splits": [0]},
        {"splits": [6]},
        {"splits": [1, 1]},
        {"frames": "some"},
        {"frame": "all"},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValidationError):
        task(**options)


@pytest.mark.parametrize("molecule", FORMULAS)
def test_examples_are_as_crowded_as_molecules(molecule):
    example = task(molecule=molecule).example(Path(), 3)
    distances = torch.pdist(example.pos)
    assert distances.min() > 0.9
    neighbours = 2 * int((distances < 3.4).sum()) / example.num_nodes
    assert 5 <= neighbours <= 11  # 7 to 8.4 in the data
    assert set(example.keys()) == {"z", "pos", "molecule", "site"}
    assert example.molecule.unique().tolist() == [0]
    assert example.site.unique().tolist() == list(range(int((example.z > 1).sum())))
    assert torch.equal(example.pos, task(molecule=molecule).example(Path(), 3).pos)
    assert not torch.equal(example.pos, task(molecule=molecule).example(Path(), 4).pos)


def test_it_is_registered():
    assert DATASETS.get("rmd17") is RMD17


@pytest.mark.parametrize("key", ["coords", "energies", "forces"])
def test_finite_numbers_that_float32_cannot_hold_are_refused(tmp_path, key):
    write_single(tmp_path)
    content = frames(SPLITS[1][0])
    content[key] = content[key].astype(np.float64)
    content[key][1] = 1e39
    np.savez(tmp_path / "rmd17_ethanol_train_01.npz", **content)
    with pytest.raises(DatasetError, match=rf"{key} of frame 1 is not finite or beyond 1e\+09"):
        task().load(tmp_path)


def with_header(path, shape):
    """The file with another shape of the forces in their header, and right checksums."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    array = members["forces.npy"]
    begin = array.index(b"'shape': (")
    end = array.index(b")", begin)
    text = f"'shape': ({shape}".encode()
    members["forces.npy"] = array[:begin] + text.ljust(end - begin) + array[end:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("shape", ["10**9, 9, 3", "999999999999,9", "-3, 9, 3", "'a',"])
def test_hostile_headers_are_refused(tmp_path, shape):
    write_single(tmp_path)
    path = tmp_path / "rmd17_ethanol_test_02.npz"
    with_header(path, shape)
    with pytest.raises(DatasetError, match=r"test_02\.npz cannot be read"):
        task().load(tmp_path)


def test_any_altered_header_is_told_in_words(tmp_path):
    """Also what zipfile raises NotImplementedError for."""
    write_single(tmp_path)
    path = tmp_path / "rmd17_ethanol_test_02.npz"
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    for place in [*range(0, 30), *range(directory, directory + 46)]:
        altered = bytearray(content)
        altered[place] ^= 0xFF
        path.write_bytes(altered)
        with suppress(DatasetError):
            task().load(tmp_path)


def test_what_would_not_fit_into_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    write_single(tmp_path)
    monkeypatch.setattr(cache.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(DatasetError, match=r"npz needs .* GB of memory unpacked, and 1e-06 GB are free"):
        task().load(tmp_path)
