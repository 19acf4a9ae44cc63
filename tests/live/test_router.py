"""The router by itself: where requests and copies go, what is kept of them and when, and that it leaves no thread."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np

from sim.engine.routes import ByWeight
from sim.live.crew import Crew
from sim.live.router import Router, Traffic, Turn
from sim.serving.calls import Answer, call
from tests.serving.known import known

ROUTE = np.array([0.1, 0.5, 0.69, 0.71, 0.99, 0.3])
# Only requests 0 and 3 are below a share of a half for arm 1; a request is not copied to the arm that serves it.
MIRROR = np.array([[0.9, 0.4], [0.9, 0.6], [0.9, 0.5], [0.9, 0.4], [0.9, 0.9], [0.9, 0.8]])
TRAFFIC = Traffic(np.zeros(6, np.int64), np.arange(6), ROUTE, MIRROR)


def answered(path: str, turn: Turn | None) -> tuple[Answer, list[tuple[int, int, bool, int]], Router]:
    """The answer to one call, and the hops that it made: (request, arm, whether a copy, status)."""
    with Crew() as crew, known(4, 0.01) as arm, Router([arm, arm], [[b"{}"] * 6] * 2, TRAFFIC, crew) as router:
        if turn is not None:
            router.start(turn)
        answer = call(replace(router.endpoint, path=path), b"{}")
        router.quiet()
        happened = router.until(router.now_ns)
        assert router.until(router.now_ns) == []
    times = [when_ns for when_ns, _ in happened]
    assert times == sorted(times)
    assert all(hop.arrive_ns < hop.end_ns for _, hop in happened)
    # Each begins and ends.
    assert len(happened) == 2 * len({id(hop) for _, hop in happened})
    return answer, sorted({(hop.request, hop.arm, hop.copy, hop.answer.status) for _, hop in happened}), router


def test_requests_go_by_weight_and_copies_by_share() -> None:
    before = threading.active_count()
    turn = Turn(ByWeight([0.7, float("inf")]), np.array([0.0, 0.5]), 3)
    for request, hops in {
        0: [(0, 0, False, 200), (0, 1, True, 200)],
        1: [(1, 0, False, 200)],
        2: [(2, 0, False, 200)],
        3: [(3, 1, False, 200)],
        4: [(4, 1, False, 200)],
    }.items():
        answer, found, _ = answered(f"/requests/{request}", turn)
        assert (answer.status, found) == (200, hops)
    assert threading.active_count() == before


def test_calls_of_an_arm_are_no_traffic() -> None:
    answer, hops, router = answered("/arms/1/rows/2", None)
    assert (answer.status, hops) == (200, [])
    assert [each.status for each in router.alone] == [200]
    assert answer.took_s > router.alone[0].took_s > 0.01


def test_what_is_no_request_is_not_found() -> None:
    for path in ("/requests/6", "/requests/-1", "/requests/x", "/arms/2/rows/0", "/invocations", "/"):
        answer, hops, _ = answered(path, Turn(ByWeight([float("inf")] * 2), np.zeros(2), 0))
        assert (answer.status, hops) == (404, [])
    assert answered("/requests/0", None)[0].status == 503


def test_a_crew_waits_for_its_threads_and_starts_none_afterwards() -> None:
    done: list[str] = []

    def slowly() -> None:
        time.sleep(0.2)
        done.append("slowly")

    with Crew() as crew:
        crew.start(slowly)
    crew.start(done.append, "late")
    time.sleep(0.1)
    assert done == ["slowly"]
