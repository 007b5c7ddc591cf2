"""The page shows what is published, hides small groups, escapes texts, and never fails for lack of it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark import open_lake
from engage_spark.cli import main
from engage_spark.contract import Role, load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.errors import NotPublishedError, TransientError
from engage_spark.insight import Insight
from engage_spark.reader import OpenLake
from engage_spark.report import Report, build_report
from engage_spark.report.build import PARTS, _section
from engage_spark.report.sections.changes import periods_with_few
from engage_spark.report.sections.columns import histogram_ends, merged_bins
from engage_spark.report.sections.findings import shown_pairs
from engage_spark.report.sections.groups import estimate_of
from engage_spark.report.source import Source, numeric_fields
from tests.support.analysed_lake import NEWEST, analyse, analysed_lake
from tests.support.counted_lake import counted_lake, ingest, made_customers
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import DATA

ENGAGEMENT, BIKES = load_contract(), load_contract(DATA / "bikes.odcs.yaml")
ORDER = (
    "changes",
    "quality",
    "features",
    "graph",
    "models",
    "segments",
    "cohorts",
    "correlations",
    "indicators",
    "claims",
)


def section(report: Report, key: str) -> str:
    match = re.search(rf"<section id='{key}'.*?</section>", report.html, re.DOTALL)
    assert match, key
    return match[0]


def specs(text: str) -> list[str]:
    return re.findall(r"<script type='application/json' id='[\w-]+'>(.*?)</script>", text, re.DOTALL)


def test_every_section_is_there_in_order_and_has_something_to_show(page: Report) -> None:
    assert page.sections == ORDER
    assert page.absent == ()
    assert re.findall(r"<section id='(\w+)'", page.html) == list(ORDER)
    assert (page.day, page.snapshots) == (NEWEST, 2)


def test_every_figure_and_table_states_unit_n_and_day(page: Report) -> None:
    parts = re.findall(r"<h3>.*?</h3><p class='meta'>(.*?)</p>", page.html)
    assert len(parts) == page.html.count("<h3>") > 20
    for meta in parts:
        text = html.unescape(re.sub(r"</?span>", "", meta))
        assert re.fullmatch(r"Unit: .+ · n = .+ · as of \d{4}-\d\d-\d\d( to \d{4}-\d\d-\d\d)?", text), meta


def test_the_page_is_small_names_its_scripts_and_asks_for_nothing(page: Report) -> None:
    assert len(page.html.encode()) < 3_000_000
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page.html)
    assert policy and "default-src 'none'" in policy[1] and "connect-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1] and "script-src 'sha256-" in policy[1]
    assert not re.findall(r"<(?:script|img|iframe|link)[^>]+(?:src|href)='?\"?https?:", page.html)


def test_hostile_names_are_text_and_nothing_else(page: Report) -> None:
    assert "<img src=x" not in page.html
    assert page.html.count("<script>") == 2, "only the page's own scripts run"
    assert "alert(1)</script><!--" not in page.html
    assert "\u202e" not in page.html and "\x1b" not in page.html and "\u2028" not in page.html
    assert "qzxwvyplmokn" not in page.html
    assert html.escape(r"</script><script>alert(1)</script><!-- \u202eright") in section(page, "claims")
    for spec in specs(page.html):
        assert "<" not in spec
        json.loads(spec)


def test_small_groups_are_hidden_and_so_is_what_gives_them_away(tmp_path: Path) -> None:
    dimensions = {
        "plan": [("tiny", 7), ("next", 40), ("big", 353)],
        "region": [("north", 200), ("south", 200)],
    }
    lake = analysed_lake(tmp_path, ENGAGEMENT, days=2, dimensions=dimensions)
    report = build_report(open_lake(lake.root))
    shown = section(report, "segments") + section(report, "changes") + section(report, "cohorts")
    assert ">big<" in shown and ">north<" in shown
    assert "tiny" not in shown and ">next<" not in shown
    assert '"tiny"' not in "".join(specs(shown)) and '"next"' not in "".join(specs(shown))
    assert "2 groups are not shown" in shown


def test_shares_of_a_protected_field_do_not_give_a_small_group_away(tmp_path: Path) -> None:
    """Each declared share is a rule of its own; 505 and 490 of 1,000 would tell of the five."""
    shares = {"gender_male": 505, "gender_female": 490, "gender_non_binary": 5}
    dimensions: dict[str, list[tuple[str | None, int]]] = {
        name: [("true", n), ("false", 1000 - n)] for name, n in shares.items()
    }
    lake = analysed_lake(tmp_path, ENGAGEMENT, days=2, customers=1000, dimensions=dimensions)
    lake_open = open_lake(lake.root)
    report = build_report(lake_open)
    for key in ("segments", "changes"):
        assert "gender_" not in section(report, key)
    hidden = Source(lake_open).hidden
    assert [name for name in shares if not hidden[name]] == ["gender_male"]


def test_of_nested_rules_that_differ_by_few_one_is_shown(tmp_path: Path) -> None:
    names = ("churn_risk_login_over_14", "churn_risk_login_over_30", "low_engagement_sessions_under_3")
    dimensions: dict[str, list[tuple[str | None, int]]] = {
        name: [("true", n), ("false", 1000 - n)] for name, n in zip(names, (505, 500, 500), strict=True)
    }
    texts = dict(zip(("long_absent", "no_frills", "rarely_seen"), names, strict=True))
    lake = analysed_lake(
        tmp_path,
        ENGAGEMENT,
        days=1,
        customers=1000,
        dimensions=dimensions | {"plan": [("a", 1000)]},
        names=texts,
    )
    report = build_report(open_lake(lake.root))
    assert f"another rule or group: {names[1]}." in html.unescape(section(report, "indicators"))
    shown = section(report, "segments") + "".join(specs(section(report, "indicators")))
    assert names[0] in shown and names[2] in shown and names[1] not in shown


def test_groups_of_people_that_are_too_small_are_not_compared(page: Report) -> None:
    fairness = section(page, "models")
    assert ">one<" in fairness and ">another<" in fairness
    assert ">tiny<" not in fairness and ">third<" not in fairness, "third would give tiny away"
    assert "4 values of groups that are too small" in fairness


def test_groups_of_two_protected_fields_do_not_tell_a_small_one_by_their_sums(
    tmp_path: Path, full: SmallLake
) -> None:
    """A cell of 7 is hidden with another of 57; beside the fields' own groups any other would tell it."""
    cells = iter((("one, old", 193), ("one, young", 7), ("another, old", 57), ("another, young", 43)))

    def of_pair(i: int, row: dict[str, Any]) -> None:
        if row["member"] is not None and row["measure"] == "selection_rate":
            member, n = next(cells, ("rest, old", 100))
            row |= {"attribute": "gender x age", "member": member, "n_rows": n}

    lake = changed(full, tmp_path / "pairs", "model_monitoring", of_pair)
    text = section(build_report(lake), "models")
    assert "one, old" not in text and "another, young" not in text
    assert "How predictions fared once labels were known" in text


def test_a_target_whose_labels_mature_later_is_shown_as_of_its_own_day(page: Report) -> None:
    first, second = [f.name for f in ENGAGEMENT.entity.fields if f.role is Role.TARGET][:2]
    shown = section(page, "models")
    assert shown.count(f"as of {NEWEST - timedelta(days=30)} to {NEWEST}") >= 2
    for target, day in ((first, NEWEST), (second, NEWEST - timedelta(days=30))):
        assert f"{target} · selection_rate" in shown
        assert re.search(rf"<td[^>]*>{target}</td>(?:(?!</tr>).)*<td[^>]*>{day}</td>", shown)


def test_claims_are_listed_with_verdicts_the_contradicted_first(page: Report) -> None:
    claims = section(page, "claims")
    verdicts = re.findall(r"class='verdict (\w*)'>([\w ]+)<", claims)
    assert [v for _, v in verdicts][:6] == ["contradicted"] * 5 + ["absent"]
    assert "25 statements" in claims and "5 cannot be told" in claims


def test_claims_on_the_checks_of_an_earlier_delivery_say_so(tmp_path: Path) -> None:
    rides = BIKES.logs[0]
    lake = counted_lake(tmp_path, BIKES, {NEWEST: made_customers(BIKES, 60)})
    before = section(build_report(open_lake(lake.root, contract=BIKES)), "claims")
    assert f"{rides.name}_ranges" in before and "earlier delivery" not in before
    lake.ingest(rides, NEWEST, [{"ride_id": "one"}], "r1", is_log=True)
    opened = open_lake(lake.root, contract=BIKES)
    after = section(build_report(opened), "claims")
    assert "Claims on the checks of rides tell of an earlier delivery" in after
    (row,) = re.findall(rf"<tr>(?:(?!</tr>).)*{rides.name}_ranges, version 1.*?</tr>", after)
    assert "Of an earlier delivery. " in row
    assert after.count("Of an earlier delivery. ") // 2 == len(opened.claims_of_earlier_checks(NEWEST))
    tools = Insight(opened)
    (note,) = (n for n in tools.call("check_claim").notes if "delivered again" in n)
    assert note.startswith("rides was delivered again since")
    assert note in tools.call("check_claim", {"claim": f"{rides.name}_ranges"}).notes
    assert note not in tools.call("check_claim", {"claim": f"{BIKES.entity.name}_ranges"}).notes


def test_quality_shows_rejected_attempts_and_broken_rules(page: Report) -> None:
    quality = section(page, "quality")
    assert "rejected 1" in quality and "attempt 2, rejected" in quality
    assert ">in_range<" in quality and "broken" in quality


def test_an_empty_lake_says_which_commands_make_it(tmp_path: Path) -> None:
    report = build_report(open_lake(tmp_path))
    assert report.day is None and set(report.absent) == set(ORDER)
    for command in ("ingest", "features", "graph", "train", "analyze"):
        assert f"<code>engage-spark {command}</code>" in report.html


def test_one_snapshot_says_that_it_is_one_and_quality_stands_first(tmp_path: Path) -> None:
    lake = analysed_lake(tmp_path, ENGAGEMENT, days=1)
    report = build_report(open_lake(lake.root))
    assert "one snapshot up to this day, that of 2025-10-21" in section(report, "changes")
    assert report.absent == ("changes",)
    assert report.sections[1] == "quality"
    assert "Which metrics moved" not in report.html


def test_an_earlier_day_is_reported_as_of_that_day(full: SmallLake) -> None:
    report = build_report(open_lake(full.root), as_of=NEWEST - timedelta(days=1))
    assert report.day == NEWEST - timedelta(days=1) and report.snapshots == 1
    assert "2025-10-21" not in section(report, "changes") + section(report, "claims")
    assert {"features", "graph", "models"} <= set(report.absent), "they are published for the next day alone"
    with pytest.raises(
        NotPublishedError, match=r"no snapshot is published of 2020-01-01 or before\nHint: the first"
    ):
        build_report(open_lake(full.root), as_of=date(2020, 1, 1))


def test_another_business_is_reported_without_code(tmp_path: Path) -> None:
    lake = analysed_lake(tmp_path, BIKES)
    report = build_report(open_lake(lake.root, contract=BIKES))
    assert BIKES.name in report.html and "customer_id" not in report.html
    assert "segments" not in report.absent and "claims" not in report.absent


def test_ten_thousand_categories_and_a_dimension_that_is_null_fit_on_the_page(tmp_path: Path) -> None:
    crowd: list[tuple[str | None, int]] = [(f"value {i:05d}", 25 + i % 7) for i in range(10_000)]
    nothing: list[tuple[str | None, int]] = [(None, sum(n for _, n in crowd))]
    lake = SmallLake(tmp_path, ENGAGEMENT)
    analyse(lake, NEWEST, {"crowd": crowd, "nothing": nothing}, before=None, texts={}, n_metrics=0)
    report = build_report(open_lake(tmp_path))
    assert len(report.html.encode()) < 5_000_000
    segments = section(report, "segments")
    assert "10,001 groups" in segments and "(null)" in segments and "more rows are left out" in segments


def test_tables_of_an_older_contract_lack_columns_and_are_shown(tmp_path: Path, full: SmallLake) -> None:
    from deltalake import DeltaTable, write_deltalake

    root = tmp_path / "older"
    shutil.copytree(full.root, root)
    for name, column in (("claims", "explanation"), ("customer_features", "engagement_velocity")):
        rows = DeltaTable(str(root / name)).to_pyarrow_table().drop_columns([column])
        partitions = DeltaTable(str(root / name)).metadata().partition_columns
        shutil.rmtree(root / name)
        write_deltalake(str(root / name), rows, partition_by=partitions)
    report = build_report(open_lake(root))
    assert report.absent == ()
    assert "Statement 3" in section(report, "claims")


def test_a_lake_that_is_rewritten_meanwhile_is_read_again(
    full: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, ask, failures = open_lake(full.root), OpenLake.sql, iter([True])

    def rewritten(self: OpenLake, query: str, **options: object) -> object:
        if "FROM claims" in query and next(failures, False):
            raise TransientError("the files of a table could not be read to the end", hint="ask again")
        return ask(self, query, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenLake, "sql", rewritten)
    report = build_report(lake)
    assert report.absent == () and next(failures, None) is None


def test_files_that_vanish_for_good_are_named_and_the_rest_is_shown(tmp_path: Path, full: SmallLake) -> None:
    root = tmp_path / "broken"
    shutil.copytree(full.root, root)
    for file in (root / "claims").rglob("*.parquet"):
        file.unlink()
    report = build_report(open_lake(root))
    assert report.absent == ("claims",)
    assert "Statement 3" not in report.html and str(root) not in report.html


def changed(
    lake: SmallLake, root: Path, name: str, change: Callable[[int, dict[str, Any]], None]
) -> OpenLake:
    """Copy a lake with the rows of one table changed in place, by their number."""
    from deltalake import DeltaTable, write_deltalake

    shutil.copytree(lake.root, root)
    table = DeltaTable(str(root / name))
    stored, partitions = table.to_pyarrow_table(), table.metadata().partition_columns
    rows = stored.to_pylist()
    for i, row in enumerate(rows):
        change(i, row)
    shutil.rmtree(root / name)
    made = type(stored).from_pylist(rows, schema=stored.schema)
    write_deltalake(str(root / name), made, partition_by=partitions)
    return open_lake(root)


def test_a_few_nulls_cannot_be_counted(tmp_path: Path, full: SmallLake) -> None:
    def without(i: int, row: dict[str, Any]) -> None:
        row["engagement_velocity"] = None if i < 5 else float(i)

    report = build_report(changed(full, tmp_path / "nulls", "customer_features", without))
    rows = re.findall(r"<tr><td[^>]*>engagement_velocity<.*?</tr>", section(report, "features"), re.DOTALL)
    bins = [re.findall(r"data-v='([^']*)'", row) for row in rows if row.count("<td") == 5]
    (spread,) = (row for row in rows if row.count("<td") > 5)
    assert "data-v='395'" not in spread and "%</td>" not in spread
    assert bins and all(float(share) == int(n) / 400 for *_, n, share in bins)
    figures = [float(x) for x in re.findall(r"data-v='(-?[\d.]+)'", spread)]
    assert figures and all(x == round(x, 2) for x in figures), "a mean of 395 is one of 400"
    ends = [min(float(b[1]) for b in bins), max(float(b[2]) for b in bins)]
    assert ends == pytest.approx([round(x, 2) for x in ends], abs=1e-12), "and so are quantiles"


def test_correlations_name_the_greatest_number_of_customers(tmp_path: Path, full: SmallLake) -> None:
    def fewer(i: int, row: dict[str, Any]) -> None:
        if abs(row["spearman"]) > 0.5:
            row["n"] = 123

    report = build_report(changed(full, tmp_path / "pairs", "correlations", fewer))
    assert "pairs of metrics, tested on 400 customers or fewer" in section(report, "correlations")
    assert ">123<" in section(report, "correlations")


def test_a_few_who_lack_a_value_are_not_told_by_n(tmp_path: Path, full: SmallLake) -> None:
    """Of 400 customers (by segment and cohort 200 and 100), 393 have a value (194 and 95)."""
    fewer = {400: 393, 200: 194, 100: 95}

    def of_pair(i: int, row: dict[str, Any]) -> None:
        row["n"] = fewer[row["n"]] if i else row["n"]

    def of_cohort(i: int, row: dict[str, Any]) -> None:
        row["n"] = row["n"] if row["metric"] == "retention" else fewer[row["n"]]

    def of_change(i: int, row: dict[str, Any]) -> None:
        row["n_after"] = row["n_after"] if row["metric"] == "customers" else fewer[row["n_after"]]

    made: Any = full
    for table, change in (("correlations", of_pair), ("cohorts", of_cohort), ("changes", of_change)):
        lake = changed(made, tmp_path / table, table, change)
        made = SimpleNamespace(root=tmp_path / table)
    report = build_report(lake)
    for key in ("correlations", "cohorts", "changes"):
        numbers = set(re.findall(r"data-v='([^']*)'", section(report, key)))
        numbers |= set(re.findall(r'"n":(\d+)', "".join(specs(section(report, key)))))
        assert not numbers & {str(n) for n in fewer.values()}, key
        assert numbers & {str(n) for n in fewer}, "those of whom all have one"
    pairs = next(f.text for f in report.tables if "correlations-02" in f.name)
    lows = [line.split(",")[3] for line in pairs.splitlines()[1:] if not line.split(",")[-1]]
    assert lows and all(low == str(round(float(low), 2)) for low in lows), "an interval tells n"
    for name, columns in (
        ("changes-02", ("before", "after", "change")),
        ("changes-03", ("part in the change", "by its share (mix)", "by its mean (rate)")),
    ):
        table = next(f.text for f in report.tables if name in f.name)
        of_few = [row for row in csv.DictReader(io.StringIO(table)) if not row["n after"]]
        values = [float(row[column]) for row in of_few for column in columns if row[column]]
        assert values and all(x == round(x, 2) for x in values), "a change tells n"


def test_a_week_with_a_day_of_few_is_not_drawn() -> None:
    """Its mean less those of its other days would be that of the few."""
    monday = date(2025, 10, 20)
    rows = [
        {"grain": grain, "period_start": start, "metric": metric, "customers": n, "customer_days": values}
        for grain, start, metric, n, values in (
            ("day", monday, "age", 30, 30),
            ("day", monday + timedelta(days=1), "age", 30, 7),
            ("week", monday, "age", 30, 37),
            ("month", date(2025, 10, 1), "age", 30, 37),
            ("day", monday, "fee", 30, 30),
            ("week", monday, "fee", 30, 30),
        )
    ]
    assert periods_with_few(rows) == {
        ("day", monday + timedelta(days=1), "age"),
        ("week", monday, "age"),
        ("month", date(2025, 10, 1), "age"),
    }


def test_a_period_says_how_many_snapshots_it_has_and_a_change_what_it_compares_with(tmp_path: Path) -> None:
    days = [NEWEST - timedelta(days=back) for back in (0, 1, 7, 9)]
    lake = counted_lake(tmp_path, BIKES, {day: made_customers(BIKES, 60) for day in days})
    files = {f.name: f.text for f in build_report(open_lake(lake.root, contract=BIKES)).tables}
    (trend,) = (text for name, text in files.items() if name.endswith("how-a-metric-went.csv"))
    weeks = {
        (row["begins"], row["snapshots"])
        for row in csv.DictReader(io.StringIO(trend))
        if row["period"] == "week"
    }
    assert weeks == {("2025-10-20", "2"), ("2025-10-13", "1"), ("2025-10-06", "1")}
    compared = {
        (row["compared"], row["with that of"])
        for row in csv.DictReader(io.StringIO(files["changes-02-all-changes.csv"]))
    }
    assert compared == {("since the last snapshot", "2025-10-20"), ("against the week before", "2025-10-14")}


def test_snapshots_that_the_analytics_lack_are_named(tmp_path: Path) -> None:
    """One was published again since, one was never analyzed: the week has neither, and says so."""
    days = [NEWEST - timedelta(days=back) for back in (2, 1, 0)]
    customers = made_customers(BIKES, 60)
    lake = counted_lake(tmp_path, BIKES, {days[0]: customers, days[2]: customers})
    source = Source(open_lake(lake.root, contract=BIKES))
    assert not [text for text in _section(source, *PARTS[0])[0].lead if "Without" in text]
    ingest(lake, days[1], customers)
    ingest(lake, days[0], customers, attempt=2)
    source = Source(open_lake(lake.root, contract=BIKES))
    text = f"Without the snapshots of {days[0]}, {days[1]}: "
    sections = [_section(source, *part)[0] for part in PARTS]
    named = {s.key for s in sections if any(line.startswith(text) for line in s.lead)}
    assert named == {s.key for s in sections if s.missing is None} - {"quality"} >= {"segments", "claims"}


def test_checks_that_a_few_customers_broke_are_not_counted(page: Report) -> None:
    rows = re.findall(r"<tr>(?:(?!</tr>).)*>(in_range|known|filled)<.*?</tr>", section(page, "quality"))
    text = section(page, "quality")
    assert sorted(set(rows)) == ["filled", "in_range", "known"]
    of_known = re.findall(r"<tr>(?:(?!</tr>).)*>known<.*?</tr>", text)
    assert all("0.25" not in row and "data-v='1'" not in row for row in of_known)
    of_range = re.findall(r"<tr>(?:(?!</tr>).)*>in_range<.*?</tr>", text)
    assert all("data-v='0.75'" in row for row in of_range), "whom a critical rule put aside is in no group"
    assert "where it tells of fewer than 20 customers" in text


def test_correlations_do_not_tell_the_mean_over_a_few() -> None:
    """Of a metric of two classes, one of which is rare, or of which it is not known how rare."""
    pairs = [
        {"first_metric": a, "second_metric": b, "n": 400}
        for a, b in (
            ("age", "churn_30_day"),
            ("churn_30_day", "engagement_score"),
            ("age", "engagement_score"),
        )
    ]

    def pairs_where(share: float | None) -> list[dict[str, Any]]:
        rows = [] if share is None else [{"metric": "churn_30_day", "mean": share, "customer_days": 400}]
        source = SimpleNamespace(
            spec=analytics_spec_of(ENGAGEMENT),
            lake=SimpleNamespace(views={"rollups": None}),
            days=lambda _: (NEWEST,),
            of_day=lambda *_, **__: rows,
        )
        return shown_pairs(source, pairs)  # type: ignore[arg-type]

    assert pairs_where(0.3) == pairs
    assert pairs_where(19 / 400) == pairs_where(381 / 400) == pairs_where(None) == pairs[2:]


def test_values_of_classified_fields_are_no_groups(tmp_path: Path) -> None:
    contract = load_contract(DATA / "gym.odcs.yaml")
    dimensions: dict[str, list[tuple[str | None, int]]] = {
        "postcode": [("SECRET-1", 200), ("SECRET-2", 200)],
        "sex": [("f", 200), ("m", 200)],
    }
    lake = analysed_lake(tmp_path, contract, days=2, dimensions=dimensions)  # postcode is a cohort, too
    report = build_report(open_lake(lake.root, contract=contract))
    assert "SECRET" not in report.html and "postcode" not in section(report, "segments")
    assert ">sex<" in section(report, "segments")


def test_the_rows_of_another_business_are_called_as_its_contract_calls_them(tmp_path: Path) -> None:
    contract = load_contract(DATA / "gym.odcs.yaml")
    dimensions: dict[str, list[tuple[str | None, int]]] = {"sex": [("f", 200), ("m", 200)]}
    lake = analysed_lake(tmp_path, contract, days=2, dimensions=dimensions)
    page = build_report(open_lake(lake.root, contract=contract)).html
    told = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert "members" in told and "ustomer" not in told
    assert not re.findall(r'"title": ?"[^"]*customer[^"]*"', page), "nor on an axis"


def test_decimals_are_described_and_a_table_of_texts_takes_nothing_with_it(full: SmallLake) -> None:
    features = ENGAGEMENT.table("customer_features")
    decimal = replace(features.fields[-1], spark_type="decimal(10,2)", classification=None, protected=False)
    assert numeric_fields(replace(features, fields=(decimal,))) == [decimal]
    of_texts = tuple(replace(f, spark_type="string") for f in features.fields)
    tables = [replace(t, fields=of_texts) if t.name == features.name else t for t in ENGAGEMENT.tables]
    report = build_report(open_lake(full.root, contract=replace(ENGAGEMENT, tables=tuple(tables))))
    assert "no numbers that may be shown" in section(report, "features")
    assert "features" in report.absent and "graph" not in report.absent


def test_cohorts_say_who_is_counted(page: Report) -> None:
    cohorts = section(page, "cohorts")
    assert "among those whom the snapshot still lists" in cohorts
    assert "n on its first snapshot" in cohorts and "became of" not in cohorts


def test_means_have_the_intervals_of_shares_or_of_means() -> None:
    row = {"customer_days": 25, "nulls": 0, "mean": 0.0, "standard_deviation": 0.0}
    nobody = estimate_of(row | {"minimum": 0.0, "maximum": 0.0})
    assert (nobody.value, nobody.lower) == (0.0, 0.0)
    assert nobody.upper == pytest.approx(0.1332, abs=1e-4), "Wilson"
    spread = {"mean": 10.0, "standard_deviation": 5.0, "minimum": 0.0, "maximum": 30.0}
    assert estimate_of(row | spread).upper == pytest.approx(10 + 2.0639 * 5 / 5, abs=1e-3), "Student"
    within = {"mean": 0.5, "standard_deviation": 0.1, "minimum": 0.2, "maximum": 0.8}
    assert estimate_of(row | within).upper == pytest.approx(0.5 + 2.0639 * 0.1 / 5, abs=1e-4)


@pytest.mark.parametrize(("n", "share"), [(2000, 0.01), (1999, 0.05), (400, 0.05), (399, 0.1), (80, 0.25)])
def test_the_ends_of_a_histogram_are_not_the_values_of_few(n: int, share: float) -> None:
    ends = (0.01, 0.05, 0.1, 0.25)
    quantiles = [*[0.0] * 5, *ends, *(1 - s for s in ends)]
    assert histogram_ends(n, quantiles) == (share, 1 - share)
    assert histogram_ends(79, quantiles) is None


def test_nothing_of_a_protected_field_is_described(full: SmallLake) -> None:
    features = ENGAGEMENT.table("customer_features")
    fields = tuple(replace(f, protected=f.name == "engagement_velocity") for f in features.fields)
    tables = tuple(replace(t, fields=fields) if t.name == features.name else t for t in ENGAGEMENT.tables)
    report = build_report(open_lake(full.root, contract=replace(ENGAGEMENT, tables=tables)))
    assert "engagement_velocity" not in section(report, "features")
    assert "social_influence_score" in section(report, "features")


def test_bins_are_merged_until_each_has_enough_rows() -> None:
    assert merged_bins([5, 5, 30, 0, 0, 20, 3]) == [(0, 3, 40), (3, 7, 23)]
    assert merged_bins([1, 2]) == []
    assert merged_bins([20, 20]) == [(0, 1, 20), (1, 2, 20)]


def test_the_command_writes_the_page_and_says_what_is_absent(
    full: SmallLake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "page.html"
    main(["--set", f"lake.root={full.root}", "report", "--out", str(out), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == out.stat().st_size and facts["as_of"] == "2025-10-21"
    main(["--set", f"lake.root={tmp_path / 'none'}", "report", "--out", str(out), "--as-of", "2025-10-21"])
    assert "not published yet: changes, quality" in capsys.readouterr().out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_same_lake_gives_the_same_bytes(full: SmallLake, page: Report) -> None:
    assert build_report(open_lake(full.root)).html == page.html
