"""The example package of docs/guide/own-model.md, taken out of the document and made visible to Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "guide" / "own-model.md"
FILE_BLOCK = re.compile(r"^```\w+\n# (?P<name>[\w./-]+\.\w+)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)


def install(folder: Path) -> Path:
    """Write the files of the document into a folder that, once on ``sys.path``, counts as an installation of them.

    What pip would leave for ``importlib.metadata`` is written here, from the entry points of the document's own
    ``pyproject.toml``: no network is needed.

    Args:
        folder: receives the files; made if it does not exist.

    Returns:
        The folder, to be put on ``sys.path`` or ``PYTHONPATH``.
    """
    for block in FILE_BLOCK.finditer(DOCUMENT.read_text(encoding="utf-8")):
        path = folder / block["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["content"], encoding="utf-8")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in points.items())])
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n", encoding="utf-8")
    return folder
