"""Score every real version once on a data set; requests then replay the rows."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sim.errors import FileError, InputError, Problem
from sim.files import read_arrays, write_arrays
from sim.registry import trust
from sim.registry.behaviour import digest_of
from sim.registry.data import Data, digest_frame, numbers
from sim.registry.scoring import load, model_inputs, predict
from sim.registry.versions import Version
from sim.scenario.schema import Payoff

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from numpy.typing import NDArray

RewardRule = Literal["correct"] | Payoff
"""The reward of a row: 1 for a right answer, or what stands in a column of the data: an amount, or the chance of a 1."""

PREDICTION = "{prediction}"


@dataclass(frozen=True, eq=False)
class ReplayTable:
    """The rewards of each arm on each row of the data.

    `rewards` maps metric to amounts, or chances of a 1, (rows, K); `agreement` (rows, K) is true where an arm answers like arm
    0, the champion; `digest` covers arms, rewards and agreement; `weights` (rows,) are those of the data.
    """

    rows: int
    arms: tuple[str, ...]
    rewards: dict[str, NDArray[np.float64]]
    agreement: NDArray[np.bool_]
    digest: str
    weights: NDArray[np.float64] | None = None


def replay(
    versions: Sequence[Version],
    data: Data,
    rewards: Mapping[str, RewardRule],
    client: MlflowClient,
    cache_dir: Path | None = None,
) -> ReplayTable:
    """Score every version on every row, and compute the rewards of the answers.

    `rewards` maps metric to rule: "correct" is 1 where the prediction equals the target, else 0; a
    pay-off column is earned where the prediction is right, else 0; a pay-off with {prediction} in it is
    earned from the column that the prediction picks. Predictions are kept in `cache_dir` and used again
    for the same version and data.

    **Loading a version runs its code.** Versions are loaded from the registry of `client` only: open only
    one you trust. Raises `InputError` where nobody vouches for it (`trust`), for a behaviour model, data
    that does not match a signature, a
    model that fails, predictions that are not one per row or cannot equal the target, and pay-offs that
    are absent, not numbers or not finite, or of which the rule does not say whether they are amounts or chances.
    """
    import numpy as np

    problems = untrusted_problems(versions, client) or mixed_problems(versions) or payoff_problems(rewards, data)
    if problems:
        raise InputError(problems)
    used = reward_columns(rewards, data)
    answers = [_answers(version, data, client, used, cache_dir) for version in versions]
    agreement = np.stack([_equal(answer, answers[0]) for answer in answers], axis=1)
    earned: dict[str, NDArray[np.float64]] = {}
    for metric, rule in rewards.items():
        if rule != "correct" and PREDICTION in rule.column:
            picked = [_picked(metric, rule.column, answer, data) for answer in answers]
            earned[metric] = np.stack(picked, axis=1)
        else:
            right = np.stack([_right(*pair, data) for pair in zip(versions, answers, strict=True)], axis=1)
            worth = np.ones(data.rows) if rule == "correct" else _amounts(metric, rule.column, data)
            earned[metric] = np.where(right, worth[:, None], 0.0)
    arms = tuple(version.arm for version in versions)
    bits = {metric: hashlib.sha256(table.tobytes()).hexdigest() for metric, table in earned.items()}
    digest = digest_of([arms, bits, hashlib.sha256(agreement.tobytes()).hexdigest()])
    return ReplayTable(data.rows, arms, earned, agreement, digest, data.weights)


def untrusted_problems(versions: Sequence[Version], client: MlflowClient) -> list[Problem]:
    """The real models of a store that nobody vouches for, even where their answers are known already."""
    found = (
        trust.problem_of(client, f"models[{index}].uri", f"{version.pinned} is a real model")
        for index, version in enumerate(versions)
        if version.kind == "replay"
    )
    return [problem for problem in found if problem]


def mixed_problems(versions: Sequence[Version]) -> list[Problem]:
    """The behaviour models among versions that are to be replayed."""
    return [
        Problem(
            f"{version.pinned} is a behaviour model: with `data`, every arm must be a real model",
            path=f"models[{index}].uri",
        )
        for index, version in enumerate(versions)
        if version.kind != "replay"
    ]


def payoff_problems(rewards: Mapping[str, RewardRule], data: Data) -> list[Problem]:
    """Problems of the pay-off columns that show before any prediction."""
    import numpy as np

    problems: list[Problem] = []
    for metric, rule in rewards.items():
        if rule == "correct":
            continue
        try:
            names = payoff_columns(metric, rule, data)
            picked = PREDICTION in rule.column
            amounts = [_some_amounts(name, data) if picked else _amounts(metric, name, data) for name in names]
            problems += _meant(metric, rule, np.concatenate(amounts))
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


def reward_columns(rewards: Mapping[str, RewardRule], data: Data) -> set[str]:
    """The columns that rewards and weights stand in, which no model gets that does not ask for them."""
    found = {name for metric, rule in rewards.items() if rule != "correct" for name in payoff_columns(metric, rule, data)}
    return found if data.weights_column is None else found | {data.weights_column}


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


def _answers(version: Version, data: Data, client: MlflowClient, payoffs: set[str], cache_dir: Path | None) -> NDArray[Any]:
    """The version's predictions, (rows,), of a plain NumPy type; from the cache if it has them."""
    import numpy as np

    inputs = model_inputs(version, data, client, rewards=payoffs)
    digest = hashlib.sha256(inputs.tobytes()).hexdigest() if isinstance(inputs, np.ndarray) else digest_frame(inputs)
    # The version's digest includes when and where it was made, because another registry may have a version of this number.
    made = [version.name, version.version, version.digest, client.tracking_uri]
    kept = cache_dir / f"predictions-{digest_of([made, digest])[:32]}.npz" if cache_dir else None
    if kept is not None:
        cached = (read_arrays(kept) or {}).get("answer")
        if cached is not None and cached.shape == (data.rows,):
            return cached
    answer = _plain(version, predict(load(version, client), version, inputs), data.rows)
    if kept is not None:
        # Nothing depends on the cache.
        with contextlib.suppress(OSError, FileError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(kept, answer=answer)
    return answer


def _plain(version: Version, answer: Any, rows: int) -> NDArray[Any]:
    import numpy as np

    values = np.asarray(answer)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (rows,):
        raise _unfit(version, f"must predict one value per row, ({rows},); got shape {values.shape}")
    if values.dtype == object:
        values = np.array(values.tolist())
    if values.dtype.kind not in "iufbU":
        raise _unfit(version, f"must predict numbers, texts or booleans; got {values.dtype}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise _unfit(version, f"predicts NaN in {int(np.isnan(values).sum())} of {rows} rows")
    return values


def _right(version: Version, answer: NDArray[Any], data: Data) -> NDArray[np.bool_]:
    """Where the answers equal the target, (rows,).

    At least one answer must be a label of the target: else scores, or classes in another coding, would silently count as wrong.
    """
    import numpy as np

    truth = data.target.to_numpy()
    if truth.dtype == object:
        truth = truth.astype(str)
    labels = np.unique(truth)
    comparable = (answer.dtype.kind == "U") == (truth.dtype.kind == "U") and truth.dtype.kind in "iufbU"
    if not comparable or not np.isin(answer, labels).any():
        some = ", ".join(repr(label) for label in labels[:5].tolist()) + (", …" if len(labels) > 5 else "")
        raise _unfit(
            version,
            f"predicts values such as {answer[0].item()!r}, none of which is a label of the target "
            f"{data.target.name!r}: {some}",
        )
    return _equal(answer, truth)


def _equal(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    import numpy as np

    if (left.dtype.kind == "U") != (right.dtype.kind == "U"):
        return np.zeros(left.shape, dtype=np.bool_)
    same: NDArray[np.bool_] = np.equal(left, right)
    return same


def _unfit(version: Version, message: str) -> InputError:
    return InputError([Problem(f"{version.arm} ({version.pinned}): {message}", path="data")])


def _wrong(metric: str, message: str) -> InputError:
    return InputError([Problem(message, path=f"metrics.{metric}.reward.column")])
