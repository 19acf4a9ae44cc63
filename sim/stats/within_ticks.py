"""The difference of two arms, compared within ticks and then added up, from weighted counts, sums and sums of squares.

Where weights and means both change over time, arms that are pooled over time are compared at different times. A contrast
compares what arrived in the same tick. With w the challenger's share of the two arms in a tick, the challenger's outcomes weigh
1 - w and the champion's -w, so what both arms have in common cancels in every tick.

Source: Robinson, Econometrica 56 (1988), the regression of residuals on residuals, here with a known propensity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.two_sample import Kind, Scale, TestResult, require_known, tail
from sim.stats.validation import require

CENTRE, FIRST, SECOND = range(3)
"""The weights of an outcome: w (1 - w), for what both arms have in common; |a|, for the difference; and a^2, for its variance,
where a is 1 - w of the challenger's outcomes and w of the champion's."""

# Sums over many ticks leave rounding errors; a variance below this share of the squares is one of them.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class WeightedMoments:
    """The number of outcomes of an arm, their sum and their sum of squares, each under the three weights: (..., 3)."""

    count: Floats
    total: Floats
    square: Floats

    def scaled(self, factor: float | Floats) -> WeightedMoments:
        """The moments of the outcomes times a factor, which broadcasts against (...)."""
        times = np.asarray(factor)[..., None]
        return WeightedMoments(self.count, self.total * times, self.square * times**2)

    def less(self, slope: Floats, other: WeightedMoments, product: Floats) -> WeightedMoments:
        """The moments of y - slope · x, of the same outcomes: slope (...), `other` those of x, `product` (..., 3) of x y."""
        theta = slope[..., None]
        return WeightedMoments(
            self.count, self.total - theta * other.total, self.square - 2 * theta * product + theta**2 * other.square
        )

    @property
    def mean(self) -> Floats:
        """(...) the mean at the times at which the arms are compared; 0 without outcomes."""
        count = self.count[..., CENTRE]
        return np.where(count > 0, self.total[..., CENTRE] / np.where(count > 0, count, 1.0), 0.0)

    @property
    def spread(self) -> Floats:
        """(..., 3) the weighted sum of squared deviations from the weighted mean; 0 where it is only a rounding error."""
        count = np.where(self.count > 0, self.count, 1.0)
        deviations = self.square - self.total * self.total / count
        return np.where(deviations > _ROUNDING * self.square, deviations, 0.0)

    @property
    def effective(self) -> Floats:
        """(...) how many outcomes of equal weight would say as much (Kish 1965)."""
        second = self.count[..., SECOND]
        return np.where(second > 0, self.count[..., FIRST] ** 2 / np.where(second > 0, second, 1.0), 0.0)


def weigh(counts: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """One tick's counts under the three weights, of the champion and of the challengers: (r, K - 1, C, 3) each.

    counts (r, K, C) of a tick; weight (r, K - 1) the share w of each challenger among its outcomes and the champion's.

    >>> champion, challenger = weigh(np.array([[[90.0], [10.0]]]), np.array([[0.1]]))
    >>> champion.round(2).tolist(), challenger.round(2).tolist()
    ([[[[8.1, 9.0, 0.9]]]], [[[[0.9, 9.0, 8.1]]]])
    """
    rest = 1 - weight
    both = weight * rest
    # Stacked with replications last, as NumPy is quickest where its longest axis is its innermost.
    of_champion = np.stack([both.T, weight.T, (weight * weight).T])[:, None]
    of_challenger = np.stack([both.T, rest.T, (rest * rest).T])[:, None]
    seen = np.ascontiguousarray(counts.T)
    return (of_champion * seen[:, :1]).T, (of_challenger * seen[:, 1:]).T


@dataclass(frozen=True)
class Difference:
    """A challenger's mean less the champion's, (...): the estimate, the arms' shares of its variance, and what it rests on.

    information: n0 nk / (n0 + nk) with constant weights; 0 where the arms have never been compared. pooled: the variance with
    the outcomes of both arms taken together, as under no difference. base: the champion's mean at the times of the comparison.
    effective0, effective1: the outcomes of equal weight that would say as much. covariance: of the arms' means, where the same
    users are in both.
    """

    effect: Floats
    variance0: Floats
    variance1: Floats
    pooled: Floats
    base: Floats
    information: Floats
    effective0: Floats
    effective1: Floats
    covariance: Floats | float = 0.0

    def widened(self, times: Floats) -> Difference:
        """The same estimate with a variance that is `times` (...) as large."""
        wider = {name: getattr(self, name) * times for name in ("variance0", "variance1", "pooled", "covariance")}
        return replace(self, **wider)


def difference(champion: WeightedMoments, challenger: WeightedMoments) -> Difference:
    """Estimate S / I of how much larger the challenger's mean is, and its variance V / I^2.

    S is the sum of a (y - m), I that of a^2 and V that of a^2 (y - mean)^2, with m the mean of both arms at the times of the
    comparison, and in V each arm's own mean. The estimate does not depend on what both arms' means do together over time. Under
    shares that depend on earlier outcomes S stays a martingale where there is no difference.

    >>> moments = [WeightedMoments(*(np.array([each]) for each in ([8.1, 9, .9], [1.8, 2, .2], [1.8, 2, .2]))),
    ...            WeightedMoments(*(np.array([each]) for each in ([.9, 9, 8.1], [.45, 4.5, 4.05], [.45, 4.5, 4.05])))]
    >>> found = difference(*moments)
    >>> found.effect.round(4), found.information
    (array([0.2778]), array([9.]))
    """
    count = champion.count[..., CENTRE] + challenger.count[..., CENTRE]
    total = champion.total[..., CENTRE] + challenger.total[..., CENTRE]
    square = champion.square[..., CENTRE] + challenger.square[..., CENTRE]
    safe = np.where(count > 0, count, 1.0)
    middle = np.where(count > 0, total / safe, 0.0)
    score = challenger.total[..., FIRST] - champion.total[..., FIRST]
    score = score - middle * (challenger.count[..., FIRST] - champion.count[..., FIRST])
    sides = champion.count[..., SECOND], challenger.count[..., SECOND]
    known = (sides[0] > 0) & (sides[1] > 0)
    information = np.where(known, sides[0] + sides[1], 0.0)
    divisor = np.where(known, information, 1.0)
    deviations = square - total * middle
    pooled = np.where(deviations > _ROUNDING * square, deviations / safe, 0.0) / divisor
    return Difference(
        effect=np.where(known, score / divisor, 0.0),
        variance0=champion.spread[..., SECOND] / divisor / divisor,
        variance1=challenger.spread[..., SECOND] / divisor / divisor,
        pooled=pooled,
        base=champion.mean,
        information=information,
        effective0=champion.effective,
        effective1=challenger.effective,
    )


def difference_test(of: Difference, kind: Kind = "z_unpooled", scale: Scale = "absolute") -> TestResult:
    """Two-sided tests of no difference; the kinds and scales are those of `two_sample`, to which they are equal to first order
    where weights and means stay as they are.

    `welch` counts outcomes by their effective number. On the relative scale the effect is over |base|, with a standard error by
    the delta method; it needs unpooled variances. The statistic is 0 and the p-value 1 without data for a test.

    Raises `InputError` for an unknown kind or scale, and a pooled variance on the relative scale.

    Source: see the module; `sim.stats.two_sample` for the kinds.
    """
    require_known(kind, scale)
    require(scale == "absolute" or kind != "z_pooled", "kind", "must be z_unpooled or welch on the relative scale", kind)
    least = 2 - 1e-9 if kind == "welch" else 0.0
    effect, enough = of.effect, (of.information > 0) & (np.minimum(of.effective0, of.effective1) >= least)
    share, shared = np.stack([of.variance0, of.variance1]), np.asarray(of.covariance)
    degrees = np.full(effect.shape, np.inf)
    if kind == "z_pooled":
        champion = np.where(of.information > 0, _champion_share(of), 0.5)
        share = np.stack([champion * of.pooled, (1 - champion) * of.pooled])
    divisor = np.maximum(np.stack([of.effective0, of.effective1]) - 1, 1.0)
    if kind == "welch":
        share = share * (1 + 1 / divisor)
    if scale == "relative":
        defined = of.base != 0
        base = np.where(defined, np.abs(of.base), 1.0)
        enough = enough & defined
        slope = np.where(defined, (of.base + effect) / np.where(defined, of.base, 1.0), 0.0)
        share, shared = np.stack([share[0] * slope**2, share[1]]) / base**2, shared * slope / base**2
        effect = np.where(defined, effect / base, 0.0)
    apart = share.sum(0)
    variance = np.maximum(apart - 2 * shared, 0.0)
    positive = np.where(apart > 0, apart, 1.0)
    if kind == "welch":
        fourth = ((share / positive) ** 2 / divisor).sum(0)
        degrees = np.where(enough & (variance > 0), 1 / np.where(fourth > 0, fourth, 1.0), np.inf)
    error = np.where(enough, np.sqrt(variance), np.inf)
    testable = enough & (variance > 0)
    statistic = np.where(testable, effect / np.where(testable, error, 1.0), 0.0)
    p_value = np.where(testable, tail(statistic, degrees, "two-sided"), 1.0)
    return TestResult(effect, error, statistic, p_value, degrees, np.where(variance > 0, share[0] / positive, 0.5))


def _champion_share(of: Difference) -> Floats:
    """(...) arm 0's share of the information, by effective outcomes: (1/n0) / (1/n0 + 1/n1)."""
    n0, n1 = np.maximum(of.effective0, 1e-300), np.maximum(of.effective1, 1e-300)
    return np.asarray(n1 / (n0 + n1))


def moments(count: ArrayLike, total: ArrayLike, square: ArrayLike, weight: ArrayLike, *, champion: bool) -> WeightedMoments:
    """The weighted moments of outcomes whose sums all arrived at one weight w (...): of the champion, or of a challenger.

    >>> before = moments(90, 9, 9, 0.1, champion=True)
    >>> before.count.round(2), before.mean
    (array([8.1, 9. , 0.9]), array(0.1))
    """
    w = np.asarray(weight, np.float64)
    own = w if champion else 1 - w
    by = np.stack(np.broadcast_arrays(w * (1 - w), own, own * own), axis=-1)
    return WeightedMoments(*(np.asarray(each, np.float64)[..., None] * by for each in (count, total, square)))
