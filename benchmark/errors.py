"""Errors that end a command with one message and exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError


class BenchmarkError(ValueError):
    """Something the user gave cannot be used; the message says what was given, what is allowed, what to do."""


def unknown_name(noun: str, given: str, known: Iterable[str], advice: str) -> BenchmarkError:
    """The error for a name that is not among the known ones, with the nearest as a suggestion."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return BenchmarkError(f"unknown {noun} {given!r}; known are: {', '.join(names) or 'none'}.{hint} {advice}")


def describe_validation(
    error: ValidationError,
    model: type[BaseModel],
    where: str,
    advice: str = "Correct this in the YAML file and run again.",
) -> BenchmarkError:
    """All problems of a configuration in one message, each with its place, what was given and what is allowed."""
    lines = []
    for problem in error.errors():
        parts, allowed = _walk(model, problem["loc"])
        place = ".".join(parts) or "(top level)"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"{place}: unknown key; allowed here: {', '.join(allowed)}{hint}")
        elif problem["type"] == "union_tag_not_found":
            lines.append(f"{place}: write keys and their values (given: {problem['input']!r})")
        elif problem["type"] == "missing":
            lines.append(f"{place}: missing")
        else:
            lines.append(f"{place}: {problem['msg']} (given: {problem['input']!r})")
    return BenchmarkError(f"{where}: " + "\n  ".join(lines) + f"\n  {advice}")


def _walk(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], list[str]]:
    """Where a problem is in the file, and the keys that the innermost mapping on the way there may have.

    pydantic's location also names the member of a union that it tried; that is no key of the file and is left out.
    """
    place: list[str] = []
    keys = sorted(model.model_fields)
    here: Any = model
    for number, part in enumerate(location):
        members = _members(here)
        tagged = [inner for inner in members if any(isinstance(m, Tag) and m.tag == part for m in _metadata(inner))]
        if tagged:
            here = tagged[0]
            keys = _keys(here) or keys
            continue
        models = [inner for inner in map(_bare, members) if isinstance(inner, type) and issubclass(inner, BaseModel)]
        field = next((inner.model_fields[str(part)] for inner in models if str(part) in inner.model_fields), None)
        container = next((inner for inner in map(_bare, members) if get_origin(inner) in (dict, list, tuple)), None)
        if field is not None:
            here = field.annotation
        elif container is not None and not models:
            here = get_args(container)[-1]
        elif models and number == len(location) - 1:
            here = None  # the key that is not known
        else:
            continue
        place.append(str(part))
        keys = _keys(here) or keys
    return place, keys


def _members(annotation: Any) -> list[Any]:
    """The types that an annotation allows: those of a union, or the one."""
    bare = _bare(annotation)
    if get_origin(bare) in (Union, UnionType):
        return [inner for member in get_args(bare) for inner in _members_or_tagged(member)]
    return [annotation]


def _members_or_tagged(member: Any) -> list[Any]:
    """A member of a union as it is if it has a tag, else what it allows itself."""
    return [member] if any(isinstance(m, Tag) for m in _metadata(member)) else _members(member)


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def _bare(annotation: Any) -> Any:
    """An annotation without its metadata."""
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _keys(annotation: Any) -> list[str]:
    """Keys that a value of this type may have, if it is a mapping with known ones."""
    models = [inner for inner in map(_bare, _members(annotation)) if isinstance(inner, type)]
    return sorted({key for inner in models if issubclass(inner, BaseModel) for key in inner.model_fields})
