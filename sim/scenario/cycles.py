"""What an outcome's mean follows besides the arm that earns it: hours and days of the week, and random shocks.

The cycles themselves are those of traffic: `sim.scenario.traffic.Daily` and `Weekly`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from sim.scenario.spec import Spec
from sim.units import Duration, Share

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S

Span = tuple[float, float]
"""From a second up to another one, of the week that begins at midnight before the run starts."""


class ShocksSpec(Spec):
    """Chance moves the mean of all arms together: a factor that has a mean of 1 and a course of its own in every replication.

    Its logarithm is a stationary Gaussian process, cut off four standard deviations from its middle. Without shocks, designs
    that compare before with after look better than they are.
    """

    sd: Share = Field(gt=0, description="standard deviation of the factor")
    correlation_time: Duration = Field(
        description="time in which the correlation of the factor's logarithm with its past falls to 1/e; at least a tick"
    )


def spans_of(between: Sequence[float] | None, days: Sequence[int] | None) -> list[Span]:
    """The spans of a week between two times of the day, on some days (1 to 7); all day, or every day, where one is None.

    Hours beyond midnight belong to the calendar day on which they fall.

    >>> spans_of((79_200.0, 21_600.0), (2,))
    [(86400.0, 108000.0), (165600.0, 172800.0)]
    """
    if between is None:
        hours = [(0.0, DAY_S)]
    else:
        start, end = between
        hours = [(start, end)] if start < end else [(0.0, end), (start, DAY_S)]
    return [
        (day * DAY_S + start, day * DAY_S + end)
        for day in (range(7) if days is None else sorted({each - 1 for each in days}))
        for start, end in hours
        if start < end
    ]
