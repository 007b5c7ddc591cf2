"""Read the rows of `runs` as what readers see. Pure: no table is opened here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from engage_spark.errors import ConfigurationError
from engage_spark.publication import Publication, Run


def publication_of(records: Sequence[Mapping[str, Any]], *, is_present: Callable[[Run], bool]) -> Publication:
    """Return what readers see, by the rows of `runs`.

    Errors: ConfigurationError where another version of this package wrote them.
    """
    names = [f.name for f in fields(Run)]
    if records and (missing := [n for n in names if n not in records[0]]):
        raise ConfigurationError(
            f"runs was written by an older version of this package: it has no {', '.join(missing)}",
            hint="run `engage-spark tables migrate`, then with --apply",
        )
    return Publication(tuple(_run({n: r[n] for n in names}) for r in records), is_present)


def _run(record: Mapping[str, Any]) -> Run:
    values = dict(record) | {name: json.loads(record[name]) for name in ("inputs", "outputs")}
    for name in ("started_at", "finished_at"):
        moment: datetime = record[name]
        values[name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Run(**values)
