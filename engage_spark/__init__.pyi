from engage_spark.contract import load_contract as load_contract
from engage_spark.pipelines.features import run_features as run_features
from engage_spark.pipelines.graph.run import run_graph as run_graph
from engage_spark.pipelines.ingest.run import run_ingest as run_ingest
from engage_spark.pipelines.quality.check_data import check as check
from engage_spark.pipelines.score import run_score as run_score
from engage_spark.pipelines.synth import run_synth as run_synth
from engage_spark.pipelines.train.run import run_train as run_train
from engage_spark.reader import open_lake as open_lake
from engage_spark.settings import load_settings as load_settings
from engage_spark.spark.session import open_session as open_session

__version__: str
__all__: list[str]
