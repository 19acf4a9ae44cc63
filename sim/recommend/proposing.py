"""Proposals of settings, by Optuna's sampler: at random at first, then like those that did well."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import TPESampler

T = TypeVar("T")
_FIT = "may be fit to be recommended"
RANDOM = 20
"""How many proposals are drawn at random: what is near what did well is not known before."""


@dataclass(frozen=True)
class Asked:
    """An `Ask` that is answered by a trial of a study."""

    trial: Trial

    def kind(self, name: str, kinds: Sequence[str]) -> str:
        return str(self.trial.suggest_categorical(name, list(kinds)))

    def value(self, name: str, values: Sequence[T]) -> T:
        # The place among values that rise: so the sampler knows what is near what.
        return values[self.trial.suggest_int(name, 0, len(values) - 1)]


class Proposals:
    """A study of Optuna that is asked for a batch at a time, and told what became of it.

    The sampler begins each batch with a seed of its own, so that the proposals after a batch depend on nothing but the seed and
    what was told. The first `random` proposals are drawn at random. `directions` are `maximize` or `minimize`, by measure; of
    several measures the sampler goes for their frontier (Ozaki, Tanigaki, Watanabe, Nomura & Onishi 2022).

    >>> proposals = Proposals(seed=1, random=5)
    >>> asked = proposals.ask()
    >>> asked.kind("family", ["ab"]), asked.value("alpha", ["5%"])
    ('ab', '5%')
    >>> proposals.tell(asked, [3.0], fit=True, about={"name": "ab-1"})
    """

    def __init__(
        self, seed: int, random: int = RANDOM, name: str = "search", directions: Sequence[str] = ("maximize",)
    ) -> None:
        import optuna

        # What becomes of each trial is told by the search, in its own words.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._seed, self._random, self._batch = seed, random, 0
        towards = [optuna.study.StudyDirection[each.upper()] for each in directions]
        self._study: Study = optuna.create_study(study_name=name, directions=towards, sampler=self._sampler())

    def _sampler(self) -> TPESampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                seed=(self._seed + self._batch) % 2**32, n_startup_trials=self._random, multivariate=True, group=True,
                constant_liar=True,
            )  # fmt: skip

    def ask(self) -> Asked:
        """A proposal."""
        return Asked(self._study.ask())

    def next_batch(self) -> None:
        """Begin a batch."""
        self._study.sampler = self._sampler()
        self._batch += 1

    def tell(self, asked: Asked, worth: Sequence[float], *, fit: bool, about: Mapping[str, object]) -> None:
        """What became of a proposal: what it is worth by measure, and whether it may be fit to be recommended."""
        for key, value in about.items():
            asked.trial.set_user_attr(key, value)
        # Above 0 is broken.
        asked.trial.set_constraint(_FIT, 0.0 if fit else 1.0)
        self._study.tell(asked.trial, [*worth])

    def refuse(self, asked: Asked, *, about: Mapping[str, object]) -> None:
        """A proposal that the scenario cannot have, or that has no worth."""
        from optuna.trial import TrialState

        for key, value in about.items():
            asked.trial.set_user_attr(key, value)
        self._study.tell(asked.trial, state=TrialState.FAIL)

    def save(self, file: Path) -> None:
        """Write the study to a new SQLite file, which `optuna-dashboard` shows."""
        import optuna

        optuna.copy_study(
            from_study_name=self._study.study_name, from_storage=self._study._storage, to_storage=f"sqlite:///{file}"
        )
