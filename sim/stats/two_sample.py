"""Two-sample tests of a difference in means, from counts, sums and sums of squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtr

from sim.arrays import Floats
from sim.stats.moments import arms, spread
from sim.stats.validation import require

Kind = Literal["z_unpooled", "z_pooled", "welch"]
Alternative = Literal["two-sided", "greater", "less"]
Scale = Literal["absolute", "relative"]
_KINDS, _SCALES = get_args(Kind), get_args(Scale)


@dataclass(frozen=True)
class TestResult:
    """A test of every element of the broadcast inputs; all fields share that shape.

    `effect` is mean 1 − mean 0 in the metric's unit, or over |mean 0| on the relative scale; 0 where an arm is empty.
    `standard_error` is infinite where an arm has too few outcomes to estimate it. `degrees_of_freedom` is infinite for
    z tests. `champion_share` is arm 0's share of the variance: the squared correlation of two tests is the product of
    their shares.
    """

    __test__: ClassVar[bool] = False

    effect: Floats
    standard_error: Floats
    statistic: Floats
    p_value: Floats
    degrees_of_freedom: Floats
    champion_share: Floats


def require_known(kind: str, scale: str) -> None:
    """Require a kind of test and a scale that there are.

    >>> require_known("welch", "absolute")
    """
    # Tests are made at every tick, so nothing is put into words that is not told.
    if kind not in _KINDS or scale not in _SCALES:
        require(kind in _KINDS, "kind", f"must be one of {', '.join(_KINDS)}", kind)
        require(False, "scale", f"must be one of {', '.join(_SCALES)}", scale)


def two_sample(
    kind: Kind,
    n0: ArrayLike,
    sum0: ArrayLike,
    square0: ArrayLike,
    n1: ArrayLike,
    sum1: ArrayLike,
    square1: ArrayLike,
    alternative: Alternative = "two-sided",
    scale: Scale = "absolute",
) -> TestResult:
    """Test whether arm 1 and arm 0 have the same mean, for each replication at once.

    Inputs broadcast together: outcomes per arm, their sum and their sum of squares. For binary outcomes the
    sum of squares is the sum. `greater` is the alternative that arm 1 has the larger mean.

    | kind | variance of the difference | reference |
    | --- | --- | --- |
    | `z_unpooled` | v₀/n₀ + v₁/n₁, v with divisor n (p(1 − p) for binary outcomes) | normal |
    | `z_pooled` | v(1/n₀ + 1/n₁), v of both arms pooled | normal |
    | `welch` | s₀²/n₀ + s₁²/n₁, s² with divisor n − 1 | Student, Satterthwaite's degrees of freedom |

    The statistic is 0 and the p-value 1 without data for a test: an empty arm, one outcome in an arm under `welch`,
    or no variation in both arms. A standard deviation below about 1e-7 of the mean counts as 0.

    On the relative scale the effect is (mean 1 − mean 0)/|mean 0|. Its standard error is by the delta method, which
    needs a mean 0 that is many standard errors from 0. Where mean 0 is 0, the p-value is 1. The relative scale needs
    unpooled variances.

    Raises `InputError` for an unknown kind, alternative or scale, values that are not finite, negative counts or sums of
    squares, and sums that no outcomes have.

    Source: Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions (2003), ch. 3 (z); Welch,
    Biometrika 34 (1947), and Satterthwaite, Biometrics Bulletin 2 (1946) (welch); Deng, Knoblich & Lu, KDD (2018),
    §3.1 (relative).

    >>> result = two_sample("z_pooled", [1000, 0], [100, 0], [100, 0], [1000, 0], [130, 0], [130, 0])
    >>> result.statistic.round(3), result.p_value.round(4)
    (array([2.103, 0.   ]), array([0.0355, 1.    ]))
    """
    require_known(kind, scale)
    require(scale == "absolute" or kind != "z_pooled", "kind", "must be z_unpooled or welch on the relative scale", kind)
    n, total, square = arms(n0, sum0, square0, n1, sum1, square1)
    safe_n = np.maximum(n, 1.0)
    mean = total / safe_n
    least = 2 if kind == "welch" else 1
    enough = np.all(n >= least, axis=0)
    effect = np.where(np.all(n > 0, axis=0), mean[1] - mean[0], 0.0)

    degrees = np.full(effect.shape, np.inf)
    if kind == "z_pooled":
        pooled = spread(n.sum(0), total.sum(0), square.sum(0)) / np.maximum(n.sum(0), 1.0)
        share = pooled / safe_n
    else:
        divisor = np.maximum(n - 1, 1.0) if kind == "welch" else safe_n
        share = spread(n, total, square) / divisor / safe_n
        if scale == "relative":
            defined = mean[0] != 0
            base = np.where(defined, np.abs(mean[0]), 1.0)
            enough = enough & defined
            effect = np.where(defined, effect / base, 0.0)
            share = np.stack([share[0] * (mean[1] / base) ** 2, share[1]]) / base**2
        if kind == "welch":
            variance = share.sum(0)
            # Use shares of the variance, because squares of variances could underflow.
            weight = share / np.where(variance > 0, variance, 1.0)
            fourth = (weight**2 / divisor).sum(0)
            degrees = np.where(enough & (variance > 0), 1 / np.where(fourth > 0, fourth, 1.0), np.inf)

    variance = share.sum(0)
    champion = np.where(variance > 0, share[0] / np.where(variance > 0, variance, 1.0), 0.5)
    standard_error = np.where(enough, np.sqrt(variance), np.inf)
    testable = enough & (variance > 0)
    statistic = np.where(testable, effect / np.where(testable, standard_error, 1.0), 0.0)
    p_value = np.where(testable, tail(statistic, degrees, alternative), 1.0)
    return TestResult(effect, standard_error, statistic, p_value, degrees, champion)


def tail(statistic: Floats, degrees_of_freedom: Floats, alternative: Alternative) -> Floats:
    """P-values of Student's t statistics, or of normal statistics where the degrees of freedom are infinite.

    Raises `InputError` for an unknown alternative.

    >>> tail(np.array([-1.96, 1.96]), np.array(np.inf), "greater").round(3)
    array([0.975, 0.025])
    """
    known = get_args(Alternative)
    require(alternative in known, "alternative", f"must be one of {', '.join(known)}", alternative)
    if alternative == "two-sided":
        return 2 * _cdf(degrees_of_freedom, -np.abs(statistic))
    return _cdf(degrees_of_freedom, -statistic if alternative == "greater" else statistic)


def _cdf(degrees: Floats, statistic: Floats) -> Floats:
    if np.isinf(degrees).all():
        return np.asarray(ndtr(statistic))
    finite = np.isfinite(degrees)
    return np.where(finite, stdtr(np.where(finite, degrees, 1.0), statistic), ndtr(statistic))
