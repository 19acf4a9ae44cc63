"""What a request earns: a metric's outcomes in every arm, as values on a fixed-point grid.

A family says what n requests earn together (`sums`, for the aggregate engine), and holds what `sim.world.potential` draws one
request from, for the event engines. Both are the same distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.draws import binomial, gamma, multinomial, normal
from sim.world.streams import Keys, at, number_of
from sim.world.tilt import tilt
from sim.world.together import rising

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

    def together(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> Ints:
        """(r, K) what n (r,) rows earn in each arm, where the arms' outcomes rise together. key (r,); factor as in `sums`."""


@dataclass(frozen=True)
class Binary:
    """1 with probability `mean` (R, K), else 0."""

    mean: Floats
    binary: bool = True

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        # A factor's rounding may take a share of 1 a little above it.
        total = binomial(n, np.minimum(self.mean[rows] * factor, 1.0), key)
        return total, total

    def together(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> Ints:
        share = np.minimum(self.mean[rows] * factor, 1.0)
        values = np.broadcast_to(np.arange(2), (1, share.shape[1], 2))
        return rising(values, np.stack([1 - share, share], axis=-1), n, key)


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

    def together(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> Ints:
        mean, spread = self.mean[rows] * factor / self.grid, np.sqrt((self.sd[rows] / self.grid) ** 2 + 1 / 12)
        return np.rint(n[:, None] * mean + (np.sqrt(n) * normal(key))[:, None] * spread).astype(np.int64)


@dataclass(frozen=True)
class Discrete:
    """Amounts that take one of finitely many values. atoms (R, K, G) integers on the grid, chance (K, G), mean (R, K).

    Where no effect varies them, atoms are (1, K, G): the same in every replication. Where a replication has a population of its
    own, chance is (R, K, G).
    """

    mean: Floats
    atoms: Ints
    chance: Floats
    binary: bool = False

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        counts = multinomial(n, self.chance if self.chance.ndim == 2 else self.chance[rows], key)
        atoms = self._values(rows, factor)
        return (counts * atoms).sum(axis=-1), (counts * atoms * atoms).sum(axis=-1)

    def together(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> Ints:
        return rising(self._values(rows, factor), self.chance[None] if self.chance.ndim == 2 else self.chance[rows], n, key)

    def _values(self, rows: Ints, factor: Factor) -> Ints:
        """(r or 1, K, G) the values where means are multiplied by a factor."""
        atoms = self.atoms if len(self.atoms) == 1 else self.atoms[rows]
        if not np.all(factor == 1.0):
            # Half to even, as the event engines round; a factor of 1 leaves integers as they are.
            atoms = np.rint(atoms * np.asarray(factor)[..., None]).astype(np.int64)
        return atoms


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
        chance = self._chance_of(rows, factor)
        counts = multinomial(n, chance[0] if len(chance) == 1 else chance, key)
        return (counts * self.atoms).sum(axis=-1), (counts * self.atoms * self.atoms).sum(axis=-1)

    def together(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> Ints:
        return rising(self.atoms[None], self._chance_of(rows, factor), n, key)

    def _chance_of(self, rows: Ints, factor: Factor) -> Floats:
        """(r or 1, K, G) the chances in some rows, where means are multiplied by a factor."""
        if np.ndim(factor) == 2:
            return self._by_row(np.asarray(factor), rows)
        chance = self.chance(factor)
        return chance if len(chance) == 1 else chance[rows]

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
    """What a row of the data earns, the same row for every arm of a request.

    reward (N, K) integers on the grid; with `as_chance` the chances of a 1, else 0. Effects make a reward `times` (R, K) as
    much, rounded to the grid; of chances they make floor (R, K) + times * chance. `marginal` is what a single arm sees of one
    metric: arms are served different requests. What it sees of several metrics is a `Joint`.
    """

    reward: Ints | Floats
    marginal: Binary | Discrete
    as_chance: bool = False
    times: Floats | None = None
    floor: Floats | None = None

    @classmethod
    def ones(cls, reward: Floats, mean: Floats, factors: Mapping[int, Floats]) -> Replayed:
        """Rewards of 1 or 0, with chances of a 1 (N, K). mean (R, K) without effects; of some arms, factors (R,) of it.

        A factor below 1 takes ones away; one above makes ones of zeros, each with the same chance. So every chance stays
        within 0 and 1, and the mean is just multiplied, as long as it stays there too.
        """
        if np.isin(reward, (0.0, 1.0)).all() and not factors:
            return cls(np.rint(reward).astype(np.int64), Binary(mean))
        factor = _by_arm(factors, mean.shape)
        more = np.maximum(factor - 1, 0.0) * mean
        floor = np.divide(more, 1 - mean, out=np.zeros(mean.shape), where=mean < 1)
        return cls(reward, Binary(mean * factor), True, np.minimum(factor, 1.0) - floor, floor)

    @classmethod
    def amounts(
        cls, reward: Ints, atoms: Ints, chance: Floats, grid: float, factors: Mapping[int, Floats], rows: int
    ) -> Replayed:
        """Amounts (N, K) on the grid in R `rows` replications; of some arms, factors (R,) of them.

        Each arm has the values atoms (K, G), with chance (K, G), or (R, K, G) where replications differ in it.
        """
        times = _by_arm(factors, (rows, len(atoms))) if factors else None
        played = _multiplied(atoms, times)
        mean = np.broadcast_to((played * chance).sum(axis=-1) * grid, (rows, len(atoms)))
        return cls(reward, Discrete(mean, played, chance), False, times)

    @property
    def binary(self) -> bool:
        return self.marginal.binary

    @property
    def mean(self) -> Floats:
        """(R, K)."""
        return self.marginal.mean

    def chances(self, reward: Floats) -> Floats:
        """(R or 1, K, G) the chances of a 1 where rewards are chances (K, G)."""
        assert self.times is not None
        assert self.floor is not None
        return np.asarray(self.floor[..., None] + self.times[..., None] * reward)

    def values(self, reward: Ints) -> Ints:
        """(R or 1, K, G) what amounts (K, G) are in each replication."""
        return _multiplied(reward, self.times)

    def sums(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> tuple[Ints, Ints]:
        if not np.all(factor == 1.0):
            raise ValueError(f"a replayed outcome is a prediction and cannot change, got a factor of {factor}")
        return self.marginal.sums(n, rows, key)

    def together(self, n: Ints, rows: Ints, key: Keys, factor: Factor = 1.0) -> Ints:
        raise ValueError("the rows of the data say how alike replayed arms are: draw rows")


def _by_arm(factors: Mapping[int, Floats], shape: tuple[int, ...]) -> Floats:
    """(R, K) factors; 1 where an arm has none."""
    found = np.ones(shape)
    for arm, by in factors.items():
        found[:, arm] = by
    return found


def _multiplied(values: Ints, times: Floats | None) -> Ints:
    """(R or 1, K, G) values (K, G) on the grid, times (R, K) as much."""
    # Half to even, as the event engines round.
    return values[None] if times is None else np.rint(values * times[..., None]).astype(np.int64)


# The keys of ones that are drawn with a row's chance, apart from those of the rows.
_ONES = 2**34


@dataclass(frozen=True)
class Joint:
    """Several replayed metrics, which the same row of the data decides together.

    values {metric: (R or 1, K, G)} integers on its grid; chances {metric: (R or 1, K, G)} of a 1, for metrics that are drawn
    with the chance of a row; chance (K, G) of each combination, or (R, K, G) where replications differ in it.
    """

    values: Mapping[str, Ints]
    chances: Mapping[str, Floats]
    chance: Floats

    @classmethod
    def of(cls, outcomes: Mapping[str, Outcomes], shares: Callable[[list[Ints]], list[Floats]] | None = None) -> Joint | None:
        """Of all replayed metrics, in the order of their names; None if there are fewer than two.

        `shares` gives the shares (R, G) of each way of grouping rows, (N,); without it all rows are equally likely.
        """
        replayed = {name: outcome for name, outcome in sorted(outcomes.items()) if isinstance(outcome, Replayed)}
        if len(replayed) < 2:
            return None
        table = np.stack([np.asarray(outcome.reward, np.float64) for outcome in replayed.values()], axis=-1)
        found = [np.unique(own, axis=0, return_inverse=True, return_counts=True) for own in table.swapaxes(0, 1)]
        by_arm = (
            [counts / len(table) for _, _, counts in found] if shares is None else shares([of.ravel() for _, of, _ in found])
        )
        shape = len(found), max(len(values) for values, _, _ in found)
        rewards, chance = np.zeros((*shape, len(replayed))), np.zeros((*by_arm[0].shape[:-1], *shape))
        for arm, (combinations, _, _) in enumerate(found):
            rewards[arm, : len(combinations)] = combinations
            chance[..., arm, : len(combinations)] = by_arm[arm]
        own = dict(zip(replayed, np.moveaxis(rewards, -1, 0), strict=True))
        drawn = {name: outcome.chances(own[name]) for name, outcome in replayed.items() if outcome.as_chance}
        values = {
            name: outcome.values(own[name].astype(np.int64)) for name, outcome in replayed.items() if not outcome.as_chance
        }
        return cls(values, drawn, chance)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics."""
        return (*self.values, *self.chances)

    def sums(self, n: Ints, rows: Ints, key: Keys) -> dict[str, tuple[Ints, Ints]]:
        """{metric: (r, K) each, sum and sum of squares} of what n (r, K) requests earn. key (r, K)."""
        counts = multinomial(n, self.chance if self.chance.ndim == 2 else self.chance[rows], key)
        made = {}
        for name, values in self.values.items():
            own = values if len(values) == 1 else values[rows]
            made[name] = (counts * own).sum(axis=-1), (counts * own**2).sum(axis=-1)
        for name, chances in self.chances.items():
            keyed = at(at(key, number_of(name))[..., None], np.arange(_ONES, _ONES + chances.shape[-1], dtype=np.uint64))
            total = binomial(counts, chances if len(chances) == 1 else chances[rows], keyed).sum(axis=-1)
            made[name] = total, total
        return made
