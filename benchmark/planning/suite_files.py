"""Suite files: finding, reading and merging them; nothing is validated here but their form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import BenchmarkError, unknown_name

SUITES = Path(__file__).parents[1] / "suites"


def available_suites() -> dict[str, Path]:
    """The suites that ship with the package, by name."""
    return {path.stem: path for path in sorted(SUITES.glob("*.yaml"))}


def read_suite_file(name: str) -> dict[str, Any]:
    """The YAML of a suite, by the name of a shipped one or by the path of the user's own.

    Raises:
        BenchmarkError: for an unknown name, a file that cannot be read, or YAML that is no suite.
    """
    suites = available_suites()
    path = suites.get(name)
    if path is None:
        if not name.endswith((".yaml", ".yml")):
            raise unknown_name("suite", name, suites, "Or give the path of a YAML file of your own.")
        path = Path(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"suite file {path} cannot be read: {error.strerror}. Check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"suite file {path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("scales"), dict):
        raise BenchmarkError(
            f"suite file {path} needs a mapping with a key 'scales' that holds at least one scale; "
            f"see {SUITES / 'water.yaml'} for an example"
        )
    return content


def content_at_scale(name: str, scale: str) -> dict[str, Any]:
    """The content of a suite at one scale, merged but not validated.

    Raises:
        BenchmarkError: for an unknown suite or scale, or YAML that is no suite.
    """
    content = _merged(name, scale)
    return {**content, "datasets": _expand_labelled(content.get("datasets"))}


def _merged(name: str, scale: str) -> dict[str, Any]:
    content = read_suite_file(name)
    base = content.pop("extends", None)
    scales = {str(name): values for name, values in content.pop("scales").items()}
    if scale not in scales:
        raise unknown_name("scale", scale, scales, f"These are the scales of suite {name!r}.")
    over = scales[scale] or {}
    if not isinstance(over, dict):
        raise BenchmarkError(f"suite {name!r}: scale {scale!r} is {over!r}; a mapping of values is needed")
    if base is None:
        return merge(content, over)
    shipped = available_suites()
    if str(base) not in shipped or base == name:
        raise unknown_name("suite in 'extends'", str(base), shipped, f"Correct it in the file of suite {name!r}.")
    inherited = _merged(base, scale)
    for own in ("name", "title", "description", "primary"):
        inherited.pop(own, None)  # what extends is another suite, asks another question and says so
    return merge(merge(inherited, content), over)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """One mapping laid over another: mappings are merged key by key, any other value replaces, null takes away."""
    merged = dict(base)
    for key, value in over.items():
        if value is None and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _expand_labelled(datasets: Any) -> Any:
    """Datasets with each entry whose ``labelled`` is a list replaced by one entry for each share."""
    if not isinstance(datasets, dict):
        return datasets
    expanded = {}
    for name, entry in datasets.items():
        shares = entry.get("labelled") if isinstance(entry, dict) else None
        if not isinstance(shares, list):
            expanded[name] = entry
            continue
        for share in shares:
            if not isinstance(share, int | float) or isinstance(share, bool):
                raise BenchmarkError(f"datasets.{name}.labelled: {share!r} is no share; give numbers, 0 < share <= 1")
            of_share = f"{name}@{100 * share:.10g}%"
            if of_share in expanded or of_share in datasets:
                raise BenchmarkError(f"datasets.{name}.labelled: {shares} gives {of_share!r} twice; remove one")
            expanded[of_share] = {**entry, "labelled": share}
    return expanded
