"""Published data: where it comes from, under which terms, and where its files are on this machine."""

from __future__ import annotations

import difflib
import functools
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, field_validator

from tasks.datasets.base import DatasetError, Progress
from tasks.datasets.storage.cache import MANIFEST, writable_dir

SOURCES = Path(__file__).with_name("sources.yaml")


def _secure(url: str) -> str:
    from tasks.datasets.storage.download import is_secure  # late: with libraries that few commands need

    if not is_secure(url):
        raise ValueError(f"{url} is not an https address")
    return url


Url = Annotated[str, AfterValidator(_secure)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(_Model):
    """What to cite for the data."""

    text: str = Field(min_length=1)
    doi: str = Field(pattern=r"^10\.\d{4,}/\S+$")


class SourceFile(_Model):
    """A file of a source.

    Attributes:
        name: name under which it is stored and looked for.
        urls: its addresses, tried in turn.
        bytes: its size; None if not published.
        checksum: `md5:...` or `sha256:...`; None if not published.
        by_default: whether it is downloaded with the whole source; false if other files of the source hold the same.
    """

    name: str = Field(pattern=r"^\w[\w.+-]*$")
    urls: tuple[Url, ...] = Field(min_length=1)
    bytes: PositiveInt | None
    checksum: str | None = Field(pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$")
    by_default: bool = True


class Source(_Model):
    """Published data.

    Attributes:
        title: one line that describes it.
        licence: SPDX identifier; `NOASSERTION` if not known.
        page: web page with the description and the terms of the data.
        citation: what to cite.
        level_of_theory: method that the labels were computed with.
        units: `length`, `energy` and `force` in the files.
        note: what a user should know about the files.
        warning: a warning by the authors, in their words.
        files: the files; `for_each` in the YAML file is expanded.
    """

    title: str = Field(min_length=1)
    licence: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    page: Url
    citation: Citation
    level_of_theory: str = Field(min_length=1)
    units: dict[str, str]
    note: str | None = None
    warning: str | None = None
    files: tuple[SourceFile, ...] = Field(min_length=1)

    @field_validator("files", mode="before")
    @classmethod
    def _expand_files(cls, entries: Any) -> Any:
        return [file for entry in entries for file in _expand(entry)]

    def file(self, name: str) -> SourceFile | None:
        """The file with this name; None if there is none."""
        return next((file for file in self.files if file.name == name), None)


def _expand(entry: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """One entry for each combination of the values in `for_each`, which fill the placeholders in name and addresses."""
    axes = entry.get("for_each", {})
    common = {key: value for key, value in entry.items() if key != "for_each"}
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        urls = [url.format(**chosen) for url in entry["urls"]]
        yield {**common, "name": entry["name"].format(**chosen), "urls": urls}


def load_sources() -> dict[str, Source]:
    """All sources by name, from `sources.yaml`."""
    return dict(_read(SOURCES))


@functools.cache
def _read(path: Path) -> dict[str, Source]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Source.model_validate(entry) for name, entry in content.items()}


def get_source(name: str) -> Source:
    """The source with this name.

    Raises:
        DatasetError: there is none; the message lists the known sources.
    """
    sources = load_sources()
    if name not in sources:
        raise DatasetError(f"unknown source {name!r}; known are: {', '.join(sources)}.{_hint(name, sources)}")
    return sources[name]


def get_file(source: str, file: str) -> SourceFile:
    """A file of a source.

    Raises:
        DatasetError: there is no such source, or it has no such file.
    """
    wanted = get_source(source)
    found = wanted.file(file)
    if found is None:
        names = [known.name for known in wanted.files]
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        raise DatasetError(f"source {source} has no file {file!r}; its files are: {shown}.{_hint(file, names)}")
    return found


def find(source: str, file: str, data_dir: Path) -> Path | None:
    """Path of a file of a source if it is on this machine; None if it would have to be downloaded.

    Searched in this order: `data_dir`, its subfolder named after the source, its other direct subfolders, the direct
    subfolders of the one named after the source (an archive unpacked there), and the folder that `obtain` downloads to.
    The content of a file of the user is not checked: it may stand in for the published one.

    Raises:
        DatasetError: there is no such source, or it has no such file.
    """
    get_file(source, file)
    own = data_dir / source
    folders = [data_dir, own, *_subfolders(data_dir), *_subfolders(own), _download_folder(source, data_dir)]
    # Unlike Path.is_file, this skips folders without read permission.
    return next((folder / file for folder in folders if os.path.isfile(folder / file)), None)


def obtain(source: str, file: str, data_dir: Path, progress: Progress | None = None) -> Path:
    """Path of a file of a source: the one that `find` returns, else it is downloaded and verified.

    Downloads go to `SOURCE/FILE` in `data_dir`, or in the default folder if `data_dir` is read-only.

    Raises:
        DatasetError: there is no such source or file, or it cannot be downloaded: the message says what is missing,
            why each address failed, and how to supply the file.
    """
    wanted = get_file(source, file)
    found = find(source, file, data_dir)
    if found is not None:
        return found
    from tasks.datasets.storage.download import UnavailableError, download

    target = _download_folder(source, data_dir) / file
    try:
        download(wanted.urls, target, wanted.bytes, wanted.checksum, progress)
    except UnavailableError as error:
        raise DatasetError(
            f"{file} of source {source} is needed, and it is not in {data_dir}. {error}\n"
            f"To supply it, put the file (see {get_source(source).page}) into {target.parent}, or give the folder that "
            f"holds it by --data-dir; or try the download again: python -m benchmark data fetch {source} {file}"
        ) from error
    return target


def _download_folder(source: str, data_dir: Path) -> Path:
    return writable_dir(data_dir) / source


def _subfolders(folder: Path) -> list[Path]:
    """The direct subfolders by name, without hidden ones and prepared datasets, whose files are not raw data."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # not there, not a folder, or without read permission
        return []
    return [
        entry
        for entry in entries
        if os.path.isdir(entry) and not entry.name.startswith(".") and not os.path.isfile(entry / MANIFEST)
    ]


def _hint(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
