"""Error budgets, and how often checks fail by chance."""

from __future__ import annotations

import math

from sim.stats.validation import require, require_positive


def budget_spent(burn_rate: float, window: float, period: float) -> float:
    """Share of the error budget of a `period` that a burn rate held for a `window` consumes; both in one unit of time.

    A burn rate of 1 spends the budget in just the period. Raises `InputError` for times that are not positive and a negative
    burn rate.

    Source: Beyer et al., The Site Reliability Workbook (2018), ch. 5, Table 5-2.

    >>> round(budget_spent(14.4, 1, 30 * 24), 4)
    0.02
    """
    require(0 <= burn_rate < math.inf, "burn_rate", "must be finite and not negative", burn_rate)
    require_positive("window", window)
    require_positive("period", period)
    return burn_rate * window / period


def at_least(count: int, trials: int, share: float) -> float:
    """P(at least `count` of so many independent trials happen), each with probability `share`.

    Raises `InputError` for negative counts and for a share outside [0, 1].

    >>> round(at_least(1, 12, 0.1), 4), round(at_least(5, 150, 0.01), 4)
    (0.7176, 0.018)
    """
    from scipy.special import bdtrc

    require(count >= 0, "count", "must not be negative", count)
    require(trials >= 0, "trials", "must not be negative", trials)
    require(0 <= share <= 1, "share", "must lie between 0 and 1", share)
    return 1.0 if count == 0 else float(bdtrc(count - 1, trials, share)) if count <= trials else 0.0


def aborts(failures: int, checks: int, share: float) -> float:
    """P(abort) of a rollout of so many checks that ends once more than `failures` have failed, each with probability `share`.

    What Argo Rollouts calls `failureLimit`. Failed checks add up; a good one does not set them back. Errors as `at_least`.

    >>> [round(aborts(limit, 12, 0.1), 4) for limit in (0, 1, 3)]
    [0.7176, 0.341, 0.0256]
    """
    require(failures >= 0, "failures", "must not be negative", failures)
    require(checks >= 0, "checks", "must not be negative", checks)
    return at_least(failures + 1, checks, share)


def rolls_back(threshold: int, advances: int, share: float) -> float:
    """P(roll back) of a rollout that needs so many good checks and gives up at the `threshold`-th failed one.

    What Flagger calls `threshold`: a failed check holds the rollout where it is. It is the chance of `threshold` failures among
    the first `advances` + `threshold` − 1 checks. Raises `InputError` as `at_least`, and for a threshold or advances below 1.

    Source: the negative binomial distribution.

    >>> [round(rolls_back(threshold, 10, 0.1), 4) for threshold in (2, 5)]
    [0.3026, 0.0092]
    """
    require(threshold >= 1, "threshold", "must be at least 1", threshold)
    require(advances >= 1, "advances", "must be at least 1", advances)
    return at_least(threshold, advances + threshold - 1, share)
