"""No claim's figure tells of fewer than 20 customers."""

from __future__ import annotations

from engage_spark.analytics.claim_suppression import small_claims, without_few_broken, without_few_lacking
from engage_spark.contract import load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.statements import ClaimKind


def test_a_share_that_stands_for_few_is_hidden_with_its_neighbour() -> None:
    def share(claim: str, measured: float, source: str = "plan", n: int = 400) -> dict[str, object]:
        return {"claim": claim, "measured": measured, "n": n, "unit": "share", "source": source}

    rows = [share("tiny", 0.03), share("next", 0.17), share("big", 0.8), share("other", 0.5, "region")]
    assert small_claims(rows) == {"tiny", "next"}
    assert small_claims([share("few", 0.5, n=19), share("nearly all", 0.99, "region")]) == {
        "few",
        "nearly all",
    }
    assert small_claims([share("a", 0.5), share("b", 0.5), {**share("mean", 3.0), "unit": "USD"}]) == set()


def test_a_claim_on_a_small_group_or_rest_is_hidden() -> None:
    def ratio(claim: str, *groups: int | None, kind: str = "ratio") -> dict[str, object]:
        row = {"claim": claim, "measured": 3.0, "n": 400, "unit": "ratio", "source": "x", "kind": kind}
        return row | dict(zip(("n_group", "n_rest"), groups, strict=False))

    rows = [
        ratio("large", 200, 200),
        ratio("few", 19, 381),
        ratio("few others", 390, 10),
        ratio("older", None, None),
        ratio("without the columns"),
        ratio("a mean", None, None, kind="reference_mean"),
    ]
    assert small_claims(rows) == {"few", "few others", "older", "without the columns"}


def test_declared_shares_do_not_tell_of_what_none_of_them_stands_for() -> None:
    row = {"n": 1000, "unit": "share", "source": "gender", "kind": "reference_share"}
    rows = [row | {"claim": "m", "measured": 0.505}, row | {"claim": "f", "measured": 0.49}]
    assert small_claims(rows) == {"f"}
    assert small_claims([r | {"kind": "share"} for r in rows]) == set(), "they are no parts of one whole"


def test_a_share_of_customers_that_break_a_check_is_not_told_of_few() -> None:
    spec = analytics_spec_of(load_contract())
    of_checks = [c for c in spec.claims if c.kind in (ClaimKind.RULES, ClaimKind.MISSING)]
    rows = [
        {"claim": c.name, "measured": share, "lower": share, "upper": share, "n": 1000, "explanation": "e"}
        for c in of_checks
        for share in (0.0, 0.7, 7.0, 99.3, 100.0)
    ]
    shown = without_few_broken(rows, spec)
    for table, expected in (
        (spec.entity, {0.0, 7.0, 100.0, None}),
        ("interactions", {0.0, 0.7, 7.0, 99.3, 100.0}),
    ):
        names = {c.name for c in of_checks if c.table == table}
        assert names and {r["measured"] for r in shown if r["claim"] in names} == expected
    assert all(r["explanation"] == "e" for r in shown)


def test_n_does_not_tell_how_few_lack_a_value() -> None:
    """Of 1,000 customers; 0.412888 is 410/993, and of no other n with so few digits as it is told by."""
    row = {"measured": 410 / 993, "lower": 0.3826, "upper": 0.4438, "n_group": None, "n_rest": None}
    made = {
        (kind, n): {**row, "claim": f"{kind} {n}", "kind": kind, "n": n, "explanation": f"on {n:,} customers"}
        for kind in ("reference_mean", "share", "rules", "missing", "gate", "customers")
        for n in (1000, 993, 980)
        if kind != "customers" or n == 1000
    }
    shown = dict(zip(made, without_few_lacking(made.values(), 1000), strict=True))
    assert {key for key, r in shown.items() if r["n"] is None} == {("reference_mean", 993), ("share", 993)}
    hidden = shown["share", 993]
    assert (hidden["measured"], hidden["lower"], hidden["upper"]) == (0.413, 0.382, 0.444)
    assert "993" not in str(hidden | {"claim": ""})
    assert all(r == made[key] for key, r in shown.items() if r["n"] is not None)
