"""The timeline as series that MLflow draws: against simulated time in whole units, which the names of the metrics say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sim.arrays import Floats
from sim.run.record import Record
from sim.run.timeline import FILE, read_timeline
from sim.tracking.folder import RunFolder
from sim.tracking.names import safe_names

POINTS, FEWEST = 200, 16
"""The largest number of points that are logged of a series of the timeline, and that of a run of hundreds of policies."""
IN_ALL = 20_000
"""Points of all series of a run that a store takes in seconds, and a page draws."""

_LEAST = 24
"""How many units a horizon has at least, as far as there is such a unit."""
_UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 0.001}
_SHARES = ("decided", "shipped", "kept", "inconclusive")


@dataclass(frozen=True)
class Point:
    """One value of a series, at a whole number of units of its axis."""

    key: str
    value: float
    step: int


def unit_of(horizon_s: float) -> str:
    """The unit of simulated time: the largest of which the horizon has at least 24.

    >>> unit_of(7 * 86400), unit_of(3600), unit_of(60)
    ('hours', 'minutes', 'seconds')
    """
    return next((name for name, seconds in _UNITS.items() if horizon_s >= _LEAST * seconds), "milliseconds")


def timeline_of(folder: RunFolder) -> dict[str, tuple[Point, ...]]:
    """Policy → the points of its series: shares of trials that have ended, mean regret, and each arm's mean share of traffic.

    The value at a unit is that after the last kept tick that was completed by then. All levels of all ticks are in the
    timeline's file. Raises `InputError` where that cannot be read.
    """
    if folder.file(FILE) is None:
        return {}
    record = folder.record
    found = read_timeline(folder.path, record).items()
    most = min(POINTS, max(FEWEST, IN_ALL // (len(record.policies) * len(_names(record)))))
    return {policy: tuple(_points(columns, record, most)) for policy, columns in found if policy in record.finished}


def _points(columns: Mapping[str, Floats], record: Record, most: int) -> Iterator[Point]:
    import numpy as np

    unit = unit_of(record.horizon_s)
    # A tick that ends at a whole unit ends there, whatever the floating point makes of it.
    steps = np.ceil(columns["time_s"] / _UNITS[unit] - 1e-6).astype(np.int64)
    # Of the ticks of a unit the last one counts.
    rows = np.flatnonzero(np.append(steps[1:] != steps[:-1], True)) if steps.size else steps
    rows = rows[np.unique(np.linspace(0, rows.size - 1, min(rows.size, most)).round().astype(np.int64))]
    for name, key in _names(record).items():
        series = columns[name][rows]
        if name.startswith("mirror.") and not np.nan_to_num(series).any():
            continue
        # A line through a level stretch needs only its ends.
        drawn = np.isfinite(series)
        drawn[1:-1] &= (series[1:-1] != series[:-2]) | (series[1:-1] != series[2:])
        for step, value in zip(steps[rows[drawn]].tolist(), series[drawn].tolist(), strict=True):
            if math.isfinite(value):
                yield Point(f"over {unit}/{key}", value, int(step))


def _names(record: Record) -> dict[str, str]:
    """Column of the timeline → name of the series."""
    arms = safe_names(record.arms)
    names = {name: name for name in _SHARES} | {"regret_mean": "regret"}
    names |= {f"weight.{arm}.mean": f"traffic.{safe}" for arm, safe in arms.items()}
    return names | {f"mirror.{arm}.mean": f"mirrored.{safe}" for arm, safe in arms.items()}
