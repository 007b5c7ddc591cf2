"""Say what to look at after the demo."""

from __future__ import annotations

NEXT_STEPS = (
    ("engage-spark report", "one HTML page of all of it"),
    ('engage-spark ask "which segments lose the most customers?"', "answers from what is published"),
    ("engage-spark quality show", "what was broken, with samples"),
    ("engage-spark models", "the champions; their cards are in MLflow"),
    ('engage-spark sql "SELECT * FROM predictions LIMIT 5"', "the tables, without Spark"),
    ("engage-spark quality profile PATH", "a contract drafted from your own data"),
)
"""Commands that follow the demo, and what each is for."""
