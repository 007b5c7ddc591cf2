"""Build OpenLineage's own classes of events on standard input: run by an interpreter that has its client."""

from __future__ import annotations

import json
import sys
from typing import Any

from openlineage.client import facet_v2
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

FACETS = {
    "parent": facet_v2.parent_run.ParentRunFacet,
    "nominalTime": facet_v2.nominal_time_run.NominalTimeRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    "inputStatistics": facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}
PARTS = {
    ("parent", "run"): facet_v2.parent_run.Run,
    ("parent", "job"): facet_v2.parent_run.Job,
    ("schema", "fields"): facet_v2.schema_dataset.SchemaDatasetFacetFields,
}


def facets(given: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, values in given.items():
        own = {k: v for k, v in values.items() if not k.startswith("_")}
        if name not in FACETS:
            assert name.startswith("engageSpark_"), f"{name} is neither OpenLineage's nor marked as our own"
            continue
        for key, value in own.items():
            if (part := PARTS.get((name, key))) is not None:
                own[key] = [part(**v) for v in value] if isinstance(value, list) else part(**value)
        made[name] = FACETS[name](**own, producer=values["_producer"])
        assert made[name]._schemaURL == values["_schemaURL"], (name, made[name]._schemaURL)
    return made


def event(given: dict[str, Any]) -> RunEvent:
    made = RunEvent(
        eventType=RunState[given["eventType"]],
        eventTime=given["eventTime"],
        producer=given["producer"],
        run=Run(runId=given["run"]["runId"], facets=facets(given["run"]["facets"])),
        job=Job(
            namespace=given["job"]["namespace"],
            name=given["job"]["name"],
            facets=facets(given["job"]["facets"]),
        ),
        inputs=[
            InputDataset(
                d["namespace"], d["name"], facets=facets(d["facets"]), inputFacets=facets(d["inputFacets"])
            )
            for d in given["inputs"]
        ],
        outputs=[
            OutputDataset(
                d["namespace"], d["name"], facets=facets(d["facets"]), outputFacets=facets(d["outputFacets"])
            )
            for d in given["outputs"]
        ],
    )
    assert made.schemaURL == given["schemaURL"]
    return made


if __name__ == "__main__":
    events = [event(json.loads(line)) for line in sys.stdin]
    sys.stdout.write(f"{len(events)} events\n")
