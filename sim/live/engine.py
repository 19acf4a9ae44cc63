"""Real time as an engine: a tick lasts as long as it says, and telemetry is what the router saw of real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.calls import ERROR, FINISH
from sim.engine.reference.monitor import Monitor
from sim.engine.reference.pool import Call
from sim.engine.routes import ByWeight, thresholds
from sim.live.answers import Answers
from sim.live.crew import Crew
from sim.live.router import Hop, Router, Traffic, Turn
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Column
from sim.serving.calls import call
from sim.world.clock import to_ns
from sim.world.potential import Requests
from sim.world.world import World


@dataclass(frozen=True)
class Ended:
    """A hop that has ended, and what it says: (1,) a prediction, or None."""

    hop: Hop
    when_ns: int
    said: NDArray[Any] | None


class LiveEngine:
    """One replication in real time. Counts are those of the SimPy engine's monitoring, of calls that really happened.

    `late_s` is the longest that a request was sent after it was due.
    """

    def __init__(
        self, world: World, needs: Sequence[Column], router: Router, traffic: Traffic, answers: Answers, crew: Crew
    ) -> None:  # fmt: skip
        self.tick = 0
        self.late_s = 0.0
        self._router, self._traffic, self._answers, self._crew = router, traffic, answers, crew
        self._tick_ns = to_ns(world.tick_s)
        self._places = {column: place for place, column in enumerate(needs)}
        arms, count = len(world.arms), traffic.row.size
        failed = {outcome.spec.name: outcome.failed_value for outcome in world.outcomes} if world.counts_failures else None
        self._monitor = Monitor(needs, arms, self._tick_ns, {}, failed)
        metrics = [outcome.spec.name for outcome in world.outcomes]
        self._requests = _blank(traffic, metrics, arms, count)
        self._calls: dict[Hop, Call] = {}
        self._done = threading.Event()

    def step(self, routing: Routing) -> Telemetry:
        """Follow a routing until the tick is over. Returns what was seen in it."""
        turn = Turn(ByWeight(thresholds(routing.live)[0].tolist()), routing.mirror[0], int(routing.cohort[0]))
        if self.tick == 0:
            self._router.start(turn)
            self._crew.start(self._send)
        else:
            self._router.follow(turn)
        edge_ns = (self.tick + 1) * self._tick_ns
        while (left_ns := edge_ns - self._router.now_ns) > 0:
            time.sleep(left_ns / 1e9)
        self._count(self._router.until(edge_ns), turn.cohort)
        counts = self._monitor.shown(self.tick, turn.cohort)[None]
        telemetry = Telemetry(self.tick, counts, self._places, routing.live)
        self.tick += 1
        return telemetry

    def stop(self) -> None:
        """Send no more requests."""
        self._done.set()

    def _send(self) -> None:
        """Send each request when it is due, whether or not those before are answered."""
        for request, due_ns in enumerate(self._traffic.due_ns.tolist()):
            while (left_ns := due_ns - self._router.now_ns) > 0:
                # Woken early by the end of the rehearsal, and by that of the whole command.
                if self._done.wait(min(left_ns / 1e9, 0.2)) or self._crew.over.is_set():
                    return
            self.late_s = max(self.late_s, -left_ns / 1e9)
            self._crew.start(call, replace(self._router.endpoint, path=f"/requests/{request}"), b"{}")

    def _count(self, happened: Sequence[tuple[int, Hop]], cohort: int) -> None:
        ended = [Ended(hop, when_ns, self._said(hop)) for when_ns, hop in happened if hop.end_ns == when_ns]
        self._reveal([each for each in ended if each.said is not None])
        said = {each.hop: each.said for each in ended}
        for when_ns, hop in happened:
            if hop not in self._calls:
                self._calls[hop] = made = self._call(hop)
                self._monitor.arrived(made)
            else:
                outcome = ERROR if said[hop] is None else FINISH
                self._monitor.ended(self._calls.pop(hop), outcome, when_ns, hop.cohort == cohort, False)

    def _call(self, hop: Hop) -> Call:
        copy = 1 + hop.arm if hop.copy else 0
        return Call(self._requests, hop.request, copy, 0, hop.arm, hop.arrive_ns, 0, False, False, hop.cohort)

    def _said(self, hop: Hop) -> NDArray[Any] | None:
        return None if hop.answer.failed else self._answers.said(hop.arm, hop.answer.body)

    def _reveal(self, ended: Sequence[Ended]) -> None:
        """Write down what these answers earn, and whether the champion says the same."""
        for arm in sorted({each.hop.arm for each in ended}):
            own = [each for each in ended if each.hop.arm == arm]
            requests = np.array([each.hop.request for each in own])
            said = [each.said for each in own if each.said is not None]
            values, alike = self._answers.value(arm, requests, self._traffic.row[requests], said)
            for metric, value in values.items():
                self._requests.values[metric][requests, arm] = value
            assert self._requests.agree is not None
            self._requests.agree[requests, arm] = alike


def _blank(traffic: Traffic, metrics: Sequence[str], arms: int, count: int) -> Requests:
    """The requests, of which nothing is known yet but when they come."""
    none = np.zeros(count)
    nothing = np.zeros((count, 0, 0))
    return Requests(
        0, traffic.due_ns, np.arange(count), np.zeros(count, np.int64), none.astype(bool), traffic.route, none, none,
        traffic.mirror, nothing, nothing, nothing.astype(bool), np.zeros((count, 0), np.int64),
        {name: np.zeros((count, arms), np.int64) for name in metrics}, {}, np.zeros((count, arms), bool),
    )  # fmt: skip
