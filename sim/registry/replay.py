"""Score every real version once on a data set; requests then replay the rows."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import FileError, InputError, Problem
from sim.files import read_arrays, write_arrays
from sim.registry import trust
from sim.registry.behaviour import digest_of
from sim.registry.data import Data, digest_frame
from sim.registry.rewards import earned, equal, reward_columns, reward_problems
from sim.registry.scoring import load, model_inputs, one_per_row, predict
from sim.registry.versions import Version
from sim.scenario.schema import Reward

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ReplayTable:
    """The rewards of each arm on each row of the data.

    `rewards` maps metric to amounts, or chances of a 1, (rows, K); `agreement` (rows, K) is true where an arm answers like arm
    0, the champion; `digest` covers arms, rewards and agreement; `weights` and `offline` (rows,) are those of the data, and
    `answers` what each arm answers, (rows,) each.
    """

    rows: int
    arms: tuple[str, ...]
    rewards: dict[str, NDArray[np.float64]]
    agreement: NDArray[np.bool_]
    digest: str
    weights: NDArray[np.float64] | None = None
    offline: NDArray[np.bool_] | None = None
    answers: tuple[NDArray[Any], ...] = ()


def replay(
    versions: Sequence[Version],
    data: Data,
    rewards: Mapping[str, Reward],
    client: MlflowClient,
    cache_dir: Path | None = None,
) -> ReplayTable:
    """Score every version on every row, and compute the rewards of the answers.

    `rewards` maps metric to rule (`sim.registry.rewards`). Predictions are kept in `cache_dir` and used again for the same
    version and data.

    **Loading a version runs its code.** Versions are loaded from the registry of `client` only: open only one you trust. Raises
    `InputError` where nobody vouches for it (`trust`), for a behaviour model, data that does not match a signature, a model
    that fails, predictions that are not one per row or of which a rule can make nothing, a target that is no number where
    errors are asked for, and pay-offs that are absent, not numbers or not finite, or of which the rule does not say whether
    they are amounts or chances.
    """
    import numpy as np

    problems = untrusted_problems(versions, client) or mixed_problems(versions) or reward_problems(rewards, data)
    if problems:
        raise InputError(problems)
    used = reward_columns(rewards, data)
    answers = [_answers(version, data, client, used, cache_dir) for version in versions]
    agreement = np.stack([equal(answer, answers[0]) for answer in answers], axis=1)
    rewarded = {metric: earned(metric, rule, versions, answers, data) for metric, rule in rewards.items()}
    arms = tuple(version.arm for version in versions)
    bits = {metric: hashlib.sha256(table.tobytes()).hexdigest() for metric, table in rewarded.items()}
    digest = digest_of([arms, bits, hashlib.sha256(agreement.tobytes()).hexdigest()])
    return ReplayTable(data.rows, arms, rewarded, agreement, digest, data.weights, data.offline, tuple(answers))


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
    answer = one_per_row(version, predict(load(version, client), version, inputs), data.rows)
    if kept is not None:
        # Nothing depends on the cache.
        with contextlib.suppress(OSError, FileError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(kept, answer=answer)
    return answer
