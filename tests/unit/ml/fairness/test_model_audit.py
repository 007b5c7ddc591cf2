"""What an audit that is refused costs: itself, and never the model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.errors import ConfigurationError, InputError, TransientError
from engage_spark.ml.fairness import model_audit
from engage_spark.ml.fairness.audit import Attribute
from engage_spark.ml.fairness.group_metrics import Fairness
from engage_spark.ml.fairness.model_audit import _audited
from engage_spark.ml.feature_spec import Task
from engage_spark.settings.model import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

GENDER, POSTCODE = Attribute(name="gender"), Attribute(name="postcode")
NOTHING = Fairness(task=Task.BINARY, smallest=100, figures=(), spreads=())
DONE = Fairness(task=Task.BINARY, smallest=40, figures=(), spreads=())


def test_an_attribute_of_too_many_values_costs_the_audit_alone() -> None:
    asked: list[tuple[str, ...]] = []

    def audit(attributes: Sequence[Attribute]) -> Fairness:
        asked.append(tuple(a.name for a in attributes))
        if POSTCODE in attributes:
            raise InputError("more than 5,000 combinations")
        return DONE

    assert _audited(audit, [GENDER], otherwise=NOTHING) == DONE
    fairness = _audited(audit, [GENDER, POSTCODE], otherwise=NOTHING)
    assert fairness.unaudited == ("not audited by gender, postcode: more than 5,000 combinations",)
    assert fairness.smallest == DONE.smallest, "figures of all rows are there"
    assert asked == [("gender",), ("gender", "postcode"), ()]
    assert _audited(audit, [], otherwise=NOTHING) == DONE


def test_a_row_that_the_model_fails_on_costs_the_audit_alone() -> None:
    def audit(_: Sequence[Attribute]) -> Fairness:
        raise RuntimeError("predicts NaN for a row: one of its features is infinite")

    (reason, _) = _audited(audit, [GENDER], otherwise=NOTHING).unaudited
    assert reason.startswith("not audited by gender: ") and "one of its features is infinite" in reason


def test_where_no_row_can_be_audited_the_reasons_are_all_there_is() -> None:
    def audit(_: Sequence[Attribute]) -> Fairness:
        raise InputError("no row has a label")

    fairness = _audited(audit, [GENDER], otherwise=NOTHING)
    assert (fairness.figures, len(fairness.unaudited)) == ((), 2)
    assert _audited(audit, (), otherwise=NOTHING).unaudited == (
        "not audited by all rows: no row has a label",
    )


@pytest.mark.parametrize("failure", [ConfigurationError("too many values"), OSError("disk full"), None])
def test_test_rows_that_cannot_be_read_cost_the_proxy_tests_alone(
    failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: object) -> None:
        raise failure or TransientError("an executor was lost")

    rows: Any = SimpleNamespace(select=lambda *_: None)
    monkeypatch.setattr(model_audit, "sample_rows", lambda *_, **__: rows)
    monkeypatch.setattr(model_audit, "to_arrow", unreadable)
    monkeypatch.setattr(model_audit, "column_named", lambda _: None)
    monkeypatch.setattr(model_audit, "F", SimpleNamespace(unix_date=lambda _: SimpleNamespace(alias=str)))
    monkeypatch.setattr(Attribute, "group", lambda _: SimpleNamespace(alias=str))
    splits: Any = SimpleNamespace(counts={"test": 9}, test=None)

    def tests() -> Any:
        return model_audit.proxy_tests(
            (), splits, key=["id"], day="day", protected=[GENDER, POSTCODE], models=ModelSettings()
        )

    if failure is None:
        with pytest.raises(TransientError):
            tests()
        return
    proxies, (reason,) = tests()
    assert proxies == () and reason.startswith("no proxy test of gender, postcode: ")
    assert str(failure) in reason


def test_what_is_not_set_up_for_groups_costs_the_audit_and_a_lost_cluster_does_not() -> None:
    def audit(_: Sequence[Attribute]) -> Fairness:
        raise failure

    failure: Exception = ConfigurationError("no such setting")
    assert len(_audited(audit, [GENDER], otherwise=NOTHING).unaudited) == 2
    failure = TransientError("an executor was lost")
    with pytest.raises(TransientError):
        _audited(audit, [GENDER], otherwise=NOTHING)
