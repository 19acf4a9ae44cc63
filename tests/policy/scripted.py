"""Scripted telemetry and the smallest parts, to try the stage machine and single parts by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sim.policy.allocation import Fixed
from sim.policy.base import Evidence, Finding, Guardrail, Routing, Telemetry, View
from sim.policy.columns import Column
from sim.policy.machine import StagedPolicy
from sim.policy.setting import Setting
from sim.policy.stages import On, Stage

CODES = {".": Finding.UNDECIDED, "P": Finding.PASS, "F": Finding.FAIL, "I": Finding.INCONCLUSIVE, "N": Finding.NULL}


@dataclass(frozen=True, repr=False)
class Script(Column):
    """What a test tells a part of its own: a column that no engine fills."""

    part: str

    @property
    def _label(self) -> str:
        return self.part


TOLD, GUARD = Script("told"), Script("guard")


class Told(Evidence):
    """Finds what telemetry tells it to."""

    can_be_null: ClassVar[bool] = True
    kind: Literal["told"] = "told"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (TOLD,)

    def judge(self, view: View) -> NDArray[np.int8]:
        return view.of_last(TOLD).astype(np.int8)


class Survives(Told):
    """The same, without declaring anything."""

    declares: ClassVar[bool] = False


class Guard(Guardrail):
    """A guardrail that finds what telemetry tells it to."""

    kind: Literal["guard"] = "guard"
    metric: str = "guard"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (GUARD,)

    def judge(self, view: View) -> NDArray[np.int8]:
        return view.of_last(GUARD).astype(np.int8)


def make_stage(name: str = "only", **said: Any) -> Stage:
    """A stage that does as told; `on` as in a scenario file, `max_ticks` in ticks of ten minutes."""
    ticks = said.pop("max_ticks", None)
    whole = {
        "name": name,
        "allocation": Fixed(),
        "evidence": Told(),
        "checks": (),
        "max_duration": None if ticks is None else ticks * 600.0,
        **said,
    }
    return Stage.model_construct(**{**whole, "on": On.model_validate(said.get("on", {}))})


def play(policy: StagedPolicy, setting: Setting, ticks: Sequence[str | Mapping[Column, Any]]) -> list[Routing]:
    """The routings of a script, all replications alike. A tick is what evidence is told, a letter a challenger, or columns."""
    routing = policy.start(setting)
    routings = [routing]
    for tick, said in enumerate(ticks):
        columns = {TOLD: said} if isinstance(said, str) else said
        counts = np.zeros((routing.rows.size, len(setting.arms), len(policy.columns)), np.int64)
        if GUARD in policy.columns:
            counts[:, :, policy.columns[GUARD]] = Finding.PASS
        for column, values in columns.items():
            if isinstance(values, str):
                values = [0, *(CODES[letter] for letter in values)]
            counts[:, :, policy.columns[column]] = values
        routing = policy.step(Telemetry(tick, counts, policy.columns, routing.live))
        routings.append(routing)
    return routings
