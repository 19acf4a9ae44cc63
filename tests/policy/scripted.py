"""Scripted telemetry and the smallest parts, to try the stage machine and single parts by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sim.policy.allocation import Fixed
from sim.policy.base import Evidence, Finding, Guardrail, Metric, Part, Routing, Setting, Telemetry, View
from sim.policy.columns import Column, Count, mean_of
from sim.policy.machine import StagedPolicy
from sim.policy.stages import On, Stage

CODES = {".": Finding.UNDECIDED, "P": Finding.PASS, "F": Finding.FAIL, "I": Finding.INCONCLUSIVE, "N": Finding.NULL}
METRICS = {
    "conversion": Metric("conversion", 1, True, 1.0, 0.2, 0.4, covariate=0.6),
    "revenue": Metric("revenue", 1, False, 0.01, 10.0, 5.0, covariate=0.6),
    "cost": Metric("cost", -1, False, 0.01, 10.0, 5.0, covariate=0.6),
}
SEGMENTS = {"mobile": 0.6, "desktop": 0.4}


@dataclass(frozen=True, repr=False)
class Script(Column):
    """What a test tells a part of its own: a column that no engine fills."""

    part: str

    @property
    def _label(self) -> str:
        return self.part


TOLD, GUARD = Script("told"), Script("guard")
ANSWERS, ERRORS = Count("responses"), Count("errors")
KNOWN, CONVERTED = mean_of("conversion")


def make_setting(arms: int = 2, replications: int = 1, ticks: int = 100, primary: str = "conversion") -> Setting:
    """Arms champion, a, b, ...; ticks of ten minutes; users who return, of two segments."""
    names = ("champion", *"abcdefgh"[: arms - 1])
    return Setting(names, replications, ticks, 600.0, primary, METRICS, users=True, segments=SEGMENTS)


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
        routing = policy.step(Telemetry(tick, counts, policy.columns))
        routings.append(routing)
    return routings


def fresh_memory(part: Part, setting: Setting, rows: int) -> dict[str, NDArray[Any]]:
    """A part's memory at the start of a stage, one for each of `rows` replications."""
    return {key: np.repeat(array[None], rows, axis=0) for key, array in part.memory(setting).items()}


def look_at(part: Evidence | Guardrail, setting: Setting, ticks: Sequence[Mapping[Column, Any]]) -> list[NDArray[np.int8]]:
    """What a part finds tick by tick. A tick maps columns to their counts, (r, K) or (K,)."""
    columns = {column: at for at, column in enumerate(part.needs(setting))}
    rows = max(np.atleast_2d(values).shape[0] for tick in ticks for values in tick.values())
    total = np.zeros((rows, len(setting.arms), len(columns)), np.int64)
    memory = fresh_memory(part, setting, rows)
    found = []
    for age, tick in enumerate(ticks, start=1):
        last = np.zeros_like(total)
        for column, values in tick.items():
            last[..., columns[column]] = values
        total = total + last
        view = View(setting, age, np.full(rows, age), np.ones(total.shape[:2], bool), last, total, columns, False, memory)
        found.append(part.judge(view))
    return found
