"""The aggregate engine agrees with the event engines in distribution: telemetry, ledger and verdicts.

The reference is the compiled engine, which plays the same events as SimPy; one comparison is with SimPy itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Verdict
from sim.policy.columns import Above, Moment, mean_of
from tests.columns import agreement, counts, mirrored, moments
from tests.engine.side_by_side import ARMS, Floats, apart, lanes, metrics, observed, play, spread_apart, three_families
from tests.thorough import plays
from tests.worlds import behaves, make_replayed_world, make_scenario

LIVE = (
    *counts("requests", "responses", "errors"), Above(0.7), Above(2.0), *mean_of("conversion"),
    *moments("score", "sum", "square"), *moments("revenue", "sum", "square"),
)  # fmt: skip
MIRRORED = mirrored(
    *counts("requests", "responses", "errors"), Above(0.7), Above(2.0), *agreement("count", "sum")
)  # fmt: skip

# A mean that is off by 0.15 of its standard deviation is found nine times in ten, and by 0.09 in `scripts/verify`.
ROWS = plays(3000, 8000)
FEW, MANY, OTHERS = np.arange(250), np.arange(ROWS), np.arange(100_000, 100_000 + ROWS)


@pytest.fixture(scope="module")
def both() -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    world, needs = three_families(), LIVE + MIRRORED
    return observed(CompiledEngine, world, MANY, needs), observed(AggregateEngine, world, OTHERS, needs)


def test_means_of_every_column_and_tick_agree(both: Any) -> None:
    (compiled, _), (aggregate, _) = both
    z = apart(compiled[:, :4].reshape(len(MANY), -1), aggregate[:, :4].reshape(len(OTHERS), -1))
    assert z.size == 4 * 3 * 18
    # 216 comparisons: the largest of as many normals exceeds 4.3 once in 270 runs.
    assert np.abs(z).max() < 4.3
    assert 0.7 < z[z != 0].std() < 1.3


def test_means_agree_with_simpy(both: Any) -> None:
    aggregate = both[1][0]
    simpy = observed(SimpyEngine, three_families(), FEW, LIVE + MIRRORED)[0]
    z = apart(simpy[:, :4].reshape(len(FEW), -1), aggregate[:, :4].reshape(len(OTHERS), -1))
    assert np.abs(z).max() < 4.5
    assert 0.7 < z[z != 0].std() < 1.3


def test_means_agree_where_half_of_the_replications_are_decided(both: Any) -> None:
    (compiled, _), (aggregate, _) = both
    z = apart(compiled[::2, 4:].reshape(len(MANY) // 2, -1), aggregate[::2, 4:].reshape(len(OTHERS) // 2, -1))
    assert np.abs(z).max() < 4.3
    assert not compiled[1::2, 4:].any()
    assert not aggregate[1::2, 4:].any()


@pytest.mark.parametrize("ticks", [(0, 1), (2, 3)], ids=["within a stage", "where a stage ends"])
def test_variances_and_covariances_within_and_between_ticks_agree(both: Any, ticks: tuple[int, int]) -> None:
    (compiled, _), (aggregate, _) = both
    one, other = (shown[:, list(ticks)].reshape(len(shown), -1) for shown in (compiled, aggregate))
    # A copy is in flight at an edge together with its live call in the event engines only.
    z = spread_apart(one, other, lanes(LIVE + MIRRORED, ticks=2))
    # 2,526 pairs of columns; products of counts have heavier tails than a normal.
    assert np.abs(z).max() < 5
    assert z[z != 0].std() < 1.2


def test_ledgers_agree(both: Any) -> None:
    (_, compiled), (_, aggregate) = both
    for half in (slice(None, None, 2), slice(1, None, 2)):
        assert np.abs(apart(compiled[half], aggregate[half])).max() < 4
        assert np.abs(spread_apart(compiled[half], aggregate[half])).max() < 5


@pytest.mark.parametrize("place", [0, 1, 2, 4, 6, 11 + 3, 11 + 6], ids=lambda place: (LIVE + MIRRORED)[place].name)
def test_counts_have_the_same_distribution(both: Any, place: int) -> None:
    """Chi-square test of homogeneity of a tick's counts, for every arm."""
    (compiled, _), (aggregate, _) = both
    for arm in range(3):
        one, other = (shown[:, 1, arm * 18 + place].astype(int) for shown in (compiled, aggregate))
        cuts = np.unique(np.quantile(other, np.linspace(0, 1, 13)[1:-1]))
        table = np.array([np.bincount(np.searchsorted(cuts, sample), minlength=cuts.size + 1) for sample in (one, other)])
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] > 1:
            assert scipy.stats.chi2_contingency(table).pvalue > 2e-4


def test_amounts_have_the_same_distribution(both: Any) -> None:
    (compiled, _), (aggregate, _) = both
    for amount in (Moment("score", "sum"), Moment("revenue", "sum"), Moment("revenue", "square")):
        column = LIVE.index(amount)
        for arm in range(3):
            one, other = (shown[:, 1, arm * 18 + column] for shown in (compiled, aggregate))
            assert scipy.stats.ks_2samp(one, other).pvalue > 2e-4


def test_replayed_metrics_agree_together() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((40, 2)) < (0.6, 0.7)
    worth = right * np.round(rng.gamma(2.0, 10.0, 40))[:, None]
    metrics = [
        {"name": "right", "role": "primary", "reward": "correct"},
        {"name": "worth", "reward": {"column": "price"}, "grid": 1.0},
    ]
    scenario = make_scenario(metrics=metrics, data={"sklearn": "digits"}, tick="10s", horizon="1m", traffic={"rate": "3/s"})
    measured = [behaves(outcomes={}, latency={"exponential": "200ms"}, error_rate=0.05)] * 2
    world = make_replayed_world(scenario, {"right": right, "worth": worth}, right == right[:, :1], measured)
    needs = (*mean_of("right"), *moments("worth", "sum", "square"), *mirrored(*agreement("count", "sum")))
    one, other = observed(CompiledEngine, world, MANY, needs)[0], observed(AggregateEngine, world, OTHERS, needs)[0]
    lane = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    compiled, aggregate = one[:, 1, lane], other[:, 1, lane]
    assert np.abs(apart(compiled, aggregate)).max() < 4
    # Mirrored agreement and live rewards share a row of the data in the event engines only; no stage can see both.
    for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
        assert np.abs(spread_apart(compiled[:, part], aggregate[:, part])).max() < 4.5


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


@pytest.mark.parametrize("name", POLICIES)
def test_verdicts_agree(name: str) -> None:
    said = [{"name": each, **policy} for each, policy in POLICIES.items()]
    scenario_policies = {"policies": said, "horizon": "4m"}
    world = three_families(**scenario_policies)
    policies = {policy.name: policy for policy in make_scenario(arms=ARMS, metrics=metrics(), **scenario_policies).policies}
    rows = plays(1000, 2500)
    one, ledger = play(CompiledEngine, world, policies, name, np.arange(rows))
    other, account = play(AggregateEngine, world, policies, name, np.arange(10_000, 10_000 + rows))
    assert np.unique(other.verdict).size > 1
    by_verdict, by_arm = ([verdicts.verdict, verdicts.arm] for verdicts in (one, other))
    for mine, theirs, values in zip(by_verdict, by_arm, (Verdict, range(3)), strict=True):
        for value in values:
            share = (theirs == value).mean()
            error = np.sqrt(max(share * (1 - share), 1 / rows) * (2 / rows))
            assert abs((mine == value).mean() - share) < 4 * error
    figures = [
        np.stack([verdicts.decided_tick, ledger.regret, ledger.errors, ledger.slo_violations, ledger.peak_exposure], axis=1)
        for verdicts, ledger in ((one, ledger), (other, account))
    ]
    assert np.abs(apart(*figures)).max() < 4
