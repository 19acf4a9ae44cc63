"""Synthetic paths of a metric, to compare a rule of evidence with theory without an engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Ints
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column, Moment
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting

# Of the metric `revenue`, in units of its grid.
MEAN, SD = 1000, 500


def gaussian_ticks(
    rows: int, outcomes: list[int], effects: tuple[float, ...] = (0.0,), seed: int = 11
) -> list[dict[Column, Ints]]:
    """Telemetry of `outcomes[i]` outcomes an arm in tick i, for the champion and one challenger an effect (in sd)."""
    rng = np.random.default_rng(seed)
    arms = 1 + len(effects)
    mean = MEAN + SD * np.array([0.0, *effects])
    ticks: list[dict[Column, Ints]] = []
    for count in outcomes:
        total = np.rint(rng.normal(count * mean, SD * np.sqrt(count), (rows, arms)))
        within = SD**2 * rng.chisquare(count - 1, (rows, arms)) if count > 1 else np.zeros((rows, arms))
        square = np.rint(total * total / max(count, 1) + within)
        ticks.append(
            {
                Moment("revenue", "count"): np.full((rows, arms), count),
                Moment("revenue", "sum"): total.astype(np.int64),
                Moment("revenue", "square"): square.astype(np.int64),
            }
        )
    return ticks


def binary_ticks(
    rows: int, outcomes: list[int], effects: tuple[float, ...] = (0.0,), rate: float = 0.2, seed: int = 11
) -> list[dict[Column, Ints]]:
    """As `gaussian_ticks`, of `conversion`: the champion converts at `rate`, challengers at `rate + effect`."""
    rng = np.random.default_rng(seed)
    shape = (rows, 1 + len(effects))
    rates = rate + np.array([0.0, *effects])
    return [{KNOWN: np.full(shape, count), CONVERTED: rng.binomial(count, rates, shape)} for count in outcomes]


def first_findings(part: Evidence, ticks: list[dict[Column, Ints]], primary: str = "revenue") -> tuple[NDArray[np.int8], Ints]:
    """(r, K - 1) each: the first finding for every challenger, and the number of its tick, from 1 (0 for never)."""
    arms = next(iter(ticks[0].values())).shape[1]
    setting = make_setting(arms, primary=primary)
    needed = part.needs(setting)
    findings = np.stack(look_at(part, setting, [{key: tick[key] for key in needed} for tick in ticks]))[:, :, 1:]
    decided = findings != Finding.UNDECIDED
    at = decided.argmax(axis=0)
    first = np.take_along_axis(findings, at[None], axis=0)[0]
    return first, np.where(decided.any(axis=0), at + 1, 0)


def declared(findings: NDArray[np.int8]) -> float:
    """Share of replications in which some challenger was declared better or worse."""
    return float(((findings == Finding.PASS) | (findings == Finding.FAIL)).any(axis=1).mean())


def standard_error(share: float, count: int) -> float:
    return float(np.sqrt(share * (1 - share) / count))
