"""The sentences on an arm, with interval, p-value and verdict."""

import math

from reports.text.findings import findings
from reports.text.formatting import p_value, signed
from tests.reports.made_up import SURE, interval, results_of


def test_findings_give_interval_p_and_verdict(make_run):
    ((heading, (masked,)),) = findings(results_of(make_run, SURE))
    assert heading == "EGNN on TIP3P water, flexible"
    (percent, low, high), t = interval([math.log(50 / 100), math.log(55.2 / 110), math.log(59.9 / 120)])
    raw = 1 - abs(t) / math.sqrt(2 + t * t)
    assert (
        f"({signed(percent)} %, 95 % CI {signed(low)} to {signed(high)} %, 3 seeds, p {p_value(raw)}, "
        f"{p_value(2 * raw)} corrected: lower)"
    ) in masked.sentences[0]
