"""Which engine plays a world, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sim.engine import aggregate
from sim.engine.columns import column, overflows
from sim.engine.lag import Maker, lagged
from sim.errors import InputError, Problem
from sim.world.world import World

# So many payoffs are drawn in no time, however few requests there are.
_MANY = 1000


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it was taken. `warning` says what a user should know about it."""

    name: str
    reason: str
    warning: str | None = None


def make(name: str) -> Maker:
    """What makes an engine for (truth, needs, mirrors); telemetry is as late as the truth's world says."""
    # Numba and SimPy are only loaded where they play.
    if name == "aggregate":
        return lagged(aggregate.AggregateEngine)
    if name == "compiled":
        from sim.engine.compiled import CompiledEngine

        return lagged(CompiledEngine)
    from sim.engine.simpy_engine import SimpyEngine

    return lagged(SimpyEngine)


def refusals(name: str, world: World, needs: Collection[str] = ()) -> Iterator[str]:
    """What an engine cannot express in a world, or tell of it; an engine refuses by name and never approximates."""
    if name == "aggregate":
        yield from aggregate.refusals(world)
        if any(column(need).mirrored for need in needs):
            yield from aggregate.mirror_refusals(world)
        fed = [need for need in needs if column(need).fed]
        if fed:
            yield f"adjust: {fed[0]} takes single requests to tell"


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


def choose(asked: str, world: World, needs: Collection[str] = ()) -> Choice:
    """The engine asked for, or the cheapest exact one, for policies with these needs.

    Raises `InputError` if the one asked for cannot play the world, or no engine can count what is needed.

    Without a compiler, SimPy plays what the compiled engine would have: the same bits, a hundred times slower, and a warning.
    """
    uncountable = list(overflows(world, needs))
    if uncountable:
        raise InputError(uncountable)
    if asked not in ("auto", "compiled"):
        found = list(refusals(asked, world, needs))
        if found:
            raise InputError([Problem(f"{asked} cannot play this: {reason}", path="engine") for reason in found])
        return Choice(asked, "as the scenario says")
    reason = "as the scenario says"
    if asked == "auto":
        found = list(refusals("aggregate", world, needs))
        many = _many_payoffs(world)
        # What is only slower is no reason to play without a compiler.
        if not found and (many is None or no_compiler()):
            return Choice("aggregate", "exact here: requests do not compete, and no call outlasts a tick")
        reason = f"aggregate is not exact here: {'; '.join(found)}" if found else f"aggregate is slower here: {many}"
    missing = no_compiler()
    if missing is None:
        return Choice("compiled", reason)
    warning = (
        f"there is no working compiler ({missing}): engine simpy plays instead, with the same results, a hundred times slower"
    )
    return Choice("simpy", f"{reason}; compiled needs Numba", warning)
