"""Whole rollouts on the aggregate engine, against theory. Tolerances are 4 standard errors of the replications run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binom, poisson

from sim.arrays import Floats
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.ledger import Ledger
from sim.policy.base import Routing, Verdict
from sim.policy.forms import Form
from sim.policy.machine import Verdicts
from sim.stats.power import power
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

ARMS = ("champion", "a", "b", "c")


@dataclass(frozen=True)
class Trials:
    """What one policy did in every replication."""

    verdicts: Verdicts
    ledger: Ledger
    routings: list[Routing]

    def share(self, verdict: Verdict, arm: int | None = None) -> float:
        """Share of replications with a verdict, for one arm where one is named."""
        found = self.verdicts.verdict == verdict
        return float((found if arm is None else found & (self.verdicts.arm == arm)).mean())

    @property
    def declared(self) -> float:
        """Share of replications in which a rule of evidence declared something."""
        return float((self.verdicts.significant_tick >= 0).mean())


def rehearse(
    policies: Sequence[Mapping[str, Any]],
    behaviours: Sequence[Mapping[str, Any]],
    *,
    replications: int,
    ticks: int,
    requests: int,
    metric: Mapping[str, Any] | None = None,
) -> tuple[World, dict[str, Trials]]:
    """Every policy in `ticks` ticks of a minute with `requests` requests each, on average."""
    scenario = make_scenario(
        arms=ARMS[: len(behaviours)],
        seed=20,
        replications=replications,
        tick="1m",
        horizon=f"{ticks}m",
        traffic={"rate": f"{requests}/m"},
        metrics=[{"name": "conversion", "role": "primary", **(metric or {})}],
        policies=list(policies),
    )
    world = make_world(scenario, [behaves(**{"error_rate": 0, **said}) for said in behaviours])
    others: dict[str, Form] = {form.name: form for form in scenario.policies}
    return world, {name: _play(form, others, world, replications) for name, form in others.items()}


def _play(form: Form, others: Mapping[str, Form], world: World, replications: int) -> Trials:
    policy = form.build(others, world.arms)
    setting = world.setting(replications)
    truth = world.realise(np.arange(replications))
    engine = AggregateEngine(truth, policy.needs(setting), policy.mirrors())
    routing = policy.start(setting)
    routings = [routing]
    while routing.rows.size and engine.tick < world.ticks:
        routing = policy.step(engine.step(routing))
        routings.append(routing)
    engine.settle(policy.verdicts.arm, policy.verdicts.decided_tick)
    return Trials(policy.verdicts, engine.ledger, routings)


def converts(*rates: float) -> list[dict[str, Any]]:
    return [{"outcomes": {"conversion": {"bernoulli": rate}}} for rate in rates]


def ab_test(name: str = "ab", **said: Any) -> dict[str, Any]:
    """An A/B test with one look."""
    evidence = {"kind": "fixed_horizon", **said.pop("evidence", {"mde": "20%"})}
    return {"name": name, "kind": "ab", "evidence": evidence, **said}


def standard_error(share: float, count: int) -> float:
    return float(np.sqrt(share * (1 - share) / count))


def mean_and_error(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))


class TestFixedHorizon:
    """Baseline 20%, an effect of 4 points: 1,680 outcomes an arm of an even split for a power of 80%."""

    count = 4000

    @pytest.mark.parametrize("split", [("50%", "50%"), ("80%", "20%")])
    def test_power_is_as_designed(self, split: tuple[str, str]) -> None:
        size = {"replications": self.count, "ticks": 160, "requests": 40}
        _, trials = rehearse([ab_test(split=split)], converts(0.2, 0.24), **size)
        ship = trials["ab"].share(Verdict.SHIP, arm=1)
        assert abs(ship - 0.8) < 4 * standard_error(0.8, self.count)

    @pytest.mark.parametrize("split", [("50%", "50%"), ("80%", "20%")])
    def test_error_is_as_designed(self, split: tuple[str, str]) -> None:
        size = {"replications": self.count, "ticks": 160, "requests": 40}
        _, trials = rehearse([ab_test(split=split)], converts(0.2, 0.2), **size)
        assert (trials["ab"].verdicts.decided_tick > 0).all()
        assert abs(trials["ab"].declared - 0.05) < 4 * standard_error(0.05, self.count)
        assert abs(trials["ab"].share(Verdict.SHIP) - 0.025) < 4 * standard_error(0.025, self.count)

    @pytest.mark.parametrize("direction", ["increase", "decrease"])
    def test_power_of_means(self, direction: str) -> None:
        better = 10.5 if direction == "increase" else 9.5
        amounts = [{"outcomes": {"amount": {"normal": {"mean": mean, "sd": 5}}}} for mean in (10, better)]
        metric = {"name": "amount", "direction": direction}
        size = {"replications": self.count, "ticks": 100, "requests": 40}
        _, trials = rehearse([ab_test(evidence={"mde": "5%"})], amounts, metric=metric, **size)
        ship = trials["ab"].share(Verdict.SHIP, arm=1)
        assert abs(ship - 0.8) < 4 * standard_error(0.8, self.count)


class TestSeveralChallengers:
    count = 4000
    size: ClassVar[dict[str, int]] = {"replications": count, "ticks": 130, "requests": 100}

    def test_power_for_one_good_arm_among_three_is_as_designed(self) -> None:
        """Sized at alpha / 3; Holm rejects the smallest p-value at just that, and gains little where the others are null."""
        _, trials = rehearse([ab_test()], converts(0.2, 0.24, 0.2, 0.2), **self.size)
        ship = trials["ab"].share(Verdict.SHIP, arm=1)
        assert (trials["ab"].verdicts.decided_tick > 0).all()
        assert abs(ship - 0.8) < 4 * standard_error(0.8, self.count)

    def test_the_error_of_the_family_is_held(self) -> None:
        """The champion is shared, so that Bonferroni's 5% is 4.45%: the integral of Dunnett (1955) over the champion's mean."""
        _, trials = rehearse([ab_test()], converts(0.2, 0.2, 0.2, 0.2), **self.size)
        x = np.linspace(-8, 8, 4001)
        critical = np.sqrt(2) * ndtri(1 - 0.05 / 6)
        theory = 1 - np.trapezoid(np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * (ndtr(x + critical) - ndtr(x - critical)) ** 3, x)
        assert abs(theory - 0.0445) < 1e-4
        assert abs(trials["ab"].declared - theory) < 4 * standard_error(theory, self.count)


def test_regret_of_an_even_split_is_the_closed_form() -> None:
    """A test that never ends costs half the requests times the gap."""
    never = ab_test(evidence={"sample": 10**9})
    world, trials = rehearse([never], converts(0.2, 0.17), replications=400, ticks=50, requests=200)
    mean, error = mean_and_error(trials["ab"].ledger.regret)
    assert trials["ab"].share(Verdict.UNDECIDED) == 1
    assert abs(mean - 0.5 * world.requests.sum() * 0.03) < 4 * error
    assert error < 0.1 * mean


def test_baselines_cost_the_gap_or_nothing() -> None:
    policies = [{"name": "switch", "kind": "switch"}, {"name": "hold", "kind": "hold"}]
    for rates, cost in (((0.2, 0.17), "switch"), ((0.2, 0.23), "hold")):
        world, trials = rehearse(policies, converts(*rates), replications=400, ticks=50, requests=200)
        for name in ("switch", "hold"):
            regret = trials[name].ledger.regret
            if name == cost:
                mean, error = mean_and_error(regret)
                assert abs(mean - world.requests.sum() * 0.03) < 4 * error
            else:
                assert (regret == 0).all()


def peeking(looks: int, critical: float, count: int) -> float:
    """P(a standardised random walk passes `critical` before -`critical`) at some of so many equally spaced looks."""
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal((count, looks)), axis=1) / np.sqrt(np.arange(1, looks + 1))
    out = np.abs(walk) >= critical
    first = walk[np.arange(count), out.argmax(axis=1)]
    return float((out.any(axis=1) & (first > 0)).mean())


def test_a_posterior_above_95_percent_looked_at_every_tick_ships_a_null_challenger_far_too_often() -> None:
    """200 looks, 60 outcomes an arm between two. The posterior's 95% is the normal's 1.645, seen from both sides."""
    count, looks = 3000, 200
    policy = {"name": "bayes", "kind": "ab", "evidence": {"kind": "posterior", "min_outcomes": 1}}
    _, trials = rehearse([policy], converts(0.3, 0.3), replications=count, ticks=looks, requests=120)
    ship = trials["bayes"].share(Verdict.SHIP)
    theory = peeking(looks, 1.6449, 20_000)
    error = np.hypot(standard_error(theory, count), standard_error(theory, 20_000))
    assert abs(ship - theory) < 4 * error
    assert ship > 0.25


def test_one_look_of_the_same_posterior_ships_a_null_challenger_5_percent_of_the_time() -> None:
    count = 6000
    evidence = {"kind": "posterior", "min_outcomes": 1}
    policy = {"name": "once", "kind": "ab", "evidence": evidence, "max_duration": "1m"}
    _, trials = rehearse([policy], converts(0.3, 0.3), replications=count, ticks=2, requests=20_000)
    assert abs(trials["once"].share(Verdict.SHIP) - 0.05) < 4 * standard_error(0.05, count)


def test_thompson_sampling_regrets_less_than_an_even_split_at_a_clear_gap() -> None:
    bandit = {"name": "bandit", "kind": "bandit", "evidence": {"kind": "fixed_horizon", "sample": 10**9}}
    even = ab_test("even", evidence={"sample": 10**9})
    for rates in ((0.2, 0.3), (0.3, 0.2)):
        _, trials = rehearse([bandit, even], converts(*rates), replications=400, ticks=100, requests=40)
        mean, error = mean_and_error(trials["even"].ledger.regret - 4 * trials["bandit"].ledger.regret)
        assert mean > 4 * error


CANARY = {
    "name": "canary",
    "kind": "canary",
    "steps": [{"weight": "5%", "bake": "10m"}, {"weight": "25%", "bake": "10m"}, {"weight": "50%", "bake": "10m"}],
    "checks": [{"metric": "error_rate", "max": "2%", "trip": 2, "min_requests": 20}],
}


def test_a_canary_rolls_a_broken_challenger_back_and_ships_a_sound_one() -> None:
    size = {"replications": 500, "ticks": 60, "requests": 1000}
    _, broken = rehearse([CANARY], [{}, {"error_rate": "20%"}], **size)
    canary = broken["canary"]
    assert canary.share(Verdict.KEEP) == 1
    assert canary.verdicts.decided_tick.max() < 10
    assert np.median(canary.verdicts.decided_tick) == 2
    assert (canary.ledger.peak_exposure <= 0.05 + 1e-12).all()
    assert (canary.verdicts.significant_tick == -1).all()
    _, sound = rehearse([CANARY], [{"error_rate": "0.1%"}, {"error_rate": "0.1%"}], **size)
    # At 5% a tick has about 50 requests, and one error in fewer than 50 is above 2%; two such ticks of ten roll back.
    requests = np.arange(20, 200)
    trips = float((poisson.pmf(requests, 50) * binom.sf(np.floor(0.02 * requests), requests, 0.001)).sum())
    ships = float(binom.cdf(1, 10, trips))
    assert abs(sound["canary"].share(Verdict.SHIP) - ships) < 4 * np.sqrt(ships * (1 - ships) / 500)
    shipped = sound["canary"].verdicts.verdict == Verdict.SHIP
    assert (sound["canary"].verdicts.decided_tick[shipped] == 30).all()


def test_a_canary_that_one_challenger_breaks_ships_the_other() -> None:
    size = {"replications": 300, "ticks": 60, "requests": 2000}
    _, trials = rehearse([CANARY], [{}, {"error_rate": "20%"}, {}], **size)
    assert trials["canary"].share(Verdict.SHIP, arm=2) == 1
    last = next(routing for routing in reversed(trials["canary"].routings) if routing.rows.size)
    np.testing.assert_allclose(last.live, np.broadcast_to([0.5, 0, 0.5], last.live.shape))


def test_a_shadow_reveals_slowness_before_any_user_feels_it() -> None:
    slow = {"latency": {"lognormal": {"median": "120ms", "p99": "400ms"}}}
    shadow = {
        "name": "shadow",
        "kind": "shadow",
        "duration": "30m",
        "mirror": "20%",
        "checks": [{"metric": "latency", "quantile": "99%", "max": "250ms", "trip": 3, "every": "5m"}],
    }
    for challenger, expected in ((slow, Verdict.KEEP), ({}, Verdict.SHIP)):
        _, trials = rehearse([shadow], [{}, challenger], replications=300, ticks=40, requests=2000)
        shadowed = trials["shadow"]
        assert shadowed.share(expected) == 1
        assert (shadowed.ledger.mirrored[:, 1] > 0).all()
        served = shadowed.ledger.served[:, 1]
        assert (served == 0).all() if expected == Verdict.KEEP else (served > 0).all()


def test_shadow_then_canary_then_ab_finds_a_better_challenger_as_often_as_the_test_alone() -> None:
    """Stages before a test must not touch its power: its sample is its own."""
    count = 2000
    shadow = {
        "name": "shadow",
        "kind": "shadow",
        "duration": "5m",
        "checks": [{"metric": "error_rate", "max": "5%"}],
    }
    test = ab_test(evidence={"sample": 1680})
    chain = {"name": "careful", "kind": "stages", "stages": ["shadow", "canary", "ab"]}
    _, trials = rehearse([shadow, CANARY, test, chain], converts(0.2, 0.24), replications=count, ticks=80, requests=100)
    expected = power(1680, "proportions", baseline=0.2, effect=0.04)
    careful = trials["careful"]
    assert (careful.verdicts.decided_tick > 35).all()
    assert abs(careful.share(Verdict.SHIP) - expected) < 4 * standard_error(expected, count) + 0.01
