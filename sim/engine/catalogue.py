"""The table of engines, their properties, and the choice of an engine for a world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats
from sim.engine import aggregate
from sim.engine.base import Maker
from sim.engine.lag import lagged
from sim.engine.needs import FILLED_BY_CALLS, Filled, overflows, unfilled
from sim.errors import InputError, Problem
from sim.policy.columns import Column
from sim.scenario.schema import Scenario
from sim.world.traffic import Arrivals
from sim.world.world import World

# Drawing up to this many payoffs takes negligible time.
_MANY = 1000
# A tick's calls are spread over the ticks of a delay that has an age in some hundred draws an arm: as long as so many requests,
# for each metric that has one.
_FEW = 200
# Its chances are integrals that take about a second for each latency that calls have in some tick.
_MOST_LATENCIES = 100


def _never(scenario: Scenario) -> Iterator[str]:
    return iter(())


def _whenever(scenario: Scenario, arrivals: Arrivals) -> Iterator[str]:
    return iter(())


# In an event engine, so many requests in a tick cost several times what else there is to do in it.
_BUSY = 150_000


def _no_refusals(world: World, needs: Sequence[Column]) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True)
class Entry:
    """The properties of an engine.

    load: returns its maker; Numba and SimPy are imported only then. fills: the columns it can fill. refusals: the reasons why
    it cannot play a world with these columns. tells_calls: whether it records single calls, which a trace shows. compiles:
    whether it needs a compiler. most_rows: the most replications of a block; with many requests in a tick, busy_rows. cells:
    the most replications times ticks of a block. tick_s, cell_s, request_s: the approximate seconds of a tick of a block with
    its policy, of an arm in a tick of a replication, and of a request. cell_bytes, request_bytes: the approximate memory for an
    arm in a tick of a replication, and for a request of the busiest tick.
    """

    name: str
    load: Callable[[], Maker]
    fills: Collection[Filled]
    tells_calls: bool
    most_rows: int
    cells: int
    tick_s: float
    cell_s: float
    request_s: float
    cell_bytes: int
    request_bytes: int
    busy_rows: int = 1
    compiles: bool = False
    refusals: Callable[[World, Sequence[Column]], Iterator[str]] = _no_refusals
    declared_refusals: Callable[[Scenario], Iterator[str]] = _never
    """The reasons why it cannot play a scenario, as far as they stand in the file."""
    declared_doubts: Callable[[Scenario], Iterator[str]] = _never
    """The reasons that hold where an outcome is an amount, which is not said in the file."""
    arrivals_refusals: Callable[[Scenario, Arrivals], Iterator[str]] = _whenever
    """The reasons in the files that say when its requests arrive."""

    def rows(self, ticks: int, requests: float) -> int:
        """The most replications of a block, where each has so many ticks and requests.

        A tick costs its policies and its engine about the same for 10 replications as for 250, until the requests cost more.

        >>> [ENGINES["compiled"].rows(200, requests) for requests in (200, 200_000, 2_000_000)]
        [250, 150, 25]
        """
        quiet = int(_BUSY * ticks / max(requests, 1.0))
        return max(1, min(self.most_rows, max(self.busy_rows, quiet), self.cells // ticks))

    def costs_s(self, ticks: float, cells: float, requests: float) -> Floats:
        """(3,) the approximate seconds of a block: of its ticks, of its arms in ticks of replications, and of its requests."""
        return np.array([ticks * self.tick_s, cells * self.cell_s, requests * self.request_s])

    def cost_s(self, ticks: float, cells: float, requests: float) -> float:
        """The sum of `costs_s`."""
        return float(self.costs_s(ticks, cells, requests).sum())

    def refused(self, world: World, needs: Sequence[Column]) -> list[str]:
        """The reasons why it cannot play a world or fill the columns that are needed; empty if it can."""
        return [*self.refusals(world, needs), *unfilled(self.fills, world, needs)]


def _aggregate() -> Maker:
    return aggregate.AggregateEngine


def _compiled() -> Maker:
    from sim.engine.compiled import CompiledEngine

    return CompiledEngine


def _simpy() -> Maker:
    from sim.engine.reference import SimpyEngine

    return SimpyEngine


def _aggregate_refusals(world: World, needs: Sequence[Column]) -> Iterator[str]:
    yield from aggregate.refusals(world)
    yield from aggregate.visit_refusals(needs)
    if any(column.mirrored for column in needs):
        yield from aggregate.mirror_refusals(world)


ENGINES = {
    entry.name: entry
    for entry in (
        Entry(
            "aggregate", _aggregate, aggregate.FILLS, tells_calls=False, most_rows=1_000, busy_rows=1_000,
            cells=3_000_000, tick_s=4e-4, cell_s=7e-7, request_s=0.0, cell_bytes=60, request_bytes=0,
            refusals=_aggregate_refusals, declared_refusals=aggregate.declared_refusals,
            declared_doubts=aggregate.declared_doubts, arrivals_refusals=aggregate.arrivals_refusals,
        ),
        Entry(
            "compiled", _compiled, FILLED_BY_CALLS, tells_calls=True, most_rows=250, busy_rows=25, cells=400_000,
            tick_s=4e-4, cell_s=2.5e-6, request_s=5e-8, cell_bytes=600, request_bytes=50,
            compiles=True,
        ),
        Entry(
            "simpy", _simpy, FILLED_BY_CALLS, tells_calls=True, most_rows=25, busy_rows=25, cells=100_000, tick_s=1.4e-3,
            cell_s=8e-5, request_s=2e-5, cell_bytes=600, request_bytes=1000,
        ),
    )
}  # fmt: skip
"""Every engine by its name, the cheapest first."""
CHEAPEST, FASTEST_OF_CALLS, REFERENCE = ENGINES
TRACERS = tuple(name for name, entry in ENGINES.items() if entry.tells_calls)
"""The engines that record single calls."""


@dataclass(frozen=True)
class Choice:
    """The name of the chosen engine and the reason. `warning` is a message for the user, or None."""

    name: str
    reason: str
    warning: str | None = None

    @property
    def entry(self) -> Entry:
        """The properties of the engine."""
        return ENGINES[self.name]


def engine_problems(scenario: Scenario) -> list[Problem]:
    """Why the engine that a scenario names cannot play it, as far as that stands in the file."""
    entry = ENGINES.get(scenario.engine)
    return [] if entry is None else _cannot_play(entry.name, entry.declared_refusals(scenario))


def engine_doubts(scenario: Scenario) -> list[Problem]:
    """Why the engine that a scenario names may be unable to play it: that takes its models to know."""
    entry = ENGINES.get(scenario.engine)
    reasons = [] if entry is None else entry.declared_doubts(scenario)
    return [
        Problem(f"{scenario.engine} cannot play this where its outcomes are amounts: {reason}", path="engine")
        for reason in reasons
    ]


def arrivals_problems(scenario: Scenario, arrivals: Arrivals) -> list[Problem]:
    """Why the engine that a scenario names cannot play its recorded traffic."""
    entry = ENGINES.get(scenario.engine)
    return [] if entry is None else _cannot_play(entry.name, entry.arrivals_refusals(scenario, arrivals))


def _cannot_play(name: str, reasons: Iterable[str]) -> list[Problem]:
    return [Problem(f"{name} cannot play this: {reason}", path="engine") for reason in reasons]


def make(name: str) -> Maker:
    """The maker of an engine: (truth, needs, mirrors) to engine. Its telemetry is delayed by the lag of the truth's world."""
    return lagged(ENGINES[name].load())


def no_compiler() -> str | None:
    """Why nothing can be compiled on this machine, or None if the compiler works."""
    from sim import jit

    return jit.missing


def _many_payoffs(world: World) -> str | None:
    """Why an event engine is faster, or None. `aggregate` draws a count for every payoff, even one that no request gets."""
    requests = float(world.requests.mean())
    for outcome in world.outcomes:
        payoffs = outcome.atoms.shape[1]
        if payoffs > max(requests, _MANY):
            return f"{outcome.spec.name} has {payoffs:,} different payoffs, and a tick {requests:,.0f} requests"
    return None


def _few_for_an_age(world: World) -> str | None:
    """Why an event engine is faster, or None. `aggregate` draws delays that are not exponential or constant tick by tick."""
    late = [name for name, told in world.feedback.items() if aggregate.aged(told)]
    requests = float(world.requests.mean())
    changes = 1 if world.change is None else max(np.unique(column).size for column in world.change.slowness.T)
    if late and changes * len(late) > _MOST_LATENCIES:
        return f"metrics.{late[0]}.delay: its chances by tick are other ones at each of {changes:,} latencies of the timeline"
    if late and requests < _FEW * len(late):
        return f"metrics.{late[0]}.delay: it is drawn tick by tick, and a tick has {requests:,.0f} requests"
    return None


def choose(asked: str, world: World, needs: Sequence[Column] = ()) -> Choice:
    """The engine asked for, or with `auto` the cheapest exact engine, for policies with these needs.

    Raises `InputError` if the engine asked for cannot play the world, or no engine can count what is needed.

    Without a compiler, SimPy replaces the compiled engine: the results are the same bits, a hundred times slower, with a
    warning.
    """
    uncountable = list(overflows(world, needs))
    if uncountable:
        raise InputError(uncountable)
    name, reason = asked, "as the scenario says"
    if asked == "auto":
        refused = ENGINES[CHEAPEST].refused(world, needs)
        many = _many_payoffs(world) or _few_for_an_age(world)
        # Without a compiler, an exact aggregate engine is taken even if it is slow.
        if not refused and (many is None or no_compiler()):
            return Choice(CHEAPEST, "exact here: requests do not compete, and no call outlasts a tick")
        name = FASTEST_OF_CALLS
        reason = f"aggregate is not exact here: {'; '.join(refused)}" if refused else f"aggregate is slower here: {many}"
    refused = ENGINES[name].refused(world, needs)
    if refused:
        raise InputError(_cannot_play(name, refused))
    missing = no_compiler() if ENGINES[name].compiles else None
    if missing is None:
        return Choice(name, reason)
    warning = (
        f"there is no working compiler ({missing}): engine {REFERENCE} plays instead, with the same results, a hundred times "
        "slower"
    )  # fmt: skip
    return Choice(REFERENCE, f"{reason}; {name} needs Numba", warning)
