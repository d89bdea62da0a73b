"""The list of sources, where their files are looked for, and data folders that may only be read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.storage import cache, sources
from tests.http_server import File, Server, serve

MOLECULES = {
    "aspirin", "azobenzene", "benzene", "ethanol", "malonaldehyde", "naphthalene", "paracetamol", "salicylic",
    "toluene", "uracil",
}  # fmt: skip


def entry(**changes: Any) -> dict[str, Any]:
    """A source as in the YAML file."""
    return {
        "title": "Toy",
        "licence": "CC0-1.0",
        "page": "https://example.org/toy",
        "citation": {"text": "A. Author, A Title (2020)", "doi": "10.1000/1"},
        "level_of_theory": "guess",
        "units": {"length": "Å", "energy": "eV", "force": "eV/Å"},
        "files": [
            {
                "name": "{part}.dat",
                "for_each": {"part": ["one", "two"]},
                "urls": ["https://example.org/{part}"],
                "bytes": None,
                "checksum": None,
            }
        ],
        **changes,
    }


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A source `toy` with the files one.dat and two.dat, which a server on this machine has."""
    with serve() as server:
        file = {**entry()["files"][0], "urls": [server.url("{part}")]}
        path = tmp_path / "sources.yaml"
        path.write_text(yaml.safe_dump({"toy": entry(files=[file])}))
        monkeypatch.setattr(sources, "SOURCES", path)
        monkeypatch.setenv(cache.DATA_DIR_VARIABLE, str(tmp_path / "default"))
        server.put("one", File(b"first"))
        server.put("two", File(b"second"))
        yield server


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], Path]]:
    """Makes a folder that may only be read."""
    locked = []

    def lock(folder: Path) -> Path:
        folder.chmod(0o555)
        locked.append(folder)
        return folder

    yield lock
    for folder in locked:
        folder.chmod(0o755)


def put(path: Path, content: bytes = b"own") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_shipped_sources_are_complete() -> None:
    shipped = sources.load_sources()
    assert set(shipped) == {"rpbe", "rmd17-npz", "rmd17"}
    for name, source in shipped.items():
        names = [file.name for file in source.files]
        assert len(set(names)) == len(names), name
        assert set(source.units) == {"length", "energy", "force"}
        assert all(url.startswith("https://") and "{" not in url for file in source.files for url in file.urls)
        assert any(file.by_default for file in source.files)
    assert [file.name for file in shipped["rpbe"].files] == ["training-data_H2O.tar.gz"]
    for name in ("rmd17", "rmd17-npz"):
        assert "DO NOT train a model on more than 1000 samples from this dataset" in str(shipped[name].warning)


def test_templates_give_every_file_of_the_published_splits() -> None:
    source = sources.get_source("rmd17-npz")
    expected = {
        f"rmd17_{molecule}_{part}_{split:02d}.npz"
        for molecule in MOLECULES
        for part in ("train", "test")
        for split in range(1, 6)
    }
    assert {file.name for file in source.files} == expected
    assert all(file.urls[0].endswith(f"/master/rmd17-npz/{file.name}") for file in source.files)


def test_the_complete_set_has_every_molecule_and_the_archive_only_on_request() -> None:
    files = {file.name: file for file in sources.get_source("rmd17").files}
    molecules = {f"rmd17_{molecule}.npz" for molecule in MOLECULES}
    splits = {f"index_{part}_{split:02d}.csv" for part in ("train", "test") for split in range(1, 6)}
    assert set(files) == molecules | splits | {"rmd17.tar.bz2"}
    assert [name for name, file in files.items() if not file.by_default] == ["rmd17.tar.bz2"]
    checksums = [file.checksum for file in files.values()]
    assert None not in checksums
    assert len(set(checksums)) == len(files)
    urls = [url for file in files.values() for url in file.urls]
    assert len(set(urls)) == len(urls)


@pytest.mark.parametrize("change", [
    {"license": "MIT"},
    {"licence": ""},
    {"page": "http://example.org"},
    {"citation": {"text": "A. Author", "doi": "https://doi.org/10.1000/1"}},
    {"files": []},
    {"files": [{**entry()["files"][0], "urls": ["http://example.org/{part}"]}]},
    {"files": [{**entry()["files"][0], "checksum": "md5:abc"}]},
    {"files": [{**entry()["files"][0], "bytes": 0}]},
    {"files": [{**entry()["files"][0], "name": "../{part}"}]},
    {"files": [{**entry()["files"][0], "size": 3}]},
])  # fmt: skip
def test_wrong_entries_are_refused(change: dict[str, Any]) -> None:
    sources.Source.model_validate(entry())
    with pytest.raises(ValidationError):
        sources.Source.model_validate(entry(**change))


def test_unknown_names_are_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"'rmd-17'; known are: rpbe, rmd17-npz, rmd17\. Did you mean 'rmd17'"):
        sources.obtain("rmd-17", "rmd17.tar.bz2", tmp_path)
    with pytest.raises(DatasetError, match=r"no file 'rmd17_uracil_train_1.npz'.* 90 more.*'rmd17_uracil_train_01"):
        sources.find("rmd17-npz", "rmd17_uracil_train_1.npz", tmp_path)


def test_files_at_hand_are_taken_as_they_are(toy: Server, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert sources.find("toy", "one.dat", data) is None
    put(data / ".hidden" / "one.dat")
    put(data / "made-0123" / "one.dat").with_name(cache.MANIFEST).write_text("{}")
    put(data / "deep" / "down" / "one.dat")
    put(data / "toy" / "one.dat.part")
    (data / "sub" / "one.dat").mkdir(parents=True)
    assert sources.find("toy", "one.dat", data) is None
    # From the last place to the first.
    for place in ("toy/unpacked", "sub2", "toy", "."):
        own = put(data / place / "one.dat")
        assert sources.find("toy", "one.dat", data) == own
        assert sources.obtain("toy", "one.dat", data) == own
    assert not toy.requests


def test_what_is_missing_is_downloaded_once(toy: Server, tmp_path: Path) -> None:
    data = tmp_path / "data"
    seen: list[str] = []
    path = sources.obtain("toy", "two.dat", data, lambda message, fraction: seen.append(message))
    assert path == data / "toy" / "two.dat"
    assert path.read_bytes() == b"second"
    assert cache.sha256(path) == hashlib.sha256(b"second").hexdigest()
    assert any("two.dat" in message for message in seen)
    assert sources.find("toy", "two.dat", data) == path
    assert sources.obtain("toy", "two.dat", data) == path
    assert len(toy.requests) == 1
    assert sources.find("toy", "one.dat", data) is None


def test_what_cannot_be_had_is_told_with_a_remedy(toy: Server, tmp_path: Path) -> None:
    toy.files.clear()
    data = tmp_path / "data"
    with pytest.raises(DatasetError) as caught:
        sources.obtain("toy", "one.dat", data)
    message = str(caught.value)
    for fragment in ("one.dat of source toy is needed", f"not in {data}", f"{toy.url('one')}: HTTP status 404",
                     "https://example.org/toy", f"into {data / 'toy'}", "--data-dir",
                     "python -m benchmark data fetch toy one.dat"):  # fmt: skip
        assert fragment in message
    put(data / "toy" / "one.dat")
    assert sources.obtain("toy", "one.dat", data) == data / "toy" / "one.dat"


def test_a_read_only_folder_gives_its_files_and_takes_none(
    toy: Server, tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    own = put(tmp_path / "data" / "raw" / "one.dat")
    data = read_only(tmp_path / "data")
    default = tmp_path / "default"
    assert sources.obtain("toy", "one.dat", data) == own
    assert not default.exists()
    path = sources.obtain("toy", "two.dat", data)
    assert path == default / "toy" / "two.dat"
    assert sources.find("toy", "two.dat", data) == path
    assert len(toy.requests) == 1
    assert os.listdir(data) == ["raw"]


def test_datasets_of_a_read_only_folder_are_made_in_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: Callable[[Path], Path]
) -> None:
    default, data = tmp_path / "default", tmp_path / "data"
    monkeypatch.setenv(cache.DATA_DIR_VARIABLE, str(default))

    def build(folder: Path) -> dict[str, Any]:
        put(folder / "values", b"1")
        return {"by": "test"}

    earlier = cache.ensure(data, "toy", {"size": 1}, 1, build)
    assert earlier.parent == data
    read_only(data)
    assert cache.ensure(data, "toy", {"size": 1}, 1, lambda folder: pytest.fail("made again")) == earlier
    assert cache.open_dataset(data, "toy", {"size": 1}, 1)[0] == earlier
    folder = cache.ensure(data, "toy", {"size": 2}, 1, build)
    assert folder == cache.dataset_folder(data, "toy", {"size": 2}, 1)
    assert folder.parent == default
    assert cache.open_dataset(data, "toy", {"size": 2}, 1) == (folder, {"by": "test"})
    assert json.loads((folder / cache.MANIFEST).read_text())["parameters"] == {"size": 2}


def test_which_folder_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: Callable[[Path], Path]
) -> None:
    default = tmp_path / "default"
    monkeypatch.setenv(cache.DATA_DIR_VARIABLE, str(default / "deep"))
    data = tmp_path / "data"
    assert cache.writable_dir(data) == data, "it will be made"
    assert not data.exists()
    data.mkdir()
    assert cache.writable_dir(data) == data
    assert os.listdir(data) == []
    read_only(data)
    assert cache.writable_dir(data) == default / "deep"
    assert not default.exists(), "only asked for"
    default.mkdir()
    read_only(default)
    assert cache.writable_dir(data) == data, "neither: the error names the user's own"


@pytest.mark.parametrize(("number", "falls_back"), [(errno.EROFS, True), (errno.EACCES, True), (errno.ENOSPC, False)])
def test_a_folder_is_tried_and_a_full_disk_is_not_evaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, falls_back: bool
) -> None:
    """Mounted read-only: its mode does not tell."""
    monkeypatch.setenv(cache.DATA_DIR_VARIABLE, str(tmp_path / "default"))
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    make = tempfile.TemporaryFile

    def refuse(dir: Path) -> IO[bytes]:
        if dir == mounted:
            raise OSError(number, os.strerror(number))
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert cache.writable_dir(mounted) == (tmp_path / "default" if falls_back else mounted)
