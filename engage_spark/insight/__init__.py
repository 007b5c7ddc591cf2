"""Answer questions about a lake by typed tools, each figure with its evidence, without Spark."""

from engage_spark.insight.check_text import TextProblem, check_text
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Evidence, Origin
from engage_spark.insight.failures import (
    BadArgumentError,
    InsightError,
    NotDeclaredError,
    StaleLakeError,
    SuppressedError,
    UnknownToolError,
)
from engage_spark.insight.registry import Argument, ArgumentKind, Tool, ToolGroup, tools_of
from engage_spark.insight.session import Insight

__all__ = [
    "Answer",
    "Argument",
    "ArgumentKind",
    "BadArgumentError",
    "Column",
    "ColumnRole",
    "Evidence",
    "Insight",
    "InsightError",
    "NotDeclaredError",
    "Origin",
    "StaleLakeError",
    "SuppressedError",
    "TextProblem",
    "Tool",
    "ToolGroup",
    "UnknownToolError",
    "check_text",
    "tools_of",
]
