"""Meet Spark: sessions, jars, Java, S3, and the schema that follows from a contract."""
