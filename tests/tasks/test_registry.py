"""Registries load what they name, and name what they know."""

from __future__ import annotations

import pytest

from tasks.registry import DATASETS, LABELLERS, MODELS, PRETEXTS, UnknownKindError


@pytest.mark.parametrize("registry", [DATASETS, MODELS, PRETEXTS, LABELLERS])
def test_every_builtin_kind_loads_and_knows_its_name(registry):
    for kind in registry.kinds():
        assert registry.get(kind).kind == kind


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(UnknownKindError, match=r"'egn'.*egnn"):
        MODELS.get("egn")


@pytest.mark.parametrize("registry", [DATASETS, MODELS, PRETEXTS, LABELLERS], ids=lambda registry: registry.noun)
def test_the_options_of_every_kind_are_those_of_its_class(registry):
    for kind in registry.kinds():
        assert registry.options(kind) is registry.get(kind).Config
