# Databricks notebook source
# MAGIC %md
# MAGIC # Describe the customers, and ask
# MAGIC Segments, weeks, cohorts, correlations and claims of every day that lacks them; then questions in
# MAGIC plain English, each answered with figures and their sources, or declined. Questions read the lake by
# MAGIC path (`lake.root`); of a lake in a catalog none is answered, so read the tables below.

# COMMAND ----------

# ruff: noqa: D100
from engage_spark.cli.notebook import Notebook

notebook = Notebook(globals().get("dbutils"))
display = globals().get("display", lambda rows: rows.show())

# COMMAND ----------

notebook.analyze()

# COMMAND ----------

display(notebook.table("claims"))

# COMMAND ----------

answers = notebook.ask("How many customers are there?", "How good is the data quality?")
