"""Open a lake for people without Spark: what is published, under plain names, for pandas, Polars and SQL."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engage_spark.contract import Contract, load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import AnalyticsSpec
from engage_spark.errors import ConfigurationError, InputError, NotPublishedError, TransientError
from engage_spark.pipelines.stages import ANALYZE, CLAIMS
from engage_spark.pipelines.views import Rows, View, views_of
from engage_spark.publication import RUN_ID, RUNS, Publication, Run
from engage_spark.reader.delta_files import DeltaFiles, translate_delta_errors
from engage_spark.reader.parquet_rows import read_batches
from engage_spark.reader.published import publication_of
from engage_spark.reader.query import Relation, answer, names_in, quoted
from engage_spark.settings import LakeSettings, Settings, load_settings
from engage_spark.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as pads

_OF_RUN = ("quality_results", "quality_states")
_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
"""DuckDB's types of columns that a table was written without."""


SHOWN_COLUMNS = 6
"""Columns that the text form of rows names."""


@dataclass(frozen=True)
class LakeRows:
    """Rows that a lake answered with."""

    arrow: pa.Table = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.arrow.column_names)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.arrow.num_rows)

    def __repr__(self) -> str:
        """Say how many rows there are, of which columns, and what shows them."""
        names = ", ".join(self.columns[:SHOWN_COLUMNS])
        more = len(self.columns) - SHOWN_COLUMNS
        rest = f" and {counted(more, 'column')} more" if more > 0 else ""
        return f"LakeRows({counted(len(self), 'row')} of {names}{rest}; to_pandas() shows them)"

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.arrow

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas frame; dates stay dates."""
        frame: pd.DataFrame = self.arrow.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a Polars frame.

        Errors: ConfigurationError where Polars is not installed.
        """
        try:
            import polars as pl
        except ModuleNotFoundError:
            raise ConfigurationError(
                "Polars is not installed", hint="install polars, or take to_pandas or to_arrow"
            ) from None
        frame = pl.from_arrow(self.arrow)
        assert isinstance(frame, pl.DataFrame)
        return frame


@dataclass(frozen=True)
class OpenLake:
    """A lake as it was when it was first asked: later runs are seen after `refresh`.

    A name stands for published rows alone: what was rejected, killed, replaced, or is out of date is not
    there.
    """

    settings: Settings
    contract: Contract
    _files: DeltaFiles = field(repr=False, compare=False)
    _read: list[Publication] = field(default_factory=list, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        """Name the place and the contract: a notebook shows this, and all settings would be pages."""
        return f"OpenLake({str(self.settings.lake.root)!r}, contract {self.contract.id!r})"

    @cached_property
    def views(self) -> dict[str, View]:
        """Every name that can be asked by, with what it stands for."""
        return {view.name: view for view in views_of(self.contract)}

    @cached_property
    def _spec(self) -> AnalyticsSpec:
        return analytics_spec_of(self.contract)

    @property
    def publication(self) -> Publication:
        """What readers see, by the rows of `runs`, which are read once."""
        if not self._read:
            self._read.append(self._publication())
        return self._read[0]

    def refresh(self) -> None:
        """Look at the newest versions of all tables from now on."""
        self._read.clear()
        self._files.forget()

    def days(self, name: str) -> tuple[date, ...]:
        """Return the days of a table that are published, oldest first."""
        view = self._view(name)
        return tuple(sorted({run.snapshot_date for run in view.runs(self.publication).values()}))

    def claims_of_earlier_checks(self, day: date) -> dict[str, str]:
        """Return the claims of a day that tell of the checks of an earlier delivery, and whose: a table that
        was delivered again for the day since `analyze` judged it. All other rows of the day are as they were.
        """
        run, spec = self.publication.visible(ANALYZE).get(day), self._spec
        changed = self.publication.changed_checks(run, spec.checked_tables) if run is not None else ()
        return {c.name: c.table for c in spec.claims if c.table is not None and c.table in changed}

    def versions(self, names: Sequence[str]) -> dict[str, int]:
        """Return the Delta version that each of these tables, or `runs`, is read at."""
        stored = {name: RUNS if name == RUNS else self._view(name).stored for name in names}
        tables = {name: self._files.find(table) for name, table in stored.items()}
        return {name: int(table.version()) for name, table in tables.items() if table is not None}

    def table(
        self, name: str, *, as_of: date | str | None = None, columns: Sequence[str] | None = None
    ) -> LakeRows:
        """Read a table: of the snapshot `as_of`, or of every day. Of a log, the events up to that day.

        Grain: as the table in the reference, without the package's own columns.
        Errors: ConfigurationError where there is no such table or column; NotPublishedError where nothing, or
        not that snapshot, is published; TransientError where it was published again since the first look.
        """
        view, day = self._view(name), _day(as_of)
        if isinstance(columns, str) or (columns is not None and not columns):
            raise ConfigurationError("columns is a list of names", hint="leave it out for all columns")
        if day is not None and view.day is None:
            raise ConfigurationError(f"{name} has no days", hint="read it without as_of")
        self._require_columns(view, columns or ())
        wanted = ", ".join(map(quoted, columns or view.columns))
        return self._answer(f"SELECT {wanted} FROM {quoted(view.name)}", [view.name], as_of=day)  # noqa: S608 (names of the contract, quoted)

    def batches(
        self,
        name: str,
        *,
        as_of: date,
        columns: Sequence[str],
        where: Mapping[str, object] | None = None,
        stage: str | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Read a snapshot in batches, in memory that does not grow with its rows; of no stated order.

        `where` are values that columns must have. `columns` and those are of the table's files, so neither
        its day nor a partition's column. `stage`: the rows of one of the stages that publish the table.
        Errors: as `table`, for a table of snapshots.
        """
        view = self._view(name)
        if view.rows is not Rows.DAYS:
            raise ConfigurationError(f"{name} has no snapshots", hint="read it with `table`")
        self._require_columns(view, columns)
        seen = view.runs(self.publication, as_of=as_of)
        runs = {run_id: run for run_id, run in seen.items() if stage in (None, run.stage)}
        if not runs:
            details = self._why(view)
            raise NotPublishedError.of(view.name, days=[as_of], command=view.command, details=details)
        self._require_present(view, runs, as_of)
        rows = self._files.dataset(view.stored, runs=(view.run_column, runs.keys()))
        conditions = dict(where or {}) | ({"_dq_status": "valid"} if view.is_valid else {})
        with translate_delta_errors(self._files.location(view.stored)):
            yield from read_batches(rows, columns, where=conditions or None)

    def quality_results(self, run_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Read what rules and gates measured at attempts, published or rejected, by the runs' ids.

        Grain: one entry per attempt, table and rule. Cost: `runs` is read once.
        Errors: as `publication`.
        """
        _ = self.publication
        location, dataset = self._files.location(RUNS), self._files.dataset(RUNS)
        column = _OF_RUN[0]
        if column not in dataset.schema.names:
            return []
        import pyarrow.compute as pc

        wanted = pc.field("run_id").isin(list(run_ids))
        with translate_delta_errors(location):
            rows = dataset.to_table(columns=["run_id", "finished_at", column], filter=wanted).to_pylist()
        last = {row["run_id"]: row for row in sorted(rows, key=lambda r: r["finished_at"])}
        return [result for run_id in run_ids if run_id in last for result in last[run_id][column] or []]

    def sql(
        self,
        query: str,
        *,
        parameters: Sequence[object] = (),
        as_of: date | Collection[date] | None = None,
        memory: str | None = None,
        threads: int | None = None,
    ) -> LakeRows:
        """Answer a query in DuckDB's SQL over the tables by their names.

        It reaches nothing but those: no file, network, extension or setting. `parameters` are the values of
        its question marks, `as_of` the one snapshot that it sees, or the few. `memory` (such as `512MB`) and
        `threads` bound what it takes.
        Errors: InputError for a query that cannot be answered; NotPublishedError as `table`.
        """
        names = {view.name.lower(): view.name for view in self.views.values()}
        asked = {name: names[name.lower()] for name in names_in(query, known=names) if name.lower() in names}
        names_asked = sorted(set(asked.values()))
        bounds: dict[str, Any] = {"memory": memory, "threads": threads}
        return self._answer(query, names_asked, as_of=as_of, parameters=parameters, **bounds)

    def _answer(
        self,
        query: str,
        names: Sequence[str],
        *,
        as_of: date | Collection[date] | None = None,
        parameters: Sequence[object] = (),
        memory: str | None = None,
        threads: int | None = None,
    ) -> LakeRows:
        return LakeRows(
            answer(
                query,
                names,
                parameters=parameters,
                relation_of=partial(self._relation, as_of=as_of),
                known=self.views,
                memory=memory,
                threads=threads,
            )
        )

    def _view(self, name: str) -> View:
        views = self.views
        for view in views.values():
            if view.name.lower() == name.lower():
                return view
        raise ConfigurationError(f"there is no table {name!r}", hint=f"tables are: {', '.join(views)}")

    def _publication(self) -> Publication:
        location = self._files.location(RUNS)
        if self._files.find(RUNS) is None:
            raise NotPublishedError(
                f"there is no lake at {self._files.root}",
                hint="check lake.root, or run `engage-spark ingest` first",
            )
        dataset = self._files.dataset(RUNS)
        wanted = [n for n in dataset.schema.names if n not in _OF_RUN]
        with translate_delta_errors(location):
            records = dataset.to_table(columns=wanted).to_pylist()
        return publication_of(records, is_present=self._is_present)

    def _is_present(self, run: Run) -> bool:
        return not run.rows_written or all(
            run.run_id in self._files.runs_in(table, RUN_ID, "run_id") for table in run.outputs
        )

    @staticmethod
    def _require_columns(view: View, columns: Sequence[str]) -> None:
        if unknown := [c for c in columns if c not in view.columns]:
            raise ConfigurationError(
                f"{view.name} has no column {', '.join(unknown)}",
                hint=f"columns are: {', '.join(view.columns)}",
            )

    def _relation(self, name: str, *, as_of: date | Collection[date] | None) -> Relation:
        view = self._view(name)
        if view.rows is Rows.ALL:
            return self._columns_of(view, self._files.dataset(view.stored), "")
        days = _days(as_of)
        if isinstance(as_of, date) or as_of is None:
            runs = view.runs(self.publication, as_of=as_of)
        elif view.rows is Rows.DAYS:
            runs = {k: run for k, run in view.runs(self.publication).items() if run.snapshot_date in days}
        else:
            raise ConfigurationError(f"{name} has no snapshots", hint="read it without days")
        if not runs:
            raise NotPublishedError.of(
                view.name,
                days=days,
                command=view.command,
                details=self._why(view),
            )
        if view.rows is Rows.TRAININGS:
            rows = self._files.dataset(view.stored)
            return self._columns_of(view, rows, view.condition(runs, rows.schema.names, quoted))
        self._require_present(view, runs, as_of if isinstance(as_of, date) else None)
        if view.stored == CLAIMS:
            self._warn_of_earlier_checks({run.snapshot_date for run in runs.values()})
        if any(view.stored in run.outputs for run in runs.values()):
            rows = self._files.dataset(view.stored, runs=(view.run_column, runs.keys()))
        else:  # such as changes of a single snapshot
            rows = self._files.without_rows(view.run_column)
        condition = view.condition(runs, rows.schema.names, quoted)
        if view.rows is Rows.LOG and isinstance(as_of, date):
            condition += f" AND {quoted(view.day or '')} <= DATE '{as_of}'"
        return self._columns_of(view, rows, condition)

    @staticmethod
    def _columns_of(view: View, rows: pads.Dataset, condition: str) -> Relation:
        """Return the view's columns; one that the table was written without is null, as Spark reads it."""
        stored = set(rows.schema.names)
        columns = tuple(
            (quoted(n) if n in stored else f"CAST(NULL AS {_TYPES.get(view.types[n], 'VARCHAR')})", n)
            for n in view.columns
        )
        return Relation(rows=rows, columns=columns, condition=condition)

    def _why(self, view: View) -> list[str]:
        """Say of the days that are published and out of date which inputs have changed."""
        publication = self.publication
        return [
            f"{day} is out of date: {', '.join(publication.replaced_inputs(run))} changed since"
            for stage in view.stages
            for day, run in publication.published_days(stage).items()
            if publication.replaced_inputs(run)
        ]

    def _warn_of_earlier_checks(self, days: Collection[date]) -> None:
        """Say of which days' claims some tell of the checks of an earlier delivery."""
        for day in sorted(days):
            if tables := sorted(set(self.claims_of_earlier_checks(day).values())):
                warnings.warn(
                    f"claims of {day} on the checks of {', '.join(tables)} tell of an earlier delivery; "
                    "run `engage-spark analyze` again; it judges them anew",
                    stacklevel=2,
                )

    def _require_present(self, view: View, runs: dict[str, Run], as_of: date | None) -> None:
        """Refuse a day, or warn of days, whose published rows are not in the table any more.

        Where the lake was written since `runs` was read, it is no loss that they are not: the rows of a day
        that was published again meanwhile are others.
        """
        present = self._files.runs_in(view.stored, view.run_column)
        expected = [r for r in runs.values() if r.rows_written and view.stored in r.outputs]
        gone = [r for r in expected if r.run_id not in present]
        if not gone:
            return
        if self._files.is_behind(RUNS):
            raise TransientError(
                f"{view.name} was written again since this lake was looked at",
                hint="ask again; of a lake that stays open, call refresh() first",
            )
        days = ", ".join(sorted({str(r.snapshot_date) for r in gone}))
        hint = f"run `engage-spark {view.command}` again; it makes them anew"
        if as_of is not None or view.rows is Rows.LOG or len(gone) == len(runs):
            raise NotPublishedError(
                f"{view.name} does not hold the published rows of {days} any more", hint=hint
            )
        warnings.warn(
            f"{view.name} does not hold the published rows of {days} any more: they are left out; {hint}",
            stacklevel=2,
        )


def _days(as_of: date | Collection[date] | None) -> Collection[date]:
    if as_of is None:
        return ()
    return (as_of,) if isinstance(as_of, date) else as_of


def _day(as_of: date | str | None) -> date | None:
    if isinstance(as_of, datetime):
        return as_of.date()
    if not isinstance(as_of, str):
        return as_of
    try:
        return date.fromisoformat(as_of)
    except ValueError:
        raise ConfigurationError(f"{as_of!r} is no day", hint="write such as 2025-10-21") from None


def open_lake(
    lake: str | Path | Settings | None = None, *, contract: Contract | str | Path | None = None
) -> OpenLake:
    """Open a lake for reading without Spark.

    `lake` is its folder (or address in S3), settings, or None for the settings of this place and environment.
    `contract` is the one that the lake was made by; left out, that of the settings.
    Cost: none; `runs` is read with the first question, each table's log when it is first asked for.
    Errors: ConfigurationError where deltalake or DuckDB is missing, or the lake is a catalog.
    """
    _require_libraries()
    if isinstance(lake, str) and not lake.strip():
        raise InputError("the lake has no folder", hint="give the path of the lake")
    if isinstance(lake, Settings):
        settings = lake
    elif lake is None:
        settings = load_settings()
    else:
        settings = Settings(lake=LakeSettings(root=str(lake)))
    if not isinstance(contract, Contract):
        contract = load_contract(settings.contract if contract is None else contract)
    files = DeltaFiles(settings)
    _ = files.root
    return OpenLake(settings, contract, files)


def _require_libraries() -> None:
    try:
        import deltalake  # noqa: F401
        import duckdb  # noqa: F401
    except ModuleNotFoundError as e:
        raise ConfigurationError(
            f"{e.name} is not installed", hint="install the extra: pip install 'engage-spark[sql]'"
        ) from None
