"""From a scenario and its resolved versions to a world, or to every reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.errors import InputError, Problem, format_path
from sim.policy.telling import listed
from sim.registry.versions import Version
from sim.scenario.check import bound_problems, check, registered_policy_problems
from sim.scenario.delays import by_outcome
from sim.scenario.offline import evaluations
from sim.scenario.schema import REWARDS, MetricSpec, Payoff, Scenario
from sim.scenario.value import Value
from sim.world import latency as latencies
from sim.world.change import ERROR_RATE, LATENCY
from sim.world.course import course
from sim.world.extent import extent
from sim.world.feedback import Feedback
from sim.world.levels import exact_grid, on_grid, tilted
from sim.world.metric import OutcomeWorld, finest_grid
from sim.world.offline import OfflineWorld, gap_problems
from sim.world.pools import pools, retry, service, unmeasured
from sim.world.reach import reach
from sim.world.rounding import Corners, corners_of, finer, misrounded
from sim.world.rows import RowWeights
from sim.world.trace import Trace
from sim.world.traffic import arrivals_of
from sim.world.users import population, segments
from sim.world.usual import Usual
from sim.world.warm_up import WarmUps
from sim.world.world import AGREEMENT, World

if TYPE_CHECKING:
    from sim.registry.replay import ReplayTable


BUILT_IN = (ERROR_RATE, LATENCY, AGREEMENT)


def build(
    scenario: Scenario, versions: Sequence[Version], replay: ReplayTable | None = None, trace: Trace | None = None
) -> World:
    """The world of a scenario; `trace` is its recorded traffic, read here if it is left out.

    Raises `InputError` with every problem of the scenario by itself, else with all that the versions do not give.
    """
    # Whoever makes a scenario, a file or a program: there is no world of one that `sim check` refuses.
    found = check(scenario)
    if found:
        raise InputError(found)
    found = list(unmeasured(scenario, versions))
    arrivals = arrivals_of(scenario.traffic, scenario.ticks, scenario.tick, trace)
    outcomes = []
    for index, spec in enumerate(scenario.metrics):
        if spec.name not in BUILT_IN:
            try:
                outcome = _outcome(spec, f"metrics[{index}]", versions, replay)
                found += _apart(outcome, index)
                outcomes.append(outcome)
            except InputError as error:
                found += error.problems
    if found:
        raise InputError(found)
    specs = {spec.name: spec for spec in scenario.metrics}
    servers = pools(scenario, versions)
    misrouted = [scenario.router.misrouted.get(arm, 0.0) for arm in scenario.arms]
    error_spec, latency_spec = specs.get(ERROR_RATE), specs.get(LATENCY)
    world = World(
        seed=scenario.seed,
        arms=scenario.arms,
        tick_s=scenario.tick,
        arrivals=arrivals,
        primary=scenario.primary.name,
        outcomes=tuple(outcomes),
        error_rate=np.array([version.behaviour.error_rate for version in versions]),
        latency=tuple(latencies.of(service(scenario, version)) for version in versions),
        agreement=_agreement(versions, replay),
        answers_agree=None if replay is None else replay.agreement,
        row_weights=None if replay is None else _row_weights(scenario, replay),
        gap=None if scenario.data is None or replay is None else scenario.data.shift.gap,
        effects=tuple(
            (scenario.arms.index(arm), name, effect.relative_effect)
            for arm, metrics in scenario.truth.items()
            for name, effect in metrics.items()
        ),
        error_limit=error_spec.limit if error_spec else None,
        latency_limit=(latency_spec.quantile or 0.99, latency_spec.limit) if latency_spec and latency_spec.limit else None,
        smallest_effect=scenario.primary.smallest_effect,
        not_worse=scenario.margin if scenario.goal == "not_worse" else None,
        population=population(scenario.users),
        segments=segments(scenario.segments),
        change=course(scenario, servers),
        pools=servers,
        retry=retry(scenario.retries),
        feedback={spec.name: Feedback.of(spec, scenario.arms) for spec in scenario.metrics if spec.delay is not None},
        covariates={spec.name: spec.covariate.correlation for spec in scenario.metrics if spec.covariate is not None},
        start_s=scenario.traffic.start,
        lag=round(scenario.telemetry.lag / scenario.tick),
        loss=scenario.telemetry.loss,
        writes=scenario.traffic.writes,
        misrouted=np.array(misrouted) if any(misrouted) else None,
        counts_failures=scenario.analysis == "requests",
        usual=Usual.of(scenario, arrivals, servers),
        value=scenario.value or Value(),
        error_budget=scenario.error_budget,
        offline=_offline(scenario, replay),
        baseline=scenario.has_baseline_arm,
        warm_ups=WarmUps.of([model.warm_up for model in scenario.models], scenario.tick),
    )
    found += _unmet(scenario, world)
    try:
        world = _within_reach(scenario, world)
    except InputError as error:
        found += error.problems
    else:
        setting = world.setting(scenario.replications)
        found += list(registered_policy_problems(scenario, setting)) or bound_problems(scenario, setting, world.between)
        scored = dict.fromkeys(each.metric for each in evaluations(scenario, setting))
        found += gap_problems(world, scored, np.arange(scenario.replications))
    if found:
        raise InputError(found)
    return world


def _within_reach(scenario: Scenario, world: World) -> World:
    """The world with what its effects reach in any replication, and grids that hold that.

    Raises `InputError` for an effect that leaves what is possible in some replication, and for a grid that is too fine.
    """
    drawn, then = world.draw(np.arange(scenario.replications))
    most = {key: 1 + float(effect.max()) for key, effect in drawn.items()}
    bursts = world.arrivals.bursts
    requests = float(world.requests.sum()) * (1.0 if bursts is None else bursts.calm * bursts.factor)
    found: list[Problem] = []
    outcomes: list[OutcomeWorld] = []
    for outcome in world.outcomes:
        name = outcome.spec.name
        with np.errstate(over="ignore", invalid="ignore"):
            lowest, factors = reach(world, name, drawn, then)
        try:
            if outcome.kind == "tilted":
                outcome = tilted(outcome.spec, outcome.laws, float(lowest.min()), float(factors.max()))
            corners = corners_of(outcome, drawn, lowest, factors)
            grid = 1.0 if outcome.kind == "binary" else _grid(scenario, outcome, corners, factors, requests)
        except InputError as error:
            found += error.problems
        except ValueError as error:
            found.append(Problem(str(error), path=f"metrics[{scenario.metrics.index(outcome.spec)}].name"))
        else:
            outcome = replace(outcome, grid=grid, reach=float(factors.max()))
            outcomes.append(replace(outcome, between=extent(outcome, corners)))
    if found:
        raise InputError(found)
    varied = {arm: factor for (arm, name), factor in most.items() if name == LATENCY}
    return replace(world, outcomes=tuple(outcomes), varied_latency=varied)


def _grid(scenario: Scenario, outcome: OutcomeWorld, corners: Corners, factors: Floats, requests: float) -> float:
    """The grid that is asked for, or the finest on which the sums of squares of all requests stay below 2^62."""
    spec, base = outcome.spec, corners.base
    path = f"metrics[{scenario.metrics.index(spec)}]"
    values = outcome.mean[:, None] if outcome.kind == "normal" else outcome.atoms
    # Values of counts and scores stay what they are.
    reached = np.abs(values[base]).max(axis=1) * (1.0 if outcome.kind == "tilted" else factors)
    if outcome.kind == "normal":
        reached = reached + 12 * outcome.sd[base]
    # What failed requests count as: on the grid like any outcome.
    failed = outcome.failed_outcome if scenario.analysis == "requests" else 0.0
    largest = max(float(reached.max()), abs(failed))
    blamed = f"{path}.failure.worth" if largest > reached.max() else None
    # Normal amounts are rounded one by one, or as a sum: on a grid up to their sd, that is the same but for one in 10^8.
    spread = float(outcome.sd[base].min() if outcome.kind == "normal" else outcome.sd.max())
    exact = exact_grid(np.append(values, failed)) if outcome.kind == "tilted" else None
    if spec.grid is None:
        if exact is not None and largest / exact * math.sqrt(requests) < 2.0**31:
            return exact
        grid = finest_grid(spread, largest, requests)
        # A finer one where an arm's amounts are small beside another's.
        fine = () if grid is None else (grid, *finer(grid))
        held = [each for each in fine if largest / each * math.sqrt(requests) < 2.0**31]
        fitting = [each for each in held if not misrounded(outcome, each, scenario.arms, corners)]
        # What a failed request counts as is rounded where none of them holds it.
        grid = next((each for each in fitting if on_grid(np.array(failed), each)), fitting[0] if fitting else None)
        if grid is None:
            raise InputError([Problem(
                f"sums of squares of {spec.name}, which reaches {largest:.3g}, over {requests:.3g} requests overflow 63 bits "
                "on any grid that keeps the mean and sd of every arm: lower the traffic or the horizon, or narrow what "
                "multiplies it", path=blamed or f"{path}.name",
            )])  # fmt: skip
        return grid
    if not largest / spec.grid * math.sqrt(requests) < 2.0**31:
        raise InputError([Problem(
            f"sums of squares of {spec.name}, which reaches {largest:.3g}, over {requests:.3g} requests would overflow 63 "
            f"bits, got a grid of {spec.grid:g}", path=f"{path}.grid",
        )])  # fmt: skip
    if (outcome.kind == "normal" or (outcome.kind == "tilted" and exact is None)) and spec.grid > spread:
        rule = f"must not exceed the least sd of {spec.name} ({spread:g}), got {spec.grid:g}"
        raise InputError([Problem(rule, path=f"{path}.grid")])
    if exact is not None and not on_grid(values, spec.grid):
        raise InputError([Problem(
            f"must divide every value of {spec.name}, as {exact:g} does, got {spec.grid:g}", path=f"{path}.grid"
        )])  # fmt: skip
    if not on_grid(np.array(failed), spec.grid):
        rule = f"must be a whole number of steps of the grid of {spec.name} ({spec.grid:g}), got {failed:g}"
        raise InputError([Problem(rule, path=f"{path}.failure.worth")])
    lost = misrounded(outcome, spec.grid, scenario.arms, corners)
    if lost is not None:
        raise InputError([Problem(f"must be finer: {lost}; got {spec.grid:g}", path=f"{path}.grid")])
    return spec.grid


def _outcome(spec: MetricSpec, path: str, versions: Sequence[Version], replay: ReplayTable | None) -> OutcomeWorld:
    replayed = [version.kind == "replay" for version in versions]
    if any(replayed) and not all(replayed):
        which = ", ".join(version.arm for version in versions if version.kind != "replay")
        raise InputError([Problem(f"real and behaviour models cannot be mixed: {which} is a behaviour model", path="models")])
    if all(replayed):
        if spec.reward is None:
            raise InputError(
                [Problem(f"is required where models are replayed: {listed(REWARDS, 'or')}", path=f"{path}.reward")]
            )
        assert replay is not None
        return _replayed(spec, replay.rewards[spec.name])
    missing = [version.arm for version in versions if spec.name not in version.behaviour.outcomes]
    if missing:
        there = sorted({name for version in versions for name in version.behaviour.outcomes})
        raise InputError([Problem(
            f"no model of {', '.join(missing)} produces {spec.name!r}; the models' outcomes are {', '.join(there) or 'none'}",
            path=f"{path}.name",
        )])  # fmt: skip
    if spec.reward is not None:
        raise InputError([Problem("is for replayed models; these are behaviour models", path=f"{path}.reward")])
    said = [version.behaviour.outcomes[spec.name] for version in versions]
    found = [
        Problem(f"{spec.name} of {version.arm} cannot be compared: {reason}", path=f"{path}.name")
        for version, each in zip(versions, said, strict=True)
        if (reason := each.incomparable())
    ]
    if found:
        raise InputError(found)
    empty = np.zeros((len(said), 0))
    mean, sd = np.array([each.mean for each in said]), np.array([each.sd for each in said])
    families = {each.family for each in said}
    if families == {"binary"}:
        return OutcomeWorld(spec, "binary", 1.0, mean, sd, empty, empty, None)
    if families == {"normal"}:
        return OutcomeWorld(spec, "normal", 1.0, mean, sd, empty, empty, None)
    kinds = ", ".join(next(iter(type(each).model_fields)) for each in said)
    if "normal" in families:
        raise InputError([Problem(f"normal outcomes cannot be mixed with others, got {kinds}", path=f"{path}.name")])
    if families >= {"scaled", "tilted"}:
        rule = "amounts, whose values a factor multiplies, cannot be mixed with counts and scores, whose values stay"
        raise InputError([Problem(f"{rule}, got {kinds}", path=f"{path}.name")])
    if "tilted" in families:
        return tilted(spec, said)
    return _discrete(spec, [each.atoms() for each in said], None)


def _apart(outcome: OutcomeWorld, index: int) -> Iterator[Problem]:
    """Problems where an amount has delays of successes and of failures."""
    if outcome.kind != "binary":
        rule = f"is for successes and failures of a binary metric; {outcome.spec.name} has other values than 0 and 1"
        yield from (Problem(rule, path=format_path(("metrics", index, *place))) for place, _ in by_outcome(outcome.spec.delay))


def _row_weights(scenario: Scenario, replay: ReplayTable) -> RowWeights | None:
    """How likely rows are; None where all are equally likely in every replication."""
    assert scenario.data is not None
    bootstrap = scenario.data.population == "bootstrap"
    if not bootstrap and replay.weights is None:
        return None
    return RowWeights(np.ones(replay.rows) if replay.weights is None else replay.weights, bootstrap)


def _offline(scenario: Scenario, replay: ReplayTable | None) -> OfflineWorld:
    said = scenario.offline
    rows = None if replay is None else replay.offline
    return OfflineWorld(rows=rows) if said is None else OfflineWorld(said.gap, said.similarity, rows)


def _replayed(spec: MetricSpec, reward: np.ndarray) -> OutcomeWorld:
    if np.isin(reward, (0.0, 1.0)).all() or (isinstance(spec.reward, Payoff) and spec.reward.as_ == "chance"):
        mean = reward.mean(axis=0)
        empty = np.zeros((reward.shape[1], 0))
        return OutcomeWorld(spec, "binary", 1.0, mean, np.sqrt(mean * (1 - mean)), empty, empty, reward)
    said = []
    for arm in range(reward.shape[1]):
        values, counts = np.unique(reward[:, arm], return_counts=True)
        said.append((values, counts / len(reward)))
    return _discrete(spec, said, reward)


def _discrete(spec: MetricSpec, said: list[tuple[np.ndarray, np.ndarray]], reward: np.ndarray | None) -> OutcomeWorld:
    groups = max(len(values) for values, _ in said)
    values = np.zeros((len(said), groups))
    chance = np.zeros((len(said), groups))
    for arm, (value, share) in enumerate(said):
        values[arm, : len(value)] = value
        chance[arm, : len(share)] = share
    mean = (values * chance).sum(axis=1)
    sd = np.sqrt(np.maximum((values**2 * chance).sum(axis=1) - mean**2, 0))
    return OutcomeWorld(spec, "discrete", 1.0, mean, sd, values, chance, reward)


def _agreement(versions: Sequence[Version], replay: ReplayTable | None) -> np.ndarray | None:
    if replay is not None:
        return np.asarray(replay.agreement.mean(axis=0))
    said = [1.0, *(version.behaviour.agreement for version in versions[1:])]
    return None if any(share is None for share in said) else np.array(said, np.float64)


def _unmet(scenario: Scenario, world: World) -> Iterator[Problem]:
    """Checks of agreement where the models do not say it."""
    from sim.policy.forms import expand

    others = {policy.name: policy for policy in scenario.policies}
    if world.agreement is None:
        for index, policy in enumerate(scenario.policies):
            checks = (check for stage in expand(policy, others) for check in stage.checks)
            if any(metric == AGREEMENT for check in checks for _, metric in check.reads()):
                yield Problem(
                    "a check reads agreement, which not every challenger's behaviour model says", path=f"policies[{index}]"
                )
