"""Call every stage as a Python function: make data, ingest, derive features, measure the graph, train, score.

Run it with `python examples/run_all_stages.py [FOLDER] [CUSTOMERS]`. With 2,000 customers it takes minutes.
"""

import sys
from datetime import date

from engage_spark.contract import load_contract
from engage_spark.errors import NoChampionError
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.synth import run_synth
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import load_settings
from engage_spark.spark.session import open_session

home = sys.argv[1] if len(sys.argv) > 1 else "engage-data/example"
customers = int(sys.argv[2]) if len(sys.argv) > 2 else 2000

contract = load_contract()
settings = load_settings(
    "local",
    overrides=(
        f"synth.customers={customers}",
        f"synth.out={home}/raw",
        f"input.root={home}/raw",
        f"lake.root={home}/lake",
        f"tracking.folder={home}/mlflow",
        "ingest.landed_at=2025-10-22T00:30:00Z",
        "models.candidates=[linear]",
        "models.folds=2",
    ),
)
with open_session(settings) as spark:
    run_synth(spark, settings, contract=contract)
    ingested = run_ingest(spark, settings, contract=contract)
    print(f"{ingested.rows_in:,} rows in, {ingested.quarantined:,} quarantined")

    featurised = run_features(spark, settings, contract=contract)
    print(f"{featurised.rows:,} rows of features")

    measured = run_graph(spark, settings, contract=contract)
    print(f"graph of {len(measured.snapshots)} day")

    run_train(spark, settings, contract=contract, as_of=date(2026, 1, 31))
    try:
        scored = run_score(spark, settings, contract=contract)
        print(f"predictions in {scored.locations['predictions']}")
    except NoChampionError as error:
        print(error.message)  # so few customers that no model passed its gates
