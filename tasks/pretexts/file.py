"""A body that was pretrained before: nothing is learned here, what is in the file is taken over."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from tasks.options.pretexts import FileConfig, PretextConfig
from tasks.pretexts.base import PretrainingTask
from tasks.simulation.bodies import Body, read_body


class PretrainedFile(PretrainingTask):
    """The weights of a pretraining that another run has made, with what its file says of structures and cost."""

    kind: ClassVar[str] = "file"
    title: ClassVar[str] = "a body from a file"
    Config: ClassVar[type[PretextConfig]] = FileConfig

    def __init__(self, config: FileConfig) -> None:
        self.config: FileConfig = config

    def place(self, dataset: str, model: str, seed: int) -> str:
        """The file of a cell with these names, as it is shown."""
        path = self.config.path
        for name, value in (("dataset", dataset), ("model", model), ("seed", str(seed))):
            path = path.replace(f"{{{name}}}", value)
        return path

    def body(self, place: str) -> Body:
        """What is in a file; read once in a process, and again after a change.

        Raises:
            PotentialError: if there is none, or none that can be used.
        """
        path = Path(place).expanduser()
        try:
            found = path.stat()
        except OSError:
            return read_body(path)  # says what is wrong
        return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, changed_ns: int, size: int) -> Body:
    return read_body(path)
