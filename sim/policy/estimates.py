"""Estimates of the effect at the verdict, from the telemetry that the policy saw."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from sim import ways
from sim.arrays import Floats, Ints, whole
from sim.policy.base import View
from sim.policy.setting import Metric


@dataclass(frozen=True)
class EffectEstimates:
    """Estimates at the verdict of the effect on the primary metric, of the shipped arm or else of the best one in the stage.

    All arrays are (R,). arm is -1, and the others NaN, where there is no verdict, or the stage that gave it read no reward.
    Effects are relative to the champion's mean, positive where the challenger is better, each with its standard error.

    effect, error: what the rule of evidence itself estimates, with its tally and its adjustment; naive where it has none.
    naive: the difference of the means of the outcomes known since the stage began. contrast: that within ticks, S / I. aipw:
    the adaptively weighted estimate. unbiased, lower, upper: the estimate that allows for the rule having ended it early,
    and its 95% interval, where the rule has one. planned: how much of the information that the rule waits for had arrived, as a
    share, where the stage ended without a finding.
    """

    arm: Ints
    effect: Floats
    error: Floats
    naive: Floats
    naive_error: Floats
    contrast: Floats
    contrast_error: Floats
    aipw: Floats
    aipw_error: Floats
    unbiased: Floats
    lower: Floats
    upper: Floats
    planned: Floats

    @classmethod
    def none(cls, rows: int) -> EffectEstimates:
        """R replications without an estimate: arm is -1, and all else is NaN."""
        return cls(np.full(rows, -1, np.int64), *(np.full(rows, np.nan) for _ in fields(cls)[1:]))


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
    return known(metric.sign * result.effect, result.standard_error)


def within_ticks(view: View, metric: Metric, arm: Ints) -> tuple[Floats, Floats]:
    """(r,) each: the relative difference of an arm (r,) and the champion within ticks, S / I, and its standard error.

    NaN as in `naive`. Source: `sim.stats.within_ticks`.
    """
    from sim.stats.within_ticks import difference, difference_test

    found = difference(*view.contrasts.outcomes(metric))
    result = difference_test(found, "z_unpooled" if metric.binary else "welch", "relative")
    picked = np.arange(arm.size), arm - 1
    return known(metric.sign * result.effect[picked], result.standard_error[picked])


def known(effect: Floats, error: Floats) -> tuple[Floats, Floats]:
    """An estimate and its standard error, both NaN where the error is infinite or 0.

    >>> known(np.array([0.1, 0.2]), np.array([0.05, np.inf]))
    (array([0.1, nan]), array([0.05,  nan]))
    """
    sure = np.isfinite(error) & (error > 0)
    return np.where(sure, effect, np.nan), np.where(sure, error, np.nan)


@dataclass
class Aipw:
    """The sums behind the adaptively weighted, augmented inverse-propensity estimate of every challenger's effect.

    A request of an arm with share e scores its deviation from the arm's running mean over e, and the difference of the running
    means is added to every request's score: so a score is an unbiased estimate of the effect whatever the shares depend on.
    Ticks are weighted by h = sqrt(e0 ek / (e0 + ek)), which makes the variance of what they add the same at any shares; under
    constant shares the weights do not matter. The arrays are (R, K - 1), sums over ticks since the stage was entered.

    Source: Hadad, Hirshberg, Zhan, Wager & Athey, PNAS 118 (2021): scores of the difference, with the weights that they call
    constant allocation.
    """

    rows: int
    challengers: int
    sums: Floats = field(init=False)

    def __post_init__(self) -> None:
        # In memory replications are next to each other, as all arithmetic runs over them.
        self.sums = np.zeros((len(_SUMS), self.challengers, self.rows)).transpose(0, 2, 1)

    @property
    def in_memory(self) -> Floats:
        """(7, K - 1, R) the sums as they lie in memory, for kernels."""
        return self.sums.transpose(0, 2, 1)

    def clear(self, rows: Ints) -> None:
        """Forget what replications `rows` (r,) have seen: they enter a stage."""
        self.sums[:, rows] = 0.0

    def add(self, rows: Ints, last: Ints, total: Ints, places: Ints, live: Floats, expected: float, grid: float) -> None:
        """Add a tick of replications `rows` (r,): its telemetry last (r, K, C), and the total (R, K, C) of the ticks before it.

        places (3,): where the number of outcomes, their sum and their sum of squares stand, in steps of the `grid`; live (r, K)
        the shares under which they arrived; expected: what an arm's mean is taken for while it has no outcome.
        """
        if ways.compiles(live.size):
            from sim.policy import kernels

            kernels.add_scores(self.in_memory, whole(rows), whole(last), total, places, whole(live), expected, grid)
            return
        # While every replication is undecided, all sums are added to in place, which is faster.
        of: Ints | slice = slice(None) if rows.size == self.rows else rows
        n, y, yy = (last[..., place].T.astype(np.float64) for place in places)
        seen, before = (total[of, :, place].T.astype(np.float64) for place in places[:2])
        y, yy, before, live = y * grid, yy * (grid * grid), before * grid, live.T
        mean = np.full(seen.shape, expected)
        np.divide(before, seen, out=mean, where=seen > 0)
        # A tick says something of an arm only where that arm can be served.
        compared = live[:1] * live[1:] > 0
        shares = np.where(live > 0, live, 1.0)
        inverse = 1 / shares
        weight = np.where(compared, 1 / (inverse[:1] + inverse[1:]), 0.0)
        h = np.sqrt(weight)
        off = (y - mean * n) / shares
        spread = (yy - 2 * mean * y + mean * mean * n) / shares**2
        everyone = n.sum(axis=0, keepdims=True)
        gap = mean[1:] - mean[:1]
        apart = off[1:] - off[:1]
        score = everyone * gap + apart
        square = everyone * gap * gap + 2 * gap * apart + spread[1:] + spread[:1]
        champion = everyone * mean[:1] + off[:1]
        for place, each in enumerate(
            (h * everyone, h * score, weight * square, weight * score, weight * everyone, h * champion, weight * spread[:1])
        ):
            self.sums[place, of] += each.T

    def estimate(self, rows: Ints, arm: Ints, sign: int) -> tuple[Floats, Floats]:
        """(r,) each: the relative effect of an arm (r,) in replications `rows`, and its standard error; NaN as in `naive`."""
        n, score, square, weighted, weights, champion, of_champion = self.sums[:, rows, arm - 1]
        safe = np.where(n > 0, n, 1.0)
        effect, base = score / safe, champion / safe
        variance = np.maximum(square - 2 * effect * weighted + effect**2 * weights, 0.0) / safe**2
        share = np.minimum(np.maximum(of_champion, 0.0) / safe**2, variance)
        defined = (n > 0) & (base != 0)
        level = np.where(defined, np.abs(base), 1.0)
        # By the delta method, as for any ratio of two means.
        error = np.sqrt((variance - share) + share * ((base + effect) / level) ** 2) / level
        return known(np.where(defined, sign * effect / level, np.nan), np.where(defined, error, np.inf))


_SUMS = ("h n", "h score", "h² score²", "h² score", "h² n", "h champion", "h² champion²")
