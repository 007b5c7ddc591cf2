"""List the features that a model of a target may use: fields of role feature, less what would leak.

Known from the contract alone, without Spark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from engage_spark.contract import Contract, Field, Role, Table, TableKind, leaking_fields
from engage_spark.contract.labels import positive_text, target_problems
from engage_spark.contract.lineage import formula_inputs
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import ConfigurationError

NUMERIC = ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean")


class Task(StrEnum):
    """Whether a target is one of two classes, 0 and 1, or a number."""

    BINARY = "binary"
    REGRESSION = "regression"


class LeakPolicy(StrEnum):
    """STRICT leaves out what the contract says leaks into the target; PERMISSIVE only what the target's own
    formula uses, and what is computed from that or from the target itself.
    """

    STRICT = "strict"
    PERMISSIVE = "permissive"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted. Predictions lie within the bounds; None means no bound. Of two classes, `positive`
    is the value in the data that label 1 stands for.

    Units: `label_days` are the days after its snapshot until the label is known.
    """

    name: str
    task: Task
    minimum: float | None
    maximum: float | None
    label_days: int
    baseline: str | None
    unit: str | None = None
    positive: str = "1"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A source column of a model: a number (booleans count as 0 and 1), or text with categories."""

    name: str
    table: str
    categorical: bool
    protected: bool = False


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """The target, the features that its models may use in the contract's order, and why each other one is
    left out (`excluded`: name, reason).
    """

    target: Target
    policy: LeakPolicy
    features: tuple[Feature, ...]
    excluded: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all features."""
        return tuple(f.name for f in self.features)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the features that are numbers."""
        return tuple(f.name for f in self.features if not f.categorical)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the features that are text."""
        return tuple(f.name for f in self.features if f.categorical)


@dataclass(frozen=True, kw_only=True)
class TargetSpecs:
    """The specs of one target: by the settings, under the other policy, and without protected fields."""

    main: FeatureSpec
    other: FeatureSpec
    unprotected: FeatureSpec

    @property
    def all(self) -> tuple[FeatureSpec, ...]:
        """The three specs, the main one first."""
        return (self.main, self.other, self.unprotected)

    def leaking(self, features: Iterable[Feature]) -> tuple[str, ...]:
        """List which of these features leak by the contract: those that the strict policy leaves out."""
        strict = self.main if self.main.policy is LeakPolicy.STRICT else self.other
        return tuple(f.name for f in features if f.name not in strict.names)


def targets_of(contract: Contract) -> tuple[Target, ...]:
    """List every target: of the entity, then of what is derived from it, in the contract's order.

    Errors: ConfigurationError where there is none, or one is neither a number nor of two classes.
    """
    targets = tuple(_target(f) for f in contract.targets)
    if not targets:
        raise ConfigurationError(
            f"contract {contract.id!r} declares no target", hint="give a field of the entity the role target"
        )
    return targets


def target_named(contract: Contract, name: str) -> Target:
    """Return the target of that name.

    Errors: ConfigurationError when the contract has no such target.
    """
    for target in targets_of(contract):
        if target.name == name:
            return target
    raise ConfigurationError(
        f"{name!r} is not a target of contract {contract.id!r}",
        hint=f"targets are: {', '.join(t.name for t in targets_of(contract))}",
    )


def money_of(contract: Contract, target: str) -> ContactMoney | None:
    """Return what the contract declares that contacts by a target cost and bring; None: no decision."""
    return contract.target_tables[target][target].money


def _target(f: Field) -> Target:
    if problems := target_problems(f):
        raise ConfigurationError(
            f"{f.name!r} cannot be predicted: {'; '.join(problems)}",
            hint="check the contract with `engage-spark contract lint`",
        )
    binary = f.is_two_classes
    return Target(
        name=f.name,
        task=Task.BINARY if binary else Task.REGRESSION,
        minimum=0.0 if binary else f.minimum,
        maximum=1.0 if binary else f.maximum,
        label_days=f.label_days,
        baseline=f.baseline,
        unit=f.unit,
        positive=positive_text(f) if binary else "1",
    )


def all_features(specs: Iterable[FeatureSpec]) -> tuple[Feature, ...]:
    """List every feature that one of the specs uses, once, in the order of first use."""
    return tuple({f.name: f for spec in specs for f in spec.features}.values())


def target_names(specs: Iterable[FeatureSpec]) -> tuple[str, ...]:
    """List the names of the specs' targets, once each; several policies may share one."""
    return tuple(dict.fromkeys(spec.target.name for spec in specs))


def feature_tables(contract: Contract) -> tuple[Table, ...]:
    """List the tables that features come from: the entity, what is derived from it, and what is measured on
    the graph of its rows.
    """
    derived = [t for t in contract.derived if t.source == contract.entity.name]
    graph = [
        t
        for t in contract.tables
        if t.kind is TableKind.GRAPH and t.key and t.key[0] == contract.entity.key[0]
    ]
    return (contract.entity, *derived, *graph)


def build_feature_spec(
    contract: Contract,
    target: Target,
    *,
    policy: LeakPolicy = LeakPolicy.STRICT,
    protected: bool = True,
    graph: bool = True,
) -> FeatureSpec:
    """List the features that a model of `target` may use.

    A field is a feature where its role says so; under STRICT it must not leak (`leaksInto`, and along the
    formulas' inputs). Under either policy it must not be what the target's own formula uses, nor computed
    from that or from the target. `protected` False leaves the protected features out as well; `graph` False
    those that are measured on the graph only. A name that several tables have counts once, with the first
    table that has it.
    """
    leaking = leaking_fields(contract, target.name, declared=policy is LeakPolicy.STRICT)
    features: dict[str, Feature] = {}
    excluded: dict[str, str] = {}
    for table in feature_tables(contract):
        if table.kind is TableKind.GRAPH and not graph:
            continue
        for f in table.fields:
            if f.name in features or f.name in excluded or f.is_key:
                continue
            if reason := _reason(contract, f, target, leaking, protected=protected):
                excluded[f.name] = reason
            else:
                features[f.name] = Feature(
                    name=f.name, table=table.name, categorical=f.spark_type == "string", protected=f.protected
                )
    return FeatureSpec(
        target=target, policy=policy, features=tuple(features.values()), excluded=tuple(excluded.items())
    )


def build_target_specs(
    contract: Contract, target: Target, *, policy: LeakPolicy, protected: bool, graph: bool
) -> TargetSpecs:
    """Build the three specs of a target: the one that is trained, and those that it is compared with.

    Arguments are those of `build_feature_spec`.
    """
    other = LeakPolicy.PERMISSIVE if policy is LeakPolicy.STRICT else LeakPolicy.STRICT
    return TargetSpecs(
        main=build_feature_spec(contract, target, policy=policy, protected=protected, graph=graph),
        other=build_feature_spec(contract, target, policy=other, protected=protected, graph=graph),
        unprotected=build_feature_spec(contract, target, policy=policy, protected=False, graph=graph),
    )


def _reason(
    contract: Contract, f: Field, target: Target, leaking: frozenset[str], *, protected: bool
) -> str | None:
    if f.name == target.name:
        return "the target"
    if f.role is not Role.FEATURE:
        return "protected, for audits only" if f.protected else f"role {f.role.value}"
    if f.name in leaking:
        if f.name in formula_inputs(contract, target.name):
            return f"{target.name} is computed from it"
        direct = target.name in f.leaks_into
        return f"leaks into {target.name}" if direct else f"computed from what leaks into {target.name}"
    if f.spark_type not in (*NUMERIC, "string") and not f.spark_type.startswith("decimal"):
        return f"type {f.spark_type}"
    return "protected, and models.protected is off" if f.protected and not protected else None
