"""A Spark Connect server that refuses what serverless compute refuses; on loopback, before a real one.

Calls pass through as they are. Options of a session that serverless does not have are neither shown nor
taken, and caches, checkpoints and the commands SET and CACHE are refused, in the words of serverless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from pyspark.sql.connect.proto import base_pb2_grpc

from tests.support.serverless import ALLOWED

OF_CLIENT = re.compile(
    r"spark\.sql\.(?:session\.localRelation|execution\.|pyspark\.|timestampType|repl\.|connect\.)"
    r"|spark\.connect\.session\.|spark\.api\.mode"
)
"""Options that pyspark's own client asks for, also on serverless."""
COMMANDS = re.compile(r"\s*(?:SET\s|RESET\b|CACHE\s|UNCACHE\s)", re.IGNORECASE)


class RefusingServer(base_pb2_grpc.SparkConnectServiceServicer):
    """Hand every call on to a server, but for those that serverless refuses; `refused` lists these."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = base_pb2_grpc.SparkConnectServiceStub(channel)
        self.refused: list[str] = []

    def _refuse(self, context: grpc.ServicerContext, what: str, words: str) -> NoReturn:
        self.refused.append(what)
        context.abort(grpc.StatusCode.INTERNAL, words)
        raise AssertionError("abort raises")

    def _unary(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return getattr(self.stub, name)(request, metadata=_metadata(context))
        except grpc.RpcError as e:
            _fail(context, e)

    def _stream(self, name: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        answers = getattr(self.stub, name)(request, metadata=_metadata(context))
        context.add_callback(answers.cancel)
        try:
            yield from answers
        except grpc.RpcError as e:
            _fail(context, e)

    def Config(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        operation = request.operation
        asked = getattr(operation, operation.WhichOneof("op_type"))
        pairs, keys = getattr(asked, "pairs", ()), getattr(asked, "keys", ())
        for key in (*(pair.key for pair in pairs), *keys):
            if key not in ALLOWED and not OF_CLIENT.match(key):
                self._refuse(
                    context,
                    key,
                    f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I",
                )
        return self._unary("Config", request, context)

    def AnalyzePlan(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        kind = request.WhichOneof("analyze")
        if kind in ("persist", "unpersist", "get_storage_level"):
            self._refuse(context, kind, _unsupported("PERSIST TABLE"))
        return self._unary("AnalyzePlan", request, context)

    def ExecutePlan(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        command = request.plan.command
        kind = command.WhichOneof("command_type")
        if kind in ("checkpoint_command", "create_resource_profile_command"):
            self._refuse(context, kind, _unsupported("CHECKPOINT"))
        text = command.sql_command.input.sql.query if kind == "sql_command" else ""
        if COMMANDS.match(text):
            self._refuse(context, text, _unsupported(text.split()[0].upper()))
        yield from self._stream("ExecutePlan", request, context)

    def ReattachExecute(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        yield from self._stream("ReattachExecute", request, context)

    def AddArtifacts(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._unary("AddArtifacts", request_iterator, context)


def _handed_on(name: str) -> Any:
    def call(self: RefusingServer, request: Any, context: grpc.ServicerContext) -> Any:
        return self._unary(name, request, context)

    return call


for _name in (
    *("ArtifactStatus", "Interrupt", "ReleaseExecute", "ReleaseSession"),
    *("FetchErrorDetails", "CloneSession", "GetStatus"),
):
    setattr(RefusingServer, _name, _handed_on(_name))


def _unsupported(what: str) -> str:
    return f"[NOT_SUPPORTED_WITH_SERVERLESS] {what} is not supported on serverless compute. SQLSTATE: 0A000"


def _metadata(context: grpc.ServicerContext) -> list[tuple[str, Any]]:
    own = ("user-agent", "grpc-", ":")
    return [(k, v) for k, v in context.invocation_metadata() or () if not k.startswith(own)]


def _fail(context: grpc.ServicerContext, error: Any) -> NoReturn:
    """Answer as the server did, with what it says of its error beside the words."""
    context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
    context.abort(error.code(), error.details())
    raise error


@contextmanager
def refusing_server(port: int) -> Iterator[tuple[str, RefusingServer]]:
    """Serve before the server at a port of loopback; give the address and the server."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        server = grpc.server(ThreadPoolExecutor(max_workers=16), options=options)
        refusing = RefusingServer(channel)
        base_pb2_grpc.add_SparkConnectServiceServicer_to_server(refusing, server)
        taken = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            # Of this name alone pyspark asks for no encryption, though the server wants a token.
            yield f"sc://localhost:{taken}", refusing
        finally:
            server.stop(grace=2).wait()
