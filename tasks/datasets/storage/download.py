"""Downloads: resumed after an interruption, verified, and in their place only when complete."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from tasks.datasets.base import DatasetError, Progress
from tasks.datasets.storage.cache import DATA_DIR_VARIABLE, locked, sha256

CHECKSUMS = "checksums.json"
"""File beside the downloads in a folder, with SHA-256, size, address and time of the first download of each."""

TIMEOUTS_S = (20.0, 60.0)
"""For connecting, and between two pieces of a file."""

ATTEMPTS = 10
"""Per address: a broken transfer is resumed up to this often, as long as every attempt makes progress."""

PIECE_BYTES = 1 << 18
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class UnavailableError(DatasetError):
    """No address provided the file; the message gives the reason for each."""


class _FailedError(Exception):
    """One address did not provide the file, for the reason in the message."""


def is_secure(url: str) -> bool:
    """Whether an address may be downloaded from: https, or http on this very machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)


def download(
    urls: Sequence[str],
    target: Path,
    size: int | None = None,
    checksum: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Downloads a file unless it is there; safe to call from several processes at once.

    The part downloaded so far is in `TARGET.part`; a later call resumes from there if the file at the address is
    still the same (a range request with If-Range), else it starts again. The addresses are tried in turn.

    Args:
        urls: addresses of the file.
        target: where to put it; its folder is created.
        size: bytes, if published.
        checksum: `md5:...` or `sha256:...`, if published; else the file must have the SHA-256 of its first download,
            which is recorded in `CHECKSUMS` beside it.
        progress: called with what is being done; the fraction stays 0 if the server does not say the size.

    Raises:
        UnavailableError: no address provided the file.
        DatasetError: the file cannot be stored, or `CHECKSUMS` is damaged.
    """
    work = _Download(target, size, checksum, progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.parent / ".download.lock", f"downloads into {target.parent}", progress):
            if not target.is_file():
                work.run(urls)
    except OSError as error:
        raise DatasetError(
            f"cannot store {target}: {error.strerror or error}. Free space there or make it writable, or choose "
            f"another folder, e.g. with the variable {DATA_DIR_VARIABLE}. What has been downloaded so far is kept, and "
            "the same command resumes from there"
        ) from error


@dataclass(frozen=True)
class _Download:
    """One file to download; the lock of its folder must be held."""

    target: Path
    size: int | None
    checksum: str | None
    progress: Progress | None

    @property
    def part(self) -> Path:
        """The part downloaded so far."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def origin(self) -> Path:
        """Beside the part: its address, and a validator that tells whether the file there is still the same."""
        return self.target.with_name(f"{self.target.name}.part.json")

    def run(self, urls: Sequence[str]) -> None:
        """Tries the addresses in turn, beginning with the one of the part, if there is one."""
        recorded = self._read_checksums().get(self.target.name)
        begun = self._read_origin().get("url")
        failures = []
        for url in sorted(urls, key=lambda url: url != begun):
            try:
                self._transfer(url)
                self._check_and_place(url, recorded)
                return
            except _FailedError as failure:
                failures.append(f"\n  {url}: {failure}")
        raise UnavailableError(f"{self.target.name} could not be downloaded:{''.join(failures)}")

    def _transfer(self, url: str) -> None:
        """Completes the part, in several attempts if necessary."""
        if not is_secure(url):
            raise _FailedError("refused, because the address is not https")
        for attempt in range(1, ATTEMPTS + 1):
            before = self._bytes()
            try:
                self._request(url)
                return
            except _FailedError:
                if attempt == ATTEMPTS or self._bytes() <= before:
                    raise

    def _request(self, url: str) -> None:
        """One request for the missing bytes, or for all if there is nothing to resume from."""
        origin = self._read_origin()
        # Without a validator there is no telling whether the missing bytes belong to the part.
        offset = self._bytes() if origin.get("url") == url and origin.get("validator") else 0
        headers = {"User-Agent": "nnp-pretrain-bench", "Accept-Encoding": "identity"}
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": origin["validator"]}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS_S) as response:
                if not all(is_secure(hop.url) for hop in (*response.history, response)):
                    raise _FailedError(f"refused: redirected to {response.url} through an address without TLS")
                beyond = offset > 0 and response.status_code == requests.codes.range_not_satisfiable
                if beyond and _content_range(response) == (None, offset):
                    return  # interrupted after the last byte
                # Some servers send a range even if the file has changed.
                changed = response.status_code == requests.codes.partial_content and (
                    _validator(response) not in (None, origin.get("validator"))
                )
                if not beyond and not changed:
                    self._receive(response, url, offset)
                    return
                self._discard()
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _FailedError(_reason(error)) from error
        self._request(url)  # from the beginning

    def _receive(self, response: requests.Response, url: str, offset: int) -> None:
        """Writes the body of a response to the part."""
        if offset and response.status_code == requests.codes.partial_content and _content_range(response)[0] == offset:
            mode = "ab"
        elif response.status_code == requests.codes.ok:  # the whole file
            mode, offset = "wb", 0
        else:
            raise _FailedError(f"HTTP status {response.status_code} {response.reason}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise _FailedError("the server sent a web page instead of the file")
        coding = response.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise _FailedError(f"the server sent the file encoded as {coding}, though it was asked not to")
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdecimal() else None
        if self.size is not None and total not in (None, self.size):
            raise _FailedError(f"the file there has {total} bytes instead of {self.size}")
        if mode == "wb":
            self._discard()
            _write_json(self.origin, {"url": url, "validator": _validator(response)})
        done = offset
        with self.part.open(mode) as file:
            self._show(done, total)
            for piece in response.raw.stream(PIECE_BYTES, decode_content=False):
                file.write(piece)
                done += len(piece)
                known = total if total is not None else self.size
                if known is not None and done > known:
                    self._discard()
                    raise _FailedError(f"the server sent more than the {known} bytes of the file")
                self._show(done, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and done < total:
            raise _FailedError(f"the transfer ended after {done} of {total} bytes")

    def _check_and_place(self, url: str, recorded: dict[str, Any] | None) -> None:
        """Moves the part into place if it is correct, and deletes it if not."""
        found = self._bytes()
        digest = sha256(self.part)
        problem = None
        if self.size is not None and found != self.size:
            problem = f"received {found} bytes instead of {self.size}"
        elif not found:
            problem = "received an empty file"
        elif self.checksum is not None:
            algorithm = self.checksum.partition(":")[0]
            actual = f"{algorithm}:{pooch.file_hash(os.fspath(self.part), alg=algorithm)}"
            if actual != self.checksum:
                problem = f"the checksum is {actual} instead of {self.checksum}"
        elif recorded is not None and recorded["sha256"] != digest:
            problem = (
                f"the content is not that of the first download on {recorded['fetched_utc']} from "
                f"{recorded['url']} (SHA-256 {digest} instead of {recorded['sha256']}). If the authors replaced the "
                f"file and you want the new one, delete its entry in {self.target.with_name(CHECKSUMS)}"
            )
        if problem is None and self.checksum is None:
            problem = _look_into(self.part, self.target.name)
        if problem is not None:
            self._discard()
            raise _FailedError(problem)
        entry = {
            "sha256": digest,
            "bytes": found,
            "url": url,
            "fetched_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _write_json(self.target.with_name(CHECKSUMS), {**self._read_checksums(), self.target.name: entry})
        os.replace(self.part, self.target)
        self.origin.unlink(missing_ok=True)

    def _bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    def _show(self, done: int, total: int | None) -> None:
        if self.progress:
            # The message stays the same: without a terminal, every new message is a new line.
            amount = f" ({total / 1e6:.1f} MB)" if total else ""
            self.progress(f"downloading {self.target.name}{amount}", done / total if total else 0.0)

    def _read_origin(self) -> dict[str, Any]:
        """Empty if there is nothing to resume from, or if a killed process left an incomplete file."""
        try:
            content = json.loads(self.origin.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _read_checksums(self) -> dict[str, Any]:
        path = self.target.with_name(CHECKSUMS)
        try:
            content = json.loads(path.read_text("utf-8"))
            for entry in content.values():
                entry["sha256"], entry["url"], entry["fetched_utc"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path} cannot be read ({error!r}). It holds the checksums of the downloads beside it: repair it, or "
                "delete it to lose them"
            ) from error
        return content


def _look_into(path: Path, name: str) -> str | None:
    """Why a file whose checksum is not published cannot be what its name says, if so: its hash would be trusted."""
    try:
        if name.endswith((".npz", ".zip")):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            return f"{damaged} in it is damaged" if damaged else None
        if name.endswith((".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar")):
            with tarfile.open(path) as archive:
                for _ in archive:
                    pass
                # Up to the very end, where compressed data has its checksum.
                while archive.fileobj is not None and archive.fileobj.read(PIECE_BYTES):
                    pass
            return None
        with path.open("rb") as file:
            page = file.read(1000).lstrip().lower().startswith((b"<!doctype html", b"<html"))
        return "it is a web page" if page else None
    except Exception as error:  # readers of archives raise anything
        return f"what came is not the file that its name says ({type(error).__name__}: {error})"


def _validator(response: requests.Response) -> str | None:
    """The response's validator for If-Range (RFC 9110, 13.1.5), which changes if the file at the address does."""
    etag = response.headers.get("ETag")
    # A weak ETag means that files are equivalent, not that they are equal.
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and total of a Content-Range header (`bytes 5-9/10`, `bytes */10`); None if not given."""
    _, _, value = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = value.partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdecimal() else None, int(total) if total.isdecimal() else None


def _reason(error: Exception) -> str:
    """The reason of a network error, without the names of Python objects."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    text = str(inner or error)
    return text.partition("): ")[2] or text


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Replaces a JSON file atomically."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
