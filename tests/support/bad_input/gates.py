"""Snapshots of the packaged contract at the boundaries of its gates."""

from __future__ import annotations

from tests.support.bad_input.declared import Group, accepted, rejected

ROWS = 500
BOUNDARIES = Group(
    title="Boundaries of a snapshot",
    about=f"Days of {ROWS} customers of the packaged contract: 21,000 cells, of which 99.8% must be "
    "filled; 1% of rows may be quarantined.",
    cases=(  # given: (empty cells, rows out of range)
        accepted("exactly 99.8% of the cells filled", given=(42, 0)),
        rejected("one more cell empty", "completeness_overall measured 99.7952%, bound 99.8%", given=(43, 0)),
        accepted("exactly 1% of the rows quarantined", given=(0, 5)),
        rejected("one more row quarantined", "quarantine_limit measured 1.2000%, bound 1%", given=(0, 6)),
    ),
)
