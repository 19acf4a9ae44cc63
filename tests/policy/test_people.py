"""People: hours of the week, reactions, and draws of delays. And ramps that they hold up, tick by tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sim.arrays import Floats, Ints
from sim.distributions.drawing import drawn
from sim.distributions.latency import Latency
from sim.policy.allocation import Ramp
from sim.policy.allocation.growth import ExponentialRamp, LinearRamp
from sim.policy.base import Allocation, Verdict
from sim.policy.evidence import Survive
from sim.policy.hours import WEEK_S, Hours
from sim.policy.machine import StagedPolicy
from sim.policy.pending import Reactions
from sim.policy.people import Reaction
from sim.policy.setting import Setting
from sim.policy.stages import On
from sim.testing.contract import AllocationContract
from sim.testing.settings import ANSWERS, ERRORS, make_setting
from sim.units import AS_WRITTEN
from sim.world import latency as worlds
from tests.policy.scripted import make_stage, play

QUARTER_S = 900.0


def by_quarters(hours: Hours, start_s: float, lasting_s: float) -> float:
    """The same as `Hours.after` for whole quarters of an hour, by walking through them."""
    now, left = start_s, lasting_s

    def at_work(time_s: float) -> bool:
        return any(low <= time_s % WEEK_S < high for low, high in hours.spans)

    while not at_work(now):
        now += QUARTER_S
    while left > 0:
        left -= QUARTER_S * at_work(now)
        now += QUARTER_S
    return now


class TestHours:
    @settings(max_examples=150, deadline=None)
    @given(
        st.tuples(st.integers(0, 95), st.integers(0, 95)).filter(lambda pair: pair[0] != pair[1]) | st.none(),
        st.sets(st.integers(1, 7), min_size=1) | st.none(),
        st.integers(0, 2 * 7 * 96),
        st.integers(0, 400),
    )
    def test_are_those_that_one_counts_quarter_by_quarter(
        self, between: tuple[int, int] | None, days: set[int] | None, start: int, lasting: int
    ) -> None:
        if between is None and days is None:
            return
        clocks = None if between is None else tuple(QUARTER_S * each for each in between)
        hours = Hours(between=clocks, days=None if days is None else tuple(days))
        found = hours.after(np.array([start * QUARTER_S]), np.array([lasting * QUARTER_S]))[0]
        assert found == pytest.approx(by_quarters(hours, start * QUARTER_S, lasting * QUARTER_S), abs=1e-3)

    @pytest.mark.parametrize("said", [{}, {"days": (1, 1)}, {"between": ("09:00", "09:00")}, {"days": (8,)}])
    def test_that_are_none_are_refused(self, said: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Hours.model_validate(said)

    def test_begin_when_the_run_does(self) -> None:
        """Asked half an hour before five, at the start of a run that starts then, for an hour of nine to five."""
        reaction = Reaction.model_validate({"delay": {"constant": "1h"}, "hours": {"between": ("09:00", "17:00")}})
        setting = replace(make_setting(ticks=200), start_s=16.5 * 3600)
        due = reaction.due(np.array([0]), np.array([0.5]), setting)
        assert due[0] * setting.tick_s == 17 * 3600

    def test_after_the_horizon_is_never(self) -> None:
        setting = make_setting(ticks=10)
        for said in ({"delay": {"pareto": {"minimum": "300d", "tail": 1.01}}}, {"hours": {"days": (7,)}}):
            assert Reaction.model_validate(said).due(np.array([3]), np.array([1 - 1e-16]), setting).tolist() == [11]


DELAYS = [
    {"lognormal": {"median": "45m", "p99": "3h"}}, {"lognormal": {"mean": "1h", "sd": "30m"}}, {"exponential": "1h"},
    {"gamma": {"mean": "1h", "sd": "20m"}}, {"weibull": {"mean": "1h", "shape": 0.7}},
    {"pareto": {"minimum": "10m", "tail": 2.5}},
    {"quantiles": {"0%": "10m", "50%": "45m", "100%": "5h"}},
    {"mixture": [{"share": "30%", "exponential": "10m"}, {"share": "70%", "gamma": {"mean": "2h", "sd": "1h"}}]},
]  # fmt: skip


@pytest.mark.parametrize("said", DELAYS, ids=lambda said: next(iter(said)))
def test_delays_are_drawn_as_the_world_knows_them(said: dict[str, Any]) -> None:
    """Of even uniforms, the share above a limit is what `sim.world.latency` says."""
    spec: Any = TypeAdapter(Latency).validate_python(said, context=AS_WRITTEN)
    found = drawn(spec, (np.arange(20_000) + 0.5) / 20_000)
    law = worlds.of(spec)
    for limit_s in (700.0, 2000.0, 3600.0, 9000.0):
        assert (found > limit_s).mean() == pytest.approx(float(law.above(limit_s)), abs=2e-4)


def test_weights_by_a_rule_never_exceed_all_traffic() -> None:
    assert list(LinearRamp(step=0.3, every=60.0).weights()) == [0.3, 0.6, 0.9, 1.0]
    assert list(ExponentialRamp(first=0.1, factor=3.0, every=60.0).weights()) == [0.1, 0.3, 0.9, 1.0]
    assert list(LinearRamp(step=0.5, until=0.5, every=60.0).weights()) == [0.5]


def test_a_ramp_by_steps_ends_as_flaggers_and_one_by_factors_ends_where_it_says() -> None:
    assert list(LinearRamp(step=0.2, until=0.5, every=60.0).weights()) == [0.2, 0.4, 0.6]
    assert list(ExponentialRamp(first=0.02, factor=2.0, until=0.5, every=60.0).weights()) == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5]
    assert list(ExponentialRamp(first=0.25, factor=2.0, until=0.5, every=60.0).weights()) == [0.25, 0.5]
    assert list(ExponentialRamp(first=0.5, factor=2.0, until=0.5, every=60.0).weights()) == [0.5]
    with pytest.raises(ValidationError, match="until must be at least first, which is 60%; got 50%"):
        ExponentialRamp(first=0.6, until=0.5, every=60.0)


@pytest.mark.parametrize(
    "said", [{}, {"steps": [{"weight": "1%", "bake": "1h"}], "ramp": {"kind": "linear", "step": "1%", "every": "1h"}}]
)
def test_a_ramp_has_steps_or_a_rule(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of steps and ramp"):
        Ramp.model_validate(said)


class TestAHeldRamp(AllocationContract):
    start: ClassVar[float | None] = 0.9

    @pytest.fixture
    def part(self) -> Allocation:
        steps = [{"weight": "10%", "bake": "20m", "approval": {"delay": {"constant": "30m"}}}, {"weight": "50%", "bake": "20m"}]
        return Ramp.model_validate({"steps": steps, "advance": "on_good_look"})


def draws(stream: str, rows: Ints, numbers: tuple[Ints, ...]) -> Floats:
    """A uniform of each replication: the first is quick, the second slow."""
    return np.where(rows == 0, 0.1, 0.9)


class TestTickByTick:
    """Ticks of ten minutes."""

    def weights(self, steps: list[dict[str, Any]], failed: str = "", **said: Any) -> tuple[list[list[float]], StagedPolicy]:
        """The challenger's weights, tick by tick, of two replications, where a check of errors fails at ticks marked F."""
        policy = StagedPolicy(
            [
                make_stage(
                    allocation=Ramp.model_validate({"steps": steps, "advance": said.pop("advance", "by_clock")}),
                    evidence=Survive(),
                    checks=self.checks(),
                    **said,
                )
            ]
        )
        setting: Setting = replace(make_setting(replications=2), draws=draws)
        looks = failed.ljust(20, ".")
        ticks = [{ANSWERS: [100, 100], ERRORS: [0, 50 if look == "F" else 0]} for look in looks]
        routings = []
        policy.start(setting)
        for routing in play(policy, setting, ticks):
            routings.append([round(float(live[1]), 9) for live in routing.live])
        return routings, policy

    def checks(self) -> tuple[Any, ...]:
        from sim.policy.guardrails import Check

        return (Check.model_validate({"metric": "error_rate", "max": "10%", "trip": 3}),)

    def path(self, found: list[list[float]], row: int) -> list[float]:
        """The weights of one replication, until it is decided; the other one is there at least as long."""
        return [weights[row] for weights in found if len(weights) > row]

    def test_each_replication_waits_for_its_own_person(self) -> None:
        steps = [{"weight": "10%", "bake": "10m", "approval": {"delay": {"quantiles": {"0%": "5m", "100%": "55m"}}}}]
        found, policy = self.weights([*steps, {"weight": "50%", "bake": "10m"}])
        # 10 minutes of 10, and 50: asked after the first tick, approved one and five ticks later.
        assert policy.verdicts.decided_tick.tolist() == [3, 7]
        assert [weights[-1] for weights in found[:7]] == [0.1] * 6 + [0.5]

    def test_a_step_without_a_time_asks_as_it_begins_and_lasts_a_tick(self) -> None:
        steps = [{"weight": "10%", "approval": {}}, {"weight": "20%", "approval": {"delay": {"constant": "25m"}}}]
        found, policy = self.weights(steps)
        assert [weights[0] for weights in found[:4]] == [0.1, 0.2, 0.2, 0.2]
        assert policy.verdicts.decided_tick.tolist() == [4, 4]

    def test_a_failed_look_holds_what_is_approved(self) -> None:
        steps = [{"weight": "10%", "approval": {"delay": {"constant": "15m"}}}, {"weight": "50%", "bake": "10m"}]
        found, policy = self.weights(steps, failed=".FF", advance="on_good_look")
        assert [weights[0] for weights in found[:5]] == [0.1, 0.1, 0.1, 0.1, 0.5]
        assert policy.verdicts.decided_tick.tolist() == [5, 5]

    def test_a_rollback_keeps_the_weight_until_it_is_done(self) -> None:
        steps = [{"weight": "10%", "bake": "10m"}, {"weight": "30%", "bake": "50m"}, {"weight": "90%", "bake": "10m"}]
        reaction = Reactions.model_validate({"fail": {"delay": {"quantiles": {"0%": "20m", "100%": "70m"}}}})
        found, policy = self.weights(steps, failed="FFF", reaction=reaction)
        assert [Verdict(each) for each in policy.verdicts.verdict] == [Verdict.KEEP, Verdict.KEEP]
        # 25 and 65 minutes after the third tick.
        assert policy.verdicts.decided_tick.tolist() == [6, 10]
        assert [weights[-1] for weights in found[:10]] == [0.1, *[0.3] * 9]
        assert policy.verdicts.alarms.tolist() == [3, 3]
        assert policy.verdicts.muted.tolist() == [0, 0]

    @pytest.mark.parametrize(
        ("muting", "decided"),
        [
            # Two alarms rang before the third, which tells of the outcome: an hour old they are after seven and eight ticks.
            ({"after": 1, "within": "1h"}, 8 + 2), ({"after": 2, "within": "1h"}, 7 + 2), ({"after": 3, "within": "1h"}, 3 + 2),
            # The first alarm is no longer recent, the second one is.
            ({"after": 2, "within": "20m"}, 3 + 2), ({"after": 1, "within": "20m"}, 4 + 2),
        ],
    )  # fmt: skip
    def test_nobody_comes_after_too_many_alarms(self, muting: dict[str, Any], decided: int) -> None:
        """Looks fail in ticks 1, 2 and 3, and the third one trips; people who hear of it take two ticks."""
        reaction = Reactions.model_validate({"fail": {"delay": {"constant": "20m"}}, "muting": muting})
        _, policy = self.weights([{"weight": "10%", "bake": "10h"}], failed="FFF", reaction=reaction)
        assert policy.verdicts.decided_tick.tolist() == [decided, decided]
        assert policy.verdicts.found_tick.tolist() == [3, 3]
        assert policy.verdicts.muted.tolist() == [int(decided > 5)] * 2

    def test_what_nobody_has_to_do_is_not_muted(self) -> None:
        """The rollback is by machine; only what is in doubt asks for people."""
        reaction = Reactions.model_validate({"inconclusive": {}, "muting": {"after": 1}})
        _, policy = self.weights([{"weight": "10%", "bake": "10h"}], failed="FFF", reaction=reaction)
        assert policy.verdicts.decided_tick.tolist() == [3, 3]

    @pytest.mark.parametrize(
        ("times", "failed", "verdict", "decided", "tries"),
        [
            # Three failed looks, 30 minutes of the champion alone, and then from the first step on.
            (1, "FFF", Verdict.SHIP, 3 + 3 + 5, 2), (1, "FFF...FFF", Verdict.KEEP, 9, 2),
            (2, "FFF...FFF", Verdict.SHIP, 9 + 3 + 5, 3),
            # What was seen in the first try counts for nothing in the second.
            (1, "FFF...FF", Verdict.SHIP, 11, 2),
        ],
    )  # fmt: skip
    def test_what_is_rolled_back_is_tried_again(
        self, times: int, failed: str, verdict: Verdict, decided: int, tries: int
    ) -> None:
        steps = [{"weight": "10%", "bake": "10m"}, {"weight": "30%", "bake": "40m"}]
        on = On.model_validate({"retry": {"after": "30m", "times": times}})
        found, policy = self.weights(steps, failed=failed, on=on)
        one = [0.1, 0.3, 0.3, 0.3, 0.3]
        assert [weights[0] for weights in found[:8]] == [0.1, 0.3, 0.3, 0, 0, 0, *one[:2]]
        assert policy.verdicts.verdict.tolist() == [verdict] * 2
        assert policy.verdicts.decided_tick.tolist() == [decided] * 2
        assert policy.verdicts.tries.tolist() == [tries] * 2
        assert policy.verdicts.alarms.tolist() == [failed.count("F")] * 2
        assert policy.verdicts.paused_ticks.tolist() == [0, 0]

    def test_a_try_that_would_begin_after_the_horizon_is_not_made(self) -> None:
        on = On.model_validate({"retry": {"after": "970m"}})
        _, policy = self.weights([{"weight": "10%", "bake": "10h"}], failed="FFF", on=on)
        assert policy.verdicts.verdict.tolist() == [Verdict.KEEP] * 2
        assert policy.verdicts.decided_tick.tolist() == [3, 3]
        assert policy.verdicts.tries.tolist() == [1, 1]

    def test_a_rollback_that_takes_time_comes_before_the_next_try(self) -> None:
        reaction = Reactions.model_validate({"fail": {"delay": {"constant": "20m"}}})
        on = On.model_validate({"retry": {"after": "10m"}})
        found, policy = self.weights([{"weight": "10%", "bake": "50m"}], failed="FFF", on=on, reaction=reaction)
        assert [weights[0] for weights in found[:8]] == [0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.1, 0.1]
        assert policy.verdicts.decided_tick.tolist() == [11, 11]
        assert policy.verdicts.paused_ticks.tolist() == [2, 2]

    def test_muting_without_people_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="muting delays what people do"):
            Reactions.model_validate({"muting": {"after": 3}})
