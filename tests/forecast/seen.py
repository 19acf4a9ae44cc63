"""Rollouts of which the first part is played by the simulator, and told as a table of tallies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.arrays import Ints
from sim.engine.catalogue import make
from sim.policy.base import Verdict
from sim.policy.columns import Column, Count
from sim.run.plan import PlannedPoint
from sim.run.trial import account, rounds

EXTRA = (Count("requests"), Count("responses"), Count("errors"))


@dataclass(frozen=True)
class Rollout:
    """One rollout, from start to end: its truth, its telemetry {column: (T, K)}, and its trial as columns (1,)."""

    counts: Mapping[Column, Ints]
    trial: Mapping[str, Any]
    better: bool

    @property
    def ended(self) -> int:
        """The tick of its verdict; a large one without."""
        return int(self.trial["decided"]) if self.trial["verdict"] != Verdict.UNDECIDED else 10**9


def play(point: PlannedPoint, policy: str, replication: int) -> Rollout:
    """Play a replication of a policy, and keep what monitoring showed."""
    truth, agent = point.world.realise(np.array([replication])), point.policy(policy)
    setting = point.world.setting(1, truth.replications)
    needs = tuple(dict.fromkeys((*agent.needs(setting), *EXTRA)))
    engine = make(point.engine.name)(truth, needs, agent.mirrors())
    shown = []
    inner = engine.step

    def step(routing: Any) -> Any:
        telemetry = inner(routing)
        shown.append(telemetry.counts[0])
        return telemetry

    engine.step = step  # type: ignore[method-assign]
    asked = agent.needs

    for _ in rounds(agent, setting, _Narrow(engine, len(asked(setting))), point.world.ticks, {}):
        pass
    engine.settle(agent.verdicts.arm, agent.verdicts.decided_tick)
    told = account(truth, agent.verdicts, engine.ledger)
    trial = {name: values[0] for name, values in told.items()} | {"decided": agent.verdicts.decided_tick[0]}
    counts = np.array(shown)
    return Rollout(
        {column: counts[:, :, place] for place, column in enumerate(needs)}, trial, bool(truth.worths.overall.better[0, 1])
    )


class _Narrow:
    """An engine that shows a policy the first columns only."""

    def __init__(self, engine: Any, columns: int) -> None:
        self._engine, self._columns = engine, columns

    @property
    def tick(self) -> int:
        return int(self._engine.tick)

    def step(self, routing: Any) -> Any:
        from dataclasses import replace

        telemetry = self._engine.step(routing)
        return replace(telemetry, counts=telemetry.counts[..., : self._columns])


def write(
    rollout: Rollout, point: PlannedPoint, file: Path, until: int, every: int = 1, *, cumulative: bool = True
) -> Path:  # fmt: skip
    """The tallies of the first ticks as a CSV file, a row for each look and arm; binary metrics only."""
    arms, columns = point.world.arms, list(rollout.counts)
    lines = [",".join(["time", "arm", *(column.name for column in columns)])]
    ends = [*range(every, until, every), until]
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        for place, arm in enumerate(arms):
            since = 0 if cumulative else first
            values = [str(int(rollout.counts[column][since:end, place].sum())) for column in columns]
            lines.append(",".join([str(end * point.world.tick_s), arm, *values]))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
