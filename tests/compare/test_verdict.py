"""The sentence: it answers, and claims only what the paired intervals show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.compare.comparison import compare
from tests.compare.synthetic import BETTER, KINDS, WORSE, decided, frame, realistic, write

Trial = dict[str, Any]


def said(tmp_path: Path, policies: dict[str, list[Trial]], kinds: dict[str, str], **changes: Any) -> str:
    return compare(write(tmp_path, frame(policies), kinds, **changes)).verdict


def worlds(regret: float, verdict: str = "keep", hours: float = 4.0, n: int = 50, noise: float = 0.1) -> list[Trial]:
    """Half of the challengers better, half worse; regrets vary together over policies."""
    shared = np.random.default_rng(0).normal(0, noise, n)
    return [
        decided(verdict, hours * 3600, **(BETTER if at % 2 else WORSE), regret=float(max(regret + shared[at], 0)))
        for at in range(n)
    ]


def test_the_lowest_regret_is_named_with_its_risks(tmp_path: Path) -> None:
    policies = {"hold": worlds(5), "canary": worlds(2), "ab": worlds(3, hours=33.6)}
    found = said(tmp_path, policies, {"hold": "hold", "canary": "canary", "ab": "ab"})
    assert found.startswith(
        "canary has the lowest regret of the 2 policies that decide at least half of their trials within 14 d: "
        "its regret is 2.0"
    )
    assert ", below that of hold; it has decided half of its trials by 4 h, ships a challenger" in found
    assert "in 0% (0–13%) of the trials where there is one" in found
    assert "ships nothing in 100% (87–100%) of those with a win that matters" in found
    assert found.endswith("; to decide half, ab takes 1.4 d.")


def test_policies_that_cannot_be_told_apart_are_named_together(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    noisy = {
        name: [decided("keep", hours * 3600, **BETTER, regret=float(regret)) for regret in random.gamma(2, 2, 30)]
        for name, hours in (("ab", 100.0), ("canary", 4.0))
    }
    found = said(tmp_path, noisy, {"ab": "ab", "canary": "canary"})
    assert found.startswith("30 replications cannot tell which of ")
    assert "but of these canary decides soonest on average, in 4 h (4–4 h): its regret is" in found
    assert "has the lowest regret:" not in found


def test_twins_are_not_ranked(tmp_path: Path) -> None:
    found = said(tmp_path, {"a": worlds(2), "b": worlds(2)}, {"a": "ab", "b": "ab"})
    assert "50 replications cannot tell which of a and b has the lowest regret" in found
    assert "nor which of a and b decides soonest on average; for a: its regret" in found


def test_a_baseline_with_less_regret_is_owned_up_to(tmp_path: Path) -> None:
    policies = {"hold": worlds(1), "switch": worlds(9), "ab": worlds(3)}
    found = said(tmp_path, policies, {"hold": "hold", "switch": "switch", "ab": "ab"})
    assert found.startswith("ab is the only policy to choose, and decides at least half of its trials within 14 d")
    assert "above that of hold" in found
    assert "below that of switch" in found


def test_a_policy_that_never_decides_is_not_taken_for_its_low_regret(tmp_path: Path) -> None:
    never = [{**trial, "verdict": "undecided", "time_to_decision_s": float("nan")} for trial in worlds(1)]
    found = said(tmp_path, {"shy": never, "ab": worlds(3)}, {"shy": "stages", "ab": "ab"})
    assert found.startswith("ab is the only policy to recommend, and decides at least half of its trials within 14 d")
    assert found.endswith("; shy does not decide half within 14 d.")


def test_nothing_decides(tmp_path: Path) -> None:
    trials = [decided("keep", 60.0)] + [{}] * 9
    found = said(tmp_path, {"ab": [{}] * 10, "canary": trials}, {"ab": "ab", "canary": "canary"})
    assert found == (
        "no policy decides half of its trials within 14 d: canary leaves 90% (60–99.5%) undecided "
        "and ab leaves 100% (72–100%) undecided."
    )


def test_giving_up_is_no_decision_and_misses_every_win(tmp_path: Path) -> None:
    nothing = {"decided": False, "time_to_decision_s": float("nan"), "requests_to_decision": float("nan")}
    gives_up = [{**trial, **nothing, **decided("inconclusive", 60.0)} for trial in worlds(1)]
    policies, kinds = {"shy": gives_up, "ab": worlds(3)}, {"shy": "ab", "ab": "ab"}
    folder = write(tmp_path, frame(policies), kinds)
    comparison = compare(folder)
    assert comparison.verdict.startswith("ab is the only policy to recommend")
    assert comparison.verdict.endswith("; shy does not decide half within 14 d.")
    point = comparison.points[0]
    shy = point.policy("shy")
    assert shy is not None
    assert (shy.measures["missed_win"].estimate, shy.measures["inconclusive"].estimate) == (1.0, 1.0)
    assert all("shy" not in names for names in point.best.values())
    assert (shy.incidence.inconclusive.estimate[-1], shy.incidence.decided.estimate[-1]) == (1.0, 0.0)
    alone = said(tmp_path / "alone", {"shy": gives_up}, {"shy": "ab"})
    assert alone == "no policy decides half of its trials within 14 d: shy gives up in 100% (93–100%)."


def wrongs(share: float, hours: float, n: int = 100) -> list[Trial]:
    """In worlds that are all alike, a share of the trials ships a challenger that is no better; it costs nothing."""
    wrong = np.arange(n) < round(share * n)
    return [decided("ship" if bad else "keep", hours * 3600, any_not_better=True, correct=not bad) for bad in wrong.tolist()]


def test_what_ships_whatever_comes_is_not_recommended_where_that_costs_nothing(tmp_path: Path) -> None:
    policies = {"canary": wrongs(0.97, 3), "ab": wrongs(0.02, 40), "bayes": wrongs(0.2, 20)}
    found = said(tmp_path, policies, {"canary": "canary", "ab": "ab", "bayes": "ab"})
    assert found.startswith("100 replications cannot tell which of ab and bayes has the lowest regret of the 2 policies")
    assert "but of these ab is right most often, in 98% (93–" in found
    assert "; not recommended, as what is no better is shipped more often than not by canary in 97% (92–99.2%)" in found
    found = said(tmp_path / "alone", {"canary": policies["canary"]}, {"canary": "canary"})
    assert found.startswith("no policy can be recommended: what is no better is shipped more often than not by canary in")


def test_a_rule_that_breaks_its_promise_is_not_recommended(tmp_path: Path) -> None:
    policies = {"peeking": wrongs(0.14, 3), "ab": wrongs(0.02, 40)}
    promising = [{"name": name, "kind": "ab", "promised": 0.05} for name in policies]
    found = compare(write(tmp_path, frame(policies), dict.fromkeys(policies, "ab"), policies=promising)).verdict
    assert found.startswith("ab is the only policy to recommend, and decides")
    assert found.endswith("is shipped more often than promised by peeking in 14% (8.5–22%) (5% promised).")
    # Where the promise is not shown to be broken, regret and what is right decide.
    promising = [{**each, "promised": 0.1} for each in promising]
    found = compare(write(tmp_path / "b", frame(policies), dict.fromkeys(policies, "ab"), policies=promising)).verdict
    assert found.startswith("100 replications cannot tell which of peeking and ab")


def test_only_baselines(tmp_path: Path) -> None:
    kinds = {"hold": "hold", "switch": "switch"}
    found = said(tmp_path, {"hold": worlds(5), "switch": worlds(1)}, kinds)
    assert found.startswith("only baselines were run")
    assert found.endswith("that of switch is the lowest.")
    assert said(tmp_path, {"hold": worlds(5), "switch": worlds(5)}, kinds).endswith("cannot tell which is lower.")


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (WORSE, "misses no win, as no trial has one that matters"),
        (BETTER, "ships nothing wrong, as every challenger is better"),
    ],
)
def test_risks_that_no_trial_runs(tmp_path: Path, world: Trial, expected: str) -> None:
    trials = [decided("keep", 60.0, **world)] * 20
    assert expected in said(tmp_path, {"ab": trials}, {"ab": "ab"})


def test_a_realistic_run_reads_as_one_sentence(tmp_path: Path) -> None:
    found = compare(write(tmp_path, realistic(400), KINDS)).verdict
    assert found.count(". ") == 0
    assert found.endswith(".")
    assert len(found.split()) < 120
