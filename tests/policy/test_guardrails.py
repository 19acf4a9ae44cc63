"""Checks: what a look sees, what trips, and the published numbers of rollout controllers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.policy.base import Finding, Guardrail
from sim.policy.columns import Above, Agreement, Moment
from sim.policy.guardrails import Check
from sim.policy.stages import Stage
from sim.stats.reliability import at_least
from sim.testing.guardrail_contract import PATHS, GuardrailContract, Ticks
from sim.testing.settings import ANSWERS, ERRORS, look_at, make_setting
from sim.units import AS_WRITTEN

U, P, F = Finding.UNDECIDED, Finding.PASS, Finding.FAIL


def errors(*rates: tuple[int, int]) -> Ticks:
    """Ticks of (answers, errors) of the challenger; the champion answers 1,000 without any."""
    return [{ANSWERS: [1000, count], ERRORS: [0, bad]} for count, bad in rates]


def found(check: Check, ticks: Ticks, arms: int = 2) -> list[int]:
    """What a check finds of the last challenger, tick by tick."""
    return [int(each[0, -1]) for each in look_at(check, make_setting(arms), ticks)]


GOOD, BAD, NONE = (100, 1), (100, 5), (0, 0)


class TestCheck(GuardrailContract):
    # Promised is nothing; three failed looks of twelve, each with probability .1, for one challenger and for three.
    error: ClassVar[tuple[float, float]] = (at_least(3, 12, 0.1), 1 - (1 - at_least(3, 12, 0.1)) ** 3)

    @pytest.fixture
    def part(self) -> Guardrail:
        return Check(metric="error_rate", max="50%", trip=3)

    def well(self, arms: int) -> Ticks:
        return failing_looks(12, PATHS, arms)

    def unwell(self) -> Ticks:
        return failing_looks(12, PATHS, share=0.5)


class TestTrip:
    @pytest.mark.parametrize(
        ("said", "ticks", "expected"),
        [
            ({}, [GOOD, BAD, GOOD], [P, F, F]),
            ({"trip": 2}, [BAD, GOOD, BAD], [P, P, F]),
            ({"trip": 2, "consecutive": True}, [BAD, GOOD, BAD, BAD], [P, P, P, F]),
            ({"trip": 2, "consecutive": True}, [BAD, NONE, BAD], [P, P, F]),
        ],
    )
    def test_failed_looks_add_up_unless_consecutive(self, said: dict[str, Any], ticks: Any, expected: list[int]) -> None:
        assert found(Check(metric="error_rate", max="2%", **said), errors(*ticks)) == expected

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({}, [U, U, P, P]),
            ({"no_data": "wait"}, [U, U, P, P]),
            ({"no_data": "pass"}, [P, P, P, P]),
            ({"no_data": "fail"}, [F, F, F, F]),
            ({"no_data": "fail", "trip": 2}, [P, F, F, F]),
            ({"no_data": "fail", "trip": 3}, [P, P, P, F]),
        ],
    )
    def test_too_few_answers_are_no_data(self, said: dict[str, Any], expected: list[int]) -> None:
        ticks = errors((49, 49), (0, 0), (50, 0), (10, 10))
        assert found(Check(metric="error_rate", max="2%", min_requests=50, **said), ticks) == expected

    def test_a_good_look_without_data_resets_where_no_data_is_good(self) -> None:
        check = Check(metric="error_rate", max="2%", trip=2, consecutive=True, no_data="pass")
        assert found(check, errors(BAD, NONE, BAD, BAD)) == [P, P, P, F]

    def test_challengers_are_counted_apart(self) -> None:
        check = Check(metric="error_rate", max="2%", trip=2)
        ticks = [{ANSWERS: [100, 100, 100], ERRORS: [0, 9, 0]}, {ANSWERS: [100, 100, 100], ERRORS: [0, 9, 9]}]
        assert look_at(check, make_setting(3), ticks)[-1][0, 1:].tolist() == [F, P]


class TestInterval:
    def test_a_look_sees_the_interval_since_the_last(self) -> None:
        check = Check(metric="error_rate", max="2%", every="20m")
        assert found(check, errors((100, 9), (900, 0), (100, 9), (100, 9))) == [U, P, P, F]

    def test_or_the_stage_so_far(self) -> None:
        check = Check(metric="error_rate", max="2%", over="stage")
        assert found(check, errors((1000, 0), (100, 9), (100, 9), (100, 9))) == [P, P, P, F]

    def test_answers_add_up_over_the_interval(self) -> None:
        check = Check(metric="error_rate", max="2%", every="30m", min_requests=250)
        assert found(check, errors(BAD, BAD, BAD)) == [U, U, F]
        assert found(check, errors(BAD, BAD, (49, 9))) == [U, U, U]

    def test_it_is_a_whole_number_of_ticks(self) -> None:
        check = Check(metric="error_rate", max="2%", every="15m")
        assert check.problems(make_setting()) == [("every", "must be a whole number of ticks of 10m, got 15m")]

    def test_one_longer_than_the_stage_is_refused(self) -> None:
        said = {"metric": "error_rate", "max": "2%", "every": "2h"}
        stage = Stage.model_validate({"evidence": {"kind": "survive", "duration": "1h"}, "checks": [said]})
        assert stage.problems(make_setting()) == [("checks[0].every", "2h is longer than the stage, 1h: it would never look")]


class TestLimits:
    @pytest.mark.parametrize(
        ("said", "champion", "challenger", "expected"),
        [
            ({"max": "2%"}, 0, 20, P),
            ({"max": "2%"}, 0, 21, F),
            ({"min": "2%"}, 0, 20, P),
            ({"min": "2%"}, 0, 19, F),
            ({"max_ratio": 1.5}, 20, 30, P),
            ({"max_ratio": 1.5}, 20, 31, F),
            ({"min_ratio": 0.5}, 20, 10, P),
            ({"min_ratio": 0.5}, 20, 9, F),
            ({"max": "5%", "max_ratio": 1.5}, 20, 31, F),
            ({"max": "5%", "max_ratio": 1.5}, 40, 51, F),
            ({"max": "5%", "max_ratio": 1.5}, 40, 50, P),
        ],
    )
    def test_the_limit_itself_holds(self, said: dict[str, Any], champion: int, challenger: int, expected: int) -> None:
        tick = {ANSWERS: [1000, 1000], ERRORS: [champion, challenger]}
        assert found(Check(metric="error_rate", **said), [tick]) == [expected]

    def test_a_ratio_needs_the_champions_answers_too(self) -> None:
        few = {ANSWERS: [99, 1000], ERRORS: [0, 1000]}
        enough = {ANSWERS: [100, 1000], ERRORS: [10, 1000]}
        assert found(Check(metric="error_rate", max_ratio=2, min_requests=100), [few, enough]) == [U, F]
        assert found(Check(metric="error_rate", max="50%", min_requests=100), [few]) == [F]

    @pytest.mark.parametrize(("quantile", "slow"), [("99%", 10), ("90%", 100), ("95%", 50), (None, 10), ("50%", 500)])
    def test_a_quantile_holds_while_that_many_are_fast(self, quantile: str | None, slow: int) -> None:
        check = Check(metric="latency", quantile=quantile, max="250ms")
        for above, expected in ((slow, P), (slow + 1, F)):
            assert found(check, [{ANSWERS: [1000, 1000], Above(0.25): [0, above]}]) == [expected]

    def test_an_outcome_is_judged_in_its_own_units(self) -> None:
        """Revenue is counted in cents."""
        check = Check(metric="revenue", min=9.5)
        for cents, expected in ((95_000, P), (94_999, F)):
            assert found(check, [{Moment("revenue", "count"): [100, 100], Moment("revenue", "sum"): [0, cents]}]) == [expected]

    @pytest.mark.parametrize(
        ("said", "expected"),
        [({"min_ratio": 0.9}, (P, P, F)), ({"max_ratio": 1.1}, (F, P, P)), ({"max_ratio": 0.9}, (F, F, P))],
    )
    def test_a_ratio_of_a_loss_is_taken_of_its_size(self, said: dict[str, Any], expected: tuple[int, ...]) -> None:
        """The champion loses 10 an outcome, and a loss as large is neither better nor worse."""
        for loss, finding in zip((-885, -1000, -1115), expected, strict=True):
            tick = {Moment("revenue", "count"): [100, 100], Moment("revenue", "sum"): [-100 * 1000, 100 * loss]}
            assert found(Check(metric="revenue", **said), [tick]) == [finding]

    def test_agreement(self) -> None:
        check = Check(metric="agreement", min="95%")
        for same, expected in ((95, P), (94, F)):
            assert found(check, [{Agreement("count"): [0, 100], Agreement("sum"): [0, same]}]) == [expected]


class TestReading:
    @pytest.mark.parametrize(
        ("said", "key", "words"),
        [
            ({"metric": "error_rate"}, "", "at least one of max, min, max_ratio, min_ratio"),
            ({"metric": "latency", "max": "2%"}, "max", "duration above zero"),
            ({"metric": "latency", "max": 250}, "max", "write a unit"),
            ({"metric": "latency", "min": "250ms"}, "", "takes `max` and `doubt_above` only, got min"),
            ({"metric": "error_rate", "max": 5}, "max", "share from 0% to 100%"),
            ({"metric": "error_rate", "max": "120%"}, "max", "got '120%'"),
            ({"metric": "error_rate", "max": "1%", "quantile": "99%"}, "", "quantile is for latency, got it for error_rate"),
            ({"metric": "revenue", "min": "lots"}, "min", "must be a number, or a share such as 5%, got 'lots'"),
            ({"metric": "revenue", "min": True}, "min", "got true"),
            ({"metric": "revenue", "min": float("nan")}, "min", "got nan"),
            ({"metric": "revenue", "max_ratio": 0}, "max_ratio", "greater than 0"),
            ({"metric": "agreement", "max_ratio": 2}, "", "use min"),
            ({"metric": "error_rate", "min": "5%", "max": "1%"}, "", "min must not exceed max, got 0.05 and 0.01"),
            ({"metric": "error_rate", "min_ratio": 2, "max_ratio": 1.5}, "", "min_ratio must not exceed max_ratio"),
            ({"metric": "error_rate", "max": "1%", "trip": 0}, "trip", "greater than or equal to 1"),
            ({"metric": "error_rate", "max": "1%", "no_data": "skip"}, "no_data", "'wait', 'pass', 'fail' or 'doubt'"),
            ({"metric": "error_rate", "max": "1%", "tripp": 2}, "tripp", "not permitted"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, said: dict[str, Any], key: str, words: str) -> None:
        with pytest.raises(ValidationError) as raised:
            Check.model_validate(said, context=AS_WRITTEN)
        (error,) = raised.value.errors()
        assert error["loc"] == ((key,) if key else ())
        assert words in error["msg"]

    def test_an_unknown_metric_names_those_there_are(self) -> None:
        assert Check(metric="clicks", min=1).problems(make_setting()) == [
            (
                "metric",
                "no metric 'clicks'; there are error_rate, latency, agreement, mean_latency, requests, conversion, "
                "revenue, cost",
            )
        ]

    @given(
        st.one_of(
            st.fixed_dictionaries({"metric": st.just("latency"), "max": st.sampled_from(["250ms", "1.5s", "333us", "1m"])}),
            st.fixed_dictionaries({"metric": st.just("error_rate"), "max": st.floats(0, 1)}),
            st.fixed_dictionaries({"metric": st.just("revenue"), "min": st.floats(-1e9, 1e9)}),
            st.fixed_dictionaries({"metric": st.just("conversion"), "min_ratio": st.floats(0.01, 10), "max": st.just("5%")}),
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "trip": st.integers(1, 9),
                "consecutive": st.booleans(),
                "every": st.sampled_from(["10m", "1h30m"]),
                "no_data": st.sampled_from(["wait", "pass", "fail"]),
                "over": st.sampled_from(["interval", "stage"]),
            },
        ),
    )
    def test_a_check_is_written_as_it_was_read(self, rule: dict[str, Any], more: dict[str, Any]) -> None:
        check = Check.model_validate({**rule, **more})
        for _ in range(2):
            written = check.model_dump(mode="json", by_alias=True)
            assert Check.model_validate(written) == check
            check = Check.model_validate(written)


def share_failed(check: Check, ticks: Ticks) -> tuple[float, int]:
    """Share of replications in which the challenger failed by the last tick, of how many."""
    last = look_at(check, make_setting(), ticks)[-1][:, 1]
    return float((last == F).mean()), len(last)


def within(seen: tuple[float, int], expected: float) -> bool:
    """Within 4 standard errors, and the rounding of the published number."""
    share, count = seen
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count) + 5e-5


def failing_looks(looks: int, rows: int = 20_000, arms: int = 2, share: float = 0.1) -> Ticks:
    """Looks that each fail with probability `share`, independently."""
    rng = np.random.default_rng(11)
    count = np.ones((rows, arms), np.int64)
    return [{ANSWERS: count, ERRORS: rng.binomial(1, share, (rows, arms))} for _ in range(looks)]


@pytest.mark.parametrize(("limit", "expected"), [(0, 0.7176), (1, 0.3410), (3, 0.0256)])
def test_argo_rollouts_failure_limit(limit: int, expected: float) -> None:
    """Argo Rollouts aborts when more than `failureLimit` of 12 measurements failed: binomial(12, .1)."""
    check = Check(metric="error_rate", max="50%", trip=limit + 1)
    assert within(share_failed(check, failing_looks(12)), expected)


@pytest.mark.parametrize(("threshold", "expected"), [(2, 0.3026), (5, 0.0092)])
def test_flagger_threshold(threshold: int, expected: float) -> None:
    """Flagger rolls back at `threshold` failed checks before the 10th advance, and a failed check does not advance: the same as
    `threshold` failures among the first 10 + threshold - 1 looks (negative binomial)."""
    check = Check(metric="error_rate", max="50%", trip=threshold)
    assert within(share_failed(check, failing_looks(10 + threshold - 1)), expected)


@pytest.mark.parametrize(("limit", "expected"), [("0%", 1 - 0.2215), ("3%", 0.0180)])
def test_a_small_canary_sees_few_errors(limit: str, expected: float) -> None:
    """10 requests/s, 5% canary, 5 min at an error rate of 1%: 150 requests, binomial; more than 3% are 5 errors or more."""
    bad = np.random.default_rng(12).binomial(150, 0.01, (20_000, 2))
    check = Check(metric="error_rate", max=limit)
    assert within(share_failed(check, [{ANSWERS: np.full((20_000, 2), 150), ERRORS: bad}]), expected)
