"""What follows the hour and the day of the week, by tick: cycles of an outcome's mean, and the times at which an effect holds.

What varies within a tick takes its mean over the tick.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.arrays import Floats
from sim.policy.hours import DAY_S, WEEK_S, Span, spans_of
from sim.scenario.traffic import Daily

# Shares nearer to 0 or 1 than this differ from it by rounding alone.
_ROUNDING = 1e-9


def daily(cycle: Daily, start_s: float, ticks: int, tick_s: float) -> Floats:
    """(T,) the mean of 1 + amplitude * cos(2 pi (time - peak) / day) over each tick, of a run that starts at a time of day.

    The mean of a cosine over a span is its value in the middle, times sin(x) / x for x = pi span / day.

    >>> daily(Daily(peak="00:00", amplitude="50%"), 0.0, 2, 43_200.0).round(3).tolist()
    [1.0, 1.0]
    >>> daily(Daily(peak="12:00", amplitude="50%"), 0.0, 3, 28_800.0).round(3).tolist()
    [0.793, 1.413, 0.793]
    """
    # Within the day, so that the same hour is the same bits on every day.
    middle = np.mod(start_s + (np.arange(ticks) + 0.5) * tick_s, DAY_S)
    swing: Floats = cycle.amplitude * np.sinc(tick_s / DAY_S) * np.cos(2 * np.pi * (middle - cycle.peak) / DAY_S)
    return 1 + swing


def weekly(factors: Sequence[float], start_s: float, ticks: int, tick_s: float) -> Floats:
    """(T,) the mean over each tick of a factor that each day of the week has.

    >>> weekly([1, 2, 1, 1, 1, 1, 1], 43_200.0, 2, 86_400.0).tolist()
    [1.5, 1.5]
    """
    found: Floats = sum(
        factor * held(spans_of(None, (day,)), start_s, ticks, tick_s) for day, factor in enumerate(factors, start=1)
    )  # type: ignore[assignment]
    return found


def held(spans: Sequence[Span], start_s: float, ticks: int, tick_s: float) -> Floats:
    """(T,) the share of each tick that lies in some spans of the week, which do not overlap.

    >>> held([(0.0, 900.0)], 0.0, 3, 600.0).tolist()
    [1.0, 0.5, 0.0]
    """
    week, within = np.divmod(start_s + np.arange(ticks + 1) * tick_s, WEEK_S)
    up_to = week * sum(end - start for start, end in spans)
    for start, end in spans:
        up_to = up_to + np.clip(within - start, 0.0, end - start)
    share: Floats = np.diff(up_to) / tick_s
    whole = np.rint(share)
    return np.where(np.abs(share - whole) < _ROUNDING, whole, share)
