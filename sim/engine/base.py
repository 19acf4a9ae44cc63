"""The protocol of every engine: it returns telemetry for a routing, and keeps a ledger that no policy sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from sim.arrays import Ints
from sim.engine.ledger import Ledger
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Column
from sim.policy.stretch import Stretch
from sim.world.world import Truth


class Stepped(Protocol):
    """What answers a routing with telemetry, one tick at a time."""

    tick: int
    """Ticks played."""

    def step(self, routing: Routing) -> Telemetry:
        """Play one tick under a routing. Returns the telemetry of that tick."""


@runtime_checkable
class Striding(Protocol):
    """What may also play many ticks at once, while a policy changes nothing."""

    tick: int

    @property
    def strides(self) -> bool:
        """Whether it may now."""

    def stride(self, routing: Routing, stretch: Stretch) -> Telemetry | None:
        """Play as many ticks as a stretch lasts, one at least, and add them to its sums. Returns the telemetry of the last.

        None where it plays tick by tick: then nothing has happened.
        """


class Engine(Stepped, Protocol):
    """R replications of one scenario, advanced together, one tick at a time."""

    ledger: Ledger

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """Book the cost of each verdict until the horizon. arm, decided_tick (R,); -1 where nothing was decided."""


Maker = Callable[[Truth, tuple[Column, ...], bool], Engine]
"""Makes an engine for (truth, needs, mirrors). Raises `InputError` if it cannot fill a column that is needed."""
