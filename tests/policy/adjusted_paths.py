"""Synthetic paths of metrics with what an adjustment reads, to hold adjusted tests against theory without an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Ints
from sim.distributions.amounts import ZeroInflated
from sim.policy.columns import (
    CappedMoment,
    Column,
    Product,
    SegmentMoment,
    covariate_moments,
    moments_of,
    user_moments,
)  # fmt: skip
from sim.policy.setting import Metric, Setting
from sim.testing.paths import MEAN, SD, gaussian_ticks
from sim.testing.settings import METRICS, SEGMENTS, make_setting
from sim.testing.users import in_one_arm

Floats = NDArray[np.float64]
Ticks = list[dict[Column, Ints]]

CORRELATION = 0.6
PER_USER, ALIKE = 5, 0.5
"""Requests a user sends, and the correlation between them."""
APART = 1.0
"""How many standard deviations the segments are apart."""


REVENUE, COST = (moments_of(METRICS[name]) for name in ("revenue", "cost"))
"""Number, sum and sum of squares of their outcomes."""


def _whole(columns: Iterable[Column], values: Iterable[Floats | Ints]) -> dict[Column, Ints]:
    return {column: np.rint(each).astype(np.int64) for column, each in zip(columns, values, strict=True)}


def pairs(
    rng: np.random.Generator, count: int, mean: Floats, correlation: float, rows: int
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """(rows, K) sums of y, x, y^2, x^2 and xy over `count` normal pairs: their sums, and Wishart scatter (Bartlett 1933)."""
    shape = (rows, mean.size)
    first, second = rng.normal(size=(2, *shape)) * np.sqrt(count)
    rest = np.sqrt(1 - correlation**2)
    x = count * MEAN + SD * first
    y = count * mean + SD * (correlation * first + rest * second)
    a, b = np.sqrt(rng.chisquare(count - 1, shape)), np.sqrt(rng.chisquare(count - 2, shape))
    c = rng.normal(size=shape)
    scatter_y, cross = (correlation * a + rest * c) ** 2 + (rest * b) ** 2, a * (correlation * a + rest * c)
    return y, x, y**2 / count + SD**2 * scatter_y, x**2 / count + SD**2 * a**2, x * y / count + SD**2 * cross


def covariate_ticks(rows: int, outcomes: list[int], effects: tuple[float, ...], seed: int = 21) -> Ticks:
    """Outcomes with a covariate."""
    rng, mean = np.random.default_rng(seed), MEAN + SD * np.array([0.0, *effects])
    ticks = []
    for count in outcomes:
        y, x, yy, xx, xy = pairs(rng, count, mean, CORRELATION, rows)
        ticks.append(_whole((*REVENUE, *covariate_moments("revenue")), (np.full(y.shape, count), y, yy, x, xx, xy)))
    return ticks


def ratio_ticks(rows: int, outcomes: list[int], effects: tuple[float, ...], seed: int = 22) -> Ticks:
    """Revenue and cost of the same requests, which do not depend on each other."""
    rng, mean = np.random.default_rng(seed), MEAN + SD * np.array([0.0, *effects])
    ticks = []
    for count in outcomes:
        y, x, yy, xx, xy = pairs(rng, count, mean, 0.0, rows)
        known = np.full(y.shape, count)
        ticks.append(_whole((*REVENUE, *COST, Product("revenue", "cost")), (known, y, yy, known, x, xx, xy)))
    return ticks


def user_ticks(rows: int, outcomes: list[int], effects: tuple[float, ...], seed: int = 23) -> Ticks:
    """Users who send `PER_USER` requests each in one tick, alike by `ALIKE`, and stay in their arm."""
    rng, mean = np.random.default_rng(seed), MEAN + SD * np.array([0.0, *effects])
    shape = (rows, mean.size)
    even = np.full(shape, 1 / mean.size)
    return [_of_users(rng, np.full(shape, count // PER_USER), np.broadcast_to(mean, shape), even) for count in outcomes]


def alike_user_ticks(
    rows: int, weigh: Callable[[int, Floats], Floats | float], shift: list[float], seed: int = 25
) -> tuple[Ticks, list[Floats]]:
    """As `sim.testing.paths.alike_ticks`, of 50 users a tick as in `user_ticks`."""
    rng = np.random.default_rng(seed)
    seen, added = np.zeros((2, rows, 2))
    ticks: Ticks = []
    live: list[Floats] = []
    for number, by in enumerate(shift):
        weight = np.broadcast_to(weigh(number, added / np.maximum(seen, 1)), (rows,))
        challenger = rng.binomial(50, weight)
        live.append(np.stack([1 - weight, weight], axis=1))
        users = np.stack([50 - challenger, challenger], axis=1)
        ticks.append(_of_users(rng, users, np.full((rows, 2), MEAN + SD * by), live[-1]))
        seen, added = seen + PER_USER * users, added + ticks[-1][REVENUE[1]]
    return ticks, live


def _of_users(rng: np.random.Generator, users: Ints, mean: Floats, live: Floats) -> dict[Column, Ints]:
    """A tick of so many users (rows, K), whose outcomes have this mean (rows, K), under the shares live (rows, K)."""

    def scatter(degrees: Ints) -> Floats:
        return np.where(degrees > 0, rng.chisquare(np.maximum(degrees, 1)), 0.0)

    deviation = SD * np.sqrt(PER_USER * (1 + (PER_USER - 1) * ALIKE))
    requests, some = users * PER_USER, np.maximum(users, 1)
    total = rng.normal(requests * mean, deviation * np.sqrt(users))
    square = total**2 / some + deviation**2 * scatter(users - 1)
    # Of a user's requests: what their mean makes, and what is left within the user.
    squares = square / PER_USER + SD**2 * (1 - ALIKE) * scatter(requests - users)
    own = _whole(user_moments("revenue"), (users, square, PER_USER * total, users * PER_USER**2))
    _, whole, cross, sizes = own.values()
    return _whole(REVENUE, (requests, total, squares)) | own | in_one_arm("revenue", whole, cross, sizes, live)


def segment_ticks(rows: int, outcomes: list[int], effects: tuple[float, ...], seed: int = 24) -> Ticks:
    """Segments `APART` standard deviations apart, whose shares vary by chance."""
    rng, shift = np.random.default_rng(seed), SD * np.array([0.0, *effects])
    shape = (rows, shift.size)
    share = SEGMENTS["mobile"]
    level = {"mobile": MEAN - (1 - share) * APART * SD, "desktop": MEAN + share * APART * SD}
    ticks = []
    for count in outcomes:
        mobile = rng.binomial(count, share, shape)
        known_of, sum_of, _ = REVENUE
        found: dict[Column, Ints] = {known_of: np.full(shape, count), sum_of: np.zeros(shape, np.int64)}
        for name, known in {"mobile": mobile, "desktop": count - mobile}.items():
            total = np.rint(rng.normal(known * (level[name] + shift), SD * np.sqrt(known)))
            around = SD**2 * np.where(known > 1, rng.chisquare(np.maximum(known - 1, 1)), 0)
            moments = (known, total, np.rint(total**2 / np.maximum(known, 1) + around))
            found |= _whole((SegmentMoment("revenue", name, each.moment) for each in REVENUE), moments)
            found[sum_of] = found[sum_of] + total.astype(np.int64)
        ticks.append(found)
    return ticks


def capped_ticks(rows: int, outcomes: list[int], effects: tuple[float, ...], cap: float) -> Ticks:
    """Outcomes of which none reaches the cap."""
    ticks = gaussian_ticks(rows, outcomes, effects)
    _, sum_of, square_of = REVENUE
    capped = {CappedMoment("revenue", cap, "sum"): sum_of, CappedMoment("revenue", cap, "square"): square_of}
    return [tick | {column: tick[whole] for column, whole in capped.items()} for tick in ticks]


SALE = ZeroInflated.model_validate({"zero_inflated": {"rate": 0.02, "amount": {"lognormal": {"mean": 50.0, "sd": 65.5}}}})
TELLING = 0.9
"""The correlation of a sale with what was known before."""


def sale_setting() -> Setting:
    """Two arms, and `revenue` that is mostly 0 and sometimes large, with a covariate."""
    values, chances = SALE.atoms()
    metric = Metric(
        "revenue", 1, False, 0.01, SALE.mean, SALE.sd, covariate=TELLING, values=tuple(values), chances=tuple(chances)
    )
    return replace(make_setting(primary="revenue"), metrics={"revenue": metric})


def sale_ticks(rows: int, outcomes: list[int], effect: float, seed: int = 26) -> Ticks:
    """Sales, of which the challenger's are larger by the relative `effect`; a covariate repeats one with chance `TELLING`."""
    rng = np.random.default_rng(seed)
    values, chances = SALE.atoms()
    rate, values, chances = 1 - chances[0], values[1:], chances[1:] / (1 - chances[0])
    factor = np.array([1.0, 1 + effect])
    shape = (rows, 2)

    def sums(sales: Ints, *of: Callable[[Floats], Floats]) -> list[Floats]:
        """(rows, K) each: sums of functions of so many amounts, (rows, K)."""
        drawn = rng.choice(values, sales.sum(), p=chances)
        place = np.repeat(np.arange(sales.size), sales.ravel())
        return [np.bincount(place, each(drawn), sales.size).reshape(shape) for each in of]

    def once(value: Floats) -> Floats:
        return value / 0.01

    def squared(value: Floats) -> Floats:
        return (value / 0.01) ** 2

    ticks = []
    for count in outcomes:
        repeated = rng.binomial(count, TELLING, shape)
        both, bothsquared = sums(rng.binomial(repeated, rate), once, squared)
        y, yy = sums(rng.binomial(count - repeated, rate), once, squared)
        x, xx = sums(rng.binomial(count - repeated, rate), once, squared)
        # Of a value that is not repeated, what was known before is another draw: the product's mean is that of the two sums.
        cross = factor * (bothsquared + y * x / np.maximum(count - repeated, 1))
        found = (np.full(shape, count), factor * (both + y), factor**2 * (bothsquared + yy), both + x, bothsquared + xx, cross)
        ticks.append(_whole((*REVENUE, *covariate_moments("revenue")), found))
    return ticks
