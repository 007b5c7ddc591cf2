"""Declare `engage-spark ask`: a question in plain English, answered from evidence. Needs no Spark."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from engage_spark.cli import console
from engage_spark.cli.common import settings_of
from engage_spark.errors import EngageError, UsageError
from engage_spark.masking import one_line

if TYPE_CHECKING:
    from engage_spark.insight.ask import Conversation


def ask(
    ctx: typer.Context,
    questions: Annotated[
        list[str] | None, typer.Argument(help="a question in quotes; several are one conversation")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="go on with the questions on standard input, one a line")
    ] = False,
) -> None:
    """Answer questions such as "which segments lose the most customers?" from what is published, without
    Spark and without a language model; what is not clear is declined.
    """
    if not questions and not follow:
        raise UsageError("there is no question", hint='engage-spark ask "how many customers are there?"')
    settings = settings_of(ctx)
    from engage_spark.insight.ask import Conversation
    from engage_spark.insight.session import open_insight

    conversation = Conversation(open_insight(settings))
    asked = list(questions or ())
    is_alone = len(asked) == 1 and not follow
    answered = [_is_answered(ctx, conversation, question, is_alone=is_alone) for question in asked]
    if follow:
        lines = (line for line in sys.stdin if line.strip())
        answered += [_is_answered(ctx, conversation, line, is_alone=False) for line in lines]
    if not any(answered):
        raise typer.Exit(2)


def _is_answered(ctx: typer.Context, conversation: Conversation, question: str, *, is_alone: bool) -> bool:
    """Print the answer to a question, and return whether there is one.

    In a conversation each question stands above its answer, what a tool refuses is printed as its answer, and
    the next question is asked.
    """
    if not is_alone and not ctx.obj.json:
        console.data(f"> {one_line(question.strip())}\n")
    try:
        reply = conversation.ask(question.strip())
    except EngageError as e:
        if is_alone:
            raise
        if ctx.obj.json:
            error = {"code": e.code, "message": e.message, "hint": e.hint, "details": list(e.details)}
            refused = {"question": question.strip(), "answered": False, "error": error}
            console.data(json.dumps(refused, ensure_ascii=False) + "\n")
        else:
            from engage_spark.insight.ask.narrator import capital

            hint = f"\n{capital(e.hint)}." if e.hint else ""
            details = "".join(f"\n- {detail}" for detail in e.details)
            console.paragraphs(f"This is not answered: {e.message}.{details}{hint}\n\n")
        return False
    if ctx.obj.json:
        console.data(json.dumps(reply.to_dict(), ensure_ascii=False) + "\n")
        return reply.is_answered
    for remark in reply.remarks:
        console.paragraphs(f"({remark})\n")
    console.paragraphs(reply.text + ("\n" if is_alone else "\n\n"))
    return reply.is_answered
