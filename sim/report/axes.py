"""Axes that say their scale, and where a time or a point stands in a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.report.numbers import number
from sim.report.svg import linear_time, log_time, round_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def time_axis(axes: Axes, first: float, last: float) -> str:
    """A time axis on x to `last`, logarithmic from `first` where that is far below it. Returns its name, with the scale."""
    if last / first >= 50:
        log_time(axes, first, last)
        return "simulated time, logarithmic"
    return f"simulated time, {linear_time(axes, last)}, linear"


def mean_time_axis(axes: Axes, first: float, last: float, *, log: bool) -> str:
    """An axis on x for mean times, of which some may be 0. Returns its name, with the scale."""
    if not log:
        unit = linear_time(axes, last)
        axes.set_xlim(-0.04 * last, 1.06 * last)
        return f"mean time to a decision, {unit}, linear"
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    stops = [0.0, first, *(stop for stop in round_times(first, last) if 2 * first < stop < last / 1.8), last]
    axes.set_xticks(stops, [number(stop, "s") if stop else "0" for stop in stops])
    axes.set_xlim(-first * 0.2, last * 1.25)
    axes.minorticks_off()
    return "mean time to a decision, logarithmic"


def symlog_ticks(axes: Axes, knee: float, highest: float, lowest: float = 0.0, unit: str = "value") -> None:
    """Powers of ten on y from about `knee` to `highest`, and as far below 0 as `lowest`; and 0."""
    power = int(np.floor(np.log10(knee)))
    # On both sides of 0 the linear part is in the middle, and narrow.
    least = knee if lowest < 0 else 0.3 * knee
    powers = [10.0**each for each in range(power, power + 15) if least < 10.0**each]
    every = 1 + sum(each <= max(highest, -lowest) for each in powers) // 6
    above, below = ([each for each in powers if each <= far][::-every] for far in (highest, -lowest))
    stops = [*(-each for each in below), 0.0, *above]
    axes.set_yticks(stops, [number(stop, unit) for stop in stops])
    axes.minorticks_off()


def at_times(axes: Axes, times: Floats) -> tuple[tuple[float, float | None], ...]:
    """Where times, or other numbers on x, stand in a chart whose limits and scales are set, in units of its view box."""
    left, right = axes.get_xlim()
    pixels = axes.transData.transform(np.column_stack([np.clip(times, left, right), np.full(times.size, axes.get_ylim()[0])]))
    return tuple((round(float(x), 1), None) for x, _ in pixels)


def at_points(axes: Axes, points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float | None], ...]:
    """Where points (x, y) stand in the chart, from its upper left corner in units of its view box."""
    figure = axes.get_figure()
    assert figure is not None
    pixels = axes.transData.transform(np.array(points, dtype=np.float64))
    return tuple((round(float(x), 1), round(float(figure.bbox.height - y), 1)) for x, y in pixels)
