"""How a version scored on labelled data, as kept on its tags: one tag per metric and method."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

PREFIX = "sim.offline."


@dataclass(frozen=True)
class Bounds:
    """A 95% interval, and how it was made; a bound is None where it does not exist, and `note` says why."""

    how: str
    lower: float | None
    upper: float | None
    note: str = ""


@dataclass(frozen=True)
class Score:
    """One metric of one version on one data set, as `sim models evaluate` found it.

    `digest` is of the data; `seed` draws folds and resamples; `run` is the MLflow run that has the details; `at` is ISO 8601.
    `folds` is 0 but for k-fold, which scores the estimator's recipe, fitted anew, and not the version itself.
    """

    metric: str
    method: str
    estimate: float
    intervals: tuple[Bounds, ...]
    data: str
    digest: str
    rows: int
    seed: int
    folds: int
    run: str
    at: str

    @property
    def key(self) -> str:
        """The tag's key."""
        return f"{PREFIX}{re.sub(r'[^A-Za-z0-9_.-]', '_', self.metric)}.{self.method}"

    def to_tag(self) -> str:
        """The tag's value.

        >>> exact = Bounds("exact", 0.8, 0.95)
        >>> score = Score("accuracy", "holdout", 0.9, (exact,), "a.csv", "ab", 50, 0, 0, "f0", "2026-01-01")
        >>> Score.from_tag(score.to_tag()) == score
        True
        """
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_tag(cls, text: str) -> Score:
        """Reads what `to_tag` wrote. Raises `ValueError` for anything else."""
        try:
            value = json.loads(text)
            value["intervals"] = tuple(Bounds(**each) for each in value["intervals"])
            score = cls(**value)
            if not isinstance(score.estimate, int | float) or isinstance(score.estimate, bool):
                raise ValueError(f"an estimate must be a number, got {score.estimate!r}")
            return score
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"a score has {error} wrong or missing") from error


def scores(tags: Mapping[str, str]) -> tuple[list[Score], list[str]]:
    """The scores in a version's tags, by metric and method, and the keys of those that cannot be read."""
    found, damaged = [], []
    for key in sorted(tags):
        if key.startswith(PREFIX):
            try:
                found.append(Score.from_tag(tags[key]))
            except ValueError:
                damaged.append(key)
    return found, damaged
