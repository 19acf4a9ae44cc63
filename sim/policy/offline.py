"""An offline evaluation that a policy asks for before any traffic, and what it says of the arms.

An engine answers requests; this asks for none. Who plays a policy draws what each evaluation would have shown in each
replication and hands it over at the start (`StagedPolicy.start`): scores, never what is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sim.arrays import Floats, Ints

Method = Literal["holdout", "kfold", "bootstrap"]


@dataclass(frozen=True)
class Evaluation:
    """All arms scored on the same rows of labelled data, as a value: two that are equal show the same.

    rows None: all rows of the data that models are replayed on. folds: of k-fold, else 0.
    """

    metric: str
    rows: int | None
    method: Method = "holdout"
    folds: int = 0

    def informative_rows(self, rows: int) -> int:
        """How many rows a hold-out would need to vary as much as this evaluation of `rows` rows, at least 1.

        A hold-out and a bootstrap sample are worth their rows. The k scores of k-fold are correlated, as their training sets
        overlap: with the correlation 1/k that Nadeau and Bengio use, the variance of their mean is that of a hold-out of all
        rows times 1 + (k − 1) / k. So it is that of fewer rows, rounded to a whole number.

        Source: Nadeau & Bengio, Machine Learning 52 (2003), §3, with ρ = n2 / (n1 + n2).

        >>> Evaluation("accuracy", 900).informative_rows(900), Evaluation("accuracy", 900, "kfold", 5).informative_rows(900)
        (900, 500)
        """
        if self.method != "kfold":
            return rows
        return max(1, round(rows / (1 + (self.folds - 1) / self.folds)))

    def table_problems(self, rows: int) -> list[tuple[str, str]]:
        """Problems of scoring on a table of which offline evaluations have so many rows: (key, message) pairs."""
        if self.rows is not None and self.rows > rows:
            return [
                ("rows", f"must be at most {rows:,}, the rows of the data that offline evaluations have; got {self.rows:,}")
            ]
        asked = rows if self.rows is None else self.rows
        return [("folds", f"must be at most the {asked:,} rows, got {self.folds:,}")] if self.folds > asked else []


Scores = Mapping[Evaluation, Floats]
"""What each evaluation showed: a score of every arm, (R, K), in the metric's own units."""


@dataclass(frozen=True)
class OfflineChoice:
    """What the offline stage of a policy made of its scores, (R,) each.

    arm: the challenger that scores best; estimate: by how much better than the champion it scores, relatively; NaN where that
    scores 0. picked: the arm that the stage passes first, 0 where it passes none.
    """

    metric: str
    arm: Ints
    estimate: Floats
    picked: Ints


def gains(scores: Floats, sign: int) -> Floats:
    """(r, K) by how much better than the champion each arm scores, in the metric's own units; 0 of the champion itself.

    >>> import numpy as np
    >>> gains(np.array([[0.5, 0.75, 0.25]]), -1).tolist()
    [[0.0, -0.25, 0.25]]
    """
    found: Floats = sign * (scores - scores[:, :1]) + 0.0
    return found
