"""Small files written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from reports.records.atomic import replacing


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file atomically: a reader or a crash never meets half of it."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Content of a JSON file that holds an object, or None if there is no such file.

    Raises:
        BenchmarkError: for a damaged file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(path, f"it holds {type(content).__name__} instead of an object")
    return content


def _damaged(path: Path, why: str) -> BenchmarkError:
    return BenchmarkError(f"{path} is damaged: {why}. Delete the folder {path.parent} and run the same command again")
