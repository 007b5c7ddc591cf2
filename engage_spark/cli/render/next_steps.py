"""Say what to look at after the demo."""

from __future__ import annotations

NEXT_STEPS = (
    ("engage-spark report", "one page of it all"),
    ('engage-spark ask "which segments lose the most customers?"', "an answer in words"),
    ("engage-spark quality show", "what was broken"),
    ("engage-spark models", "the champions"),
    ('engage-spark sql "SELECT * FROM predictions LIMIT 5"', "tables, no Spark"),
    ("engage-spark quality profile PATH", "your own data"),
)
"""Commands that follow the demo, and what each is for."""
