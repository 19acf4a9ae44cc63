"""Off-policy estimators of the mean reward at fixed weights: IPS, SNIPS, doubly robust, switch-DR.

Each returns an `Estimate`: the value, and one influence a row, whose standard deviation over sqrt(N) is the standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints

FOLDS = 5


@dataclass(frozen=True)
class Estimate:
    """An estimate of a mean reward. numerator, denominator (N,): it is the ratio of their sums.

    The denominator is 1 in every row but where weights are normalised.
    """

    numerator: Floats
    denominator: Floats

    @property
    def value(self) -> float:
        """The mean reward, in its own unit."""
        return float(self.numerator.sum() / self.denominator.sum())

    @property
    def influence(self) -> Floats:
        """(N,) what each row adds to the estimate, about 0: by the delta method where it is a ratio."""
        influence: Floats = (self.numerator - self.value * self.denominator) / self.denominator.mean()
        return influence

    @property
    def standard_error(self) -> float:
        """The standard deviation of the estimate, by that of its rows."""
        return standard_error(self.influence)


def standard_error(influence: Floats) -> float:
    """The standard error of the mean of independent rows (N,).

    >>> round(standard_error(np.array([1.0, 2.0, 3.0, 4.0])), 6)
    0.645497
    """
    return float(influence.std(ddof=1) / np.sqrt(len(influence)))


def effective_size(weight: Floats) -> float:
    """Of how many equally weighted rows the weights (N,) are worth: (Σw)² / Σw² (Kish 1965, 11.7).

    >>> effective_size(np.array([1.0, 1.0, 0.0, 2.0]))
    2.6666666666666665
    """
    largest = float(weight.max())
    if largest <= 0:
        return 0.0
    # The square of a weight may be too large for a number; that of a share of the largest is not.
    share = weight / largest
    return float(share.sum() ** 2 / np.dot(share, share))


def ips(weight: Floats, reward: Floats) -> Estimate:
    """Inverse propensity scoring: the mean of w r, unbiased where propensities are right (Horvitz & Thompson 1952).

    weight (N,) is the policy's share of the row's arm over its propensity.

    >>> ips(np.array([2.0, 0.0]), np.array([1.0, 1.0])).value
    1.0
    """
    return Estimate(weight * reward, np.ones_like(reward))


def snips(weight: Floats, reward: Floats) -> Estimate:
    """Self-normalised: Σ w r / Σ w, of less variance, with a bias of order 1/N (Swaminathan & Joachims, NeurIPS 2015).

    >>> snips(np.array([1.0, 3.0]), np.array([1.0, 0.0])).value
    0.25
    """
    return Estimate(weight * reward, weight)


def doubly_robust(weight: Floats, reward: Floats, shares: Floats, arm: Ints, model: Floats) -> Estimate:
    """Model and weights: Σ_a π(a) q(a) + w (r - q) (Dudík, Langford & Li, ICML 2011, eq. 1).

    shares (K,) of the policy, or (N, K) where they depend on the row; model (N, K) what the row's reward is expected to be in
    each arm, of other rows.
    Right where the propensities or the model are.

    >>> model = np.array([[0.5, 0.25]])
    >>> doubly_robust(np.array([2.0]), np.array([1.0]), np.array([1.0, 0.0]), np.array([0]), model).value
    1.5
    """
    own = model[np.arange(len(arm)), arm]
    expected = model @ shares if shares.ndim == 1 else (model * shares).sum(axis=1)
    return Estimate(expected + weight * (reward - own), np.ones_like(reward))


def switch_dr(
    weight: Floats, reward: Floats, shares: Floats, arm: Ints, model: Floats, largest: float
) -> Estimate:  # fmt: skip
    """Doubly robust where w is at most `largest`, the model alone where it is not (Wang, Agarwal & Dudík, ICML 2017).

    Biased by the model's error in the rows of larger weights.

    >>> model = np.array([[0.5, 0.25]])
    >>> switch_dr(np.array([2.0]), np.array([1.0]), np.array([1.0, 0.0]), np.array([0]), model, 1.5).value
    0.5
    """
    return doubly_robust(np.where(weight <= largest, weight, 0.0), reward, shares, arm, model)


def folds(rows: int, seed: int) -> Ints:
    """(N,) the fold of each row: five of equal size, at random."""
    fold: Ints = np.random.default_rng(np.random.SeedSequence([seed, 1])).permutation(rows) % FOLDS
    return fold


def cell_means(reward: Floats, arm: Ints, cell: Ints, arms: int, cells: int, seed: int) -> Floats:
    """(N, K) the reward expected of each row in each arm: the mean of its cell and arm in the other folds of rows.

    Rows are put at random into five folds, and no row is predicted by itself (Chernozhukov et al., Econometrics Journal 2018).
    Where the other folds have no row of that cell and arm, it is the arm's mean; of an arm that they lack, the mean of all.
    """
    fold = folds(len(arm), seed)
    place = (fold * cells + cell) * arms + arm
    shape = FOLDS, cells, arms
    count = np.bincount(place, minlength=FOLDS * cells * arms).reshape(shape).astype(np.float64)
    total = np.bincount(place, weights=reward, minlength=FOLDS * cells * arms).reshape(shape)
    count, total = count.sum(axis=0) - count, total.sum(axis=0) - total
    of_arm, sum_of_arm = count.sum(axis=1), total.sum(axis=1)
    overall = sum_of_arm.sum(axis=1, keepdims=True) / np.maximum(of_arm.sum(axis=1, keepdims=True), 1.0)
    fallback = np.where(of_arm > 0, sum_of_arm / np.maximum(of_arm, 1.0), overall)
    means = np.where(count > 0, total / np.maximum(count, 1.0), fallback[:, None, :])
    predicted: Floats = means[fold, cell]
    return predicted


class Bootstrap:
    """Resamples rows, for percentile intervals (Efron & Tibshirani 1993, 13.3).

    Rows are put at random into at most 2,000 groups of equal size (within one row), and groups are resampled: in a log of up to
    2,000 rows, each row is a group. All estimates of a log are of the same resamples, so that their differences are paired.
    """

    GROUPS = 2_000

    def __init__(self, rows: int, samples: int, seed: int) -> None:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
        self._groups = min(rows, self.GROUPS)
        self._group = rng.permutation(rows) % self._groups
        self._times = rng.multinomial(self._groups, np.full(self._groups, 1 / self._groups), size=samples).astype(np.float64)

    def values(self, estimate: Estimate) -> Floats:
        """(samples,) the estimate of each resample; NaN where it has no weight."""
        top, bottom = (
            self._times @ np.bincount(self._group, weights=part, minlength=self._groups)
            for part in (estimate.numerator, estimate.denominator)
        )
        values: Floats = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
        return values
