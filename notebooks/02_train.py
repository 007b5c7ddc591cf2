# Databricks notebook source
# MAGIC %md
# MAGIC # Train, evaluate and register a model of every target
# MAGIC Takes published snapshots whose label window has closed. Models go where `tracking` of
# MAGIC `conf/databricks.yaml` says; `lake.scratch` must be a volume: models pass through it.

# COMMAND ----------

# ruff: noqa: D100
from engage_spark.cli.notebook import Notebook

notebook = Notebook(globals().get("dbutils"))
display = globals().get("display", lambda rows: rows.show())

# COMMAND ----------

notebook.train()

# COMMAND ----------

notebook.models()

# COMMAND ----------

display(notebook.table("training_runs"))
