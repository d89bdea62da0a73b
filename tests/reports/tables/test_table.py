"""Cells are text that keeps its value."""

from reports.tables.table import Number, sort_value


def test_a_number_keeps_its_value_and_is_text():
    cell = Number("1.2", 1.2345)
    assert cell == "1.2"
    assert sort_value(cell) == 1.2345
    assert sort_value("1.2") is None
    assert sort_value(Number("–", float("nan"))) is None
