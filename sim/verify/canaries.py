"""Figures of canaries, checks and error budgets: how often checks fail by chance, and the cost of an incident."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from sim.policy.base import Verdict
from sim.stats.reliability import aborts, at_least, budget_spent, rolls_back
from sim.verify.figure import Figure, exact, played
from sim.verify.rehearsal import Trials, converts, mean, rehearse, scenario_of, share, some

SRE = "Google, The Site Reliability Workbook, ch. 5"
ARGO = "Argo Rollouts: it aborts when failed > failureLimit"
FLAGGER = "Flagger: failed checks accumulate, a good one never resets"
BINOMIAL = "binomial distribution"

PER_TICK, FAILED = 1000, 0.1
"""Requests of the canary between two checks, and the probability that a check fails."""
CHANCE, TOLERANCE = 0.1, 0.002
"""The chance with which more than is tolerated may be lost, and what is tolerated, of all conversions."""


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield exact(
        "canaries.burn-rates",
        "share of a 30-day budget: burn rate 14.4 for 1 h, 6 for 6 h, 1 for 3 d", SRE, (0.02, 0.05, 0.10),
        lambda: [budget_spent(rate, hours, 30 * 24) for rate, hours in ((14.4, 1), (6, 6), (1, 72))],
    )  # fmt: skip
    yield played(
        "canaries.play-burn-rate", "10% errors after none, objective 99.9%, burn 14.4 over 1 h, 5 min: minutes until found",
        f"{SRE}: 14.4 . .001 . 60 min / .1, in whole minutes", 9.0, lambda quick: mean(_found(quick) / 60),
    )  # fmt: skip
    yield exact(
        "canaries.few-requests", "10/s, 5% canary, 5 min, 1% errors: P(no error), P(5 or more)", f"{BINOMIAL} (150, .01)",
        (0.2215, 0.0180), lambda: [1 - at_least(1, 150, 0.01), at_least(5, 150, 0.01)], 1e-4,
    )  # fmt: skip
    yield exact(
        "canaries.argo", "12 checks that fail by .1: P(abort), failureLimit 0, 1, 3", ARGO, (0.7176, 0.3410, 0.0256),
        lambda: [aborts(limit, 12, FAILED) for limit in (0, 1, 3)], 1e-4,
    )  # fmt: skip
    yield exact(
        "canaries.flagger", "10 advances, checks that fail by .1: P(rollback), threshold 2, 5", FLAGGER, (0.3026, 0.0092),
        lambda: [rolls_back(threshold, 10, FAILED) for threshold in (2, 5)], 1e-4,
    )  # fmt: skip
    for limit, published in ((0, 0.7176), (1, 0.3410), (3, 0.0256)):
        yield played(
            f"canaries.play-argo-{limit}",
            f"a canary of 12 checks that fail by .1, tripped by failure {limit + 1}: rolled back",
            ARGO, published,
            lambda quick, limit=limit, published=published: share(_rolled_back(12, limit + 1, quick), published),
        )  # fmt: skip
    for threshold, published in ((2, 0.3026), (5, 0.0092)):
        checks = 9 + threshold
        yield played(
            f"canaries.play-flagger-{threshold}",
            f"a canary of {checks} checks that fail by .1, tripped by failure {threshold}: rolled back",
            f"{FLAGGER}; the same event as {threshold} failures before 10 advances", published,
            lambda quick, checks=checks, threshold=threshold, published=published: share(
                _rolled_back(checks, threshold, quick), published
            ),
        )  # fmt: skip
    yield played(
        "canaries.play-consecutive", "a canary of 12 checks that fail by .1, tripped by 2 failures in a row: rolled back",
        "recursion over runs (Feller 1968, XIII.7)", lambda: 1 - _no_run(12, 2, FAILED),
        lambda quick: share(_rolled_back(12, 2, quick, consecutive=True), 1 - _no_run(12, 2, FAILED)),
    )  # fmt: skip
    yield played(
        "canaries.play-retry", "the same, tripped by the first failure and tried again twice: rolled back for good",
        f"{BINOMIAL}: (1 - .9^12)^3", lambda: _FAILS**3, lambda quick: share(_tried(quick).verdict(Verdict.KEEP), _FAILS**3),
    )  # fmt: skip
    yield played(
        "canaries.play-alarms", "12 checks that fail by .1 and only report: alarms of a canary", BINOMIAL, 12 * FAILED,
        lambda quick: mean(_canary(12, 1, False, quick, report_only=True).columns["alarms"]),
    )  # fmt: skip
    yield played(
        "canaries.play-ratchet",
        "100 users who stay with a canary of 10% once they met it, 12 requests each: requests of the canary",
        "1 - (1 - w)^n, over n of a Poisson number", _ratchet_theory, lambda quick: mean(_ratchet(quick)),
    )  # fmt: skip
    yield played(
        "canaries.play-sqr", "a ramp by SQR, effects of sd 20%, .2% tolerated with a chance of 10%: ever at a weight too risky",
        "optional stopping of a posterior, over the weights (Xu, Duan & Huang 2018)", CHANCE,
        lambda quick: share(_too_risky(quick), CHANCE), at_most=True,
    )  # fmt: skip
    yield played(
        "canaries.play-staged", "a rollout in stages, watched every hour by a mixture SPRT at 5%, of what is the same: stopped",
        "Ville's inequality (Johari, Koomen, Pekelis & Walsh 2022)", 0.05,
        lambda quick: share(_staged(quick).verdict(Verdict.KEEP), 0.05), at_most=True,
    )  # fmt: skip
    thinned = "thinned Poisson stream (Kingman 1993), as 150 requests are a mean"
    for limit, title, theory in (
        (1, "by an error", 1 - math.exp(-1.5)), (5, "by 5 seconds with errors", at_least(5, 300, 1 - math.exp(-0.005))),
    ):  # fmt: skip
        yield played(
            f"canaries.play-few-requests-{limit}",
            f"10/s, 5% canary, 5 min, 1% errors: rolled back {title}, request by request",
            thinned, lambda theory=theory: theory, lambda quick, limit=limit, theory=theory: share(_few(limit, quick), theory),
        )  # fmt: skip
    yield played(
        "canaries.play-budget", "an hour of 1.44% errors under an objective of 99.9%: share of a 30-day budget", SRE, 0.02,
        lambda quick: mean(_budget(quick)),
    )  # fmt: skip


@cache
def _sqr(quick: bool) -> Trials:
    """Trials of a ramp by risk, in worlds of its own prior."""
    ramp = {
        "kind": "sqr", "weights": ["1%", "5%", "10%", "25%", "50%"], "tolerance": TOLERANCE, "chance": CHANCE, "every": "12h",
        "stay": "1d", "expected_effect": 0.2,
    }  # fmt: skip
    policy = {"name": "test", "kind": "bandit", "allocation": ramp, "evidence": {"kind": "survive"}}
    truth = {"a": {"conversion": {"relative_effect": {"normal": {"mean": 0.0, "sd": 0.2}}}}}
    return rehearse(scenario_of("sqr", 2, some(20_000, quick), 240, 1200, [policy], truth=truth), converts(0.1, 0.1))["test"]


def _too_risky(quick: bool) -> Any:
    """(R,) whether a weight after the first was ever reached at which more was lost than is tolerated."""
    columns = _sqr(quick).columns
    peak, effect = columns["peak_exposure"], columns["best_effect"]
    return (peak > 0.02) & (-effect * peak > TOLERANCE)


@cache
def _staged(quick: bool) -> Trials:
    """Trials of a ramp by the clock whose challenger is the champion."""
    check = {"kind": "degradation", "metric": "conversion", "mde": 0.1}
    steps = [{"weight": weight, "bake": "2d"} for weight in (0.05, 0.2, 0.5)]
    staged = {"name": "test", "kind": "canary", "steps": steps, "checks": [check]}
    return rehearse(scenario_of("staged", 2, some(20_000, quick), 145, 1000, [staged]), converts(0.2, 0.2))["test"]


def _no_run(checks: int, length: int, failed: float) -> float:
    """The probability that `checks` checks have no run of `length` failures."""
    runs = np.zeros(length)
    runs[0] = 1.0
    for _ in range(checks):
        runs = np.concatenate([[runs.sum() * (1 - failed)], runs[:-1] * failed])
    return float(runs.sum())


@cache
def _canary(checks: int, trip: int, consecutive: bool, quick: bool, report_only: bool = False) -> Trials:
    """Trials of a canary at half of the traffic. A check looks at one tick, and fails if there is any error."""
    check = {"metric": "error_rate", "max": 0, "trip": trip, "consecutive": consecutive, "report_only": report_only}
    canary = {"name": "test", "kind": "canary", "steps": [{"weight": "50%", "bake": f"{checks}h"}], "checks": [check]}
    name = f"canary-{checks}-{trip}{'-run' if consecutive else ''}{'-reported' if report_only else ''}"
    scenario = scenario_of(name, 2, some(40_000, quick), checks, 2 * PER_TICK, [canary])
    healthy, faulty = converts(0.5, 0.5)
    return rehearse(scenario, [healthy, {**faulty, "error_rate": -math.log(1 - FAILED) / PER_TICK}])["test"]


def _rolled_back(checks: int, trip: int, quick: bool, consecutive: bool = False) -> Any:
    return _canary(checks, trip, consecutive, quick).verdict(Verdict.KEEP)


_FAILS = 1 - (1 - FAILED) ** 12


@cache
def _tried(quick: bool) -> Trials:
    """Trials of the canary of 12 checks that is tried three times, so that the third try has time to end."""
    canary: dict[str, Any] = {"name": "test", "kind": "canary", "steps": [{"weight": "50%", "bake": "12h"}]}
    canary |= {"checks": [{"metric": "error_rate", "max": 0}], "on": {"retry": {"after": "1h", "times": 2}}}
    scenario = scenario_of("tried", 2, some(20_000, quick), 38, 2 * PER_TICK, [canary])
    healthy, faulty = converts(0.5, 0.5)
    return rehearse(scenario, [healthy, {**faulty, "error_rate": -math.log(1 - FAILED) / PER_TICK}])["test"]


@cache
def _few(limit: int, quick: bool) -> Any:
    check: dict[str, Any] = {"metric": "error_rate", "max": 0}
    if limit > 1:
        # A check cannot limit the number of errors, but `trip` limits the number of failed checks.
        check |= {"trip": limit, "every": "1s"}
    canary = {"name": "test", "kind": "canary", "steps": [{"weight": "5%", "bake": "5m"}], "checks": [check]}
    scenario = scenario_of(
        f"few-{limit}", 2, some(10_000, quick), 1, 1, [canary], engine="compiled",
        tick="5m" if limit == 1 else "1s", horizon="5m", traffic={"rate": "10/s"},
    )  # fmt: skip
    healthy, faulty = converts(0.5, 0.5)
    return rehearse(scenario, [healthy, {**faulty, "error_rate": 0.01}])["test"].verdict(Verdict.KEEP)


@cache
def _found(quick: bool) -> Any:
    """(R,) seconds until errors are found that begin after two hours."""
    windows = [{"long": "1h", "short": "5m", "burn": 14.4}]
    canary: dict[str, Any] = {"name": "test", "kind": "canary", "steps": [{"weight": "50%", "bake": "4h"}]}
    canary |= {"checks": [{"kind": "burn_rate", "slo": "99.9%", "windows": windows}]}
    incident = {"kind": "errors", "arm": "a", "at": "2h", "duration": "2h", "rate": "10%"}
    scenario = scenario_of(
        "burn", 2, some(1000, quick), 1, 1, [canary], tick="1m", horizon="4h", traffic={"rate": "1000/s"}, timeline=[incident]
    )
    return rehearse(scenario, converts(0.5, 0.5))["test"].columns["time_to_end_s"] - 7200


_USERS, _VISITS, _WEIGHT = 100, 12, 0.1


def _ratchet_theory() -> float:
    """The mean requests of the canary: one at time t, of v visits of a user in all, is there with 1 - (1 - w) e^(-w v t)."""
    return _USERS * (_VISITS - (1 - _WEIGHT) / _WEIGHT * (1 - math.exp(-_WEIGHT * _VISITS)))


@cache
def _ratchet(quick: bool) -> Any:
    """(R,) requests of a canary that is worse, so that all of them are harmed."""
    check = {"metric": "error_rate", "max": 0}
    canary = {"name": "test", "kind": "canary", "steps": [{"weight": "10%", "bake": "4h"}], "checks": [check]}
    users = {"count": _USERS, "assignment": "canary"}
    rate = _USERS * _VISITS // 4
    scenario = scenario_of("ratchet", 2, some(4000, quick), 4, rate, [canary], engine="compiled", users=users)
    return rehearse(scenario, converts(0.5, 0.4))["test"].columns["harmed_requests"]


@cache
def _budget(quick: bool) -> Any:
    """(R,) errors, as a share of the errors that the objective allows for all requests of 30 days."""
    incident = {"kind": "errors", "arm": "champion", "at": "6h", "duration": "1h", "rate": 0.0144}
    scenario = scenario_of("budget", 2, some(1000, quick), 720, 20_000, [{"name": "test", "kind": "hold"}], timeline=[incident])
    columns = rehearse(scenario, converts(0.5, 0.5))["test"].columns
    return columns["errors"] / (0.001 * columns["requests"])
