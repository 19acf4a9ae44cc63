"""Comparing arms that took turns: each period is one observation.

Shapes are (rows,) throughout. The tests are those of Welch (1947) and of paired differences: what the requests of a period have
in common is in the spread of periods.

Source: Bojinov, Simchi-Levi & Zhao, Management Science 69(7) (2023), for the design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats


@dataclass(frozen=True)
class Periods:
    """Mean outcomes of the periods of two arms: how many, their sum and sum of squares; and the sum of products in pairs.

    Without `pairs` the periods of the two arms are independent.
    """

    count0: Floats
    total0: Floats
    square0: Floats
    count1: Floats
    total1: Floats
    square1: Floats
    products: Floats | None = None

    @property
    def known(self) -> np.ndarray:
        """Whether both arms have two periods, so that they have a variance."""
        return np.asarray((self.count0 >= 2) & (self.count1 >= 2))


@dataclass(frozen=True)
class Compared:
    """The difference of the arms' mean periods, its standard error and two-sided p-value; and the relative effect."""

    difference: Floats
    standard_error: Floats
    p_value: Floats
    relative: Floats
    relative_error: Floats


def compare_periods(of: Periods) -> Compared:
    """Student's or Welch's t of the means of periods; NaN where an arm has fewer than two, or nothing varies.

    The relative effect is the ratio of the two means less 1, less what that is biased by to second order (Tin 1965), with the
    standard error of the delta method.

    >>> four = Periods(*(np.array([float(x)]) for x in (4, 10, 30, 4, 14, 54)), products=np.array([40.0]))
    >>> found = compare_periods(four)
    >>> found.difference.tolist(), found.standard_error.round(4).tolist(), found.p_value.round(4).tolist()
    ([1.0], [0.0], [nan])
    """
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        n0, n1 = (np.where(of.known, each, np.nan) for each in (of.count0, of.count1))
        mean0, mean1 = of.total0 / n0, of.total1 / n1
        variance0 = np.maximum(of.square0 - n0 * mean0**2, 0.0) / (n0 - 1) / n0
        variance1 = np.maximum(of.square1 - n1 * mean1**2, 0.0) / (n1 - 1) / n1
        if of.products is None:
            covariance = np.zeros_like(variance0)
            freedom = (variance0 + variance1) ** 2 / (variance0**2 / (n0 - 1) + variance1**2 / (n1 - 1))
        else:
            covariance = (of.products - n0 * mean0 * mean1) / (n0 - 1) / n0
            freedom = n0 - 1
        variance = np.maximum(variance0 + variance1 - 2 * covariance, 0.0)
        # Rounding leaves a little where nothing varies.
        variance = np.where(variance <= 1e-14 * (variance0 + variance1), 0.0, variance)
        error = np.sqrt(variance)
        p_value = 2 * stdtr(freedom, -np.abs(mean1 - mean0) / np.where(error > 0, error, np.nan))
        ratio = mean1 / mean0
        unbiased = ratio * (1 + covariance / (mean0 * mean1) - variance0 / mean0**2)
        spread = np.sqrt(np.maximum(variance1 + ratio**2 * variance0 - 2 * ratio * covariance, 0.0)) / np.abs(mean0)
    relative = (unbiased - 1) * np.sign(mean0)
    return Compared(mean1 - mean0, error, p_value, relative, spread)
