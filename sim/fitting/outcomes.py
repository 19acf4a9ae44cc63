"""What requests earn, how long they take and how often they fail: one distribution an arm, as a models file writes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.fitting.families import AMOUNTS, COUNTS, DURATIONS, NORMAL, SCORES, Chosen, Family, choose, quantiles
from sim.fitting.found import Chart, Found, Number, in_time, length, rounded, whole

_MOST_VALUES = 12
_MOST_COUNT = 10_000
_LEAST_ZEROS = 0.001


def fit_outcome(name: str, values: Floats, user: Ints | None = None) -> Found:
    """How an arm's outcomes (n,) are distributed: a share, a family, or the quantiles where no family is near enough."""
    error = mean_error(values, user)
    numbers = {"mean": Number(float(values.mean()), error)}
    count = f"of {len(values):,} requests"
    if np.isin(values, (0.0, 1.0)).all():
        share = float(values.mean())
        told = f"{100 * share:.4g}% ± {100 * error:.2g}%, {count}"
        return Found(name, {"bernoulli": f"{100 * rounded(share):.6g}%"}, told, numbers)
    mean = f"mean {values.mean():.4g} ± {error:.2g}, {count}"
    distinct = np.unique(values)
    counts = bool((values == np.rint(values)).all()) and values.min() >= 0
    if counts and values.max() <= _MOST_COUNT and not _sparse(values):
        chosen = choose(values, COUNTS)
        if chosen.fits:
            return Found(
                name, chosen.family.written(chosen.numbers), f"{chosen.told()}; {mean}", numbers, _chart(name, values, chosen)
            )
    if len(distinct) <= _MOST_VALUES:
        shares = np.array([(values == each).mean() for each in distinct])
        # Shares sum to 1 as they are written.
        written = {f"{each:g}": f"{100 * share:.10g}%" for each, share in zip(distinct, whole(shares), strict=True)}
        return Found(name, {"categorical": written}, f"{len(distinct)} values; {mean}", numbers)
    zeros = float((values == 0).mean())
    if zeros >= _LEAST_ZEROS and values.min() >= 0:
        chosen = choose(values[values > 0], AMOUNTS)
        if chosen.fits:
            amount = chosen.family.written(chosen.numbers)
            numbers["rate"] = Number(1 - zeros, math.sqrt(zeros * (1 - zeros) / len(values)))
            written_so = {"zero_inflated": {"rate": f"{100 * rounded(1 - zeros):.6g}%", "amount": amount}}
            told = f"{100 * (1 - zeros):.4g}% are above 0, {chosen.told()}; {mean}"
            return Found(name, written_so, told, numbers, _chart(name, values[values > 0], chosen))
    else:
        families: tuple[Family, ...] = (*AMOUNTS, NORMAL) if values.min() > 0 else (NORMAL,)
        if values.min() > 0 and values.max() < 1:
            families = (*families, *SCORES)
        chosen = choose(values, families)
        if chosen.fits:
            return Found(
                name, chosen.family.written(chosen.numbers), f"{chosen.told()}; {mean}", numbers, _chart(name, values, chosen)
            )
    told = f"quantiles, as the nearest family, {chosen.family.name}, is {100 * chosen.far:.1f} points off; {mean}"
    return Found(name, {"quantiles": quantiles(values, rounded)}, told, numbers)


def fit_latency(latency_s: Floats) -> Found:
    """How long answers take (n,), seconds, NaN left out."""
    values = latency_s[np.isfinite(latency_s)]
    numbers = {"median_s": _quantile(values, 0.5), "p99_s": _quantile(values, 0.99)}
    median, p99 = numbers["median_s"], numbers["p99_s"]
    told = f"median {in_time(median)}, 99% within {in_time(p99)}"
    told += f", of {len(values):,} requests"
    if values.min() == values.max():
        return Found("latency", {"constant": length(float(values[0]))}, told, numbers)
    if values.min() > 0:
        chosen = choose(values, DURATIONS)
        if chosen.fits:
            chart = _chart("latency", values, chosen, seconds=True)
            return Found("latency", chosen.family.written(chosen.numbers), f"{chosen.told()}; {told}", numbers, chart)
        told = f"quantiles, as the nearest family, {chosen.family.name}, is {100 * chosen.far:.1f} points off; {told}"
    # No two quantiles may be the same length of time as it is written, nor 0.
    written = quantiles(values, lambda value: f"{rounded(1000 * max(value, 1e-6), 6):g}ms")
    return Found("latency", {"quantiles": written}, told, numbers)


def fit_errors(error: Bools) -> Found:
    """How often requests fail (n,)."""
    failed, count = int(error.sum()), len(error)
    share = failed / count
    # Of so few, Agresti & Coull's (1998): two failures and two successes more.
    spread = math.sqrt((failed + 2) * (count - failed + 2) / (count + 4) ** 3)
    told = f"{100 * share:.3g}% ± {100 * spread:.2g}%: {failed:,} of {count:,} requests"
    return Found("error_rate", f"{100 * rounded(share, 3):.6g}%", told, {"share": Number(share, spread)})


def mean_error(values: Floats, user: Ints | None) -> float:
    """The standard error of a mean of values (n,); requests of one user may be alike."""
    if user is None:
        return float(values.std(ddof=1) / math.sqrt(len(values)))
    _, place = np.unique(user, return_inverse=True)
    left = np.bincount(place, values - values.mean())
    groups = len(left)
    if groups < 2:
        return float(values.std(ddof=1) / math.sqrt(len(values)))
    return float(math.sqrt(groups / (groups - 1) * float((left**2).sum())) / len(values))


def _sparse(values: Floats) -> bool:
    """Whether whole numbers are amounts rather than counts: hardly any of those in between occurs."""
    return bool(len(np.unique(values)) < 0.3 * min(float(values.max()) + 1, len(values) ** 0.5))


def _quantile(values: Floats, level: float) -> Number:
    """A quantile, and its standard error by the spread of order statistics (David & Nagaraja 2003, ch. 7)."""
    spread = math.sqrt(level * (1 - level) / len(values))
    low, value, high = np.quantile(values, (max(level - spread, 0), level, min(level + spread, 1)))
    return Number(float(value), float(high - low) / 2)


def _chart(name: str, values: Floats, chosen: Chosen, *, seconds: bool = False) -> Chart:
    """The shares of values above each of some, of the data and of the fit."""
    used = np.sort(values[:: max(len(values) // 100_000, 1)])
    x: Any = np.unique(np.quantile(used, np.linspace(0.001, 0.999, 120)))
    data = 1 - np.searchsorted(used, x, side="right") / len(used)
    fit = 1 - chosen.family.below(x, chosen.numbers)
    x_at, data_at, fit_at = (tuple(float(each) for each in of) for of in (x, data, fit))
    wide = bool(x[0] > 0 and x[-1] / x[0] > 30)
    title = f"{name}: {chosen.family.name}"
    return Chart(title, name, "share above", x_at, data_at, fit_at, log_x=wide, seconds=seconds)
