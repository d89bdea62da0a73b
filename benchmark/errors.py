"""Errors that end a command with one message and exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError


class BenchmarkError(ValueError):
    """Something the user gave cannot be used; the message says what was given, what is allowed, what to do."""


def unknown_name(noun: str, given: str, known: Iterable[str], advice: str) -> BenchmarkError:
    """The error for a name that is not among the known ones, with the nearest as a suggestion."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return BenchmarkError(f"unknown {noun} {given!r}; known are: {', '.join(names) or 'none'}.{hint} {advice}")


def describe_validation(error: ValidationError, model: type[BaseModel], where: str) -> BenchmarkError:
    """All problems of a configuration in one message, each with its place, what was given and what is allowed."""
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        if problem["type"] == "extra_forbidden":
            allowed = sorted(_fields_at(model, problem["loc"][:-1]))
            near = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"{place}: unknown key; allowed here: {', '.join(allowed)}{hint}")
        elif problem["type"] == "missing":
            lines.append(f"{place}: missing")
        else:
            lines.append(f"{place}: {problem['msg']} (given: {problem['input']!r})")
    return BenchmarkError(f"{where}: " + "\n  ".join(lines) + "\n  Correct this in the YAML file and run again.")


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterable[str]:
    """Field names of the nested model at a location; names of mappings' entries are passed over."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        nested = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if nested:
            model = nested[0]
    return model.model_fields
