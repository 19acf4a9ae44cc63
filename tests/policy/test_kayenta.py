"""Kayenta's judge: its interval, its score of groups, critical metrics and those without data."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from sim.policy.base import Finding, Guardrail
from sim.policy.columns import Moment
from sim.policy.guardrails import Kayenta, MannWhitney
from sim.testing.guardrail_contract import PATHS, GuardrailContract, Ticks
from sim.testing.settings import ANSWERS, ERRORS, look_at, make_setting

U, P, F = Finding.UNDECIDED, Finding.PASS, Finding.FAIL
KNOWN, BOUGHT = Moment("conversion", "count"), Moment("conversion", "sum")


def judge(*metrics: dict[str, Any], **said: Any) -> Kayenta:
    return Kayenta.model_validate({"metrics": metrics or [{"metric": "error_rate"}], "every": "2h", **said})


def errors(rates: list[float], ticks: int = 48, rows: int = PATHS, seed: int = 5) -> Ticks:
    rng = np.random.default_rng(seed)
    return [{ANSWERS: 1000, ERRORS: rng.binomial(1000, rates, (rows, len(rates)))} for _ in range(ticks)]


def last(part: Guardrail, ticks: Ticks) -> int:
    return int(look_at(part, make_setting(), ticks)[-1][0, 1])


def values(bad: list[int], worse: list[int] | None = None, answers: int = 1000) -> Ticks:
    """Ticks with so many errors of the challenger, and so many who do not buy; of the champion 10 and 500."""
    sold = [500 - each for each in worse or [0] * len(bad)]
    return [
        {ANSWERS: [1000, answers], ERRORS: [10, each], KNOWN: [1000, 1000], BOUGHT: [500, buys]}
        for each, buys in zip(bad, sold, strict=True)
    ]


def only(ticks: Ticks, *columns: Any) -> Ticks:
    return [{column: counts for column, counts in tick.items() if column in columns} for tick in ticks]


class TestContract(GuardrailContract):
    # Promised is nothing; measured over four looks of twelve ticks, for one challenger and for three.
    error: ClassVar[tuple[float, float]] = (0.007, 0.02)

    @pytest.fixture
    def part(self) -> Guardrail:
        return judge()

    def well(self, arms: int) -> Ticks:
        return errors([0.05] * arms)

    def unwell(self) -> Ticks:
        return errors([0.05, 0.07])


@pytest.mark.parametrize(("high", "kayenta", "mann_whitney"), [(7, P, F), (8, F, F), (3, P, P)])
def test_where_it_differs_from_the_test(high: int, kayenta: int, mann_whitney: int) -> None:
    """Case 05b: so many of ten values are up a hundredfold. The interval of 7 still reaches down to no shift at all."""
    ticks = only(values([1000] * high + [10] * (10 - high)), ANSWERS, ERRORS)
    said: dict[str, Any] = {"metrics": [{"metric": "error_rate"}], "every": "100m"}
    assert last(Kayenta.model_validate(said), ticks) == kayenta
    assert last(MannWhitney.model_validate(said), ticks) == mann_whitney


def test_the_direction_and_the_size_of_the_effect_count() -> None:
    better, worse = ([10 + by + at % 3 for at in range(12)] for by in (-8, 8))
    for bad, direction, tolerance, expected in (
        (worse, "worse", 0.0, F), (better, "worse", 0.0, P), (better, "either", 0.0, F),
        (worse, "worse", 0.5, F), (worse, "worse", 1.0, P),
    ):  # fmt: skip
        part = judge({"metric": "error_rate", "direction": direction, "tolerance": tolerance})
        assert last(part, only(values(bad), ANSWERS, ERRORS)) == expected, (direction, tolerance)


BAD, LESS = [30 + at % 3 for at in range(12)], [100 + at % 3 for at in range(12)]


@pytest.mark.parametrize(
    ("metrics", "said", "bad", "worse", "expected"),
    [
        # One of two groups, evenly and by weights.
        ([{"group": "a"}, {"group": "b"}], {}, BAD, [0] * 12, U),
        ([{"group": "a"}, {"group": "b"}], {"groups": {"a": 60, "b": 40}}, BAD, [0] * 12, F),
        ([{"group": "a"}, {"group": "b"}], {"groups": {"a": 20, "b": 80}}, BAD, [0] * 12, P),
        # In one group, by the metrics' weights.
        ([{"weight": 3}, {"weight": 1}], {}, BAD, [0] * 12, F),
        ([{"weight": 1}, {"weight": 3}], {}, BAD, [0] * 12, P),
        # A critical metric decides alone.
        ([{"critical": True, "group": "a"}, {"group": "b"}], {"groups": {"a": 1, "b": 99}}, BAD, [0] * 12, F),
        ([{"group": "a"}, {"group": "b"}], {"groups": {"a": 1, "b": 99}}, BAD, [0] * 12, P),
        ([{}, {}], {}, BAD, LESS, F),
        ([{}, {}], {}, [10] * 12, [0] * 12, P),
        # What always passes is in the score, in a group of a metric or in one of its own.
        ([{}], {"always_pass": {"": 1}}, BAD, [0] * 12, U),
        ([{}], {"always_pass": {"": 3}}, BAD, [0] * 12, P),
        ([{}], {"always_pass": {"a": 3}}, BAD, [0] * 12, U),
        ([{}], {"always_pass": {"a": 1}, "groups": {"": 60, "a": 40}}, BAD, [0] * 12, F),
    ],
)
def test_the_score_is_of_groups(metrics: list[Any], said: Any, bad: list[int], worse: list[int], expected: int) -> None:
    named = [{"metric": name, **keys} for name, keys in zip(("error_rate", "conversion"), metrics, strict=False)]
    ticks = values(bad, worse)
    assert last(judge(*named, **said), ticks if len(named) > 1 else only(ticks, ANSWERS, ERRORS)) == expected


@pytest.mark.parametrize(
    ("errors", "sold", "said", "expected"),
    [
        # Half of the metrics, or more, have no data.
        ([{}], [], {}, F),
        ([{}], [{}], {}, F),
        # Less than half: of one group, what has no data does not count; a group without any counts as one that passes.
        ([{}], [{}, {}], {}, P),
        ([{"group": "a"}], [{"group": "b"}, {"group": "b"}], {"groups": {"a": 60, "b": 40}}, P),
        ([{"critical": True}], [{}, {}], {}, F),
        # What must have data fails without it, and is then no metric without data, unless it is critical.
        ([{"must_have_data": True}], [{}], {}, U),
        ([{"must_have_data": True}], [{}, {}, {}], {}, P),
        ([{"must_have_data": True, "critical": True}], [{}, {}, {}], {}, F),
        # Zeros are data, and no errors are fewer than the champion's.
        ([{"no_value": "zero"}], [], {}, P),
        ([{"no_value": "zero", "direction": "either"}], [], {}, F),
        ([{"no_value": "zero", "critical": True}], [{}], {}, P),
        ([{}], [], {"always_pass": {"": 2}}, P),
        ([{}], [], {"always_pass": {"": 1}}, F),
    ],
)
def test_a_metric_without_data(errors: list[Any], sold: list[Any], said: Any, expected: int) -> None:
    """The challenger gives no answers, and its users' outcomes are known all the same."""
    named = [{"metric": "error_rate", **keys} for keys in errors] + [{"metric": "conversion", **keys} for keys in sold]
    ticks = values([0] * 12, answers=0)
    part = judge(*named, **said)
    assert last(part, ticks if sold else only(ticks, ANSWERS, ERRORS)) == expected


@pytest.mark.parametrize(
    ("critical", "tolerance", "expected"),
    # The mean is 2.4 times the champion's. One of three metrics that fails leaves a score of 66.67%.
    [(False, 0.0, U), (True, 0.0, F), (True, 1.0, F), (True, 1.5, U)],
)
def test_a_critical_metric_that_fails_by_a_little_only_fails(critical: bool, tolerance: float, expected: int) -> None:
    of_errors = {"metric": "error_rate", "critical": critical, "critical_tolerance": tolerance}
    part = judge(of_errors, {"metric": "conversion"}, {"metric": "conversion"})
    assert last(part, values([24 + at % 2 for at in range(12)], [0] * 12)) == expected


@pytest.mark.parametrize(("passing", "expected"), [("66.67%", P), ("66.68%", U)])
def test_a_score_is_known_to_a_hundredth_of_a_percent(passing: str, expected: int) -> None:
    part = judge({"metric": "error_rate"}, {"metric": "conversion"}, {"metric": "conversion"}, **{"pass": passing})
    assert last(part, values(BAD, [0] * 12)) == expected


@pytest.mark.parametrize(("far", "expected"), [(0, P), (11, F)])
def test_means_must_be_apart_in_the_same_direction(far: int, expected: int) -> None:
    """Of 24 values 22 are a little worse, and two far better: by ranks worse, and by the mean better."""
    bad = [12 + at % 2 for at in range(22)] + [far, far]
    ticks = [{ANSWERS: [1000, 1000], ERRORS: [11 if at < 22 else 3 * (11 - far) or 11, each]} for at, each in enumerate(bad)]
    assert last(judge(every="4h"), ticks) == expected


def test_critical_tolerance_is_of_critical_metrics() -> None:
    with pytest.raises(ValidationError, match="critical_tolerance is for a critical metric"):
        judge({"metric": "error_rate", "critical_tolerance": 1})


def test_groups_must_be_those_of_the_metrics() -> None:
    for groups, words in (
        ({"b": 1.0}, "groups must give a weight to each group of the metrics: 'a', got 'b'"),
        ({"a": 0}, "groups: weights must be above 0"),
    ):
        with pytest.raises(ValidationError) as raised:
            judge({"metric": "error_rate", "group": "a"}, groups=groups)
        assert words in raised.value.errors()[0]["msg"]


def test_what_always_passes_has_a_weight() -> None:
    with pytest.raises(ValidationError, match="always_pass: weights must be above 0"):
        judge(always_pass={"a": 0})
