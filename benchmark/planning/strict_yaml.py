"""YAML without its surprises: bounded before anything is built from it, and no key given twice."""

from __future__ import annotations

from typing import Any

import yaml

LARGEST_DEPTH = 50
LARGEST_SIZE = 100_000
"""Values of a file, those that aliases repeat counted each time."""
LONGEST_NUMBER = 30
"""Digits of a whole number."""


def load_yaml(text: str) -> Any:
    """The content of a YAML text, plain values only.

    Raises:
        yaml.YAMLError: for what is not YAML, is nested too deep, too large, or gives a key twice.
    """
    _check_size(text)
    return yaml.load(text, _Loader)


def _check_size(text: str) -> None:
    """Refuse what is nested or repeated beyond any use, going through the text once and building nothing."""
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = [(None, 0)]  # of what is open: its anchor, and how many values it has so far
    for event in yaml.parse(text, yaml.SafeLoader):
        anchor, size = getattr(event, "anchor", None), 0
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((anchor, 1))
            if len(stack) > LARGEST_DEPTH:
                raise _error(f"nested deeper than {LARGEST_DEPTH} levels", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = stack.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _error(f"alias {event.anchor!r} stands for nothing that is complete before it", event)
            anchor, size = None, sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
        if anchor is not None and size:
            sizes[anchor] = size
        outer, before = stack[-1]
        if before + size > LARGEST_SIZE:
            raise _error(f"more than {LARGEST_SIZE} values, those that aliases repeat counted each time", event)
        stack[-1] = outer, before + size


class _Loader(yaml.SafeLoader):
    """Refuses keys that are given twice, of which YAML libraries silently take the last, and endless numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise _error(f"the key {key.value!r} is given twice; give it once", key)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > LONGEST_NUMBER:
            raise _error(f"a number of {len(node.value)} digits; at most {LONGEST_NUMBER} are possible", node)
        try:
            return int(super().construct_yaml_int(node))
        except ValueError as error:
            raise _error(f"{node.value!r} is no number", node) from error


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _error(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)
