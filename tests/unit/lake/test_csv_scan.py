"""What a look through a CSV file shows before Spark parses it."""

from __future__ import annotations

import gzip
import io

import pytest

from engage_spark.contract import Field, Role
from engage_spark.errors import InputError
from engage_spark.lake import csv_scan
from engage_spark.lake.csv_scan import likely_delimiter, parse_header, scan_csv
from engage_spark.lake.folder_values import folder_value_problem


def scan(content: bytes, name: str = "a.csv", delimiter: str = ",") -> csv_scan.CsvScan:
    return scan_csv(io.BytesIO(content), name=name, whole=True, delimiter=delimiter)


@pytest.mark.parametrize(
    ("content", "breaks_lines"),
    [
        (b"a,b\n1,2\n", False),
        (b'a,b\n"1","2,3"\n', False),
        (b'a,b\n"1 ""x""",2\n', False),
        (b'a,b\n"one\ntwo",2\n', True),
        (b'a,b\n"one\r\ntwo",2\r\n', True),
        (b'a,b\n1,"x\n\n\ny"', True),
        (b'a,b\n"open,2\nx,3\n', False),  # never closed: taking the rest for one value would lose rows
        (b'a,b\n"one\ntwo",2\n"open,3\n', False),
        (b'a,b\n1,"x\n2,p\n3,q\n4,"y\n', False),  # two strays: rows 1 to 4 would become one
        (b'a,b\n1,"x\n2,p\n3,"q" r\n', False),
        (b'a,b\n1,5" pipe\n2,6" pipe\n', False),
        (b'a,b\n1,5" pipe\n2,"one\ntwo"\n', True),
        (b'a,b\n"1 ""x\n"" y","z"\n', True),
        (b'\xef\xbb\xbf"a\nb",c\n1,2\n', True),
        (b'a,b\n"","one\ntwo"\n', True),
        (b'a;b\n1;"one\ntwo";3\n', False),
    ],
)
def test_line_ends_in_quotes_are_seen_and_a_quote_that_is_never_closed(
    content: bytes, breaks_lines: bool
) -> None:
    assert scan(content).breaks_lines is breaks_lines
    assert scan(gzip.compress(content), "a.csv.gz").breaks_lines is breaks_lines


def test_the_header_is_the_first_line_that_is_not_blank() -> None:
    assert scan(b"\r\n  \r\na,b\r\n1,2").header == b"a,b"
    assert scan(b"a,b").header == b"a,b"
    assert scan(b"\n\n").header == b""


def test_a_line_that_is_too_long_is_refused_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_scan, "MAX_LINE_BYTES", 3 * 2**20)
    bomb = gzip.compress(b"a,b\n" + b"x" * (64 * 2**20))
    stream = io.BytesIO(bomb)
    with pytest.raises(InputError, match=r"bomb\.csv\.gz has a line of more than 3 MB"):
        scan_csv(stream, name="bomb.csv.gz", whole=True, delimiter=",")
    assert stream.tell() < len(bomb), "the rest was not unpacked"
    assert scan(b"a,b\n" + b"x" * (2 * 2**20)).header == b"a,b"


@pytest.mark.parametrize("cut", [8, 20])
def test_a_broken_archive_is_named(cut: int) -> None:
    with pytest.raises(InputError, match=r"a\.csv\.gz"):
        scan(gzip.compress(b"a,b\n" * 100)[:cut], "a.csv.gz")
    with pytest.raises(InputError, match=r"a\.csv\.gz"):
        scan(b"no archive at all", "a.csv.gz")


def test_quotes_are_followed_by_the_delimiter_that_is_set() -> None:
    assert scan(b'a;b\n1;"one\ntwo"\n', delimiter=";").breaks_lines
    assert scan('a§b\n1§"one\ntwo"§\n'.encode(), delimiter="§").breaks_lines


def test_archives_that_are_corrupt_or_that_spark_would_not_unpack_are_named() -> None:
    corrupt = bytearray(gzip.compress(b"a,b\n" * 1000 + bytes(range(256)) * 9))
    corrupt[12:40] = b"\xff" * 28
    with pytest.raises(InputError, match=r"a\.csv\.gz"):
        scan(bytes(corrupt), "a.csv.gz")
    with pytest.raises(InputError, match="in small letters"):
        scan(gzip.compress(b"a,b\n"), "a.csv.GZ")


def test_a_header_with_a_field_that_is_too_long_is_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"header line of a\.csv cannot be split"):
        header(b'"' + b"x" * 200_000)
    assert likely_delimiter(b"x" * 200_000, ",") is None


def header(text: bytes, delimiter: str = ",", declared: tuple[str, ...] = ("id", "n", "x")) -> list[str]:
    return list(parse_header(text, name="a.csv", delimiter=delimiter, declared=declared))


def test_columns_without_a_name_or_with_a_second_one_get_another_one() -> None:
    assert header(b",id,n,x") == ["_c0", "id", "n", "x"]
    assert header(b"id,y,y,n,x,y") == ["id", "y", "y2", "n", "x", "y5"]
    assert header(b"\xef\xbb\xbfid,n,x") == ["id", "n", "x"]
    assert header(b",id,_c0,x", declared=("_c0", "id")) == ["_c0_1", "id", "_c0", "x"]
    # never the name of a declared column, whose values these are not
    assert header(b"y,y,id", declared=("id", "y1")) == ["y", "y1_1", "id"]
    assert header(b"y,y,y1,Y,id", declared=("id",)) == ["y", "y1_1", "y1", "Y3", "id"]
    assert header(b'"id","n ""q""",x') == ["id", 'n "q"', "x"]


def test_a_column_without_a_name_is_the_one_that_a_draft_declares_by_its_place() -> None:
    assert header(b",id,n,x", declared=("_c0", "id")) == ["_c0", "id", "n", "x"]
    assert header(b"id,,x,", declared=("_c1", "_c3")) == ["id", "_c1", "x", "_c3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id;n;x", "split by ';', by its header, and ',' is set"),
        (b"id\tn\tx", r"split by '\\t'"),
        (b"id|n|x", r"split by '\|'"),
        (b"", "has no header line"),
        (b"  ", "has no header line"),
        ("größe,id".encode("latin-1"), "not text in UTF-8"),
        ("id,n,x".encode("utf-16"), "text in UTF-16"),
        ("id,n,x".encode("utf-16-be"), "not text in UTF-8"),
        (b"id,n,n,x", "names the column 'n' more than once\nHint"),
        (b"id,n,N,x", r"names the column 'n' more than once \(names differ at most in case\)"),
        (b"ID,n,x,Id", "names the column 'id' more than once"),
        (b'id,"n,x', "ends inside of a quoted name"),
        (b'"id', "ends inside of a quoted name"),
    ],
)
def test_a_header_that_cannot_be_is_refused_as_what_it_is(text: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        header(text)


def test_a_delimiter_is_guessed_only_where_the_set_one_splits_nothing() -> None:
    assert likely_delimiter(b"a;b;c", ",") == ";"
    assert likely_delimiter(b"a,b;c", ",") is None
    assert likely_delimiter(b"a", ",") is None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["01001", "", "x"], []),
        ("int", ["7", "-007"], ["1e5", "1.0", "x", "", "2147483648", "٣"]),
        ("bigint", ["2147483648"], ["9223372036854775808"]),
        (
            "double",
            ["1e5", ".5", "-1.", "0.1", "9007199254740992", "0"],
            ["1d", "0x1p3", "NaN", "", "1e999", "9007199254740993", "1e-400"],
        ),
        ("float", ["0.1", "16777216"], ["16777217", "1e39", "1e-60"]),
        ("decimal(4,2)", ["1.50", "12.5", "012.500"], ["1.005", "123", "1e1", "x"]),
        ("boolean", ["true", "false"], ["True", "1", "yes"]),
        ("date", ["2025-10-21"], ["20251021", "x"]),
        (
            "timestamp",
            ["2025-10-21T10:00:00+02:00", "2025-10-21 10:00:00.123456Z"],
            [
                "2025-W43-2T10:00:00Z",
                "20251021T000000Z",
                "2025-10-21T10:00:00.1234567Z",
                "2025-10-21",
                "2025-10-21T10:00:00",
            ],
        ),
        ("array<int>", [], ["1"]),
    ],
)
def test_a_folder_says_a_value_without_loss_or_none(kind: str, good: list[str], bad: list[str]) -> None:
    field = Field(name="a", logical_type="string", spark_type=kind, description="", role=Role.FEATURE)
    assert [text for text in good if folder_value_problem(field, text)] == []
    assert [text for text in bad if not folder_value_problem(field, text)] == []


@pytest.mark.parametrize("header", [b"ORCID,a", b"BZh\ta", b"PAR1", b"sep=x,a", b"\xc3\xb6,a"])
def test_a_header_that_begins_like_another_format_is_one(header: bytes) -> None:
    assert parse_header(header, name="a.csv", delimiter=",", declared=())
