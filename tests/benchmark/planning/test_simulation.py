"""The section of a suite on simulations: it says nothing about cells, and is left out where it is not there."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite


def test_simulations_say_nothing_about_cells(own):
    without, with_them = (load_suite(str(own(**more)), "tiny") for more in ({}, {"simulation": {"nvt_ps": 2}}))
    assert "simulation" not in without.model_dump(mode="json")
    assert with_them.model_dump(mode="json")["simulation"]["nvt_ps"] == 2
    assert [cell.key for cell in make_plan(without)] == [cell.key for cell in make_plan(with_them)]


def test_wrong_settings_are_refused_with_the_suite(own):
    with pytest.raises(BenchmarkError, match=r"simulation\.nvt: unknown key"):
        load_suite(str(own(simulation={"nvt": 2})), "tiny")
