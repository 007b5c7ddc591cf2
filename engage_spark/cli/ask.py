"""Declare `engage-spark ask`: a question in plain English, answered from evidence. Needs no Spark."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from engage_spark.cli import console
from engage_spark.cli.common import settings_of
from engage_spark.errors import UsageError

if TYPE_CHECKING:
    from engage_spark.insight.ask import Conversation, SpokenReply


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
    replies = [_answer(ctx, conversation, question) for question in questions or ()]
    if follow:
        replies += [_answer(ctx, conversation, line) for line in sys.stdin if line.strip()]
    if not any(reply is not None and reply.is_answered for reply in replies):
        raise typer.Exit(2)


def _answer(ctx: typer.Context, conversation: Conversation, question: str) -> SpokenReply | None:
    """Print the answer to a question; what a tool refuses ends a conversation of one question only."""
    reply = conversation.ask(question.strip())
    if ctx.obj.json:
        console.data(json.dumps(reply.to_dict(), ensure_ascii=False) + "\n")
        return reply
    for remark in reply.remarks:
        console.line(f"({remark})")
    console.document(reply.text + "\n")
    return reply
