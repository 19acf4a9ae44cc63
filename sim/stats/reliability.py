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


def at_least_of(count: int, window: int, trials: int, share: float) -> float:
    """Probability that in `trials` independent trials some `window` in a row hold at least `count` successes.

    Each trial succeeds with probability `share`. The windows at the start are shorter: they hold the trials so far. Exact, by
    a Markov chain whose state is the last `window` - 1 trials; so `window` is at most 20. Raises `InputError` for a larger one,
    for counts below 1 or above the window, and as `at_least`.

    >>> round(at_least_of(3, 5, 12, 0.1), 4), at_least_of(3, 12, 12, 0.1) == at_least(3, 12, 0.1)
    (0.0373, True)
    """
    import numpy as np

    require(1 <= window <= 20, "window", "must lie between 1 and 20", window)
    require(1 <= count <= window, "count", "must lie between 1 and the window", count)
    require(trials >= 0, "trials", "must not be negative", trials)
    require(0 <= share <= 1, "share", "must lie between 0 and 1", share)
    if window >= trials:
        return at_least(count, trials, share)
    states = np.arange(2 ** (window - 1))
    held, kept = np.bitwise_count(states), len(states) - 1
    chance = np.zeros(len(states))
    chance[0] = 1.0
    reached = 0.0
    for _ in range(trials):
        full = held == count - 1
        reached += share * chance[full].sum()
        failed = np.bincount((states << 1) & kept, chance * (1 - share), len(states)).astype(np.float64)
        chance = failed + np.bincount((states << 1 | 1) & kept, np.where(full, 0.0, chance) * share, len(states))
    return float(min(reached, 1.0))


def run_of(length: int, trials: int, share: float) -> float:
    """Probability of `length` successes in a row within `trials` independent trials, each with probability `share`.

    Raises `InputError` for a length below 1, and as `at_least`.

    Source: Feller, An Introduction to Probability Theory and Its Applications I (3rd ed. 1968), XIII.7.

    >>> round(run_of(5, 30, 0.9), 4), round(run_of(2, 3, 0.5), 4)
    (0.9996, 0.375)
    """
    require(length >= 1, "length", "must be at least 1", length)
    require(trials >= 0, "trials", "must not be negative", trials)
    require(0 <= share <= 1, "share", "must lie between 0 and 1", share)
    # A first run ends at trial n where the `length` trials before its failure had none yet.
    none = [1.0] * (trials + 1)
    for n in range(length, trials + 1):
        before = none[n - length - 1] * (1 - share) if n > length else 1.0
        none[n] = none[n - 1] - before * share**length
    return 1 - none[trials]


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
