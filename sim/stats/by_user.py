"""The difference of two arms within ticks, with a variance that is robust to whatever the outcomes of a user have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import Floats
from sim.stats.within_ticks import Difference

# Squares of many users leave rounding errors; a variance below this share of them is one.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class UserSums:
    """Sums over the users of an arm, (...): of a user, the weights of the outcomes add up to n, weights times outcomes to s.

    users: how many there are; weight: the sum of n; total: of s; square: of s²; cross: of n s; sizes: of n².
    """

    users: Floats
    weight: Floats
    total: Floats
    square: Floats
    cross: Floats
    sizes: Floats

    @property
    def mean(self) -> Floats:
        """(...) the weighted mean of the outcomes; 0 without any."""
        return np.where(self.weight > 0, self.total / np.where(self.weight > 0, self.weight, 1.0), 0.0)

    @property
    def scale(self) -> Floats:
        """(...) what a user's residual, the sum of weight times (outcome - mean), is times to be a part of the mean (CR1)."""
        known = (self.weight > 0) & (self.users >= 2)
        correction = np.sqrt(np.where(known, self.users / np.where(known, self.users - 1, 1.0), 0.0))
        return np.asarray(correction / np.where(known, self.weight, 1.0))

    @property
    def variance(self) -> Floats:
        """(...) of the mean; 0 where it is only a rounding error."""
        residuals = self.square - 2 * self.mean * self.cross + self.mean**2 * self.sizes
        return np.where(residuals > _ROUNDING * self.square, residuals, 0.0) * self.scale**2


def difference_by_user(
    champion: UserSums, challenger: UserSums, square: Floats, cross: Floats, counter: Floats, sizes: Floats, plain: Difference
) -> Difference:
    """The difference of the weighted means of two arms, with a variance and a covariance of users, who may be in both.

    All arrays broadcast together. `square`, `cross`, `counter` and `sizes` are sums over users, of s₀ s, n₀ s, s₀ n and n₀ n,
    the champion's n₀ and s₀ beside the challenger's. With the weights of `sim.stats.within_ticks`, w for the champion and 1 - w
    for the challenger, the means are taken over the same times, so that what both arms do together over time cancels; under
    constant shares they are the plain means. The information is that of the `plain` difference of the same outcomes, 0 where an
    arm has fewer than two users.

    It is the regression of the outcomes on the arm, with these weights and standard errors clustered by user; with the
    correction n / (n - 1) for the n users of each arm (CR1).

    Source: Liang & Zeger, Biometrika 73 (1986); overlap weights: Li, Morgan & Zaslavsky, JASA 113 (2018).

    >>> one = UserSums(*(np.array(each, float) for each in (3, 3, 6, 14, 6, 3)))
    >>> two = UserSums(*(np.array(each, float) for each in (3, 3, 9, 29, 9, 3)))
    >>> nobody = np.array(0.0)
    >>> from sim.stats.within_ticks import difference, moments
    >>> plain = difference(moments(3, 6, 14, 0.5, champion=True), moments(3, 9, 29, 0.5, champion=False))
    >>> found = difference_by_user(one, two, nobody, nobody, nobody, nobody, plain)
    >>> float(found.effect), float(found.variance0.round(4)), float(found.variance1.round(4))
    (1.0, 0.3333, 0.3333)
    """
    base, mean = champion.mean, challenger.mean
    known = (champion.scale > 0) & (challenger.scale > 0)
    together = square - base * cross - mean * counter + base * mean * sizes
    return replace(
        plain, effect=np.where(known, mean - base, 0.0), variance0=champion.variance, variance1=challenger.variance, base=base,
        covariance=together * champion.scale * challenger.scale, information=np.where(known, plain.information, 0.0),
    )  # fmt: skip
