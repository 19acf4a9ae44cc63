"""The memo: it answers, and claims only what the paired intervals show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.compare.comparison import compare
from tests.compare.synthetic import BETTER, KINDS, WORSE, decided, frame, realistic, write

Trial = dict[str, Any]


def said(tmp_path: Path, policies: dict[str, list[Trial]], kinds: dict[str, str], **changes: Any) -> tuple[str, ...]:
    return compare(write(tmp_path, frame(policies), kinds, **changes)).memo


def worlds(regret: float, verdict: str = "keep", hours: float = 4.0, n: int = 50, noise: float = 0.1) -> list[Trial]:
    """Half of the challengers better, half worse; regrets vary together over policies."""
    shared = np.random.default_rng(0).normal(0, noise, n)
    return [
        decided(verdict, hours * 3600, **(BETTER if at % 2 else WORSE), regret=float(max(regret + shared[at], 0)))
        for at in range(n)
    ]


def wrongs(share: float, hours: float, n: int = 100) -> list[Trial]:
    """In worlds that are all alike, a share of the trials ships a challenger that is no better; it costs nothing."""
    wrong = np.arange(n) < round(share * n)
    return [decided("ship" if bad else "keep", hours * 3600, any_not_better=True, correct=not bad) for bad in wrong.tolist()]


def test_the_lowest_regret_is_named_with_its_risks(tmp_path: Path) -> None:
    policies = {"hold": worlds(5), "canary": worlds(2), "ab": worlds(3, hours=33.6)}
    answer, gives, errs, takes = said(tmp_path, policies, {"hold": "hold", "canary": "canary", "ab": "ab"})
    assert answer == "Take canary: of the 2 policies that are fit to be recommended it has the lowest regret."
    assert gives == (
        "Its regret is 2.01 (1.99–2.04) conversion, 1 conversion less than the runner-up ab, "
        "3 conversion less than keeping the champion (hold)."
    )
    assert errs == (
        "It ships a challenger that is no better in 0% (0–13%) of the trials where there is one, "
        "and ships nothing in 100% (87–100%) of those with a win that matters."
    )
    assert takes == "Half of its trials are decided by 4 h, 95% by 4 h; to decide half, ab takes 1.4 d."


def test_policies_that_cannot_be_told_apart_are_named_together(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    noisy = {
        name: [decided("keep", hours * 3600, **BETTER, regret=float(regret)) for regret in random.gamma(2, 2, 30)]
        for name, hours in (("ab", 100.0), ("canary", 4.0))
    }
    answer, gives, *_ = said(tmp_path, noisy, {"ab": "ab", "canary": "canary"})
    assert answer == (
        "Take canary: 30 replications cannot tell which of canary and ab has the lowest regret of the 2 policies that are fit "
        "to be recommended, and of these canary decides soonest on average, in 4 h."
    )
    assert gives.endswith("not shown to differ from the runner-up ab.")


def test_of_many_policies_the_one_taken_is_named_and_the_rest_are_summed_up(tmp_path: Path) -> None:
    """Each alike in what it earns, and each quicker than the one before; four more are not fit."""
    hours = {f"p{at}": 20.0 - at for at in range(7)}
    policies = {name: worlds(2, hours=each) for name, each in hours.items()}
    never = [{**trial, "verdict": "undecided", "time_to_decision_s": float("nan")} for trial in worlds(1)]
    policies |= {f"never{at}": never for at in range(4)}
    found = said(tmp_path, policies, dict.fromkeys(policies, "ab"))
    assert found[0].startswith("Take p6: 50 replications cannot tell which of p6, p0, p1, p2 and 3 more has the lowest regret")
    assert found[3].endswith("to decide half, p0 takes 20 h, p1 takes 19 h, p2 takes 18 h and 3 more take 15 h to 17 h.")
    assert found[-1].endswith("undecided; and 1 more.")


def test_what_the_decision_cannot_tell_is_told_nowhere_in_the_memo(tmp_path: Path) -> None:
    """Of three policies the best is better than the one taken in a comparison of two, and not in those of all three."""
    random = np.random.default_rng(8)
    noise = random.normal(0, 1.0, 400)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    apart = 2.1 / np.sqrt(400)  # 2.1 standard errors: beyond 1.96, and within 2.24
    worlds_of = {"best": 5 + 0 * noise, "taken": 5 + apart + noise, "third": 5 + apart + noise}
    policies = {
        name: [decided("keep", hours * 3600, **BETTER, regret=float(each), correct=name == "taken") for each in regrets]
        for (name, regrets), hours in zip(worlds_of.items(), (9, 4, 9), strict=True)
    }
    answer, regret, *_ = said(tmp_path, policies, dict.fromkeys(policies, "ab"))
    assert answer.startswith("Take taken: 400 replications cannot tell which of taken, best and third has the lowest regret")
    assert regret.endswith("not shown to differ from the runner-up best.")


def test_twins_are_not_ranked(tmp_path: Path) -> None:
    answer = said(tmp_path, {"a": worlds(2), "b": worlds(2)}, {"a": "ab", "b": "ab"})[0]
    assert answer.startswith("Take a, or another: 50 replications cannot tell which of a and b has the lowest regret")
    assert answer.endswith("and nothing else tells a and b apart.")


def test_a_baseline_with_less_regret_is_owned_up_to(tmp_path: Path) -> None:
    policies = {"hold": worlds(1), "switch": worlds(9), "ab": worlds(3)}
    answer, gives, *_ = said(tmp_path, policies, {"hold": "hold", "switch": "switch", "ab": "ab"})
    assert answer == "Take ab: it is the only policy. Keeping the champion (hold) does better than any policy here."
    assert "2 conversion more than keeping the champion (hold)" in gives
    assert "6 conversion less than shipping at once (switch)" in gives


@pytest.mark.parametrize(
    ("switch", "says"),
    [
        (2.0, " Keeping the champion (hold) does better than any policy here."),
        (1.0, " Keeping the champion (hold) and shipping at once (switch) do better than any policy here."),
    ],
)
def test_of_two_baselines_with_less_regret_the_better_one_is_named(tmp_path: Path, switch: float, says: str) -> None:
    policies = {"hold": worlds(1), "switch": worlds(switch), "ab": worlds(3)}
    answer = said(tmp_path, policies, {"hold": "hold", "switch": "switch", "ab": "ab"})[0]
    assert answer == f"Take ab: it is the only policy.{says}"


def test_a_policy_that_never_decides_is_not_taken_for_its_low_regret(tmp_path: Path) -> None:
    never = [{**trial, "verdict": "undecided", "time_to_decision_s": float("nan")} for trial in worlds(1)]
    found = said(tmp_path, {"shy": never, "ab": worlds(3)}, {"shy": "stages", "ab": "ab"})
    assert found[0] == "Take ab: it is the only policy that is fit to be recommended."
    assert found[-1] == (
        "Not recommended within 14 d: shy, which does not decide half of its trials: it leaves 100% (93–100%) undecided."
    )


def test_nothing_decides(tmp_path: Path) -> None:
    trials = [decided("keep", 60.0)] + [{}] * 9
    found = said(tmp_path, {"ab": [{}] * 10, "canary": trials}, {"ab": "ab", "canary": "canary"})
    assert found == (
        "Take none: none of the 2 policies is fit to be recommended.",
        "Not recommended within 14 d: ab, which does not decide half of its trials: it leaves 100% (72–100%) undecided; "
        "canary, which does not decide half of its trials: it leaves 90% (60–99.5%) undecided.",
    )


def test_giving_up_is_no_decision_and_misses_every_win(tmp_path: Path) -> None:
    nothing = {"decided": False, "time_to_decision_s": float("nan"), "requests_to_decision": float("nan")}
    gives_up = [{**trial, **nothing, **decided("inconclusive", 60.0)} for trial in worlds(1)]
    policies, kinds = {"shy": gives_up, "ab": worlds(3)}, {"shy": "ab", "ab": "ab"}
    comparison = compare(write(tmp_path, frame(policies), kinds))
    assert comparison.memo[0] == "Take ab: it is the only policy that is fit to be recommended."
    assert comparison.memo[-1].endswith("shy, which does not decide half of its trials: it gives up in 100% (93–100%).")
    point = comparison.points[0]
    shy = point.policy("shy")
    assert shy is not None
    assert (shy.measures["missed_win"].estimate, shy.measures["inconclusive"].estimate) == (1.0, 1.0)
    assert all("shy" not in names for names in point.best.values())
    assert (shy.incidence.inconclusive.estimate[-1], shy.incidence.decided.estimate[-1]) == (1.0, 0.0)
    alone = said(tmp_path / "alone", {"shy": gives_up}, {"shy": "ab"})
    assert alone[0] == "Take none: the one policy is not fit to be recommended."


def test_what_ships_whatever_comes_is_not_recommended_where_that_costs_nothing(tmp_path: Path) -> None:
    policies = {"canary": wrongs(0.97, 3), "ab": wrongs(0.02, 40), "bayes": wrongs(0.2, 20)}
    found = said(tmp_path, policies, {"canary": "canary", "ab": "ab", "bayes": "ab"})
    assert found[0].startswith("Take ab: 100 replications cannot tell which of ab and bayes has the lowest regret")
    assert found[0].endswith("and of these ab is right most often, in 98% (93–99.6%).")
    assert found[-1] == (
        "Not recommended within 14 d: canary, which ships what is no better more often than not: wrong ship 97% (92–99.2%)."
    )


def test_a_rule_that_breaks_its_promise_is_not_recommended(tmp_path: Path) -> None:
    policies = {"peeking": wrongs(0.14, 3), "ab": wrongs(0.02, 40)}
    kinds = dict.fromkeys(policies, "ab")
    promising = [{"name": name, "kind": "ab", "promised": 0.05} for name in policies]
    found = compare(write(tmp_path, frame(policies), kinds, policies=promising)).memo
    assert found[0] == "Take ab: it is the only policy that is fit to be recommended."
    assert found[-1].endswith(
        "peeking, which ships what is no better more often than the 5% it promises: wrong ship 14% (8.5–22%)."
    )
    # Where the promise is not shown to be broken, regret and what is right decide.
    promising = [{**each, "promised": 0.1} for each in promising]
    found = compare(write(tmp_path / "b", frame(policies), kinds, policies=promising)).memo
    assert found[0].startswith("Take ab: 100 replications cannot tell which of ab and peeking")


def test_only_baselines(tmp_path: Path) -> None:
    kinds = {"hold": "hold", "switch": "switch"}
    (found,) = said(tmp_path, {"hold": worlds(5), "switch": worlds(1)}, kinds)
    assert found.startswith("Only baselines were run")
    assert found.endswith("that of switch is the lowest.")
    assert said(tmp_path, {"hold": worlds(5), "switch": worlds(5)}, kinds)[0].endswith("cannot tell which is lower.")


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (WORSE, "misses no win, as no trial has one that matters"),
        (BETTER, "ships nothing wrong, as every challenger is better"),
    ],
)
def test_risks_that_no_trial_runs(tmp_path: Path, world: Trial, expected: str) -> None:
    trials = [decided("keep", 60.0, **world)] * 20
    assert any(expected in sentence for sentence in said(tmp_path, {"ab": trials}, {"ab": "ab"}))


def test_a_realistic_run_reads_as_a_few_short_sentences(tmp_path: Path) -> None:
    found = compare(write(tmp_path, realistic(400), KINDS)).memo
    assert 4 <= len(found) <= 7
    assert all(sentence.endswith(".") and len(sentence.split()) <= 60 for sentence in found)
