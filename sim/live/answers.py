"""What real answers say and earn, row by row of the data, as a replay of the same versions would have it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError
from sim.registry.replay import ReplayTable
from sim.registry.rewards import earned_by, equal
from sim.registry.scoring import one_per_row
from sim.scenario.schema import Payoff, Reward

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.versions import Version


class Answers:
    """Reads answers of servers. `grids` are the steps {metric: value} in which monitoring counts; `unlike` counts answers other
    than those that were replayed for the same row.

    chance (N,) uniforms by request, for rewards that are chances.
    """

    def __init__(
        self, versions: Sequence[Version], data: Data, table: ReplayTable, rewards: Mapping[str, Reward],
        grids: Mapping[str, float], chance: Floats,
    ) -> None:  # fmt: skip
        self._versions, self._data, self._table = versions, data, table
        self._rewards, self._grids, self._chance = rewards, grids, chance
        self.unlike = 0
        self.read = 0

    def said(self, arm: int, body: bytes) -> NDArray[Any] | None:
        """(1,) the answer to one row; None where it is no prediction."""
        try:
            return one_per_row(self._versions[arm], _predictions(body), 1)
        except (InputError, ValueError, TypeError, LookupError):
            return None

    def value(
        self, arm: int, requests: Ints, rows: Ints, answers: Sequence[NDArray[Any]]
    ) -> tuple[dict[str, Ints], Bools]:  # fmt: skip
        """{metric: (n,)} what answers of an arm earn, in steps of the grid, and (n,) whether the champion answers so.

        Raises `InputError` for an answer that has no pay-off.
        """
        answer = np.concatenate(list(answers))
        self.read += rows.size
        self.unlike += int((~equal(answer, self._table.answers[arm][rows])).sum())
        data, found = self._data.take(rows), {}
        for metric, rule in self._rewards.items():
            worth = earned_by(metric, rule, self._versions[arm], answer, data)
            if isinstance(rule, Payoff) and rule.as_ == "chance":
                worth = (self._chance[requests] < worth).astype(np.float64)
            found[metric] = np.rint(worth / self._grids[metric]).astype(np.int64)
        return found, equal(answer, self._table.answers[0][rows])


def _predictions(body: bytes) -> Any:
    import pandas as pd

    found = json.loads(body)["predictions"]
    of_names = isinstance(found, list) and bool(found) and isinstance(found[0], dict)
    return pd.DataFrame(found) if of_names else found
