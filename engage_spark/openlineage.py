"""Tell OpenLineage what runs: an event when a job starts, one when it ends, with its datasets and its parent.

Where `lineage.url` and `lineage.file` are not set, nothing is told. An event that cannot be sent is logged as
a warning, and fails nothing. No event holds a secret (`masking`).
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from engage_spark import __version__, log
from engage_spark.masking import mask, mask_texts
from engage_spark.settings import LineageSettings

PRODUCER = f"urn:engage-spark:{__version__}"
SPEC = "https://openlineage.io/spec"
SECONDS = 5.0
"""How long an endpoint may take to answer."""
PAUSE_SECONDS = 60.0
"""How long an endpoint that did not answer is left alone: stages do not wait for it again and again."""
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:engage-spark")

START, COMPLETE, FAIL, ABORT = "START", "COMPLETE", "FAIL", "ABORT"


@dataclass(frozen=True, kw_only=True)
class LineageDataset:
    """A table or a folder that a job reads or writes.

    `version` is the run that published what is read or written. `fields` are (name, type, description).
    `rows` is what the job read or wrote, None where it was not counted.
    """

    namespace: str
    name: str
    version: str | None = None
    fields: Sequence[tuple[str, str, str]] = ()
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class LineageJob:
    """A run of a job, before it starts.

    `key` identifies the run: the same key gives the same `run_uuid`. `own` are the package's own facts.
    """

    name: str
    kind: str
    key: str
    day: date | None = None
    inputs: Sequence[LineageDataset] = ()
    outputs: Sequence[LineageDataset] = ()
    own: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def run_uuid(self) -> str:
        """The run's id, in the form that OpenLineage asks for."""
        return str(uuid.uuid5(_IDS, f"{self.name}/{self.key}"))


_parent: ContextVar[LineageJob | None] = ContextVar("lineage_parent", default=None)


class RunningJob:
    """A job that runs: tells its start when it is made, and its end once."""

    def __init__(self, settings: LineageSettings, job: LineageJob) -> None:
        self.settings, self.job, self.parent = settings, job, _parent.get()
        self.is_over = False
        _send(settings, run_event(settings, job, START, parent=self.parent))

    def complete(self, outputs: Sequence[LineageDataset]) -> None:
        """Tell that the job has published these datasets."""
        self._end(COMPLETE, outputs)

    def fail(self, message: str, *, kind: str = FAIL) -> None:
        """Tell that the job failed, or was stopped."""
        self._end(kind, self.job.outputs, message=message)

    def _end(self, kind: str, outputs: Sequence[LineageDataset], message: str = "") -> None:
        if not self.is_over:
            self.is_over = True
            event = run_event(
                self.settings, self.job, kind, outputs=outputs, message=message, parent=self.parent
            )
            _send(self.settings, event)


@contextmanager
def running(settings: LineageSettings, describe: Callable[[], LineageJob]) -> Iterator[RunningJob | None]:
    """Tell the start of a job, and its failure where the block raises; its success is told by the block.

    Yields None, and describes nothing, where nobody is to be told. Jobs inside the block are children of this
    one.
    """
    if not (settings.url or settings.file):
        yield None
        return
    job = describe()
    handle = RunningJob(settings, job)
    token = _parent.set(job)
    try:
        yield handle
    except KeyboardInterrupt:
        handle.fail("stopped", kind=ABORT)
        raise
    except Exception as e:
        handle.fail(str(getattr(e, "message", None) or e) or type(e).__name__)
        raise
    finally:
        _parent.reset(token)


def run_event(
    settings: LineageSettings,
    job: LineageJob,
    kind: str,
    *,
    outputs: Sequence[LineageDataset] | None = None,
    message: str = "",
    parent: LineageJob | None = None,
) -> dict[str, Any]:
    """Return an event of a job as OpenLineage's schema has it, without secrets."""
    run: dict[str, Any] = {}
    if parent is not None:
        run["parent"] = _facet(
            "facets/1-2-0/ParentRunFacet",
            run={"runId": parent.run_uuid},
            job={"namespace": settings.namespace, "name": parent.name},
        )
    if job.day is not None:
        run["nominalTime"] = _facet(
            "facets/1-0-1/NominalTimeRunFacet", nominalStartTime=f"{job.day}T00:00:00Z"
        )
    if job.own:
        run["engageSpark_run"] = _facet("2-0-2/OpenLineage", part="RunFacet", **job.own)
    if message:
        run["errorMessage"] = _facet(
            "facets/1-0-1/ErrorMessageRunFacet", message=message, programmingLanguage="PYTHON"
        )
    event = {
        "eventType": kind,
        "eventTime": datetime.now(UTC).isoformat(),
        "producer": PRODUCER,
        "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": job.run_uuid, "facets": run},
        "job": {
            "namespace": settings.namespace,
            "name": job.name,
            "facets": {
                "jobType": _facet(
                    "facets/2-0-4/JobTypeJobFacet",
                    processingType="BATCH",
                    integration="ENGAGE_SPARK",
                    jobType=job.kind,
                )
            },
        },
        "inputs": [_dataset(d, "inputFacets", "inputStatistics", "1-0-0/Input") for d in job.inputs],
        "outputs": [
            _dataset(d, "outputFacets", "outputStatistics", "1-0-2/Output")
            for d in (job.outputs if outputs is None else outputs)
        ],
    }
    masked: dict[str, Any] = mask_texts(event)
    return masked


def _dataset(dataset: LineageDataset, of_use: str, statistics: str, kind: str) -> dict[str, Any]:
    """Return a dataset with its facets; `of_use` are those of what the job reads or writes of it."""
    version, side = kind.split("/")
    facets: dict[str, Any] = {}
    if dataset.fields:
        fields = [{"name": n, "type": t, "description": d} for n, t, d in dataset.fields]
        facets["schema"] = _facet("facets/1-2-0/SchemaDatasetFacet", fields=fields)
    if dataset.version:
        facets["version"] = _facet("facets/1-0-1/DatasetVersionDatasetFacet", datasetVersion=dataset.version)
    counted: dict[str, Any] = {}
    if dataset.rows is not None:
        counted[statistics] = _facet(
            f"facets/{version}/{side}Statistics{side}DatasetFacet", rowCount=dataset.rows
        )
    return {"namespace": dataset.namespace, "name": dataset.name, "facets": facets, of_use: counted}


def _facet(schema: str, *, part: str | None = None, **values: Any) -> dict[str, Any]:
    """Return a facet by its schema, such as `facets/1-2-0/ParentRunFacet`."""
    url = f"{SPEC}/{schema}.json#/$defs/{part or schema.rpartition('/')[2]}"
    return {"_producer": PRODUCER, "_schemaURL": url, **values}


def dataset_name(location: str, *, catalog: str | None) -> tuple[str, str]:
    """Return namespace and name of a path or of a table, by OpenLineage's naming of datasets.

    `catalog` is the namespace of tables that are named, not pathed; None where `location` is a path.
    """
    if catalog is not None:
        return catalog, location
    scheme, separator, rest = location.partition("://")
    if not separator:
        return "file", str(Path(location).absolute()) if ":" not in location else location
    bucket, _, key = rest.partition("/")
    scheme = "s3" if scheme in ("s3a", "s3n") else scheme
    return (f"{scheme}://{bucket}", key or "/") if bucket else (scheme, f"/{key}")


def _send(settings: LineageSettings, event: Mapping[str, Any]) -> None:
    """Hand an event to each transport; what cannot be sent is a warning in the log."""
    text = json.dumps(event, ensure_ascii=False)
    for place, transport in ((settings.file, _append), (settings.url, _post)):
        if not place:
            continue
        try:
            transport(settings, text)
        except (OSError, ValueError, HTTPException) as e:
            what = f"the event {event['eventType']} of {event['job']['name']} was not sent to {place}: {e}"
            log.event(mask(what), level="warning")


def _append(settings: LineageSettings, text: str) -> None:
    with Path(str(settings.file)).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


_paused_until: dict[str, float] = {}
"""Endpoints that did not answer, and when they are tried again, on the clock of `time.monotonic`."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Take an answer that names another place as a refusal.

    What follows would be a GET without the event, with the key, to whom the answer names.
    """

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(settings: LineageSettings, text: str) -> None:
    url = f"{str(settings.url).rstrip('/')}/api/v1/lineage"
    started = time.monotonic()
    if started < _paused_until.get(url, started):
        raise TimeoutError(f"it did not answer before; it is tried again after {PAUSE_SECONDS:g} seconds")
    headers = {"Content-Type": "application/json"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    request = urllib.request.Request(  # noqa: S310 (the setting allows http and https alone)
        url, data=text.encode(), headers=headers, method="POST"
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
            answer.read()
    except OSError:
        ended = time.monotonic()
        if ended - started >= SECONDS:
            _paused_until[url] = ended + PAUSE_SECONDS
        raise
