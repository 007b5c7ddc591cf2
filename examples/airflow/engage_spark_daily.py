"""All stages of each day, from Airflow 3: one task per stage, retried only where a retry can help.

Where the tasks run, `engage-spark` has to be on the PATH with its settings: in the working directory, or as
variables `ENGAGE_SPARK__…` of the environment. The run of a day starts at 4:30 UTC of the next one.
"""

import shlex
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.interval import CronDataIntervalTimetable

RETRYABLE = 4
"""The exit code of what a retry may mend: a store or a cluster that did not answer."""
DAY = "{{ data_interval_start | ds }}"
KNOWN = "{{ data_interval_end | ds }}"
"""The day up to which labels are known to a run, also to one that is made up for later."""


@task
def engage_spark(command: str) -> None:
    """Run a command of the package; its words go to the task's log."""
    code = subprocess.run(["engage-spark", *shlex.split(command)], check=False).returncode  # noqa: S607
    if code == RETRYABLE:
        raise AirflowException(f"exit code {code}: worth a retry")
    if code != 0:  # to be corrected, or rejected by a gate: the same input ends the same way
        raise AirflowFailException(f"exit code {code}: see what the command said")


def stage(name: str, *, trigger_rule: str = "all_success"):
    """Make the task of a stage. One that is done already does nothing, so any run may be repeated."""
    command = f"pipeline --stages {name} --from {DAY} --to {DAY} --as-of {KNOWN} --json-logs"
    return engage_spark.override(task_id=name, trigger_rule=trigger_rule)(command)


@task
def whole_day() -> None:
    """End last. Airflow judges a run by its last tasks, so this one fails where any stage did."""


with DAG(
    dag_id="engage_spark_daily",
    description="Check, featurize, measure, model and report one day of customers.",
    schedule=CronDataIntervalTimetable("30 4 * * *", timezone="UTC"),
    start_date=datetime(2025, 10, 21, tzinfo=UTC),
    catchup=False,  # `airflow backfill create` makes up for days that were left out
    max_active_runs=1,  # one pipeline of a lake at a time
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["engage-spark"],
) as dag:
    names = ("ingest", "features", "graph", "monitor", "train", "analyze")
    ingest, features, graph, monitor, train, analyze = map(stage, names)
    # By the champion that there is, also where training or monitoring found fault.
    score = stage("score", trigger_rule="all_done")
    report = engage_spark.override(task_id="report", trigger_rule="all_done")(
        f"report --as-of {DAY} --out report-{DAY}.html"
    )
    ingest >> [features, graph]
    features >> [monitor, train, analyze]
    graph >> [monitor, train, analyze]
    [monitor, train] >> score
    [score, analyze] >> report
    [ingest, features, graph, monitor, train, analyze, score, report] >> whole_day()
