"""Parse an expression of a contract: one statement about one row, in a part of Spark SQL that is written down
here.

What Spark runs is written anew from the parsed tree (`Expression.sql`): every operator in brackets, every
name quoted, every text free of escapes. So the two parsers cannot read one text differently, and whatever
this one does not know is refused: other literals (`r'…'`, `X'…'`, `"…"`), comments, hints, parameters,
subqueries, lambdas, qualified function names, and each function that `sql_functions` does not list.

What could fail on a row is written in the form that gives null (`try_add` for `+`), and `Expression.fault` is
true on the rows where it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engage_spark.contract.sql_nodes import UNKNOWN, KnownColumns, of_type
from engage_spark.contract.sql_parser import CAST_TO, ExpressionParser
from engage_spark.contract.sql_tokens import NoExpressionError
from engage_spark.errors import ContractError


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What an expression of a contract says.

    `columns` are the declared columns in it (in order of use), `unknown` other names, `unstable` functions
    that give another result each time, `refused` says what else makes it no statement about one row. Where
    the last three are empty, `sql` is what Spark is given, `kind` what it gives (of `sql_nodes`), `fault` the
    condition that something in it failed (None: nothing in it can), and `probes` are expressions of literals
    alone that Spark can try without rows: patterns and formats.
    """

    columns: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    sql: str = ""
    kind: str = ""
    fault: str | None = None
    probes: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Return everything for which it is refused, in words."""
        return [
            *self.refused,
            *(f"{n!r} is not a column it can use" for n in self.unknown),
            *(f"{n} gives another result each time; results must be reproducible" for n in self.unstable),
        ]

    def fits(self, spark_type: str) -> bool:
        """Return whether Spark casts what it gives to a type; True where it is refused."""
        target = of_type("", spark_type).kind
        return target == "text" or self.kind in {*CAST_TO.get(target, {target}), *UNKNOWN, ""}


def read_expression(text: str, known: KnownColumns | Mapping[str, str] | Iterable[str]) -> Expression:
    """Parse an expression over the columns `known`: their names, or their Spark types by name.

    Columns match regardless of case, as in Spark. With types, what Spark would have to convert (a text
    compared with a number) is refused, since it would fail on the rows that cannot be converted.
    Cost: linear in the text, and in the columns unless they are `KnownColumns`.
    """
    parser = ExpressionParser(text, KnownColumns.of(known))
    node, refused = None, list[str]()
    try:
        node = parser.whole()
    except NoExpressionError as e:
        refused.append(str(e))
    names = parser.names
    fine = node is not None and not (names.unknown or names.unstable)
    return Expression(
        columns=tuple(dict.fromkeys(names.columns)),
        unknown=tuple(dict.fromkeys(names.unknown)),
        unstable=tuple(dict.fromkeys(names.unstable)),
        refused=tuple(refused),
        sql=node.sql if fine and node else "",
        kind=node.kind if fine and node else "",
        fault=node.fault if fine and node else None,
        probes=tuple(dict.fromkeys(names.probes)) if fine else (),
    )


def read_statement(text: str, known: KnownColumns | Mapping[str, str] | Iterable[str], at: str) -> Expression:
    """Parse an expression that is about to be run; nothing that is refused gets through.

    Errors: ContractError that says where it stands (`at`) and why it is refused.
    """
    read = read_expression(text, known)
    if read.problems:
        raise ContractError(
            f"{at}: it cannot be run",
            details=read.problems,
            hint="check the contract with `engage-spark contract lint`",
        )
    return read
