"""What a run takes for given, in words for people who read its report: the world, and what a decision is worth in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.run.found import CalibrationRecord
from sim.scenario.delays import delay_told
from sim.scenario.priors import prior_told
from sim.scenario.schema import Scenario
from sim.units import format_duration, format_share
from sim.world.metric import OutcomeWorld
from sim.world.world import World


def assumptions(scenario: Scenario, world: World, calibrated: Sequence[CalibrationRecord] = ()) -> dict[str, str]:
    """{what: how it is taken to be}, in the order in which a reader wants them; nothing of what is not in the scenario.

    `calibrated` are those of its numbers that were found by playing it.
    """
    found = {"Calibrated": "; ".join(each.told() for each in calibrated)} if calibrated else {}
    return {**dict(_told(scenario, world)), **found}


def _told(scenario: Scenario, world: World) -> Iterator[tuple[str, str]]:
    yield "Champion", _champion(world)
    if world.baseline:
        yield f"Baseline {world.arms[-1]}", "the champion's version, deployed anew; policies that do not serve it do not see it"
    for arm, name in enumerate(world.told_arms[1:], start=1):
        yield "Challenger" if name == "challenger" else f"Challenger {name}", _challenger(scenario, world, arm)
    yield "Traffic", f"{scenario.traffic.told()}; {world.requests.sum():,.0f} requests expected by the horizon"
    if scenario.users is not None:
        yield "Users", scenario.users.told()
    if scenario.segments:
        yield "Segments", "; ".join(segment.told() for segment in scenario.segments)
    for metric in scenario.metrics:
        facts = list(_metric(scenario, metric.name))
        if facts:
            yield f"Outcomes of {metric.name}", "; ".join(facts)
    if scenario.timeline:
        yield "On the way", "; ".join(event.told() for event in scenario.timeline)
    cold = [f"{model.arm}: {model.warm_up.told()}" for model in scenario.models if model.warm_up is not None]
    if cold:
        yield "As it is deployed", "; ".join(cold)
    servers = {**scenario.capacity, **scenario.pools}
    if servers:
        found = {pool.name: pool.concurrency for pool in world.pools}
        yield "Servers", "; ".join(f"{name}: {each.told(found[name])}" for name, each in servers.items())
    if scenario.retries is not None:
        yield "Clients try again", scenario.retries.told()
    if scenario.telemetry.lag or scenario.telemetry.loss:
        lag, loss = format_duration(scenario.telemetry.lag), format_share(scenario.telemetry.loss)
        yield "Monitoring", f"is {lag} behind, and never sees {loss} of calls"
    if scenario.router.misrouted:
        strays = [f"{format_share(share)} of {arm}" for arm, share in scenario.router.misrouted.items()]
        yield "Router", f"sends requests to the champion that were meant for another: {', '.join(strays)}"
    yield "What is right", _right(scenario)
    yield "Worth", _worth(scenario, world)
    if scenario.error_budget is not None:
        yield "Error budget", scenario.error_budget.told()
    if scenario.programme is not None:
        yield "Programme", scenario.programme.told()
    horizon, tick = format_duration(scenario.horizon), format_duration(scenario.tick)
    most = "up to " if scenario.enough is not None else ""
    yield "Played", f"{most}{scenario.replications:,} replications of {horizon}, with monitoring and decisions every {tick}"


def _champion(world: World) -> str:
    source = "in the data" if world.primary_outcome.reward is not None else "as registered"
    means = [f"{each.spec.name} {_mean(each, 0)}" for each in world.outcomes]
    facts = [f"{', '.join(means)} {source}"]
    facts.append(f"{_percent(float(world.error_rate[0]))} of its requests fail")
    facts.append(f"latency {world.latency[0].mean_s * 1000:.3g} ms on average")
    return "; ".join(facts)


def _challenger(scenario: Scenario, world: World, arm: int) -> str:
    """What varies between replications, and of every outcome that does not, what was registered."""
    effects = scenario.truth.get(world.arms[arm], {})
    facts = []
    for name, effect in effects.items():
        replayed = any(each.spec.name == name and each.reward is not None for each in world.outcomes)
        of = "what it earns in the data" if replayed else "the champion's"
        draws = "" if isinstance(effect.relative_effect, float) else "an effect that every replication draws anew: "
        text = f"{name} is {of}, changed by {draws}{prior_told(effect.relative_effect)}"
        facts.append(text + "".join(f", but {each.told()}" for each in effect.when))
    for each in world.outcomes:
        if each.spec.name not in effects:
            source = "in the data" if each.reward is not None else "as registered"
            facts.append(f"{each.spec.name} {_mean(each, arm)} {source}{_more(each, arm)}")
    if "error_rate" not in effects and world.error_rate[arm] != world.error_rate[0]:
        facts.append(f"{_percent(float(world.error_rate[arm]))} of its requests fail")
    if "latency" not in effects and world.latency[arm].mean_s != world.latency[0].mean_s:
        facts.append(f"latency {world.latency[arm].mean_s * 1000:.3g} ms on average")
    if world.gap is not None:
        facts.append(f"live times 1 + a gap to the data: {prior_told(world.gap)}")
    if scenario.data is not None and scenario.data.population == "bootstrap":
        facts.append("what so few rows cannot tell varies between replications")
    return "; ".join(facts)


def _metric(scenario: Scenario, name: str) -> Iterator[str]:
    metric = next(each for each in scenario.metrics if each.name == name)
    if metric.delay is not None:
        until = "count as 0" if metric.until_known == "failure" else "are left out"
        yield f"known after a call's end: {delay_told(metric.delay)}; until then they {until}"
    if metric.attribution_window is not None:
        yield f"what is not known after {format_duration(metric.attribution_window)} counts as 0"
    if metric.covariate is not None:
        yield f"a value known before the test correlates with them at {format_share(metric.covariate.correlation)}"
    if metric.daily is not None:
        yield f"over the day {metric.daily.told()}"
    if metric.weekly is not None:
        yield f"by day of the week times {', '.join(f'{factor:g}' for factor in metric.weekly)}"
    if metric.shocks is not None:
        lasting = format_duration(metric.shocks.correlation_time)
        yield f"random shocks of {format_share(metric.shocks.sd)} move all arms together, for about {lasting}"


def _right(scenario: Scenario) -> str:
    name = scenario.primary.name
    if scenario.goal == "not_worse":
        text = f"to ship what is not worse in {name} by more than {format_share(scenario.margin)}"
    else:
        text = f"to ship what is better in {name}"
    if scenario.primary.smallest_effect:
        text += f"; an effect below {format_share(scenario.primary.smallest_effect)} does not matter"
    for metric in scenario.metrics:
        if metric.max is not None:
            limit = metric.max if isinstance(metric.max, str) else format_share(metric.max)
            of = f" at {format_share(metric.quantile)}" if metric.quantile is not None else ""
            text += f"; never what has {metric.name}{of} above {limit}"
    return text


def _worth(scenario: Scenario, world: World) -> str:
    value = world.value
    unit = f" {value.currency}" if value.currency else ""
    lasts = f"a verdict lasts {format_duration(value.lasts(scenario.horizon))} from the start"
    lasts += " (the horizon)" if value.lifetime is None else ""
    prices = [f"one {name} is worth {price:g}{unit}" for name, price in world.prices.items()]
    costs = {
        "a failed request": value.per_error,
        "a slow request": value.per_slow,
        "a lost request": value.per_lost,
        "a duplicated write": value.per_duplicate,
        "a day of the rollout": value.per_day,
        "to ship": value.per_ship,
        "to roll back": value.per_rollback,
        "a day without a verdict": value.delay,
    }
    if scenario.value is None or value.per is None:
        prices = [f"counted in {world.primary}"]
    charged = [f"{what} costs {price:g}{unit}" for what, price in costs.items() if price]
    return "; ".join([lasts, *prices, *charged])


def _mean(outcome: OutcomeWorld, arm: int) -> str:
    mean = float(outcome.mean[arm])
    return _percent(mean) if outcome.kind == "binary" else f"{mean:.4g}"


def _more(outcome: OutcomeWorld, arm: int) -> str:
    """By how much more or less than the champion's the registered mean of an arm is."""
    mean, champion = float(outcome.mean[arm]), float(outcome.mean[0])
    if not champion or mean == champion:
        return ", as the champion's" if mean == champion else ""
    return f" ({100 * abs(mean / champion - 1):.3g}% {'more' if mean > champion else 'less'})"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"
