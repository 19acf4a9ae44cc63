"""The aggregate engine agrees with the SimPy engine in distribution: telemetry, ledger and verdicts.

Traffic is low and ticks are short, so that several calls straddle every edge, and every arm is of another family.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from sim.engine.aggregate import AggregateEngine
from sim.engine.base import Ledger
from sim.engine.simpy_engine import SimpyEngine
from sim.policy.base import Routing, Verdict
from sim.policy.forms import build
from sim.policy.machine import Verdicts
from sim.world.world import World
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

Floats = NDArray[np.float64]
Maker = type[AggregateEngine] | type[SimpyEngine]

ARMS = ("champion", "a", "b")
LIVE = (
    "requests", "responses", "errors", "latency.above.700ms", "latency.above.2s", "conversion.count", "conversion.sum",
    "score.sum", "score.square", "revenue.sum", "revenue.square",
)  # fmt: skip
MIRRORED = (
    "mirror.requests", "mirror.responses", "mirror.errors", "mirror.latency.above.700ms", "mirror.latency.above.2s",
    "mirror.agreement.count", "mirror.agreement.sum",
)  # fmt: skip


def three_families(**changes: Any) -> World:
    """Three arms of three latency families and three families of outcome, with an objective of 2 s."""
    metrics = [
        {"name": "conversion", "role": "primary"}, {"name": "score"}, {"name": "revenue"},
        {"name": "error_rate", "role": "guardrail"}, {"name": "latency", "role": "guardrail", "max": "2s"},
    ]  # fmt: skip
    latencies = (
        {"gamma": {"mean": "1s", "sd": "500ms"}},
        {"lognormal": {"median": "800ms", "p99": "2s"}},
        {"quantiles": {"0%": "100ms", "50%": "700ms", "90%": "2s", "100%": "6s"}},
    )
    behaviours = [
        behaves(
            outcomes={
                "conversion": {"bernoulli": 0.3 + 0.1 * arm},
                "score": {"normal": {"mean": 5.0 + arm, "sd": 2.0}},
                "revenue": {"zero_inflated": {"rate": 0.4, "amount": {"gamma": {"mean": 30.0 - 5 * arm, "sd": 10.0}}}},
            },
            latency=latencies[arm],
            error_rate=0.1 + 0.05 * arm,
            agreement=0.8 - 0.2 * arm,
        )
        for arm in range(3)
    ]
    said: dict[str, Any] = {"tick": "10s", "horizon": "1m", "traffic": {"rate": "3/s"}, "metrics": metrics}
    return make_world(make_scenario(arms=ARMS, **{**said, **changes}), behaviours)


def observed(make: Maker, world: World, replications: NDArray[np.int64], needs: tuple[str, ...]) -> tuple[Floats, Floats]:
    """(R, T, D) telemetry under a fixed routing, a stage ending after three ticks, and (R, L) the ledger.

    Half of the replications are decided after four ticks.
    """
    truth = world.realise(replications)
    engine = make(truth, needs, any(need.startswith("mirror") for need in needs))
    rows = np.arange(truth.rows)
    arms = len(world.arms)
    live, mirror = np.array([0.5, 0.3, 0.2])[:arms], np.array([0.0, 0.6, 1.0])[:arms]
    shown = np.zeros((truth.rows, world.ticks, arms * len(needs)))
    for tick in range(world.ticks):
        some = rows if tick < 4 else rows[::2]
        cohort = np.full(some.size, int(tick >= 3))
        routing = Routing(some, np.tile(live / live.sum(), (some.size, 1)), np.tile(mirror, (some.size, 1)), cohort)
        shown[some, tick] = engine.step(routing).counts.reshape(some.size, -1)
    decided = np.where(rows % 2, 4, -1)
    engine.settle(np.where(rows % 2, 1, 0), decided)
    ledger = engine.ledger
    account = [ledger.served, ledger.mirrored, ledger.errors[:, None], ledger.slo_violations[:, None], ledger.regret[:, None]]
    return shown, np.concatenate(account, axis=1).astype(float)


def apart(one: Floats, other: Floats) -> Floats:
    """Standard errors between the means of two samples, column by column; 0 where both are the same constant."""
    return _in_errors(
        one.mean(axis=0) - other.mean(axis=0), one.var(axis=0) / len(one) + other.var(axis=0) / len(other), other.std(axis=0)
    )


def spread_apart(one: Floats, other: Floats) -> Floats:
    """Standard errors between the variances and covariances of two samples, for every pair of columns."""
    (first, first_error), (second, second_error) = _covariance(one), _covariance(other)
    sd = other.std(axis=0)
    upper = np.triu_indices(len(sd))
    return _in_errors(first - second, first_error + second_error, np.outer(sd, sd))[upper]


def _covariance(sample: Floats) -> tuple[Floats, Floats]:
    """(D, D) covariances, and the variances of their estimates: those of the mean of a product of deviations."""
    centred = sample - sample.mean(axis=0)
    covariance = centred.T @ centred / len(sample)
    return covariance, ((centred**2).T @ centred**2 / len(sample) - covariance**2) / len(sample)


def _in_errors(difference: Floats, variance: Floats, scale: Floats) -> Floats:
    constant = variance <= 1e-18 * np.maximum(scale, 1.0) ** 2
    assert (np.abs(difference[constant]) < 1e-6 * np.maximum(scale[constant], 1.0)).all()
    return np.where(constant, 0.0, difference / np.sqrt(np.where(constant, 1.0, variance)))


SMALL, LARGE = np.arange(1000), np.arange(100_000, 108_000)


@pytest.fixture(scope="module")
def both() -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    world, needs = three_families(), LIVE + MIRRORED
    return observed(SimpyEngine, world, SMALL, needs), observed(AggregateEngine, world, LARGE, needs)


def test_means_of_every_column_and_tick_agree(both: Any) -> None:
    (simpy, _), (aggregate, _) = both
    z = apart(simpy[:, :4].reshape(len(SMALL), -1), aggregate[:, :4].reshape(len(LARGE), -1))
    assert z.size == 4 * 3 * 18
    # 216 comparisons: the largest of as many normals exceeds 4.3 once in 270 runs.
    assert np.abs(z).max() < 4.3
    assert 0.7 < z[z != 0].std() < 1.3


def test_means_agree_where_half_of_the_replications_are_decided(both: Any) -> None:
    (simpy, _), (aggregate, _) = both
    z = apart(simpy[::2, 4:].reshape(len(SMALL) // 2, -1), aggregate[::2, 4:].reshape(len(LARGE) // 2, -1))
    assert np.abs(z).max() < 4.3
    assert not simpy[1::2, 4:].any()
    assert not aggregate[1::2, 4:].any()


@pytest.mark.parametrize("ticks", [(0, 1), (2, 3)], ids=["within a stage", "where a stage ends"])
def test_variances_and_covariances_within_and_between_ticks_agree(both: Any, ticks: tuple[int, int]) -> None:
    (simpy, _), (aggregate, _) = both
    one, other = (shown[:, list(ticks)].reshape(len(shown), -1) for shown in (simpy, aggregate))
    z = spread_apart(one, other)
    # 5,886 pairs of columns; products of counts have heavier tails than a normal.
    assert np.abs(z).max() < 5.5
    assert z[z != 0].std() < 1.15


def test_ledgers_agree(both: Any) -> None:
    (_, simpy), (_, aggregate) = both
    for half in (slice(None, None, 2), slice(1, None, 2)):
        assert np.abs(apart(simpy[half], aggregate[half])).max() < 4
        assert np.abs(spread_apart(simpy[half], aggregate[half])).max() < 5


@pytest.mark.parametrize("place", [0, 1, 2, 4, 6, 11 + 3, 11 + 6], ids=lambda place: (LIVE + MIRRORED)[place])
def test_counts_have_the_same_distribution(both: Any, place: int) -> None:
    """Chi-square test of homogeneity of a tick's counts, for every arm."""
    (simpy, _), (aggregate, _) = both
    for arm in range(3):
        one, other = (shown[:, 1, arm * 18 + place].astype(int) for shown in (simpy, aggregate))
        cuts = np.unique(np.quantile(other, np.linspace(0, 1, 13)[1:-1]))
        table = np.array([np.bincount(np.searchsorted(cuts, sample), minlength=cuts.size + 1) for sample in (one, other)])
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] > 1:
            assert scipy.stats.chi2_contingency(table).pvalue > 2e-4


def test_amounts_have_the_same_distribution(both: Any) -> None:
    (simpy, _), (aggregate, _) = both
    for name in ("score.sum", "revenue.sum", "revenue.square"):
        column = LIVE.index(name)
        for arm in range(3):
            one, other = (shown[:, 1, arm * 18 + column] for shown in (simpy, aggregate))
            assert scipy.stats.ks_2samp(one, other).pvalue > 2e-4


def test_replayed_metrics_agree_together() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((40, 2)) < (0.6, 0.7)
    worth = right * np.round(rng.gamma(2.0, 10.0, 40))[:, None]
    metrics = [
        {"name": "right", "role": "primary", "reward": "correct"},
        {"name": "worth", "reward": {"payoff": "price"}, "grid": 1.0},
    ]
    scenario = make_scenario(metrics=metrics, data={"sklearn": "digits"}, tick="10s", horizon="1m", traffic={"rate": "3/s"})
    measured = [behaves(outcomes={}, latency={"exponential": "200ms"}, error_rate=0.05)] * 2
    world = make_replayed_world(scenario, {"right": right, "worth": worth}, right == right[:, :1], measured)
    needs = ("right.count", "right.sum", "worth.sum", "worth.square", "mirror.agreement.count", "mirror.agreement.sum")
    one, other = observed(SimpyEngine, world, SMALL, needs)[0], observed(AggregateEngine, world, LARGE[:6000], needs)[0]
    lane = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    simpy, aggregate = one[:, 1, lane], other[:, 1, lane]
    assert np.abs(apart(simpy, aggregate)).max() < 4
    # Mirrored agreement and live rewards share a row of the data in SimPy only; no stage can see both.
    for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
        assert np.abs(spread_apart(simpy[:, part], aggregate[:, part])).max() < 4.5


POLICIES: dict[str, dict[str, Any]] = {
    "ab": {"kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 150, "alpha": "20%"}},
    "guarded": {
        "kind": "ab",
        "evidence": {"kind": "fixed_horizon", "sample": 200, "alpha": "20%"},
        "checks": [{"metric": "latency", "quantile": "90%", "max": "2s", "min_requests": 40, "over": "stage"}],
    },
    "canary": {
        "kind": "canary",
        "steps": [{"weight": "10%", "bake": "40s"}, {"weight": "40%", "bake": "1m"}],
        "checks": [{"metric": "error_rate", "max": "20%", "trip": 3, "min_requests": 3}],
    },
    "shadow": {
        "kind": "shadow",
        "duration": "1m",
        "checks": [
            {"metric": "agreement", "min": "55%", "trip": 2, "min_requests": 5},
            {"metric": "latency", "quantile": "90%", "max": "2s", "trip": 3},
        ],
    },
    "bandit": {"kind": "bandit", "allocation": {"kind": "thompson"}, "evidence": {"kind": "posterior", "min_outcomes": 30}},
    "chain": {"kind": "stages", "stages": ["shadow", "ab"]},
}


def play(make: Maker, world: World, policies: Any, name: str, replications: NDArray[np.int64]) -> tuple[Verdicts, Ledger]:
    truth = world.realise(replications)
    policy = build(policies[name], policies, world.arms)
    setting = world.setting(truth.rows)
    engine = make(truth, policy.needs(setting), policy.mirrors())
    routing = policy.start(setting)
    while routing.rows.size and engine.tick < world.ticks:
        routing = policy.step(engine.step(routing))
    engine.settle(policy.verdicts.arm, policy.verdicts.decided_tick)
    return policy.verdicts, engine.ledger


@pytest.mark.parametrize("name", POLICIES)
def test_verdicts_agree(name: str) -> None:
    said = [{"name": each, **policy} for each, policy in POLICIES.items()]
    scenario_policies = {"policies": said, "horizon": "4m"}
    world = three_families(**scenario_policies)
    policies = {policy.name: policy for policy in make_scenario(arms=ARMS, metrics=_metrics(), **scenario_policies).policies}
    one, few = play(SimpyEngine, world, policies, name, np.arange(250))
    other, many = play(AggregateEngine, world, policies, name, np.arange(10_000, 12_500))
    assert np.unique(other.verdict).size > 1
    by_verdict, by_arm = ([verdicts.verdict, verdicts.arm] for verdicts in (one, other))
    for mine, theirs, values in zip(by_verdict, by_arm, (Verdict, range(3)), strict=True):
        for value in values:
            share = (theirs == value).mean()
            error = np.sqrt(max(share * (1 - share), 1 / 2500) * (1 / 250 + 1 / 2500))
            assert abs((mine == value).mean() - share) < 4 * error
    figures = [
        np.stack([verdicts.decided_tick, ledger.regret, ledger.errors, ledger.slo_violations, ledger.peak_exposure], axis=1)
        for verdicts, ledger in ((one, few), (other, many))
    ]
    assert np.abs(apart(*figures)).max() < 4


def _metrics() -> list[dict[str, str]]:
    return [
        {"name": "conversion", "role": "primary"}, {"name": "score"}, {"name": "revenue"},
        {"name": "error_rate", "role": "guardrail"}, {"name": "latency", "role": "guardrail", "max": "2s"},
    ]  # fmt: skip
