"""Check a DataFrame against a data contract. Nothing is written.

Run it with `python examples/check_a_dataframe.py`.
"""

from pathlib import Path

from engage_spark import check, load_settings, open_session

CONTRACT = Path(__file__).with_name("stations.odcs.yaml")
ROWS = [
    ("ST0001", "Harbour", 20, 12),
    ("ST0002", "Harbour", 20, 25),  # more bikes than docks
    ("ST0003", "Moon", 20, None),  # no such district, and a null
    ("ST0004", "North", 20, 20),
]

with open_session(load_settings()) as spark:
    stations = spark.createDataFrame(
        ROWS, "station_code string, district string, docks_total int, bikes_parked int"
    )
    result = check(stations, CONTRACT)
    print(result)
    result.quarantined.select("station_code", "_dq_errors.rule").show(truncate=False)
