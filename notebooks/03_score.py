# Databricks notebook source
# MAGIC %md
# MAGIC # Score a snapshot with the champions
# MAGIC Every target's champion over the published snapshots that lack predictions, or over `snapshot_date`.

# COMMAND ----------

# ruff: noqa: D100
from engage_spark.cli.notebook import Notebook

notebook = Notebook(globals().get("dbutils"))
display = globals().get("display", lambda rows: rows.show())

# COMMAND ----------

notebook.score()

# COMMAND ----------

display(notebook.table("predictions").limit(20))
