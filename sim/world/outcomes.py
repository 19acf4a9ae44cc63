"""What a request earns: a metric's outcomes in every arm, as values on a fixed-point grid.

A family says what n requests earn together (`sums`, for the aggregate engine), and holds what `sim.world.potential` draws one
request from, for the event engines. Both are the same distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv, ndtr, ndtri

from sim.arrays import Floats, Ints
from sim.distributions import outcomes as written
from sim.world.draws import binomial, gamma, multinomial, normal
from sim.world.streams import Keys, at

Factor = Floats | float


class Outcomes(Protocol):
    """One metric's outcomes in a block of replications. Values are integers, in units of the metric's grid."""

    @property
    def binary(self) -> bool:
        """Whether every value is 0 or 1."""

    @property
    def mean(self) -> Floats:
        """(R, K) in the metric's own units."""

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        """(r, K) each: sum and sum of squares of what n (r, K) requests earn. key (r, K).

        `factor` (K,) is what means are multiplied by just now, as in `sim.world.potential.value_of`.
        """


@dataclass(frozen=True)
class Binary:
    """1 with probability `mean` (R, K), else 0."""

    mean: Floats
    binary: bool = True

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        # A factor's rounding may take a share of 1 a little above it.
        total = binomial(n, np.minimum(self.mean[rows] * factor, 1.0), key)
        return total, total


@dataclass(frozen=True)
class NormalAmount:
    """Normal amounts, rounded to the grid. mean, sd (R, K) in the metric's units.

    The sum of n is drawn as N(n mean, n sd'^2) and the sum of squares about their mean as sd'^2 chi2(n - 1), which are
    independent (Cochran's theorem), with sd'^2 = sd^2 + grid^2 / 12 (Sheppard) and one rounding to the grid; rounding every
    value instead differs by less than a grid step in each.
    """

    mean: Floats
    sd: Floats
    grid: float
    binary: bool = False

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        mean, spread = self.mean[rows] * factor / self.grid, np.sqrt((self.sd[rows] / self.grid) ** 2 + 1 / 12)
        total = np.rint(n * mean + np.sqrt(n) * spread * normal(at(key, 2**40)))
        around = 2 * gamma(np.maximum(n - 1, 1) / 2, key) * spread**2
        around = np.where(n > 1, around, 0.0)
        least = total**2 / np.maximum(n, 1)
        square = np.maximum(np.rint(around + least), np.ceil(least))
        return total.astype(np.int64), square.astype(np.int64)


@dataclass(frozen=True)
class Discrete:
    """Amounts that take one of finitely many values. atoms (R, K, G) integers on the grid, chance (K, G), mean (R, K).

    Where no effect varies them, atoms are (1, K, G): the same in every replication.
    """

    mean: Floats
    atoms: Ints
    chance: Floats
    binary: bool = False

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        counts = multinomial(n, self.chance, key)
        atoms = self.atoms if len(self.atoms) == 1 else self.atoms[rows]
        if not np.all(factor == 1.0):
            # Half to even, as the event engines round; a factor of 1 leaves integers as they are.
            atoms = np.rint(atoms * np.asarray(factor)[..., None]).astype(np.int64)
        return (counts * atoms).sum(axis=-1), (counts * atoms * atoms).sum(axis=-1)


@dataclass(frozen=True)
class Replayed:
    """What a row of the data earns: reward (rows, K) integers on the grid, the same row for every arm of a request.

    `marginal` is what a single arm sees of one metric: arms are served different requests. What it sees of several metrics is
    a `Joint`.
    """

    reward: Ints
    marginal: Binary | Discrete

    @property
    def binary(self) -> bool:
        return self.marginal.binary

    @property
    def mean(self) -> Floats:
        """(R, K)."""
        return self.marginal.mean

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        if not np.all(factor == 1.0):
            raise ValueError(f"a replayed outcome is a prediction and cannot change, got a factor of {factor}")
        return self.marginal.sums(n, rows, key)


@dataclass(frozen=True)
class Joint:
    """Several replayed metrics, which the same row of the data decides together.

    atoms (K, G, M) integers on each metric's grid, of the metrics in `names`; chance (K, G).
    """

    names: tuple[str, ...]
    atoms: Ints
    chance: Floats

    @classmethod
    def of(cls, outcomes: Mapping[str, Outcomes]) -> Joint | None:
        """Of all replayed metrics, in the order of their names; None if there are fewer than two."""
        rewards = {name: outcome.reward for name, outcome in sorted(outcomes.items()) if isinstance(outcome, Replayed)}
        if len(rewards) < 2:
            return None
        table = np.stack(list(rewards.values()), axis=-1)
        found = [np.unique(table[:, arm], axis=0, return_counts=True) for arm in range(table.shape[1])]
        atoms = np.zeros((len(found), max(len(values) for values, _ in found), len(rewards)), np.int64)
        chance = np.zeros(atoms.shape[:2])
        for arm, (values, counts) in enumerate(found):
            atoms[arm, : len(values)] = values
            chance[arm, : len(values)] = counts / len(table)
        return cls(tuple(rewards), atoms, chance)

    def sums(self, n: Ints, key: Keys) -> dict[str, tuple[Ints, Ints]]:
        """{metric: (r, K) each, sum and sum of squares} of what n (r, K) requests earn. key (r, K)."""
        counts = multinomial(n, self.chance, key)[..., None]
        total, square = (counts * self.atoms).sum(axis=2), (counts * self.atoms**2).sum(axis=2)
        return {name: (total[..., place], square[..., place]) for place, name in enumerate(self.names)}


# The strata of a continuous amount: 40 of equal chance below the 95% point, then each next one holds half of what is left.
_BODY, _BODY_SHARE, _TAIL = 40, 0.95, 24


def strata(amount: written.LogNormal | written.Gamma) -> tuple[Floats, Floats]:
    """(values (G,), chances (G,)) of a positive amount: G strata, each represented by its conditional mean.

    The mean is exact. Of the variance, what lies within strata is lost: less than 1% up to a coefficient of
    variation of 3. An amount of this program *is* this discrete distribution, in every engine.
    """
    tail = (1 - _BODY_SHARE) * 0.5 ** np.arange(1, _TAIL)
    below = np.concatenate([np.linspace(0, _BODY_SHARE, _BODY + 1), 1 - tail])
    above = 1 - below
    above[_BODY + 1 :] = tail
    # The share of the mean that lies below and above each limit; E[X; X > x] / E[X] is a tail of the same family.
    if isinstance(amount, written.LogNormal):
        z = -ndtri(above)
        under, over = ndtr(z - amount.sigma), ndtr(amount.sigma - z)
    else:
        x = np.where(below < 0.5, gammaincinv(amount.shape, below), gammainccinv(amount.shape, above))
        under, over = np.asarray(gammainc(amount.shape + 1, x)), np.asarray(gammaincc(amount.shape + 1, x))
    chance = -np.diff(above, append=0.0)
    # Each difference is taken between the smaller numbers, where no digits cancel.
    share: Floats = np.where(under < 0.5, np.diff(under, append=1.0), -np.diff(over, append=0.0))
    return amount.mean * share / chance, chance


def atoms(outcome: written.Outcome) -> tuple[Floats, Floats]:
    """(values (G,), chances (G,)) of any amount that is not normal."""
    match outcome:
        case written.Bernoulli():
            return np.array([0.0, 1.0]), np.array([1 - outcome.rate, outcome.rate])
        case written.ZeroInflated():
            values, chance = strata(outcome.amount)
            return np.append(0.0, values), np.append(1 - outcome.rate, outcome.rate * chance)
        case written.LogNormal() | written.Gamma():
            return strata(outcome)
        case _:
            raise TypeError(f"{type(outcome).__name__} has no strata")
