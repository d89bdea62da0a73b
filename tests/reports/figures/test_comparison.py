"""The paper's comparisons: figures of the arms that the paper put side by side."""

import re

import pytest

from reports.analysis.results import Results
from reports.figures.comparison import comparisons
from reports.figures.palette import COLOURS, look
from reports.records.plan import Arm
from reports.records.run import read_run
from reports.text.formatting import number
from tests.reports.svg import SVG, parsed, texts

pytestmark = pytest.mark.slow


def test_the_papers_figures_show_their_arms(make_run, four_arms):
    run = read_run(make_run(four_arms))
    longer, side_by_side = comparisons(Results(run))
    assert [name for _, name in longer.legend] == ["scratch", "scratch-extended", "masked"]
    assert [name for _, name in side_by_side.legend] == ["masked", "denoised"]
    masked = Results(run).mean(Arm("tip3p", "egnn", "masked"), "force_rmse_mev_per_A")
    assert f"masked {number(masked.mean)} ± {number(masked.sd, 1)}" in longer.panels[0].alt
    for name in ("masked", "denoised"):
        colour = look(run.plan)[0][name]
        assert f"var(--arm-{COLOURS.index(colour)})" in side_by_side.panels[0].svg
    assert "#" not in re.sub(r'(href="|url\()#', "", side_by_side.panels[0].svg), "every colour is the page's"
    assert parsed(side_by_side.file).tag == f"{SVG}svg"


def test_without_denoising_there_is_no_comparison_of_masking_and_denoising(make_run, four_arms):
    without = {name: seeds for name, seeds in four_arms.items() if name != "denoised"}
    (longer,) = comparisons(Results(read_run(make_run(without))))
    assert longer.name == "longer-or-pretrained"


def test_models_of_one_name_stay_apart(make_run, four_arms):
    outcomes = {("tip3p", model, name): seeds for model in ("a", "b") for name, seeds in four_arms.items()}
    models = {"a": {"label": "EGNN"}, "b": {"label": "EGNN"}}
    longer, _ = comparisons(Results(read_run(make_run(outcomes, models=models))))
    assert {"tip3p / a", "tip3p / b"} <= set(texts(longer.panels[0].svg))


def test_without_a_result_there_is_no_figure(make_run):
    assert comparisons(Results(read_run(make_run({"scratch": {0: None}, "masked": {0: ("failed", "why")}})))) == []
    # Errors of zero have no place on a logarithmic axis.
    zero = {name: {0: (0.0, 0.0)} for name in ("scratch", "scratch-extended", "masked", "denoised")}
    assert comparisons(Results(read_run(make_run(zero, name="zero")))) == []
