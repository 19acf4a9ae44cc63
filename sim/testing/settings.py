"""Settings and telemetry to test a part without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.policy.base import Evidence, Guardrail, Part, View
from sim.policy.columns import Column, Count, Moment, mean_of
from sim.policy.contrast import Contrasts
from sim.policy.setting import Metric, Setting

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


def realised(counts: Ints, columns: Mapping[Column, int]) -> Floats:
    """(r, K) the shares of known outcomes that the arms have in counts (r, K, C); even where nothing is known."""
    known = [at for column, at in columns.items() if isinstance(column, Moment) and column.moment == "count"]
    if not known:
        return np.full(counts.shape[:2], 1 / counts.shape[1])
    return shares_of(counts[..., known[0]])


def shares_of(known: Ints) -> Floats:
    """(r, K) the arms' shares of known outcomes (r, K); even where nothing is known.

    >>> shares_of(np.array([[30, 10], [0, 0]])).tolist()
    [[0.75, 0.25], [0.5, 0.5]]
    """
    total = known.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 0, known / np.where(total > 0, total, 1), 1 / known.shape[1])
    return shares


def contrasted(part: Part, setting: Setting, columns: Mapping[Column, int]) -> tuple[list[Column], Ints]:
    """The columns that a part compares within ticks, and their places."""
    wanted = list(dict.fromkeys(part.contrasts(setting)))
    return wanted, np.array([columns[column] for column in wanted], np.int64)


def look_at(
    part: Evidence | Guardrail,
    setting: Setting,
    ticks: Sequence[Mapping[Column, Any]],
    live: Sequence[Floats] | None = None,
) -> list[NDArray[np.int8]]:
    """The findings (r, K) of a part, tick by tick. A tick maps columns to their counts, (r, K) or (K,).

    `live` are the shares of traffic in every tick, (r, K) each; those that the counts have, if left out.
    """
    columns = {column: at for at, column in enumerate(part.needs(setting))}
    rows = max(np.atleast_2d(values).shape[0] for tick in ticks for values in tick.values())
    total = np.zeros((rows, len(setting.arms), len(columns)), np.int64)
    memory = fresh_memory(part, setting, rows)
    wanted, places = contrasted(part, setting, columns)
    contrasts = Contrasts.empty(rows, len(setting.arms), wanted)
    findings = []
    for age, tick in enumerate(ticks, start=1):
        last = np.zeros_like(total)
        for column, values in tick.items():
            last[..., columns[column]] = values
        total = total + last
        shares = realised(last, columns) if live is None else live[age - 1]
        contrasts.add(np.arange(rows), last, shares, places)
        view = View(
            setting, age, np.full(rows, age), np.ones(total.shape[:2], bool), last, total, columns, False, memory, contrasts
        )
        findings.append(part.judge(view))
    return findings
