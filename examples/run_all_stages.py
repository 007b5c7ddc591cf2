"""Call every stage as a Python function: make data, ingest, derive features, measure the graph, train, score.

Run it with `python examples/run_all_stages.py [FOLDER] [CUSTOMERS]`. With 2,000 customers it takes minutes.
It trains one target; without `target`, all are trained.
"""

import sys
from datetime import date

from engage_spark import (
    load_contract,
    load_settings,
    open_session,
    run_features,
    run_graph,
    run_ingest,
    run_score,
    run_synth,
    run_train,
)
from engage_spark.errors import NoChampionError

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
        "ingest.landed_at=2025-11-21T00:30:00Z",
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

    run_train(spark, settings, contract=contract, target=["churn_30_day"], as_of=date(2025, 11, 21))
    try:
        scored = run_score(spark, settings, contract=contract)
        print(f"predictions in {scored.locations['predictions']}")
    except NoChampionError as error:
        print(error.message)  # so few customers that no model passed its gates
