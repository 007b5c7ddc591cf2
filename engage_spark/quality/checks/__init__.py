"""Check rows: rules as columns, duplicated keys, orphans, and the verdict on each row."""
