# Databricks notebook source
# MAGIC %md
# MAGIC # What was broken
# MAGIC Rules and gates of the contract that did not hold on `snapshot_date`, or on the newest day that was
# MAGIC checked, worst first; then the rows in quarantine with their reasons. Nothing is checked again.

# COMMAND ----------

# ruff: noqa: D100
from engage_spark.cli.notebook import Notebook

notebook = Notebook(globals().get("dbutils"))
display = globals().get("display", lambda rows: rows.show())

# COMMAND ----------

notebook.quality()

# COMMAND ----------

judged = notebook.table(f"{notebook.contract.entity.name}_judged")
display(
    judged.where("_dq_status = 'quarantined'").select(*notebook.contract.entity.key, "_dq_errors").limit(20)
)
