"""Requests written out by hand for the SimPy engine, with times in nanoseconds and ticks of 100 ns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from sim.engine import events
from sim.engine.calls import ERROR, FINISH, NEVER, REJECTION, TIMEOUT
from sim.engine.reference import engine as simpy_engine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing
from sim.policy.columns import COUNTS, MOMENTS, Above, Column
from sim.world.capacity import Pool, Retry, Scaling
from sim.world.change import Change
from sim.world.feedback import AT_ONCE, Feedback
from sim.world.potential import Requests
from sim.world.world import Truth, World
from tests.columns import agreement, counts, mirrored, moments
from tests.worlds import behaves, make_scenario, make_world

TICK = 100
SLO = 50
NEEDS = (*COUNTS, Above(5e-8), *moments("conversion", *MOMENTS))
MIRROR_NEEDS = mirrored(*counts("requests", "responses", "errors"), *agreement("count", "sum"))
OUTCOMES = {FINISH: "finish", ERROR: "error", TIMEOUT: "timeout", REJECTION: "reject", NEVER: None}

BOTH = Pool("main", (0, 1), 1, 1, None, None)
"""One server for both arms, and any number may wait for any time."""


def request(
    arrival: int, service: Any = 10, *, route: float = 0.0, misroute: float = 0.99, mirror: Any = 1.0, error: Any = False,
    value: Any = 0, agree: Any = True, lost: Any = False, delay: int = 0, backoff: Any = 10,
) -> dict[str, Any]:  # fmt: skip
    """One request of two arms. service and error may differ by arm [2], or by arm and attempt [2][A]; value, agree by arm."""
    return dict(
        arrival=arrival, service=service, route=route, misroute=misroute, mirror=mirror, error=error, value=value, agree=agree,
        lost=lost, delay=delay, backoff=backoff,
    )  # fmt: skip


def retrying(attempts: int, on: str = "error timeout rejection") -> Retry:
    """Clients that try again; how long they wait stands with each request."""
    return Retry(attempts, "error" in on, "timeout" in on, "rejection" in on, 1.0, 1.0, 1.0, 0.0)


def changing(
    ticks: int = 6, *, failing: Mapping[int, Any] | None = None, slowness: Mapping[int, Any] | None = None,
    out: Mapping[int, Sequence[int]] | None = None, pools: int = 1,
) -> Change:  # fmt: skip
    """What changes by tick; where nothing is said, nothing does."""

    def table(said: Mapping[int, Any] | None, plain: float, columns: int, dtype: Any) -> Any:
        full = np.full((ticks, columns), plain, dtype)
        for tick, row in (said or {}).items():
            full[tick] = row
        return full

    return Change(table(failing, 0.0, 2, float), table(slowness, 1.0, 2, float), {}, table(out, 0, pools, np.int64))


def scaling(least: int, most: int, target: float = 0.5, cold_start: int = 0, cool_down: int = 0) -> Scaling:
    """Replicas that follow the load."""
    return Scaling(least, most, target, cold_start, cool_down)


@dataclass(frozen=True)
class Played:
    """What monitoring saw by tick, {column: [champion, challenger]}; the engine; and the calls, as dictionaries by field."""

    seen: list[dict[Column, list[int]]]
    engine: Any
    calls: list[dict[str, Any]]

    def fates(self) -> list[tuple[Any, ...]]:
        """(request, attempt, start, end, outcome) of live calls, in the order of events; None for what never happened."""
        return [
            (each["request"], each["attempt"], *(None if each[key] == NEVER else each[key] for key in ("start_ns", "end_ns")),
             OUTCOMES[each["outcome"]])
            for each in self.calls if each["copy"] == 0
        ]  # fmt: skip


def world_of(**changes: Any) -> World:
    """Two arms, six ticks, an objective of 50 ns; `changes` are fields of the world."""
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "latency", "role": "guardrail", "max": f"{SLO}ns"}]
    scenario = make_scenario(tick="10s", horizon="1m", metrics=metrics)
    world = make_world(scenario, [behaves(error_rate=0.0, agreement=0.9)] * 2)
    # How late the feedback is stands with each request.
    late = {"conversion": Feedback.same(AT_ONCE, 2)}
    return replace(world, **{"tick_s": TICK / 1e9, "feedback": late, **changes})


class ByHand:
    """Requests as written, in the place of `Potential`."""

    def __init__(self, ticks: Sequence[Sequence[Mapping[str, Any]]], attempts: int) -> None:
        self._ticks = ticks
        self._attempts = attempts
        self.metrics = ("conversion",)
        counts = [len(ticks[tick]) if tick < len(ticks) else 0 for tick in range(6)]
        self.first = np.cumsum([[0, *counts]], axis=1)

    def draw(self, row: int, tick: int) -> Requests:
        """The requests of a tick."""
        said = self._ticks[tick] if tick < len(self._ticks) else []
        count, attempts = len(said), self._attempts

        def of(key: str, dtype: Any, *shape: int) -> Any:
            rows = []
            for each in said:
                value = np.asarray(each[key])
                rows.append(np.broadcast_to(value[:, None] if value.ndim == 1 and len(shape) == 2 else value, shape))
            return np.array(rows, dtype).reshape(count, *shape)

        failing = of("error", bool, 2, attempts)
        return Requests(
            first=int(self.first[0, tick]),
            arrival_ns=of("arrival", np.int64), user=np.arange(count) + 100, segment=np.zeros(count, np.int64),
            writes=np.zeros(count, bool), route=of("route", float),
            guest=np.zeros(count), misroute=of("misroute", float), mirror=of("mirror", float, 2),
            service_s=of("service", float, 2, attempts) / 1e9, error=np.where(failing, 0.0, 0.5),
            lost=of("lost", bool, 2, attempts), backoff_ns=of("backoff", np.int64, attempts - 1),
            values={"conversion": of("value", np.int64, 2)}, delay_ns={"conversion": of("delay", np.int64, 2)},
            agree=of("agree", bool, 2),
        )  # fmt: skip


def played(
    monkeypatch: pytest.MonkeyPatch, ticks: Sequence[Sequence[Mapping[str, Any]]], steps: Sequence[Mapping[str, Any]] = ({},),
    *, settle: tuple[int, int] | None = (0, -1), error_rate: float = 0.1, **changes: Any,
) -> Played:  # fmt: skip
    """One replication. `steps` say live, mirror and cohort by tick; `settle` is (arm, tick) of the verdict; then all ends.

    An attempt said to fail fails at any error rate above 0; no other does below 50%.
    """
    retry = changes.get("retry")
    attempts = retry.attempts if retry else 1
    for module in (simpy_engine, events):
        monkeypatch.setattr(module, "Potential", lambda *_: ByHand(ticks, attempts))
    truth: Truth = world_of(error_rate=np.full(2, error_rate), **changes).realise(np.arange(1))
    engine = SimpyEngine(truth, NEEDS + MIRROR_NEEDS, True, record=True)
    seen = []
    for step in steps:
        live, mirror = np.array([step.get("live", [1.0, 0.0])]), np.array([step.get("mirror", [0.0, 0.0])])
        telemetry = engine.step(Routing(np.arange(1), live, mirror, np.array([step.get("cohort", 0)])))
        seen.append({column: telemetry.counts[0, :, place].tolist() for column, place in telemetry.columns.items()})
    if settle is not None:
        engine.settle(np.array([settle[0]]), np.array([settle[1]]))
    names = engine.calls.dtype.names or ()
    return Played(seen, engine, [dict(zip(names, row, strict=True)) for row in engine.calls.tolist()])
