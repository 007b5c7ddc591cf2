"""List where Great Expectations 1.24 on Spark differs from its documentation, and the native engine does not:
each with the reason, and a test that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownDifference:
    """What GX does, and why we do not do the same."""

    name: str
    theirs: str
    ours: str
    why: str


DIFFERENCES = (
    KnownDifference(
        name="no rows",
        theirs="unexpected_count is null where no row is looked at",
        ours="unexpected_count is 0",
        why="GX sums a column of no rows, and SQL's sum of nothing is null; nothing was "
        "unexpected, which is 0. Success is the same.",
    ),
    KnownDifference(
        name="null in a value set",
        theirs="no value at all is unexpected",
        ours="the null is left out of the set",
        why="`x IN (…, NULL)` is never false in SQL, so one null in the list switches the "
        "expectation off. Nulls are not looked at anyway.",
    ),
    KnownDifference(
        name="64-bit bounds",
        theirs="bounds become doubles, and 64-bit integers are compared as doubles",
        ours="whole numbers are compared as whole numbers",
        why="Beyond 2^53 neighbouring integers are one and the same double.",
    ),
    KnownDifference(
        name="rounded sums",
        theirs="sums and means are added up in doubles, in the order of the rows",
        ours="sums are exact, and a mean is rounded once",
        why="The mean of 0.1, 0.1, 0.1 is 0.1; added up in doubles it is 0.10000000000000002, "
        "and another order gives another figure.",
    ),
    KnownDifference(
        name="stretched quantiles",
        theirs="a quantile may lie up to 0.01% outside of its range",
        ours="a range ends where it ends",
        why="GX compares with a tolerance of 1e-4, which nothing in a suite asks for.",
    ),
    KnownDifference(
        name="first column",
        theirs="column_index 0 is not checked",
        ours="it is checked as any other",
        why="GX asks whether the index is true, and 0 is not.",
    ),
    KnownDifference(
        name="mean of short integers",
        theirs="an exception for tinyint and smallint",
        ours="a mean as of any other number",
        why="GX lists the types it takes and has left these two out.",
    ),
    KnownDifference(
        name="days of a timestamp",
        theirs="a date as bound of a column's minimum or maximum compares days",
        ours="a date is its midnight, in UTC",
        why="06:00 of a day lies after its midnight, and values_to_be_between says so in GX too.",
    ),
    KnownDifference(
        name="joined patterns",
        theirs="match_on any joins the patterns with |",
        ours="each pattern is matched by itself",
        why="Joined, the flags of one pattern, such as (?i), hold for the patterns after it as well.",
    ),
    KnownDifference(
        name="repeated in a value set",
        theirs="a value that the set names twice counts as missing",
        ours="a set holds a value once",
        why="GX subtracts the values found from the length of the list.",
    ),
    KnownDifference(
        name="members of a struct",
        theirs="members of structs count as columns, and a name with a dot is listed in backticks",
        ours="columns are those of the table, under their names",
        why="An expectation about the columns of a table is not one about what lies inside of them.",
    ),
    KnownDifference(
        name="sums of a member",
        theirs="an exception for the sum or mean of a struct's member",
        ours="a sum as of any other number",
        why="GX looks such a column up among the top ones.",
    ),
    KnownDifference(
        name="type of a dotted name",
        theirs="an exception for the type of a column whose name has a dot",
        ours="the column's type",
        why="GX finds no column of this name in its own list.",
    ),
    KnownDifference(
        name="dotted names compared",
        theirs="an exception where the values of several columns are compared, and a name has a dot",
        ours="the column of this name",
        why="GX puts the name into backticks for a look-up that takes names as they are.",
    ),
)
