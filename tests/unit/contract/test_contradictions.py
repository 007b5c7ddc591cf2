"""Each contradiction, planted into a good contract, must be reported; and all of them in one error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage_spark.contract import lint, load_contract
from engage_spark.errors import ContractError
from tests.support.paths import DATA

BIKES = DATA / "bikes.odcs.yaml"
Doc = dict[str, Any]
MONEY = {"value": 125, "cost": 5, "success": 0.2, "currency": "EUR", "source": "the desk"}


def table(doc: Doc, name: str) -> Doc:
    return next(t for t in doc["schema"] if t["name"] == name)


def field(doc: Doc, name: str, of: str = "stations") -> Doc:
    return next(p for p in table(doc, of)["properties"] if p["name"] == name)


def custom(place: Doc, name: str, value: Any) -> None:
    place["customProperties"] = [p for p in place.get("customProperties", []) if p["property"] != name]
    place["customProperties"].append({"property": name, "value": value})


def valid(place: Doc, values: list[Any]) -> None:
    place["quality"] = [
        {"type": "library", "metric": "invalidValues", "arguments": {"validValues": values}, "mustBe": 0}
    ]


def copy_of(place: Doc, **changes: Any) -> Doc:
    return yaml.load(yaml.dump(place, Dumper=yaml.CSafeDumper), yaml.CSafeLoader) | changes


def violations(tmp_path: Path, *changes: Callable[[Doc], Any]) -> list[str]:
    doc = yaml.load(BIKES.read_text(encoding="utf-8"), yaml.CSafeLoader)
    for change in changes:
        change(doc)
    path = tmp_path / "c.odcs.yaml"
    path.write_text(yaml.dump(doc, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
    return lint(path)


CASES: dict[str, tuple[Callable[[Doc], Any], str]] = {
    "field twice": (
        lambda d: table(d, "stations")["properties"].append(copy_of(field(d, "district"))),
        "'district' is declared twice",
    ),
    "field twice by case": (
        lambda d: table(d, "stations")["properties"].append(copy_of(field(d, "district"), name="District")),
        "declared twice",
    ),
    "table twice by case": (
        lambda d: d["schema"].append(copy_of(table(d, "rides"), name="Rides")),
        "'Rides' is declared twice",
    ),
    "table name": (lambda d: table(d, "rides").update(name="../rides"), "letters, digits and underscores"),
    "field name": (lambda d: field(d, "minutes", "rides").update(name="how long"), "Delta refuses"),
    "reserved name": (lambda d: field(d, "opened_on").update(name="snapshot_date"), "reserved"),
    "range": (
        lambda d: field(d, "docks_total").update(logicalTypeOptions={"minimum": 9, "maximum": 4}),
        "minimum 9 is above maximum 4",
    ),
    "range not a number": (
        lambda d: field(d, "docks_total").update(logicalTypeOptions={"minimum": "9"}),
        "minimum must be a number",
    ),
    "range nan": (
        lambda d: field(d, "mean_ride_km").update(logicalTypeOptions={"minimum": float("nan")}),
        "minimum is nan",
    ),
    "range too wide": (
        lambda d: field(d, "docks_total").update(logicalTypeOptions={"maximum": 2**31}),
        "does not fit int",
    ),
    "range of text": (
        lambda d: field(d, "district").update(logicalTypeOptions={"minimum": 1}),
        "minimum is for numbers",
    ),
    "fraction for an integer": (
        lambda d: field(d, "docks_total").update(logicalTypeOptions={"minimum": 0.5}),
        "not a whole number",
    ),
    "unsupported option": (
        lambda d: field(d, "docks_total").update(logicalTypeOptions={"exclusiveMaximum": 4}),
        "exclusiveMaximum is not supported",
    ),
    "pattern on a number": (
        lambda d: field(d, "mean_ride_km").update(logicalTypeOptions={"pattern": "[0-9]+"}),
        "pattern is for strings",
    ),
    "broken pattern": (
        lambda d: field(d, "station_code").update(logicalTypeOptions={"pattern": "ST[0-9"}),
        "not a regular expression",
    ),
    "mean outside": (
        lambda d: custom(field(d, "docks_total"), "referenceMean", 81),
        "referenceMean 81.0 is outside 4 to 80",
    ),
    "shares sum": (
        lambda d: custom(field(d, "runs_empty"), "referenceShares", {"0": 0.8, "1": 0.3}),
        "sum to 1.1",
    ),
    "shares nan": (
        lambda d: custom(field(d, "runs_empty"), "referenceShares", {"0": 0.8, "1": float("nan")}),
        "finite numbers",
    ),
    "shares name": (
        lambda d: custom(field(d, "district"), "referenceShares", {"Harbor": 1.0}),
        "'Harbor', which is not among",
    ),
    "unquoted no": (
        lambda d: valid(field(d, "district"), [False, "Harbour", "Old Town", "North"]),
        "valid value False is not of type string",
    ),
    "value outside range": (lambda d: valid(field(d, "docks_total"), [3]), "valid value 3 is outside"),
    "value twice": (lambda d: valid(field(d, "operator_owner"), ["city", "city"]), "names a value twice"),
    "values of a double": (
        lambda d: valid(field(d, "mean_ride_km"), [1]),
        "validValues are for strings and integers",
    ),
    "unknown role": (lambda d: custom(field(d, "district"), "role", "featur"), "role must be one of"),
    "no role": (lambda d: field(d, "district").pop("customProperties"), "role must be one of"),
    "unknown kind": (lambda d: custom(table(d, "rides"), "kind", "stream"), "kind must be one of"),
    "unknown severity": (
        lambda d: table(d, "stations")["quality"][0].update(severity="error"),
        "unknown severity 'error'",
    ),
    "unknown extra policy": (
        lambda d: custom(table(d, "rides"), "extraColumns", "drop"),
        "extraColumns must be one of",
    ),
    "no entity": (
        lambda d: custom(table(d, "stations"), "kind", "system"),
        "exactly one table must be of kind entity, found none",
    ),
    "two entities": (
        lambda d: d["schema"].append(copy_of(table(d, "stations"), name="depots")),
        "found stations, depots",
    ),
    "no key": (
        lambda d: [field(d, "station_code").pop(k) for k in ("primaryKey", "primaryKeyPosition")],
        "has no key",
    ),
    "key may be null": (lambda d: field(d, "station_code").update(required=False), "must be required"),
    "key may be null with a warning": (
        lambda d: (
            field(d, "station_code")
            .setdefault("quality", [])
            .append(
                {
                    "type": "library",
                    "metric": "nullValues",
                    "mustBeLessThan": 0.2,
                    "unit": "percent",
                    "severity": "warning",
                }
            )
        ),
        "the severity of its nullValues is warning, and has to be critical",
    ),
    "key positions": (
        lambda d: field(d, "station_code").update(primaryKeyPosition=2),
        "primaryKeyPosition must count",
    ),
    "position without key": (
        lambda d: field(d, "district").update(primaryKeyPosition=2),
        "primaryKeyPosition without primaryKey",
    ),
    "formula input unknown": (
        lambda d: field(d, "fill_share", "station_features").update(
            transformSourceObjects=["bikes_parked", "docks"]
        ),
        "names 'docks', which is not a column",
    ),
    "formula input left out": (
        lambda d: field(d, "fill_share", "station_features").update(transformSourceObjects=["bikes_parked"]),
        "uses 'docks_total', which transformSourceObjects leaves out",
    ),
    "formula input not used": (
        lambda d: field(d, "net_outflow", "station_features")["transformSourceObjects"].append("electric"),
        "names 'electric', which the formula does not use",
    ),
    "formula name unknown": (
        lambda d: field(d, "net_outflow", "station_features").update(
            transformLogic="rides_started - rides_endet"
        ),
        "'rides_endet' is not a column it can use",
    ),
    "formula of itself": (
        lambda d: field(d, "net_outflow", "station_features").update(
            transformLogic="net_outflow + 1", transformSourceObjects=["net_outflow"]
        ),
        "refers to itself",
    ),
    "formula of a later one": (
        lambda d: field(d, "net_outflow", "station_features").update(
            transformLogic="fill_share + 1", transformSourceObjects=["fill_share"]
        ),
        "refers to 'fill_share', which is declared after it",
    ),
    "formula with a clock": (
        lambda d: field(d, "age_years", "station_features").update(
            transformLogic="datediff(current_date(), opened_on)", transformSourceObjects=["opened_on"]
        ),
        "current_date gives another result each time",
    ),
    "formula of another kind": (
        lambda d: field(d, "fill_share", "station_features").update(transformLogic="opened_on"),
        "the formula gives date, which is not cast to double",
    ),
    "formula without null policy": (
        lambda d: field(d, "fill_share", "station_features").pop("transformDescription"),
        "must say when",
    ),
    "formula in an input": (
        lambda d: field(d, "docks_total").update(transformLogic="1"),
        "a formula is for tables of kind derived",
    ),
    "formula hides a column": (
        lambda d: field(d, "fill_share", "station_features").update(name="electric"),
        "is taken by a column of stations",
    ),
    "feature from an audited field": (
        lambda d: field(d, "net_outflow", "station_features").update(
            transformLogic="length(operator_owner)", transformSourceObjects=["operator_owner"]
        ),
        "must never enter a model",
    ),
    "neither formula nor column": (
        lambda d: [
            field(d, "net_outflow", "station_features").pop(k)
            for k in ("transformLogic", "transformSourceObjects")
        ],
        "without a formula it must be a column of stations",
    ),
    "unknown source": (
        lambda d: custom(table(d, "station_features"), "source", "station"),
        "source must name a table",
    ),
    "leak into no target": (
        lambda d: custom(field(d, "bikes_parked"), "leaksInto", ["district"]),
        "'district', which is not a target",
    ),
    "leak into itself": (
        lambda d: custom(field(d, "runs_empty"), "leaksInto", ["runs_empty"]),
        "names the field itself",
    ),
    "leak as text": (
        lambda d: custom(field(d, "bikes_parked"), "leaksInto", "runs_empty"),
        "leaksInto must be a list of names",
    ),
    "baseline of no field": (
        lambda d: custom(field(d, "runs_empty"), "baseline", "bikes"),
        "'bikes', which is not a feature of the entity",
    ),
    "baseline that is derived": (
        lambda d: custom(field(d, "runs_empty"), "baseline", "age_years"),
        "which is not a feature of the entity",
    ),
    "baseline that is the target": (
        lambda d: custom(field(d, "runs_empty"), "baseline", "runs_empty"),
        "which is not a feature of the entity",
    ),
    "baseline that is audited": (
        lambda d: custom(field(d, "runs_empty"), "baseline", "operator_owner"),
        "which is not a feature of the entity",
    ),
    "baseline that is text": (
        lambda d: custom(field(d, "runs_empty"), "baseline", "district"),
        "of type string; a number is needed",
    ),
    "baseline that leaks": (
        lambda d: custom(field(d, "runs_empty"), "baseline", "bikes_parked"),
        "'bikes_parked', which leaks into runs_empty",
    ),
    "baseline of a feature": (
        lambda d: custom(field(d, "docks_total"), "baseline", "rides_started"),
        "baseline is for targets",
    ),
    "label window of a feature": (
        lambda d: custom(field(d, "docks_total"), "labelWindowDays", 3),
        "labelWindowDays is a number of days",
    ),
    "label window below 0": (
        lambda d: custom(field(d, "runs_empty"), "labelWindowDays", -1),
        "labelWindowDays is a number of days",
    ),
    "label window of half a day": (
        lambda d: custom(field(d, "runs_empty"), "labelWindowDays", 0.5),
        "labelWindowDays must be whole",
    ),
    "bounds of the model of a feature": (
        lambda d: custom(field(d, "docks_total"), "monitoring", {"auc": 0.8}),
        "monitoring is for targets",
    ),
    "a bound of what is not measured": (
        lambda d: custom(field(d, "runs_empty"), "monitoring", {"rmse": 0.8}),
        "monitoring bounds 'rmse', which is not measured of this target",
    ),
    "a bound that no share reaches": (
        lambda d: custom(field(d, "runs_empty"), "monitoring", {"auc": 80}),
        "monitoring bounds auc by 80, which is not between 0 and 1",
    ),
    "a bound that is not a number": (
        lambda d: custom(field(d, "runs_empty"), "monitoring", {"log_loss": float("nan")}),
        "monitoring must map values to finite numbers",
    ),
    "bounds as a list": (
        lambda d: custom(field(d, "runs_empty"), "monitoring", ["auc"]),
        "monitoring must be a mapping to numbers",
    ),
    "a bound of decisions that nobody makes": (
        lambda d: custom(field(d, "runs_empty"), "monitoring", {"predictive_parity_ratio": 0.8}),
        "monitoring bounds predictive_parity_ratio, which compares decisions",
    ),
    "money of a feature": (
        lambda d: custom(field(d, "docks_total"), "money", MONEY),
        "money is for targets of two classes",
    ),
    "money without a source": (
        lambda d: custom(field(d, "runs_empty"), "money", {k: v for k, v in MONEY.items() if k != "source"}),
        "money: source is missing",
    ),
    "money with a word that is not known": (
        lambda d: custom(field(d, "runs_empty"), "money", MONEY | {"price": 3}),
        "money: unknown key 'price'",
    ),
    "money that succeeds too often": (
        lambda d: custom(field(d, "runs_empty"), "money", MONEY | {"success": 20}),
        "money: success is a share, and 20 is above 1",
    ),
    "money that costs nothing": (
        lambda d: custom(field(d, "runs_empty"), "money", MONEY | {"cost": 0}),
        "money: cost must be a number above 0, found 0",
    ),
    "money as text": (
        lambda d: custom(field(d, "runs_empty"), "money", MONEY | {"value": "125 EUR"}),
        "money: value must be a number above 0, found '125 EUR'",
    ),
    "further values that are none": (
        lambda d: custom(field(d, "runs_empty"), "money", MONEY | {"values": [50, None]}),
        "money: values must be a list of numbers above 0",
    ),
    "money as a number": (
        lambda d: custom(field(d, "runs_empty"), "money", 125),
        "money must map value, cost, success, currency, source to their values",
    ),
    "bands that fall": (lambda d: custom(field(d, "docks_total"), "bands", [20, 10]), "in rising order"),
    "bands of text": (lambda d: custom(field(d, "district"), "bands", [1, 2]), "bands are for numbers"),
    "protected as text": (
        lambda d: custom(field(d, "district"), "protected", "yes"),
        "protected must be true or false",
    ),
    "reference to no table": (
        lambda d: field(d, "to_station", "rides")["relationships"][0].update(to="station.code"),
        "which is not declared",
    ),
    "reference to no key": (
        lambda d: field(d, "to_station", "rides")["relationships"][0].update(to="stations.district"),
        "which is not the key",
    ),
    "reference without column": (
        lambda d: field(d, "to_station", "rides")["relationships"][0].update(to="stations"),
        "must be a foreignKey",
    ),
    "typo in a custom property": (
        lambda d: custom(field(d, "district"), "referenceShare", {}),
        "unknown customProperty 'referenceShare'",
    ),
    "custom property twice": (
        lambda d: field(d, "district")["customProperties"].append({"property": "role", "value": "audit"}),
        "given twice",
    ),
    "typo in an ODCS key": (
        lambda d: field(d, "district").update(requierd=True),
        "unknown key schema.stations.properties.district.requierd",
    ),
    "typo at the top": (lambda d: d.update(verison="1"), "verison"),
    "unsupported type": (
        lambda d: field(d, "opened_on").update(physicalType="varchar(3)"),
        "'varchar(3)' is not supported",
    ),
    "types that do not fit": (
        lambda d: field(d, "opened_on").update(physicalType="double"),
        "does not fit physicalType 'double'",
    ),
    "event time": (
        lambda d: custom(table(d, "rides"), "eventTime", "minutes"),
        "must name a required timestamp field",
    ),
    "event time of an entity": (
        lambda d: custom(table(d, "stations"), "eventTime", "opened_on"),
        "eventTime is for tables of kind log",
    ),
    "rule with a typo": (
        lambda d: table(d, "stations")["quality"][0].update(implementation="bikes_parkd > 0"),
        "'bikes_parkd' is not a column",
    ),
    "rule with dice": (
        lambda d: table(d, "stations")["quality"][0].update(implementation="bikes_parked > rand()"),
        "rand gives another result",
    ),
    "rule twice": (
        lambda d: table(d, "stations")["quality"][1].update(name="bikes_fit_docks"),
        "'bikes_fit_docks' is declared twice",
    ),
    "rule of no column": (
        lambda d: table(d, "stations")["quality"][0].update(implementation="1 = 1"),
        "names no column",
    ),
    "gate misspelt": (
        lambda d: table(d, "stations")["quality"][2].update(implementation="completness"),
        "belongs to a gate",
    ),
    "gate without bound": (
        lambda d: table(d, "stations")["quality"][2].pop("mustBeGreaterOrEqualTo"),
        "needs mustBeGreaterOrEqualTo",
    ),
    "gate above 100": (
        lambda d: table(d, "stations")["quality"][2].update(mustBeGreaterOrEqualTo=101),
        "between 0 and 100",
    ),
    "gate twice": (
        lambda d: table(d, "stations")["quality"].append(
            copy_of(table(d, "stations")["quality"][2], name="x")
        ),
        "the gate completeness",
    ),
    "unsupported check": (
        lambda d: field(d, "district").update(
            quality=[{"type": "library", "metric": "rowCount", "mustBe": 1}]
        ),
        "not supported",
    ),
    "check with an unknown severity": (
        lambda d: field(d, "district")["quality"][0].update(severity="bad"),
        "unknown severity 'bad'",
    ),
    "missing share of 0": (
        lambda d: field(d, "opened_on")["quality"][0].update(mustBeLessThan=0),
        "must be above 0",
    ),
    "unique outside the key": (lambda d: field(d, "district").update(unique=True), "unique is not checked"),
    "no description": (lambda d: field(d, "district").pop("description"), "has no description"),
    "no version": (lambda d: d.pop("version"), "has no version"),
    "another standard": (lambda d: d.update(apiVersion="v2.2.2"), "kind and apiVersion"),
}


def test_the_unchanged_contract_has_no_violation(tmp_path: Path) -> None:
    assert violations(tmp_path) == []


@pytest.mark.parametrize("case", CASES)
def test_each_contradiction_is_refused(case: str, tmp_path: Path) -> None:
    change, message = CASES[case]
    assert any(message in v for v in violations(tmp_path, change)), violations(tmp_path, change)


@pytest.mark.parametrize("name", ["rides_started", "mean_ride_km", "electric"])
def test_a_number_of_the_entity_may_be_the_baseline(name: str, tmp_path: Path) -> None:
    assert violations(tmp_path, lambda d: custom(field(d, "runs_empty"), "baseline", name)) == []


def test_several_contradictions_are_told_in_one_error(tmp_path: Path) -> None:
    found = violations(
        tmp_path,
        CASES["range"][0],
        CASES["unknown role"][0],
        CASES["reference to no table"][0],
        CASES["leak into no target"][0],
    )
    assert len(found) == 4


@pytest.mark.parametrize(
    "text", ["", "- 1", "a: [", "just text", "dataContractSpecification: 1.1.0", "schema: 3"]
)
def test_what_is_no_odcs_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"c\.yaml"):
        load_contract(path)


def test_a_yaml_tag_that_builds_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("id: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(ContractError, match="not valid YAML"):
        load_contract(path)


def test_a_key_written_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(BIKES.read_text(encoding="utf-8") + "version: 9.9.9\n", encoding="utf-8")
    with pytest.raises(ContractError, match="'version' is written twice"):
        load_contract(path)


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="there is no contract file"):
        load_contract(tmp_path / "none.yaml")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match="cannot be read"):
        load_contract(tmp_path / "c.yaml")


def test_the_digest_does_not_depend_on_line_ends_but_on_the_text(tmp_path: Path) -> None:
    text = BIKES.read_text(encoding="utf-8")
    for name, variant in (("unix", text), ("dos", text.replace("\n", "\r\n")), ("other", text + "# more\n")):
        (tmp_path / name).write_bytes(variant.encode())
    unix, dos, other = (load_contract(tmp_path / name).digest for name in ("unix", "dos", "other"))
    assert unix == dos != other


@pytest.mark.parametrize(
    ("classification", "personal"),
    [
        (None, False),
        ("", False),
        ("public", False),
        ("Internal", False),
        ("confidential", True),
        ("RESTRICTED", True),
        ("PII", True),
        ("secret", True),
        ("sensitive ", True),
    ],
)
def test_what_is_classified_is_personal_unless_it_is_open(classification: str | None, personal: bool) -> None:
    field = replace(load_contract().entity.fields[1], protected=False, classification=classification)
    assert field.is_personal is personal
    assert replace(field, protected=True).is_personal
