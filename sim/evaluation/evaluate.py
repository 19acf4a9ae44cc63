"""Score a version on labelled data, or two of them on the same rows, with the interval that each method has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError, Problem
from sim.evaluation.answering import Loaded, chances, check_labels, fitted_anew, loaded
from sim.evaluation.metrics import DEFAULT, METRICS, Answers, Metric, Task, coded, named
from sim.registry.data import Data
from sim.registry.scores import Bounds
from sim.registry.versions import Version
from sim.stats.intervals import Estimate, exact_proportion_interval
from sim.stats.resampled import Bootstrapped, bootstrap, corrected_interval, mcnemar

if TYPE_CHECKING:
    from mlflow import MlflowClient

Method = Literal["holdout", "kfold", "bootstrap"]
METHODS: tuple[Method, ...] = ("holdout", "kfold", "bootstrap")
RESAMPLES = 2000


@dataclass(frozen=True)
class Scored:
    """A metric of one version, or the difference of two (the first less the second), with its intervals."""

    metric: str
    estimate: float
    intervals: tuple[Bounds, ...]
    folds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pairwise:
    """A version against another, on the same rows and folds.

    `only_first` and `only_second` count the rows that only one of them has right, `p_value` is McNemar's; None in regression.
    """

    against: Version
    scores: tuple[Scored, ...]
    differences: tuple[Scored, ...]
    only_first: int | None = None
    only_second: int | None = None
    p_value: float | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found. `answers` are to every row, in order; by k-fold each is by the fit without the row's fold."""

    version: Version
    task: Task
    method: Method
    folds: int
    seed: int
    data: Data
    scores: tuple[Scored, ...]
    pairwise: Pairwise | None
    answers: Answers


def evaluate(
    uri: str, client: MlflowClient, *, data: Data, method: Method = "holdout", metrics: Sequence[str] = (), folds: int = 5,
    seed: int = 0, against: str | None = None,
) -> Evaluation:  # fmt: skip
    """Score the version that a URI names on labelled data; with `against`, also another one on the same rows.

    holdout: the version as it is, on all rows, which it must not have seen; the accuracy's interval is the exact binomial one,
    that of other metrics BCa. bootstrap: the same scores, with the percentile and the BCa interval. kfold: an estimator of the
    same settings is fitted anew for each of `folds` folds, so that the score is of the recipe; the interval is corrected for
    overlapping training sets. **This runs the versions' code.** Raises `InputError` for input of every kind that cannot be
    scored; nothing is logged.
    """
    wanted = named(metrics)
    _check_data(data, method, folds)
    both = [loaded(each, client, data) for each in (uri, *([against] if against else []))]
    answers = [one.answer() for one in both] if method != "kfold" else []
    task = wanted[0].task if wanted else _task(both[0], answers[0] if answers else None)
    wanted = wanted or (METRICS[DEFAULT[task]],)
    for one in both:
        _check(one, task, method, wanted)
    if method == "kfold":
        split = _split(both[0].truth, task, folds, seed)
        per_fold = [fitted_anew(one, split, task, seed) for one in both]
        whole = [_joined(each, split, both[0].truth.size) for each in per_fold]
        scores = [tuple(_of_folds(metric, each) for metric in wanted) for each in per_fold]
    else:
        whole = [_answers(one, answer, task) for one, answer in zip(both, answers, strict=True)]
        per_fold = []
        scores = [tuple(_of_rows(metric, each, method, seed) for metric in wanted) for each in whole]
    pairwise = None
    if against:
        pairwise = _pairwise(both[1].version, wanted, whole, per_fold, scores[1], seed, task)
    version = both[0].version
    return Evaluation(version, task, method, folds if method == "kfold" else 0, seed, data, scores[0], pairwise, whole[0])


def _check_data(data: Data, method: Method, folds: int) -> None:
    if data.rows < 2:
        raise InputError([Problem(f"{data.name} has {data.rows} row: at least 2 are needed", path="--data")])
    if method == "kfold" and not 2 <= folds <= data.rows:
        rule = f"must be from 2 to the {data.rows} rows of {data.name}; got {folds}"
        raise InputError([Problem(rule, path="--folds")])


def _task(one: Loaded, answer: NDArray[Any] | None) -> Task:
    """What a version does, where no metric says so: by its estimator, else by the truth and its answers."""
    if one.estimator is not None:
        import sklearn.base

        if sklearn.base.is_classifier(one.estimator):
            return "classification"
        if sklearn.base.is_regressor(one.estimator):
            return "regression"
    if one.truth.dtype.kind not in "iuf":
        return "classification"
    whole = bool((one.truth == np.round(one.truth)).all())
    known = answer is not None and bool(np.isin(answer, np.unique(one.truth)).all())
    return "classification" if whole and (known or answer is None) else "regression"


def _check(one: Loaded, task: Task, method: Method, metrics: Sequence[Metric]) -> None:
    version, truth = one.version, one.truth
    if task == "classification":
        labels = np.unique(truth)
        if labels.size == 1:
            only = labels[0].item()
            raise InputError(
                [Problem(f"the target has one class only, {only!r}: a classifier is not tested by it", path="--data")]
            )
    elif truth.dtype.kind not in "iuf":
        raise InputError([Problem(f"{metrics[0].name} is of regression, and the target holds {_held(truth)}", path="--metric")])
    elif not np.isfinite(truth.astype(np.float64)).all():
        raise InputError([Problem("the target must be finite", path="--data")])
    if method == "kfold" and one.estimator is None:
        how = "it can only score: take --method holdout or bootstrap"
        raise InputError(
            [Problem(f"{version.pinned} carries no scikit-learn estimator that could be fitted anew; {how}", path="uri")]
        )
    needing = [metric.name for metric in metrics if metric.chances]
    if needing and not one.has_chances:
        why = f"{needing[0]} needs the chance of each label, and {version.pinned} answers labels only"
        raise InputError(
            [Problem(f"{why} (it has no `predict_proba`): take accuracy, balanced_accuracy or f1", path="--metric")]
        )


def _held(values: NDArray[Any]) -> str:
    """What a column holds, in words."""
    return {"U": "texts", "b": "true and false"}.get(values.dtype.kind, str(values.dtype))


def _answers(one: Loaded, answer: NDArray[Any], task: Task) -> Answers:
    if task == "regression":
        if answer.dtype.kind not in "iuf":
            raise InputError(
                [Problem(f"{one.version.pinned} answers {_held(answer)}, where a number is asked for", path="--metric")]
            )
        return Answers(one.truth, answer)
    check_labels(one, answer)
    labels = np.unique(one.truth)
    shares = chances(one, one.estimator, one.inputs, labels) if one.has_chances else None
    return coded(one.truth, answer, labels, shares)


def _split(truth: NDArray[Any], task: Task, folds: int, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Folds by scikit-learn, with equal shares of classes. Raises `InputError` where a class has fewer rows than folds."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if task == "regression":
        return list(KFold(folds, shuffle=True, random_state=seed).split(truth))
    labels, counts = np.unique(truth, return_counts=True)
    if counts.min() < folds:
        rare = labels[counts.argmin()].item()
        rule = (
            f"must be at most the rows of the rarest class, {counts.min()} of {rare!r}, so that each fold has all; got {folds}"
        )
        raise InputError([Problem(rule, path="--folds")])
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(truth, truth))


def _joined(found: Sequence[Answers], split: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], rows: int) -> Answers:
    """The answers of all folds, in the order of the rows."""
    order = np.argsort(np.concatenate([test for _, test in split]), kind="stable")
    shares = [each.chances for each in found if each.chances is not None]
    return Answers(
        np.concatenate([each.truth for each in found])[order],
        np.concatenate([each.answer for each in found])[order],
        np.concatenate(shares)[order] if len(shares) == len(found) else None,
        found[0].labels,
    )


def _of_folds(metric: Metric, found: Sequence[Answers]) -> Scored:
    scored = _corrected(metric.name, tuple(metric.score(each) for each in found))
    (bounds,) = scored.intervals
    if bounds.lower is None or bounds.upper is None:
        return scored
    # Student's interval does not know where scores end.
    within = replace(bounds, lower=max(bounds.lower, metric.least), upper=min(bounds.upper, metric.most))
    return replace(scored, intervals=(within,))


def _corrected(name: str, values: tuple[float, ...]) -> Scored:
    if not np.isfinite(values).all():
        raise InputError([Problem(f"{name} has no value on one of the folds: take fewer folds, or more rows", path="--folds")])
    found = corrected_interval(values, 1 / (len(values) - 1))
    assert found.estimate is not None
    return Scored(name, found.estimate, (_bounds("k-fold, corrected", found, "all folds score alike"),), values)


def _of_rows(metric: Metric, given: Answers, method: Method, seed: int) -> Scored:
    if metric.name == "accuracy" and method == "holdout":
        right = int((given.truth == given.answer).sum())
        exact = exact_proportion_interval(right, given.truth.size)
        return Scored(metric.name, right / given.truth.size, (_bounds("exact binomial", exact),))
    return _resampled(metric.name, lambda at: metric.score(given.of(at)), given.truth.size, seed, both=method == "bootstrap")


def _resampled(name: str, statistic: Callable[[NDArray[np.intp]], float], rows: int, seed: int, *, both: bool) -> Scored:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        whole = statistic(np.arange(rows))
    if not np.isfinite(whole):
        rule = f"{name} has no value on these {rows:,} rows: the target is the same in all of them, or too large"
        raise InputError([Problem(rule, path="--data")])
    found: Bootstrapped = bootstrap(statistic, rows, seed=seed, resamples=RESAMPLES)
    left_out = f"{found.undefined} of {RESAMPLES} resamples have no {name}" if found.undefined else ""
    alike = left_out or "all resamples score alike"
    intervals: tuple[Bounds, ...] = (_bounds("BCa", found.bca, alike, left_out),)
    if both:
        intervals = (_bounds("percentile", found.percentile, alike, left_out), *intervals)
    assert found.bca.estimate is not None
    return Scored(name, found.bca.estimate, intervals)


def _bounds(how: str, found: Estimate, missing: str = "", note: str = "") -> Bounds:
    return Bounds(how, found.lower, found.upper, missing if found.lower is None else note)


def _pairwise(
    against: Version, metrics: Sequence[Metric], whole: Sequence[Answers], per_fold: Sequence[Sequence[Answers]],
    scores: tuple[Scored, ...], seed: int, task: Task,
) -> Pairwise:  # fmt: skip
    first, second = whole
    if per_fold:
        differences = tuple(
            _corrected(metric.name, tuple(metric.score(a) - metric.score(b) for a, b in zip(*per_fold, strict=True)))
            for metric in metrics
        )
    else:
        differences = tuple(
            _resampled(metric.name, _difference(metric, first, second), first.truth.size, seed, both=True) for metric in metrics
        )
    if task == "regression":
        return Pairwise(against, scores, differences)
    right_a, right_b = first.answer == first.truth, second.answer == second.truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return Pairwise(against, scores, differences, only_a, only_b, mcnemar(only_a, only_b))


def _difference(metric: Metric, first: Answers, second: Answers) -> Callable[[NDArray[np.intp]], float]:
    return lambda at: metric.score(first.of(at)) - metric.score(second.of(at))
