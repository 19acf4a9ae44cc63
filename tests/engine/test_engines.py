"""What both engines must do exactly: conservation, routing, settling, exposure and the ledger."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.needs import FILLED_BY_CALLS
from sim.engine.reference.engine import SimpyEngine
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import COUNTS, Above, Agreement, Column, Count, Moment, mean_of
from sim.world.world import Truth
from tests.columns import counts, mirrored
from tests.policy.scripted import TOLD
from tests.worlds import behaves, make_scenario, make_world

engines = pytest.mark.parametrize("make", [AggregateEngine, SimpyEngine])
CALLS = counts("requests", "responses", "errors")
REQUESTS, RESPONSES, ERRORS = CALLS
COPIES, ANSWERED, FAILED = mirrored(*CALLS)
KNOWN, CONVERTED = mean_of("conversion")
NEEDS = (*CALLS, KNOWN, CONVERTED, Above(0.5), Above(2.0), COPIES, ANSWERED, FAILED)


def truth(rows: int = 6, **changes: Any) -> Truth:
    rates = (0.3, 0.4, 0.2)
    latency = {"gamma": {"mean": "1s", "sd": "500ms"}}
    behaviours = [behaves(outcomes={"conversion": {"bernoulli": rate}}, latency=latency, error_rate=0.1) for rate in rates]
    metrics = [
        {"name": "conversion", "role": "primary"},
        {"name": "latency", "role": "guardrail", "quantile": "50%", "max": "1s"},
    ]
    said = {"tick": "10s", "horizon": "1m", "traffic": {"rate": "3/s"}, "metrics": metrics, **changes}
    return make_world(make_scenario(arms=("champion", "a", "b"), **said), behaviours).realise(np.arange(rows))


def routing(rows: Any, live: Any, mirror: Any = (0.0, 0.0, 0.0), cohort: int = 0) -> Routing:
    rows = np.asarray(rows)
    return Routing(
        rows, np.tile(np.asarray(live, float), (rows.size, 1)), np.tile(np.asarray(mirror, float), (rows.size, 1)),
        np.full(rows.size, cohort),
    )  # fmt: skip


@engines
def test_every_request_goes_to_one_arm_and_every_call_ends_once(make: Any) -> None:
    some = truth(rows=40)
    engine = make(some, NEEDS, True)
    counts = np.stack([engine.step(routing(range(40), (0.5, 0.3, 0.2), (0, 0.5, 1))).counts for _ in range(6)], axis=1)
    at = {column: counts[..., place] for place, column in enumerate(NEEDS)}
    assert np.array_equal(at[REQUESTS].sum(axis=2), some.arrivals)
    # At most what came has ended, and at the end of a tick at most the last tick's calls are in flight.
    for requests, responses in ((REQUESTS, RESPONSES), (COPIES, ANSWERED)):
        came, ended = at[requests].cumsum(axis=1), at[responses].cumsum(axis=1)
        assert (ended <= came).all()
        assert (came - ended <= at[requests]).all()
        assert (ended < came).any()
    # A request that fails has an outcome too, which is no conversion.
    assert np.array_equal(at[RESPONSES], at[KNOWN])
    assert at[ERRORS].any()
    assert (at[CONVERTED] <= at[KNOWN] - at[ERRORS]).all()
    assert (at[Above(2.0)] <= at[Above(0.5)]).all()
    assert (at[Above(0.5)] <= at[RESPONSES]).all()
    assert (at[COPIES][..., 2] == at[REQUESTS][..., :2].sum(axis=2)).all()
    assert not at[COPIES][..., 0].any()
    assert np.array_equal(engine.ledger.served, at[REQUESTS].sum(axis=1))
    assert np.array_equal(engine.ledger.mirrored, at[COPIES].sum(axis=1))


@engines
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda weights: sum(weights) > 1e-9))
@settings(max_examples=25)
def test_an_arm_without_weight_serves_nobody(make: Any, weights: list[float]) -> None:
    live = np.array(weights) / sum(weights)
    engine = make(truth(rows=3), (REQUESTS,), False)
    counts = engine.step(routing(range(3), live)).counts[..., 0]
    assert not counts[:, live == 0].any()
    assert np.array_equal(counts.sum(axis=1), engine.truth.arrivals[:, 0])


@engines
def test_settling_serves_what_simulating_on_would(make: Any) -> None:
    some = truth(rows=4)
    settled, simulated = make(some, (), False), make(some, (), False)
    for tick in range(6):
        if tick < 2:
            settled.step(routing(range(4), (0.5, 0.3, 0.2)))
        simulated.step(routing(range(4), (0.5, 0.3, 0.2) if tick < 2 else (0.0, 1.0, 0.0)))
    settled.settle(np.full(4, 1), np.full(4, 2))
    simulated.settle(np.zeros(4, np.int64), np.full(4, -1))
    assert np.array_equal(settled.ledger.served, simulated.ledger.served)
    assert np.array_equal(settled.ledger.harmed, simulated.ledger.harmed)
    assert settled.ledger.regret == pytest.approx(simulated.ledger.regret)
    assert settled.ledger.cost_s == pytest.approx(simulated.ledger.cost_s)


@engines
@pytest.mark.parametrize("tick", [0, 2, 6, -1])
def test_errors_and_violations_are_those_of_all_requests_served_whenever_the_verdict_falls(make: Any, tick: int) -> None:
    some = truth(rows=400)
    engine = make(some, (), False)
    for _ in range(6 if tick < 0 else tick):
        engine.step(routing(range(400), (0.5, 0.3, 0.2)))
    engine.settle(np.full(400, 2), np.full(400, tick))
    ledger = engine.ledger
    served = ledger.served.sum(axis=1)
    assert np.array_equal(served, some.arrivals.sum(axis=1))
    violated = 0.1 + 0.9 * some.latency_above(1.0)[0, 0]
    for seen, share in ((ledger.errors, 0.1), (ledger.slo_violations, violated)):
        error = np.sqrt(share * (1 - share) * served.sum())
        assert abs(seen.sum() - share * served.sum()) < 4 * error
    assert (ledger.slo_violations >= ledger.errors).all()


@engines
def test_a_verdict_on_nothing_left_and_no_verdict_at_all(make: Any) -> None:
    engine = make(truth(rows=2), (), False)
    for _ in range(6):
        engine.step(routing([0, 1], (0.9, 0.1, 0.0)))
    served = engine.ledger.served.copy()
    engine.settle(np.array([1, 0]), np.array([6, -1]))
    assert np.array_equal(engine.ledger.served, served)
    assert engine.ledger.peak_exposure == pytest.approx([0.1, 0.1])


@engines
def test_exposure_is_the_most_that_challengers_had(make: Any) -> None:
    engine = make(truth(rows=3), (), False)
    engine.step(routing([0, 1, 2], (0.9, 0.1, 0.0)))
    engine.step(routing([0, 1, 2], (0.6, 0.2, 0.2)))
    engine.step(routing([0], (0.95, 0.05, 0.0)))
    engine.settle(np.array([0, 1, 0]), np.array([3, 2, 2]))
    assert engine.ledger.peak_exposure == pytest.approx([0.4, 0.4, 0.4])


@engines
def test_shipping_without_a_tick_exposes_everyone(make: Any) -> None:
    engine = make(truth(rows=3), (), False)
    engine.settle(np.array([1, 0, 0]), np.array([0, 0, -1]))
    assert engine.ledger.peak_exposure.tolist() == [1.0, 0.0, 0.0]


@engines
def test_an_earlier_stages_calls_are_not_shown_but_their_errors_count(make: Any) -> None:
    behaviours = [behaves(latency={"constant": "9999ms"}, error_rate="100%")] * 2
    world = make_world(make_scenario(tick="10s", horizon="30s", traffic={"rate": "20/s"}), behaviours)
    some = world.realise(np.arange(2))
    engine = make(some, CALLS, False)
    half, none = np.full((2, 2), 0.5), np.zeros((2, 2))
    first = engine.step(Routing(np.arange(2), half, none, np.zeros(2, np.int64)))
    second = engine.step(Routing(np.arange(2), half, none, np.array([1, 0])))
    assert not first.counts[..., 1:].any()
    assert not second.counts[0, :, 1:].any()
    assert np.array_equal(second.counts[1, :, 1], first.counts[1, :, 0])
    assert np.array_equal(second.counts[1, :, 2], first.counts[1, :, 0])
    engine.settle(np.zeros(2, np.int64), np.array([-1, 2]))
    assert engine.ledger.errors.tolist() == [some.arrivals[0, :2].sum(), some.arrivals[1].sum()]


@engines
def test_the_ledger_prices_a_request_at_what_the_best_arm_would_have_earned(make: Any) -> None:
    some = truth(rows=2)
    engine = make(some, (), True)
    engine.step(routing([0, 1], (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)))
    n = some.arrivals[:, 0]
    assert some.worths.overall.best.tolist() == [1, 1]
    assert engine.ledger.regret == pytest.approx(n * (0.4 - 0.2) * 0.9)
    assert engine.ledger.harmed.tolist() == n.tolist()
    assert engine.ledger.cost_s == pytest.approx(2.0 * n)
    assert engine.ledger.mirrored[:, 1].tolist() == n.tolist()


@engines
def test_no_traffic_is_no_trouble(make: Any) -> None:
    some = truth(rows=2, traffic={"rate": "1/d"})
    engine = make(some, NEEDS, True)
    assert not engine.step(routing([0, 1], (0.5, 0.5, 0.0), (0.0, 1.0, 1.0))).counts.any()
    empty = engine.step(routing(np.arange(0), (0.5, 0.5, 0.0)))
    assert empty.counts.shape == (0, 3, len(NEEDS))


@pytest.mark.parametrize("make", [AggregateEngine, CompiledEngine, SimpyEngine])
@pytest.mark.parametrize(
    ("column", "why"),
    [
        (TOLD, "telemetry has no column 'told'"),
        (TOLD.as_mirrored(), "telemetry has no column 'mirror.told'"),
        (Moment("clicks", "sum"), "telemetry has no column 'clicks.sum': there is no metric 'clicks'"),
        (Agreement("sum", mirrored=True), "telemetry has no column 'mirror.agreement.sum': not every model says"),
    ],
    ids=str,
)
def test_a_column_that_an_engine_cannot_fill_is_refused_by_name(make: Any, column: Column, why: str) -> None:
    with pytest.raises(InputError, match=f"^engine [a-z]+: {why}"):
        make(truth(rows=1), (REQUESTS, column), True)


@pytest.mark.parametrize("make", [CompiledEngine, SimpyEngine])
def test_an_engine_of_calls_fills_every_count_that_it_says_it_fills(make: Any) -> None:
    """Where servers are too few and answers too late, all happens that is counted; only of a copy, nobody retries."""
    pool = {"arms": ["champion", "a", "b"], "replicas": 2, "concurrency": 2, "queue": 4, "timeout": "1500ms"}
    some = truth(rows=2, traffic={"rate": "6/s"}, pools={"main": pool}, retries={"backoff": "1s"})
    needs = (*COUNTS, *mirrored(*COUNTS))
    engine = make(some, needs, True)
    total = sum(engine.step(routing([0, 1], (0.4, 0.3, 0.3), (0.0, 0.5, 0.5))).counts.sum(axis=(0, 1)) for _ in range(6))
    assert [column for column, seen in zip(needs, total.tolist(), strict=True) if not seen] == [Count("retries", mirrored=True)]
    assert {column for column in FILLED_BY_CALLS if isinstance(column, Column)} == set(COUNTS)
