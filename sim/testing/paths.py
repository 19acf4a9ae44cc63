"""Synthetic paths of a metric, to compare a rule of evidence with theory without an engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column, Moment, moments_of
from sim.testing.settings import CONVERTED, KNOWN, METRICS, look_at, make_setting

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


def alike_ticks(
    rows: int, primary: str, weigh: Callable[[int, Floats], Floats | float], shift: list[float], seed: int = 13
) -> tuple[list[dict[Column, Ints]], list[Floats]]:
    """Telemetry of two arms that are alike, 250 outcomes a tick split by chance, and the shares (rows, 2) of every tick.

    `weigh` gives the challenger's share of a tick from its number and the arms' means so far, (rows, 2) on the grid. Both arms'
    means are shifted together by `shift[i]` in tick i: in standard deviations of an amount, relative to the rate of a binary
    metric.
    """
    rng = np.random.default_rng(seed)
    seen, added = np.zeros((2, rows, 2))
    ticks: list[dict[Column, Ints]] = []
    live: list[Floats] = []
    columns = moments_of(METRICS[primary])
    for number, by in enumerate(shift):
        weight = np.broadcast_to(weigh(number, added / np.maximum(seen, 1)), (rows,))
        challenger = rng.binomial(250, weight)
        count = np.stack([250 - challenger, challenger], axis=1)
        if METRICS[primary].binary:
            values: tuple[Ints, ...] = count, rng.binomial(count, 0.2 * (1 + by))
        else:
            total = np.rint(rng.normal(count * (MEAN + SD * by), SD * np.sqrt(count)))
            around = SD**2 * np.where(count > 1, rng.chisquare(np.maximum(count - 1, 1)), 0.0)
            square = np.rint(total * total / np.maximum(count, 1) + around)
            values = count, total.astype(np.int64), square.astype(np.int64)
        seen, added = seen + count, added + values[1]
        ticks.append(dict(zip(columns, values, strict=True)))
        live.append(np.stack([1 - weight, weight], axis=1))
    return ticks, live


def first_findings(
    part: Evidence, ticks: list[dict[Column, Ints]], primary: str = "revenue", live: list[Floats] | None = None
) -> tuple[NDArray[np.int8], Ints]:
    """(r, K - 1) each: the first finding for every challenger, and the number of its tick, from 1 (0 for never).

    `live` are the shares of traffic in every tick, (r, K) each; those that the counts have, if left out.
    """
    arms = next(iter(ticks[0].values())).shape[1]
    setting = make_setting(arms, primary=primary)
    needed = part.needs(setting)
    findings = np.stack(look_at(part, setting, [{key: tick[key] for key in needed} for tick in ticks], live))[:, :, 1:]
    decided = findings != Finding.UNDECIDED
    at = decided.argmax(axis=0)
    first = np.take_along_axis(findings, at[None], axis=0)[0]
    return first, np.where(decided.any(axis=0), at + 1, 0)


def declared(findings: NDArray[np.int8]) -> float:
    """Share of replications in which some challenger was declared better or worse."""
    return float(((findings == Finding.PASS) | (findings == Finding.FAIL)).any(axis=1).mean())


def standard_error(share: float, count: int) -> float:
    return float(np.sqrt(share * (1 - share) / count))
