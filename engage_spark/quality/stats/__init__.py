"""Count what a table holds: exact statistics per column that add up over partitions and days."""
