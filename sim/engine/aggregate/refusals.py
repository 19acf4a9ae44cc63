"""The reasons why the aggregate engine refuses a world, each with the scenario key that causes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sim.engine.aggregate.late import aged, bits_of, laws_of
from sim.engine.needs import NO_CALLS, Filled
from sim.policy.adjust.base import Adjust
from sim.policy.catalogue import kind_of, parts_in
from sim.policy.columns import Above, Agreement, AtVisit, Column, Count, Moment
from sim.policy.forms import Form
from sim.policy.setting import Metric, Setting
from sim.scenario.check import check, declared_setting
from sim.scenario.schema import Scenario
from sim.scenario.timeline import Outage
from sim.world.clock import to_ns
from sim.world.course import course
from sim.world.feedback import Feedback
from sim.world.latency import Constant, Exponential, Latency
from sim.world.metric import OutcomeWorld
from sim.world.traffic import Arrivals
from sim.world.world import World

# If a scenario expects more calls than this that outlast a tick, "no call outlasts a tick" is not exact.
_OUTLAST = 1e-6
NEVER = Count("timeouts"), Count("rejections"), Count("retries")
"""Counts that are 0 in every accepted world: no call waits for a server, so none times out, and no client retries."""
FILLS: tuple[Filled, ...] = (
    Count("requests"), Count("responses"), Count("errors"), *NEVER, Above, Moment, Agreement, AtVisit,
)  # fmt: skip
"""The columns that this engine fills."""

# The number of feedback patterns doubles with every bit.
_MOST_BITS = 4
# So does the number of sets of metrics that go apart from what all calls have in common (see `shared`).
_MOST_AGED = 6


def refusals(world: World) -> Iterator[str]:
    """The reasons why this engine cannot play a world exactly.

    Requests must be independent of each other, given the arrivals of every tick, and counts must be enough to describe the
    requests that wait for feedback. So the engine plays everything that happens to one request alone: changing rates, errors,
    latencies and means, segments, misrouted requests, calls that monitoring loses, and late feedback.
    """
    yield from _dependence(
        servers=bool(world.pools),
        retries=world.retry is not None,
        sticky=world.population is not None and world.population.sticky,
        ratchets=world.population is not None and world.population.ratchets,
        similar=world.population is not None and world.population.similarity > 0,
        arrivals=world.arrivals.law,
        cold=world.warm_ups is not None,
    )
    for arm, latency in enumerate(world.latency):
        varied = arm in world.varied_latency
        slowest = world.varied_latency.get(arm, 1.0)
        if _outlasting(world, arm, world.latency[0] if varied else latency, slowest) > _OUTLAST:
            calls = "calls of" if not varied else f"a latency varied up to {slowest:.3g} times: calls of"
            yield f"{calls} {world.arms[arm]} outlast a tick of {world.tick_s:g} s"
    yield from _delay_refusals(world)


def visit_refusals(needs: Sequence[Column]) -> Iterator[str]:
    """The reasons why this engine cannot weigh what is known late by the shares of the tick in which it was sent."""
    for column in dict.fromkeys(column for column in needs if isinstance(column, AtVisit)):
        if not isinstance(column.of, Moment):
            yield f"adjust: {column.of.name} takes single requests to tell"
        elif column.adaptive and column.of.moment == "count":
            yield (
                f"metrics.{column.of.metric}.delay: where shares follow the outcomes, what is known in a tick was sent under "
                "the shares of many"
            )


def declared_refusals(scenario: Scenario) -> Iterator[str]:
    """The reasons that stand in the scenario itself, whatever its models are; `refusals` gives these too."""
    yield from _dependence(
        servers=bool(scenario.capacity or scenario.pools),
        retries=scenario.retries is not None,
        sticky=scenario.users is not None and scenario.users.assignment == "sticky",
        ratchets=scenario.users is not None and scenario.users.assignment == "canary",
        similar=scenario.users is not None and scenario.users.similarity > 0,
        arrivals=scenario.traffic.arrivals,
        cold=any(model.warm_up is not None for model in scenario.models),
    )
    feedback = _declared_feedback(scenario)
    sound = not check(scenario)
    needs = _declared_needs(scenario) if sound else []
    timed = dict.fromkeys(need.as_live().name for need in needs if need.per_call)
    yield from (f"telemetry has no column {name!r}{NO_CALLS}" for name in timed)
    # What a window or a policy needs is known of those without problems.
    if feedback and sound:
        yield from _crowded(feedback, scenario.tick, scenario.ticks)
        if scenario.traffic.bursts is not None:
            yield _changes_within(feedback, "traffic.bursts")
        yield from _apart(feedback, sum(spec.reward is not None for spec in scenario.metrics))
        yield from _aged(feedback, varied=False)
        for name, told in feedback.items():
            yield from _window(name, told, scenario.tick)
        yield from visit_refusals(needs)
    adjusted = dict.fromkeys(part for part in parts_in(scenario.policies) if issubclass(part, Adjust) and part.single)
    yield from (f"adjust: {kind_of(part)} takes single requests to tell" for part in adjusted)


def arrivals_refusals(scenario: Scenario, arrivals: Arrivals) -> Iterator[str]:
    """The reasons in the files that say when requests arrive, of a scenario without problems; `refusals` gives these too."""
    yield from _bent(_declared_feedback(scenario), arrivals)


def declared_doubts(scenario: Scenario) -> Iterator[str]:
    """The reasons that hold where a metric is an amount, which only its models say; `refusals` gives those that hold."""
    feedback = {} if check(scenario) else _declared_feedback(scenario)
    late = [name for name, told in feedback.items() if not steady(told)]
    if late:
        # Outages are of pools, which no scenario of this engine has, and change no mean.
        events = tuple(event for event in scenario.timeline if not isinstance(event, Outage))
        found = course(scenario.model_copy(update={"timeline": events}), ())
        yield from (_of_moving(name) for name in late if found is not None and found.changing(name))


def _declared_feedback(scenario: Scenario) -> dict[str, Feedback]:
    return {spec.name: Feedback.of(spec, scenario.arms) for spec in scenario.metrics if spec.delay is not None}


def _declared_needs(scenario: Scenario) -> list[Column]:
    """The columns that the policies of a scenario without problems need.

    They do not depend on what the models are worth: any will do.
    """
    said = declared_setting(scenario)
    metrics = {
        name: Metric(**vars(metric), binary=True, grid=1.0, nominal_mean=0.5, nominal_sd=0.5)
        for name, metric in said.metrics.items()
    }
    setting = Setting(**{**vars(said), "metrics": metrics})
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    return [need for form in forms.values() for need in form.build(forms, scenario.arms).needs(setting)]


def _dependence(
    *, servers: bool, retries: bool, sticky: bool, ratchets: bool, similar: bool, arrivals: str, cold: bool
) -> Iterator[str]:
    """The reasons why requests depend on each other."""
    if servers:
        yield "capacity: requests compete for servers"
    if cold:
        yield "models[].warm_up: how a call goes depends on the calls and weights before it"
    if retries:
        yield "retries: an attempt depends on the ones before it"
    if sticky:
        yield "users.assignment: the requests of a sticky user go to one arm together"
    if ratchets:
        yield "users.assignment: where a user goes depends on where the user went before"
    if similar:
        yield "users.similarity: the outcomes of a user's requests depend on each other"
    if arrivals != "poisson":
        yield f"traffic.arrivals: {arrivals} arrivals depend on each other"


def _outlasting(world: World, arm: int, latency: Latency, scale: float) -> float:
    """The expected number of requests that would outlast a tick if one arm got all of them, at a factor of its latency."""
    if world.change is None:
        slowness, requests = np.ones(1), np.array([world.requests.sum()])
    else:
        slowness, place = np.unique(world.change.slowness[:, arm], return_inverse=True)
        requests = np.bincount(place, world.requests)
    return float((latency.above(world.tick_s / (scale * slowness)) * requests).sum())


def changing(world: World, metric: str) -> bool:
    """Whether a metric's mean changes from tick to tick."""
    return world.change is not None and world.change.changing(metric)


def _delay_refusals(world: World) -> Iterator[str]:
    if not world.feedback:
        return
    yield from _crowded(world.feedback, world.tick_s, world.ticks)
    if world.arrivals.bursts is not None:
        yield _changes_within(world.feedback, "traffic.bursts")
    yield from _bent(world.feedback, world.arrivals)
    yield from _apart(world.feedback, sum(outcome.reward is not None for outcome in world.outcomes))
    yield from _aged(world.feedback, bool(world.varied_latency))
    for outcome in world.outcomes:
        if outcome.spec.name in world.feedback:
            yield from _late(world, outcome, world.feedback[outcome.spec.name])


def _late(world: World, outcome: OutcomeWorld, told: Feedback) -> Iterator[str]:
    """The reasons in the delays of one metric."""
    name = outcome.spec.name
    if outcome.kind != "binary" and changing(world, name) and not steady(told):
        yield _of_moving(name)
    yield from _window(name, told, world.tick_s)


def _of_moving(name: str) -> str:
    return f"metrics.{name}.delay: the mean of an amount changes from tick to tick, and any may still be to come"


def _crowded(feedback: Mapping[str, Feedback], tick_s: float, ticks: int) -> Iterator[str]:
    key = f"metrics.{min(feedback)}.delay"
    bits = sum(
        len([place for place in vars(of).values() if place is not None]) for of in bits_of(feedback, tick_s, ticks).values()
    )
    counted = sum(not aged(told) for told in feedback.values())
    if counted > _MOST_BITS:
        yield f"{key}: at most {_MOST_BITS} metrics can be delayed, got {counted}"
    elif bits > _MOST_BITS:
        yield f"{key}: windows, and delays by outcome, of {len(feedback)} metrics make more than {2**_MOST_BITS} patterns"


def _changes_within(feedback: Mapping[str, Feedback], key: str) -> str:
    return f"metrics.{min(feedback)}.delay: with {key} the rate changes within a tick"


def _bent(feedback: Mapping[str, Feedback], arrivals: Arrivals) -> Iterator[str]:
    if feedback and arrivals.bent:
        yield _changes_within(feedback, "traffic.trace")


def _apart(feedback: Mapping[str, Feedback], replayed: int) -> Iterator[str]:
    if replayed > 1:
        yield f"metrics.{min(feedback)}.delay: a row of the data decides several metrics, which come to be known apart"


def _aged(feedback: Mapping[str, Feedback], varied: bool) -> Iterator[str]:
    """The reasons in delays of which what is left depends on their age."""
    names = [name for name in sorted(feedback) if aged(feedback[name])]
    kinds = {
        name: next(type(law).__name__.lower() for law in laws_of(feedback[name]) if not isinstance(law, Exponential | Constant))
        for name in names
    }
    if len(names) > _MOST_AGED:
        most = f"at most {_MOST_AGED} metrics can have a delay that is neither exponential nor constant"
        yield f"metrics.{names[0]}.delay: {most}, got {len(names)}"
    if names and varied:
        yield f"metrics.{names[0]}.delay: when a {kinds[names[0]]} delay ends depends on a latency that varies between trials"


def _window(name: str, told: Feedback, tick_s: float) -> Iterator[str]:
    window_ns = told.window_ns
    if window_ns is None:
        return
    if window_ns % to_ns(tick_s):
        yield f"metrics.{name}.attribution_window: it closes within a tick"
    if any(isinstance(law, Constant) and to_ns(law.mean_s) > window_ns for law in told.success):
        yield f"metrics.{name}.attribution_window: it closes before any success is known"


def steady(told: Feedback) -> bool:
    """Whether a call's end says when its outcome becomes known, whatever it is."""
    return not told.by_outcome and all(isinstance(law, Constant) for law in told.success)
