"""A metric before any replication, what its outcomes are in each, and the grid of its values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.distributions.outcome import OutcomeKind
from sim.policy.setting import Metric
from sim.scenario.schema import MetricSpec
from sim.world.outcomes import Binary, Discrete, NormalAmount, Outcomes, Replayed, Tilted
from sim.world.rows import Shares, means


@dataclass(frozen=True)
class OutcomeWorld:
    """One metric before any replication: what every arm registered, in the metric's own units.

    `kind` is binary, normal, discrete or tilted. mean, sd (K,); atoms, chance (K, G) for discrete and tilted; reward (rows, K)
    for replayed, where a binary metric's may be chances of a 1; log_chance (K, G), and `laws`, the arms' distributions as
    registered, for tilted.
    """

    spec: MetricSpec
    kind: str
    grid: float
    mean: Floats
    sd: Floats
    atoms: Floats
    chance: Floats
    reward: Floats | None
    reach: float = 1.0
    """The largest factor that effects, segments and the timeline put on an arm's mean, in any replication."""
    between: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value that a request has in any arm, tick, segment and replication: `sim.world.extent`."""
    log_chance: Floats | None = None
    laws: tuple[OutcomeKind, ...] = ()

    @property
    def sign(self) -> int:
        """+1 where an increase is better."""
        return 1 if self.spec.direction == "increase" else -1

    @property
    def failed_worth(self) -> float:
        """What a failed or lost request is worth: as stated, or the worst outcome of a binary metric, or 0."""
        if self.spec.failure is not None:
            return self.spec.failure.worth
        return 1.0 if self.kind == "binary" and self.sign < 0 else 0.0

    @property
    def failed_outcome(self) -> float:
        """What monitoring counts a failed request as: its worth; the worst outcome where a binary metric has no such value."""
        worth = self.failed_worth
        if self.kind == "binary" and worth not in (0.0, 1.0):
            return 1.0 if self.sign < 0 else 0.0
        return worth

    @property
    def failed_value(self) -> int:
        """What monitoring counts a failed request as, on the grid."""
        return round(self.failed_outcome / self.grid)

    def metric(self, failing: float = 0.0) -> Metric:
        """What a policy may know of it: the champion's registered values.

        `failing` is the share of the champion's requests that fail, as registered, and count.
        """
        spec, there = self.spec, self.chance[0] > 0 if self.kind in ("discrete", "tilted") else np.zeros(0, bool)
        mean, sd = float(self.mean[0]), float(self.sd[0])
        values, chances = self.atoms[0][there].tolist(), self.chance[0][there].tolist()
        bell = 3.0
        if failing > 0:
            # A team plans with what it measures: a mixture of what answers earn and of what failures count as.
            gap = mean - self.failed_outcome
            bell = _mixed_kurtosis(sd, gap, failing)
            mean, sd = mean - failing * gap, math.sqrt((1 - failing) * (sd**2 + failing * gap**2))
            if values:
                chances = [*((1 - failing) * chance for chance in chances), failing]
                values = [*values, self.failed_outcome]
        return Metric(
            spec.name, self.sign, self.kind == "binary", self.grid, mean, sd,
            covariate=None if spec.covariate is None else spec.covariate.correlation, delayed=spec.delay is not None,
            provisional=spec.until_known == "failure", values=tuple(values), chances=tuple(chances), bell=bell,
        )  # fmt: skip

    def data_means(self, shares: Shares | None, rows: int) -> Floats:
        """(R, K) what the rows of the data earn of a replayed metric in `rows` replications, without effects."""
        assert self.reward is not None
        return np.repeat(self.mean[None], rows, axis=0) if shares is None else means(self.reward, shares)

    def realise(self, factors: Mapping[int, Floats], shares: Shares | None, rows: int) -> Outcomes:
        """What requests earn in `rows` replications, where effects make of some arms factors (R,) of what they earn.

        Such an arm is the champion times its factor; where models are replayed, it is itself times its factor.
        """
        if self.reward is not None:
            return self._replayed(self.reward, factors, shares, rows)
        mean = np.repeat(self.mean[None], rows, axis=0)
        for arm, factor in factors.items():
            mean[:, arm] = self.mean[0] * factor
        if self.kind == "binary":
            return Binary(mean)
        if self.kind == "normal":
            sd = np.repeat(self.sd[None], rows, axis=0)
            for arm in factors:
                sd[:, arm] = self.sd[0]
            return NormalAmount(mean, sd, self.grid)
        if self.log_chance is not None:
            return Tilted.of(self._on_grid(self.atoms), self.log_chance, self.grid, factors, rows)
        atoms = np.repeat(self.atoms[None], rows if factors else 1, axis=0)
        chance = self.chance.copy()
        for arm, factor in factors.items():
            atoms[:, arm] = self.atoms[0] * factor[:, None]
            chance[arm] = self.chance[0]
        on_grid = self._on_grid(atoms)
        mean = np.broadcast_to((on_grid * chance).sum(axis=-1) * self.grid, mean.shape)
        return Discrete(mean, on_grid, chance)

    def _replayed(self, reward: Floats, factors: Mapping[int, Floats], shares: Shares | None, rows: int) -> Replayed:
        if self.kind == "binary":
            # Rounding may take a sum of shares a little above 1.
            return Replayed.ones(reward, np.minimum(self.data_means(shares, rows), 1.0), factors)
        chance = self.chance
        if shares is not None:
            chance = np.zeros((rows, *self.atoms.shape))
            by_arm = shares([np.unique(own, return_inverse=True)[1] for own in reward.T])
            for arm, share in enumerate(by_arm):
                chance[:, arm, : share.shape[1]] = share
        return Replayed.amounts(self._on_grid(reward), self._on_grid(self.atoms), chance, self.grid, factors, rows)

    def _on_grid(self, values: Floats) -> Ints:
        return np.rint(values / self.grid).astype(np.int64)


def _mixed_kurtosis(sd: float, gap: float, share: float) -> float:
    """The kurtosis of a normal amount of which a share is replaced by a value that is `gap` below the mean.

    >>> _mixed_kurtosis(1.0, 0.0, 0.0), _mixed_kurtosis(0.0, 1.0, 0.5)
    (3.0, 1.0)
    """
    near, far = share * gap, (1 - share) * gap
    variance = (1 - share) * (sd**2 + near**2) + share * far**2
    fourth = (1 - share) * (3 * sd**4 + 6 * sd**2 * near**2 + near**4) + share * far**4
    return fourth / variance**2 if variance > 0 else 1.0


def finest_grid(spread: float, largest: float, requests: float) -> float | None:
    """The finest decade of at most a thousandth of the spread on which sums of squares stay below 2^63.

    None where even a tenth of the spread would overflow.

    >>> finest_grid(10.0, 100.0, 1e6)
    0.01
    """
    if spread <= 0:
        spread = max(abs(largest), 1.0)
    most = math.sqrt(2.0**62 / max(requests, 1.0))
    decade = math.floor(math.log10(spread)) - 3
    for grid in (10.0**power for power in range(decade, decade + 4)):
        if grid <= spread / 10 and abs(largest) < grid * most:
            return grid
    return None
