"""Pools in the SimPy engine, on requests written out by hand: who is served, who waits, who leaves, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.policy.columns import Count, Moment
from sim.world.capacity import Pool
from tests.engine.by_hand import BOTH, changing, played, request, retrying, scaling

Patch = pytest.MonkeyPatch
Fates = list[tuple[Any, ...]]


def pool(servers: int = 1, queue: int | None = None, timeout: int | None = None, **changes: Any) -> Pool:
    return replace(BOTH, replicas=servers, queue=queue, timeout_ns=timeout, **changes)


def fates(monkeypatch: Patch, requests: list[dict[str, Any]], *said: Any, **changes: Any) -> Fates:
    """(request, attempt, start, end, outcome) where all requests arrive in the first tick."""
    return played(monkeypatch, [requests], *said, **changes).fates()


# Queues, timeouts and rejections.


def test_first_come_first_served(monkeypatch: Patch) -> None:
    requests = [request(0, 10), request(1, 10), request(2, 5), request(3, 5)]
    assert fates(monkeypatch, requests, pools=(pool(),)) == [
        (0, 0, 0, 10, "finish"), (1, 0, 10, 20, "finish"), (2, 0, 20, 25, "finish"), (3, 0, 25, 30, "finish"),
    ]  # fmt: skip
    assert fates(monkeypatch, requests, pools=(pool(2),)) == [
        (0, 0, 0, 10, "finish"), (1, 0, 1, 11, "finish"), (2, 0, 10, 15, "finish"), (3, 0, 11, 16, "finish"),
    ]  # fmt: skip


def test_an_arm_without_a_pool_serves_any_number_at_once(monkeypatch: Patch) -> None:
    requests = [request(0, 10, route=0.0), request(0, 10, route=0.0), request(0, 10, route=0.9), request(0, 10, route=0.9)]
    ends = fates(monkeypatch, requests, [{"live": [0.5, 0.5]}], pools=(pool(arms=(1,)),))
    assert [end for _, _, _, end, _ in ends] == [10, 10, 10, 20]


def test_a_call_is_rejected_where_no_server_is_idle_and_the_queue_is_full(monkeypatch: Patch) -> None:
    requests = [request(0, 10), request(1, 10), request(2, 10), request(10, 10)]
    run = played(monkeypatch, [requests], pools=(pool(queue=1),))
    assert run.fates() == [
        (0, 0, 0, 10, "finish"), (1, 0, 10, 20, "finish"), (2, 0, None, 2, "reject"), (3, 0, 20, 30, "finish"),
    ]  # fmt: skip
    assert run.seen[0][Count("rejections")] == run.seen[0][Count("errors")] == [1, 0]
    assert run.seen[0][Count("responses")] == [4, 0]
    assert run.engine.ledger.errors.tolist() == [1]
    assert run.engine.ledger.lost.tolist() == [[1, 0]]


def test_a_completion_comes_before_an_arrival(monkeypatch: Patch) -> None:
    requests = [request(0, 10), request(10, 10), request(19, 1)]
    assert [fate[-1] for fate in fates(monkeypatch, requests, pools=(pool(queue=0),))] == ["finish", "finish", "reject"]


def test_giving_up_comes_before_an_arrival(monkeypatch: Patch) -> None:
    requests = [request(0, 90), request(1), request(5), request(6)]
    assert fates(monkeypatch, requests, pools=(pool(queue=1, timeout=5),)) == [
        (0, 0, 0, 5, "timeout"), (1, 0, None, 6, "timeout"), (2, 0, None, 5, "reject"), (3, 0, None, 11, "timeout"),
    ]  # fmt: skip


def test_finishing_exactly_at_the_deadline_succeeds_and_the_server_works_on_for_a_client_who_left(monkeypatch: Patch) -> None:
    requests = [request(0, 5), request(10, 8), request(11, 3)]
    run = played(monkeypatch, [requests], pools=(pool(timeout=5),))
    assert run.fates() == [(0, 0, 0, 5, "finish"), (1, 0, 10, 15, "timeout"), (2, 0, None, 16, "timeout")]
    assert run.seen[0][Count("timeouts")] == run.seen[0][Count("errors")] == [2, 0]
    assert run.seen[0][Moment("conversion", "count")] == [3, 0]
    assert run.engine.ledger.lost.tolist() == [[2, 0]]
    # The server that works on for the second is free at 18 only.
    assert fates(monkeypatch, [*requests, request(16, 1)], pools=(pool(timeout=5),))[-1] == (3, 0, 18, 19, "finish")


def test_a_server_that_is_free_exactly_at_the_deadline_still_takes_the_call(monkeypatch: Patch) -> None:
    requests = [request(0, 6), request(1, 4), request(7, 1)]
    assert fates(monkeypatch, requests, pools=(pool(timeout=5),)) == [
        (0, 0, 0, 5, "timeout"), (1, 0, 6, 6, "timeout"), (2, 0, 10, 11, "finish"),
    ]  # fmt: skip


def test_a_call_that_waited_may_time_out_in_service(monkeypatch: Patch) -> None:
    requests = [request(0, 4), request(0, 4)]
    assert fates(monkeypatch, requests, pools=(pool(timeout=6),)) == [(0, 0, 0, 4, "finish"), (1, 0, 4, 6, "timeout")]


# Copies.


def test_live_and_mirrored_calls_share_a_pool_and_the_live_one_arrives_first(monkeypatch: Patch) -> None:
    copied = {"live": [1.0, 0.0], "mirror": [0.0, 1.0]}
    requests = [request(0, (10, 20), mirror=0.0), request(15, (10, 20), mirror=0.0)]
    run = played(monkeypatch, [requests], [copied], pools=(pool(),))
    assert [(each["copy"], each["start_ns"], each["end_ns"]) for each in run.calls] == [
        (0, 0, 10), (2, 10, 30), (0, 30, 40), (2, 40, 60),
    ]  # fmt: skip
    run = played(monkeypatch, [requests], [copied], pools=(pool(queue=0),), retry=retrying(2))
    assert [(each["copy"], each["start_ns"], each["end_ns"], each["retry_ns"]) for each in run.calls] == [
        (0, 0, 10, -1), (2, -1, 0, -1), (0, 15, 25, -1), (2, -1, 15, -1),
    ]  # fmt: skip
    assert run.engine.ledger.lost.tolist() == [[0, 0]]
    assert run.seen[0][Count("errors", mirrored=True)] == [0, 2]


def test_pools_of_their_own_do_not_disturb_each_other(monkeypatch: Patch) -> None:
    apart = (pool(arms=(0,)), pool(arms=(1,)))
    run = played(monkeypatch, [[request(0, (10, 90), mirror=0.0)] * 2], [{"mirror": [0.0, 1.0]}], pools=apart)
    assert [(each["copy"], each["end_ns"]) for each in run.calls] == [(0, 10), (2, 90), (0, 20), (2, 180)]


# Clients that try again.


def test_who_is_served_stays_and_who_waits_leaves(monkeypatch: Patch) -> None:
    requests = [request(0, 10), request(1, 5), request(7, 6), request(10, 3)]
    assert fates(monkeypatch, requests, pools=(pool(patience_ns=4),)) == [
        (0, 0, 0, 10, "finish"), (1, 0, None, 5, "timeout"), (2, 0, 10, 16, "finish"), (3, 0, None, 14, "timeout"),
    ]  # fmt: skip
    # Exactly at the end of one's patience is in time.
    assert fates(monkeypatch, requests[:3], pools=(pool(patience_ns=3),))[2] == (2, 0, 10, 16, "finish")
    # Who waits leaves at what comes first; in service a timeout alone counts.
    assert fates(monkeypatch, requests[:3], pools=(pool(timeout=8, patience_ns=4),)) == [
        (0, 0, 0, 8, "timeout"), (1, 0, None, 5, "timeout"), (2, 0, 10, 15, "timeout"),
    ]  # fmt: skip
    assert fates(monkeypatch, requests[:3], pools=(pool(timeout=2, patience_ns=4),))[1] == (1, 0, None, 3, "timeout")


@pytest.mark.parametrize("on", ["error", "timeout", "rejection", "error timeout rejection", "none"])
def test_clients_try_again_after_the_ends_that_are_said(monkeypatch: Patch, on: str) -> None:
    requests = [request(0, 4, error=True), request(10, 30), request(11, 5), request(12, 5)]
    run = played(monkeypatch, [requests], pools=(pool(queue=1, timeout=10),), retry=retrying(2, on))
    again = {each["request"]: each["retry_ns"] for each in run.calls if each["attempt"] == 0}
    ends = {0: ("error", 4), 1: ("timeout", 20), 2: ("timeout", 21), 3: ("rejection", 12)}
    assert again == {number: end + 10 if kind in on else -1 for number, (kind, end) in ends.items()}
    assert run.engine.ledger.retries.tolist() == [sum(ns >= 0 for ns in again.values())]


def test_after_the_last_attempt_a_client_gives_up_for_good(monkeypatch: Patch) -> None:
    run = played(monkeypatch, [[request(0, 5, error=True, backoff=[10, 20])]], retry=retrying(3))
    assert run.fates() == [(0, 0, 0, 5, "error"), (0, 1, 15, 20, "error"), (0, 2, 40, 45, "error")]
    assert run.engine.ledger.errors.tolist() == [1]
    assert run.engine.ledger.retries.tolist() == [2]
    assert run.seen[0][Count("requests")] == [3, 0]
    assert run.seen[0][Count("retries")] == [2, 0]
    assert run.seen[0][Count("errors")] == [3, 0]


def test_a_request_that_succeeds_at_last_is_no_error_but_slow_from_its_first_arrival(monkeypatch: Patch) -> None:
    for backoff, slow in ((40, 0), (41, 1)):
        requests = [request(0, 5, error=((True, False),) * 2, backoff=backoff)]
        ledger = played(monkeypatch, [requests], retry=retrying(2)).engine.ledger
        assert ledger.errors.tolist() == [0]
        assert ledger.slo_violations.tolist() == [slow]


def test_a_retry_is_routed_anew_and_served_counts_the_first_attempt(monkeypatch: Patch) -> None:
    ticks = [[request(95, 5, route=0.5, error=True, backoff=5)]]
    run = played(monkeypatch, ticks, [{"live": [1.0, 0.0]}, {"live": [0.4, 0.6], "mirror": [1.0, 1.0]}], retry=retrying(2))
    assert [(each["arm"], each["copy"], each["arrive_ns"]) for each in run.calls] == [(0, 0, 95), (1, 0, 105)]
    assert run.engine.ledger.served.tolist() == [[1, 0]]


def test_a_lost_request_is_lost_by_the_arm_of_its_last_attempt(monkeypatch: Patch) -> None:
    ticks = [[request(85, 90, route=0.5, backoff=5)]]
    steps = [{"live": [1.0, 0.0]}, {"live": [0.4, 0.6]}]
    run = played(monkeypatch, ticks, steps, pools=(pool(2, timeout=10),), retry=retrying(2))
    assert run.engine.ledger.served.tolist() == [[1, 0]]
    assert run.engine.ledger.lost.tolist() == [[0, 1]]
    assert run.engine.ledger.errors.tolist() == [1]


def test_of_arrivals_at_the_same_time_the_lower_request_comes_first(monkeypatch: Patch) -> None:
    requests = [request(0, 5, error=((True, False),) * 2, backoff=15), request(20, 5)]
    assert fates(monkeypatch, requests, pools=(pool(queue=0),), retry=retrying(2, "error")) == [
        (0, 0, 0, 5, "error"), (0, 1, 20, 25, "finish"), (1, 0, None, 20, "reject"),
    ]  # fmt: skip


def test_a_retry_at_an_edge_belongs_to_the_next_tick_and_comes_before_its_requests(monkeypatch: Patch) -> None:
    ticks = [[request(0, 5, error=((True, False),) * 2, backoff=95)], [request(100, 5)]]
    run = played(monkeypatch, ticks, [{"live": [1.0, 0.0]}, {"live": [0.0, 1.0]}], pools=(pool(),), retry=retrying(2))
    assert run.fates()[1:] == [(0, 1, 100, 105, "finish"), (1, 0, 105, 110, "finish")]
    assert [each[Count("retries")] for each in run.seen] == [[0, 0], [0, 1]]


# Capacity that changes.


def test_an_outage_lowers_the_number_at_its_edge_and_what_is_busy_drains(monkeypatch: Patch) -> None:
    ticks = [[request(90, 15), request(91, 30), request(92, 5)], [], [request(200, 1)]]
    run = played(monkeypatch, ticks, [{}] * 3, pools=(pool(2),), change=changing(out={1: [1]}))
    # The first ends at 105, when one other is busy, as many as there are servers.
    assert run.fates()[2] == (2, 0, 121, 126, "finish")


def test_servers_that_come_back_admit_as_many_as_fit_in_order(monkeypatch: Patch) -> None:
    requests = [request(at, 50) for at in range(4)]
    run = played(monkeypatch, [requests], [{}] * 2, pools=(pool(3),), change=changing(out={0: [3]}))
    assert [fate[2] for fate in run.fates()] == [100, 100, 100, 150]


def test_a_server_that_is_back_at_an_edge_comes_before_giving_up_there(monkeypatch: Patch) -> None:
    change = changing(out={0: [1]})
    waits = fates(monkeypatch, [request(90, 5)], [{}] * 2, pools=(pool(timeout=10),), change=change)
    assert waits == [(0, 0, 100, 100, "timeout")]


def test_calls_that_wait_for_ever_are_lost(monkeypatch: Patch) -> None:
    change = changing(out={tick: [1] for tick in range(6)})
    copied = [{"mirror": [0.0, 1.0]}]
    run = played(monkeypatch, [[request(3, mirror=0.0, value=1)]], copied, pools=(pool(),), change=change)
    assert run.fates() == [(0, 0, None, None, None)]
    ledger = run.engine.ledger
    assert (ledger.errors.tolist(), ledger.slo_violations.tolist(), ledger.lost.tolist()) == ([1], [1], [[1, 0]])


def test_more_replicas_are_ready_a_cold_start_after_the_edge(monkeypatch: Patch) -> None:
    # One server busy all the time at a target of a half: two are wanted, ready at 100 + 30.
    requests = [request(0, 120), request(1, 50), request(2, 50)]
    scaled = pool(scaling=scaling(1, 4, 0.5, cold_start=30))
    assert [fate[2] for fate in fates(monkeypatch, requests, [{}] * 3, pools=(scaled,))] == [0, 120, 130]
    scaled = pool(scaling=scaling(1, 4, 0.5, cold_start=0))
    assert [fate[2] for fate in fates(monkeypatch, requests, [{}] * 3, pools=(scaled,))] == [0, 100, 120]


def test_replicas_ready_at_an_edge_come_before_a_completion_there(monkeypatch: Patch) -> None:
    # At 100 the new server takes the second call, and the server that becomes free the third.
    requests = [request(0, 100), request(1, 50), request(2, 50)]
    scaled = pool(scaling=scaling(1, 4, 0.5))
    assert [fate[2] for fate in fates(monkeypatch, requests, [{}] * 3, pools=(scaled,))] == [0, 100, 100]


def test_replicas_bring_all_their_servers(monkeypatch: Patch) -> None:
    scaled = pool(concurrency=2, scaling=scaling(1, 2, 0.5))
    requests = [request(at, 150) for at in range(6)]
    starts = [fate[2] for fate in fates(monkeypatch, requests, [{}] * 3, pools=(scaled,))]
    assert starts == [0, 1, 100, 100, 150, 151]


def test_the_share_busy_is_that_of_the_tick_and_counts_who_drains(monkeypatch: Patch) -> None:
    # 54 of 100 ns is within a tenth of the target of a half; 56 is beyond it.
    for busy, start in ((54, 155), (56, 100)):
        requests = [request(0, busy - 1), request(99, 56), request(99, 1)]
        assert fates(monkeypatch, requests, [{}] * 2, pools=(pool(scaling=scaling(1, 4)),))[2][2] == start
    # One of three servers is down in the second tick, and the call that it serves drains: three are busy of two, for 300 of
    # 200 ns, and 3 * 300 / 200 = 4.5 makes five replicas.
    requests = [request(0, 240), request(0, 240), request(0, 240), *[request(210, 1)] * 7]
    ticks = [requests[:3], [], requests[3:]]
    scaled = pool(3, scaling=scaling(1, 20, 1.0))
    run = played(monkeypatch, ticks, [{}] * 3, pools=(scaled,), change=changing(out={1: [1]}))
    assert [fate[2] for fate in run.fates()[3:]] == [210, 210, 211, 211, 212, 212, 213]


def test_fewer_replicas_go_at_once_and_only_after_the_cool_down(monkeypatch: Patch) -> None:
    # Two replicas, idle in the first tick: one goes at 100, as nothing has changed for long.
    scaled = pool(2, scaling=scaling(1, 4, 0.5, cool_down=3))
    ticks = [[], [request(100, 5), request(100, 5)]]
    assert [fate[2] for fate in played(monkeypatch, ticks, [{}] * 2, pools=(scaled,)).fates()] == [100, 105]
    # Up at 100; idle from then on, down again at 400 for a cool-down of three ticks, and at 300 for one of two.
    for cool_down, starts in ((3, [305, 305, 405, 410]), (2, [305, 310, 405, 410])):
        scaled = pool(1, scaling=scaling(1, 2, 0.5, cool_down=cool_down))
        ticks = [[request(0, 100)], [], [], [request(305, 5)] * 2, [request(405, 5)] * 2]
        assert [fate[2] for fate in played(monkeypatch, ticks, [{}] * 5, pools=(scaled,)).fates()][1:] == starts


def test_replicas_not_ready_yet_are_cancelled_first_the_latest_before_all(monkeypatch: Patch) -> None:
    # 1 -> 2 at 100 and 2 -> 4 at 200 (ready at 350 and 450), 4 -> 2 at 300: the later two never come.
    scaled = pool(1, scaling=scaling(1, 8, 0.5, cold_start=250))
    ticks = [[request(0, 200)], [], [request(200, 25)], [request(300, 75)], [request(400, 90)] * 4]
    run = played(monkeypatch, ticks, [{}] * 5, pools=(scaled,))
    assert [fate[2] for fate in run.fates()[3:]] == [400, 400, 490, 490]


def test_nothing_is_decided_after_the_horizon(monkeypatch: Patch) -> None:
    scaled = pool(1, scaling=scaling(1, 8, 0.5))
    ticks = [*[[]] * 5, [request(500, 300), request(501, 10)]]
    run = played(monkeypatch, ticks, [{}] * 6, pools=(scaled,))
    assert [fate[2] for fate in run.fates()] == [500, 800]


# After the verdict.


def test_a_decided_replication_plays_on_with_all_traffic_to_the_verdicts_arm(monkeypatch: Patch) -> None:
    ticks = [
        [request(0, 10, route=0.9, mirror=0.0)],
        [request(150, 80, route=0.1, mirror=0.0), request(151, 10, route=0.1, mirror=0.0, error=True)],
        [request(299, 10, route=0.9)], [], [], [request(599, 20)],
    ]  # fmt: skip
    step = {"live": [0.5, 0.5], "mirror": [1.0, 1.0]}
    run = played(monkeypatch, ticks, [step], pools=(pool(),), settle=(1, 1))
    assert [(each["arm"], each["copy"], each["start_ns"]) for each in run.calls] == [
        (1, 0, 0), (0, 1, 10), (1, 0, 150), (1, 0, 230), (1, 0, 299), (1, 0, 599),
    ]  # fmt: skip
    ledger = run.engine.ledger
    assert ledger.served.tolist() == [[0, 5]]
    assert ledger.mirrored.tolist() == [[1, 0]]
    assert ledger.errors.tolist() == [1]
    # 80 ns, and an error.
    assert ledger.slo_violations.tolist() == [2]


def test_shipping_at_once_exposes_everyone(monkeypatch: Patch) -> None:
    run = played(monkeypatch, [[request(0)], [request(100)]], [], pools=(pool(),), settle=(1, 0))
    assert run.engine.ledger.peak_exposure.tolist() == [1.0]
    assert run.engine.ledger.served.tolist() == [[0, 2]]
    kept = played(monkeypatch, [[request(0)]], [], pools=(pool(),), settle=(0, 0))
    assert kept.engine.ledger.peak_exposure.tolist() == [0.0]


def test_scaling_and_outages_go_on_after_the_verdict(monkeypatch: Patch) -> None:
    # Two replicas from 100 on and four from 200 on, of which one is down.
    scaled = pool(1, scaling=scaling(1, 8, 0.5))
    ticks = [[request(0, 100)], [request(100, 100)] * 2, [request(200, 40)] * 4]
    run = played(monkeypatch, ticks, [], pools=(scaled,), settle=(0, 0), change=changing(out={2: [1]}))
    assert [fate[2] for fate in run.fates()] == [0, 100, 100, 200, 200, 200, 240]
