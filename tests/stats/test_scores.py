"""Scores of answers, against scikit-learn on random labels, chances and numbers, with ties and absent labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as oracle

from sim.stats import scores


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_scores_of_labels_and_chances_are_scikit_learns(labels: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    truth, answer = draws.integers(0, labels, 80), draws.integers(0, labels, 80)
    # Two decimals give ties.
    chances = np.round(draws.dirichlet(np.ones(labels), 80), 2)
    chances /= chances.sum(axis=1, keepdims=True)
    assert scores.accuracy(truth, answer) == pytest.approx(oracle.accuracy_score(truth, answer))
    assert scores.balanced_accuracy(truth, answer) == pytest.approx(oracle.balanced_accuracy_score(truth, answer))
    assert scores.macro_f1(truth, answer) == pytest.approx(oracle.f1_score(truth, answer, average="macro"))
    assert scores.log_loss(truth, chances) == pytest.approx(oracle.log_loss(truth, chances, labels=range(labels)))
    theirs = oracle.roc_auc_score(truth, chances[:, 1] if labels == 2 else chances, multi_class="ovr")
    assert scores.roc_auc_one_against_rest(truth, chances) == pytest.approx(theirs)


def test_labels_that_are_only_answered_or_only_true_count_as_in_scikit_learn() -> None:
    truth, answer = np.array([0, 0, 1, 1, 3]), np.array([0, 2, 1, 2, 1])
    assert scores.macro_f1(truth, answer) == pytest.approx(oracle.f1_score(truth, answer, average="macro", zero_division=0))
    some = truth[:4], answer[:4]
    assert scores.balanced_accuracy(truth, answer) == pytest.approx(np.mean([0.5, 0.5, 0.0]))
    assert scores.balanced_accuracy(*some) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_numbers_are_scikit_learns(seed: int) -> None:
    draws = np.random.default_rng(seed)
    truth, answer = draws.normal(size=50), draws.normal(size=50)
    assert scores.rmse(truth, answer) == pytest.approx(oracle.root_mean_squared_error(truth, answer))
    assert scores.mae(truth, answer) == pytest.approx(oracle.mean_absolute_error(truth, answer))
    assert scores.r2(truth, answer) == pytest.approx(oracle.r2_score(truth, answer))


def test_what_has_no_score_has_none() -> None:
    assert math.isnan(scores.roc_auc(np.array([True, True]), np.array([0.1, 0.2])))
    assert math.isnan(scores.roc_auc_one_against_rest(np.array([0, 1]), np.eye(3)[:2]))
    assert math.isnan(scores.r2(np.array([1.0, 1.0]), np.array([1.0, 2.0])))
