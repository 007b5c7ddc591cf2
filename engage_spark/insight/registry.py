"""Declare the tools that answer questions about a contract's data: names, arguments, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engage_spark.contract import Contract
from engage_spark.insight.vocabulary import Vocabulary


class ArgumentKind(StrEnum):
    """What an argument is. ENUM is one of its choices, DATE a day as 2025-10-21."""

    ENUM = "enum"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    DATE = "date"


class ToolGroup(StrEnum):
    """What a tool is for. DESCRIPTIVE: what there is. DIAGNOSTIC: what goes with what, of whom, and then."""

    DESCRIPTIVE = "descriptive"
    DIAGNOSTIC = "diagnostic"


@dataclass(frozen=True, kw_only=True)
class Argument:
    """An argument of a tool, never a list or a mapping.

    `choices` are the values of ENUM. `minimum` and `maximum` bound numbers, inclusive. `default` is what is
    taken where it is left out; None: nothing.
    """

    name: str
    kind: ArgumentKind
    description: str
    choices: tuple[str, ...] = ()
    required: bool = False
    default: str | int | float | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A question that can be asked, with at most five arguments. `answer` says in words what comes back."""

    name: str
    description: str
    group: ToolGroup
    arguments: tuple[Argument, ...]
    answer: str

    def argument(self, name: str) -> Argument | None:
        """Return an argument by its name; None where there is none."""
        return next((a for a in self.arguments if a.name == name), None)


MOST_ROWS, DEFAULT_ROWS = 50, 10
GRAINS = ("day", "week", "month")
SEVERITIES = ("critical", "warning", "info")
VERDICTS = ("holds", "weaker", "absent", "contradicted", "cannot_be_told")
DEFAULT_EFFECT = 0.1
_NOT_A_CAUSE = "What goes together is an association, never a cause."


def tools_of(contract: Contract) -> tuple[Tool, ...]:
    """Return the fifteen tools, with the names of a contract as their choices.

    An optional argument for which the contract has no name is left out.
    """
    words = Vocabulary(contract)
    return (*_descriptive(words), *_diagnostic(words))


def _descriptive(words: Vocabulary) -> tuple[Tool, ...]:
    metric, group = _metric(words), _group(words)
    grain = _enum("grain", "Length of a period: a day (snapshot), an ISO week or a month.", GRAINS, "day")
    return (
        _tool(
            "describe",
            "Describe a metric of all customers or of one segment: mean with its 95% interval, spread, "
            "quantiles and missing values. Without a metric: the number of customers and every target.",
            "Facts: customers, mean or share, standard deviation, quantiles, missing values.",
            ToolGroup.DESCRIPTIVE,
            [metric, *group, _as_of()],
        ),
        _tool(
            "distribution",
            "Show how a metric is distributed (percentiles), of all customers or by the segments of a "
            "dimension; or, given a dimension and no metric, how many customers are in its segments.",
            "A table of percentiles, or of segments with customers and share.",
            ToolGroup.DESCRIPTIVE,
            [metric, *group, _as_of()],
        ),
        _tool(
            "compare_segments",
            "Compare the mean or rate of a metric between the segments of a dimension, highest first; with "
            "first and second: two segments and their difference. Without a dimension: the segments of all "
            f"dimensions, highest first. {_NOT_A_CAUSE}",
            "A table of segments with customers, mean, interval and difference from all others.",
            ToolGroup.DESCRIPTIVE,
            [
                _metric(words, required=True),
                *_group(words, first="A segment of the dimension.", second="Another one."),
                _as_of(),
            ],
        ),
        _tool(
            "trend",
            "Show how a metric went over days, weeks or months, of all customers or of one segment.",
            "A table with a row per period: mean, interval of a day's mean, customers.",
            ToolGroup.DESCRIPTIVE,
            [_metric(words, required=True), *group, grain, _as_of()],
        ),
        _tool(
            "cohort",
            "Follow cohorts: the retention (share that is active) or a value of the customers of each "
            "cohort, as of a day; with cohort: of that one over all days.",
            "A table with a row per cohort, or per day: value, interval, customers, age in months.",
            ToolGroup.DESCRIPTIVE,
            [
                _enum("cohort_key", "What customers are put into cohorts by.", words.cohort_keys),
                _enum("metric", "What is measured of a cohort.", words.cohort_metrics),
                _text("cohort", "One cohort, such as 2025-03 or a category."),
                _as_of(),
            ],
        ),
        _tool(
            "what_changed",
            "Show what changed since the snapshot, the week or the month before, the surest change first; "
            "with a dimension: how far a metric changed by mix (segments grew or shrank) and by rate (means "
            "within segments moved).",
            "A table of metrics, or of segments, with before, after, change and its interval.",
            ToolGroup.DESCRIPTIVE,
            [metric, _dimension(words), grain, _as_of()],
        ),
        _tool(
            "data_quality",
            "Report what the checks of a delivery found: rows read, valid and quarantined, and rules or "
            "gates that failed. Values of customers are not shown.",
            "Facts on rows, and a table of rules with violations, measure and bound.",
            ToolGroup.DESCRIPTIVE,
            [
                _enum("table", "The delivered table.", words.tables),
                _enum("severity", "Only rules of this severity.", SEVERITIES),
                _as_of(),
            ],
        ),
        _tool(
            "check_claim",
            "Hold a statement of the data dictionary against the data: what is claimed, what was measured, "
            "and the verdict. Without a claim: all of them, or those with one verdict.",
            "Facts on one claim, or a table of claims with claimed, measured, interval and verdict.",
            ToolGroup.DESCRIPTIVE,
            [
                _enum("claim", "The statement.", words.claims),
                _enum("verdict", "Only claims with this verdict.", VERDICTS),
                _as_of(),
            ],
        ),
    )


def _diagnostic(words: Vocabulary) -> tuple[Tool, ...]:
    target = _enum("target", "The target; left out, the first of two classes.", words.targets)
    customer = _text("customer", "The customer's key; parts of a key are joined by commas.", required=True)
    return (
        _tool(
            "correlate",
            "Show how strongly a metric goes together with another one, or which metrics go with it most: "
            f"Spearman's and Pearson's correlation. {_NOT_A_CAUSE}",
            "A table of metrics with correlations, intervals and adjusted p-value, strongest first.",
            ToolGroup.DIAGNOSTIC,
            [
                _enum("metric", "The metric.", _correlated(words), required=True),
                _enum("other", "The other metric.", _correlated(words)),
                _limit(),
                _as_of(),
            ],
        ),
        _tool(
            "churn_drivers",
            "List what goes with a target, such as churn: the groups (by indicators, and segments) "
            "by how much the target differs between them and the others, and the metrics that correlate with "
            f"it. {_NOT_A_CAUSE}",
            "A table of groups with lift, interval and customers; facts on correlations.",
            ToolGroup.DIAGNOSTIC,
            [target, _limit(), _as_of()],
        ),
        _tool(
            "explain_customer",
            "Explain what the models say of one customer: prediction, interval, whether a "
            "contact pays, and the features that moved the prediction most. Personal values are masked.",
            "Facts on the predictions, and a table of reasons with contributions.",
            ToolGroup.DIAGNOSTIC,
            [customer, target, _as_of()],
        ),
        _tool(
            "similar_customers",
            "Find the customers who are most like one customer in their metrics, without targets and "
            "personal fields, and say what the targets of these are on average.",
            "Facts on the targets of the similar customers, and a table of them with their distance.",
            ToolGroup.DIAGNOSTIC,
            [customer, _limit(20), _as_of()],
        ),
        _tool(
            "top_influencers",
            "List the customers with the highest value of a measure of the social graph.",
            "A table of customers with the measure and their rank.",
            ToolGroup.DIAGNOSTIC,
            [
                _enum("measure", "The measure of the graph.", words.influence_measures),
                _limit(),
                _as_of(),
            ],
        ),
        _tool(
            "recommend",
            "Recommend what to try for a target: the group, how many customers, what goes with the target "
            "there, what it would cost and gain where money is set, and how to test it (an A/B test with its "
            f"size). {_NOT_A_CAUSE}",
            "A table of recommendations with customers, rates, cost, gain and test size.",
            ToolGroup.DIAGNOSTIC,
            [
                target,
                Argument(
                    name="effect",
                    kind=ArgumentKind.NUMBER,
                    description="The relative change of the target that the test shall be able to see.",
                    default=DEFAULT_EFFECT,
                    minimum=0.01,
                    maximum=1.0,
                ),
                _limit(5),
                _as_of(),
            ],
        ),
        _tool(
            "fairness",
            "Compare the groups of protected fields: how the target differs between them, and how the model "
            "in use treats them, against the bounds of the contract.",
            "A table of groups and measures with value, interval, customers, bound and verdict.",
            ToolGroup.DIAGNOSTIC,
            [target, _enum("attribute", "The protected field.", words.protected), _as_of()],
        ),
    )


def _tool(
    name: str, description: str, answer: str, group: ToolGroup, arguments: list[Argument | None]
) -> Tool:
    given = tuple(a for a in arguments if a is not None)
    return Tool(name=name, description=description, group=group, arguments=given, answer=answer)


def _enum(
    name: str,
    description: str,
    choices: tuple[str, ...],
    default: str | None = None,
    *,
    required: bool = False,
) -> Argument | None:
    if not choices and not required:
        return None
    return Argument(
        name=name,
        kind=ArgumentKind.ENUM,
        description=description,
        choices=choices,
        default=default,
        required=required,
    )


def _metric(words: Vocabulary, *, required: bool = False) -> Argument | None:
    return _enum("metric", "The metric.", words.metric_names, required=required)


def _correlated(words: Vocabulary) -> tuple[str, ...]:
    return words.metric_names[:-1]


def _dimension(words: Vocabulary) -> Argument | None:
    return _enum("dimension", "What customers are grouped by.", tuple(words.dimensions))


def _group(words: Vocabulary, **segments: str) -> tuple[Argument | None, ...]:
    """Return the arguments that name segments; none where nothing parts customers."""
    dimension = _dimension(words)
    if dimension is None:
        return ()
    segments = segments or {"segment": "One segment of the dimension, such as a category or Q4."}
    return (dimension, *(_text(name, description) for name, description in segments.items()))


def _text(name: str, description: str, *, required: bool = False) -> Argument:
    return Argument(name=name, kind=ArgumentKind.TEXT, description=description, required=required)


def _limit(default: int = DEFAULT_ROWS) -> Argument:
    return Argument(
        name="limit",
        kind=ArgumentKind.INTEGER,
        description="Rows of the table at most.",
        default=default,
        minimum=1,
        maximum=MOST_ROWS,
    )


def _as_of() -> Argument:
    return Argument(
        name="as_of",
        kind=ArgumentKind.DATE,
        description="The snapshot that the answer is about, such as 2025-10-21; left out, the newest one.",
    )
