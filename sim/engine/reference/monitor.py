"""Monitoring of one replication, call by call: a page of counts for each tick and cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sim.arrays import Ints
from sim.engine.calls import ERROR, FINISH, REJECTION, TIMEOUT
from sim.engine.feedback import FIELDS, asked
from sim.engine.needs import of_class
from sim.engine.reference.pool import Call
from sim.policy.columns import Above, Agreement, Column, Count, LatencySum, Moment, MomentKind
from sim.world.clock import to_ns
from sim.world.feedback import Feedback

# The counts that each end increases.
_ENDS = {
    FINISH: (Count("responses"),),
    ERROR: (Count("responses"), Count("errors")),
    TIMEOUT: (Count("responses"), Count("errors"), Count("timeouts")),
    REJECTION: (Count("responses"), Count("errors"), Count("rejections")),
}
_POWER: dict[MomentKind, int] = {"count": 0, "sum": 1, "square": 2}


class Lane:
    """The places on a page where live calls, or mirrored calls, are counted."""

    def __init__(self, columns: Sequence[Column], mirrored: bool) -> None:
        def places(*counts: Count) -> list[int]:
            return [place for place, column in enumerate(columns) if column.mirrored == mirrored and column.as_live() in counts]

        self.requests, self.retries = places(Count("requests")), places(Count("retries"))
        self.ends = {outcome: places(*counts) for outcome, counts in _ENDS.items()}
        self.above = [(to_ns(above.limit_s), place) for place, above in of_class(columns, Above) if above.mirrored == mirrored]
        self.times = [place for place, time in of_class(columns, LatencySum) if time.mirrored == mirrored]
        self.agreed = [
            (place, _POWER[agreement.moment])
            for place, agreement in of_class(columns, Agreement)
            if agreement.mirrored == mirrored
        ]
        self.earned: dict[str, list[tuple[int, int]]] = {}
        """{metric: [(place, power)]}: power 0, 1 and 2 for count, sum and sum of squares."""
        for place, moment in of_class(columns, Moment):
            if moment.mirrored == mirrored:
                self.earned.setdefault(moment.metric, []).append((place, _POWER[moment.moment]))


class Monitor:
    """Counts calls as they arrive and end, and feedback as it arrives. A call belongs to the cohort at its arrival.

    failed {metric: what a failed request counts as, on the metric's grid}, or None where it has no outcome.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        arms: int,
        tick_ns: int,
        feedback: Mapping[str, Feedback],
        failed: Mapping[str, int] | None,
    ) -> None:
        self._feedback = feedback
        self._failed = failed
        self._fed = asked(columns)
        self._log: list[tuple[int, ...]] = []
        self._lanes = Lane(columns, False), Lane(columns, True)
        self._shape = arms, len(columns)
        self._tick_ns = tick_ns
        self._pages: dict[tuple[int, int], list[list[int]]] = {}

    def arrived(self, call: Call) -> None:
        """Count a call that arrives."""
        if call.lost:
            return
        counts, lane = self._page(call.arrive_ns, call.cohort)[call.arm], self._lanes[call.copy > 0]
        for place in lane.requests:
            counts[place] += 1
        if call.attempt:
            for place in lane.retries:
                counts[place] += 1

    def ended(self, call: Call, outcome: int, now: int, current: bool, again: bool) -> None:
        """Count the end of a call, as the client sees it, who may try `again`. A good end has feedback, at once or later.

        A bad one that is the request's last has it at once. Feedback is logged only if the call's cohort is `current`.
        """
        if call.lost:
            return
        counts, lane = self._page(now, call.cohort)[call.arm], self._lanes[call.copy > 0]
        for place in lane.ends[outcome]:
            counts[place] += 1
        latency_ns = now - call.arrive_ns
        for limit_ns, place in lane.above:
            if latency_ns > limit_ns:
                counts[place] += 1
        for place in lane.times:
            counts[place] += latency_ns
        if outcome == FINISH:
            for place, power in lane.agreed:
                assert call.requests.agree is not None
                counts[place] += int(call.requests.agree[call.place, call.arm]) ** power
        elif again or self._failed is None:
            return
        for metric, places in lane.earned.items():
            for known_ns, outcomes, value in self._told(metric, call, outcome, now):
                counts = self._page(known_ns, call.cohort)[call.arm]
                for place, power in places:
                    counts[place] += value**power if power else outcomes
        for number, name in enumerate(self._fed) if current else ():
            plane = self._shape[0] if call.copy else 0
            for known_ns, outcomes, value in self._told(name, call, outcome, now):
                known = known_ns // self._tick_ns
                visited = call.arrive_ns // self._tick_ns
                self._log.append((known, plane + call.arm, number, call.request, value, outcomes, visited))

    def _told(self, metric: str, call: Call, outcome: int, now: int) -> list[tuple[int, int, int]]:
        """What becomes known of a metric of a call that ends now: [(when, outcomes more, what is added to their sum)]."""
        if outcome != FINISH:
            assert self._failed is not None
            return [(now, 1, self._failed[metric])]
        value = int(call.requests.values[metric][call.place, call.arm])
        if metric not in self._feedback:
            return [(now, 1, value)]
        told = self._feedback[metric].told(value, int(call.requests.delay_ns[metric][call.place, call.arm]))
        return [(now + after_ns, outcomes, added) for after_ns, outcomes, added in told]

    def logged(self, row: int) -> Ints:
        """(n, FIELDS) the feedback logged since the last call of this method; `row` is the replication's row in its block."""
        log = np.full((len(self._log), FIELDS), row, np.int64)
        if self._log:
            log[:, 1:] = self._log
        self._log.clear()
        return log

    def shown(self, tick: int, cohort: int) -> Ints:
        """(K, C) the counts of a tick that has ended, for its cohort. All pages up to this tick are then deleted."""
        counts = self._pages.get((tick, cohort))
        for page in [page for page in self._pages if page[0] <= tick]:
            del self._pages[page]
        return np.zeros(self._shape, np.int64) if counts is None else np.array(counts, np.int64).reshape(self._shape)

    def _page(self, time_ns: int, cohort: int) -> list[list[int]]:
        number = time_ns // self._tick_ns, cohort
        page = self._pages.get(number)
        if page is None:
            arms, columns = self._shape
            page = self._pages[number] = [[0] * columns for _ in range(arms)]
        return page
