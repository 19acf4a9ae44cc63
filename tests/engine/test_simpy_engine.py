"""The SimPy engine on requests written out by hand: what monitoring and the ledger are told, one rule at a time."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from sim.policy.columns import Above, Agreement, Count, Moment
from sim.world.feedback import AT_ONCE, Feedback
from tests.engine.by_hand import BOTH, TICK, changing, played, request, retrying

Patch = pytest.MonkeyPatch
FIRST = ((True, False), (True, False))
"""The first of two attempts fails, at both arms."""


def test_what_ends_exactly_at_an_edge_belongs_to_the_next_tick(monkeypatch: Patch) -> None:
    ticks = [[request(95, 4), request(95, 5), request(95, 6)], [request(100)]]
    seen = played(monkeypatch, ticks, [{}, {}]).seen
    assert [each[Count("requests")] for each in seen] == [[3, 0], [1, 0]]
    assert [each[Count("responses")] for each in seen] == [[1, 0], [3, 0]]


def test_a_call_keeps_its_arm_when_the_routing_changes(monkeypatch: Patch) -> None:
    ticks = [[request(99, 10, value=(0, 1))], [request(100, 10, value=(1, 0))]]
    run = played(monkeypatch, ticks, [{"live": [0.0, 1.0]}, {"live": [1.0, 0.0]}])
    assert run.seen[1][Count("responses")] == [1, 1]
    assert run.seen[1][Moment("conversion", "sum")] == [1, 1]
    assert run.engine.ledger.served.tolist() == [[1, 1]]


def test_routing_compares_the_requests_uniform_with_cumulated_weights(monkeypatch: Patch) -> None:
    ticks = [[request(at, route=route) for at, route in enumerate((0.0, 0.29999, 0.3, 0.31, np.nextafter(1, 0)))]]
    assert played(monkeypatch, ticks, [{"live": [0.3, 0.7]}]).seen[0][Count("requests")] == [2, 3]
    assert played(monkeypatch, ticks, [{"live": [1.0, 0.0]}]).seen[0][Count("requests")] == [5, 0]
    assert played(monkeypatch, ticks, [{"live": [0.0, 1.0]}]).seen[0][Count("requests")] == [0, 5]


def test_a_faulty_router_sends_some_to_the_champion_and_copies_go_where_the_request_is_not_served(monkeypatch: Patch) -> None:
    ticks = [[request(1, misroute=0.1, mirror=0.0), request(2, misroute=0.2, mirror=0.0)]]
    run = played(monkeypatch, ticks, [{"live": [0.0, 1.0], "mirror": [1.0, 1.0]}], misrouted=np.array([0.0, 0.2]))
    assert run.seen[0][Count("requests")] == [1, 1]
    assert run.seen[0][Count("requests", mirrored=True)] == [1, 1]


def test_a_copy_goes_to_arms_that_do_not_serve_below_their_fraction(monkeypatch: Patch) -> None:
    ticks = [
        [
            request(1, route=0.1, mirror=(0.0, 0.49)),  # champion serves; copied
            request(2, route=0.1, mirror=(0.0, 0.5)),  # champion serves; at the fraction, not copied
            request(3, route=0.9, mirror=(0.99, 0.0)),  # challenger serves; copied to the champion only
        ]
    ]
    run = played(monkeypatch, ticks, [{"live": [0.5, 0.5], "mirror": [1.0, 0.5]}])
    assert run.seen[0][Count("requests")] == [2, 1]
    assert run.seen[0][Count("requests", mirrored=True)] == [1, 1]
    assert run.engine.ledger.served.tolist() == [[2, 1]]
    assert run.engine.ledger.mirrored.tolist() == [[1, 1]]


def test_latency_is_above_a_limit_only_beyond_it_and_errors_are_answers_without_feedback(monkeypatch: Patch) -> None:
    ticks = [[request(1, 50, value=3), request(2, 51, value=5), request(3, 60, value=7, error=True)]]
    run = played(monkeypatch, ticks)
    (seen,) = run.seen
    assert seen[Count("responses")] == [3, 0]
    assert seen[Above(5e-08)] == [2, 0]
    assert seen[Count("errors")] == [1, 0]
    assert seen[Moment("conversion", "count")] == [2, 0]
    assert seen[Moment("conversion", "sum")] == [8, 0]
    assert seen[Moment("conversion", "square")] == [34, 0]
    # An errored call violates the objective once, slow or not.
    assert run.engine.ledger.errors.tolist() == [1]
    assert run.engine.ledger.slo_violations.tolist() == [2]


def test_latency_is_what_the_client_waits(monkeypatch: Patch) -> None:
    run = played(monkeypatch, [[request(0, 40), request(0, 11), request(0, 5)]], pools=(BOTH,))
    assert run.seen[0][Above(5e-08)] == [2, 0]
    assert run.engine.ledger.slo_violations.tolist() == [2]


def test_agreement_is_counted_when_a_copy_ends_without_error(monkeypatch: Patch) -> None:
    ticks = [
        [
            request(1, mirror=0.0, agree=True),
            request(2, mirror=0.0, agree=False),
            request(3, mirror=0.0, agree=True, error=(False, True)),
            request(4, mirror=0.0, agree=True, error=(True, False)),
            request(5, (1, TICK), mirror=0.0),
        ],
        [],
    ]
    run = played(monkeypatch, ticks, [{"mirror": [0.0, 1.0]}, {}])
    assert [each[Count("responses", mirrored=True)] for each in run.seen] == [[0, 4], [0, 1]]
    assert [each[Count("errors", mirrored=True)] for each in run.seen] == [[0, 1], [0, 0]]
    assert [each[Agreement("count", mirrored=True)] for each in run.seen] == [[0, 3], [0, 1]]
    assert [each[Agreement("sum", mirrored=True)] for each in run.seen] == [[0, 2], [0, 1]]
    # A copy's error hurts no user.
    assert run.engine.ledger.errors.tolist() == [1]


def test_a_call_may_outlast_many_ticks(monkeypatch: Patch) -> None:
    seen = played(monkeypatch, [[request(5, 3 * TICK, error=True)]], [{}] * 4).seen
    assert [each[Count("responses")][0] for each in seen] == [0, 0, 0, 1]
    assert seen[3][Count("errors")] == [1, 0]


def test_calls_of_an_earlier_stage_are_not_shown_and_their_errors_count(monkeypatch: Patch) -> None:
    ticks = [[request(5, TICK, mirror=0.0, error=True)], [request(107)]]
    run = played(monkeypatch, ticks, [{"mirror": [0.0, 1.0]}, {"cohort": 1}])
    assert run.seen[1][Count("responses")] == [1, 0]
    assert run.seen[1][Count("errors")] == [0, 0]
    assert run.seen[1][Count("responses", mirrored=True)] == [0, 0]
    assert run.engine.ledger.errors.tolist() == [1]


@pytest.mark.parametrize(
    ("provisional", "window", "counts", "sums"),
    [
        # Known 89, 90, 190 and 300 ns after an end at 10, the last of them too late for the window of 250 ns.
        (False, None, [1, 1, 1, 1], [1, 2, 4, 8]),
        (False, 250, [1, 1, 2, 0], [1, 2, 4, 0]),
        (True, None, [4, 0, 0, 0], [1, 2, 4, 8]),
        (True, 250, [4, 0, 0, 0], [1, 2, 4, 0]),
        # Just in time is in time.
        (True, 190, [4, 0, 0, 0], [1, 2, 4, 0]),
        (False, 189, [1, 3, 0, 0], [1, 2, 0, 0]),
    ],
)
def test_an_outcome_is_what_the_window_and_the_pipeline_make_of_it(
    monkeypatch: Patch, provisional: bool, window: int | None, counts: list[int], sums: list[int]
) -> None:
    delays = ((89, 1), (90, 2), (190, 4), (300, 8))
    window_s = None if window is None else window / 1e9
    late = {"conversion": Feedback((AT_ONCE,) * 2, (AT_ONCE,) * 2, window_s, provisional)}
    requests = [request(0, 10, delay=delay, value=value) for delay, value in delays]
    seen = played(monkeypatch, [requests], [{}, {}, {}, {}], feedback=late).seen
    assert [each[Moment("conversion", "count")][0] for each in seen] == counts
    assert [each[Moment("conversion", "sum")][0] for each in seen] == sums
    # A new stage sees no correction of what was counted in the one before.
    seen = played(monkeypatch, [requests], [{}, {}, {"cohort": 1}, {"cohort": 1}], feedback=late).seen
    assert [each[Moment("conversion", "sum")][0] for each in seen] == [*sums[:2], 0, 0]


def test_feedback_comes_after_its_delay_to_the_stage_that_asked(monkeypatch: Patch) -> None:
    ticks = [[request(0, 10, delay=89), request(0, 10, delay=90, value=1), request(0, 10, delay=190, value=2)]]
    seen = played(monkeypatch, ticks, [{}, {}, {}]).seen
    assert [each[Moment("conversion", "count")][0] for each in seen] == [1, 1, 1]
    assert [each[Moment("conversion", "sum")][0] for each in seen] == [0, 1, 2]
    assert [each[Count("responses")][0] for each in seen] == [3, 0, 0]
    seen = played(monkeypatch, ticks, [{}, {"cohort": 1}, {"cohort": 1}]).seen
    assert [each[Moment("conversion", "count")][0] for each in seen] == [1, 0, 0]


def test_a_retry_belongs_to_the_stage_in_which_it_arrives(monkeypatch: Patch) -> None:
    ticks = [[request(50, 30, error=FIRST, backoff=40)]]
    seen = played(monkeypatch, ticks, [{}, {"cohort": 1}], retry=retrying(2)).seen
    assert [each[Count("errors")][0] for each in seen] == [1, 0]
    assert [each[Count("requests")][0] for each in seen] == [1, 1]
    assert [each[Count("retries")][0] for each in seen] == [0, 1]
    assert [each[Moment("conversion", "count")][0] for each in seen] == [0, 1]


def test_what_monitoring_loses_it_sees_nothing_of_and_the_ledger_all(monkeypatch: Patch) -> None:
    ticks = [[request(0, 60, lost=True, error=True), request(1, lost=(True, False), mirror=0.0, value=1)]]
    run = played(monkeypatch, ticks, [{"mirror": [0.0, 1.0]}])
    live = [column for column in run.seen[0] if not column.mirrored]
    assert all(run.seen[0][name] == [0, 0] for name in live)
    assert run.seen[0][Count("requests", mirrored=True)] == [0, 1]
    assert run.seen[0][Agreement("count", mirrored=True)] == [0, 1]
    assert run.engine.ledger.served.tolist() == [[2, 0]]
    assert run.engine.ledger.errors.tolist() == [1]


def test_the_conditions_are_those_of_the_tick_in_which_an_attempt_arrives(monkeypatch: Patch) -> None:
    change = changing(slowness={1: (3.0, 1.0)}, failing={1: (0.6, 0.0)})
    ticks = [[request(99, 20, error=FIRST, backoff=1)], [request(100, 5), request(199, 7)], [request(200, 5)]]
    run = played(monkeypatch, ticks, [{}] * 3, change=change, retry=retrying(2))
    # Above the error rate of a half, every attempt fails.
    # A chance of 60% is above the uniforms of all attempts that are not said to fail.
    assert run.fates() == [
        (0, 0, 99, 119, "error"),
        (1, 0, 100, 115, "error"),
        (0, 1, 120, 180, "error"),
        (1, 1, 125, 140, "error"),
        (2, 0, 199, 220, "error"),
        (3, 0, 200, 205, "finish"),
        (2, 1, 230, 237, "finish"),
    ]


def test_calls_in_flight_at_the_horizon_are_accounted_for(monkeypatch: Patch) -> None:
    ticks = [[request(5, 9 * TICK, error=True)]]
    assert played(monkeypatch, ticks, settle=None).engine.ledger.errors.tolist() == [0]
    ledger = played(monkeypatch, ticks).engine.ledger
    assert ledger.errors.tolist() == [1]
    assert ledger.slo_violations.tolist() == [1]


def test_no_garbage_is_collected_within_a_step_only(monkeypatch: Patch) -> None:
    from sim.engine.reference import engine as simpy_engine

    heard = []
    plain = simpy_engine.Replication.play
    monkeypatch.setattr(simpy_engine.Replication, "play", lambda *said: (heard.append(gc.isenabled()), plain(*said)))
    assert gc.isenabled()
    played(monkeypatch, [[request(0)]])
    assert heard == [False]
    assert gc.isenabled()
