"""Pictures: each is drawn, and has the same bytes twice; without matplotlib an error says what to do."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml.evaluation.deciles import calibration, deciles
from engage_spark.ml.evaluation.profit_curve import profits
from engage_spark.ml.fairness.group_metrics import Fairness, compare
from engage_spark.ml.fairness.group_sums import GroupSums
from engage_spark.ml.feature_spec import Task
from engage_spark.ml.report import plots
from tests.support.groups import single_rows

RANDOM = np.random.default_rng(1)
P = RANDOM.beta(2, 3, 1000)
Y = (RANDOM.random(1000) < P).astype(float)


def fairness() -> Fairness:
    def sums(n: int) -> GroupSums:
        return single_rows(n, ones=n // 3, selected=n // 2, hits=n // 4)

    return compare(
        {("all",): {"all": sums(1000)}, ("kind",): {"<a> & b": sums(600), "c": sums(390), "d": sums(10)}},
        task=Task.BINARY,
        smallest=100,
    )


DRAWN: dict[str, Callable[[plots.Format], bytes]] = {
    "calibration": lambda form: plots.calibration_curve(
        calibration(Y, P),
        before=calibration(Y, P**2),
        spread=calibration(Y, P, mass=False),
        title="t",
        form=form,
    ),
    "calibration alone": lambda form: plots.calibration_curve(calibration(Y, P), title="t", form=form),
    "profit": lambda form: plots.profit_curve(
        profits(Y, P, values=[10.0, 125.0], cost=5.0, success=0.2, replicates=20),
        title="t",
        unit="USD",
        form=form,
    ),
    "lift": lambda form: plots.lift_chart(
        deciles(Y, P, task=Task.BINARY), title="t", what="churn", form=form
    ),
    "lift of nothing": lambda form: plots.lift_chart(
        deciles(Y * 0, P, task=Task.BINARY), title="t", what="churn", form=form
    ),
    "selection": lambda form: plots.selection_curve(
        [5, 4, 3], [[0.8, 0.7, 0.6]] * 2, n_features=4, metric="AUC", title="t", form=form
    ),
    "fairness": lambda form: plots.fairness_chart(
        fairness(), attribute="kind", metrics=["statistical_parity", "calibration"], title="t", form=form
    ),
    "actual": lambda form: plots.predicted_actual(
        Y, P, title="t", tenths=deciles(Y, P, task=Task.REGRESSION), form=form
    ),
    "actual of a constant": lambda form: plots.predicted_actual(np.ones(5), np.ones(5), title="t", form=form),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_has_the_same_bytes_each_time(name: str) -> None:
    svg = DRAWN[name]("svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert DRAWN[name]("svg") == svg
    assert b"<dc:date>" not in svg
    png = DRAWN[name]("png")
    assert png.startswith(b"\x89PNG") and DRAWN[name]("png") == png


def test_other_figures_make_another_picture() -> None:
    one = plots.selection_curve([5, 4, 3], [[0.8, 0.7, 0.6]], n_features=4, metric="AUC", title="t")
    assert one != plots.selection_curve([5, 4, 3], [[0.8, 0.7, 0.5]], n_features=4, metric="AUC", title="t")


def test_a_picture_changes_no_setting_of_matplotlib() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    DRAWN["lift"]("svg")
    assert dict(mpl.rcParams) == before


def test_a_picture_says_nothing_of_fonts_that_it_does_not_need(caplog: pytest.LogCaptureFixture) -> None:
    fonts = logging.getLogger("matplotlib.font_manager")

    def draw(_: object) -> None:
        fonts.warning("findfont: Font family ['STIXGeneral'] not found.")

    level = fonts.level
    plots._drawn(draw, (2, 2), "svg")
    assert (caplog.records, fonts.level) == ([], level)


def test_groups_that_cannot_be_shown_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no group of 'other' can be shown"):
        plots.fairness_chart(fairness(), attribute="other", metrics=["accuracy"], title="t")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"engage-spark\[ml\]"):
        DRAWN["lift"]("svg")


def test_a_cell_of_few_rows_is_not_drawn() -> None:
    """A lone customer's label and prediction could be read from it."""
    y = np.concatenate([np.full(50, 10.0), [90.0]])
    drawn = plots.predicted_actual(y, y, title="t", form="svg").decode()
    assert "1 of 51 rows are outside, or among fewer than 5" in drawn
