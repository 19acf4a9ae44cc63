"""Settings and telemetry to test a part without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.policy.base import Evidence, Guardrail, Metric, Part, Setting, View
from sim.policy.columns import Column, Count, mean_of

METRICS = {
    "conversion": Metric("conversion", 1, True, 1.0, 0.2, 0.4, covariate=0.6),
    "revenue": Metric("revenue", 1, False, 0.01, 10.0, 5.0, covariate=0.6),
    "cost": Metric("cost", -1, False, 0.01, 10.0, 5.0, covariate=0.6),
}
SEGMENTS = {"mobile": 0.6, "desktop": 0.4}
ANSWERS, ERRORS = Count("responses"), Count("errors")
KNOWN, CONVERTED = mean_of("conversion")


def make_setting(arms: int = 2, replications: int = 1, ticks: int = 100, primary: str = "conversion") -> Setting:
    """Arms champion, a, b, ...; ticks of ten minutes; users who return, of two segments."""
    names = ("champion", *"abcdefgh"[: arms - 1])
    return Setting(names, replications, ticks, 600.0, primary, METRICS, users=True, segments=SEGMENTS)


def fresh_memory(part: Part, setting: Setting, rows: int) -> dict[str, NDArray[Any]]:
    """A part's memory at the start of a stage, one for each of `rows` replications."""
    return {key: np.repeat(array[None], rows, axis=0) for key, array in part.memory(setting).items()}


def look_at(part: Evidence | Guardrail, setting: Setting, ticks: Sequence[Mapping[Column, Any]]) -> list[NDArray[np.int8]]:
    """The findings (r, K) of a part, tick by tick. A tick maps columns to their counts, (r, K) or (K,)."""
    columns = {column: at for at, column in enumerate(part.needs(setting))}
    rows = max(np.atleast_2d(values).shape[0] for tick in ticks for values in tick.values())
    total = np.zeros((rows, len(setting.arms), len(columns)), np.int64)
    memory = fresh_memory(part, setting, rows)
    findings = []
    for age, tick in enumerate(ticks, start=1):
        last = np.zeros_like(total)
        for column, values in tick.items():
            last[..., columns[column]] = values
        total = total + last
        view = View(setting, age, np.full(rows, age), np.ones(total.shape[:2], bool), last, total, columns, False, memory)
        findings.append(part.judge(view))
    return findings
