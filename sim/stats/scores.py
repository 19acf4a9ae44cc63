"""Scores of answers against the truth: of labels, of chances, and of numbers. Quick, so that they can be resampled."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.intp]
"""Labels as whole numbers from 0, (n,)."""


def accuracy(truth: Codes, answer: Codes) -> float:
    """The share of right answers.

    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 0]))
    0.6666666666666666
    """
    return float((truth == answer).mean())


def balanced_accuracy(truth: Codes, answer: Codes) -> float:
    """The mean over the labels in the truth of the share of their rows that are answered right.

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    table = _confusion(truth, answer)
    rows = table.sum(axis=1)
    return float((table.diagonal()[rows > 0] / rows[rows > 0]).mean())


def macro_f1(truth: Codes, answer: Codes) -> float:
    """The mean over all labels, in the truth or among the answers, of 2 TP / (2 TP + FP + FN).

    >>> macro_f1(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    0.7333333333333334
    """
    table = _confusion(truth, answer)
    both = table.sum(axis=0) + table.sum(axis=1)
    return float((2 * table.diagonal()[both > 0] / both[both > 0]).mean())


def roc_auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The chance that a positive row scores higher than a negative one, ties counted half; NaN without rows of both.

    Source: Hanley & McNeil, Radiology 143 (1982): it is the Mann-Whitney statistic.

    >>> roc_auc(np.array([True, False, True, False]), np.array([0.9, 0.1, 0.4, 0.4]))
    0.875
    """
    positives = int(positive.sum())
    negatives = positive.size - positives
    if not positives or not negatives:
        return math.nan
    _, at, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[at]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def roc_auc_one_against_rest(truth: Codes, chances: NDArray[np.float64]) -> float:
    """The mean over labels of `roc_auc`, by the chances of each, (n, k); of two labels the second's. NaN if one has no row.

    >>> roc_auc_one_against_rest(np.array([0, 1, 2]), np.eye(3))
    1.0
    """
    labels = chances.shape[1]
    if labels == 2:
        return roc_auc(truth == 1, chances[:, 1])
    return float(np.mean([roc_auc(truth == label, chances[:, label]) for label in range(labels)]))


def log_loss(truth: Codes, chances: NDArray[np.float64]) -> float:
    """The mean of −log of the chance, (n, k), that was given to the truth; a chance of 0 counts as 2.2e-16.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])), 4)
    0.6931
    """
    given = chances[np.arange(truth.size), truth]
    return float(-np.log(np.clip(given, np.finfo(np.float64).eps, 1.0)).mean())


def rmse(truth: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    """The root of the mean squared error.

    >>> rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.4142135623730951
    """
    return float(np.sqrt(((truth - answer) ** 2).mean()))


def mae(truth: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    """The mean absolute error.

    >>> mae(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """
    return float(np.abs(truth - answer).mean())


def r2(truth: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    """One less the squared error over that of the mean of the truth; NaN where the truth does not vary.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - answer) ** 2).sum()) / spread if spread > 0 else math.nan


def _confusion(truth: Codes, answer: Codes) -> NDArray[np.intp]:
    """How many rows have each label, by the truth and by the answer, (k, k)."""
    labels = int(max(truth.max(), answer.max())) + 1
    return np.bincount(truth * labels + answer, minlength=labels * labels).reshape(labels, labels)
