"""The SimPy engine on requests written out by hand: the semantics, one rule at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.engine import simpy_engine
from sim.engine.simpy_engine import SimpyEngine, refusals
from sim.policy.base import Routing
from sim.world.potential import NS, Requests
from tests.worlds import make_scenario, make_world

NEEDS = ("requests", "responses", "errors", "latency.above.2s", "conversion.count", "conversion.sum", "conversion.square")
MIRROR_NEEDS = ("mirror.requests", "mirror.responses", "mirror.errors", "mirror.agreement.count", "mirror.agreement.sum")
TICK_NS = 10 * NS


def request(
    arrival_ns: int, service_ns: Any = NS, *, route: float = 0.0, mirror: Any = (1.0, 1.0), error: Any = False,
    value: Any = 0, agree: Any = True,
) -> dict[str, Any]:  # fmt: skip
    return dict(arrival_ns=arrival_ns, service_ns=service_ns, route=route, mirror=mirror, error=error, value=value, agree=agree)


def played(
    monkeypatch: pytest.MonkeyPatch, ticks: list[list[dict[str, Any]]], steps: list[dict[str, Any]]
) -> tuple[list[Any], Any]:
    """What monitoring shows of each tick, as {column: [champion, challenger]}, and the ledger, of one replication."""

    class ByHand:
        def __init__(self, *_: Any) -> None:
            pass

        def draw(self, tick: int) -> Requests:
            def of(key: str, dtype: type, arms: int = 2) -> Any:
                shape = (len(ticks[tick]), arms)
                table = np.array([np.broadcast_to(each[key], arms) for each in ticks[tick]], dtype).reshape(shape)
                return table if arms == 2 else table[:, 0]

            return Requests(
                of("arrival_ns", np.int64, 1), of("route", float, 1), of("mirror", float), of("service_ns", np.int64),
                of("error", bool), {"conversion": of("value", np.int64)}, of("agree", bool),
            )  # fmt: skip

    monkeypatch.setattr(simpy_engine, "Potential", ByHand)
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "latency", "role": "guardrail", "max": "2s"}]
    truth = make_world(make_scenario(tick="10s", horizon="1m", metrics=metrics)).realise(np.arange(1))
    engine = SimpyEngine(truth, NEEDS + MIRROR_NEEDS, True)
    seen = []
    for step in steps:
        live, mirror = np.array([step.get("live", [1.0, 0.0])]), np.array([step.get("mirror", [0.0, 0.0])])
        telemetry = engine.step(Routing(np.arange(1), live, mirror, np.array([step.get("cohort", 0)])))
        seen.append({name: telemetry.counts[0, :, place].tolist() for name, place in telemetry.columns.items()})
    return seen, engine


def test_what_ends_exactly_at_an_edge_belongs_to_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [[request(TICK_NS - 5, 4), request(TICK_NS - 5, 5), request(TICK_NS - 5, 6)], [request(TICK_NS, NS)]]
    seen, _ = played(monkeypatch, ticks, [{}, {}])
    assert [each["requests"] for each in seen] == [[3, 0], [1, 0]]
    assert [each["responses"] for each in seen] == [[1, 0], [3, 0]]


def test_a_call_keeps_its_arm_when_the_routing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [[request(TICK_NS - 1, NS, value=(0, 1))], [request(TICK_NS, NS, value=(1, 0))]]
    seen, engine = played(monkeypatch, ticks, [{"live": [0.0, 1.0]}, {"live": [1.0, 0.0]}])
    assert seen[1]["responses"] == [1, 1]
    assert seen[1]["conversion.sum"] == [1, 1]
    assert engine.ledger.served.tolist() == [[1, 1]]


def test_routing_compares_the_requests_uniform_with_cumulated_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [[request(at, route=route) for at, route in enumerate((0.0, 0.29999, 0.3, 0.31, np.nextafter(1, 0)))]]
    assert played(monkeypatch, ticks, [{"live": [0.3, 0.7]}])[0][0]["requests"] == [2, 3]
    assert played(monkeypatch, ticks, [{"live": [1.0, 0.0]}])[0][0]["requests"] == [5, 0]
    assert played(monkeypatch, ticks, [{"live": [0.0, 1.0]}])[0][0]["requests"] == [0, 5]


def test_a_copy_goes_to_arms_that_do_not_serve_below_their_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [
        [
            request(1, route=0.1, mirror=(0.0, 0.49)),  # champion serves; copied
            request(2, route=0.1, mirror=(0.0, 0.5)),  # champion serves; at the fraction, not copied
            request(3, route=0.9, mirror=(0.99, 0.0)),  # challenger serves; copied to the champion only
        ]
    ]
    seen, engine = played(monkeypatch, ticks, [{"live": [0.5, 0.5], "mirror": [1.0, 0.5]}])
    assert seen[0]["requests"] == [2, 1]
    assert seen[0]["mirror.requests"] == [1, 1]
    assert engine.ledger.served.tolist() == [[2, 1]]
    assert engine.ledger.mirrored.tolist() == [[1, 1]]


def test_latency_is_above_a_limit_only_beyond_it_and_errors_are_answers_without_feedback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = [[request(1, 2 * NS, value=3), request(2, 2 * NS + 1, value=5), request(3, 3 * NS, value=7, error=True)]]
    seen, engine = played(monkeypatch, ticks, [{}])
    assert seen[0]["responses"] == [3, 0]
    assert seen[0]["latency.above.2s"] == [2, 0]
    assert seen[0]["errors"] == [1, 0]
    assert seen[0]["conversion.count"] == [2, 0]
    assert seen[0]["conversion.sum"] == [8, 0]
    assert seen[0]["conversion.square"] == [34, 0]
    # An errored call violates the objective once, slow or not.
    assert engine.ledger.errors.tolist() == [1]
    assert engine.ledger.slo_violations.tolist() == [2]


def test_agreement_is_counted_when_a_copy_ends_without_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [
        [
            request(1, mirror=0.0, agree=True),
            request(2, mirror=0.0, agree=False),
            request(3, mirror=0.0, agree=True, error=(False, True)),
            request(4, mirror=0.0, agree=True, error=(True, False)),
            request(5, mirror=0.0, service_ns=(1, TICK_NS)),
        ],
        [],
    ]
    seen, engine = played(monkeypatch, ticks, [{"mirror": [0.0, 1.0]}, {}])
    assert [each["mirror.responses"] for each in seen] == [[0, 4], [0, 1]]
    assert [each["mirror.errors"] for each in seen] == [[0, 1], [0, 0]]
    assert [each["mirror.agreement.count"] for each in seen] == [[0, 3], [0, 1]]
    assert [each["mirror.agreement.sum"] for each in seen] == [[0, 2], [0, 1]]
    # A copy's error hurts no user.
    assert engine.ledger.errors.tolist() == [1]


def test_a_call_may_outlast_many_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [[request(5, 3 * TICK_NS, error=True)], [], [], []]
    seen, _ = played(monkeypatch, ticks, [{}] * 4)
    assert [each["responses"][0] for each in seen] == [0, 0, 0, 1]
    assert seen[3]["errors"] == [1, 0]


def test_calls_of_an_earlier_stage_are_not_shown_and_their_errors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [[request(5, TICK_NS, mirror=0.0, error=True)], [request(TICK_NS + 7)]]
    seen, engine = played(monkeypatch, ticks, [{"mirror": [0.0, 1.0]}, {"cohort": 1}])
    assert seen[1]["responses"] == [1, 0]
    assert seen[1]["errors"] == [0, 0]
    assert seen[1]["mirror.responses"] == [0, 0]
    assert engine.ledger.errors.tolist() == [1]


def test_calls_in_flight_at_the_horizon_are_accounted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _, engine = played(monkeypatch, [[request(5, 9 * TICK_NS, error=True)]], [{}])
    assert engine.ledger.errors.tolist() == [0]
    engine.settle(np.array([0]), np.array([-1]))
    assert engine.ledger.errors.tolist() == [1]
    assert engine.ledger.slo_violations.tolist() == [1]


def test_it_refuses_nothing() -> None:
    assert not list(refusals(make_world(make_scenario())))
