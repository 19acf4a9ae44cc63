"""Error budgets, and the probabilities that checks fail by chance."""

from __future__ import annotations

import math

from sim.stats.validation import require, require_positive


def budget_spent(burn_rate: float, window: float, period: float) -> float:
    """Share of the error budget of a `period` that a burn rate spends in a `window`; both in the same unit of time.

    A burn rate of 1 spends the budget in exactly one period. Raises `InputError` for times that are not positive and a negative
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
    """Probability of at least `count` successes in `trials` independent trials, each with probability `share`.

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
    """Probability to abort a rollout of `checks` checks when more than `failures` have failed, each with probability `share`.

    Argo Rollouts calls the limit `failureLimit`. Failed checks add up; a good check does not reset them. Errors as `at_least`.

    >>> [round(aborts(limit, 12, 0.1), 4) for limit in (0, 1, 3)]
    [0.7176, 0.341, 0.0256]
    """
    require(failures >= 0, "failures", "must not be negative", failures)
    require(checks >= 0, "checks", "must not be negative", checks)
    return at_least(failures + 1, checks, share)


def rolls_back(threshold: int, advances: int, share: float) -> float:
    """Probability to roll back a rollout that needs `advances` good checks and stops at the `threshold`-th failed check.

    Flagger calls the limit `threshold`; a failed check delays the rollout. It is the probability of `threshold` failures among
    the first `advances` + `threshold` − 1 checks. Raises `InputError` as `at_least`, and for a threshold or advances below 1.

    Source: the negative binomial distribution.

    >>> [round(rolls_back(threshold, 10, 0.1), 4) for threshold in (2, 5)]
    [0.3026, 0.0092]
    """
    require(threshold >= 1, "threshold", "must be at least 1", threshold)
    require(advances >= 1, "advances", "must be at least 1", advances)
    return at_least(threshold, advances + threshold - 1, share)
