"""Declare the forms in which tables are stored: checked rows, tracked tables, splits and predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

from engage_spark.contract.model import (
    DAY_COLUMNS,
    QUARANTINED,
    SNAPSHOT_DATE,
    VALID,
    Contract,
    ExtraColumns,
    Field,
    Role,
    Table,
    TableKind,
    is_reserved_column,
)
from engage_spark.errors import ContractError
from engage_spark.publication import REPLACED_BY, RUN_ID

ERRORS_TYPE = "array<struct<rule:string,column:string,severity:string,value:string>>"
REASONS_TYPE = "array<struct<feature:string,value:string,contribution:double>>"
MODEL_COLUMNS = frozenset(
    {"side", "fold", "prediction", "probability", "reasons", "other_contributions", "score_raw"}
)
"""Columns that training and scoring add to the features, targets and protected fields of a customer."""
_LOGICAL = {"string": "string", "boolean": "boolean", "int": "integer", "double": "number", "date": "date"}


def day_column(table: Table) -> str:
    """Return the date column that says which day a row is of: snapshot_date, or event_date for a log."""
    return DAY_COLUMNS.get(table.kind, SNAPSHOT_DATE)


def judged_table(table: Table) -> Table:
    """Return the declared form of a checked input: its fields, its day, and its check results.

    No field is required, because quarantined rows are kept as they came.
    Grain: as the input; the key is unique among valid rows.
    """
    if table.kind not in DAY_COLUMNS:
        raise ContractError(
            f"table {table.name!r} is not an input, so it is not checked",
            hint="give a table of kind entity or log",
        )
    day = Field(
        name=day_column(table),
        logical_type="date",
        spark_type="date",
        role=Role.IDENTIFIER,
        required=True,
        key_position=len(table.key) + 1 if table.key else None,
        description="The day the row describes."
        if table.kind is TableKind.ENTITY
        else f"The UTC day of {table.event_time}.",
    )
    results = (
        Field(
            name="_dq_status",
            logical_type="string",
            spark_type="string",
            role=Role.AUDIT,
            required=True,
            allowed=(VALID, QUARANTINED),
            description="quarantined when any critical rule was broken, else valid.",
        ),
        Field(
            name="_dq_errors",
            logical_type="array",
            spark_type=ERRORS_TYPE,
            role=Role.AUDIT,
            required=True,
            description="Every rule the row broke, of any severity, with the value found; "
            "protected values are masked.",
        ),
        run_field("The run that checked the row; see runs."),
        *((REPLACED,) if table.kind is TableKind.LOG else ()),
    )
    return replace(
        table,
        name=f"{table.name}_judged",
        description=f"{table.description} Every row as it came, with its verdict.",
        fields=(*(replace(f, required=False) for f in table.fields), day, *results),
        rules=(),
        gates=(),
        references=(),
        source=table.name,
        extra=ExtraColumns.REFUSE,
    )


def stored_tables(contract: Contract) -> Iterator[Table]:
    """Yield every table that the stages store under a contract, without those of the system contract.

    The reference of tables and the test of Spark schemas read this list: a new table belongs here.
    """
    yield from (judged_table(t) for t in contract.tables if t.kind in DAY_COLUMNS)
    yield from (tracked_table(t) for t in contract.tables if t.kind in (TableKind.DERIVED, TableKind.GRAPH))
    yield splits_table(contract)
    yield predictions_table(contract)


REPLACED = Field(
    name=REPLACED_BY,
    logical_type="string",
    spark_type="string",
    role=Role.AUDIT,
    description="The run that replaces the event, which counts once it is published; null for none.",
)


def tracked_table(table: Table) -> Table:
    """Return the stored form of a derived table: its fields, and the run that made each row.

    Readers see by the run what is published.
    """
    run = run_field("The run that derived the row; see runs.")
    return replace(table, fields=(*table.fields, run))


def run_field(description: str) -> Field:
    """Return the column `_run_id`."""
    return Field(
        name=RUN_ID,
        logical_type="string",
        spark_type="string",
        role=Role.AUDIT,
        required=True,
        description=description,
    )


class Split(StrEnum):
    """What a customer's rows are for.

    Models are fitted, calibrated and tested, and their intervals measured, on different customers.
    """

    FIT = "fit"
    CALIBRATION = "calibration"
    TEST = "test"
    CONFORMAL = "conformal"


def splits_table(contract: Contract) -> Table:
    """Return the table of the split that each key belongs to, which never changes.

    Grain: one row per key; see `ml.data.split`.
    """
    return _table(
        "splits",
        "The split that each key is in when models are fitted and evaluated.",
        _keys(contract.entity),
        _splits_fields(),
    )


def _splits_fields() -> tuple[Field, ...]:
    return (
        _field(
            "side",
            "string",
            "What the customer's rows are for, in every snapshot.",
            required=True,
            allowed=tuple(split.value for split in Split),
        ),
        _field("fold", "int", "The fold of cross-validation, counted from 0; null unless the side is fit."),
        _field(
            "stratum",
            "string",
            "The value that the draw was stratified by, as text; null where it was null or drawn is false.",
        ),
        _field(
            "drawn",
            "boolean",
            "True: drawn with exact shares. False: came later, or is equal to others, and was put by a fixed "
            "cut of a hash.",
            required=True,
        ),
        _field(
            "unit",
            "bigint",
            "Of a customer who was equal to others in all features when a training first met the key: the "
            "hash of what they share, in the range of the side that all of them are on; null where the key's "
            "own hash decided.",
        ),
        _field(
            "drawn_on",
            "date",
            "The snapshot that was drawn on when a training first met the key.",
            required=True,
        ),
        run_field("The training that put the key on its side; see runs."),
    )


def predictions_table(contract: Contract) -> Table:
    """Return the table of predictions.

    Grain: one row per key, snapshot and target.
    """
    entity = contract.entity
    position = len(entity.key)
    day = Field(
        name=day_column(entity),
        logical_type="date",
        spark_type="date",
        role=Role.IDENTIFIER,
        required=True,
        key_position=position + 1,
        description="The snapshot that the prediction was made on.",
    )
    target = Field(
        name="target",
        logical_type="string",
        spark_type="string",
        role=Role.IDENTIFIER,
        required=True,
        key_position=position + 2,
        description="What is predicted.",
        allowed=tuple(f.name for f in contract.targets),
    )
    about = "What the champions say of each key in a snapshot."
    return _table("predictions", about, (*_keys(entity), day, target), _predictions_fields())


def _predictions_fields() -> tuple[Field, ...]:
    return (
        _field(
            "prediction",
            "double",
            "The value, in the target's unit and bounds; of two classes the calibrated probability of label "
            "1, which is the target's positive value.",
            required=True,
        ),
        _field(
            "probability",
            "double",
            "Of two classes the calibrated probability of label 1, as in prediction; null for numbers.",
            minimum=0.0,
            maximum=1.0,
        ),
        _field(
            "lower",
            "double",
            "The lower end of the interval with the promised coverage; null for two classes.",
        ),
        _field("upper", "double", "The upper end of the interval; null for two classes."),
        _field(
            "prediction_set",
            "array<int>",
            "The classes that hold the true one with the promised coverage; null for numbers.",
        ),
        *_decision_fields(),
        *_explanation_fields(),
        _field(
            "imputed",
            "array<string>",
            "The features that were null, and were filled in by the model.",
            required=True,
        ),
        _field(
            "unseen",
            "array<string>",
            "The categories whose level training had not seen; they count as none of the known levels.",
        ),
        _field(
            "side",
            "string",
            "The customer's side in splits, as of the model's training: of those on side fit the model has "
            "learnt labels of the days that it was trained on, so whoever measures it looks at other sides, "
            "or at rows out_of_fold. new: the customer was in no split. Null where the model does not say "
            "which splits it was trained on, or they were drawn anew since.",
            allowed=(*(split.value for split in Split), "new"),
        ),
        _field(
            "in_sample",
            "boolean",
            "True: the model was fitted on this very row, so that the prediction is nearer to its label than "
            "others are. Leave such rows out of measurements. Null where the model does not say what it was "
            "trained on.",
        ),
        _field(
            "out_of_fold",
            "boolean",
            "True: the model was fitted on this very row, so the row is predicted and explained by the model "
            "that was fitted in cross-validation without the customer's fold.",
        ),
        _field("model_name", "string", "The registered model.", required=True),
        _field("model_version", "string", "Its version in the registry.", required=True),
        run_field("The run that scored the row; see runs."),
    )


def _decision_fields() -> tuple[Field, ...]:
    return (
        _field(
            "decision",
            "int",
            "Of two classes whether a contact pays: 1 where probability reaches decision_threshold, else 0. "
            "It says nothing of the class: a contact may pay at a low probability, beside a prediction_set "
            "of {0}. Null for numbers, and for all where contacts earn nothing: decision_threshold is above "
            "1, or their profit on held-out rows is not above 0 with 95% confidence. Null, too, where the "
            "contract declares no money of the target.",
            allowed=(0, 1),
        ),
        _field(
            "decision_threshold",
            "double",
            "The probability from which on a contact pays: contact_cost / (contact_success x "
            "contact_value); above 1 where none can. Null for numbers, and without money.",
            minimum=0.0,
        ),
        _field(
            "contact_value",
            "double",
            "The contract's money.value when the row was scored: what a success of a contact is worth. Null "
            "for numbers, and without money.",
            minimum=0.0,
        ),
        _field(
            "contact_cost",
            "double",
            "The contract's money.cost when the row was scored: what one contact costs. Null for numbers, "
            "and without money.",
            minimum=0.0,
        ),
        _field(
            "contact_success",
            "double",
            "The contract's money.success when the row was scored: the share of contacts with a row of class "
            "1 that succeed. Null for numbers, and without money.",
            minimum=0.0,
            maximum=1.0,
        ),
    )


def _explanation_fields() -> tuple[Field, ...]:
    return (
        _field(
            "score_raw",
            "double",
            "What the model adds up, in unit: base, the contributions in reasons and other_contributions. "
            "Log-odds become a probability, a logarithm its amount; two classes are then calibrated, numbers "
            "put into the target's bounds, and that is prediction.",
        ),
        _field("base", "double", "Where contributions start from, in unit: the score of an average row."),
        _field(
            "reasons",
            REASONS_TYPE,
            "The features that moved the score most, with their value and by how much, in unit; of protected "
            "and personal fields the value is masked.",
            required=True,
        ),
        _field(
            "other_contributions",
            "double",
            "The sum of the contributions of all features that reasons does not list, in unit.",
        ),
        _field(
            "unit",
            "string",
            "The unit of score_raw, base and contributions, which follows from the kind of model: log-odds "
            "(linear and boosted models of two classes), probability (forests of two classes), the target's "
            "own unit (other models of numbers), or log and that unit (Tweedie).",
        ),
    )


def _keys(entity: Table) -> tuple[Field, ...]:
    return tuple(entity[name] for name in entity.key)


def _field(
    name: str,
    spark_type: str,
    description: str,
    *,
    required: bool = False,
    allowed: tuple[str | int, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Field:
    return Field(
        name=name,
        logical_type=_LOGICAL.get(spark_type, "array"),
        spark_type=spark_type,
        role=Role.AUDIT,
        description=description,
        required=required,
        allowed=allowed,
        minimum=minimum,
        maximum=maximum,
    )


def is_added_name(name: str, *, is_key: bool) -> bool:
    """Return whether the package adds a column of this name: beside every field, beside what models take, or,
    of a key, in splits and predictions.
    """
    own = {f.name for f in (*_splits_fields(), *_predictions_fields())} | {"target"} if is_key else set()
    return is_reserved_column(name) or name.lower() in own | MODEL_COLUMNS


def name_clashes(contract: Contract) -> Iterator[str]:
    """Say of an entity's key, and of what models take, which names are columns that the package adds beside
    them.
    """
    for table in (t for t in contract.tables if t.kind is TableKind.ENTITY):
        for name, fields in (("splits", _splits_fields()), ("predictions", _predictions_fields())):
            own = {f.name for f in fields} | ({"target"} if name == "predictions" else set())
            yield from (
                f"field {table.name}.{key} is of the key, and {name} has a column of its own of that name"
                for key in table.key
                if key.lower() in own
            )
    for table in contract.tables:
        if table.kind in (TableKind.ENTITY, TableKind.DERIVED, TableKind.GRAPH):
            yield from (
                f"field {table.name}.{f.name} has the name of a column that models add to what they are given"
                for f in table.fields
                if f.name.lower() in MODEL_COLUMNS
                and not f.is_key
                and (f.role in (Role.FEATURE, Role.TARGET) or f.protected)
            )


def _table(name: str, description: str, keys: tuple[Field, ...], fields: tuple[Field, ...]) -> Table:
    return Table(
        name=name,
        kind=TableKind.SYSTEM,
        description=description,
        fields=(*keys, *fields),
        extra=ExtraColumns.REFUSE,
        grain=f"One row per {', '.join(f.name for f in keys)}.",
    )
