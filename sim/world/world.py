"""The world: what is true, for the scenario as a whole (`World`) and in each replication of a block (`Truth`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError
from sim.policy.setting import Setting
from sim.scenario.error_budget import ErrorBudget
from sim.scenario.priors import Prior
from sim.scenario.value import Value
from sim.world import latency as latencies
from sim.world.capacity import Pool, Retry
from sim.world.change import ERROR_RATE, LATENCY, Change, Conditions
from sim.world.feedback import Feedback
from sim.world.metric import OutcomeWorld
from sim.world.offline import OfflineWorld
from sim.world.outcomes import Joint, Outcomes
from sim.world.population import Population, Segments
from sim.world.priors import effects
from sim.world.reach import Drawn, impossible
from sim.world.rows import RowWeights, Shares, means
from sim.world.streams import Chance
from sim.world.traffic import Arrivals, Pieces, Schedule
from sim.world.usual import HOUR_S, Usual
from sim.world.warm_up import WarmUps
from sim.world.worth import Worths

AGREEMENT = "agreement"


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
    """(K,) how often arms answer as the champion does, as registered or in the data."""
    answers_agree: Bools | None
    """(rows, K) where they do, for replayed models."""
    effects: tuple[tuple[int, str, Prior], ...]
    error_limit: float | None
    latency_limit: tuple[float, float] | None
    smallest_effect: float
    not_worse: float | None = None
    """By how much less than the champion, relatively, an arm may be worth to be right to ship; None where it must be better."""
    population: Population | None = None
    segments: Segments | None = None
    change: Change | None = None
    pools: tuple[Pool, ...] = ()
    retry: Retry | None = None
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """{metric: how late its outcomes are known}; as a call ends where a metric is not listed."""
    covariates: Mapping[str, float] = field(default_factory=dict)
    """{metric: correlation of an outcome of the champion with what was known of it before}; see `sim.world.covariate`."""
    start_s: float = 0.0
    """The time of day at which the run starts."""
    lag: int = 0
    """Ticks by which monitoring is behind."""
    loss: float = 0.0
    """Share of calls that monitoring never sees."""
    writes: float = 0.0
    """Share of requests that write."""
    misrouted: Floats | None = None
    """(K,) share of the requests meant for an arm that the router sends to the champion instead."""
    row_weights: RowWeights | None = None
    """How likely the rows of the data are; None where all are equally likely in every replication."""
    gap: Prior | None = None
    """What live differs from the data by, drawn for each challenger and replayed metric."""
    counts_failures: bool = True
    """Whether a failed request counts as an outcome (`OutcomeWorld.failed_outcome`); else it has none."""
    usual: Usual | None = None
    """What a week after the horizon is like; None in a world that is such a week."""
    value: Value = field(default_factory=Value)
    """What a decision is worth, and for how long."""
    error_budget: ErrorBudget | None = None
    """How many requests may fail in a period; None where nothing is said."""
    offline: OfflineWorld = field(default_factory=OfflineWorld)
    """How scores on labelled rows differ from live traffic."""
    varied_latency: Mapping[int, float] = field(default_factory=dict)
    """{arm: the largest factor of the champion's latency that an effect makes its own, in any replication}."""
    baseline: bool = False
    """Whether the last arm is the champion's version once more, deployed anew: to compare with, and never shipped."""
    warm_ups: WarmUps | None = None
    """How cold deployments behave; None where all are warm at once."""

    @property
    def replayed(self) -> tuple[str, ...]:
        """The metrics whose outcomes are those of rows of the data."""
        return tuple(outcome.spec.name for outcome in self.outcomes if outcome.reward is not None)

    @property
    def told_arms(self) -> tuple[str, ...]:
        """The arms that policies decide between: all but a baseline."""
        return self.arms[:-1] if self.baseline else self.arms

    @property
    def challengers(self) -> slice:
        """The places of the arms that may be shipped."""
        return slice(1, len(self.told_arms))

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
        return bool(self.pools) or self.retry is not None or self.warm_ups is not None

    @property
    def slo_s(self) -> float | None:
        """The latency above which a call violates the objective."""
        return self.latency_limit[1] if self.latency_limit else None

    @property
    def between(self) -> tuple[float, float]:
        """The least and the largest outcome of the primary metric that monitoring counts."""
        primary = self.primary_outcome
        low, high = primary.between
        if not (self.counts_failures and self.may_fail):
            return low, high
        return min(low, primary.failed_outcome), max(high, primary.failed_outcome)

    @property
    def may_fail(self) -> bool:
        """Whether requests can fail, or be lost in a pool."""
        errors = bool((self.error_rate > 0).any()) or (self.change is not None and bool(np.any(self.change.failing > 0)))
        cold = self.warm_ups is not None and bool((self.warm_ups.errors > 0).any())
        return errors or cold or bool(self.pools)

    def setting(self, replications: int, which: Ints | None = None) -> Setting:
        """What a policy knows of this world. `which` (R,) are the numbers of the replications, where they are to be played."""
        failing = float(self.failing(self.error_rate[0])) if self.counts_failures else 0.0
        metrics = {outcome.spec.name: outcome.metric(failing) for outcome in self.outcomes}
        sticky = self.population is not None and self.population.sticky
        segments = {} if self.segments is None else dict(zip(self.segments.names, self.segments.share.tolist(), strict=True))
        users = self.population is not None
        draws = None if which is None else Chance(self.seed, np.asarray(which))
        had = self.offline.rows
        tables = (outcome.reward for outcome in self.outcomes if outcome.reward is not None)
        table_rows = next((len(reward) if had is None else int(had.sum()) for reward in tables), 0)
        return Setting(
            self.told_arms, replications, self.ticks, self.tick_s, self.primary, metrics, users, sticky, segments, self.start_s,
            table_rows > 0, draws, table_rows=table_rows, baseline=self.baseline,
        )  # fmt: skip

    def realise(self, replications: Ints, given: Drawn | None = None, arrivals: Ints | None = None) -> Truth:
        """What is true in each of some replications.

        `given` are usual relative effects to take instead of draws from the priors; outcomes are drawn as ever. `arrivals`
        (R, T) are the counts of requests, where they are known.
        """
        rows, arms = len(replications), len(self.arms)
        drawn, then = self.draw(replications) if given is None else (given, {})
        error_rate = np.repeat(self.error_rate[None], rows, axis=0)
        scale = np.ones((rows, arms))
        latency = list(self.latency)
        for arm in range(1, arms):
            if (arm, ERROR_RATE) in drawn:
                error_rate[:, arm] = error_rate[:, 0] * (1 + drawn[arm, ERROR_RATE])
            if (arm, LATENCY) in drawn:
                latency[arm] = self.latency[0]
                scale[:, arm] = 1 + drawn[arm, LATENCY]
        shares = self.shares(replications)
        outcomes = {
            outcome.spec.name: outcome.realise(
                {arm: 1 + effect for (arm, name), effect in drawn.items() if name == outcome.spec.name}, shares, rows
            )
            for outcome in self.outcomes
        }
        return Truth(
            world=self,
            replications=replications,
            arrivals=self.arrivals.counts(self.seed, replications) if arrivals is None else arrivals,
            error_rate=error_rate,
            latency=tuple(latency),
            latency_scale=scale,
            outcomes=outcomes,
            effect=drawn,
            then=then,
            by_time=self.over_time(self.primary, drawn, then, rows),
            agreement=self._agreement(shares, rows),
        )

    def _agreement(self, shares: Shares | None, rows: int) -> Floats | None:
        """(R, K) how often arms answer as the champion does."""
        if self.agreement is None:
            return None
        if shares is None or self.answers_agree is None:
            return np.repeat(self.agreement[None], rows, axis=0)
        return np.minimum(means(self.answers_agree.astype(np.float64), shares), 1.0)

    def shares(self, replications: Ints) -> Shares | None:
        """How likely groups of rows are in some replications."""
        weights = self.row_weights
        return None if weights is None else lambda groups: weights.grouped(self.seed, replications, groups)

    def draw(self, replications: Ints) -> tuple[Drawn, Drawn]:
        """Relative effects of some replications: {(arm, metric): (R,)} the usual ones, and (R, J) those at some times.

        Raises `InputError` where one leaves what is possible, by itself or in a segment or a tick.
        """
        drawn = {
            (arm, name): effects(prior, self.seed, replications, f"{self.arms[arm]}.{name}")
            for arm, name, prior in self.effects
        }
        if self.gap is not None:
            for arm, name in product(range(1, len(self.arms)), self.replayed):
                gap = effects(self.gap, self.seed, replications, f"gap of {self.arms[arm]}.{name}")
                effect = drawn.get((arm, name))
                drawn[arm, name] = gap if effect is None else (1 + effect) * (1 + gap) - 1
        timed = self.change.timed if self.change else ()
        then = {(each.arm, each.metric): each.draw(self.seed, replications, self.arms[each.arm]) for each in timed}
        found = list(impossible(self, drawn, then, replications))
        if found:
            raise InputError(found)
        return drawn, then

    def over_time(self, name: str, drawn: Drawn, then: Drawn, rows: int) -> Floats | float:
        """(R, K) the mean over all requests of what effects at some times make of a metric; 1 where there are none."""
        timed = [each for each in self.change.timed if each.metric == name] if self.change else []
        if not timed:
            return 1.0
        cycle = 1.0 if self.change is None or name not in self.change.factors else self.change.factors[name][:, 0]
        found = np.ones((rows, len(self.arms)))
        for each in timed:
            found[:, each.arm] = each.mean(drawn[each.arm, name], then[each.arm, name], self.requests * cycle)
        return found

    def failing(self, error_rate: Floats) -> Floats:
        """The share of requests that fail where calls fail at a rate: where clients try again after errors, all attempts do."""
        return error_rate**self.retry.attempts if self.retry and self.retry.on_error else error_rate

    def value_of(self, outcome: OutcomeWorld, mean: Floats, error_rate: Floats) -> Floats:
        """(R, K) what a request earns of a metric, signed so that more is better, from what an answer earns.

        A request that fails is worth what `failed_worth` says.
        """
        failing = self.failing(error_rate)
        return outcome.sign * (mean * (1 - failing) + outcome.failed_worth * failing)

    @property
    def prices(self) -> Mapping[str, float]:
        """{metric: what one unit of it is worth}, of a metric that should decrease one unit less."""
        return self.value.prices(self.primary)

    @property
    def horizon_s(self) -> float:
        """Seconds that are simulated."""
        return self.ticks * self.tick_s

    @property
    def primary_outcome(self) -> OutcomeWorld:
        """The primary metric."""
        return self.outcome(self.primary)

    def outcome(self, name: str) -> OutcomeWorld:
        """A metric by its name."""
        return next(outcome for outcome in self.outcomes if outcome.spec.name == name)


@dataclass(frozen=True)
class Truth:
    """What is true in each replication of a block. No policy ever sees it.

    replications (R,) their numbers; arrivals (R, T); error_rate, latency_scale (R, K) and outcomes without any change. What the
    arms are worth, in a tick or over many, is `sim.world.worth`. agreement (R, K) how often arms answer as the champion does,
    or None where it is not known.
    """

    world: World
    replications: Ints
    arrivals: Ints
    error_rate: Floats
    latency: tuple[latencies.Latency, ...]
    latency_scale: Floats
    outcomes: dict[str, Outcomes]
    effect: Drawn
    then: Drawn = field(default_factory=dict)
    """{(arm, metric): (R, J)} effects at some times: see `sim.world.timed`."""
    by_time: Floats | float = 1.0
    """(R, K) what they make of the primary metric's mean, over all requests."""
    agreement: Floats | None = None

    @property
    def rows(self) -> int:
        """R."""
        return len(self.replications)

    @cached_property
    def joint(self) -> Joint | None:
        """The replayed metrics together, where there are several."""
        return Joint.of(self.outcomes, self.world.shares(self.replications))

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
            {metric: factor for metric in self.outcomes if (factor := self.factor(metric, tick)) is not None},
        )

    def factor(self, metric: str, tick: int) -> Floats | None:
        """(K,), or (R, K) where replications differ: what a metric's mean is multiplied by in a tick; None if never by any."""
        change = self.world.change
        if change is None or not change.changing(metric):
            return None
        found: Floats = change.factors[metric][tick] if metric in change.factors else np.ones(len(self.world.arms))
        for timed in change.timed:
            if timed.metric == metric and self.rows:
                factor = timed.factor(self.effect[timed.arm, metric], self.then[timed.arm, metric], tick)
                if (factor == factor[0]).all():
                    found = found.copy()
                    found[..., timed.arm] *= factor[0]
                else:
                    found = np.array(np.broadcast_to(found, (self.rows, found.shape[-1])))
                    found[:, timed.arm] *= factor
        shocks = self._shocks.get(metric)
        return found if shocks is None else found * shocks[:, tick, None]

    def factors(self, metric: str) -> Floats | None:
        """(1, T, K), or (R, T, K) where replications differ: `factor` of every tick."""
        by_tick = [factor for tick in range(self.world.ticks) if (factor := self.factor(metric, tick)) is not None]
        if not by_tick:
            return None
        rows = self.rows if any(factor.ndim == 2 for factor in by_tick) else 1
        return np.stack([np.broadcast_to(factor, (rows, factor.shape[-1])) for factor in by_tick], axis=1)

    @cached_property
    def _shocks(self) -> dict[str, Floats]:
        """{metric: (R, T)} the shocks on its mean."""
        world = self.world
        shocks = world.change.shocks if world.change else ()
        return {each.metric: each.factors(world.seed, self.replications, world.ticks) for each in shocks}

    def value_at(self, tick: int, metric: str | None = None, now: Conditions | None = None) -> Floats:
        """(R, K) the expected outcome of a request in a tick, of a metric or the primary one, signed so that more is better.

        `now` is what is in force, where deployments may be cold; if left out all are warm.

        An amount's rounding to its grid, after a factor, is left out.
        """
        name, now = metric or self.world.primary, now or self.conditions(tick)
        mean = self.outcomes[name].mean * now.factors.get(name, 1.0)
        return self.world.value_of(self.world.outcome(name), mean, now.error_rate)

    def analysed(self, metric: str | None = None) -> Floats:
        """(R, K) the mean, over the horizon, of the outcomes of a metric that monitoring counts, or of the primary one.

        It is signed so that more is better. Drift, novelty, incidents and lost requests are left out.
        """
        outcome, other = self.world.outcome(metric or self.world.primary), metric not in (None, self.world.primary)
        by_time = self.world.over_time(outcome.spec.name, self.effect, self.then, self.rows) if other else self.by_time
        mean = self.outcomes[outcome.spec.name].mean * by_time
        if self.world.counts_failures:
            failing = self.world.failing(self.error_rate)
            mean = mean * (1 - failing) + outcome.failed_outcome * failing
        return np.asarray(outcome.sign * mean)

    @cached_property
    def worths(self) -> Worths:
        """What the arms are worth: in a tick, over the horizon, and from a verdict on."""
        return Worths(self)

    def in_week(self, week: Usual) -> Truth:
        """What is true of the same arms in a week after the horizon."""
        arrivals = replace(self.world.arrivals, mean=week.requests, trace=None, recorded=False, bursts=None)
        world = replace(self.world, arrivals=arrivals, change=week.change, tick_s=HOUR_S, usual=None, warm_ups=None)
        return replace(self, world=world, arrivals=self.arrivals[:, :0])

    def mean_latency_s(self, tick: int = 0, now: Conditions | None = None) -> Floats:
        """(R, K) mean service time in a tick."""
        mean_s: Floats = (now or self.conditions(tick)).latency_scale * np.array([latency.mean_s for latency in self.latency])
        return mean_s

    def latency_above(self, limit_s: float, tick: int = 0, now: Conditions | None = None) -> Floats:
        """(R, K) share of calls slower than a limit in a tick."""
        return _above(limit_s, self.latency, (now or self.conditions(tick)).latency_scale)


def _above(limit_s: float, latency: Sequence[latencies.Latency], scale: Floats) -> Floats:
    """(R, K) the chance that scale (R, K) times a latency exceeds a limit."""
    return np.stack([each.above(limit_s / scale[:, arm]) for arm, each in enumerate(latency)], axis=1)
