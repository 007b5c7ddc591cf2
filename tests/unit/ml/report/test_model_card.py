"""The model card: what is known is in it, what was not done is said, the text is the same each time, and no
claim is made.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engage_spark.contract.money import ContactMoney
from engage_spark.ml.data.split_rows import SplitSummary
from engage_spark.ml.evaluation.bootstrap import Interval, intervals, paired_gain
from engage_spark.ml.evaluation.conformal import calibrate_regression, calibrate_sets
from engage_spark.ml.evaluation.metrics import METRICS, metrics_of
from engage_spark.ml.evaluation.profit_curve import profits
from engage_spark.ml.fairness.group_metrics import GroupFigure, GroupNote, compare
from engage_spark.ml.fairness.group_sums import GroupSums
from engage_spark.ml.fairness.proxy import Carrier, Proxy, ProxyGroup
from engage_spark.ml.feature_spec import LeakPolicy, Target, Task
from engage_spark.ml.report.card_parts import Alternative, AuditEntry, Scored, SelectedFeature
from engage_spark.ml.report.markdown import table
from engage_spark.ml.report.model_card import NOT_DONE, Card
from engage_spark.wording import number
from tests.support.groups import single_rows

LEAVES = Target(
    name="leaves", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=30, baseline="idle_days"
)
WORTH = Target(
    name="worth", task=Task.REGRESSION, minimum=0.0, maximum=5000.0, label_days=0, baseline=None, unit="USD"
)


def bare(target: Target) -> Card:
    return Card(
        name=f"{target.name} model",
        version="3",
        target=target,
        description="Says who may leave.",
        policy=LeakPolicy.STRICT,
        kind="gradient-boosted trees, calibrated",
        parameters=(("depth", "5"), ("rounds", "20")),
        run="run-1",
        code="0.1.0",
        contract="engagement 1.0.0",
        settings="abc",
        uses=("to rank customers for a check-in",),
        entity="customers",
    )


def covered(group: str, n: int, share: float) -> GroupFigure:
    reach = 1.96 * (share * (1 - share) / n) ** 0.5
    return GroupFigure(
        attribute="all",
        attributes=("all",),
        group=group,
        n=n,
        customers=n,
        compared=False,
        metric="coverage",
        value=share,
        low=share - reach,
        high=share + reach,
        reference=None,
        difference=None,
        ratio=None,
    )


def full() -> Card:
    random = np.random.default_rng(1)
    p = random.beta(1.5, 2.5, 4000)
    y, base = (random.random(4000) < p).astype(float), np.clip(p + random.normal(0, 0.25, 4000), 0, 1)
    found, plain = (intervals(metrics_of(Task.BINARY), y, s, replicates=40) for s in (p, base))
    scored = tuple(Scored(metric=m, model=i, baseline=plain[m]) for m, i in found.items() if i is not None)

    def sums(n: int, selected: int) -> GroupSums:
        return single_rows(n, ones=n // 3, selected=selected, hits=selected // 2)

    auc = Interval(value=0.61, low=0.59, high=0.63, confidence=0.95, replicates=40)
    proxy = Proxy(
        attribute="gender",
        features=25,
        fitted=1000,
        judged=1000,
        smallest=100,
        left_out=("Non-binary",),
        groups=(
            ProxyGroup(
                group="Female", n=450, auc=auc, carriers=(Carrier(feature="posts", alone=0.58, lost=0.02),)
            ),
        ),
    )
    gain = paired_gain(METRICS["auc"], y, p, base, replicates=40)
    return replace(
        bare(LEAVES),
        snapshots=("2025-09-21",),
        tables=(("customer_features", "Delta 4"),),
        parts=(
            SplitSummary(name="fit", rows=64000, mean=0.379),
            SplitSummary(name="test", rows=20000, mean=0.379),
        ),
        kept=(
            SelectedFeature(name="idle_days", importance=0.21, folds=5),
            SelectedFeature(name="posts", importance=0.05, folds=4),
        ),
        importance_is="mean |SHAP|",
        eliminated=("followers",),
        excluded=(
            ("gender", "protected, for audits only"),
            ("worth", "the target's twin"),
            ("score", "the target's twin"),
        ),
        candidates=(("gbt", 0.71, 0.004), ("linear", 0.69, 0.005)),
        judged="Evaluated on 20,000 test rows.",
        scored=scored,
        gains=(("the baseline", gain),),
        calibration=("Isotonic, on 8,000 rows of their own.",),
        conformal=calibrate_sets(y, p, coverage=0.9),
        coverage=(("all", covered("all", 20000, 0.902)), ("label 1", covered("label 1", 7580, 0.901))),
        money=ContactMoney(value=20.0, cost=5.0, success=0.2, currency="EUR", source="the desk"),
        profits=profits(y, p, values=[20.0, 50.0, 125.0], cost=5.0, success=0.2, replicates=40),
        fairness=compare(
            {
                ("all",): {"all": sums(2000, 900)},
                ("gender",): {"Female": sums(950, 500), "Male": sums(1000, 250), "x": sums(50, 9)},
            },
            task=Task.BINARY,
            smallest=100,
            notes=(GroupNote(attribute="age", group="55-64, 65+", reason="shown as one"),),
        ),
        proxies=(proxy,),
        untested_proxies=("no proxy test of age",),
        findings=(AuditEntry(about="status|now", text="tells the label with AUC 0.97", stops=True),),
        versions=(
            Alternative(name="permissive", features=25, metric="auc", value=0.9, reference=0.8, folds=2),
        ),
        limits=("One snapshot was used.",),
    )


def test_a_card_says_what_is_known() -> None:
    text = full().markdown()
    for part in (
        "# leaves model, version 3",
        "`leaves`, predicted as the probability of 1",
        "| fit | 64,000 | 0.379 |",
        "| `idle_days` | 0.21 | 5 |",
        "- the target's twin: `worth`, `score`",
        "Eliminated by selection: `followers`.",
        "AUC",
        "baseline",
        "| label 1 | 7,580 | 90.1% [89.4%, 90.8%] |",
        "cost 5 EUR, and to succeed with 20% of the rows of class 1",
        "Source of the figures: the desk.",
        "| 20 | nobody | 0.0% |",
        "- gender, statistical parity: Male has 0.475 [0.4198, 0.5369] of the rate of Female.",
        "| flagged |",
        "- age: 55-64, 65+: shown as one.",
        "`posts` (0.58 alone)",
        "| gender | Non-binary | not tested: fewer than 100 customers to fit or to measure | – |",
        "- no proxy test of age",
        "status\\|now",
        "| stops |",
        "permissive",
        "associations, not causes",
        "- One snapshot was used.",
        "known 30 days after the snapshot",
        "a gain in 100% of the",
    ):
        assert part in text, part
    assert NOT_DONE not in text and "not done" not in text


def test_without_money_nothing_is_decided_and_the_card_says_what_groups_are_compared_by() -> None:
    text = replace(full(), money=None, profits=(), selected_from=0.379).markdown()
    assert "The contract declares no money of this target" in text
    assert "p*" not in text and "profit per 1,000" not in text
    assert "rows of a probability of 0.379 or more, the share of class 1, were selected" in text


def test_the_card_calls_rows_what_the_contract_calls_them() -> None:
    text = replace(full(), entity="stations").markdown()
    assert "drawn by stations" in text and "For other stations" in text
    assert "fewer than 100 stations to fit" in text and "where at least 100 stations are behind" in text


def test_groups_that_could_not_be_audited_are_named_with_the_reason() -> None:
    card = full()
    assert card.fairness is not None
    reason = "not audited by postcode: more than 5,000 combinations"
    text = replace(card, fairness=replace(card.fairness, unaudited=(reason,))).markdown()
    assert f"By group: {NOT_DONE.lower()}\n\n- {reason}" in text
    assert "are held against four fifths" in card.markdown() and "four fifths" not in text


def test_a_card_has_the_same_text_each_time() -> None:
    assert full().markdown() == full().markdown()


def test_what_was_not_done_is_said() -> None:
    text = bare(LEAVES).markdown()
    for head in (
        "How good it is",
        "How sure it is",
        "Leakage audit",
        "What other choices would give",
    ):
        assert f"## {head}\n\n{NOT_DONE}" in text, head
    assert "By group: not done in this run." in text and "give groups away: not done in this run." in text
    assert "Nothing was found." in replace(bare(LEAVES), findings=()).markdown()


def test_a_regression_has_units_and_no_threshold() -> None:
    random = np.random.default_rng(2)
    y = random.gamma(1.0, 300.0, 500)
    found = intervals(metrics_of(Task.REGRESSION), y, y * 0.9, replicates=20)
    text = replace(
        bare(WORTH),
        scored=tuple(Scored(metric=m, model=i) for m, i in found.items() if i is not None),
        conformal=calibrate_regression(
            y[:15], y[:15] * 0.9, coverage=0.9, parts=2, minimum=0.0, maximum=5000.0
        ),
    ).markdown()
    assert "From which probability" not in text
    assert "a number from 0 to 5,000 USD" in text
    assert " USD [" in text and "| R² | 0.9" in text
    assert "2 of 2 cells have too few rows" in text


def test_tables_have_as_many_cells_in_every_line() -> None:
    for line_group in full().markdown().split("\n\n"):
        lines = [x for x in line_group.split("\n") if x.startswith("|")]
        assert len({x.replace("\\|", "").count("|") for x in lines}) <= 1, line_group


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.81234, "0.8123"),
        (1234.5, "1,234"),
        (5000.0, "5,000"),
        (0.0, "0"),
        (-0.0, "0"),
        (1e-7, "1.0e-07"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (-12.345, "-12.35"),
        (999.96, "1,000"),
    ],
)
def test_numbers_have_four_digits(x: float, text: str) -> None:
    assert number(x) == text


def test_nothing_is_no_table() -> None:
    assert table(("a",), []) == ""
    assert table(("a", "b"), [("x\ny", "1")]) == "| a | b |\n| --- | --- |\n| x y | 1 |"


def test_the_brief_has_the_figures_and_no_decision() -> None:
    card = full()
    text = card.brief()
    for head in ("How good it is", "How sure it is", "From which probability on to act", "Features"):
        assert f"## {head}\n\n" in text
    assert "One snapshot was used." not in text and "## Limits" not in text
    assert len(text) < len(card.markdown())


def test_the_card_claims_no_cause() -> None:
    text = full().markdown().lower()
    for word in ("because of", "drives", "causes churn", "will leave", "guarantee"):
        assert word not in text
    assert not Path("card.md").exists()  # text alone: nothing is written
