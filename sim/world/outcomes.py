"""What a request earns: a metric's outcomes in every arm, as values on a fixed-point grid.

A family says what n requests earn together (`sums`, for the aggregate engine), and holds what `sim.world.potential` draws one
request from, for the event engines. Both are the same distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.draws import binomial, gamma, multinomial, normal
from sim.world.streams import Keys, at
from sim.world.tilt import tilt

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

        `factor` (K,) or (r, K) is what means are multiplied by just now, as in `sim.world.potential.value_of`.
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


# Of so many factors the chances are kept: the segments of one tick, and more.
_KEPT = 16


@dataclass(frozen=True)
class Tilted:
    """Counts and scores: values that stay whatever the mean is, and chances that are tilted to it (`sim.world.tilt`).

    mean (R, K); atoms (K, G) integers on the grid, increasing; log_chance (R, K, G) the logarithms of their chances. Where no
    effect varies them, log_chance is (1, K, G): the same in every replication.
    """

    mean: Floats
    atoms: Ints
    log_chance: Floats
    binary: bool = False
    _chances: dict[bytes, Floats] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, atoms: Ints, log_chance: Floats, grid: float, factors: Mapping[int, Floats], rows: int) -> Tilted:
        """Of `rows` replications: atoms, log_chance (K, G) as registered; of some arms, factors (R,) of the champion's mean."""
        atoms = atoms.copy()
        base = (np.exp(log_chance) * atoms).sum(axis=-1) * grid
        mean = np.repeat(base[None], rows, axis=0)
        alike = all((factor == factor[0]).all() for factor in factors.values())
        found = np.repeat(log_chance[None], 1 if alike else rows, axis=0)
        for arm, factor in factors.items():
            atoms[arm], mean[:, arm], found[:, arm] = atoms[0], base[0] * factor, log_chance[0]
            champion = cls(mean[:1, :1], atoms[:1], log_chance[None, :1])
            own = factor[: len(found)]
            theta, log_sum = np.moveaxis(champion.tilts(0, own)[0], -1, 0)[..., None]
            varied = (own != 1.0)[:, None]
            found[:, arm] = np.where(varied, log_chance[0] + theta * atoms[0] - log_sum, log_chance[0])
        return cls(mean, atoms, found)

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        if np.ndim(factor) == 2:
            chance = self._by_row(np.asarray(factor), rows)
        else:
            chance = self.chance(factor)
            chance = chance[0] if len(chance) == 1 else chance[rows]
        counts = multinomial(n, chance, key)
        return (counts * self.atoms).sum(axis=-1), (counts * self.atoms * self.atoms).sum(axis=-1)

    def chance(self, factor: Factor = 1.0) -> Floats:
        """(R or 1, K, G) chances where means are multiplied by a factor, one for all arms or (K,)."""
        by_arm = np.broadcast_to(np.asarray(factor, np.float64), self.atoms.shape[:1])
        kept = self._chances
        asked = by_arm.tobytes()
        if asked not in kept:
            while len(kept) >= _KEPT:
                del kept[next(iter(kept))]
            kept[asked] = np.stack([self._tilted(arm, float(by)) for arm, by in enumerate(by_arm)], axis=1)
        return kept[asked]

    def tilts(self, arm: int, factors: Floats) -> Floats:
        """(R or 1, L, 2) the tilts of an arm under factors (L,) on its mean: see `sim.world.tilt.tilt`."""
        return self._tilts(arm, self.log_chance[:, arm], factors)

    def tilts_of_row(self, arm: int, row: int, factors: Floats) -> Floats:
        """(L, 2) the tilts of an arm in one replication under factors (L,)."""
        own = row if len(self.log_chance) > 1 else 0
        tilts: Floats = self._tilts(arm, self.log_chance[own : own + 1, arm], factors)[0]
        return tilts

    def _tilts(self, arm: int, log_chance: Floats, factors: Floats) -> Floats:
        """(r, L, 2) the tilts of chances (r, G) of an arm under factors (L,) or (r, L)."""
        atoms = self.atoms[arm].astype(np.float64)
        there = (log_chance > -np.inf).any(axis=0)
        mean = (np.exp(log_chance) * atoms).sum(axis=-1)
        return tilt(atoms[there], log_chance[:, None, there], mean[:, None] * factors)

    def _by_row(self, factor: Floats, rows: Ints) -> Floats:
        """(r, K, G) the chances where means are multiplied by factors (r, K), which differ between replications."""
        log_chance = self.log_chance[rows] if len(self.log_chance) > 1 else self.log_chance
        chance = []
        for arm in range(factor.shape[1]):
            own = log_chance[:, arm]
            tilts = self._tilts(arm, own, factor[:, arm, None])[:, 0]
            tilted = np.exp(own + tilts[:, :1] * self.atoms[arm] - tilts[:, 1:])
            chance.append(np.where(factor[:, arm, None] == 1.0, np.exp(own), tilted))
        return np.stack(chance, axis=1)

    def _tilted(self, arm: int, factor: float) -> Floats:
        """(R or 1, G) the chances of an arm under a factor on its mean."""
        log_chance = self.log_chance[:, arm]
        if factor == 1.0:
            return np.exp(log_chance)
        theta, log_sum = np.moveaxis(self.tilts(arm, np.array([factor]))[:, 0], -1, 0)
        return np.asarray(np.exp(log_chance + theta[:, None] * self.atoms[arm] - log_sum[:, None]))


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
