# Databricks notebook source
# MAGIC %md
# MAGIC # From raw files to features and the graph
# MAGIC Needs the package (a wheel on the cluster, or `%pip install` of it) and, in `conf/databricks.yaml` or
# MAGIC the parameter `set`, where raw data and tables are. Runs on classic and serverless compute alike.
# MAGIC Running it again does only what is new.

# COMMAND ----------

# ruff: noqa: D100
from engage_spark.cli.notebook import Notebook

notebook = Notebook(globals().get("dbutils"))
display = globals().get("display", lambda rows: rows.show())

# COMMAND ----------

notebook.ingest()

# COMMAND ----------

notebook.features()

# COMMAND ----------

notebook.graph()

# COMMAND ----------

display(notebook.table("runs").orderBy("finished_at", ascending=False).limit(20))

# COMMAND ----------

display(notebook.table(notebook.contract.derived[0].name).limit(10))
