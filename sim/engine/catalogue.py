"""The engines there are, all that is said of each, and which one plays a world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from sim.engine import aggregate
from sim.engine.base import Maker
from sim.engine.lag import lagged
from sim.engine.needs import FILLED_BY_CALLS, Filled, overflows, unfilled
from sim.errors import InputError, Problem
from sim.policy.columns import Column
from sim.world.world import World

# So many payoffs are drawn in no time, however few requests there are.
_MANY = 1000


def _no_refusals(world: World, needs: Sequence[Column]) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True)
class Entry:
    """What there is to say of an engine.

    load: its maker; only then are Numba and SimPy imported. fills: which columns it can fill. refusals: why it cannot play a
    world, with these columns.
    tells_calls: whether it knows single calls, which a trace shows. compiles: whether it needs a compiler. most_rows, cells:
    replications of a block, at most so many, and at most so many replications times ticks. tick_s, request_s: what a tick of a
    replication and a request cost, in seconds, roughly. common: what policies have in common, for readers of a comparison.
    """

    name: str
    load: Callable[[], Maker]
    fills: Collection[Filled]
    tells_calls: bool
    most_rows: int
    cells: int
    tick_s: float
    request_s: float
    common: str
    compiles: bool = False
    refusals: Callable[[World, Sequence[Column]], Iterator[str]] = _no_refusals

    def cost_s(self, ticks: int, requests: float) -> float:
        """About how many seconds a replication takes."""
        return ticks * self.tick_s + requests * self.request_s

    def refused(self, world: World, needs: Sequence[Column]) -> list[str]:
        """Why it cannot play a world, or fill the columns that are needed of it; empty if it can."""
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
    if any(column.mirrored for column in needs):
        yield from aggregate.mirror_refusals(world)


_SAME_REQUESTS = "policies meet the same requests, each with the same answer from every arm"

ENGINES = {
    entry.name: entry
    for entry in (
        Entry(
            "aggregate", _aggregate, aggregate.FILLS, tells_calls=False, most_rows=1_000, cells=3_000_000, tick_s=2e-6,
            request_s=0.0,
            common="policies meet the same arrivals, and the same outcomes while their routing agrees",
            refusals=_aggregate_refusals,
        ),
        Entry(
            "compiled", _compiled, FILLED_BY_CALLS, tells_calls=True, most_rows=25, cells=200_000, tick_s=5e-6,
            request_s=1.2e-7, common=_SAME_REQUESTS, compiles=True,
        ),
        Entry(
            "simpy", _simpy, FILLED_BY_CALLS, tells_calls=True, most_rows=25, cells=100_000, tick_s=1e-4, request_s=2e-5,
            common=_SAME_REQUESTS,
        ),
    )
}  # fmt: skip
"""Every engine by its name, the cheapest first."""
CHEAPEST, FASTEST_OF_CALLS, REFERENCE = ENGINES
TRACERS = tuple(name for name, entry in ENGINES.items() if entry.tells_calls)
"""The engines that know single calls."""


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it was taken. `warning` says what a user should know about it."""

    name: str
    reason: str
    warning: str | None = None

    @property
    def entry(self) -> Entry:
        """All that is said of it."""
        return ENGINES[self.name]


def make(name: str) -> Maker:
    """What makes an engine for (truth, needs, mirrors); telemetry is as late as the truth's world says."""
    return lagged(ENGINES[name].load())


def no_compiler() -> str | None:
    """Why nothing can be compiled here, or None if it can."""
    from sim.world import jit

    return jit.missing


def _many_payoffs(world: World) -> str | None:
    """Why event by event is quicker, or None: aggregate draws how often each payoff comes, also of those that nobody gets."""
    requests = float(world.requests.mean())
    for outcome in world.outcomes:
        payoffs = outcome.atoms.shape[1]
        if payoffs > max(requests, _MANY):
            return f"{outcome.spec.name} has {payoffs:,} different payoffs, and a tick {requests:,.0f} requests"
    return None


def choose(asked: str, world: World, needs: Sequence[Column] = ()) -> Choice:
    """The engine asked for, or the cheapest exact one, for policies with these needs.

    Raises `InputError` if the one asked for cannot play the world, or no engine can count what is needed.

    Without a compiler, SimPy plays what the compiled engine would have: the same bits, a hundred times slower, and a warning.
    """
    uncountable = list(overflows(world, needs))
    if uncountable:
        raise InputError(uncountable)
    name, reason = asked, "as the scenario says"
    if asked == "auto":
        refused = ENGINES[CHEAPEST].refused(world, needs)
        many = _many_payoffs(world)
        # What is only slower is no reason to play without a compiler.
        if not refused and (many is None or no_compiler()):
            return Choice(CHEAPEST, "exact here: requests do not compete, and no call outlasts a tick")
        name = FASTEST_OF_CALLS
        reason = f"aggregate is not exact here: {'; '.join(refused)}" if refused else f"aggregate is slower here: {many}"
    refused = ENGINES[name].refused(world, needs)
    if refused:
        raise InputError([Problem(f"{name} cannot play this: {why}", path="engine") for why in refused])
    missing = no_compiler() if ENGINES[name].compiles else None
    if missing is None:
        return Choice(name, reason)
    warning = (
        f"there is no working compiler ({missing}): engine {REFERENCE} plays instead, with the same results, a hundred times "
        "slower"
    )  # fmt: skip
    return Choice(REFERENCE, f"{reason}; {name} needs Numba", warning)
