"""The ledger: what a verdict costs to the horizon is what playing on would, where the world changes and where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.engine.ledger import Ledger
from sim.world.world import Truth
from tests.worlds import behaves, make_scenario, make_world

NOW = [
    {"kind": "drift", "arm": "challenger", "metric": "conversion", "at": "10m", "duration": "1h", "to": "-40%"},
    {"kind": "errors", "arm": "challenger", "at": "20m", "duration": "20m", "rate": "30%"},
    {"kind": "slowdown", "arm": "champion", "at": "30m", "duration": "30m", "factor": 2},
]
METRICS = [
    {"name": "conversion", "role": "primary"},
    {"name": "latency", "role": "guardrail", "quantile": "50%", "max": "150ms"},
]
worlds = pytest.mark.parametrize("changes", [{}, {"timeline": NOW}], ids=["still", "changing"])
TICKS = 12


def truth(rows: int = 5, **changes: Any) -> Truth:
    said = [
        behaves(outcomes={"conversion": {"bernoulli": rate}}, error_rate="10%", latency={"exponential": "100ms"})
        for rate in (0.3, 0.4)
    ]
    return make_world(make_scenario(horizon="2h", metrics=METRICS, **changes), said).realise(np.arange(rows))


def serve(ledger: Ledger, tick: int, arm: int, rows: Any = None) -> None:
    """All traffic of a tick to one arm."""
    rows = np.arange(ledger.truth.rows) if rows is None else np.asarray(rows)
    requests = np.zeros((rows.size, 2), np.int64)
    requests[:, arm] = ledger.truth.arrivals[rows, tick]
    ledger.serve(rows, tick, requests, requests, np.zeros_like(requests))


@worlds
@pytest.mark.parametrize("arm", [0, 1])
@pytest.mark.parametrize("tick", [0, 3, 12])
def test_settling_comes_to_what_serving_on_would(changes: dict[str, Any], arm: int, tick: int) -> None:
    settled, served = Ledger.open(truth(**changes)), Ledger.open(truth(**changes))
    samples = np.array([0, 2, 4, 9, 12])
    for ledger in (settled, served):
        ledger.watch(samples)
    for now in range(TICKS):
        serve(served, now, arm if now >= tick else 1)
        if now < tick:
            serve(settled, now, 1)
    settled.settle(np.full(5, arm), np.full(5, tick))
    served.settle(np.zeros(5, np.int64), np.full(5, -1))
    assert np.array_equal(settled.served, served.served)
    assert np.array_equal(settled.calls, served.calls)
    for name in ("regret", "regret_fixed", "harmed", "harm"):
        assert getattr(settled, name) == pytest.approx(getattr(served, name))
    assert settled.cost_s == pytest.approx(served.cost_s)
    assert settled.regret_path[:, :-1] == pytest.approx(served.regret_path[:, :-1])


def test_regret_is_the_gap_in_force_when_a_request_came() -> None:
    some = truth(timeline=NOW)
    ledger = Ledger.open(some)
    # The challenger starts at 0.4, above the champion's 0.3, and ends at 0.24.
    assert [int(some.worths.at(tick).best[0]) for tick in (0, 3, 11)] == [1, 0, 0]
    serve(ledger, 0, 1)
    assert ledger.regret.tolist() == [0.0] * 5
    other = Ledger.open(some)
    serve(other, 0, 0)
    assert other.regret == pytest.approx(some.arrivals[:, 0] * 0.1 * 0.9)
    serve(ledger, 3, 1)
    drifted = 0.4 * (1 - 0.4 * 2.5 / 6)
    assert ledger.regret == pytest.approx(some.arrivals[:, 3] * (0.3 * 0.9 - drifted * 0.9 * 0.7))
    serve(ledger, 11, 1)
    assert ledger.regret == pytest.approx(
        some.arrivals[:, 3] * (0.3 * 0.9 - drifted * 0.9 * 0.7) + some.arrivals[:, 11] * (0.3 - 0.24) * 0.9
    )


def test_cost_is_the_service_time_in_force_of_every_call() -> None:
    some = truth(timeline=NOW)
    ledger = Ledger.open(some)
    calls = np.full((5, 2), 7)
    ledger.serve(np.arange(5), 0, calls, 2 * calls, calls)
    ledger.serve(np.arange(5), 3, calls, calls, 0 * calls)
    assert ledger.cost_s == pytest.approx(np.full(5, 7 * (3 * 0.2 + 0.2 + 0.1)))


def test_a_lost_request_earns_nothing() -> None:
    some = truth()
    ledger = Ledger.open(some)
    ledger.serve(np.array([0]), 0, np.array([[3, 2]]), np.array([[3, 2]]), np.zeros((1, 2), np.int64))
    before = ledger.regret[0]
    assert before == pytest.approx(3 * 0.1 * 0.9)
    ledger.lose(np.array([0]), 0, np.array([[1, 2]]))
    assert ledger.regret[0] - before == pytest.approx(0.3 * 0.9 + 2 * 0.4 * 0.9)
    assert ledger.regret_fixed == pytest.approx(ledger.regret)


def test_a_lost_request_costs_what_it_would_have_earned_when_it_was_lost() -> None:
    some = truth(timeline=NOW)
    ledger = Ledger.open(some)
    ledger.lose(np.array([1, 2]), 3, np.array([[0, 2], [1, 0]]))
    ledger.lose(np.array([1]), 11, np.array([[0, 4]]))
    drifted = 0.4 * (1 - 0.4 * 2.5 / 6)
    assert ledger.lost.tolist() == [[0, 0], [0, 6], [1, 0], [0, 0], [0, 0]]
    assert ledger.regret == pytest.approx([0, 2 * drifted * 0.9 * 0.7 + 4 * 0.24 * 0.9, 0.3 * 0.9, 0, 0])


def test_harm_is_counted_and_weighed_by_what_an_arm_is_worth_in_the_tick() -> None:
    some = truth(timeline=NOW)
    ledger = Ledger.open(some)
    n = some.arrivals
    for tick in (0, 3, 11):
        serve(ledger, tick, 1)
    # In the first tick the challenger earns more than the champion, though its latency breaks no limit; later it earns less.
    drifted = 0.4 * (1 - 0.4 * 2.5 / 6)
    assert np.array_equal(ledger.harmed, n[:, 3] + n[:, 11])
    assert ledger.harm == pytest.approx(n[:, 3] * (0.3 * 0.9 - drifted * 0.9 * 0.7) + n[:, 11] * 0.06 * 0.9)
    # Over the horizon the champion is best, and in the first tick the challenger is better by 0.1 of those that do not fail.
    assert some.worths.overall.best.tolist() == [0] * 5
    assert ledger.regret_fixed == pytest.approx(ledger.harm - n[:, 0] * 0.1 * 0.9)


def test_a_hair_worse_is_harm_by_count_and_not_by_size() -> None:
    said = [behaves(outcomes={"conversion": {"bernoulli": rate}}) for rate in (0.3, 0.3 - 1e-9)]
    ledger = Ledger.open(make_world(make_scenario(horizon="2h"), said).realise(np.arange(2)))
    serve(ledger, 0, 1)
    assert ledger.harmed.sum() > 2000
    assert (ledger.harm < 1e-5).all()


def test_an_arm_that_breaks_a_limit_harms_while_it_does() -> None:
    spike = {"kind": "slowdown", "arm": "challenger", "at": "10m", "duration": "20m", "factor": 3}
    ledger = Ledger.open(truth(timeline=[spike]))
    for tick in range(4):
        serve(ledger, tick, 1)
    assert np.array_equal(ledger.harmed, ledger.truth.arrivals[:, 1:3].sum(axis=1))
    assert not ledger.harm.any()
    # While the challenger breaks the limit the champion is the best that may serve.
    assert not ledger.regret.any()


def test_the_errors_of_a_tail_that_changes_are_those_of_its_ticks() -> None:
    """Sums of binomials at the rates in force: mean within 4 standard errors, variance that of a Poisson-binomial."""
    some = truth(rows=4000, timeline=NOW)
    ledger = Ledger.open(some)
    ledger.settle(np.ones(4000, np.int64), np.full(4000, 1))
    rate = np.array([some.conditions(tick).error_rate[0, 1] for tick in range(1, TICKS)])
    arrivals = some.arrivals[:, 1:]
    assert rate.max() == pytest.approx(0.37)
    residual = ledger.errors - (arrivals * rate).sum(axis=1)
    variance = (arrivals * rate * (1 - rate)).sum(axis=1)
    assert abs(residual.sum()) < 4 * np.sqrt(variance.sum())
    assert np.mean(residual**2 / variance) == pytest.approx(1.0, abs=4 * np.sqrt(2 / 4000))
    slow = np.array([some.latency_above(0.15, tick)[0, 1] for tick in range(1, TICKS)])
    share = rate + (1 - rate) * slow
    residual = ledger.slo_violations - (arrivals * share).sum(axis=1)
    assert abs(residual.sum()) < 4 * np.sqrt((arrivals * share * (1 - share)).sum())


def test_a_misrouting_router_sends_some_of_what_follows_a_verdict_to_the_champion() -> None:
    some = truth(rows=500, router={"misrouted": {"challenger": "20%"}})
    ledger = Ledger.open(some)
    ledger.watch(np.array([0, 6, 12]))
    ledger.settle(np.ones(500, np.int64), np.zeros(500, np.int64))
    total = some.arrivals.sum()
    assert np.array_equal(ledger.served.sum(axis=1), some.arrivals.sum(axis=1))
    assert abs(ledger.served[:, 0].sum() - 0.2 * total) < 4 * np.sqrt(0.2 * 0.8 * total)
    assert ledger.regret == pytest.approx(ledger.served[:, 0] * 0.1 * 0.9)
    assert ledger.regret_path[:, -1] == pytest.approx(ledger.regret)
    kept = Ledger.open(some)
    kept.settle(np.zeros(500, np.int64), np.zeros(500, np.int64))
    assert not kept.served[:, 1].any()


@worlds
def test_only_those_that_were_decided_are_settled(changes: dict[str, Any]) -> None:
    ledger = Ledger.open(truth(**changes))
    serve(ledger, 0, 1, rows=[0, 2])
    before = ledger.served.copy()
    ledger.settle(np.array([1, 1, 0, 0, 1]), np.array([-1, 0, 1, -1, 12]))
    assert np.array_equal(ledger.served[[0, 3, 4]], before[[0, 3, 4]])
    assert ledger.served[1].tolist() == [0, ledger.truth.arrivals[1].sum()]
    assert ledger.served[2].tolist() == [ledger.truth.arrivals[2, 1:].sum(), before[2, 1]]
    assert ledger.peak_exposure.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_a_tail_belongs_to_its_replication_and_not_to_its_block() -> None:
    whole, part = Ledger.open(truth(timeline=NOW)), Ledger.open(truth(timeline=NOW))
    whole.settle(np.ones(5, np.int64), np.array([0, 2, 4, 6, 8]))
    part.settle(np.ones(5, np.int64), np.array([-1, -1, 4, -1, 8]))
    for name in ("errors", "slo_violations", "regret", "regret_fixed", "harmed", "harm", "cost_s"):
        assert np.array_equal(getattr(whole, name)[[2, 4]], getattr(part, name)[[2, 4]])
