"""Record runs and keep models in MLflow: the only code that imports mlflow, and it does so on first use.

    tracker = Tracker(settings.tracking, staging=settings.lake.scratch_root)
    with tracker.run(target.name, name="2025-10-21 gbt", params={…}, tags={…}) as run:
        run.metrics({"test/auc": 0.91})
        run.artefact("card.md", text)
        run.model(spark, fitted, features=columns, extras={…}, name=target.name, facts=ModelFacts(…))
    version = tracker.register(run)
    tracker.promote(version, reasons={"gain": "AUC +0.011 [0.004, 0.018]"})
    champion = tracker.champion(target.name)
    model = tracker.load(spark, champion)

A run is written to a local folder first and sent as a whole when its block ends. So a broken connection costs
nothing that was computed: the folder is kept, the error says where, and `Tracker.send` (engage-spark models
send FOLDER) sends the rest later.
"""

from engage_spark.tracking.recorder import ModelFacts, RunRecord
from engage_spark.tracking.registry import CHALLENGER, CHAMPION, Champion, ModelVersion
from engage_spark.tracking.tracker import Tracker

__all__ = ["CHALLENGER", "CHAMPION", "Champion", "ModelFacts", "ModelVersion", "RunRecord", "Tracker"]
