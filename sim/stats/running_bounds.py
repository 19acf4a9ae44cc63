"""Error spending at the observed information: the bounds of a look, for many tests at once.

The recursion is that of `sim.stats.stopping_probability`, with one row for each test, because running tests look at different
times. A test keeps the sub-density of its score among paths that crossed no bound, on a fixed number of Gauss–Legendre nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from sim.arrays import Bools, Floats
from sim.stats.spending import Family, spent
from sim.stats.stopping_probability import DENSITY, FARTHEST, REACH, REACH_TO_BOUND, gauss_legendre
from sim.stats.validation import require

# The least distance of looks, as a share of a planned step. The number of nodes depends on it.
CLOSEST = 0.25
LEAST = 1e-300
ROWS_AT_ONCE = 250


@dataclass(frozen=True)
class Spending:
    """The spending function of `error`, the error of one bound."""

    family: Family
    error: float
    rho: float | None = None
    gamma: float | None = None

    def between(self, before: Floats, now: Floats, last: Bools) -> Floats:
        """The error that a look at fraction `now` may spend after a look at `before`; the `last` look spends all the rest."""
        done, due = (spent(self.family, at, self.error, rho=self.rho, gamma=self.gamma) for at in (before, now))
        return np.asarray(np.where(last, self.error, due) - done)


@dataclass(frozen=True)
class Running:
    """Running tests. low, high (r,): the range of scores of paths that crossed no bound, at the fraction time (r,).

    mass (r, n): the weights of these paths on the Gauss–Legendre nodes of the range. `drift` is the mean score at fraction 1.
    """

    low: Floats
    high: Floats
    time: Floats
    mass: Floats
    drift: float = 0.0

    @classmethod
    def start(cls, rows: int, nodes: int, drift: float = 0.0) -> Running:
        """Tests before the first look: a score of 0 at information 0."""
        nothing = np.zeros(rows)
        return cls(nothing, nothing, nothing, np.full((rows, nodes), 1 / nodes), drift)

    @property
    def nodes(self) -> Floats:
        """(r, n) scores at the nodes."""
        points, _ = gauss_legendre(self.mass.shape[1])
        return np.asarray(self.low[:, None] + (self.high - self.low)[:, None] / 2 * (1 + points))

    def above(self, z: Floats, time: Floats) -> Floats:
        """(r,) probability to survive so far and to have Z > z at the later fraction `time`."""
        increment = (time - self.time)[:, None]
        mean = self.nodes + self.drift * increment - (z * np.sqrt(time))[:, None]
        return np.asarray((self.mass * ndtr(mean / np.sqrt(increment))).sum(axis=1))

    def upper_bound(self, probability: Floats, time: Floats) -> Floats:
        """(r,) the z that is exceeded at `time` with this probability; at most `FARTHEST` from the mean.

        Newton's method runs on the logarithm, which is concave (Prékopa 1973), so it never overshoots from above.
        """
        increment, root = (time - self.time)[:, None], np.sqrt(time)
        centre, nodes = self.drift * root, self.nodes
        target = np.log(np.maximum(probability, LEAST))
        z = centre + np.minimum(-ndtri(np.clip(probability, LEAST, 1 - 1e-16)), FARTHEST)
        for _ in range(100):
            distance = (nodes + self.drift * increment - (z * root)[:, None]) / np.sqrt(increment)
            over = np.maximum((self.mass * ndtr(distance)).sum(axis=1), LEAST)
            density = (self.mass * np.exp(-0.5 * distance**2)).sum(axis=1) * root / np.sqrt(2 * np.pi * increment[:, 0])
            step = (np.log(over) - target) * over / np.maximum(density, LEAST)
            z = np.maximum(z + np.clip(step, -1.0, 1.0), centre - FARTHEST)
            if np.abs(step).max(initial=0.0) < 1e-9:
                break
        return np.where(probability <= LEAST, centre + FARTHEST, z)

    def lower_bound(self, probability: Floats, time: Floats) -> Floats:
        """(r,) the z such that Z < z at `time` has this probability."""
        mirrored = Running(-self.high, -self.low, self.time, self.mass[:, ::-1], -self.drift)
        return -mirrored.upper_bound(probability, time)

    def step(self, lower: Floats, upper: Floats, time: Floats) -> Running:
        """The tests after a look: paths with lower < Z < upper at the fraction `time`, (r,) each; bounds may be infinite."""
        root = np.sqrt(time)
        centre = self.drift * root
        reach = (np.where(np.isfinite(bound), REACH_TO_BOUND, REACH) for bound in (lower, upper))
        low, high = (root * np.clip(z, centre - far, centre + far) for z, far in zip((lower, upper), reach, strict=True))
        high = np.maximum(high, low)
        points, weights = gauss_legendre(self.mass.shape[1])
        mass = np.empty_like(self.mass)
        half = (high - low) / 2
        variance = (time - self.time)[:, None, None]
        start = self.nodes + self.drift * (time - self.time)[:, None]
        for first in range(0, len(time), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            nodes = low[rows, None] + half[rows, None] * (1 + points)
            gap = nodes[:, :, None] - start[rows, None, :]
            gap *= gap
            gap /= -2 * variance[rows]
            density = np.matmul(np.exp(gap, out=gap), self.mass[rows, :, None])[..., 0]
            mass[rows] = density * (half[rows, None] * weights) / np.sqrt(2 * np.pi * variance[rows, :, 0])
        return Running(low, high, time, mass, self.drift)


@dataclass(frozen=True)
class Plan:
    """The plan of a test with error spending. `drift` is the mean of Z at fraction 1 for the effect of the design."""

    alpha: Spending
    sides: int
    beta: Spending | None = None
    binding: bool = False
    drift: float = 0.0

    def look(
        self, null: Running, effective: Running | None, time: Floats, last: Bools
    ) -> tuple[Floats, Floats, Running, Running | None]:
        """The bounds of a look at the fractions `time`, (r,) each, and the tests after it.

        Returns (upper bounds, lower bounds, null, effective). Lower bounds are for harm with two sides, and for futility with
        one side; −∞ without futility. `time` may exceed 1. `last` marks the tests that end at this look, at any fraction.

        Raises `InputError` if information does not rise.

        Source: Lan & DeMets, Biometrika 70 (1983); Jennison & Turnbull (2000), ch. 7; Pampallona, Tsiatis & Kim (2001).

        >>> plan = Plan(Spending("obrien_fleming", 0.025), 2)
        >>> first, _, tests, _ = plan.look(Running.start(1, 32), None, np.array([0.2]), np.array([False]))
        >>> final, _, tests, _ = plan.look(tests, None, np.array([0.9]), np.array([True]))
        >>> first.round(3), final.round(3)
        (array([4.877]), array([1.96]))
        """
        rising = time > null.time
        if not rising.all():
            require(False, "time", f"must rise above the look before ({null.time[~rising][0]:g})", time[~rising][0])
        upper = null.upper_bound(self.alpha.between(null.time, time, last), time)
        if self.sides == 2:
            return upper, -upper, null.step(-upper, upper, time), None
        never = np.full(time.shape, -np.inf)
        if self.beta is None or effective is None:
            return upper, never, null.step(never, upper, time), None
        futile = np.minimum(effective.lower_bound(self.beta.between(effective.time, time, last), time), upper)
        futile = np.where(last, upper, futile)
        null = null.step(futile if self.binding else never, upper, time)
        return upper, futile, null, effective.step(futile, upper, time)


def node_count(planned: Floats, bounds: Floats, sides: int) -> int:
    """The number of nodes for looks near the `planned` fractions, at least `CLOSEST` of a planned step apart.

    >>> node_count(np.arange(1, 6) / 5, np.array([4.877, 3.357, 2.68, 2.29, 2.031]), 2)
    40
    """
    farthest = float((np.minimum(bounds, REACH_TO_BOUND) * np.sqrt(planned)).max())
    width = farthest + (farthest if sides == 2 else REACH * math.sqrt(float(planned[-1])))
    unit = math.sqrt(CLOSEST * float(np.diff(planned, prepend=0.0).min()))
    return math.ceil((8 + DENSITY * width / unit) / 8) * 8
