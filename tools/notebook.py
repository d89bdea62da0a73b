"""Writes docs/guide/tutorial.ipynb from docs/guide/tutorial.md: the page is what is written by hand.

``python -m tools.notebook`` from the project's root. A test makes sure that the two agree, and runs the notebook.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
PAGE, NOTEBOOK = GUIDE / "tutorial.md", GUIDE / "tutorial.ipynb"
BLOCK = re.compile(r"^```(?P<language>python|sh|yaml)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (?P<name>[\w.-]+\.yaml)\n")


def main() -> None:
    """Write the notebook."""
    NOTEBOOK.write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def notebook(page: str) -> str:
    """A page as a notebook: code to run, commands after ``!``, files that a cell writes, and the text between them."""
    cells = []
    end = 0
    for block in BLOCK.finditer(page):
        cells.append(_text(page[end : block.start()]))
        cells.append(_code(block["language"], block["content"]))
        end = block.end()
    cells.append(_text(page[end:]))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _text(content: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(content)}


def _code(language: str, content: str) -> dict[str, Any]:
    if language == "sh":
        content = "".join(f"!{line}\n" for line in content.splitlines())
    elif language == "yaml":
        name = FILE_NAME.match(content)
        assert name is not None, "a YAML block begins with the name of its file"
        content = f"%%writefile {name['name']}\n{content}"
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": _lines(content)}


def _lines(content: str) -> list[str]:
    return content.strip("\n").splitlines(keepends=True)


if __name__ == "__main__":
    main()
