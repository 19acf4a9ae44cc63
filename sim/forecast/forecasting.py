"""The forecast of a rollout that is under way: what is likely true by now, and how each way to go on would end."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import Bools, Floats
from sim.engine.catalogue import make
from sim.errors import InputError, Problem
from sim.forecast.likelihood import Fit, Likelihood, unanswerable
from sim.forecast.posterior import Believed, Posterior, posterior
from sim.forecast.tallies import REQUESTS, Tallies, read_tallies, tallies_of
from sim.forecast.under_way import Course, UnderWay, untellable
from sim.policy.base import Verdict
from sim.policy.evidence import FixedHorizon
from sim.policy.forms import expand
from sim.policy.hours import DAY_S
from sim.policy.machine import StagedPolicy
from sim.scenario.value import priced
from sim.spelling import did_you_mean, there_are
from sim.units import format_duration
from sim.world.reach import impossible
from sim.world.world import Truth, World

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.registry.memory import Models
    from sim.run.plan import PlannedPoint
    from sim.scenario.put import Change
    from sim.scenario.reading import Source

REPLICATIONS = 400
LONGER_S = 7 * DAY_S
"""How much longer the way to go on lasts that prolongs the rollout."""
PLANNED, HALF, LONGER, KEEP = "as planned", "half", "longer", "keep"
# Standard errors between what was seen of the champion and what the scenario says of it: a doubt, and a refusal.
_DOUBTFUL, _ANOTHER = 3.0, 6.0
# How far the traffic may be from what the scenario expects, relatively, before it is told.
_TRAFFIC = 0.1

Read = Callable[[World], Tallies]
"""Reads what was seen of a rollout in a world."""


@dataclass(frozen=True)
class Estimate:
    """A mean over rehearsals with its standard error."""

    value: float
    se: float

    @classmethod
    def of(cls, values: Floats) -> Estimate:
        """Of values (R,); NaN of none."""
        if not values.size:
            return cls(math.nan, math.nan)
        return cls(float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else math.nan)

    @classmethod
    def share(cls, which: Bools) -> Estimate:
        """A share (R,), with the standard error of two more of either kind, so that none is not certain (Agresti & Coull 1998).

        >>> Estimate.share(np.zeros(96, bool))
        Estimate(value=0.0, se=0.014)
        """
        near = (float(which.sum()) + 2) / (which.size + 4)
        return cls(float(which.mean()), math.sqrt(near * (1 - near) / (which.size + 4)))


@dataclass(frozen=True)
class Way:
    """One way to go on. The first five are shares of rehearsals; value is what it gives from the look on.

    right_ship: ships a challenger that is better; wrong_ship: one that is not; rolled_back: keeps the champion; missed: keeps
    it though a challenger is better by the smallest effect that matters; open: ends with no verdict. half_by_s, most_by_s:
    seconds from the look until half, and 95%, of the rehearsals have a verdict; infinity where they have none by the horizon.
    """

    name: str
    told: str
    right_ship: Estimate
    wrong_ship: Estimate
    rolled_back: Estimate
    missed: Estimate
    open: Estimate
    half_by_s: float
    most_by_s: float
    value: Estimate
    wins: Estimate | None


@dataclass(frozen=True)
class Forecast:
    """Where a rollout is, and how it will go on.

    predictive_power: the chance that the policy, as planned, declares a challenger better; None where it declares
    nothing, or has ended.
    waiting: what going on as planned gives more than the better way to stop now.
    """

    scenario: str
    policy: str
    source: str
    look_s: float
    horizon_s: float
    lifetime_s: float
    unit: str
    replications: int
    size: float
    requests: tuple[tuple[str, int], ...]
    believed: tuple[Believed, ...]
    better: tuple[tuple[str, Estimate], ...]
    champion: tuple[Fit, ...]
    ways: tuple[Way, ...]
    predictive_power: Estimate | None
    waiting: Estimate
    left_out: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: infinities and what is not a number are null."""
        found = asdict(self)
        for key in ("requests", "better", "left_out"):
            found[key] = dict(found[key])
        plain: dict[str, Any] = _finite(found)
        return plain


def forecast(
    source: Source,
    policy: str,
    seen: Path | pa.Table | Read,
    models: Models | None = None,
    *,
    per_interval: bool = False,
    replications: int = REPLICATIONS,
    longer_s: float = LONGER_S,
    reports: str | Path = "reports",
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    watch: Callable[[], None] = lambda: None,
) -> Forecast:
    """The forecast of a policy of a scenario, given what was `seen`: a file, or a function that reads it for a world.

    The other arguments are those of `plan_scenario`. Raises `InputError` with what is wrong with the scenario, the policy or
    the table, and where the scenario cannot be forecast.
    """
    from sim.given import check_arguments, resolver_of, settling, with_files
    from sim.policy.catalogue import using
    from sim.run.plan import once, prepare
    from sim.scenario.put import Change as Put
    from sim.scenario.reading import read

    check_arguments(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    cache = Path(reports) / ".predictions"
    with using(parts):
        scenario, document = read(source, with_files(), changes)
        names = [form.name for form in scenario.policies]
        if policy not in names:
            hint = did_you_mean(policy, names) or there_are(names)
            raise InputError([Problem(f"no policy {policy!r} in the scenario; {hint}", "--policy")])
        if scenario.sweep:
            raise InputError([document.place(Problem("a forecast is of one world: leave out the sweep", "sweep"))])
        resolver = once(resolver_of(scenario, document, models, tracking_uri, registry_uri, cache))
        settle = settling(1, cache)
        (point,) = prepare(scenario, document, resolver, settle).points
        refused = [document.place(problem) for problem in unanswerable(point.world)]
        if refused:
            raise InputError(refused)
        if isinstance(seen, Path):
            tallies = read_tallies(seen, point.world, per_interval)
        elif callable(seen):
            tallies = seen(point.world)
        else:
            tallies = tallies_of(seen, "the table", point.world, per_interval)

        def prolonged() -> PlannedPoint:
            """The same scenario with a horizon that is later; numbers that were calibrated stay."""
            horizon = point.scenario.horizon + longer_s
            more = [Put("horizon", format_duration(horizon), "--longer")]
            lifetime = None if scenario.value is None else scenario.value.lifetime
            if lifetime is not None and lifetime < horizon:
                more.append(Put("value.lifetime", format_duration(horizon), "--longer"))
            own, other = read(source, with_files(), [*changes, *more])
            (found,) = prepare(own, other, resolver, settle).points
            return found

        return _Forecasting(point, policy, tallies, replications, longer_s, watch).forecast(prolonged)


class _Forecasting:
    """What one forecast is made of."""

    def __init__(
        self, point: PlannedPoint, policy: str, seen: Tallies, replications: int, longer_s: float, watch: Callable[[], None]
    ) -> None:
        self.point, self.name, self.seen, self.replications = point, policy, seen, replications
        self.longer_s, self.watch = longer_s, watch
        # The luck of rehearsals is of their own: what was seen may be a trial of this scenario and seed.
        luck = hashlib.blake2b(f"{point.world.seed} {seen.digest}".encode(), digest_size=4)
        self.seed = int.from_bytes(luck.digest(), "little")
        self.world = replace(point.world, seed=self.seed)
        self.lifetime_s = max(self.world.value.lasts(point.scenario.horizon), point.scenario.horizon + longer_s)
        self.left_out: list[tuple[str, str]] = []

    def forecast(self, prolonged: Callable[[], PlannedPoint]) -> Forecast:
        agent, world, seen = self.point.policy(self.name), self.world, self.seen
        if not agent.stages:
            raise InputError([Problem(f"{self.name} has its verdict at once: there is no course to forecast", "--policy")])
        setting = world.setting(1)
        refused = untellable(agent, agent.needs(setting), self.name)
        if refused:
            raise InputError(refused)
        likelihood = Likelihood(seen, world)
        fits, doubts = likelihood.fits(), []
        for fit in fits:
            text = (
                f"{fit.name} of {world.arms[0]} is {fit.seen:.5g} in the table and {fit.expected:.5g} in the scenario, which "
                f"is {abs(fit.z):.1f} standard errors"
            )
            if abs(fit.z) > _ANOTHER:
                rule = "so the scenario is not of this rollout: mend its models, as effects are relative to the champion"
                raise InputError([Problem(f"{text}; {rule}", fit.name, seen.source)])
            if abs(fit.z) > _DOUBTFUL:
                doubts.append(text)
        expected, came = float(world.requests[: seen.ticks].sum()), float(seen.total(REQUESTS).sum())
        if abs(came / expected - 1) > _TRAFFIC and abs(came - expected) > 4 * math.sqrt(expected):
            doubts.append(
                f"the table has {came:,.0f} requests by {format_duration(seen.ticks * world.tick_s)}, and the scenario expects "
                f"{expected:,.0f}: from here on it goes on at the scenario's traffic, so set traffic.rate"
            )
        found = posterior(world, likelihood, self.replications)
        truth = self._truth(world, found)
        now = UnderWay(truth, agent, make(self.point.engine.name), seen, self.watch)
        planned = now.on()
        ways = [self._way(PLANNED, f"{self.name} goes on as planned", planned, truth)]
        courses = {PLANNED: planned}
        for name, told, course, of in self._others(now, planned, truth, found, prolonged):
            courses[name] = course
            ways.append(self._way(name, told, course, of))
        stops = [name for name in courses if name == KEEP or name.startswith("ship ")]
        best = max(stops, key=lambda name: float(self._value(courses[name], truth).mean()))
        waiting = Estimate.of(self._value(planned, truth) - self._value(courses[best], truth))
        better = truth.worths.overall.better
        return Forecast(
            scenario=self.point.scenario.name, policy=self.name, source=seen.source, look_s=seen.ticks * world.tick_s,
            horizon_s=world.horizon_s, lifetime_s=self.lifetime_s, unit=world.value.currency or world.primary,
            replications=self.replications, size=found.size,
            requests=tuple((arm, int(n)) for arm, n in zip(world.arms, seen.total(REQUESTS), strict=True)),
            believed=found.believed,
            better=tuple((arm, Estimate.share(better[:, place])) for place, arm in enumerate(world.arms) if place),
            champion=tuple(fits), ways=tuple(ways), predictive_power=None if now.over else ways[0].wins, waiting=waiting,
            left_out=tuple(self.left_out), doubts=(*doubts, *found.doubts, *now.doubts),
        )  # fmt: skip

    def _truth(self, world: World, found: Posterior) -> Truth:
        numbers = np.arange(self.replications)
        problems = list(impossible(world, found.drawn, {}, numbers))
        if problems:
            raise InputError(problems)
        return world.realise(numbers, found.drawn)

    def _others(
        self, now: UnderWay, planned: Course, truth: Truth, found: Posterior, prolonged: Callable[[], PlannedPoint]
    ) -> list[tuple[str, str, Course, Truth]]:  # fmt: skip
        """The other ways to go on: name, words, course and truth of each."""
        ways: list[tuple[str, str, Course, Truth]] = []
        half = self._half(now)
        if half is None:
            ways.append((HALF, "an even split of traffic from now on, all else as planned", now.on(evenly=True), truth))
        else:
            self.left_out.append((HALF, half))
        longer = self._longer(now, planned, found, prolonged)
        if isinstance(longer, str):
            self.left_out.append((LONGER, longer))
        else:
            ways.append((LONGER, f"{format_duration(self.longer_s)} longer", *longer))
        for place, arm in enumerate(self.world.arms[1:], start=1):
            ways.append((f"ship {arm}", f"stop now, ship {arm}", now.stop(place), truth))
        ways.append((KEEP, f"stop now, keep {self.world.arms[0]}", now.stop(0), truth))
        return ways

    def _half(self, now: UnderWay) -> str | None:
        """Why traffic cannot be split evenly from now on; None where it can."""
        if now.over or self.seen.ticks == self.world.ticks:
            return "the policy has ended"
        if now.policy.mirrors():
            return "the policy mirrors requests, which a shift of live traffic would not touch"
        if any(check.compares_traffic for stage in now.policy.stages for check in stage.checks):
            return "a check of the policy compares traffic with its weights, and would stop it"
        live = now.routing.live
        even = (live > 0) / (live > 0).sum(axis=1, keepdims=True)
        only = now.policy.stages
        if np.allclose(live, even) and all(not each.allocation.adaptive for each in only) and len(only) == 1:
            weights = only[0].allocation.constant_weights(now.setting)
            if weights is not None:
                return "traffic is split evenly already"
        return None

    def _longer(
        self, now: UnderWay, planned: Course, found: Posterior, prolonged: Callable[[], PlannedPoint]
    ) -> str | tuple[Course, Truth]:  # fmt: skip
        """The course of a rollout whose deadlines are later, or why there is none."""
        if now.over:
            return "the policy has ended"
        forms, setting = self.point.forms, now.setting
        ends = planned.columns["time_to_end_s"]
        usual_s = float(np.nanmedian(ends)) if np.isfinite(ends).any() else self.world.horizon_s
        stages, changed = [], bool((planned.columns["verdict"] == Verdict.UNDECIDED).any())
        for stage in expand(forms[self.name], forms):
            update: dict[str, Any] = {}
            if stage.max_duration is not None:
                update["max_duration"] = stage.max_duration + self.longer_s
            if isinstance(stage.evidence, FixedHorizon):
                # Its length is a sample: as much larger as the time until it has come.
                sample = stage.evidence.planned_sample(setting)
                more = math.ceil(sample * (1 + self.longer_s / usual_s))
                update["evidence"] = stage.evidence.model_copy(update={"sample": more, "mde": None})
            changed |= bool(update)
            stages.append(stage.model_copy(update=update))
        if not changed:
            return "no deadline ends it: it always has its verdict before the horizon"
        try:
            point = prolonged()
        except InputError as error:
            return f"the scenario cannot be {format_duration(self.longer_s)} longer: {error.problems[0].message}"
        truth = self._truth(replace(point.world, seed=self.seed), found)
        later = UnderWay(truth, StagedPolicy(stages), make(point.engine.name), self.seen, self.watch)
        return later.on(), truth

    def _way(self, name: str, told: str, course: Course, truth: Truth) -> Way:
        columns, world = course.columns, truth.world
        verdict, better = columns["verdict"], columns["shipped_better"]
        shipped, kept = verdict == Verdict.SHIP, verdict == Verdict.KEEP
        look_s = self.seen.ticks * world.tick_s
        waits = np.where(shipped | kept, np.maximum(columns["time_to_decision_s"] - look_s, 0.0), np.inf)
        # The least time by which such a share has a verdict.
        half_by, most_by = (float(np.quantile(waits, level, method="inverted_cdf")) for level in (0.5, 0.95))
        declares = any(stage.evidence.declares for stage in self.point.policy(self.name).stages)
        going_on = name in (PLANNED, HALF, LONGER)

        return Way(
            name, told, Estimate.share(shipped & better), Estimate.share(shipped & ~better), Estimate.share(kept),
            Estimate.share(kept & columns["worth_shipping"]), Estimate.share(~shipped & ~kept), half_by, most_by,
            Estimate.of(self._value(course, truth)), Estimate.share(course.won) if declares and going_on else None,
        )  # fmt: skip

    def _value(self, course: Course, truth: Truth) -> Floats:
        """(R,) what each rehearsal gives from the look to the end of the lifetime more than the champion alone, less costs."""
        columns, world, value = course.columns, truth.world, self.world.value
        look_s = self.seen.ticks * world.tick_s
        within = priced(value, columns["gain"], columns["failed_more"], columns["slow_more"])
        a_day = priced(value, columns["gain_per_day"], columns["failed_more_per_day"], columns["slow_more_per_day"])
        days = (self.lifetime_s - world.horizon_s) / DAY_S
        running = np.fmin(columns["time_to_end_s"], world.horizon_s) - look_s
        waiting = np.fmin(columns["time_to_decision_s"], world.horizon_s) - look_s
        shipped = columns["verdict"] == Verdict.SHIP
        taken_back = ~shipped & (columns["peak_exposure"] > 0)
        costs = (value.per_day * np.maximum(running, 0.0) + value.delay * np.maximum(waiting, 0.0)) / DAY_S
        costs = costs + value.per_ship * shipped + value.per_rollback * taken_back
        return np.asarray(within + days * a_day - costs)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["Estimate", "Forecast", "Way", "forecast"]
