"""Suite files: finding, reading and merging them; nothing is validated here but their form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import BenchmarkError, unknown_name
from benchmark.planning.strict_yaml import load_yaml

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
        content = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"suite file {path} cannot be read: {error.strerror}. Check the path.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also text that is no UTF-8, and dates of no day
        raise BenchmarkError(f"suite file {path} is not valid YAML: {error}") from error
    inherits = isinstance(content, dict) and "extends" in content and content.get("scales") is None
    if not isinstance(content, dict) or not (inherits or isinstance(content.get("scales"), dict)):
        raise BenchmarkError(
            f"suite file {path} needs a mapping with a key 'scales' that holds at least one scale, or with 'extends', "
            f"the suite whose scales it takes; see {SUITES / 'water.yaml'} for an example"
        )
    for part in (content, *(content.get("scales") or {}).values()):
        _place_files(part, path.parent)
    return content


def _place_files(content: Any, folder: Path) -> None:
    """Paths that pretexts name are seen from the file's folder; as they are shown, a user's home is `~`."""
    arms = content.get("strategies") if isinstance(content, dict) else None
    for arm in arms.values() if isinstance(arms, dict) else ():
        pretext = arm.get("pretext") if isinstance(arm, dict) else None
        options = pretext.get("options") if isinstance(pretext, dict) else None
        if isinstance(options, dict) and isinstance(options.get("path"), str) and options["path"]:
            options["path"] = _shown(folder / Path(options["path"]).expanduser())


def _shown(path: Path) -> str:
    """An absolute path that names no user where it can."""
    whole, home = Path(os.path.abspath(path)), Path.home()
    inside = whole.is_relative_to(home) and home != Path(home.anchor)
    return os.fspath("~" / whole.relative_to(home) if inside else whole)


def content_at_scale(name: str, scale: str) -> dict[str, Any]:
    """The content of a suite at one scale, merged but not validated.

    Raises:
        BenchmarkError: for an unknown suite or scale, or YAML that is no suite.
    """
    content = _merged(name, scale)
    return {**content, "datasets": _expand_labelled(content.get("datasets"))}


def _merged(name: str, scale: str, extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """A suite at one scale, laid over the one that it extends; ``extended_by`` are those that lie on it."""
    content = read_suite_file(name)
    base = content.pop("extends", None)
    listed = content.pop("scales", None)
    if base is None:
        assert listed is not None
        return merge(content, _values(name, scale, listed))
    # Scales that a file lists are its scales; one that lists none has those of the suite that it extends.
    over = {} if listed is None else _values(name, scale, listed)
    below = _base(name, base)
    chain = (*extended_by, name)
    if below in chain:
        raise BenchmarkError(f"suites extend each other in a circle: {' -> '.join((*chain, below))}. Correct 'extends'")
    inherited = _merged(below, scale, chain)
    for own in ("name", "primary"):
        inherited.pop(own, None)  # run folders are called after it; another suite asks another question and says so
    return merge(merge(inherited, content), over)


def _values(name: str, scale: str, listed: Any) -> dict[str, Any]:
    """What a file says of a scale."""
    scales = {str(known): values for known, values in listed.items()}
    if scale not in scales:
        raise unknown_name("scale", scale, scales, f"These are the scales of suite {name!r}.")
    over = scales[scale] or {}
    if not isinstance(over, dict):
        raise BenchmarkError(f"suite {name!r}: scale {scale!r} is {over!r}; a mapping of values is needed")
    return over


def _base(name: str, base: Any) -> str:
    """The suite that a file extends: a shipped one, or a file, by its path from the folder of the first."""
    shipped = available_suites()
    if isinstance(base, str) and base in shipped and base != name:
        return base
    if isinstance(base, str) and base.endswith((".yaml", ".yml")):
        # A shipped suite is known by its name, any other by its path.
        return os.fspath(Path(name).parent / base)
    advice = f"Or give the path of a YAML file, as seen from the file of suite {name!r}."
    raise unknown_name("suite in 'extends'", str(base), shipped, advice)


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
