"""The metrics of offline evaluation: what each needs, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError, Problem
from sim.spelling import did_you_mean, there_are
from sim.stats import scores

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a version answers to n rows, beside the truth; both (n,).

    In regression they are numbers. In classification they are codes: places in `labels`, of which the first k are those of the
    target, and the others are only answered. `chances`, (n, k), are those of each label of the target; None where the version
    gives labels only.
    """

    truth: NDArray[Any]
    answer: NDArray[Any]
    chances: NDArray[np.float64] | None = None
    labels: NDArray[Any] | None = None

    def of(self, rows: NDArray[np.intp]) -> Answers:
        """The answers to some of the rows."""
        chances = None if self.chances is None else self.chances[rows]
        return Answers(self.truth[rows], self.answer[rows], chances, self.labels)

    def in_words(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The truth and the answers as they are in the data."""
        return (self.truth, self.answer) if self.labels is None else (self.labels[self.truth], self.labels[self.answer])


def coded(
    truth: NDArray[Any], answer: NDArray[Any], target: NDArray[Any], chances: NDArray[np.float64] | None = None
) -> Answers:
    """The answers of a classifier as codes; `target` are the sorted labels of the whole target.

    >>> found = coded(np.array(["a", "b"]), np.array(["c", "b"]), np.array(["a", "b"]))
    >>> found.truth.tolist(), found.answer.tolist(), found.labels.tolist()
    ([0, 1], [2, 1], ['a', 'b', 'c'])
    """
    labels = np.concatenate([target, np.setdiff1d(answer, target)])
    order = np.argsort(labels, kind="stable")
    places = [order[np.searchsorted(labels, each, sorter=order)] for each in (truth, answer)]
    return Answers(places[0], places[1], chances, labels)


@dataclass(frozen=True)
class Metric:
    """A metric: its score is NaN where the rows have none. `chances`: it needs those of each label, not labels alone.

    No score lies below `least` or above `most`, and no bound of one.
    """

    name: str
    task: Task
    better: Literal["higher", "lower"]
    score: Callable[[Answers], float]
    chances: bool = False
    least: float = -math.inf
    most: float = math.inf


def _plain(score: Callable[[NDArray[Any], NDArray[Any]], float]) -> Callable[[Answers], float]:
    """A metric of the truth and the answers."""
    return lambda given: score(given.truth, given.answer)


def _of_chances(score: Callable[[NDArray[Any], NDArray[np.float64]], float]) -> Callable[[Answers], float]:
    """A metric of the truth and the chances; NaN without these."""
    return lambda given: math.nan if given.chances is None else score(given.truth, given.chances)


METRICS = {
    each.name: each
    for each in (
        Metric("accuracy", "classification", "higher", _plain(scores.accuracy), least=0.0, most=1.0),
        Metric("balanced_accuracy", "classification", "higher", _plain(scores.balanced_accuracy), least=0.0, most=1.0),
        Metric("f1", "classification", "higher", _plain(scores.macro_f1), least=0.0, most=1.0),
        Metric("roc_auc", "classification", "higher", _of_chances(scores.roc_auc_one_against_rest), True, 0.0, 1.0),
        Metric("log_loss", "classification", "lower", _of_chances(scores.log_loss), True, 0.0),
        Metric("rmse", "regression", "lower", _plain(scores.rmse), least=0.0),
        Metric("mae", "regression", "lower", _plain(scores.mae), least=0.0),
        Metric("r2", "regression", "higher", _plain(scores.r2), most=1.0),
    )
}
DEFAULT: dict[Task, str] = {"classification": "accuracy", "regression": "rmse"}


def named(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics of these names, each once. Raises `InputError` for a name that is none, and for metrics of two tasks.

    >>> [metric.name for metric in named(["accuracy", "roc_auc", "accuracy"])]
    ['accuracy', 'roc_auc']
    >>> named(["acuracy"])
    Traceback (most recent call last):
    sim.errors.InputError: --metric: no metric 'acuracy'; did you mean 'accuracy'?
    """
    names = tuple(dict.fromkeys(names))
    problems = [
        Problem(f"no metric {name!r}; {did_you_mean(name, METRICS) or there_are(METRICS)}", path="--metric")
        for name in names
        if name not in METRICS
    ]
    if problems:
        raise InputError(problems)
    found = tuple(METRICS[name] for name in names)
    tasks = {metric.task: metric.name for metric in found}
    if len(tasks) > 1:
        both = " and ".join(f"{name} is of {task}" for task, name in tasks.items())
        raise InputError([Problem(f"must be metrics of one task; {both}", path="--metric")])
    return found
