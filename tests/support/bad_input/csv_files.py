"""CSV files that go wrong: their form, their lines, decimals and times."""

from __future__ import annotations

import gzip

from engage_spark.contract import Table, TableKind
from tests.support.bad_input.declared import Group, accepted, quarantined, refused
from tests.support.bad_input.things import field

CSV_FILES = Group(
    title="CSV files",
    about="The header of each file says which columns it has, in any order. Files are looked through before "
    "they are parsed.",
    cases=(  # given: the files by name
        refused(
            "a column missing in the header", "x: missing; add it as double", given={"a.csv": "id,n\na,1\n"}
        ),
        refused(
            "a column in other case", "id: missing, but there is 'ID'", given={"a.csv": "ID,n,x\na,1,0.5\n"}
        ),
        refused(
            "no header",
            "id: missing",
            given={"a.csv": "a,1,0.5\nb,1,0.5\n"},
            note="the first line is taken for it",
        ),
        refused("an empty line for a header", "a.csv has no header line", given={"a.csv": "\n"}),
        refused("blanks for a header", "a.csv has no header line", given={"a.csv": "  \n  \n"}),
        *(
            refused(
                f"another separator, {d!r}",
                f"a.csv is split by {d!r}, by its header, and ',' is set",
                given={"a.csv": "id,n,x\na,1,0.5\n".replace(",", d)},
                note="ingest.csv_delimiter sets it",
            )
            for d in ";\t|"
        ),
        refused(
            "a line of 17 MB in an archive of 17 kB",
            "a.csv.gz has a line of more than 16 MB",
            given={"a.csv.gz": gzip.compress(b"id,n,x\n" + b"a" * (17 * 2**20) + b",1,0.5\n", 9)},
        ),
        refused(
            "an archive that is cut",
            "a file cannot be read: a.csv.gz",
            given={"a.csv.gz": gzip.compress(b"id,n,x\na,1,0.5\n")[:-9]},
        ),
        refused(
            "no archive, by its content",
            "a file cannot be read: a.csv.gz",
            given={"a.csv.gz": "id,n,x\na,1,0.5\n"},
        ),
        refused(
            "UTF-16 without a byte order mark",
            "a.csv is not text in UTF-8, by its header",
            given={"a.csv": "id,n,x\na,1,0.5\n".encode("utf-16-le")},
        ),
        accepted(
            "line ends inside quotes",
            given={"a.csv": 'id,n,x,note\na,1,0.5,"one\n\ntwo, ""three"""\n', "b.csv": "id,n,x\nb,1,0.5\n"},
        ),
        accepted(
            "line ends inside quotes, compressed",
            given={"a.csv.gz": gzip.compress(b'id,note,n,x\na,"one\r\ntwo",1,0.5\r\n')},
        ),
        accepted(
            "a column without a name",
            given={"a.csv": ",id,n,x\n0,a,1,0.5\n"},
            note="the index that pandas writes",
        ),
        accepted("an undeclared column twice", given={"a.csv": "id,y,n,y,x\na,7,1,8,0.5\n"}),
        accepted(
            "an undeclared column in one of two files",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,y,n,x\nb,y,1,0.5\n"},
        ),
        accepted(
            "files with columns in other order",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,x,n\nb,0.5,1\n"},
        ),
        refused(
            "a column twice",
            "a.csv names the column 'n' more than once",
            given={"a.csv": "id,n,n,x\na,1,2,0.5\n"},
        ),
        refused(
            "UTF-16",
            "a.csv is text in UTF-16, by its first bytes",
            given={"a.csv": "id,n,x\na,1,0.5\n".encode("utf-16")},
        ),
        refused(
            "UTF-16 beside UTF-8",
            "b.csv is text in UTF-16, by its first bytes",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,n,x\nb,1,0.5\n".encode("utf-16")},
        ),
        *(
            refused(name, f"a.csv is {words}", given={"a.csv": content})
            for name, words, content in (
                ("an archive without .gz in its name", "a gzip archive", gzip.compress(b"id,n,x\na,1,0.5\n")),
                ("a workbook of Excel", "a zip archive, or a workbook", b"PK\x03\x04\x14\x00\x06\x00xl/"),
                ("Parquet called CSV", "a Parquet file", b"PAR1\x15\x04\x15\x10\n\x15"),
                ("UTF-32", "text in UTF-16", "id,n,x\n".encode("utf-32")),
                ("UTF-16 of the other order", "text in UTF-16", b"\xfe\xff" + "id,n".encode("utf-16-be")),
                (
                    "a pointer of Git LFS",
                    "a pointer of Git LFS",
                    "version https://git-lfs.github.com/spec/v1\n",
                ),
            )
        ),
        *(
            refused(name, f"the first line of a.csv is {words}, and no header", given={"a.csv": content})
            for name, words, content in (
                ("the page of a login", "a page or XML", "<!DOCTYPE html><html><body>Log in</body></html>"),
                (
                    "an error of a store",
                    "a page or XML",
                    '<?xml version="1.0"?><Error><Code>Denied</Code></Error>',
                ),
                (
                    "Excel's line sep=",
                    "the line by which Excel is told the delimiter",
                    "sep=,\nid,n,x\na,1,0.5\n",
                ),
            )
        ),
        accepted("a column that is called like a format", given={"a.csv": "ORC,id,n,x\n7,a,1,0.5\n"}),
        refused(
            "Latin-1 in the header",
            "a.csv is not text in UTF-8, by its header",
            given={"a.csv": "id,n,x,größe\na,1,0.5,2\n".encode("latin-1")},
        ),
        accepted(
            "a byte order mark", given={"a.csv": b"\xef\xbb\xbfid,n,x\na,1,0.5\n"}, note="as Excel writes it"
        ),
        accepted(
            "a byte order mark in every file",
            given={"a.csv": b"\xef\xbb\xbfid,n,x\na,1,0.5\n", "b.csv": b"\xef\xbb\xbfid,n,x\nb,1,0.5\n"},
        ),
        accepted("Windows line ends", given={"a.csv": "id,n,x\r\na,1,0.5\r\n"}),
        accepted("blank lines", given={"a.csv": "id,n,x\n\na,1,0.5\n   \n"}, note="no rows"),
        accepted("compressed", given={"a.csv.gz": gzip.compress(b"id,n,x\na,1,0.5\n")}),
    ),
)

UNPARSABLE = ("row.parsable",)
CSV_LINES = Group(
    title="Lines of CSV",
    about="A line is kept as a row. What cannot be parsed as declared is null, and `row.parsable` says so.",
    cases=(  # given: the line, of columns id, n, x
        quarantined("too few values", *UNPARSABLE, "x.not_null", given="few,3"),
        quarantined("too many values", *UNPARSABLE, given="many,4,0.5,surplus"),
        quarantined("text for a number", *UNPARSABLE, "n.not_null", given="word,many,1"),
        quarantined("a fraction for an integer", *UNPARSABLE, "n.not_null", given="fraction,1.0,1"),
        quarantined("an integer beyond 32 bits", *UNPARSABLE, "n.not_null", given="big,99999999999,1"),
        quarantined(
            "a quote that is never closed", *UNPARSABLE, "n.not_null", "x.not_null", given='"open,1,0.5'
        ),
        *(
            quarantined(f"{value} for a double", *UNPARSABLE, "x.not_null", given=f"odd,1,{value}")
            for value in ("0x1p3", "1d", "1f", "0x10", "1_000", "1.5e", "٣")
        ),
        quarantined("NaN", "x.finite", given="nan,1,NaN"),
        quarantined("an infinity", "x.finite", given="inf,1,Inf"),
        quarantined("a key of blanks", "id.trimmed", "id.not_blank", given="  ,1,0.5"),
        quarantined("a key with a trailing blank", "id.trimmed", given="blank ,1,0.5"),
        quarantined("no key", "id.not_null", given=",1,0.5"),
        quarantined("a quoted empty key", "id.not_null", given='"",2,0.5'),
        quarantined(
            "Latin-1",
            "id.valid_utf8",
            given="M\u00fcller,1,0.5".encode("latin-1"),
            note="the lost character is seen as U+FFFD",
        ),
        quarantined("a NUL byte", "id.printable", given="a\x00b,1,0.5"),
        quarantined("a NUL byte first", "id.printable", given="\x00ab,2,0.5"),
        quarantined("a byte order mark inside the file", "id.printable", given="\ufeffmark,1,0.5"),
        accepted("a comma and quotes inside quotes", given='"q ""uo"", ted",1,0.5'),
        accepted("a line that begins with #", given="#hash,1,0.5", note="no comment"),
        accepted("a plus sign", given="plus,+1,0.5"),
        accepted("a denormal number", given="tiny,1,5e-324"),
        accepted("a point without digits before it", given="point,1,.5"),
        accepted("an exponent", given="exponent,1,+1.5E-3"),
    ),
)

AMOUNTS = Table(
    name="amounts",
    kind=TableKind.ENTITY,
    description="Amounts.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("money", "decimal(6,2)", "number"),
    ),
)
CSV_DECIMALS = Group(
    title="Decimals in CSV",
    about="A decimal(6,2) is taken where no digit is lost.",
    cases=(  # given: (the text, the value)
        accepted("the declared digits", given=("1.05", "1.05")),
        accepted("fewer digits", given=("-1.5", "-1.50")),
        accepted("no fraction", given=("12", "12.00")),
        accepted("zeros beyond the declared digits", given=("1.0500", "1.05")),
        accepted("leading zeros and a sign", given=("+000012.5", "12.50")),
        accepted("the largest", given=("9999.99", "9999.99")),
        quarantined(
            "a digit more", *UNPARSABLE, "money.not_null", given=("1.005", None), note="would be rounded"
        ),
        quarantined(
            "a digit more that is nearly none", *UNPARSABLE, "money.not_null", given=("1.0000000001", None)
        ),
        quarantined("too large", *UNPARSABLE, "money.not_null", given=("10000.00", None)),
        quarantined("an exponent", *UNPARSABLE, "money.not_null", given=("1e2", None)),
        quarantined("a currency", *UNPARSABLE, "money.not_null", given=("$5.00", None)),
        quarantined("a comma for the point", *UNPARSABLE, "money.not_null", given=('"5,00"', None)),
        quarantined("a point alone", *UNPARSABLE, "money.not_null", given=(".", None)),
    ),
)

CSV_TIMES = Group(
    title="Times in CSV",
    about="With an offset or zone it is the moment in UTC; without, it is taken as UTC, which is what "
    "the contract declares.",
    cases=(  # given: (the text, the moment in UTC)
        accepted(
            "an offset of +14:00",
            given=("2025-10-21T12:00:00+14:00", "2025-10-20 22:00:00"),
            note="the day may be another one",
        ),
        accepted("an offset of -12:00", given=("2025-10-21T12:00:00-12:00", "2025-10-22 00:00:00")),
        accepted(
            "an hour that summer time skips", given=("2025-03-30T02:30:00+01:00", "2025-03-30 01:30:00")
        ),
        accepted(
            "an hour that comes twice, first", given=("2025-10-26T02:30:00+02:00", "2025-10-26 00:30:00")
        ),
        accepted(
            "an hour that comes twice, second", given=("2025-10-26T02:30:00+01:00", "2025-10-26 01:30:00")
        ),
        accepted("no zone", given=("2025-10-26 02:30:00", "2025-10-26 02:30:00")),
        quarantined(
            "an offset that does not exist",
            *UNPARSABLE,
            "t.not_null",
            given=("2025-10-26T02:30:00+19:00", None),
        ),
        quarantined(
            "a day that does not exist", *UNPARSABLE, "t.not_null", given=("2025-02-30T00:00:00Z", None)
        ),
        quarantined("seconds since 1970", *UNPARSABLE, "t.not_null", given=("1761000000", None)),
        quarantined("another order", *UNPARSABLE, "t.not_null", given=("10/21/2025 12:00", None)),
    ),
)
