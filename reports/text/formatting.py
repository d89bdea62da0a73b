"""Numbers as text: one way for the page, the Markdown, the figures' texts and the terminal."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

NONE = "–"
MINUS = "\N{MINUS SIGN}"

UNTOLD = "no difference can be told"
"""What is said of a primary comparison without a verdict, always with what it could not have seen."""

UNDETERMINED = "not determined"
"""In place of an interval that tells next to nothing: one that holds 0 and reaches beyond `WIDEST`."""
WIDEST = 300.0

QUANTITIES = {
    "force_rmse_mev_per_A": ("force RMSE", "meV/Å"),
    "force_mae_mev_per_A": ("force MAE", "meV/Å"),
    "energy_rmse_mev": ("energy RMSE", "meV/structure"),
    "energy_mae_mev": ("energy MAE", "meV/structure"),
    "energy_rmse_mev_per_atom": ("energy RMSE per atom", "meV/atom"),
    "energy_mae_mev_per_atom": ("energy MAE per atom", "meV/atom"),
    "energy_sd_mev": ("energy sd without its constant", "meV/structure"),
    "energy_bias_mev": ("energy constant", "meV/structure"),
    "molecule_force_rmse_mev_per_A": ("RMSE of the net force on molecules", "meV/Å"),
    "molecule_torque_rmse_mev": ("RMSE of the torque on molecules", "meV"),
}
"""Column of a record -> (name, unit) in print. A structure is a simulation box or a molecule."""


REFERENCES = {"null": "no force, mean energy", "one molecule": "one molecule at a time"}
"""Name of a reference that needs no network -> what it predicts."""


def titled(metric: str) -> str:
    """Name and unit of a metric, for a column header."""
    return "{} ({})".format(*QUANTITIES[metric])


LARGE = 1e7
"""From here on numbers are written with a power of ten: nobody counts that many digits."""


def _power(value: float, sign: str = "") -> str:
    """`4.1 × 10¹³`."""
    mantissa, exponent = f"{value:{sign}.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{raised}".replace("-", MINUS)


def decimals(value: float) -> int:
    """Digits after the point: 128.5, 8.37, 0.861."""
    return 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3


def number(value: float, digits: int | None = None) -> str:
    """A number, with a power of ten if large; a dash for NaN."""
    if pd.isna(value):
        return NONE
    if LARGE <= abs(value) < float("inf"):
        return _power(value)
    return f"{value:.{decimals(value) if digits is None else digits}f}".replace("-", MINUS)


def rough(value: float) -> str:
    """Two significant digits, with a power of ten from 10 000 on: `21`, `660`, `9.0 × 10⁶`."""
    return _power(value) if abs(value) >= 1e4 else number(float(f"{value:.2g}"), 0)


def plain(value: float) -> str:
    """A given number, not rounded: 0.25, 1000."""
    return f"{value:.10g}".replace("-", MINUS)


def as_printed(*values: float) -> str:
    """Published numbers with the digits that they were given with, and equally many: `39.3 ± 2.0`, `0.4`."""
    digits = max(len(repr(float(value)).partition(".")[2]) for value in values)
    return " ± ".join(number(value, digits) for value in values)


def plus_minus(mean: float, sd: float) -> str:
    """`mean ± sd` with equally many decimals; the mean alone where there is no sd (one seed)."""
    digits = None if pd.isna(mean) else decimals(mean)
    return number(mean, digits) if pd.isna(sd) else f"{number(mean, digits)} ± {number(sd, digits)}"


def signed(value: float) -> str:
    """A signed number with one decimal (none from 1000 on), `LARGE` as in `number`; what rounds to zero has no sign."""
    if pd.isna(value):
        return NONE
    if LARGE <= abs(value) < float("inf"):
        return _power(value, "+")
    text = f"{value:+.0f}" if abs(value) >= 1000 else f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", MINUS)


def brief(value: float) -> str:
    """A signed number for a sentence: no decimals, one below 2."""
    if LARGE <= abs(value) < float("inf"):
        return _power(value, "+")
    text = f"{value:+.0f}" if abs(value) >= 2 else f"{value:+.1f}"
    return "0" if float(text) == 0 else text.replace("-", MINUS)


def interval(low: float, high: float, text: Callable[[float], str] = signed) -> str:
    """`low to high` in %; nothing where there is no interval, a word where it says next to nothing."""
    if pd.isna(low):
        return ""
    return UNDETERMINED if low < 0 and high > WIDEST else f"{text(low)} to {text(high)}"


def spread(lowest: float, highest: float, digits: int = 0) -> str:
    """`lowest to highest`, or the one number if both print alike."""
    ends = list(dict.fromkeys((number(lowest, digits), number(highest, digits))))
    return " to ".join(ends)


def listing(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "none"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def p_value(p: float) -> str:
    """A p-value: `< 0.001`, else three decimals, and four near 0.05 so that it is seen on which side it lies."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.4f}" if 0.045 <= p <= 0.055 else f"{p:.3f}"
