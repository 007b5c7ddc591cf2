"""Store a fitted PipelineModel as a folder in MLflow's own format, alike on classic Spark and on Connect.

The flavour is `spark`. mlflow.spark.save_model moves the files with the JVM's file system, which Spark
Connect does not give. Here Spark writes the model to a place that it can reach (`staging`), and its files
come back as rows of Spark's own binaryFile source; the way there is a copy. What is stored is the same:
`mlflow.spark.load_model` and `mlflow.pyfunc.load_model` read it.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError
from engage_spark.spark.files import delete_directory, put_directory
from engage_spark.spark.guarantees import STRICT_READS
from engage_spark.tracking.client import import_mlflow, silence_mlflow

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

DATA = "sparkml"
"""Where mlflow's flavour expects Spark's own files, inside the model's folder."""
EXTRAS = "engage.json"
SIGNATURE_TYPES = {
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "boolean": "boolean",
    "string": "string",
}


def save_model(
    spark: SparkSession,
    model: PipelineModel,
    folder: Path,
    *,
    features: Sequence[tuple[str, str]],
    extras: Mapping[str, Any],
    facts: Mapping[str, str],
    staging: str | None,
) -> None:
    """Write `folder`: MLmodel, Spark's files, requirements, and engage.json.

    engage.json holds features, extras and facts.
    """
    folder.mkdir(parents=True)
    _fetch(spark, model, folder / DATA, _place(staging, folder))
    needed = _requirements(model)
    (folder / "requirements.txt").write_text("\n".join(needed) + "\n")
    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n"
    )
    conda = {
        "name": "engage-spark",
        "channels": ["conda-forge"],
        "dependencies": [f"python={platform.python_version()}", "pip", {"pip": needed}],
    }
    (folder / "conda.yaml").write_text(json.dumps(conda, indent=1))  # JSON is YAML
    content = {"features": [list(f) for f in features], "extras": dict(extras), "facts": dict(facts)}
    (folder / EXTRAS).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    with silence_mlflow():
        _describe(folder, model, features)


def load_model(spark: SparkSession, folder: Path, *, staging: str | None) -> PipelineModel:
    """Load the model of such a folder.

    Spark has read all of it when this returns: the copy that it read is deleted.
    """
    from pyspark.ml import PipelineModel

    if not (folder / DATA).is_dir():
        raise ConfigurationError(
            f"{folder} holds no Spark model", hint=f"give a folder with MLmodel and {DATA}/ in it"
        )
    place = _place(staging, folder)
    try:
        put_directory(spark, folder / DATA, place)
        return PipelineModel.load(place)
    finally:
        delete_directory(spark, place)


def read_extras(file: Path) -> dict[str, Any]:
    """Read the content of engage.json: features, extras, facts."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _place(staging: str | None, folder: Path) -> str:
    """Return the path of a new directory.

    Without a place that Spark and this process share, it is beside the model: one machine is assumed then.
    """
    root = staging.rstrip("/") if staging else str(folder.parent.absolute() / "_staging")
    if "://" not in root and not root.startswith(("file:", "dbfs:")):
        root = str(Path(root).absolute())
    return f"{root}/model-{uuid.uuid4().hex}"


def _fetch(spark: SparkSession, model: PipelineModel, target: Path, place: str) -> None:
    """Have Spark write the model, and bring its files here.

    Files that begin with `_` or `.` (markers, checksums) are not needed.
    """
    name = place.rpartition("/")[2]
    try:
        model.write().save(place)
        rows = (
            spark.read.options(**STRICT_READS, recursiveFileLookup="true")
            .format("binaryFile")
            .load(place)
            .select("path", "content")
            .collect()
        )
    finally:
        delete_directory(spark, place)
        if (beside := target.parent.parent / "_staging").is_dir():
            shutil.rmtree(beside, ignore_errors=True)
    if not rows:
        raise ConfigurationError(
            f"the model that Spark wrote to {place} cannot be found there",
            hint="set lake.scratch to a path all nodes share",
        )
    for path, content in rows:
        file = target / path.partition(f"/{name}/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _requirements(model: PipelineModel) -> list[str]:
    """Return the pinned packages whose classes the model is made of.

    They are named here, since letting mlflow infer them takes 20 s and a second Spark.
    """
    modules = {type(stage).__module__.partition(".")[0] for stage in getattr(model, "stages", ())} | {
        "pyspark",
        "mlflow",
    }
    names = {"engage_spark": "engage-spark"}
    pinned = []
    for module in sorted(modules):
        try:
            pinned.append(f"{names.get(module, module)}=={version(names.get(module, module))}")
        except PackageNotFoundError:  # a managed runtime brings it under another name
            pinned.append(f"{module}=={getattr(sys.modules.get(module), '__version__', '*')}")
    return pinned


def _describe(folder: Path, model: PipelineModel, features: Sequence[tuple[str, str]]) -> None:
    """Write the file MLmodel: both flavours and the signature, whose columns are all optional (nulls)."""
    import pyspark

    types, models, pyfunc = (
        import_mlflow("mlflow.types"),
        import_mlflow("mlflow.models"),
        import_mlflow("mlflow.pyfunc"),
    )
    inputs = [
        types.ColSpec(SIGNATURE_TYPES.get(kind, "double"), name, required=False) for name, kind in features
    ]
    signature = models.ModelSignature(
        inputs=types.Schema(inputs), outputs=types.Schema([types.ColSpec("double", "prediction")])
    )
    described = models.Model(signature=signature)
    described.add_flavor(
        "spark",
        pyspark_version=pyspark.__version__,
        model_data=DATA,
        code=None,
        model_class=f"{type(model).__module__}.{type(model).__qualname__}",
    )
    pyfunc.add_to_model(
        described,
        loader_module="mlflow.spark",
        data=DATA,
        code=None,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
    )
    described.model_size_bytes = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    described.save(str(folder / "MLmodel"))
