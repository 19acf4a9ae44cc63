"""The stage machine, by scripted telemetry: what follows what is found."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim.arrays import Floats
from sim.policy.allocation import Fixed, Mirror, Ramp
from sim.policy.base import Allocation, Evidence, Finding, Routing, Telemetry, Verdict, View
from sim.policy.columns import Column, mean_of
from sim.policy.evidence.survive import Survive
from sim.policy.machine import StagedPolicy
from sim.policy.setting import Setting
from sim.policy.stages import ENDS, NEXT, Stage
from sim.testing.settings import ANSWERS, CONVERTED, KNOWN, make_setting
from tests.policy.scripted import GUARD, TOLD, Guard, Survives, Told, make_stage, play


def ended(policy: StagedPolicy) -> tuple[str, int, int]:
    """The first replication's verdict, arm and tick."""
    verdicts = policy.verdicts
    return Verdict(verdicts.verdict[0]).name.lower(), int(verdicts.arm[0]), int(verdicts.decided_tick[0])


class TestWhatFollows:
    @pytest.mark.parametrize(
        ("finding", "on", "expected"),
        [
            ("P", {}, ("ship", 1, 2)),
            ("F", {}, ("keep", 0, 2)),
            ("N", {}, ("keep", 0, 2)),
            ("I", {}, ("inconclusive", 0, 2)),
            ("P", {"pass": "keep"}, ("keep", 0, 2)),
            ("P", {"pass": "inconclusive"}, ("inconclusive", 0, 2)),
            ("N", {"fail": "ship"}, ("ship", 1, 2)),
            ("N", {"fail": "next"}, ("ship", 1, 2)),
            ("I", {"inconclusive": "ship"}, ("ship", 1, 2)),
            ("I", {"inconclusive": "keep"}, ("keep", 0, 2)),
        ],
    )
    def test_of_the_only_stage(self, finding: str, on: dict[str, str], expected: tuple[str, int, int]) -> None:
        policy = StagedPolicy([make_stage(on=on)])
        routings = play(policy, make_setting(), [".", finding])
        assert ended(policy) == expected
        assert [routing.rows.size for routing in routings] == [1, 1, 0]

    def test_an_arm_that_failed_is_never_shipped(self) -> None:
        policy = StagedPolicy([make_stage(on={"fail": "ship"})])
        play(policy, make_setting(), ["F"])
        assert ended(policy) == ("keep", 0, 1)

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            (["P", "P"], ("ship", 1, 2)),
            (["P", "F"], ("keep", 0, 2)),
            (["F"], ("keep", 0, 1)),
            (["N", "P"], ("undecided", 0, -1)),
            (["N", "P", "P", "P"], ("ship", 1, 4)),
            (["I", "P"], ("ship", 1, 2)),
            (["P", "N", "P", "P"], ("ship", 1, 4)),
        ],
    )
    def test_of_several_stages_forwards_backwards_and_skipping(self, script: list[str], expected: tuple[str, int, int]) -> None:
        first = make_stage("first", on={"fail": "middle", "inconclusive": "last", "pass": "last"})
        middle = make_stage("middle", on={"pass": "first"})
        last = make_stage("last", on={"fail": "first"})
        policy = StagedPolicy([first, middle, last])
        play(policy, make_setting(), script)
        assert ended(policy) == expected

    def test_a_stage_judges_only_what_was_seen_in_it(self) -> None:
        """The tick that ends a stage says P; the next stage must not see it."""
        policy = StagedPolicy([make_stage("first"), make_stage("second"), make_stage("third")])
        play(policy, make_setting(), ["P", "P"])
        assert ended(policy) == ("undecided", 0, -1)
        play(policy, make_setting(), ["P", "P", "P"])
        assert ended(policy) == ("ship", 1, 3)

    def test_baselines_decide_before_the_first_tick(self) -> None:
        for verdict, arm, expected in (
            (Verdict.SHIP, "b", ("ship", 2, 0)),
            (Verdict.KEEP, "champion", ("keep", 0, 0)),
        ):
            policy = StagedPolicy((), (verdict, arm))
            assert policy.start(make_setting(3, replications=5)).rows.size == 0
            assert ended(policy) == expected
            assert policy.needs(make_setting()) == ()

    def test_the_same_policy_can_be_started_again(self) -> None:
        policy = StagedPolicy([make_stage()])
        for _ in range(2):
            play(policy, make_setting(), [".", "P"])
            assert ended(policy) == ("ship", 1, 2)


class TestSignificance:
    @pytest.mark.parametrize(
        ("evidence", "script", "expected"),
        [
            (Told(), [".", "P"], 2),
            (Told(), [".", "F"], 2),
            (Told(), [".", "N"], -1),
            (Told(), [".", "I"], -1),
            (Survives(), [".", "P"], -1),
            (Survives(), [".", "F"], -1),
        ],
    )
    def test_only_declarations_count(self, evidence: Evidence, script: list[str], expected: int) -> None:
        policy = StagedPolicy([make_stage(evidence=evidence)])
        play(policy, make_setting(), script)
        assert policy.verdicts.significant_tick[0] == expected
        assert policy.verdicts.decided_tick[0] == 2

    def test_the_first_declaration_counts_though_the_verdict_comes_later(self) -> None:
        policy = StagedPolicy([make_stage()])
        play(policy, make_setting(3), ["..", "F.", "..", ".P"])
        assert policy.verdicts.significant_tick[0] == 2
        assert ended(policy) == ("ship", 2, 4)

    def test_a_guardrail_declares_nothing(self) -> None:
        policy = StagedPolicy([make_stage(checks=(Guard(),))])
        play(policy, make_setting(), [{GUARD: "F"}])
        assert policy.verdicts.significant_tick[0] == -1
        assert ended(policy) == ("keep", 0, 1)


class TestGuardrails:
    def test_its_fail_beats_a_pass_on_the_same_tick(self) -> None:
        policy = StagedPolicy([make_stage(checks=(Guard(),))])
        play(policy, make_setting(), [{TOLD: "P", GUARD: "F"}])
        assert ended(policy) == ("keep", 0, 1)

    def test_it_can_stop_an_arm_that_passed_while_another_is_undecided(self) -> None:
        policy = StagedPolicy([make_stage(checks=(Guard(),))])
        play(policy, make_setting(3), ["P.", {TOLD: "..", GUARD: "FP"}, ".P"])
        assert ended(policy) == ("ship", 2, 3)

    def test_a_pass_without_data_is_inconclusive(self) -> None:
        policy = StagedPolicy([make_stage(checks=(Guard(),))])
        play(policy, make_setting(), [{TOLD: "P", GUARD: "."}])
        assert ended(policy) == ("inconclusive", 0, 1)

    def test_data_that_came_before_the_pass_is_enough(self) -> None:
        policy = StagedPolicy([make_stage(checks=(Guard(),))])
        play(policy, make_setting(3), [{TOLD: "P.", GUARD: "P."}, {TOLD: ".P", GUARD: ".P"}])
        assert ended(policy) == ("ship", 1, 2)


class TestSeveralChallengers:
    def test_one_fails_early_another_passes_and_ships(self) -> None:
        policy = StagedPolicy([make_stage()])
        routings = play(policy, make_setting(3), ["F.", "..", ".P"])
        assert ended(policy) == ("ship", 2, 3)
        assert routings[0].live.tolist() == [[1 / 3, 1 / 3, 1 / 3]]
        assert routings[1].live.tolist() == [[0.5, 0, 0.5]]

    def test_what_is_found_of_a_removed_arm_is_not_heard(self) -> None:
        policy = StagedPolicy([make_stage(checks=(Guard(),))])
        play(policy, make_setting(3), ["F.", {TOLD: "P.", GUARD: "FP"}, ".N"])
        assert ended(policy) == ("keep", 0, 3)

    def test_only_survivors_go_on(self) -> None:
        policy = StagedPolicy([make_stage("first"), make_stage("second")])
        routings = play(policy, make_setting(4), ["PFN", "P.."])
        assert routings[1].live.tolist() == [[0.5, 0.5, 0, 0]]
        assert ended(policy) == ("ship", 1, 2)

    def test_those_that_did_not_fail_go_on_where_none_passed(self) -> None:
        policy = StagedPolicy([make_stage("first", on={"inconclusive": "next", "fail": "next"}), make_stage("second")])
        for script, expected in ((["FNI"], [1 / 3, 0, 1 / 3, 1 / 3]), (["FNF"], [0.5, 0, 0.5, 0])):
            assert play(policy, make_setting(4), script)[-1].live[0] == pytest.approx(expected)

    def test_one_inconclusive_arm_makes_the_stage_inconclusive_unless_one_passed(self) -> None:
        policy = StagedPolicy([make_stage()])
        for script, expected in (("IF", "inconclusive"), ("IN", "inconclusive"), ("IP", "ship"), ("NF", "keep")):
            play(policy, make_setting(3), [script])
            assert ended(policy)[0] == expected

    @pytest.mark.parametrize(("primary", "best"), [("revenue", 3), ("cost", 1)])
    def test_the_survivor_with_the_best_observed_mean_ships(self, primary: str, best: int) -> None:
        """The second challenger has the best mean of all, and failed."""
        policy = StagedPolicy([make_stage()])
        known, total = mean_of(primary)
        seen = {known: [100, 50, 10, 20], total: [1000, 450, 500, 220]}
        if primary == "cost":
            seen[total] = [1000, 450, 1, 220]
        play(policy, make_setting(4, primary=primary), [{TOLD: "...", **seen}, "PFP"])
        assert ended(policy) == ("ship", best, 2)

    def test_the_first_listed_ships_where_none_was_observed(self) -> None:
        policy = StagedPolicy([make_stage(allocation=Mirror())])
        setting = make_setting(3)
        play(policy, setting, [{TOLD.as_mirrored(): "PP"}])
        assert ended(policy) == ("ship", 1, 1)


class TestLongestDuration:
    def test_it_makes_undecided_arms_inconclusive_and_touches_no_others(self) -> None:
        policy = StagedPolicy([make_stage(max_ticks=3)])
        play(policy, make_setting(3), ["..", "P.", ".."])
        assert ended(policy) == ("ship", 1, 3)
        play(policy, make_setting(3), ["..", "F.", ".."])
        assert ended(policy) == ("inconclusive", 0, 3)

    def test_what_is_found_on_its_tick_counts(self) -> None:
        policy = StagedPolicy([make_stage(max_ticks=2)])
        play(policy, make_setting(), [".", "P"])
        assert ended(policy) == ("ship", 1, 2)

    def test_it_counts_from_the_stage_and_not_from_the_start(self) -> None:
        policy = StagedPolicy([make_stage("first", max_ticks=9), make_stage("second", max_ticks=2)])
        play(policy, make_setting(), [".", ".", "P", ".", "."])
        assert ended(policy) == ("inconclusive", 0, 5)


class Counting(Evidence):
    """Passes at the second tick by its own count, and notes what it saw of the stage."""

    kind: Literal["counting"] = "counting"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (ANSWERS,)

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        return {"ticks": np.zeros((), np.int64)}

    def judge(self, view: View) -> NDArray[np.int8]:
        view.memory["ticks"] += 1
        assert (view.memory["ticks"] == view.age).all()
        assert (view.of_total(ANSWERS) == 10 * view.age[:, None]).all()
        done = view.memory["ticks"] == 2
        return np.where(done[:, None] & view.arms_in, Finding.PASS, Finding.UNDECIDED).astype(np.int8)


class Turns(Allocation):
    """All traffic to one arm after another, by its own memory."""

    kind: Literal["turns"] = "turns"

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        return {"turn": np.zeros((), np.int64)}

    def live(self, view: View) -> Floats:
        assert view.age.any() or not view.last.any()
        turn = view.memory["turn"] % view.arms_in.shape[1]
        view.memory["turn"] += 1
        return np.eye(view.arms_in.shape[1])[turn]


class TestEnteringAStage:
    def test_tallies_age_and_memory_start_again_and_the_cohort_rises(self) -> None:
        policy = StagedPolicy([make_stage(name, evidence=Counting(), allocation=Turns()) for name in ("one", "two")])
        routings = play(policy, make_setting(), [{ANSWERS: [10, 10]}] * 4)
        assert ended(policy) == ("ship", 1, 4)
        assert [routing.cohort.tolist() for routing in routings] == [[0], [0], [1], [1], []]
        assert [routing.live[0].tolist() for routing in routings[:-1]] == [[1, 0], [0, 1], [1, 0], [0, 1]]

    def test_a_stage_entered_twice_has_two_cohorts(self) -> None:
        policy = StagedPolicy([make_stage("a", on={"fail": "a"})])
        routings = play(policy, make_setting(), ["N", ".", "N"])
        assert [routing.cohort[0] for routing in routings] == [0, 1, 1, 2]

    def test_a_ramp_starts_again(self) -> None:
        ramp = Ramp.model_validate({"steps": [{"weight": "10%", "bake": "10m"}, {"weight": "50%", "bake": "10m"}]})
        policy = StagedPolicy([make_stage("a", allocation=ramp), make_stage("b", allocation=ramp)])
        routings = play(policy, make_setting(), [".", "P", "."])
        assert [routing.live[0, 1] for routing in routings] == [0.1, 0.5, 0.1, 0.5]

    def test_a_survivor_brings_no_tallies_to_the_choice_of_the_best(self) -> None:
        policy = StagedPolicy([make_stage("first"), make_stage("second")])
        early = {TOLD: "PP", KNOWN: [9, 9, 9], CONVERTED: [0, 9, 0]}
        late = {TOLD: "PP", KNOWN: [9, 9, 9], CONVERTED: [0, 1, 2]}
        play(policy, make_setting(3), [early, late])
        assert ended(policy) == ("ship", 2, 2)


def test_all_traffic_goes_to_the_champion_where_the_arms_left_have_no_share() -> None:
    policy = StagedPolicy([make_stage(allocation=Fixed(weights=("0%", "100%", "0%")))])
    routings = play(policy, make_setting(3), ["F."])
    assert routings[-1].live.tolist() == [[1, 0, 0]]


def test_only_arms_still_in_are_mirrored() -> None:
    policy = StagedPolicy([make_stage(allocation=Mirror(fraction="40%"))])
    routings = play(policy, make_setting(3), [{TOLD.as_mirrored(): ".F"}])
    assert [routing.mirror[0].tolist() for routing in routings] == [[0, 0.4, 0.4], [0, 0.4, 0]]
    assert all(routing.live.tolist() == [[1, 0, 0]] for routing in routings)


class Writes(Told):
    """A rule that changes what it is shown."""

    what: str

    def judge(self, view: View) -> NDArray[np.int8]:
        shown = view.contrasts.sums if self.what == "contrasts" else getattr(view, self.what)
        shown[...] = 0
        return super().judge(view)


@pytest.mark.parametrize("what", ["age", "arms_in", "last", "total", "contrasts"])
@pytest.mark.parametrize("only_one", [False, True])
def test_no_part_can_change_what_the_policy_has_seen(what: str, only_one: bool) -> None:
    stages = [make_stage("first"), make_stage("second", evidence=Writes(what=what))]
    policy = StagedPolicy(stages)
    routing = policy.start(make_setting(replications=2))
    told = np.full((2, 2, 1), Finding.PASS, np.int64)
    if only_one:
        told[0] = Finding.UNDECIDED
    routing = policy.step(Telemetry(0, told, {TOLD: 0}, routing.live))
    with pytest.raises(ValueError, match="read-only"):
        policy.step(Telemetry(1, np.zeros((2, 2, 1), np.int64), {TOLD: 0}, routing.live))


NAMES = ("one", "two", "three")


@st.composite
def chains(draw: st.DrawFn) -> tuple[StagedPolicy, Setting, int]:
    stages: list[Stage] = []
    count = draw(st.integers(1, len(NAMES)))
    targets = st.sampled_from([*ENDS, NEXT, *NAMES[:count]])
    for name in NAMES[:count]:
        stages.append(
            make_stage(
                name,
                allocation=draw(st.sampled_from([Fixed(), Turns(), Mirror()])),
                evidence=draw(st.sampled_from([Told(), Survives()])),
                checks=(Guard(),) * draw(st.integers(0, 2)),
                max_ticks=draw(st.none() | st.integers(1, 4)),
                on={key: draw(targets) for key in ("pass", "fail", "inconclusive")},
            )
        )
    return StagedPolicy(stages), make_setting(draw(st.integers(2, 4)), replications=6), draw(st.integers(0, 2**32))


def telemetry(policy: StagedPolicy, setting: Setting, seed: int, tick: int) -> NDArray[np.int64]:
    """(R, K, C) random findings, mostly undecided, the same whoever asks."""
    rng = np.random.default_rng([seed, tick])
    codes = rng.choice(5, (setting.replications, len(setting.arms), len(policy.columns)), p=[0.5, 0.2, 0.15, 0.05, 0.1])
    return codes.astype(np.int64)


def run(policy: StagedPolicy, setting: Setting, seed: int, only: int | None = None, ticks: int = 10) -> list[Routing]:
    """A run of random findings; of replication `only` alone where one is named."""
    routing = policy.start(setting if only is None else replace(setting, replications=1))
    routings = [routing]
    for tick in range(ticks):
        rows = routing.rows if only is None else routing.rows + only
        routing = policy.step(Telemetry(tick, telemetry(policy, setting, seed, tick)[rows], policy.columns, routing.live))
        routings.append(routing)
    return routings


@given(chains())
@settings(max_examples=60)
def test_every_chain_keeps_the_rules(case: tuple[StagedPolicy, Setting, int]) -> None:
    policy, setting, seed = case
    routings = run(policy, setting, seed)
    for before, after in pairwise(routings):
        assert set(after.rows) <= set(before.rows)
    for routing in routings:
        assert (routing.live >= 0).all()
        np.testing.assert_allclose(routing.live.sum(axis=1), 1, atol=1e-12)
        assert ((routing.mirror >= 0) & (routing.mirror <= 1)).all()
        assert (routing.mirror[:, 0] == 0).all()
    verdicts = policy.verdicts
    decided = verdicts.verdict != Verdict.UNDECIDED
    assert (decided == (verdicts.decided_tick >= 0)).all()
    assert set(np.flatnonzero(~decided)) == set(routings[-1].rows)
    for row in np.flatnonzero(decided):
        # Routed until the tick of the verdict, and never again.
        assert sum(row in routing.rows for routing in routings) == verdicts.decided_tick[row]
    assert ((verdicts.arm > 0) == (verdicts.verdict == Verdict.SHIP)).all()
    assert (verdicts.significant_tick[decided] <= verdicts.decided_tick[decided]).all()


@given(chains())
@settings(max_examples=60)
def test_no_arm_comes_back_and_no_verdict_changes(case: tuple[StagedPolicy, Setting, int]) -> None:
    policy, setting, seed = case
    routing = policy.start(setting)
    arms_in = policy._arms_in.copy()
    for tick in range(10):
        counts = telemetry(policy, setting, seed, tick)[routing.rows]
        verdicts = policy.verdicts.verdict.copy()
        routing = policy.step(Telemetry(tick, counts, policy.columns, routing.live))
        assert (policy._arms_in <= arms_in).all()
        out = ~policy._arms_in[routing.rows]
        assert (routing.live[out] == 0).all()
        assert (routing.mirror[out] == 0).all()
        final = verdicts != Verdict.UNDECIDED
        assert (policy.verdicts.verdict[final] == verdicts[final]).all()
        arms_in = policy._arms_in.copy()


@given(chains())
@settings(max_examples=40)
def test_a_replication_fares_alone_as_in_a_block(case: tuple[StagedPolicy, Setting, int]) -> None:
    policy, setting, seed = case
    block = run(policy, setting, seed)
    verdicts = [getattr(policy.verdicts, name).copy() for name in ("verdict", "arm", "decided_tick", "significant_tick")]
    for row in (0, setting.replications - 1):
        alone = run(policy, setting, seed, only=row)
        found = (policy.verdicts.verdict, policy.verdicts.arm, policy.verdicts.decided_tick, policy.verdicts.significant_tick)
        assert [int(each[0]) for each in found] == [int(each[row]) for each in verdicts]
        for one, all_ in zip(alone, block, strict=True):
            assert one.rows.size == (row in all_.rows)
            if one.rows.size:
                assert (one.live[0] == all_.live[all_.rows == row][0]).all()
                assert one.cohort[0] == all_.cohort[all_.rows == row][0]


class TestForeseen:
    """In which tick a replication decides at the latest, as far as settings tell."""

    def test_of_stages_that_have_a_length(self) -> None:
        policy = StagedPolicy(
            [make_stage("first", max_ticks=3, on={"inconclusive": "next"}), make_stage("second", max_ticks=4)]
        )
        play(policy, make_setting(), [])
        assert policy.foreseen(0).tolist() == [7]
        play(policy, make_setting(), [".", "."])
        assert policy.foreseen(2).tolist() == [7]
        # The first stage is over early.
        play(policy, make_setting(), [".", "P"])
        assert policy.foreseen(2).tolist() == [6]
        play(policy, make_setting(), [".", "P", "F"])
        assert policy.foreseen(3).tolist() == [3]

    def test_of_a_stage_that_may_go_on(self) -> None:
        policy = StagedPolicy([make_stage("first", max_ticks=3), make_stage("second")])
        play(policy, make_setting(), ["."])
        assert policy.foreseen(1).tolist() == [np.inf]

    def test_of_a_stage_that_may_wait_for_a_guardrail(self) -> None:
        class Waiting(Guard):
            waits: ClassVar[bool] = True

        for check, foreseen in ((Guard(), 6), (Waiting(), np.inf)):
            policy = StagedPolicy([make_stage(evidence=Survive(duration="1h"), checks=(check,))])
            play(policy, make_setting(), [])
            assert policy.foreseen(0).tolist() == [foreseen]

    def test_of_planned_information_that_comes_as_it_did(self) -> None:
        class Planned(Told):
            def planned_share(self, view: View) -> Floats:
                return np.full(view.arms_in.shape, [np.nan, 0.1, 0.2]) * view.age[:, None]

        policy = StagedPolicy([make_stage(evidence=Planned())])
        setting = make_setting(arms=3)
        play(policy, setting, [])
        assert policy.foreseen(0).tolist() == [np.inf]
        play(policy, setting, ["..", ".."])
        assert policy.foreseen(2).tolist() == [10]
        # Of the arms that are still in.
        play(policy, setting, ["F.", ".."])
        assert policy.foreseen(2).tolist() == [5]
