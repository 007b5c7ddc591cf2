"""Define `engage-spark contract new`: draft a contract, and ask or be told what only people know."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engage_spark.cli import console
from engage_spark.cli.common import require_path, settings_of, show, spark_of
from engage_spark.errors import ConfigurationError
from engage_spark.masking import one_line
from engage_spark.text_files import write_text

if TYPE_CHECKING:
    from engage_spark.quality.profiling.choices import Choices
    from engage_spark.quality.profiling.column_draft import ColumnDraft

_MONEY = "value, cost and success, such as 125,5,0.2"


def contract_new(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="PATH", help="Parquet, CSV or Delta: a file, a folder, or its s3a: address"
        ),
    ],
    out: Annotated[Path, typer.Option(help="file to write; the JSON schema for editors is put beside it")],
    table: Annotated[str | None, typer.Option(help="what to call the table (default: by the path)")] = None,
    data_format: Annotated[
        Literal["auto", "parquet", "csv", "delta"],
        typer.Option("--data-format", "--format", help="how to read PATH"),
    ] = "auto",
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="a column of the key; may be repeated (default: found)"),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="what is to be predicted; may be repeated")
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="the value that is predicted of a target of classes"),
    ] = None,
    protected: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="nobody may be treated unlike others by it; may be repeated"),
    ] = None,
    label_days: Annotated[
        int, typer.Option(min=0, max=3660, help="days after a snapshot until its targets are known")
    ] = 0,
    money: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE,COST,SUCCESS",
            help="what a success is worth, what a contact costs, the share of contacts that succeed",
        ),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="of --money, such as EUR")] = None,
    money_source: Annotated[str | None, typer.Option(help="who says the figures of --money")] = None,
    ask: Annotated[
        bool,
        typer.Option(help="ask in a terminal for targets, protected fields, days and money not given"),
    ] = True,
    overwrite: Annotated[bool, typer.Option(help="replace the file of --out where there is one")] = False,
) -> None:
    """Write a contract that goes all the way from data that nobody has declared: drafted as `quality profile`
    does, with targets, protected fields and money as given or as asked for.
    """
    from engage_spark.pipelines.quality.draft_contract import run_new

    settings = settings_of(ctx)
    if not overwrite:
        _require_absent(out)
    require_path(settings, source)
    given = _given(
        targets=target or (),
        protected=protected or (),
        positive=positive or (),
        money=money or (),
        currency=currency,
        money_source=money_source,
        label_days=label_days,
    )
    is_asked = ask and not ctx.obj.json and sys.stdin.isatty() and sys.stderr.isatty()

    def choose(drafts: Sequence[ColumnDraft]) -> Choices:
        return ask_choices(drafts, given) if is_asked else given

    with spark_of(settings) as spark:
        result = run_new(
            spark,
            source,
            choose=choose,
            table=table,
            data_format=data_format,
            delimiter=settings.ingest.csv_delimiter,
            null=settings.ingest.csv_null,
            key=key or (),
        )
    write_text(out, result.text)
    _write_schema(out)
    show(ctx, result)


def _require_absent(out: Path) -> None:
    if out.exists():
        raise ConfigurationError(
            f"{out} is there already, and may have been edited",
            hint="give another --out, or --overwrite to replace it",
        )


def _given(
    *,
    targets: Sequence[str],
    protected: Sequence[str],
    positive: Sequence[str],
    money: Sequence[str],
    currency: str | None,
    money_source: str | None,
    label_days: int,
) -> Choices:
    """Return what the options say."""
    from engage_spark.quality.profiling.choices import Choices

    figures = (_pair(m, "--money", f"COLUMN={_MONEY}") for m in money)
    return Choices(
        targets=tuple(targets),
        protected=tuple(protected),
        positive=dict(_pair(p, "--positive", "COLUMN=VALUE") for p in positive),
        money={name: _money(text, currency, money_source) for name, text in figures},
        label_days=label_days,
    )


def _write_schema(out: Path) -> None:
    """Put the schema to which the contract refers beside it."""
    from engage_spark.contract.json_schema import SCHEMA_FILE, contract_json_schema

    text = json.dumps(contract_json_schema(), indent=2, ensure_ascii=False) + "\n"
    write_text(out.parent / SCHEMA_FILE, text)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name.strip() or not equals or not value.strip():
        raise typer.BadParameter(f"{text!r} is not of the form {form}", param_hint=option)
    return name.strip(), value.strip()


def _money(figures: str, currency: str | None, source: str | None) -> dict[str, Any]:
    """Return the property `money` from three figures."""
    value, cost, success = _figures(figures)
    if not currency or not source:
        raise typer.BadParameter("say the --currency and the --money-source, too", param_hint="--money")
    return {"value": value, "cost": cost, "success": success, "currency": currency, "source": source}


def _figures(figures: str) -> tuple[float, float, float]:
    try:
        value, cost, success = (float(part) for part in figures.split(","))
    except ValueError:
        raise typer.BadParameter(f"{figures!r} is not {_MONEY}", param_hint="--money") from None
    if not (all(map(math.isfinite, (value, cost))) and value > 0 and cost > 0 and 0 < success <= 1):
        raise typer.BadParameter(
            f"{figures!r}: value and cost are above 0, success is a share", param_hint="--money"
        )
    return value, cost, success


def _ask_money(name: str, answer: Callable[[str], str]) -> dict[str, Any] | None:
    """Ask for the money of a target until it can be used; None where there is none."""

    def answer_that_is_used(question: str) -> str:
        while not (text := answer(question)):
            console.stderr("an answer is needed")
        return text

    while figures := answer(f"money of {name}: {_MONEY} (none: no decisions are made)"):
        try:
            _figures(figures)
        except typer.BadParameter as e:
            console.stderr(e.message)
        else:
            return _money(
                figures, answer_that_is_used("in which currency"), answer_that_is_used("who says so")
            )
    return None


def ask_choices(
    drafts: Sequence[ColumnDraft], given: Choices, *, prompt: Callable[..., Any] | None = None
) -> Choices:
    """Ask on the terminal for what was not given; an empty answer leaves it out."""
    from dataclasses import replace

    from engage_spark.quality.profiling.choices import (
        find_column,
        has_two_classes,
        is_asked_for_positive,
        likely_positive,
        target_values,
    )

    def answer(question: str, usual: str = "") -> str:
        shown = one_line(f"{question} [{usual}]" if usual else question)
        asked = (prompt or typer.prompt)(shown, default=usual, show_default=False, err=True)
        return str(asked).strip()

    def columns(question: str) -> tuple[str, ...]:
        while True:
            names = tuple(n.strip() for n in answer(question).split(",") if n.strip())
            unknown = [n for n in names if find_column(drafts, n) is None]
            if not unknown:
                return names
            console.stderr(f"there is no column {', '.join(map(repr, unknown))}")

    console.stderr("columns: " + ", ".join(f"{d.facts.name} ({d.type})" for d in drafts))
    targets = given.targets or columns("what is to be predicted (columns, separated by commas; none: empty)")
    positive, money = dict(given.positive), dict(given.money)
    for name in targets:
        draft = find_column(drafts, name)
        if draft and name not in positive and is_asked_for_positive(draft):
            values = target_values(draft)
            usual = (likely_positive(values) if draft.type == "string" else None) or ""
            positive[name] = answer(f"which value of {name} is predicted ({', '.join(values)})", usual)
    protected = given.protected or columns("by which columns may nobody be treated unlike others")
    label_days = given.label_days
    while targets and not given.label_days:
        days = answer("days after a snapshot until its targets are known", "0")
        if re.fullmatch(r"[0-9]{1,3}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-5][0-9]|3660", days):
            label_days = int(days)
            break
        console.stderr(f"{days!r} is no number of days from 0 to 3660")
    for name in (n for n in targets if n not in money):
        draft = find_column(drafts, name)
        is_of_classes = draft is not None and (bool(positive.get(name)) or has_two_classes(draft))
        if is_of_classes and (property_of_money := _ask_money(name, answer)):
            money[name] = property_of_money
    return replace(
        given,
        targets=targets,
        protected=protected,
        positive={n: v for n, v in positive.items() if v},
        money=money,
        label_days=label_days,
    )
