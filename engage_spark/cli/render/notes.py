"""Word the notes of results: one text for every code."""

from __future__ import annotations

from datetime import date
from typing import Any

from engage_spark.pipelines.results import Note
from engage_spark.wording import counted

WORDING: dict[str, str] = {
    # synth
    "MadeBefore": "made before by the same plan, left as it is",
    # ingest
    "LogNotDelivered": "{table}: not delivered, there is no {path}",
    "LandingNotUsed": (
        "ingest.landed_at is not used for {tables}: their landing was recorded when they were first ingested"
    ),
    "SnapshotUpToDate": "{table} of {snapshot_date}: published before from the same files, left as it is",
    "SnapshotRejectedBefore": (
        "{table} of {snapshot_date}: rejected before, from the same files ({message}); deliver it again, or "
        "--force checks it again"
    ),
    "LogRejectedBefore": (
        "{table}: rejected before, from the same files ({message}); deliver it again, or --force checks it "
        "again"
    ),
    "LogWithoutKeys": "{table}: not checked, since no snapshot was, whose keys its events could name",
    "EventsRepeated": "{table}: {n_events:event} left out, since the log holds the same already",
    "EventsChanged": (
        "{table}: {n_events:event} came again under a known key with other content; the {holds} holds "
        "(ingest.changed_events): {examples}"
    ),
    "DaysShrunk": "{table}: fewer events than before on {n_days:day}: {days}",
    "LogUpToDate": "{table}: published before from the same files, left as it is",
    "RunReplaced": (
        "{table} of {snapshot_date}: replaces run {run_id:.8}, whose files, contract, settings or code "
        "were others"
    ),
    "DeliveryNotWhole": "{delivery} is left out, since it is not whole yet: {reason}",
    "FilesNotWhole": "{table}: {n_files:file} left out, since not whole yet, such as {path}: {reason}",
    "FilesStreamedBefore": "{n_files:file} left out, since runs have them already",
    "EventsLate": (
        "{table}: in {n_runs:run}, 5% of the events took longer to the table than the contract promises, at "
        "worst {p95:,.0f} s (run {run_id:.8}) where less than {promised:,.0f} s are promised"
    ),
    "ColumnsLeftOut": "{table}: left out {n_columns:undeclared column}: {examples}",
    "ColumnsNotDeclared": (
        "{table}: the contract does not declare {n_columns:column} any more, which the table has; new rows "
        "hold null there: {examples}"
    ),
    "KeysLeftOut": "{table}: left out {n_rows:row} of erased keys",
    "MadeWithoutErased": "made without {n_keys:erased key}",
    # features, graph, score
    "FormulaFailed": (
        "{table} of {snapshot_date}: {field} is null on {n_rows:row}, where its formula cannot be computed"
    ),
    "NothingToDerive": "nothing to derive: the contract declares no derived table",
    "NothingToMeasure": "nothing to measure: the contract declares no graph",
    "NothingToTrain": "nothing to train: the contract declares no target",
    "NothingToScore": "nothing to score: the contract declares no target",
    "NothingToMonitor": "nothing to judge: the contract declares no target",
    "FeaturesUpToDate": "every published snapshot has its features already; --force derives them again",
    "GraphUpToDate": "every published snapshot has its graph measured already; --force measures it again",
    "PredictionsAsMade": (
        "the predictions of {n_days:older day} are left as they were made; --snapshot-date DAY or --force "
        "makes them anew by these champions"
    ),
    "PredictionsUpToDate": (
        "every snapshot has the predictions of these champions already; --force makes them again"
    ),
    "DayNotMonitored": "{target} of {snapshot_date} could not be judged: {reason}",
    "GroupsNotMonitored": "{target} of {snapshot_date}: groups are not compared: {reason}",
    "DriftNotMonitored": (
        "{target} of {snapshot_date}: no drift, since training_runs does not say what {model} was trained on"
    ),
    "MonitoringUpToDate": (
        "every scored day whose labels are known was judged before; --force judges them again"
    ),
    "AnalyzedWithout": (
        "{snapshot_date} is analyzed without {tables}: not published, or out of date; their metrics are left "
        "out, and rules that need them are not measured; run the stage that makes them, then this one again"
    ),
    "DaysNotMerged": (
        "{snapshot_date}: {days} belong to its week or month, or come before it, and are left out, since "
        "their analytics are not up to date; run `engage-spark analyze` without --snapshot-date"
    ),
    "OneSnapshot": "{snapshot_date}: one snapshot; there is nothing before it to compare with",
    "SegmentsMerged": (
        "{snapshot_date}: {dimension} has more than {n_segments} values; rarer ones, of "
        "{n_customers:row} together, are in (other)"
    ),
    "AnalyticsUpToDate": "every published snapshot is analyzed already; --force does it again",
    "ConnectionsLeftOut": (
        "{snapshot_date}: {n_connections:connection} left out, an end of which is not among the valid "
        "rows of the day"
    ),
    "NoPictureFields": "no picture: the contract declares no field that measures {measures}",
    "NoPictureFolder": ("no picture: the lake is not a path of this machine; set graph.pictures to a folder"),
    "GraphNotUsed": (
        "the graph is not used: features.graph_values is given, and not every day has its graph measured"
    ),
    "SnapshotLeftOut": "left out: {snapshot_date}: {tables} not published",
    "SnapshotOutOfDate": "left out: {snapshot_date}: {tables} out of date, since what it was made from was "
    "published again; run the stage that makes it",
    "TargetWithoutChampion": "{target} is not scored: it has no champion",
    "MeaningUnknown": (
        "{name} version {version} does not say what its features meant when it was trained, so nobody can "
        "tell whether they still do; train {target} again"
    ),
    "NotScored": (
        "nothing is scored: there is no champion for any of {targets} at {registry}; "
        "run `engage-spark train`, or choose a version by hand: `engage-spark models promote TARGET VERSION`"
    ),
    # pipeline
    "DaysWithoutDelivery": "neither delivered nor published: {days}",
    # train
    "TargetNotMatured": "{target} is not trained: no snapshot has matured",
    "LabelsNotDelivered": (
        "{target}: {days:snapshot} landed before the labels were known, the newest of {newest}; deliver "
        "such days again with the labels to train on them"
    ),
    "TrainedBefore": (
        "{targets}: trained before on the same data, contract, settings and code (run {run_id:.8}); --force "
        "trains again"
    ),
    "SplitsRepaired": "the table splits had {n_keys:key} twice; each was left once",
    "SplitsNotMatured": (
        "the splits are drawn by what {target} says now: none of its snapshots has matured yet"
    ),
    # tables
    "TablesBusy": "left out, since a stage writes them: {tables}; run the command again later",
    "NothingChanged": "this only looked; nothing was changed",
    "FoldersNotSeen": "temporary tables in {path} were left, since this process does not see them",
    "HistoryHoldsKey": (
        "old files still hold the key; `engage-spark tables vacuum` deletes them after lake.retention_days"
    ),
    "RawFilesNotLookedAt": (
        "not looked at: the raw files, which belong to whoever delivers them, and what commands wrote to "
        "folders of your own, such as Data Docs and answers of SQL"
    ),
    # quality
    "QuarantinedNotCompared": (
        "only valid rows are compared: {n_rows:row} of {day} (and {n_rows_against:,} of {against}) are "
        "quarantined, and what they hold is not in these figures; `engage-spark quality show` says what broke"
    ),
    "DaysNotPublished": "left out, since not published: {days}",
    "SketchesOfAnotherVersion": (
        "no medians and numbers of distinct values, since another version of this package summarised a day: "
        "{columns}; `engage-spark ingest --force` makes them again"
    ),
    "ColumnLeftOut": "{column}: left out, since {reason}",
    "ConfidentialColumns": "confidential by name or form: {columns}",
    "KindPlain": "kind plain: it can be checked, not ingested; the draft's first lines say what is missing",
    "SharedKey": "{key} is not unique: {n_rows:row} have one that others have; these will be quarantined",
    "NoKey": "no {key} in {n_rows:row}, which will be quarantined",
}


def note_text(note: Note) -> str:
    """Return a note in words. Sequences are joined with commas."""
    return WORDING[note.code].format(**{name: _shown(value) for name, value in note.facts.items()})


class _Count(int):
    """A number that is formatted with a noun as its format: `{n_rows:row}` gives "1 row", "2 rows"."""

    def __format__(self, spec: str) -> str:
        return counted(int(self), spec) if spec.replace(" ", "").isalpha() else int(self).__format__(spec)


def _shown(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return _Count(value)
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, date) else value
