"""A module with other code in its place: in this process, and in all Python processes that it starts."""

from __future__ import annotations

import importlib.abc
import importlib.util
import marshal
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

VARIABLE = "NNP_MUTANT"
"""Names the file that tells a process that was started what is faulty."""

CHILDREN = Path(__file__).with_name("children")
"""Has the `sitecustomize` that makes such a process read it."""


class Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module in the place where it is, with other code."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def put(name: str, path: Path, code: CodeType, note: Path) -> None:
    """Let a module that was not imported yet have other code, here and in processes to come.

    Args:
        name: of the module.
        path: where it is.
        code: what is executed in its place.
        note: a file to write for processes to come.
    """
    note.write_bytes(marshal.dumps((name, str(path), code)))
    root = Path(__file__).parents[2]
    os.environ[VARIABLE] = str(note)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(CHILDREN), str(root), *filter(None, [os.getenv("PYTHONPATH")])])
    sys.meta_path.insert(0, Faulty(name, str(path), code))


def take_over() -> None:
    """In a process that was started: do as the one that started it."""
    name, path, code = marshal.loads(Path(os.environ[VARIABLE]).read_bytes())
    sys.meta_path.insert(0, Faulty(name, path, code))
