"""What a policy knows before it starts: its arms, metrics and time, as the file says and as models registered them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sim.arrays import Floats, Ints
from sim.units import format_duration


@dataclass(frozen=True)
class DeclaredMetric:
    """A metric as a scenario file declares it, before anybody knows what the models registered.

    `sign` is +1 where an increase is better, -1 where a decrease is. `covariate` is the correlation of an outcome with a value
    known before the test, None without one; `delayed` says that feedback takes time, `provisional` that until then an outcome
    counts as 0: a tick's sum then holds outcomes that were counted in earlier ticks. `failed` is what a failed request counts
    as, None where the file does not say it or failures do not count.
    """

    name: str
    sign: int
    covariate: float | None = field(default=None, kw_only=True)
    delayed: bool = field(default=False, kw_only=True)
    provisional: bool = field(default=False, kw_only=True)
    failed: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Metric(DeclaredMetric):
    """A metric as a policy knows it: its nominal values are the team's expectation, never a replication's truth.

    `grid` is the value of one telemetry unit. `values` and `chances` are the champion's registered distribution, where the
    metric is an amount that takes finitely many values; `bell` is the kurtosis of an amount that takes any, 3 if normal. Where
    failed requests count as outcomes, all of these are of requests, not of answers.
    """

    binary: bool
    grid: float
    nominal_mean: float
    nominal_sd: float
    values: tuple[float, ...] = field(default=(), kw_only=True)
    chances: tuple[float, ...] = field(default=(), kw_only=True)
    bell: float = field(default=3.0, kw_only=True)

    @property
    def kurtosis(self) -> float:
        """The champion's registered fourth central moment over its squared variance; 1, the least there is, without variance.

        So a variance that is estimated from n outcomes has a relative standard error of about sqrt((kurtosis - 1) / n) (Mood,
        Graybill & Boes 1974, VI.2.3).

        >>> Metric("m", 1, True, 1.0, 0.5, 0.5).kurtosis, Metric("m", 1, False, 1.0, 9.0, 2.0).kurtosis
        (1.0, 3.0)
        """
        if not self.binary and not self.values:
            return self.bell
        rate = self.nominal_mean
        values, chances = ((0.0, 1.0), (1 - rate, rate)) if self.binary else (self.values, self.chances)
        deviation = np.subtract(values, self.nominal_mean)
        variance, fourth = (float(np.dot(chances, deviation**power)) for power in (2, 4))
        return fourth / variance**2 if variance > 0 else 1.0


@dataclass(frozen=True)
class DeclaredSetting:
    """What a scenario file says of the setting of its policies, before its models are looked up.

    `replications` is R; `tick_s` is in seconds; `ticks` is the horizon. `users` says that requests come from users who return,
    `sticky` that users keep their arm; segments {name: share}; `start_s` is the time of day at which it starts; `replayed` that
    models are replayed on the rows of a data set; `baseline` that one more arm than `arms` is served after them, the champion's
    version deployed anew, which no part decides about.
    """

    arms: tuple[str, ...]
    replications: int
    ticks: int
    tick_s: float
    primary: str
    metrics: Mapping[str, DeclaredMetric]
    users: bool = False
    sticky: bool = False
    segments: Mapping[str, float] = field(default_factory=dict)
    start_s: float = 0.0
    replayed: bool = False
    baseline: bool = field(default=False, kw_only=True)

    def ticks_of(self, duration_s: float) -> int:
        """Whole ticks in a duration, at least one; a part of a tick counts as a tick.

        >>> DeclaredSetting(("a", "b"), 1, 10, 600.0, "m", {}).ticks_of(3600.0)
        6
        """
        return max(1, math.ceil(round(duration_s / self.tick_s, 9)))


Draws = Callable[[str, Ints, tuple[Ints, ...]], Floats]
"""(stream, replications (r,), numbers of (r,) each) to uniforms (r,): those of people, which no traffic shifts."""


@dataclass(frozen=True)
class Setting(DeclaredSetting):
    """What a policy knows before it starts: what the file says, and what the champion registered of every metric.

    `draws` is what happens by chance and is not of the world, such as how long people take; None where nothing is played.
    `table_rows`: of the rows that models are replayed on, how many offline evaluations have; 0 without any.
    """

    metrics: Mapping[str, Metric]
    draws: Draws | None = field(default=None, compare=False, repr=False)
    table_rows: int = field(default=0, kw_only=True)


def whole_ticks(key: str, duration_s: float, setting: DeclaredSetting) -> list[tuple[str, str]]:
    """The rule that a duration is a whole number of ticks, as (key, message) pairs: none, or one.

    >>> whole_ticks("every", 900.0, Setting(("a", "b"), 1, 10, 600.0, "m", {}))
    [('every', 'must be a whole number of ticks of 10m, got 15m')]
    """
    ticks = duration_s / setting.tick_s
    if abs(ticks - round(ticks)) <= 1e-9 * max(ticks, 1.0) and round(ticks) >= 1:
        return []
    rule = f"must be a whole number of ticks of {format_duration(setting.tick_s)}"
    return [(key, f"{rule}, got {format_duration(duration_s)}")]
