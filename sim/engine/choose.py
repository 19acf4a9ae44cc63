"""Which engine plays a world, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sim.engine import aggregate
from sim.engine.base import Engine
from sim.errors import InputError, Problem
from sim.world.world import Truth, World

Maker = Callable[[Truth, tuple[str, ...], bool], Engine]


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it was taken."""

    name: str
    reason: str


def make(name: str) -> Maker:
    """What makes an engine for (truth, needs, mirrors)."""
    if name == "aggregate":
        return aggregate.AggregateEngine
    # SimPy is only loaded where it plays.
    from sim.engine.simpy_engine import SimpyEngine

    return SimpyEngine


def refusals(name: str, world: World) -> Iterator[str]:
    """What an engine cannot express in a world; an engine refuses by name and never approximates."""
    if name == "aggregate":
        yield from aggregate.refusals(world)


def choose(asked: str, world: World) -> Choice:
    """The engine asked for, or the cheapest exact one. Raises `InputError` if the one asked for cannot play the world."""
    if asked != "auto":
        found = list(refusals(asked, world))
        if found:
            raise InputError([Problem(f"{asked} cannot play this: {reason}", path="engine") for reason in found])
        return Choice(asked, "as the scenario says")
    found = list(refusals("aggregate", world))
    if not found:
        return Choice("aggregate", "exact here: requests do not compete, and no call outlasts a tick")
    return Choice("simpy", f"aggregate is not exact here: {'; '.join(found)}")
