"""What analytics counts and judges by a contract: declared, by default, or refused by the lint."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.contract import Role, lint, load_contract, render_dictionary, statement_rows
from engage_spark.contract.analytics import analytics_problems, analytics_spec_of
from engage_spark.contract.analytics_spec import ACTIVE, DimensionKind
from engage_spark.contract.odcs import parse_contract
from engage_spark.contract.statements import ARGUMENTS, ClaimKind, OverTime
from engage_spark.errors import ContractError
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.quality.checks.row_checks import row_checks
from tests.support.paths import DATA

CONTRACT = load_contract()
SPEC = analytics_spec_of(CONTRACT)
BIKES = (DATA / "bikes.odcs.yaml").read_text(encoding="utf-8")
Doc = dict[str, Any]
CLAIM = {"name": "c", "version": 1, "statement": "S.", "source": "here"}
INDICATOR = {
    "name": "i",
    "version": 1,
    "expression": "docks_total > 5",
    "description": "D.",
    "aim": "runs_empty",
    "direction": "high",
}


def entity(doc: Doc) -> Doc:
    return next(t for t in doc["schema"] if t["name"] == "stations")


def put(place: Doc, name: str, value: Any) -> None:
    place["customProperties"].append({"property": name, "value": value})


def field(doc: Doc, name: str) -> Doc:
    return next(p for p in entity(doc)["properties"] if p["name"] == name)


def with_use(name: str, value: Any, **more: Any) -> Callable[[Doc], None]:
    def change(doc: Doc) -> None:
        put(field(doc, name), "analytics", value)
        for key, given_value in more.items():
            put(field(doc, name), key, given_value)

    return change


def with_entity(name: str, value: Any) -> Callable[[Doc], None]:
    return lambda doc: put(entity(doc), name, value)


def with_claim(**claim: Any) -> Callable[[Doc], None]:
    return with_entity("claims", [CLAIM | claim])


def with_indicator(**changes: Any) -> Callable[[Doc], None]:
    return with_entity("indicators", [INDICATOR | changes])


def problems_of(change: Callable[[Doc], None]) -> list[str]:
    doc = yaml.load(BIKES, yaml.CSafeLoader)
    change(doc)
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    return problems + analytics_problems(contract)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (with_use("docks_total", ["metrics"]), "analytics names 'metrics'"),
        (with_use("docks_total", "metric"), "must be a list of names"),
        (with_use("docks_total", ["metric", "metric"]), "names a use twice"),
        (with_use("district", ["metric"]), "a metric is a number"),
        (with_use("district", ["quartiles"]), "quartiles are of numbers"),
        (with_use("docks_total", ["value"]), "must be a metric"),
        (with_use("docks_total", ["dimension"]), "a number with bands"),
        (with_use("docks_total", ["cohort"]), "whose unit is months"),
        (with_use("docks_total", ["metric"], overTime="rolling"), "belong together"),
        (with_use("docks_total", ["metric"], rollingDays=7), "belong together"),
        (with_use("docks_total", ["metric"], overTime="rolling", rollingDays=0), "from 1 to 3660"),
        (with_use("docks_total", ["metric"], overTime="rolling", rollingDays=True), "from 1 to 3660"),
        (with_use("docks_total", ["metric"], overTime="flow"), "overTime must be one of"),
        (with_use("docks_total", ["metric"], cohortName="x"), "cohortName is for cohorts"),
        (with_use("station_code", ["dimension"]), "no use for a key"),
        (with_entity("active", "docks_total"), "gives whole"),
        (with_entity("active", "dokcs > 1"), "'dokcs' is not a column"),
        (with_entity("active", "true"), "names no column"),
        (with_entity("active", ["x"]), "must be text"),
        (with_entity("indicators", {"a": 1}), "must be a list of mappings"),
        (with_entity("indicators", ["i"]), "must be a mapping"),
        (with_indicator(extra=1), "unknown key 'extra'"),
        (with_indicator(expression="docks_total >"), "expression"),
        (with_indicator(expression="docks_total + 1"), "gives whole"),
        (with_indicator(expression="rand() > 0.5"), "another result each time"),
        (with_indicator(expression=""), "not empty"),
        (with_indicator(expression=5), "not empty"),
        (with_indicator(aim="docks_total"), "not a target"),
        (with_indicator(direction="up"), "direction must be one of"),
        (with_indicator(version=0), "whole number from 1"),
        (with_indicator(version=True), "whole number from 1"),
        (with_indicator(name="all"), "reserved"),
        (with_indicator(name="(null)"), "name must be"),
        (with_indicator(name="district"), "two dimensions 'district'"),
        (with_indicator(name="District"), "two dimensions 'District'"),
        (with_entity("indicators", [INDICATOR, INDICATOR]), "two dimensions 'i'"),
        (with_entity("indicators", [{}]), "name is missing"),
        (with_claim(kind="rules"), "kind must be one of"),
        (with_claim(kind=["ratio"]), "kind must be one of"),
        (with_claim(kind="ratio", metric="docks_total", claimed=2), "group is missing"),
        (with_claim(kind="ratio", metric="docks_total", group="docks_total > 3", claimed=1), "above 1"),
        (
            with_claim(kind="ratio", metric="docks_total", group="docks_total > 3", claimed="2"),
            "finite number",
        ),
        (
            with_claim(kind="ratio", metric="docks_total", group="docks_total > 3", claimed=float("nan")),
            "finite number",
        ),
        (
            with_claim(kind="ratio", metric="dock", group="docks_total > 3", claimed=2),
            "no metric of analytics",
        ),
        (with_claim(kind="ratio", metric="docks_total", group="docks_total", claimed=2), "gives whole"),
        (
            with_claim(kind="ratio", metric="docks_total", group="docks_total > 1", rest="dock", claimed=2),
            "'dock'",
        ),
        (
            with_claim(
                kind="group_mean", metric="docks_total", group="docks_total > 3", claimed=2, complement=True
            ),
            "complement is of a metric of 0 and 1",
        ),
        (
            with_claim(
                kind="group_mean", metric="docks_total", group="docks_total > 3", claimed=2, complement=1
            ),
            "true or",
        ),
        (
            with_claim(kind="highest", metric="docks_total", dimension="district", segment="Nowhere"),
            "'Nowhere'",
        ),
        (with_claim(kind="highest", metric="docks_total", dimension="zone", segment="North"), "'zone'"),
        (with_claim(kind="mean_above", expression="district", above=0), "gives text"),
        (with_claim(kind="mean_between", metric="docks_total", low=5, high=5), "below high"),
        (with_claim(kind="share", expression="docks_total > 3", claimed=90), "must be a share"),
        (with_claim(kind="shape", metric="docks_total", shape="round"), "shape must be one of"),
        (
            with_claim(kind="shape", metric="docks_total", shape="normal", low=1, high=2),
            "belong to the shape",
        ),
        (with_claim(kind="shape", metric="docks_total", shape="peaks_between"), "belong to the shape"),
        (with_claim(kind="shape", metric="runs_empty", shape="normal"), "a shape is of numbers"),
        (with_claim(kind="customers", claimed=1.5), "whole number of customers"),
        (with_claim(kind="gate", table="stations", gate="nothing"), "declares no gate"),
        (with_claim(kind="gate", table="nowhere", gate="x"), "declares no gate"),
        (with_claim(kind="unmeasurable", reason=" "), "not empty"),
        (
            with_entity("claims", [CLAIM | {"kind": "unmeasurable", "reason": "r", "name": n} for n in "cC"]),
            "two claims are named",
        ),
    ],
)
def test_what_the_stage_could_not_do_is_refused_by_the_lint(
    change: Callable[[Doc], None], refused: str
) -> None:
    problems = problems_of(change)
    assert any(refused in problem for problem in problems), problems


def test_the_lint_of_a_file_has_these_refusals_and_the_stage_raises_them(tmp_path: Path) -> None:
    doc = yaml.load(BIKES, yaml.CSafeLoader)
    with_indicator(aim="docks_total")(doc)
    path = tmp_path / "c.odcs.yaml"
    path.write_text(yaml.dump(doc, Dumper=yaml.CSafeDumper), encoding="utf-8")
    assert any("not a target" in x for x in lint(path))
    contract, _ = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    with pytest.raises(ContractError, match="cannot be analyzed"):
        analytics_spec_of(contract)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(
        ["docks_total", "docks_total > 3", "district", "runs_empty", "North", "x", "", "ratio", "all"]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from([*map(str, ARGUMENTS), "rules", ""]),
    entries=st.dictionaries(
        st.sampled_from(sorted({*CLAIM, *(a for need in ARGUMENTS.values() for part in need for a in part)})),
        _VALUES,
        max_size=8,
    ),
    uses=_VALUES,
)
def test_no_declaration_makes_the_lint_fail(kind: str, entries: Doc, uses: Any) -> None:
    doc = yaml.load(BIKES, yaml.CSafeLoader)
    put(entity(doc), "claims", [CLAIM | {"kind": kind} | entries])
    put(entity(doc), "indicators", [INDICATOR | {k: v for k, v in entries.items() if k in INDICATOR}])
    put(field(doc, "docks_total"), "analytics", uses)
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    if not problems + analytics_problems(contract):
        assert analytics_spec_of(contract).claims


def test_a_contract_that_says_nothing_gets_numbers_categories_and_claims() -> None:
    contract = load_contract(DATA / "bikes.odcs.yaml")
    spec = analytics_spec_of(contract)
    numeric = {"integer", "number", "boolean"}
    of_entity = {
        f.name
        for f in contract.entity.fields
        if f.role in (Role.FEATURE, Role.TARGET) and f.logical_type in numeric
    }
    assert of_entity <= {m.name for m in spec.metrics}
    assert {"district", "electric"} <= {d.name for d in spec.dimensions}
    assert (spec.cohorts, spec.indicators, spec.has_retention) == ((), (), False)
    assert {c.kind for c in spec.claims} >= {ClaimKind.REFERENCE_MEAN, ClaimKind.RULES}
    assert not any(d.is_personal for d in spec.dimensions if d.kind is not DimensionKind.CLAIM)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.odcs.yaml")), ids=lambda p: p.name)
def test_every_contract_can_be_analyzed(path: Path) -> None:
    contract = load_contract(path)
    spec = analytics_spec_of(contract)
    assert spec.metrics
    names = [c.name for c in spec.claims]
    assert len(names) == len(set(names))


def test_checks_that_claims_name_are_those_of_the_deliveries() -> None:
    for contract in (CONTRACT, load_contract(DATA / "bikes.odcs.yaml")):
        for claim in analytics_spec_of(contract).claims:
            if not claim.rules:
                continue
            table = contract.table(claim.table or "")
            known = {c.name for c in row_checks(table)} | {g.name for g in table.gates}
            assert {rule for rule, _ in claim.rules} <= known, claim.name


def test_all_fields_of_the_dictionary_have_their_use() -> None:
    used = {m.name for m in SPEC.metrics} | {d.name for d in SPEC.dimensions}
    unused = {f.name for f in CONTRACT.entity.fields} - used
    assert unused == {"customer_id", "gender"}  # the key, and what only fairness looks at
    rolling = {m.name: m.rolling_days for m in SPEC.metrics if m.over_time is OverTime.ROLLING}
    assert len(rolling) == 9
    for name, days in rolling.items():
        stated = re.search(r"(\d+)_days?$", name)
        assert stated is not None
        assert days == int(stated[1])


def test_every_indicator_is_the_derived_field_of_its_name() -> None:
    indicators = {i.name: i for i in SPEC.indicators}
    derived = {
        f.name: f
        for t in CONTRACT.derived
        for f in t.fields
        if f.name.endswith("_v1") and not f.name.endswith("_count_v1")
    }
    assert len(derived) >= 20
    for name, f in derived.items():
        indicator = indicators[name.removesuffix("_v1")]
        assert f.formula == f"CAST({indicator.expression} AS INT)"
        assert indicator.version == 1


def test_the_dictionary_and_show_list_what_is_declared() -> None:
    rows = statement_rows(CONTRACT, "customers")
    assert [r["kind"] for r in rows] == ["indicator"] * len(CONTRACT.entity.indicators) + ["claim"] * len(
        CONTRACT.entity.claims
    )
    text = render_dictionary(CONTRACT)
    for row in rows:
        assert row["statement"] in text
        assert f"`{row['name']}`, version {row['version']}" in text
    assert statement_rows(CONTRACT, "connections") == []
    assert "analytics: metric; counts over 7 days" in text
    assert "`last_login_days_ago <= 30`" in text


def test_the_fifteen_business_indicators_aim_at_their_target() -> None:
    by_aim = {
        prefix: [i for i in SPEC.indicators if i.name.startswith(prefix)]
        for prefix in ("high_engagement_", "churn_risk_", "high_ltv_")
    }
    assert [len(v) for v in by_aim.values()] == [
        5,
        7,
        6,
    ]  # of churn two thresholds more, of value the measured
    aims = {prefix: {i.aim for i in v} for prefix, v in by_aim.items()}
    assert aims == {
        "high_engagement_": {"engagement_score"},
        "churn_risk_": {"churn_30_day"},
        "high_ltv_": {"lifetime_value_usd"},
    }


def test_only_columns_that_are_used_are_read_and_only_their_tables() -> None:
    names = {c.name for c in SPEC.columns}
    assert {"gender", "content_virality_raw", "network_centrality_measured", "tenure_band"} <= names
    assert not names & {"customer_id", "community_id", "high_ltv_rating_over_4_5_v1", "betweenness"}
    doc = yaml.load(BIKES, yaml.CSafeLoader)
    put(field(doc, "docks_total"), "analytics", ["metric"])
    contract, _ = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert {c.table for c in analytics_spec_of(contract).columns} == {"stations"}


def test_without_the_graph_what_it_measures_is_not_counted() -> None:
    spec = SPEC.within({"customers", "customer_features"})
    assert "network_centrality" in {m.name for m in spec.metrics}
    assert "network_centrality_measured" not in {m.name for m in spec.metrics}
    assert "high_ltv_measured_centrality_over_0_3" not in {d.name for d in spec.dimensions}
    assert spec.indicators == SPEC.indicators
    assert spec.has_retention
    assert ACTIVE in spec.rule_metrics


def feature(name: str, kind: str, **more: Any) -> Doc:
    properties = [{"property": "role", "value": "feature"}]
    properties += [{"property": k, "value": v} for k, v in more.items() if k != "allowed"]
    physical = {"boolean": "boolean", "integer": "int", "number": "double", "string": "string"}[kind]
    made: Doc = {"name": name, "description": "D.", "logicalType": kind, "physicalType": physical}
    if "allowed" in more:
        valid = {"validValues": more["allowed"]}
        made["quality"] = [
            {
                "type": "library",
                "metric": "invalidValues",
                "arguments": valid,
                "mustBe": 0,
                "dimension": "conformity",
            }
        ]
    return made | {"customProperties": properties}


def with_fields(*fields: Doc) -> Doc:
    doc: Doc = yaml.load(BIKES, yaml.CSafeLoader)
    entity(doc)["properties"] += fields
    return doc


def test_names_that_nobody_declared_for_analytics_never_collide() -> None:
    doc = with_fields(
        feature("active", "boolean"),
        feature("customers", "integer", referenceMean=3.0),
        feature("all", "number", bands=[1, 2]),
        feature("Retention", "number"),
    )
    put(entity(doc), "active", "active")
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert problems + analytics_problems(contract) == []
    spec = analytics_spec_of(contract)
    sources = {m.name: m.source for m in spec.metrics}
    assert (sources["stations_active"], sources[ACTIVE]) == ("`active`", "`active`")
    assert sources["stations_customers"] == "`customers`"
    assert {"stations_all", "stations_Retention"} <= sources.keys()
    assert {"stations_all", "stations_active"} <= {d.name for d in spec.dimensions}
    mean = next(c for c in spec.claims if c.kind is ClaimKind.REFERENCE_MEAN and "customers" in c.name)
    assert mean.metric == "stations_customers"
    assert {"active", "customers", "all"} <= {c.name for c in spec.columns}
    words = Vocabulary(contract)
    of_metric = words.field_of("stations_customers")
    assert of_metric is not None and of_metric.name == "customers"


@pytest.mark.parametrize(("name", "kind"), [("active", "boolean"), ("customers", "integer")])
def test_a_reserved_name_that_was_declared_is_refused(name: str, kind: str) -> None:
    doc = with_fields(feature(name, kind, analytics=["metric"]))
    contract, _ = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert any(f"a metric {name!r}; the name is reserved" in x for x in analytics_problems(contract))


def test_claims_of_shares_that_would_have_one_name_have_two() -> None:
    doc = with_fields(
        feature("plan", "string", allowed=["free", "pro_trial"], referenceShares={"pro_trial": 0.4}),
        feature("plan_pro", "string", allowed=["no", "trial"], referenceShares={"trial": 0.4}),
        feature("plan_pro_trial_share", "integer", referenceMean=1.0),
    )
    put(field(doc, "docks_total"), "analytics", ["metric"])
    put(entity(doc), "claims", [CLAIM | {"kind": "customers", "claimed": 5, "name": "plan_pro_share"}])
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert problems + analytics_problems(contract) == []
    spec = analytics_spec_of(contract)
    shares = {c.name: c for c in spec.claims if c.kind is ClaimKind.REFERENCE_SHARE}
    first, second = shares["plan_pro_trial_share"], shares["plan_pro_trial_share_2"]
    sources = {d.name: d.source for d in spec.dimensions}
    assert "`plan`" in sources[first.dimension or ""]
    assert "`plan_pro`" in sources[second.dimension or ""]


def test_tables_that_share_the_name_of_a_column_are_told_apart() -> None:
    doc = yaml.load(BIKES, yaml.CSafeLoader)
    derived = next(
        t
        for t in doc["schema"]
        if any(p == {"property": "kind", "value": "derived"} for p in t["customProperties"])
    )
    doc["schema"].append(copy.deepcopy(derived) | {"name": "other_features"})
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert problems + analytics_problems(contract) == []
    spec = analytics_spec_of(contract)
    columns = {c.name: (c.table, c.field) for c in spec.columns if "features" in c.table}
    assert len(columns) == len(set(columns.values()))
    assert {f"other_features_{f}" for t, f in columns.values() if t == derived["name"]} <= columns.keys()
    assert all(
        columns[n] == ("other_features", n.removeprefix("other_features_")) for n in columns if "other_" in n
    )


def test_a_quartile_of_a_field_gives_way_to_a_field_of_its_name() -> None:
    doc = with_fields(
        feature("size", "number", analytics=["metric", "quartiles"]),
        feature("size_quartile", "string", analytics=["dimension"]),
    )
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert problems + analytics_problems(contract) == []
    kinds = {d.name: d.kind for d in analytics_spec_of(contract).dimensions}
    assert kinds["size_quartile"] is DimensionKind.CATEGORY
    assert kinds["size_quartile_2"] is DimensionKind.QUARTILE


def test_a_number_of_months_or_a_date_is_the_month_of_a_cohort() -> None:
    doc = yaml.load(BIKES, yaml.CSafeLoader)
    put(field(doc, "docks_total"), "analytics", ["metric", "cohort"])
    field(doc, "docks_total")["customProperties"] = [
        p for p in field(doc, "docks_total")["customProperties"] if p["property"] != "unit"
    ]
    put(field(doc, "docks_total"), "unit", "months")
    put(field(doc, "docks_total"), "cohortName", "opened")
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="c")
    assert problems == []
    spec = analytics_spec_of(contract)
    assert [(c.name, c.is_month) for c in spec.cohorts] == [("opened", True)]
    (opened,) = (d for d in spec.dimensions if d.name == "opened")
    assert opened.kind is DimensionKind.COHORT
    months = "CASE WHEN `docks_total` BETWEEN 0 AND 12000 THEN try_cast(`docks_total` AS INT) END"
    assert f"add_months(trunc(`snapshot_date`, 'MM'), -{months})" in opened.source
