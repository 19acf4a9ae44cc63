"""What an answer to a row earns, by the rule of a metric."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem
from sim.registry.data import Data, numbers
from sim.registry.versions import Version
from sim.scenario.schema import OF_NUMBERS, Payoff, Reward, Within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREDICTION = "{prediction}"
LARGEST = 1e100
"""The largest error, whose square is still a number."""


def earned(
    metric: str, rule: Reward, versions: Sequence[Version], answers: Sequence[NDArray[Any]], data: Data
) -> NDArray[np.float64]:
    """The rewards, (rows, K), of the answers, each (rows,), of K versions.

    "correct" is 1 where an answer equals the target, else 0; `absolute_error` and `squared_error` are how far a number is from
    the target, and `within` is 1 where it is that near, else 0; a pay-off column is earned where an answer is right, else 0; a
    pay-off with {prediction} in it is earned from the column that the answer picks. Raises `InputError` for an answer of which
    a rule can make nothing.
    """
    import numpy as np

    found = []
    for version, answer in zip(versions, answers, strict=True):
        if rule == "correct" or (isinstance(rule, Payoff) and PREDICTION not in rule.column):
            _check_labels(version, answer, data)
        found.append(earned_by(metric, rule, version, answer, data))
    return np.stack(found, axis=1)


def earned_by(metric: str, rule: Reward, version: Version, answer: NDArray[Any], data: Data) -> NDArray[np.float64]:
    """The rewards, (rows,), of the answers of one version, as in `earned`; of a few rows none need be right."""
    import numpy as np

    if isinstance(rule, Payoff):
        if PREDICTION in rule.column:
            return _picked(metric, rule.column, answer, data)
        return np.where(equal(answer, _labels(data)), _amounts(metric, rule.column, data), 0.0)
    if isinstance(rule, Within):
        error = np.abs(_errors(metric, version, answer, data))
        # A difference of decimals has last digits that nobody wrote: 10.1 is within 0.1 of 10.
        return ((error <= rule.within) | np.isclose(error, rule.within, rtol=1e-9, atol=0.0)).astype(np.float64)
    if rule == "correct":
        return np.where(equal(answer, _labels(data)), 1.0, 0.0)
    error = np.abs(_errors(metric, version, answer, data))
    if error.max() > LARGEST:
        raise _unfit(version, f"is off by {error.max():.3g}, too much for {metric}: scale the target")
    return error if rule == "absolute_error" else error * error


def reward_problems(rewards: Mapping[str, Reward], data: Data) -> list[Problem]:
    """Problems of the target and of pay-off columns that show before any prediction."""
    import numpy as np

    problems: list[Problem] = []
    for metric, rule in rewards.items():
        try:
            if isinstance(rule, Payoff):
                names = payoff_columns(metric, rule, data)
                picked = PREDICTION in rule.column
                amounts = [_some_amounts(name, data) if picked else _amounts(metric, name, data) for name in names]
                problems += _meant(metric, rule, np.concatenate(amounts))
            elif rule != "correct":
                _truth(metric, data)
        except InputError as error:
            problems += error.problems
    return problems


def _meant(metric: str, rule: Payoff, amounts: NDArray[np.float64]) -> list[Problem]:
    """What is unclear about pay-offs, or not possible: amounts that look like chances, and chances that are none."""
    if not amounts.size:
        return []
    least, most = float(amounts.min()), float(amounts.max())
    shares = least >= 0 and most <= 1
    if rule.as_ is None and shares and not ((amounts == 0) | (amounts == 1)).all():
        found = f"the pay-offs in {rule.column!r} lie between {least:.3g} and {most:.3g}"
        choices = "`as: chance` earns 1 with such a chance and else 0, as a conversion does; `as: amount` earns just that much"
        return [Problem(f"{found}: say what they are. {choices}", path=f"metrics.{metric}.reward")]
    if rule.as_ == "chance" and not shares:
        found = f"{rule.column!r} holds {most if most > 1 else least:.6g}"
        return [Problem(f"chances must lie between 0 and 1; {found}", path=f"metrics.{metric}.reward.as")]
    return []


def reward_columns(rewards: Mapping[str, Reward], data: Data) -> set[str]:
    """The columns that rewards and weights stand in, which no model gets that does not ask for them."""
    payoffs = {metric: rule for metric, rule in rewards.items() if isinstance(rule, Payoff)}
    found = {name for metric, rule in payoffs.items() for name in payoff_columns(metric, rule, data)}
    return found | {column for column in (data.weights_column, data.offline_column) if column is not None}


def payoff_columns(metric: str, rule: Payoff, data: Data) -> list[str]:
    """The columns that a pay-off rule can pick from. Raises `InputError` where there is none."""
    before, marker, after = rule.column.partition(PREDICTION)
    pattern = re.escape(before) + ".+" + re.escape(after) if marker else re.escape(before)
    names = [name for name in data.features.columns if re.fullmatch(pattern, name)]
    if not names:
        columns = ", ".join(data.frame.columns[:20]) + (", …" if len(data.frame.columns) > 20 else "")
        raise _wrong(metric, f"{data.name} has no column {rule.column!r}; it has {columns}")
    return names


def _amounts(metric: str, name: str, data: Data) -> NDArray[np.float64]:
    """The amounts, (rows,), in a column."""
    return numbers(data.frame, name, "pay-offs", data.name, f"metrics.{metric}.reward.column")


def _some_amounts(name: str, data: Data) -> NDArray[np.float64]:
    """The numbers in a column that answers may pick: of what they do pick, a run sees whether it is one."""
    import numpy as np

    if data.frame[name].dtype.kind not in "iufb":
        return np.zeros(0)
    amounts = data.frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(amounts[np.isfinite(amounts)])


def _picked(metric: str, rule: str, answer: NDArray[Any], data: Data) -> NDArray[np.float64]:
    """The amount, (rows,), in the column that each row's answer picks."""
    import numpy as np

    labels, codes = np.unique(answer, return_inverse=True)
    names = [rule.replace(PREDICTION, _label(label)) for label in labels]
    if missing := [name for name in names if name not in data.features.columns]:
        some = ", ".join(map(repr, missing[:10]))
        raise _wrong(metric, f"a model predicts what {data.name} has no pay-off column for: {some}")
    amounts = np.stack([_amounts(metric, name, data) for name in names])
    picked: NDArray[np.float64] = amounts[codes, np.arange(len(answer))]
    return picked


def _label(value: Any) -> str:
    if value.dtype.kind == "f" and value == int(value):
        return str(int(value))
    return str(value)


def _labels(data: Data) -> NDArray[Any]:
    """The target, (rows,), as labels."""
    truth = data.target.to_numpy()
    return truth.astype(str) if truth.dtype == object else truth


def _check_labels(version: Version, answer: NDArray[Any], data: Data) -> None:
    """Raise `InputError` unless some answer is a label of the target.

    Else scores, or classes in another coding, would silently count as wrong.
    """
    import numpy as np

    truth = _labels(data)
    labels = np.unique(truth)
    comparable = (answer.dtype.kind == "U") == (truth.dtype.kind == "U") and truth.dtype.kind in "iufbU"
    if not comparable or not np.isin(answer, labels).any():
        some = ", ".join(repr(label) for label in labels[:5].tolist()) + (", …" if len(labels) > 5 else "")
        found = f"predicts values such as {answer[0].item()!r}, none of which is a label of the target"
        numeric = answer.dtype.kind in "iuf" and truth.dtype.kind in "iuf"
        hint = f"; where it predicts a number, take one of {', '.join(OF_NUMBERS)}" if numeric else ""
        raise _unfit(version, f"{found} {data.target.name!r}: {some}{hint}")


def equal(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two versions answer alike, or one answers right, (rows,); a text equals no number."""
    import numpy as np

    if (left.dtype.kind == "U") != (right.dtype.kind == "U"):
        return np.zeros(left.shape, dtype=np.bool_)
    same: NDArray[np.bool_] = np.equal(left, right)
    return same


def _errors(metric: str, version: Version, answer: NDArray[Any], data: Data) -> NDArray[np.float64]:
    """The answers less the target, (rows,)."""
    import numpy as np

    if answer.dtype.kind not in "iuf":
        raise _unfit(version, f"predicts {answer[0].item()!r}, of which {metric} cannot say how far it is from a number")
    return answer.astype(np.float64) - _truth(metric, data)


def _truth(metric: str, data: Data) -> NDArray[np.float64]:
    """The target, (rows,), as numbers."""
    return numbers(data.frame, str(data.target.name), "right answers", data.name, f"metrics.{metric}.reward")


def _unfit(version: Version, message: str) -> InputError:
    return InputError([Problem(f"{version.arm} ({version.pinned}): {message}", path="data")])


def _wrong(metric: str, message: str) -> InputError:
    return InputError([Problem(message, path=f"metrics.{metric}.reward.column")])
