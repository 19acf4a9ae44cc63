"""The event log of one replication, derived from the record of every call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.engine.calls import ERROR, FINISH, NEVER, REJECTION, TIMEOUT
from sim.world.clock import NS, to_ns
from sim.world.potential import Potential
from sim.world.world import AGREEMENT, Truth

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("time_s", "event", "request", "user", "arm", "mirrored", "detail")
ENDS = {FINISH: "finish", ERROR: "error", TIMEOUT: "timeout", REJECTION: "reject"}

# The order of events at equal times. A server that a completion frees takes the next waiting call at once. These starts come
# after all completions of that time, because a call does not record which completion freed its server. Feedback without delay
# has the rank of its completion.
_VERDICT, _TICK, _COMPLETION, _ADMISSION, _GIVE_UP, _ARRIVAL, _FEEDBACK = range(7)
FAILURES = {ERROR: _COMPLETION, TIMEOUT: _GIVE_UP, REJECTION: _ARRIVAL}


@dataclass(frozen=True)
class Steering:
    """What the policy did: live and mirror (T', K) shares of each tick up to its verdict; verdict is None if there is none."""

    live: Floats
    mirror: Floats
    verdict: str | None


def event_log(truth: Truth, calls: NDArray[np.void], steering: Steering, ticks: int) -> pd.DataFrame:
    """The events of a block of one replication, in order, as a frame with `COLUMNS`; request and user are missing for a tick.

    `calls` are all calls of its first `ticks` ticks. `arrive` is a first attempt or a mirrored copy, `retry` a later attempt;
    `start` is when a server takes the call; a call ends in `finish`, `error`, `timeout` or `reject`, as its client sees it;
    `feedback` is a metric of a request, when it becomes known; `tick` is the routing from the edge of a tick on.
    """
    import pandas as pd

    parts = [_controlled(truth, steering), *_called(truth, calls), *_fed_back(truth, calls, ticks)]
    events = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    order = np.lexsort([events[key] for key in ("step", "attempt", "copy", "request", "rank", "time_ns")])
    events = {key: column[order] for key, column in events.items()}
    control = events["request"] < 0
    request, user = (pd.array(events[key], dtype="Int64") for key in ("request", "user"))
    mirrored = pd.array(events["copy"] > 0, dtype="boolean")
    for column in (request, user, mirrored):
        column[control] = pd.NA
    # A tick has no arm. Its index -1 selects the last entry, None.
    arm = np.array([*truth.world.arms, None], object)[events["arm"]]
    # Object columns: from pandas 3 on, text would become a string type, in which a missing value is NaN instead of None.
    event, arm, detail = (pd.Series(text, dtype=object) for text in (events["event"], arm, events["detail"]))
    columns = (events["time_ns"] / NS, event, request, user, arm, mirrored, detail)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


Events = dict[str, NDArray[Any]]


def _events(
    event: Any, rank: int, time_ns: Ints, detail: Sequence[str] | str, calls: NDArray[np.void] | None, step: int
) -> Events:
    """Events (n,) of calls (n,), or without calls if None; `step` orders the events of one call at one time of the clock."""
    size = time_ns.size
    own = {key: np.full(size, -1) if calls is None else calls[key] for key in ("request", "user", "copy", "attempt", "arm")}
    return {
        "time_ns": time_ns, "rank": np.full(size, rank), "step": np.full(size, step),
        "event": np.broadcast_to(np.asarray(event, object), size),
        "detail": np.broadcast_to(np.asarray(detail, object), size), **own,
    }  # fmt: skip


def _controlled(truth: Truth, steering: Steering) -> Events:
    tick_ns = to_ns(truth.world.tick_s)
    edges = np.arange(len(steering.live)) * tick_ns
    routings = [_routing(truth.world.arms, *shares) for shares in zip(steering.live, steering.mirror, strict=True)]
    ticks = _events("tick", _TICK, edges, routings, None, 0)
    if steering.verdict is None:
        return ticks
    verdict = _events("verdict", _VERDICT, np.array([len(edges) * tick_ns]), [steering.verdict], None, 0)
    return {key: np.concatenate([ticks[key], verdict[key]]) for key in ticks}


def _routing(arms: Sequence[str], live: Floats, mirror: Floats) -> str:
    """The routing of a tick as text.

    >>> _routing(("champion", "a"), np.array([1.0, 0.0]), np.array([0.0, 0.5]))
    'champion 100%; mirror a 50%'
    """
    weights = ", ".join(f"{arm} {share:.6g}%" for arm, share in zip(arms, 100 * live, strict=True) if share)
    copies = ", ".join(f"{arm} {share:.6g}%" for arm, share in zip(arms, 100 * mirror, strict=True) if share)
    return f"{weights}; mirror {copies}" if copies else weights


def _called(truth: Truth, calls: NDArray[np.void]) -> list[Events]:
    """The events of arrivals, starts and ends."""
    retry = calls["attempt"] > 0
    first = np.where(retry, "retry", "arrive").astype(object)
    attempt = [f"attempt {number + 1}" if number else "" for number in calls["attempt"].tolist()]
    events = [_events(first, _ARRIVAL, calls["arrive_ns"], attempt, calls, 0)]
    taken = calls["start_ns"] != NEVER
    at_once = calls["start_ns"] == calls["arrive_ns"]
    events.append(_events("start", _ARRIVAL, calls["arrive_ns"][at_once], "", calls[at_once], 1))
    later = calls[taken & ~at_once]
    waited = [f"waited {wait / NS:.6g} s" for wait in (later["start_ns"] - later["arrive_ns"]).tolist()]
    events.append(_events("start", _ADMISSION, later["start_ns"], waited, later, 0))
    for outcome, rank in {FINISH: _COMPLETION, **FAILURES}.items():
        some = calls[calls["outcome"] == outcome]
        again = some["retry_ns"]
        after = [
            f"after {(end - arrive) / NS:.6g} s" + (f", again in {(retry - end) / NS:.6g} s" if retry != NEVER else "")
            for arrive, end, retry in zip(some["arrive_ns"].tolist(), some["end_ns"].tolist(), again.tolist(), strict=True)
        ]
        events.append(_events(ENDS[outcome], rank, some["end_ns"], after, some, 1))
    return events


def _failed(truth: Truth, calls: NDArray[np.void], metrics: Sequence[str]) -> Iterator[Events]:
    """The feedback events of requests that fail: each metric counts as its client gives up for good."""
    said = {outcome.spec.name: outcome.failed_outcome for outcome in truth.world.outcomes}
    last = (calls["copy"] == 0) & (calls["retry_ns"] == NEVER)
    for outcome, rank in FAILURES.items():
        some = calls[last & (calls["outcome"] == outcome)]
        for step, name in enumerate(metrics, start=2):
            yield _events("feedback", rank, some["end_ns"], f"{name}={said[name]:.6g}", some, step)


def _fed_back(truth: Truth, calls: NDArray[np.void], ticks: int) -> list[Events]:
    """The feedback events: metrics of live calls, of the last where all fail, and whether a copy agreed with the champion."""
    world = truth.world
    potential = Potential(truth, list(truth.outcomes), True, world.agreement is not None)
    metrics = world.setting(1).metrics
    good = calls[calls["outcome"] == FINISH]
    feedback = list(_failed(truth, calls, potential.metrics)) if world.counts_failures else []
    for tick in range(ticks):
        here = good[(good["request"] >= potential.first[0, tick]) & (good["request"] < potential.first[0, tick + 1])]
        if not here.size:
            continue
        requests = potential.draw(0, tick)
        live: Bools = here["copy"] == 0
        for step, name in enumerate(potential.metrics, start=2):
            some = here[live]
            place = some["request"] - requests.first
            metric, delay_ns = metrics[name], requests.delay_ns[name][place, some["arm"]]
            values = requests.values[name][place, some["arm"]]
            told = world.feedback.get(name)
            if told is not None and told.window_ns is not None:
                values = np.where(delay_ns > told.window_ns, 0, values)
                delay_ns = np.minimum(delay_ns, told.window_ns)
            if told is not None and told.provisional:
                # Until it is known an outcome counts as 0, which is corrected where it is another.
                detail = [f"{name}=0"] * some.size
                feedback.append(_events("feedback", _COMPLETION, some["end_ns"], detail, some, step))
                other = values != 0
                some, values, delay_ns = some[other], values[other], delay_ns[other]
            detail = [f"{name}={value:.6g}" for value in (values * (1 if metric.binary else metric.grid)).tolist()]
            events = _events("feedback", _COMPLETION, some["end_ns"] + delay_ns, detail, some, step)
            feedback.append({**events, "rank": np.where(delay_ns > 0, _FEEDBACK, _COMPLETION)})
        if requests.agree is not None and not live.all():
            some = here[~live]
            agreed = requests.agree[some["request"] - requests.first, some["arm"]]
            detail = [f"{AGREEMENT}={int(value)}" for value in agreed.tolist()]
            feedback.append(_events("feedback", _COMPLETION, some["end_ns"], detail, some, 2))
    return feedback
