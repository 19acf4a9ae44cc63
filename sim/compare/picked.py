"""Which trials of a policy are worth telling: the worst, a typical one, and the best."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.compare.measures import MEASURES
from sim.compare.trials import Trials
from sim.run.story import Pick, Which


def picked(trials: Trials, measure: str) -> list[Pick]:
    """The trials of the least, the middle and the greatest value of a measure, the worst first; of equal ones the first.

    Only a typical one where all are equal, and none where the measure is not known.
    """
    by = MEASURES[measure]
    if by.values is None:
        return []
    values = by.values(trials)
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return []
    sign = -1.0 if by.better == "lower" else 1.0
    # Of equal values the first replication comes first, whatever way they are sorted.
    order = known[np.argsort(sign * values[known], kind="stable")]
    middle = values[order[(order.size - 1) // 2]]
    first: dict[Which, Any] = {
        "worst": order[0],
        "typical": known[values[known] == middle][0],
        "best": known[values[known] == values[order[-1]]][0],
    }
    if values[order[0]] == values[order[-1]]:
        del first["worst"], first["best"]
    return [Pick(which, int(trials["replication"][at]), measure, float(values[at])) for which, at in first.items()]
