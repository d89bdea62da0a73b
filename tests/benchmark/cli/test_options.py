"""How a selection is written."""

from __future__ import annotations

import pytest

from benchmark.cli.options import parse_select
from benchmark.errors import BenchmarkError


def test_fields_and_names_in_one_option_or_in_several():
    expected = {"strategy": ["scratch", "masked"], "model": ["egnn"]}
    assert parse_select(["strategy=scratch,masked,model=egnn"]) == expected
    assert parse_select(["strategy=scratch", " strategy = masked ", "model=egnn,"]) == expected
    assert parse_select(None) == {}


@pytest.mark.parametrize("texts", [["egnn"], ["model="], ["strategy=scratch", "masked"], [""], ["model=egnn", " , "]])
def test_a_name_without_a_field_is_refused(texts):
    with pytest.raises(BenchmarkError, match="FIELD=NAME"):
        parse_select(texts)
