"""Options of sessions that end before what Spark and Java do for long ones has paid off."""

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-DontCompileHugeMethods -Xss4m"
"""For a JVM that ends before its second compiler would have paid off."""
WITHOUT_CODE = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
"""Expressions are read instead of code being generated for them: a query on a few rows is over before its
code would be compiled. Sessions of Spark Connect and jobs on clusters generate it, and give the same tables.
"""
