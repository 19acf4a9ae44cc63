"""What versions answer to rows: as they are, or fitted anew on other rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError, Problem, visible
from sim.evaluation.metrics import Answers, Task, coded
from sim.registry.data import Data
from sim.registry.scoring import load, model_inputs, one_per_row, predict, running
from sim.registry.versions import Version, resolve, signature_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, eq=False)
class Loaded:
    """A version that is loaded, with the rows as it takes them, and the estimator in it if it has one."""

    version: Version
    model: Any
    inputs: Any
    estimator: Any | None
    truth: NDArray[Any]

    @property
    def has_chances(self) -> bool:
        """Whether it gives the chances of labels."""
        return self.estimator is not None and hasattr(self.estimator, "predict_proba")

    def answer(self) -> NDArray[Any]:
        """What the version answers to every row, (n,)."""
        return one_per_row(self.version, predict(self.model, self.version, self.inputs), self.truth.size)


def loaded(uri: str, client: MlflowClient, data: Data) -> Loaded:
    """Load the version that a URI names, which runs its code, for the rows of the data.

    Raises `InputError` where there is none, it is a behaviour model, has no signature, does not take these columns, or cannot
    be loaded here, and where nobody vouches for its registry (`sim.registry.trust`).
    """
    try:
        (version,) = resolve([(uri, uri)], client, unmeasured=True)
    except InputError as error:
        raise InputError(Problem(problem.message, path="uri") for problem in error.problems) from error
    if version.kind == "behaviour":
        raise InputError([Problem(f"{uri} is a behaviour model: what it earns is stated, and it predicts nothing", path="uri")])
    signature = signature_of(version, client)
    if signature is None or signature.inputs is None:
        how = "log it with `signature=infer_signature(features, predictions)`, or add one with `mlflow.models.set_signature`"
        raise InputError([Problem(f"{uri} has no signature, so that its columns are not known: {how}", path="uri")])
    inputs = model_inputs(version, data, client)
    model = load(version, client)
    return Loaded(version, model, inputs, _estimator(model), plain(data.target.to_numpy()))


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Labels of a plain NumPy type: objects as texts."""
    return values.astype(str) if values.dtype == object else values


def chances(one: Loaded, estimator: Any, inputs: Any, labels: NDArray[Any]) -> NDArray[np.float64] | None:
    """The chances of each label, (n, k), by an estimator; None where it gives none. A label that it does not know has none."""
    if not hasattr(estimator, "predict_proba"):
        return None
    with _failing(one.version, "cannot give chances"):
        found = np.asarray(estimator.predict_proba(inputs), dtype=np.float64)
        known = plain(np.asarray(estimator.classes_))
    at = np.searchsorted(labels, known)
    strangers = [each for each in known.tolist() if each not in labels]
    if strangers:
        raise _wrong(one.version, f"knows the label {strangers[0]!r}, which the target {labels.tolist()[:5]} does not have")
    full = np.zeros((found.shape[0], labels.size))
    full[:, at] = found
    return full


def fitted_anew(one: Loaded, folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]], task: Task, seed: int) -> list[Answers]:
    """For each fold the answers to its rows of an estimator like the version's own, fitted on all other rows.

    Settings named `random_state` that are open are set to the seed, so that the same seed gives the same bits.
    """
    import sklearn.base

    labels = np.unique(one.truth) if task == "classification" else None
    found = []
    for train, test in folds:
        with _failing(one.version, "cannot be fitted anew"):
            estimator = sklearn.base.clone(one.estimator)
            open_seeds = {
                name: seed for name, value in estimator.get_params().items()
                if name.rpartition("__")[2] == "random_state" and value is None
            }  # fmt: skip
            estimator.set_params(**open_seeds)
            estimator.fit(_rows(one.inputs, train), one.truth[train])
            answer = estimator.predict(_rows(one.inputs, test))
        plain_answer = one_per_row(one.version, answer, test.size)
        if labels is None:
            found.append(Answers(one.truth[test], plain_answer))
        else:
            found.append(coded(one.truth[test], plain_answer, labels, chances(one, estimator, _rows(one.inputs, test), labels)))
    return found


def check_labels(one: Loaded, answer: NDArray[Any]) -> None:
    """Raise `InputError` where no answer is a label of the target.

    Scores, or labels in another coding, would all count as wrong.
    """
    labels = np.unique(one.truth)
    if (answer.dtype.kind == "U") != (one.truth.dtype.kind == "U") or not np.isin(answer, labels).any():
        some = ", ".join(map(repr, labels[:5].tolist()))
        raise _wrong(
            one.version, f"answers values such as {answer[0].item()!r}, none of which is a label of the target: {some}"
        )


def _rows(inputs: Any, at: NDArray[np.intp]) -> Any:
    return inputs[at] if isinstance(inputs, np.ndarray) else inputs.iloc[at]


def _estimator(model: Any) -> Any | None:
    """The scikit-learn estimator in a version; None where it has none that can be fitted anew."""
    try:
        found = model.get_raw_model()
    except Exception:
        # Flavours without one raise errors of many types.
        return None
    return found if all(hasattr(found, name) for name in ("fit", "predict", "get_params", "set_params")) else None


@contextlib.contextmanager
def _failing(version: Version, what: str) -> Iterator[None]:
    try:
        with running():
            yield
    except Exception as error:
        reason = visible(f"{type(error).__name__}: {str(error).strip()[:300]}".replace("\n", " "))
        raise _wrong(version, f"{what}: {reason}") from error


def _wrong(version: Version, message: str) -> InputError:
    return InputError([Problem(f"{version.pinned} {message}", path="uri")])
