"""Downloads, from a real server with real faults: resumed, checked, whole or not there."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import random
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.datasets.base import DatasetError
from tasks.datasets.storage import download as fetch
from tests.http_server import File, Server, serve

CONTENT = random.Random(1).randbytes(50_000)
OTHER = random.Random(2).randbytes(50_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "PIECE_BYTES", 1000)
    with serve() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.bin"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def interrupt(url: str, target: Path, at: float) -> None:
    """A download that ends as if by Ctrl-C when the given share has come."""

    def stop(message: str, fraction: float) -> None:
        if fraction >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.download([url], target, progress=stop)


def test_a_file_is_whole_checked_and_recorded(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT))
    shown: list[tuple[str, float]] = []
    fetch.download([url], target, len(CONTENT), MD5, lambda *state: shown.append(state))
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == {"file.bin", fetch.CHECKSUMS}
    entry = json.loads((target.parent / fetch.CHECKSUMS).read_text())["file.bin"]
    assert (entry["sha256"], entry["bytes"], entry["url"]) == (SHA256.removeprefix("sha256:"), len(CONTENT), url)
    fractions = [fraction for _, fraction in shown]
    assert len(fractions) > 10
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert len({message for message, _ in shown}) == 1
    fetch.download([url], target, len(CONTENT), MD5)
    assert len(server.requests) == 1


def test_a_file_of_untold_length(server: Server, target: Path) -> None:
    fetch.download([server.put("file", File(CONTENT, tells_length=False))], target, checksum=SHA256)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("file", [File(CONTENT), File(CONTENT, etag=None, modified="Sun, 06 Nov 1994 08:49:37 GMT"),
                                  File(CONTENT, etag='W/"1"', modified="Sun, 06 Nov 1994 08:49:37 GMT")],
                         ids=["etag", "time", "weak etag"])  # fmt: skip
def test_interrupted_download_leaves_a_part_and_goes_on_from_there(server: Server, target: Path, file: File) -> None:
    url = server.put("file", replace(file))
    interrupt(url, target, at=0.5)
    part = target.with_name("file.bin.part")
    came = part.stat().st_size
    assert not target.exists()
    assert 0.4 < came / len(CONTENT) < 0.6
    assert part.read_bytes() == CONTENT[:came]
    fetch.download([url], target)
    assert target.read_bytes() == CONTENT
    assert server.requests[1].range == f"bytes={came}-"
    assert server.requests[1].if_range == (file.modified or file.etag)
    assert server.sent[1] == len(CONTENT) - came
    assert names(target.parent) == {"file.bin", fetch.CHECKSUMS}


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, len(CONTENT) - 1), max_size=fetch.ATTEMPTS - 1))
def test_broken_connections_cost_nothing_twice(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    target = tmp_path_factory.mktemp("cut") / "file.bin"
    with serve() as server:
        fetch.download([server.put("file", File(CONTENT, cuts=list(cuts)))], target, len(CONTENT), MD5)
        assert target.read_bytes() == CONTENT
        assert sum(server.sent) == len(CONTENT)


def test_a_server_that_always_breaks_off_is_given_up(server: Server, target: Path) -> None:
    file = File(CONTENT, cuts=[100] * 50)
    with pytest.raises(fetch.UnavailableError, match="localhost"):
        fetch.download([server.put("file", file)], target)
    assert len(server.requests) == fetch.ATTEMPTS
    assert not target.exists()
    file.cuts.clear()
    fetch.download([server.url("file")], target)
    assert target.read_bytes() == CONTENT
    assert sum(server.sent) == len(CONTENT)


@pytest.mark.parametrize("file", [
    File(CONTENT, ranges=False),
    File(OTHER, etag='"2"'),
    File(OTHER, etag='"2"', checks_if_range=False),
    File(OTHER[:100], etag='"2"', checks_if_range=False),
], ids=["no ranges", "changed", "changed, and If-Range is ignored", "changed and shorter"])  # fmt: skip
def test_starts_over_where_the_part_cannot_be_used(server: Server, target: Path, file: File) -> None:
    url = server.put("file", File(CONTENT))
    interrupt(url, target, at=0.5)
    server.put("file", file)
    fetch.download([url], target)
    assert target.read_bytes() == file.content
    assert server.sent[-1] == len(file.content)


def test_starts_over_where_nothing_tells_whether_the_file_changed(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT, etag=None))
    interrupt(url, target, at=0.5)
    server.put("file", File(OTHER, etag=None))
    fetch.download([url], target)
    assert target.read_bytes() == OTHER
    assert server.requests[-1].range is None


def test_an_interruption_after_the_last_byte_costs_no_byte(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT))
    interrupt(url, target, at=1.0)
    assert target.with_name("file.bin.part").stat().st_size == len(CONTENT)
    fetch.download([url], target)
    assert target.read_bytes() == CONTENT
    assert server.sent[1] == 0


def test_goes_on_at_the_mirror_that_the_part_is_from(server: Server, target: Path) -> None:
    first, second = server.url("first"), server.put("second", File(CONTENT))
    interrupt(second, target, at=0.5)
    server.put("first", File(CONTENT))
    fetch.download([first, second], target)
    assert [request.path for request in server.requests] == ["second", "second"]
    assert server.sent[1] == len(CONTENT) // 2


@pytest.mark.parametrize(("file", "reason"), [
    (None, "HTTP status 404"),
    (File(CONTENT, status=503), "HTTP status 503"),
    (File(CONTENT[:-1]), "has 49999 bytes instead of 50000"),
    (File(CONTENT[:-1], tells_length=False), "received 49999 bytes instead of 50000"),
    (File(OTHER), f"instead of {MD5}"),
    (File(CONTENT, kind="text/html; charset=utf-8"), "a web page instead of the file"),
    (File(CONTENT, cuts=[500, 0]), "IncompleteRead|transfer ended|Connection broken"),
], ids=["absent", "busy", "short", "short, untold", "altered", "web page", "breaks off"])  # fmt: skip
def test_the_next_mirror_is_tried_and_the_reason_told(
    server: Server, target: Path, file: File | None, reason: str
) -> None:
    if file is not None:
        server.put("bad", replace(file, cuts=list(file.cuts)))
    bad = server.url("bad")
    with pytest.raises(fetch.UnavailableError, match=f"file.bin.*\n  {bad}: .*({reason})"):
        fetch.download([bad], target, len(CONTENT), MD5)
    assert not target.exists()
    if file is not None:
        server.put("bad", replace(file, cuts=list(file.cuts)))
    fetch.download([bad, server.put("good", File(CONTENT))], target, len(CONTENT), MD5)
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == {"file.bin", fetch.CHECKSUMS}


def test_every_address_is_named_with_its_reason(server: Server, target: Path) -> None:
    with serve() as gone:
        dead = gone.url("file")
    absent, plain = server.url("absent"), "http://example.org/file"
    with pytest.raises(fetch.UnavailableError) as caught:
        fetch.download([dead, absent, plain], target)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(": ")[0].strip() for line in lines] == [dead, absent, plain]
    assert "refused" in lines[0]
    assert "404" in lines[1]
    assert "not https" in lines[2]


def test_a_silent_server_is_given_up(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUTS_S", (0.2, 0.2))
    with pytest.raises(fetch.UnavailableError, match="timed out"):
        fetch.download([server.put("file", File(CONTENT, delay_s=0.6))], target)


def test_a_redirection_is_followed_but_not_to_an_address_without_tls(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("real", File(CONTENT))
    url = server.put("file", File(b"", location=server.url("real")))
    fetch.download([url], target)
    assert target.read_bytes() == CONTENT
    monkeypatch.setattr(fetch, "LOCAL_HOSTS", ("localhost",))
    server.files["file"].location = f"http://127.0.0.1:{server.port}/real"
    with pytest.raises(fetch.UnavailableError, match="without TLS"):
        fetch.download([url], target.with_name("other.bin"))


@pytest.mark.parametrize(("url", "secure"), [
    ("https://example.org/a", True), ("http://localhost:80/a", True), ("http://127.0.0.1/a", True),
    ("http://[::1]:8/a", True), ("http://example.org/a", False), ("http://localhost.example.org/a", False),
    ("ftp://localhost/a", False), ("file:///etc/passwd", False), ("/a", False),
])  # fmt: skip
def test_which_addresses_are_secure(url: str, secure: bool) -> None:
    assert fetch.is_secure(url) is secure


def test_an_altered_part_is_noticed_and_not_used_again(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT))
    interrupt(url, target, at=0.5)
    part = target.with_name("file.bin.part")
    part.write_bytes(bytes(len(part.read_bytes())))
    with pytest.raises(fetch.UnavailableError, match=SHA256):
        fetch.download([url], target, checksum=SHA256)
    assert not part.exists()
    fetch.download([url], target, checksum=SHA256)
    assert target.read_bytes() == CONTENT


def test_the_checksum_of_the_first_download_is_held_to(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT))
    fetch.download([url], target)
    fetch.download([url], target.with_name("second.bin"))
    target.unlink()
    fetch.download([url], target)
    target.unlink()
    server.put("file", File(OTHER))
    record = target.with_name(fetch.CHECKSUMS)
    with pytest.raises(DatasetError, match=f"(?s)first download on .*delete its entry in {record}"):
        fetch.download([url], target)
    assert names(target.parent) == {"second.bin", fetch.CHECKSUMS}
    entries = json.loads(record.read_text())
    assert set(entries) == {"file.bin", "second.bin"}
    del entries["file.bin"]
    record.write_text(json.dumps(entries))
    fetch.download([url], target)
    assert target.read_bytes() == OTHER


def test_an_empty_file_is_not_taken_for_a_first_download(server: Server, target: Path) -> None:
    with pytest.raises(fetch.UnavailableError, match="received an empty file"):
        fetch.download([server.put("file", File(b""))], target)
    assert not target.with_name(fetch.CHECKSUMS).exists()


@pytest.mark.parametrize("content", ["{", "[1]", '{"file.bin": {}}', '{"file.bin": 3}'])
def test_damaged_record_of_checksums(server: Server, target: Path, content: str) -> None:
    target.parent.mkdir()
    target.with_name(fetch.CHECKSUMS).write_text(content)
    with pytest.raises(DatasetError, match=f"{fetch.CHECKSUMS} cannot be read"):
        fetch.download([server.put("file", File(CONTENT))], target)
    assert not server.requests


def test_half_written_note_beside_a_part(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT))
    interrupt(url, target, at=0.5)
    target.with_name("file.bin.part.json").write_text('{"url": "')
    fetch.download([url], target)
    assert target.read_bytes() == CONTENT


def test_full_disk(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    urls = [server.put("file", File(CONTENT)), server.put("mirror", File(CONTENT))]
    with monkeypatch.context() as context:
        context.setattr(os, "fsync", fill)
        with pytest.raises(DatasetError, match=r"file\.bin: No space left.*Free space"):
            fetch.download(urls, target)
    assert [request.path for request in server.requests] == ["file"], "another mirror gives no space"
    assert not target.exists()


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot store .*make it writable"):
        fetch.download(["https://example.org/file"], tmp_path / "file" / "target")


def test_processes_at_once_fetch_once(server: Server, target: Path) -> None:
    url = server.put("file", File(CONTENT, delay_s=0.3))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fetch.download, args=([url], target)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert server.sent == [len(CONTENT)]


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(1000.0))
    return buffer.getvalue()


def tar_gz() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("input.data")
        member.size = len(CONTENT)
        archive.addfile(member, io.BytesIO(CONTENT))
    return buffer.getvalue()


PAGE = b"<!DOCTYPE html><html>please log in</html>"


@pytest.mark.parametrize(("name", "whole"), [("a.npz", npz()), ("a.tar.gz", tar_gz())])
def test_without_a_published_checksum_a_file_must_be_what_its_name_says(
    server: Server, tmp_path: Path, name: str, whole: bytes
) -> None:
    """Else a page for logging in would be kept, and its hash held to."""
    for bad in (PAGE, whole[: len(whole) // 2], whole[:-10], gzip.compress(PAGE)):
        with pytest.raises(fetch.UnavailableError, match="is not the file that its name says"):
            fetch.download([server.put(name, File(bad))], tmp_path / name)
        assert names(tmp_path) == set()
    fetch.download([server.put(name, File(whole))], tmp_path / name)
    assert (tmp_path / name).read_bytes() == whole


def test_a_web_page_that_says_it_is_none_is_refused(server: Server, target: Path) -> None:
    with pytest.raises(fetch.UnavailableError, match="it is a web page"):
        fetch.download([server.put("file", File(PAGE))], target)


def test_a_body_that_is_encoded_unasked_is_refused(server: Server, target: Path) -> None:
    file = File(gzip.compress(CONTENT), headers={"Content-Encoding": "gzip"})
    with pytest.raises(fetch.UnavailableError, match="encoded as gzip, though it was asked not to"):
        fetch.download([server.put("file", file)], target)


def test_a_body_without_end_is_left_at_the_known_size(server: Server, target: Path) -> None:
    endless = File(CONTENT * 20, tells_length=False)
    with pytest.raises(fetch.UnavailableError, match="more than the 50000 bytes of the file"):
        fetch.download([server.put("file", endless)], target, len(CONTENT))
    assert names(target.parent) == set()
    assert len(server.requests) == 1
