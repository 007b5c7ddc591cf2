"""Read a folder of DAGs as Airflow does, and run its tasks' functions; for Airflow's own Python, which has
nothing of this package: `run_dag.py FOLDER DAY`.

Prints one JSON object: errors of the import, and of each task what it waits for and how it ended.
"""

import json
import sys
from datetime import UTC, date, datetime, time, timedelta

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException


def outcome(task, context):
    """How the task's function ends: done, worth a retry, or failed for good."""
    words = [task.render_template(word, context) for word in task.op_args]
    try:
        task.python_callable(*words)
    except AirflowFailException:
        return "failed"
    except AirflowException:
        return "retry"
    return "done"


bag = DagBag(dag_folder=sys.argv[1], include_examples=False)
(dag,) = bag.dags.values()
next_day = date.fromisoformat(sys.argv[2]) + timedelta(days=1)
morning = datetime.combine(next_day, time(5), tzinfo=UTC)
interval = dag.timetable.infer_manual_data_interval(run_after=morning)
context = {"data_interval_start": interval.start, "data_interval_end": interval.end}
print(
    json.dumps(
        {
            "errors": bag.import_errors,
            "max_active_runs": dag.max_active_runs,
            "interval": [interval.start.isoformat(), interval.end.isoformat()],
            "tasks": {
                task.task_id: {
                    "after": sorted(task.upstream_task_ids),
                    "rule": str(task.trigger_rule.value),
                    "retries": task.retries,
                    "outcome": outcome(task, context),
                }
                for task in dag.topological_sort()
            },
        }
    )
)
