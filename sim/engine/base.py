"""What every engine is: telemetry for a routing, and a ledger that no policy sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sim.arrays import Ints
from sim.engine.ledger import Ledger
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Column
from sim.world.world import Truth


class Engine(Protocol):
    """R replications of one scenario, advanced together, one tick at a time."""

    ledger: Ledger
    tick: int
    """Ticks played."""

    def step(self, routing: Routing) -> Telemetry:
        """Play one tick under a routing, and report what monitoring saw in it."""

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """What each verdict costs until the horizon. arm, decided_tick (R,); -1 where nothing was decided."""


Maker = Callable[[Truth, tuple[Column, ...], bool], Engine]
"""Makes an engine for (truth, needs, mirrors). Raises `InputError` if it cannot fill a column that is needed."""
