"""Checks by look: when they look and at what, what their looks add up to, and what is compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.policy.base import Finding, View
from sim.policy.columns import Above, LatencySum
from sim.policy.guardrails import Check
from sim.policy.stages import Stage
from sim.stats.reliability import at_least_of, run_of
from sim.testing.guardrail_contract import Ticks
from sim.testing.settings import ANSWERS, ERRORS, look_at, make_setting
from sim.units import AS_WRITTEN

U, P, F, D = Finding.UNDECIDED, Finding.PASS, Finding.FAIL, Finding.INCONCLUSIVE


def errors(*counts: int, answers: int = 100) -> Ticks:
    """Ticks of so many errors of the challenger, of 100 answers; the champion answers 1,000 with 10."""
    return [{ANSWERS: [1000, answers], ERRORS: [10, count]} for count in counts]


def found(said: dict[str, Any], ticks: Ticks, metric: str = "error_rate", arms: int = 2) -> list[int]:
    check = Check.model_validate({"metric": metric, **said}, context=AS_WRITTEN)
    return [int(each[0, 1]) for each in look_at(check, make_setting(arms), ticks)]


class TestLooking:
    @pytest.mark.parametrize(
        ("said", "counts", "expected"),
        [
            # Ticks are of 10 minutes. A window of three ticks, and of less at the start of the stage.
            ({"over": "30m", "max": "2%"}, [0, 6, 0, 0, 0], [P, F, P, P, P]),
            ({"over": "30m", "max": "2%"}, [0, 0, 0, 7, 0, 0, 0], [P, P, P, F, F, F, P]),
            ({"over": "30m", "every": "20m", "max": "2%"}, [0, 0, 0, 7, 0, 0, 0, 0], [U, P, P, F, F, F, F, F]),
            ({"over": "10m", "every": "20m", "max": "2%"}, [9, 0, 9, 0, 9, 0], [U, P, P, P, P, P]),
            # The first look, then one an interval; the interval before a late first look is all that it sees.
            ({"start": "30m", "max": "2%"}, [9, 9, 0, 0, 9], [U, U, P, P, F]),
            ({"start": "10m", "every": "30m", "max": "2%"}, [0, 9, 0, 0, 0], [P, P, P, F, F]),
            ({"start": "30m", "every": "20m", "max": "2%", "over": "stage"}, [7, 0, 0, 0, 0], [U, U, F, F, F]),
            ({"looks": 2, "max": "2%"}, [0, 0, 9, 9], [P, P, P, P]),
            ({"looks": 2, "max": "2%", "start": "20m", "trip": 2}, [9, 9, 9, 9], [U, P, F, F]),
        ],
    )
    def test_what_a_look_sees(self, said: dict[str, Any], counts: list[int], expected: list[int]) -> None:
        seen = found({"trip": 1, **said}, errors(*counts))
        # A look that fails stops the arm for good.
        first = next((place for place, finding in enumerate(expected) if finding == F), len(expected))
        assert seen[: first + 1] == expected[: first + 1]

    @given(
        counts=st.lists(st.integers(0, 4), min_size=1, max_size=30),
        window=st.integers(1, 12),
        every=st.integers(1, 5),
        start=st.integers(1, 9),
    )
    def test_a_window_is_the_sum_of_its_ticks(self, counts: list[int], window: int, every: int, start: int) -> None:
        """Against the sums themselves, looks counted one by one."""
        said = {"max": "2%", "over": f"{window * 10}m", "every": f"{every * 10}m", "start": f"{start * 10}m", "trip": 1000}
        check = Check.model_validate({"metric": "error_rate", **said}, context=AS_WRITTEN)
        failed = 0
        for end in range(start, len(counts) + 1, every):
            seen = counts[max(0, end - window) : end]
            failed += sum(seen) > 0.02 * 100 * len(seen)
        for trip in (failed, failed + 1):
            at = check.model_copy(update={"trip": max(trip, 1)})
            last = look_at(at, make_setting(), errors(*counts))[-1][0, 1]
            assert (last == F) == (0 < trip <= failed)

    def test_replications_of_other_ages_have_windows_of_their_own(self) -> None:
        """The second replication enters the stage two ticks after the first: it finds what the first found at its age."""
        check, setting = Check(metric="error_rate", max=0.02, over="30m", every="20m", trip=2), make_setting()
        columns = {ANSWERS: 0, ERRORS: 1}
        memory = {key: np.repeat(array[None], 2, axis=0) for key, array in check.memory(setting).items()}
        total, found_at = np.zeros((2, 2, 2), np.int64), []
        for tick, bad in enumerate([0, 9, 0, 9, 9, 0, 0, 0], start=1):
            last = np.array([[[1000, 10], [100, bad]], [[1000, 10], [100, 0]]])
            last[1, 1, 1] = [0, 0, 0, 9, 0, 9, 9, 0][tick - 1]
            ages = np.array([tick, max(tick - 2, 0)])
            total = np.where(ages[:, None, None] > 0, total + last, 0)
            view = View(setting, tick, ages, np.ones((2, 2), bool), last, total, columns, False, memory)
            found_at.append(check.judge(view)[:, 1].tolist())
        assert [each[0] for each in found_at][:6] == [each[1] for each in found_at][2:]
        assert F in [each[0] for each in found_at]

    @pytest.mark.parametrize(
        ("said", "key", "words"),
        [
            ({"over": "15m"}, "over", "must be a whole number of ticks of 10m, got 15m"),
            ({"start": "5m"}, "start", "must be a whole number of ticks of 10m, got 5m"),
        ],
    )
    def test_lengths_are_whole_ticks(self, said: dict[str, Any], key: str, words: str) -> None:
        check = Check.model_validate({"metric": "error_rate", "max": "2%", **said}, context=AS_WRITTEN)
        assert check.problems(make_setting()) == [(key, words)]

    def test_a_start_after_the_stage_is_refused(self) -> None:
        said = {"metric": "error_rate", "max": "2%", "start": "2h"}
        stage = Stage.model_validate({"evidence": {"kind": "survive", "duration": "1h"}, "checks": [said]})
        assert stage.problems(make_setting()) == [("checks[0].start", "2h is longer than the stage, 1h: it would never look")]


class TestCounting:
    @pytest.mark.parametrize(
        ("said", "counts", "expected"),
        [
            ({"doubt_above": "1%"}, [0, 2, 0], [P, D, D]),
            ({"doubt_above": "1%", "doubt_trip": 2}, [2, 0, 2], [P, P, D]),
            ({"doubt_above": "1%", "doubt_trip": 2, "consecutive": True}, [2, 0, 2, 2], [P, P, P, D]),
            # A look that fails is not in doubt; one that trips beats doubt.
            ({"doubt_above": "1%", "trip": 2}, [5, 0, 5], [P, P, F]),
            ({"doubt_above": "1%", "doubt_below": "1%", "doubt_trip": 3}, [0, 2, 1, 0], [P, P, P, D]),
            ({"trip": 2, "of": 3}, [5, 0, 0, 5, 0, 5], [P, P, P, P, P, F]),
            ({"trip": 2, "of": 3}, [5, 0, 5], [P, P, F]),
            ({"pass_after": 2}, [0, 0], [U, P]),
            ({"pass_after": 2, "trip": 9}, [0, 5, 0, 0, 5, 5], [U, U, U, P, P, P]),
            ({"pass_after": 2, "doubt_above": "1%", "doubt_trip": 9}, [0, 2, 0, 0], [U, U, U, P]),
            ({"pass_after": 3, "looks": 4, "trip": 9}, [0, 5, 0, 0, 0], [U, U, U, D, D]),
            # Once it has passed, no look can take that back.
            ({"pass_after": 2}, [0, 0, 5], [U, P, P]),
        ],
    )
    def test_what_looks_add_up_to(self, said: dict[str, Any], counts: list[int], expected: list[int]) -> None:
        assert found({"max": "3%", **said}, errors(*counts)) == expected

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({"no_data": "doubt"}, [P, D, F, F]),
            ({"no_data": "doubt", "doubt_trip": 2, "trip": 3}, [P, P, P, P]),
            # A look that is skipped is none of the last, and ends no row.
            ({"trip": 2, "of": 2}, [P, P, P, F]),
            ({"pass_after": 3, "trip": 9}, [U, U, U, U]),
        ],
    )
    def test_looks_without_data(self, said: dict[str, Any], expected: list[int]) -> None:
        ticks = [*errors(0), *errors(0, answers=0), *errors(5), *errors(5)]
        assert found({"max": "3%", **said}, ticks) == expected

    def test_a_skipped_look_ends_no_row(self) -> None:
        ticks = [*errors(0), *errors(0, answers=0), *errors(0)]
        assert found({"max": "3%", "pass_after": 2}, ticks) == [U, U, P]

    @pytest.mark.parametrize(("trip", "of"), [(2, 3), (3, 5), (1, 4)])
    def test_of_the_last_looks_so_many_fail_by_chance(self, trip: int, of: int) -> None:
        rows, looks = 20_000, 24
        rng = np.random.default_rng(5)
        ticks = [{ANSWERS: np.ones((rows, 2), int), ERRORS: rng.binomial(1, 0.1, (rows, 2))} for _ in range(looks)]
        check = Check(metric="error_rate", max=0.5, trip=trip, of=of)
        failed = np.zeros(rows, bool)
        for each in look_at(check, make_setting(), ticks):
            failed |= each[:, 1] == F
        expected = at_least_of(trip, of, looks, 0.1)
        assert abs(failed.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / rows)

    @pytest.mark.parametrize("length", [1, 3, 6])
    def test_so_many_good_looks_in_a_row_come_by_chance(self, length: int) -> None:
        rows, looks = 20_000, 24
        rng = np.random.default_rng(6)
        ticks = [{ANSWERS: np.ones((rows, 2), int), ERRORS: rng.binomial(1, 0.3, (rows, 2))} for _ in range(looks)]
        check = Check(metric="error_rate", max=0.5, trip=1000, pass_after=length)
        every = look_at(check, make_setting(), ticks)
        for number in (length, 8, looks):
            expected = run_of(length, number, 0.7)
            share = (every[number - 1][:, 1] == P).mean()
            assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / rows) + 1e-12

    def test_the_stage_waits_for_a_pass_only_where_the_check_can_stop_it(self) -> None:
        check = Check(metric="error_rate", max=0.01, pass_after=2)
        assert (check.waits, check.stops) == (True, True)
        told = check.model_copy(update={"report_only": True})
        assert (told.waits, told.stops) == (False, False)
        assert not Check(metric="error_rate", max=0.01).waits


class TestComparing:
    @pytest.mark.parametrize(
        ("said", "champion", "challenger", "expected"),
        [
            ({"max_ratio": 2, "floor": "5%"}, 10, 45, P),
            ({"max_ratio": 2, "floor": "5%"}, 10, 50, P),
            ({"max_ratio": 2, "floor": "5%"}, 10, 51, F),
            ({"max_ratio": 2, "floor": "5%"}, 30, 60, P),
            ({"min_ratio": 0.5, "floor": "2%"}, 100, 30, P),
            ({"min_ratio": 0.5, "floor": "2%"}, 100, 19, F),
            ({"max_difference": "1%"}, 20, 30, P),
            ({"max_difference": "1%"}, 20, 31, F),
            ({"min_difference": "-1%"}, 20, 10, P),
            ({"min_difference": "-1%"}, 20, 9, F),
            ({"max_difference": "-1%"}, 20, 11, F),
            ({"min_difference": "1%"}, 20, 29, F),
            # All arms together: 40 + 20 of 2,000 are 3%; against them the challenger, and they against the champion.
            ({"max_ratio": 1.3, "against": "service"}, 20, 40, F),
            ({"max_ratio": 1.4, "against": "service"}, 20, 40, P),
            ({"max": "2.9%", "sees": "service"}, 20, 40, F),
            ({"max": "3%", "sees": "service"}, 20, 40, P),
            ({"max_ratio": 1.49, "sees": "service"}, 20, 40, F),
        ],
    )
    def test_the_limit_itself_holds(self, said: dict[str, Any], champion: int, challenger: int, expected: int) -> None:
        tick = {ANSWERS: [1000, 1000], ERRORS: [champion, challenger]}
        assert found(said, [tick]) == [expected]

    def test_a_quantile_has_a_limit_of_doubt_of_its_own(self) -> None:
        said = {"quantile": "90%", "max": "300ms", "doubt_above": "200ms"}
        for slow, slower, expected in ((100, 0, P), (101, 0, D), (200, 100, D), (200, 101, F)):
            tick = {ANSWERS: [1000, 1000], Above(0.2): [0, slow], Above(0.3): [0, slower]}
            assert found(said, [tick], "latency") == [expected]

    def test_a_mean_latency_is_of_all_answers(self) -> None:
        for spent, expected in ((21, P), (21.001, F)):
            tick = {ANSWERS: [3, 7], LatencySum(): [60_000_000, round(7e6 * spent)]}
            assert found({"max": "21ms"}, [tick], "mean_latency") == [expected]

    def test_answers_are_counted_by_time_and_none_is_data(self) -> None:

        def answers(*counts: int) -> Ticks:
            return [{ANSWERS: [1000, count]} for count in counts]

        assert found({"min": "6/h"}, answers(1, 1), "requests") == [P, P]
        assert found({"min": "7/h"}, answers(1), "requests") == [F]
        assert found({"min": "1/h", "over": "30m", "trip": 2}, answers(0, 0), "requests") == [P, F]
        # A window that is longer than the stage is old: what there is, by the time that there is.
        assert found({"min": "5/h", "over": "2h"}, answers(1, 1), "requests") == [P, P]


class TestReading:
    @pytest.mark.parametrize(
        ("said", "key", "words"),
        [
            (
                {"max": "1%", "over": "stagee"},
                "over",
                "must be interval, stage or a duration, got 'stagee'; did you mean 'stage'?",
            ),
            ({"max": "1%", "over": 30}, "over", "write a unit"),
            ({"max": "1%", "floor": "1%"}, "", "floor goes with one of max_ratio and min_ratio, got neither"),
            ({"max_ratio": 2, "min_ratio": 1, "floor": "1%"}, "", "got max_ratio and min_ratio"),
            ({"max": "1%", "doubt_above": "2%"}, "", "doubt_above must not exceed max, got 0.02 and 0.01"),
            ({"doubt_above": "1%", "doubt_below": "2%"}, "", "doubt_below must not exceed doubt_above"),
            ({"max": "1%", "doubt_trip": 2}, "", "needs doubt_above, doubt_below or no_data: doubt"),
            ({"max": "1%", "trip": 3, "of": 2}, "", "trip must not exceed `of`, got 3 of 2"),
            ({"max": "1%", "of": 2, "consecutive": True}, "", "give one of them"),
            ({"max": "1%", "pass_after": 3, "looks": 2}, "", "pass_after must not exceed looks, got 3 and 2"),
            ({"max": "1%", "against": "service"}, "", "against is for max_ratio, min_ratio, max_difference, min_difference"),
            ({"max_ratio": 2, "against": "service", "sees": "service"}, "", "not compared with itself"),
            ({"max_difference": "-200%"}, "max_difference", "share from 0% to 100%"),
            ({"metric": "requests", "min": "5%"}, "min", "must be a rate above zero"),
            ({"metric": "requests", "min": "1/s", "min_requests": 9}, "", "min_requests is not for requests"),
            ({"metric": "mean_latency", "max": 20}, "max", "write a unit"),
            ({"metric": "latency", "max": "1s", "max_ratio": 2}, "", "takes `max` and `doubt_above` only"),
            ({"metric": "agreement", "min_difference": "-1%"}, "", "none of its own to compare with"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, said: dict[str, Any], key: str, words: str) -> None:
        with pytest.raises(ValidationError) as raised:
            Check.model_validate({"metric": "error_rate", **said}, context=AS_WRITTEN)
        (error,) = raised.value.errors()
        assert error["loc"] == ((key,) if key else ())
        assert words in error["msg"]

    def test_against_what_there_is_not(self) -> None:
        check = Check.model_validate({"metric": "error_rate", "max_ratio": 2, "against": "nobody"})
        assert check.problems(make_setting()) == [("against", "must be champion, baseline or service, got 'nobody'")]

    @given(
        st.sampled_from(
            [
                {"metric": "error_rate", "max_difference": "0.5%", "min_difference": -0.25},
                {"metric": "mean_latency", "max": "250ms", "min_difference": "-20ms", "max_difference": "1.5s"},
                {"metric": "requests", "min": "1/s", "max_difference": "-30/m", "doubt_below": "2/s"},
                {"metric": "revenue", "min_difference": -0.5, "max_ratio": 1.5, "floor": -3.0},
                {"metric": "latency", "max": "1s", "doubt_above": "800ms"},
            ]
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "over": st.sampled_from(["interval", "stage", "10m", "1h30m"]),
                "start": st.sampled_from(["10m", "2h"]),
                "looks": st.integers(3, 9),
                "pass_after": st.integers(1, 3),
                "report_only": st.booleans(),
            },
        ),
    )
    def test_a_check_is_written_as_it_was_read(self, rule: dict[str, Any], more: dict[str, Any]) -> None:
        check = Check.model_validate({**rule, **more}, context=AS_WRITTEN)
        written = check.model_dump(mode="json", by_alias=True)
        assert Check.model_validate(written, context=AS_WRITTEN) == check
        assert Check.model_validate(check.model_dump()) == check


def test_a_check_says_what_it_does() -> None:
    said = [
        (
            {"max": "5%", "doubt_above": "4%", "doubt_trip": 3, "every": "10m", "over": "1h", "start": "30m", "looks": 9},
            "stops a challenger whose error_rate is above 5% in a look, one every 10m from 30m on, 9 looks at most, of the "
            "last 1h, and takes one whose error_rate is above 4% in 3 looks for inconclusive",
        ),
        (
            {"max_ratio": 1.2, "floor": "0.5%", "against": "service", "trip": 2, "of": 3},
            "stops a challenger whose error_rate is above 1.2 times the whole service's and above 0.5% itself in 2 of the last "
            "3 looks, one every tick",
        ),
        (
            {"max_difference": "0.5%", "pass_after": 5, "report_only": True},
            "reports a challenger whose error_rate is more than 0.5 points above the champion's in a look, one every tick, and "
            "passes none before 5 good looks in a row, and stops nothing",
        ),
    ]
    for keys, text in said:
        assert Check.model_validate({"metric": "error_rate", **keys}).told(make_setting()) == text
