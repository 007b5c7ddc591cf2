"""Read gates: bounds on measures of a whole snapshot (ODCS `quality`, read strictly).

At a table: `rowCount` (an ODCS metric), and with `engine: engage_spark` completeness, quarantine_share,
reference_means, reference_shares, row_count_change (against the published day before), latency, freshness.
At a field: `mean`, `share(value)` in percent of what
is not null, `quantile(q)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from open_data_contract_standard.model import DataQuality

from engage_spark.contract.model import Dimension, Field, Gate, Severity

ENGINE = "engage_spark"
LEAST = frozenset({"mustBeGreaterOrEqualTo", "mustBeGreaterThan"})
MOST = frozenset({"mustBeLessOrEqualTo", "mustBeLessThan"})
BETWEEN = LEAST | MOST | {"mustBe", "mustBeBetween"}
ODCS_DIMENSIONS = {"conformity": Dimension.VALIDITY, "coverage": Dimension.COMPLETENESS}
"""The dimensions that the standard calls otherwise."""
_CALL = re.compile(r"^(\w+)(?:\((.*)\))?$", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class TableMeasure:
    """A measure that gates can bound: its unit and dimension, and the bounds that make sense for it."""

    unit: str
    dimension: Dimension
    bounds: frozenset[str]
    argument: bool = False


OF_TABLES: Mapping[str, TableMeasure] = {
    "completeness": TableMeasure(unit="percent", dimension=Dimension.COMPLETENESS, bounds=LEAST),
    "quarantine_share": TableMeasure(unit="percent", dimension=Dimension.VALIDITY, bounds=MOST),
    "rowCount": TableMeasure(unit="rows", dimension=Dimension.COMPLETENESS, bounds=BETWEEN),
    "reference_means": TableMeasure(unit="percent", dimension=Dimension.ACCURACY, bounds=MOST),
    "reference_shares": TableMeasure(unit="percent", dimension=Dimension.ACCURACY, bounds=MOST),
    "latency": TableMeasure(unit="minutes", dimension=Dimension.TIMELINESS, bounds=MOST),
    "row_count_change": TableMeasure(unit="percent", dimension=Dimension.COMPLETENESS, bounds=BETWEEN),
    "freshness": TableMeasure(unit="hours", dimension=Dimension.TIMELINESS, bounds=MOST),
}
OF_FIELDS: Mapping[str, TableMeasure] = {
    "mean": TableMeasure(unit="value", dimension=Dimension.ACCURACY, bounds=BETWEEN),
    "share": TableMeasure(unit="percent", dimension=Dimension.ACCURACY, bounds=BETWEEN, argument=True),
    "quantile": TableMeasure(unit="value", dimension=Dimension.ACCURACY, bounds=BETWEEN, argument=True),
}


def bounds(q: DataQuality) -> Mapping[str, Any]:
    """Return the bounds of a quality entry by their ODCS names."""
    return {name: value for name, value in q.model_dump(exclude_none=True).items() if name.startswith("must")}


def severity(q: DataQuality, at: str, problems: list[str]) -> Severity | None:
    """Return the stated severity; None where there is none."""
    if q.severity in (None, *Severity):
        return Severity(q.severity) if q.severity else None
    problems.append(f"{at}: unknown severity {q.severity!r}, known are {', '.join(Severity)}")
    return None


def dimension(q: DataQuality, usual: Dimension, at: str, problems: list[str]) -> Dimension:
    """Return the stated dimension, by ODCS's name or the package's; `usual` where there is none."""
    if q.dimension is None:
        return usual
    if q.dimension in ODCS_DIMENSIONS:
        return ODCS_DIMENSIONS[q.dimension]
    if q.dimension in tuple(Dimension):
        return Dimension(q.dimension)
    problems.append(
        f"{at}: unknown dimension {q.dimension!r}, known are {', '.join((*Dimension, *ODCS_DIMENSIONS))}"
    )
    return usual


def table_measure_of(q: DataQuality) -> str | None:
    """Return the table measure that a quality entry bounds; None when it is a rule or something else."""
    if q.type == "library" or (q.type is None and q.metric):
        return q.metric if q.metric == "rowCount" else None
    name = q.implementation
    return (
        name
        if q.type == "custom" and isinstance(name, str) and name in OF_TABLES and name != "rowCount"
        else None
    )


def table_gates(q: DataQuality, fields: Sequence[Field], at: str, problems: list[str]) -> tuple[Gate, ...]:
    """Read the gates of one table-level entry.

    It is one gate, or for the `reference_…` measures one per declared mean or share.
    """
    name = str(table_measure_of(q))
    gate = _gate(q, name, OF_TABLES[name], at, problems)
    tolerance = gate.maximum
    if name == "reference_means":
        return tuple(_near_mean(gate, f, tolerance or 0.0) for f in fields if f.reference_mean is not None)
    if name == "reference_shares":
        return tuple(
            _near_share(gate, f, v, s, tolerance or 0.0) for f in fields for v, s in f.reference_shares
        )
    return (replace(gate, measure="row_count" if name == "rowCount" else name),)


def field_gate(
    q: DataQuality, name: str, field: str, allowed: Set[str], at: str, problems: list[str]
) -> Gate | None:
    """Read the gate of one field-level entry; None when its implementation `name` is not a measure.

    Measures are `mean`, `share(value)` of one of the `allowed` values as text, and `quantile(q)`.
    """
    match = _CALL.match(name.strip())
    if match is None or match[1] not in OF_FIELDS:
        return None
    kind, text = match[1], (match[2] or "").strip()
    gate = _gate(q, kind, OF_FIELDS[kind], at, problems)
    named = replace(gate, name=q.name or f"{field}.{kind}" + (f"({text})" if text else ""), column=field)
    if not OF_FIELDS[kind].argument:
        problems += [f"{at}: {kind} takes no argument, found {text!r}"] if text else []
        return named
    if kind == "share":
        if text not in allowed:
            problems.append(
                f"{at}: share({text}) is not among the valid values of {field}, which invalidValues must "
                "list first"
            )
        return replace(named, argument=text)
    try:
        order = float(text)
    except ValueError:
        order = math.nan
    if not 0 < order < 1:
        problems.append(f"{at}: quantile({text}) must have an order between 0 and 1, such as quantile(0.99)")
    return replace(named, argument=order)


def _gate(q: DataQuality, name: str, measure: TableMeasure, at: str, problems: list[str]) -> Gate:
    low, high, above, below = _limits(q, name, measure, at, problems)
    if name == "row_count_change":
        if not all(x is None or x >= -100 for x in (low, high)):
            problems.append(f"{at}: the gate {name} cannot be less than -100 percent")
    elif measure.unit == "percent" and not all(x is None or 0 <= x <= 100 for x in (low, high)):
        problems.append(f"{at}: the gate {name} needs bounds between 0 and 100 percent")
    if q.unit != measure.unit and not (q.unit is None and measure.unit in ("value", "rows")):
        problems.append(f"{at}: the gate {name} is measured in {measure.unit}; write unit: {measure.unit}")
    return Gate(
        name=q.name or name,
        measure=name,
        minimum=low,
        maximum=high,
        above=above,
        below=below,
        unit=measure.unit,
        severity=severity(q, at, problems) or Severity.CRITICAL,
        dimension=dimension(q, measure.dimension, at, problems),
        description=q.description or "",
    )


def _limits(
    q: DataQuality, name: str, measure: TableMeasure, at: str, problems: list[str]
) -> tuple[float | None, float | None, bool, bool]:
    """Return minimum and maximum, and whether each is exclusive."""
    stated = bounds(q)
    if not stated or not set(stated) <= measure.bounds:
        problems.append(
            f"{at}: the gate {name} needs {' or '.join(sorted(measure.bounds))}, found "
            f"{', '.join(stated) or 'no bound'}"
        )
        return None, None, False, False
    flat = [x for value in stated.values() for x in (value if isinstance(value, list) else [value])]
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in flat):
        problems.append(f"{at}: the bounds of {name} must be numbers, found {stated}")
        return None, None, False, False
    if "mustBe" in stated or "mustBeBetween" in stated:
        pair = stated.get("mustBeBetween") or [stated.get("mustBe")] * 2
        if len(stated) > 1 or len(pair) != 2 or pair[0] > pair[1]:
            problems.append(
                f"{at}: {name} needs one value, or two in ascending order and no other bound, found {stated}"
            )
            return None, None, False, False
        return pair[0], pair[1], False, False
    if len(stated) > len({n in LEAST for n in stated}):
        problems.append(f"{at}: {name} has two bounds in the same direction")
    low = next((v for n, v in stated.items() if n in LEAST), None)
    high = next((v for n, v in stated.items() if n in MOST), None)
    return low, high, "mustBeGreaterThan" in stated, "mustBeLessThan" in stated


def _near_mean(gate: Gate, f: Field, tolerance: float) -> Gate:
    mean = f.reference_mean or 0.0
    reach = abs(mean) * tolerance / 100
    return replace(
        gate,
        name=f"{f.name}.mean_near_declared",
        measure="mean",
        column=f.name,
        minimum=mean - reach,
        maximum=mean + reach,
        above=gate.below,
        unit=f.unit or "value",
        description=f"The mean lies within {tolerance:g}% of the declared {mean:g}.",
    )


def _near_share(gate: Gate, f: Field, value: str | int, share: float, tolerance: float) -> Gate:
    percent = share * 100
    return replace(
        gate,
        name=f"{f.name}.share_near_declared({value})",
        measure="share",
        column=f.name,
        argument=str(value),
        minimum=max(0.0, percent - tolerance),
        maximum=min(100.0, percent + tolerance),
        # A share of 0 or 100% within the tolerance is allowed, although no share is beyond it.
        above=gate.below and percent >= tolerance,
        below=gate.below and percent + tolerance <= 100,
        description=f"The share of {value} lies within {tolerance:g} percentage points of the declared "
        f"{percent:g}%.",
    )
