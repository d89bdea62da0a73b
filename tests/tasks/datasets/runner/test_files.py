"""Files, folders and archives give the same texts; damage is told; the checksum is of the content."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tasks.datasets.base import DatasetError
from tasks.datasets.runner.files import content_sha256, read_texts
from tasks.datasets.storage import cache

ARCHIVES = ["set.tar", "set.tar.gz", "set.tar.bz2", "set.zip"]
FILES = {
    "set/input.data.b": "the second\n",
    "set/notes.txt": "not data",
    "set/._input.data.a": "Mac OS X",
    "set/input.data.a": "the first\n",
}


def write(folder: Path, text: str, name: str = "input.data") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pack(path: Path, files: dict[str, str]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".tar": "w"}[path.suffix]
    with tarfile.open(path, mode) as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_and_folders_give_the_same(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    for file, text in FILES.items():
        write(folder, text, file)
    archive = pack(tmp_path / name, FILES)
    assert list(read_texts(archive)) == [
        (f"{archive}: set/input.data.a", "the first\n"),
        (f"{archive}: set/input.data.b", "the second\n"),
    ]
    assert list(read_texts(folder)) == [
        (f"{folder}/set/input.data.a", "the first\n"),
        (f"{folder}/set/input.data.b", "the second\n"),
    ]
    single = folder / "set" / "notes.txt"
    assert list(read_texts(single)) == [(str(single), "not data")]


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_archive(tmp_path: Path, name: str, damage: str) -> None:
    digits = " ".join(map(repr, np.random.default_rng(0).normal(size=4000).tolist()))
    path = pack(tmp_path / name, {"input.data": digits})
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif name == "set.tar":  # without checksums: only its headers are protected
        content[20] ^= 255
    else:
        content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"archive .*{name} is damaged or cut short"):
        list(read_texts(path))


def test_gzip_that_lacks_only_its_checksum(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.tar.gz", FILES)
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DatasetError, match="damaged or cut short"):
        list(read_texts(path))


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"set\.zip holds no file named \*\.data\*"):
        list(read_texts(pack(tmp_path / "set.zip", {"notes.txt": "x"})))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty holds no file named \*\.data\*"):
        list(read_texts(tmp_path / "empty"))
    with pytest.raises(DatasetError, match=r"gone\.data cannot be read"):
        list(read_texts(tmp_path / "gone.data"))


def test_the_checksum_tells_content_and_not_place(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        write(folder, "a structure")
        write(folder, "anything", "notes.txt")
    assert content_sha256(first) == content_sha256(second)
    assert content_sha256(first / "input.data") == content_sha256(second / "input.data")
    write(second, "something else", "notes.txt")
    assert content_sha256(first) == content_sha256(second)
    write(second, "a structure\n")
    assert content_sha256(first) != content_sha256(second)
    with pytest.raises(DatasetError, match="cannot be read"):
        content_sha256(tmp_path / "gone")


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / name, {"input.data": "0" * 1_000_000})
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(cache.psutil, "virtual_memory", lambda: SimpleNamespace(available=2_000_000))
    with pytest.raises(DatasetError, match=rf"{name} needs 0.008 GB of memory unpacked, and 0.002 GB are free"):
        list(read_texts(path))
