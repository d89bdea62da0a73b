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

    def place(self, seed: int) -> str:
        """The file of a seed's cells, as it is shown."""
        return self.config.path.replace("{seed}", str(seed))

    def body(self, seed: int) -> Body:
        """What is in the file of a seed's cells; read once in a process, and again after a change.

        Raises:
            PotentialError: if there is none, or none that can be used.
        """
        path = Path(self.place(seed)).expanduser()
        try:
            found = path.stat()
        except OSError:
            return read_body(path)  # says what is wrong
        return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, changed_ns: int, size: int) -> Body:
    return read_body(path)
