"""Numbers as text."""

import pytest

from reports.text.formatting import as_printed, brief, listing, number, p_value, plus_minus, signed, spread


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< 0.001"), (0.0449, "0.045"), (0.0496, "0.0496"), (0.0503, "0.0503"), (0.0551, "0.055"), (1.0, "1.000")],
)
def test_p_values_near_the_level_have_four_decimals(p, text):
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(128.53, "128.5"), (8.374, "8.37"), (0.8612, "0.861"), (-3.0, "−3.00"), (float("nan"), "–")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(-48.24, "−48.2"), (3.0, "+3.0"), (-0.04, "0.0"), (0.04, "0.0")])
def test_signed_numbers(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("value", "text", "with_sign"),
    [
        (9_999_000.0, "9999000.0", "+9999000"),
        (4.053e13, "4.1 × 10¹³", "+4.1 × 10¹³"),
        (-2.5e8, "−2.5 × 10⁸", "−2.5 × 10⁸"),
        (float("inf"), "inf", "+inf"),
    ],
)
def test_large_numbers_have_a_power_of_ten(value, text, with_sign):
    assert (number(value), signed(value), brief(value)) == (text, with_sign, with_sign)


def test_a_mean_and_its_spread_have_equally_many_decimals():
    assert plus_minus(39.31, 2.046) == "39.3 ± 2.0"
    assert plus_minus(39.31, float("nan")) == "39.3"
    assert as_printed(39.3, 2.0) == "39.3 ± 2.0"
    assert as_printed(0.4) == "0.4"


def test_ranges_and_lists_say_no_more_than_there_is():
    assert (spread(2, 3), spread(2, 2)) == ("2 to 3", "2")
    assert (listing(["a"]), listing(["a", "b", "c"]), listing([])) == ("a", "a, b and c", "none")
