"""Estimates of the effect at the verdict, from the telemetry that the policy saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.policy.base import Metric, View


@dataclass(frozen=True)
class EffectEstimates:
    """Estimates at the verdict of the effect on the primary metric, of the shipped arm or else of the best one in the stage.

    All arrays are (R,). arm is -1, and the others NaN, where there is no verdict, or the stage that gave it read no reward.
    Effects are relative to the champion's mean, positive where the challenger is better. effect, error: the difference of the
    means and its standard error, from the outcomes known since the stage began. unbiased, lower, upper: the estimate that
    allows for the rule of evidence having ended the stage early, and its 95% interval, where that rule has one.
    """

    arm: Ints
    effect: Floats
    error: Floats
    unbiased: Floats
    lower: Floats
    upper: Floats

    @classmethod
    def none(cls, rows: int) -> EffectEstimates:
        """R replications without an estimate: arm is -1, and all else is NaN."""
        return cls(np.full(rows, -1, np.int64), *(np.full(rows, np.nan) for _ in range(5)))


def naive(view: View, metric: Metric, arm: Ints) -> tuple[Floats, Floats]:
    """(r,) each: the relative difference of the means of an arm (r,) and the champion, and its standard error.

    NaN where an arm has no known outcomes, nothing varies, or the champion's mean is 0.

    Source: Deng, Knoblich & Lu, KDD (2018), §3.1 (delta method).
    """
    from sim.stats.two_sample import two_sample

    rows = np.arange(arm.size)
    n, total, square = view.moments(metric)
    result = two_sample(
        "z_unpooled" if metric.binary else "welch", n[:, 0], total[:, 0], square[:, 0],
        n[rows, arm], total[rows, arm], square[rows, arm], scale="relative",
    )  # fmt: skip
    known = np.isfinite(result.standard_error) & (result.standard_error > 0)
    return np.where(known, metric.sign * result.effect, np.nan), np.where(known, result.standard_error, np.nan)
