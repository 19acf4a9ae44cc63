"""The world: what is true, for the scenario as a whole (`World`) and in each replication of a block (`Truth`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.distributions.outcome import OutcomeKind
from sim.errors import InputError, Problem
from sim.policy.base import Metric, Setting
from sim.scenario.schema import MetricSpec, Prior
from sim.world import latency as latencies
from sim.world.capacity import Pool, Retry
from sim.world.change import ERROR_RATE, LATENCY, Change, Conditions
from sim.world.outcomes import Binary, Discrete, NormalAmount, Outcomes, Replayed, Tilted
from sim.world.population import Population, Segments
from sim.world.priors import effects
from sim.world.tilt import MARGIN
from sim.world.traffic import Arrivals, Pieces, Schedule

AGREEMENT = "agreement"


@dataclass(frozen=True)
class OutcomeWorld:
    """One metric before any replication: what every arm registered, in the metric's own units.

    `kind` is binary, normal, discrete or tilted. mean, sd (K,); atoms, chance (K, G) for discrete and tilted; reward (rows, K)
    for replayed; log_chance (K, G), and `laws`, the arms' distributions as registered, for tilted.
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

    def metric(self) -> Metric:
        """What a policy may know of it: the champion's registered values."""
        spec, there = self.spec, self.chance[0] > 0 if self.kind in ("discrete", "tilted") else np.zeros(0, bool)
        return Metric(
            spec.name, self.sign, self.kind == "binary", self.grid, float(self.mean[0]), float(self.sd[0]),
            covariate=None if spec.covariate is None else spec.covariate.correlation, delayed=spec.delay is not None,
            values=tuple(self.atoms[0][there].tolist()), chances=tuple(self.chance[0][there].tolist()),
        )  # fmt: skip


@dataclass(frozen=True)
class World:
    """A scenario's truth before any replication."""

    seed: int
    arms: tuple[str, ...]
    tick_s: float
    arrivals: Arrivals
    primary: str
    outcomes: tuple[OutcomeWorld, ...]
    error_rate: Floats
    latency: tuple[latencies.Latency, ...]
    agreement: Floats | None
    answers_agree: Bools | None
    effects: tuple[tuple[int, str, Prior], ...]
    error_limit: float | None
    latency_limit: tuple[float, float] | None
    smallest_effect: float
    population: Population | None = None
    segments: Segments | None = None
    change: Change | None = None
    pools: tuple[Pool, ...] = ()
    retry: Retry | None = None
    delays: Mapping[str, latencies.Latency] = field(default_factory=dict)
    """{metric: how long its feedback takes after a call's end}; at once where a metric is not listed."""
    covariates: Mapping[str, float] = field(default_factory=dict)
    """{metric: correlation of an outcome of the champion with what was known of it before}; see `sim.world.covariate`."""
    lag: int = 0
    """Ticks by which monitoring is behind."""
    loss: float = 0.0
    """Share of calls that monitoring never sees."""
    misrouted: Floats | None = None
    """(K,) share of the requests meant for an arm that the router sends to the champion instead."""
    varied_latency: Mapping[int, float] = field(default_factory=dict)
    """{arm: the largest factor of the champion's latency that an effect makes its own, in any replication}."""

    @property
    def requests(self) -> Floats:
        """(T,) mean requests of every tick."""
        return self.arrivals.mean

    @property
    def ticks(self) -> int:
        """How many ticks the horizon has."""
        return self.requests.size

    @property
    def competing(self) -> bool:
        """Whether what happens to one request depends on others, or on its own earlier attempts."""
        return bool(self.pools) or self.retry is not None

    @property
    def slo_s(self) -> float | None:
        """The latency above which a call violates the objective."""
        return self.latency_limit[1] if self.latency_limit else None

    def setting(self, replications: int) -> Setting:
        """What a policy knows of this world."""
        metrics = {outcome.spec.name: outcome.metric() for outcome in self.outcomes}
        sticky = self.population is not None and self.population.sticky
        segments = {} if self.segments is None else dict(zip(self.segments.names, self.segments.share.tolist(), strict=True))
        users = self.population is not None
        return Setting(self.arms, replications, self.ticks, self.tick_s, self.primary, metrics, users, sticky, segments)

    def realise(self, replications: Ints) -> Truth:
        """What is true in each of some replications."""
        rows, arms = len(replications), len(self.arms)
        drawn = self.draw(replications)
        error_rate = np.repeat(self.error_rate[None], rows, axis=0)
        scale = np.ones((rows, arms))
        latency = list(self.latency)
        for arm in range(1, arms):
            if (arm, ERROR_RATE) in drawn:
                error_rate[:, arm] = error_rate[:, 0] * (1 + drawn[arm, ERROR_RATE])
            if (arm, LATENCY) in drawn:
                latency[arm] = self.latency[0]
                scale[:, arm] = 1 + drawn[arm, LATENCY]
        outcomes: dict[str, Outcomes] = {}
        for outcome in self.outcomes:
            factors = {arm: 1 + effect for (arm, name), effect in drawn.items() if name == outcome.spec.name}
            outcomes[outcome.spec.name] = self._realised(outcome, factors, rows)
        lasting = self.change.lasting if self.change else {}
        lasting_error = error_rate + (1 - error_rate) * lasting.get(ERROR_RATE, 0.0)
        value = self.value_of(outcomes[self.primary].mean * lasting.get(self.primary, 1.0), lasting_error)
        acceptable = np.ones((rows, arms), bool)
        if self.error_limit is not None:
            acceptable &= lasting_error <= self.error_limit
        if self.latency_limit is not None:
            quantile, limit_s = self.latency_limit
            acceptable &= _above(limit_s, latency, scale * lasting.get(LATENCY, 1.0)) <= 1 - quantile + 1e-12
        acceptable[:, 0] = True
        best = np.where(acceptable, value, -np.inf).argmax(axis=1)
        # A tie with the champion is no reason to ship: the champion is listed first, and argmax takes the first.
        return Truth(
            world=self,
            replications=replications,
            arrivals=self.arrivals.counts(self.seed, replications),
            error_rate=error_rate,
            latency=tuple(latency),
            latency_scale=scale,
            outcomes=outcomes,
            value=value,
            acceptable=acceptable,
            best=best,
            effect=drawn,
        )

    def draw(self, replications: Ints) -> dict[tuple[int, str], Floats]:
        """{(arm, metric): (R,)} the relative effects of some replications.

        Raises `InputError` where one leaves what is possible, by itself or in a segment or a tick.
        """
        drawn = {
            (arm, name): effects(prior, self.seed, replications, f"{self.arms[arm]}.{name}")
            for arm, name, prior in self.effects
        }
        found = list(self._impossible(drawn, replications))
        if found:
            raise InputError(found)
        return drawn

    def value_of(self, mean: Floats, error_rate: Floats) -> Floats:
        """(R, K) what a request earns of the primary metric, signed so that more is better, from what an answer earns.

        A request that fails earns nothing; where clients try again after errors, it fails if every attempt does.
        """
        sign = next(outcome.sign for outcome in self.outcomes if outcome.spec.name == self.primary)
        failing = error_rate**self.retry.attempts if self.retry and self.retry.on_error else error_rate
        return sign * mean * (1 - failing)

    def _realised(self, outcome: OutcomeWorld, factors: dict[int, Floats], rows: int) -> Outcomes:
        mean = np.repeat(outcome.mean[None], rows, axis=0)
        for arm, factor in factors.items():
            mean[:, arm] = outcome.mean[0] * factor
        if outcome.kind == "binary":
            marginal: Binary | Discrete = Binary(mean)
            return marginal if outcome.reward is None else Replayed(np.rint(outcome.reward).astype(np.int64), marginal)
        if outcome.kind == "normal":
            sd = np.repeat(outcome.sd[None], rows, axis=0)
            for arm in factors:
                sd[:, arm] = outcome.sd[0]
            return NormalAmount(mean, sd, outcome.grid)
        if outcome.log_chance is not None:
            on_grid = np.rint(outcome.atoms / outcome.grid).astype(np.int64)
            return Tilted.of(on_grid, outcome.log_chance, outcome.grid, factors, rows)
        atoms = np.repeat(outcome.atoms[None], rows if factors else 1, axis=0)
        chance = outcome.chance.copy()
        for arm, factor in factors.items():
            atoms[:, arm] = outcome.atoms[0] * factor[:, None]
            chance[arm] = outcome.chance[0]
        on_grid = np.rint(atoms / outcome.grid).astype(np.int64)
        mean = np.broadcast_to((on_grid * chance).sum(axis=-1) * outcome.grid, (rows, len(self.arms)))
        marginal = Discrete(mean, on_grid, chance)
        if outcome.reward is None:
            return marginal
        return Replayed(np.rint(outcome.reward / outcome.grid).astype(np.int64), marginal)

    def most_factor(self, name: str) -> Floats:
        """(K,) the largest factor on a metric's mean, in any tick and segment."""
        by_tick = self.change.factors.get(name) if self.change else None
        by_segment = self.segments.factors.get(name) if self.segments else None
        most: Floats = np.ones(len(self.arms)) if by_tick is None else by_tick.max(axis=0)
        return most if by_segment is None else most * by_segment.max()

    def least_factor(self, name: str) -> Floats:
        """(K,) the smallest factor on a metric's mean, in any tick and segment."""
        by_tick = self.change.factors.get(name) if self.change else None
        by_segment = self.segments.factors.get(name) if self.segments else None
        least: Floats = np.ones(len(self.arms)) if by_tick is None else by_tick.min(axis=0)
        return least if by_segment is None else least * by_segment.min()

    def _impossible(self, drawn: Mapping[tuple[int, str], Floats], replications: Ints) -> Iterator[Problem]:
        """Effects at or below -100%, and shares that leave 0 to 1, by themselves or where change takes them highest."""
        for (arm, name), effect in drawn.items():
            path = f"truth.{self.arms[arm]}.{name}"
            least = int(effect.argmin())
            if name != ERROR_RATE and effect[least] <= -1:
                found = f"draws an effect of {effect[least]:.4g} in replication {replications[least]}"
                yield Problem(f"{found}; it must stay above -100%", path=path)
                continue
            champion = {outcome.spec.name: outcome.mean[0] for outcome in self.outcomes if outcome.kind == "binary"}
            share = {**champion, ERROR_RATE: self.error_rate[0]}.get(name, 0.0) * (1 + effect)
            bad = np.flatnonzero((share < 0) | (share > 1))
            if bad.size:
                found = f"{share[bad[0]]:.4g} in replication {replications[bad[0]]}"
                yield Problem(f"takes {name} to {found}, outside 0 to 1: narrow the effect", path=path)
        for outcome in self.outcomes:
            name = outcome.spec.name
            for arm, mean in enumerate(outcome.mean if outcome.kind == "binary" and outcome.reward is None else ()):
                effect = drawn.get((arm, name), np.zeros(1))
                share = (outcome.mean[0] if (arm, name) in drawn else mean) * (1 + effect)
                most = share * self.most_factor(name)[arm]
                bad = np.flatnonzero((share <= 1) & (most > 1))
                if bad.size:
                    found = f"{most[bad[0]]:.4g} at most, in replication {replications[bad[0]]}"
                    yield Problem(
                        f"takes {name} of {self.arms[arm]} to {found}; a share must stay within 0 to 1",
                        path="timeline" if self.change and name in self.change.factors else "segments",
                    )
            yield from self._unreachable(outcome, drawn, replications)

    def _unreachable(
        self, outcome: OutcomeWorld, drawn: Mapping[tuple[int, str], Floats], replications: Ints
    ) -> Iterator[Problem]:
        """Means of a count or a score that no chances of its values have."""
        name = outcome.spec.name
        for arm in range(len(outcome.laws)):
            effect = drawn.get((arm, name), np.zeros(1))
            of = 0 if (arm, name) in drawn else arm
            low, high = outcome.laws[of].bounds
            margin = MARGIN * (high - low) if math.isfinite(high) else 0.0
            changing = "timeline" if self.change and name in self.change.factors else "segments"
            alone = f"truth.{self.arms[arm]}.{name}"
            for factor, path in (
                (1.0, alone),
                (self.least_factor(name)[arm], changing),
                (self.most_factor(name)[arm], changing),
            ):
                mean = outcome.mean[of] * (1 + effect) * factor
                bad = np.flatnonzero(((1 + effect) * factor != 1) & ~((low + margin < mean) & (mean < high - margin)))
                if bad.size:
                    found = f"{mean[bad[0]]:.4g} in replication {replications[bad[0]]}"
                    rule = f"its mean must stay between {low:g} and {high:g}, the least and the largest of its values"
                    yield Problem(f"takes {name} of {self.arms[arm]} to {found}; {rule}", path=path)
                    break


@dataclass(frozen=True)
class Truth:
    """What is true in each replication of a block. No policy ever sees it.

    replications (R,) their numbers; arrivals (R, T); error_rate, latency_scale (R, K) and outcomes without any change; value
    (R, K) the expected primary metric of a request, signed so that more is better, an errored request earning nothing;
    acceptable (R, K) whether every declared limit truly holds; best (R,) the acceptable arm of highest value, the champion on a
    tie. Where the world changes, value, acceptable and best are judged by what lasts.
    """

    world: World
    replications: Ints
    arrivals: Ints
    error_rate: Floats
    latency: tuple[latencies.Latency, ...]
    latency_scale: Floats
    outcomes: dict[str, Outcomes]
    value: Floats
    acceptable: Bools
    best: Ints
    effect: dict[tuple[int, str], Floats]

    @property
    def rows(self) -> int:
        """R."""
        return len(self.replications)

    @cached_property
    def _schedule(self) -> Schedule:
        return self.world.arrivals.schedule(self.world.seed, self.replications)

    def pieces(self, rows: Ints, tick: int) -> Pieces:
        """How the arrivals of some rows (r,) lie within a tick."""
        return self._schedule.pieces(rows, tick)

    def conditions(self, tick: int) -> Conditions:
        """What is in force in a tick."""
        change = self.world.change
        if change is None:
            return Conditions(self.error_rate, self.latency_scale, {})
        return Conditions(
            self.error_rate + (1 - self.error_rate) * change.failing[tick],
            self.latency_scale * change.slowness[tick],
            {metric: factor[tick] for metric, factor in change.factors.items()},
        )

    def value_at(self, tick: int) -> Floats:
        """(R, K) the value of a request in a tick. An amount's rounding to its grid, after a factor, is left out."""
        if self.world.change is None:
            return self.value
        now = self.conditions(tick)
        mean = self.outcomes[self.world.primary].mean * now.factors.get(self.world.primary, 1.0)
        return self.world.value_of(mean, now.error_rate)

    def better(self) -> Bools:
        """(R, K) acceptable, and worth more than the champion."""
        return self.acceptable & (self.value > self.value[:, :1])

    def worse(self) -> Bools:
        """(R, K) unacceptable, or worth less than the champion."""
        return ~self.acceptable | (self.value < self.value[:, :1])

    def matters(self) -> Bools:
        """(R, K) better than the champion by at least the smallest effect that matters."""
        margin = self.world.smallest_effect * np.abs(self.value[:, :1])
        return self.better() & (self.value - self.value[:, :1] >= margin - 1e-12)

    def mean_latency_s(self, tick: int = 0) -> Floats:
        """(R, K) mean service time in a tick."""
        mean_s: Floats = self.conditions(tick).latency_scale * np.array([latency.mean_s for latency in self.latency])
        return mean_s

    def latency_above(self, limit_s: float, tick: int = 0) -> Floats:
        """(R, K) share of calls slower than a limit in a tick."""
        return _above(limit_s, self.latency, self.conditions(tick).latency_scale)


def _above(limit_s: float, latency: Sequence[latencies.Latency], scale: Floats) -> Floats:
    """(R, K) the chance that scale (R, K) times a latency exceeds a limit."""
    return np.stack([each.above(limit_s / scale[:, arm]) for arm, each in enumerate(latency)], axis=1)


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
