"""Models of rewards by context and arm, always of other rows than those that they are asked about.

A row's prediction is by the rows of the other four of five folds (cross-fitting: Chernozhukov and others, Econometrics Journal
2018). So estimators that use it stay unbiased, whatever the model, and their intervals need not know how it was fitted.
"""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.offpolicy.estimators import FOLDS, cell_means, folds
from sim.offpolicy.log import Log

PENALTY = 1.0
"""On the squares of coefficients of features with mean 0 and variance 1, as of one row: it matters where rows are few."""
_STEPS, _CLOSE = 50, 1e-10
_LEAST_ROWS = 2


def fitted(log: Log, kind: str, seed: int) -> Floats:
    """(N, K) the reward expected of each row of a log in each arm.

    Kinds are `cells`, the means of classes of a context; `ridge`, a line in the features; `logistic`, one of the log odds, for
    rewards of 0 and 1.
    """
    if kind == "cells":
        return cell_means(log.reward, log.arm, log.cell, len(log.arms), log.cells, seed)
    return linear(log.reward, log.arm, log.features, len(log.arms), seed, logistic=kind == "logistic")


def linear(reward: Floats, arm: Ints, features: Floats, arms: int, seed: int, *, logistic: bool = False) -> Floats:
    """(N, K) the reward expected of each row in each arm: a line in the features (N, F) for each arm, of the other folds.

    The line is that of ridge regression (Hoerl & Kennard 1970), or with `logistic`, for rewards of 0 and 1, of the log odds, by
    iteratively reweighted least squares (Hastie, Tibshirani & Friedman 2009, 4.4.1). Its level has no penalty. Where the other
    folds have fewer than two rows of an arm, it is the mean of all arms.

    >>> x = np.linspace(-1, 1, 400)[:, None]
    >>> model = linear(1 + 2 * x[:, 0], np.zeros(400, np.int64), x, 2, seed=1)
    >>> model[[0, 399], 0].round(1).tolist(), model[0].shape
    ([-1.0, 3.0], (2,))
    """
    design = np.column_stack([np.ones(len(arm)), _scaled(features)])
    fold = folds(len(arm), seed)
    predicted = np.empty((len(arm), arms))
    for number in range(FOLDS):
        here, others = fold == number, fold != number
        overall = float(reward[others].mean()) if others.any() else 0.0
        for place in range(arms):
            rows = others & (arm == place)
            predicted[here, place] = _predicted(design, reward, rows, here, logistic) if rows.sum() >= _LEAST_ROWS else overall
    return predicted


def _scaled(features: Floats) -> Floats:
    """Features of mean 0 and variance 1; constant ones are 0. It uses no reward, so all rows may tell the scale."""
    spread = features.std(axis=0)
    scaled: Floats = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _predicted(design: Floats, reward: Floats, rows: Bools, here: Bools, logistic: bool) -> Floats:
    own, target = design[rows], reward[rows]
    line = design[here] @ (_log_odds(own, target) if logistic else _ridge(own, target, np.ones(len(target))))
    if logistic:
        return 1 / (1 + np.exp(-np.clip(line, -30, 30)))
    # A line may leave what rewards can be; what was seen bounds what is expected.
    return np.asarray(np.clip(line, target.min(), target.max()))


def _ridge(design: Floats, target: Floats, weight: Floats) -> Floats:
    """Coefficients of weighted least squares with a penalty on all but the first."""
    penalty = np.full(design.shape[1], PENALTY)
    # A little, so that there is a solution where all weights are about 0.
    penalty[0] = 1e-9
    weighted = design * weight[:, None]
    return np.asarray(np.linalg.solve(design.T @ weighted + np.diag(penalty), weighted.T @ target), np.float64)


def _log_odds(design: Floats, target: Floats) -> Floats:
    """Coefficients of logistic regression, from those of the share alone."""
    share = float(np.clip(target.mean(), 0.5 / len(target), 1 - 0.5 / len(target)))
    coefficients: Floats = np.zeros(design.shape[1])
    coefficients[0] = np.log(share / (1 - share))
    for _ in range(_STEPS):
        line: Floats = np.clip(design @ coefficients, -30, 30)
        chance = 1 / (1 + np.exp(-line))
        weight = np.maximum(chance * (1 - chance), 1e-12)
        after = _ridge(design, np.asarray(line + (target - chance) / weight, np.float64), np.asarray(weight, np.float64))
        step = float(np.abs(after - coefficients).max())
        # Half of a step that is too long: it may not converge where classes are nearly apart.
        coefficients = np.asarray(coefficients + (after - coefficients) * min(1.0, 5 / step if step else 1.0), np.float64)
        if step < _CLOSE:
            break
    return coefficients


def best_arm(model: Floats) -> Ints:
    """(N,) the arm of which most is expected, by a model (N, K); the first of equals.

    >>> best_arm(np.array([[0.1, 0.3], [0.2, 0.2]])).tolist()
    [1, 0]
    """
    best: Ints = np.argmax(model, axis=1)
    return best
