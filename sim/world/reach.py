"""How far effects, changes and shocks move an outcome's mean, and what is refused because it leaves what is possible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats, Ints
from sim.errors import Problem
from sim.world.change import ERROR_RATE
from sim.world.shocks import CUT
from sim.world.tilt import MARGIN

if TYPE_CHECKING:
    from sim.world.metric import OutcomeWorld
    from sim.world.world import World

Drawn = dict[tuple[int, str], Floats]
"""{(arm, metric): relative effects}."""


def reach(world: World, name: str, drawn: Drawn, then: Drawn) -> tuple[Floats, Floats]:
    """(K,) each: the smallest and the largest factor on a metric's mean, effects included, in some replications.

    An effect is on the champion's mean. drawn holds the usual effects (R,), then (R, J) those at some times.
    """
    least, most = np.ones(len(world.arms)), np.ones(len(world.arms))
    for arm in range(len(world.arms)):
        usual = drawn.get((arm, name), np.zeros(1))
        low, high = _swing(world, name, arm, usual, then)
        least[arm], most[arm] = (low * (1 + usual)).min(), (high * (1 + usual)).max()
    return least, most


def impossible(world: World, drawn: Drawn, then: Drawn, replications: Ints) -> Iterator[Problem]:
    """Effects at or below -100%, and means that leave what is possible, by themselves or where change takes them furthest."""
    binary = {outcome.spec.name: outcome for outcome in world.outcomes if outcome.kind == "binary"}
    said = {(arm, name) for arm, name, _ in world.effects}
    replayed = {outcome.spec.name: outcome for outcome in world.outcomes if outcome.reward is not None}
    for (arm, name), effect in drawn.items():
        path = f"truth.{world.arms[arm]}.{name}" if (arm, name) in said else "data.shift.gap"
        least = int(effect.argmin())
        if name != ERROR_RATE and effect[least] <= -1:
            yield _too_low(effect, replications, path)
            continue
        if name in replayed:
            yield from _above_one(world, replayed[name], arm, effect, replications, path)
            continue
        champion = {each: outcome.mean[0] for each, outcome in binary.items()}
        share = {**champion, ERROR_RATE: world.error_rate[0]}.get(name, 0.0) * (1 + effect)
        bad = np.flatnonzero((share < 0) | (share > 1))
        if bad.size:
            found = f"{share[bad[0]]:.4g} {_in_some(bad.size, replications)}"
            yield Problem(f"takes {name} to {found}, outside 0 to 1: narrow the effect", path=path)
    for (arm, name), effects in then.items():
        window = int(effects.min(axis=0).argmin())
        if effects[:, window].min() <= -1:
            path = f"truth.{world.arms[arm]}.{name}.when[{window}]"
            yield _too_low(effects[:, window], replications, path)
    for outcome in world.outcomes:
        if outcome.kind == "binary" and outcome.reward is None:
            yield from _shares(world, outcome, drawn, then, replications)
        yield from _unreachable(world, outcome, drawn, then, replications)


def _above_one(
    world: World, outcome: OutcomeWorld, arm: int, effect: Floats, replications: Ints, path: str
) -> Iterator[Problem]:
    """Effects that take the share of ones of a replayed arm above 1."""
    if outcome.kind != "binary" or effect.max() <= 0:
        return
    share = np.minimum(outcome.data_means(world.shares(replications), len(replications))[:, arm], 1.0) * (1 + effect)
    bad = np.flatnonzero(share > 1)
    if bad.size:
        found = f"{outcome.spec.name} of {world.arms[arm]} to {share[bad[0]]:.4g} {_in_some(bad.size, replications)}"
        yield Problem(f"takes {found}, above 1: narrow the effect", path=path)


def _too_low(effects: Floats, replications: Ints, path: str) -> Problem:
    found = f"{effects.min():.4g} {_in_some(int((effects <= -1).sum()), replications)}"
    return Problem(f"draws an effect of {found}; it must stay above -100%", path=path)


def _in_some(count: int, replications: Ints) -> str:
    """In how many replications something is."""
    total = len(replications)
    return "in every replication" if count == total else f"in {count:,} of {total:,} replications"


def _shares(world: World, outcome: OutcomeWorld, drawn: Drawn, then: Drawn, replications: Ints) -> Iterator[Problem]:
    """Shares above 1."""
    name = outcome.spec.name
    for arm, mean in enumerate(outcome.mean):
        usual = drawn.get((arm, name), np.zeros(1))
        share = (outcome.mean[0] if (arm, name) in drawn else mean) * (1 + usual)
        most = share * _swing(world, name, arm, usual, then)[1]
        bad = np.flatnonzero((share <= 1) & (most > 1))
        if bad.size:
            row = bad[0]
            times = _times(usual, then.get((arm, name)), row)
            path = _blamed(world, name, arm, float(share[row]), times, -math.inf, math.nextafter(1.0, 2.0))
            found = f"{most[row]:.4g} at most, {_in_some(bad.size, replications)}"
            rule = f"a share must stay within 0 to 1{_hint(world, name)}"
            yield Problem(f"takes {name} of {world.arms[arm]} to {found}; {rule}", path=path)


def _unreachable(world: World, outcome: OutcomeWorld, drawn: Drawn, then: Drawn, replications: Ints) -> Iterator[Problem]:
    """Means of a count or a score that no chances of its values have."""
    name = outcome.spec.name
    for arm in range(len(outcome.laws)):
        usual = drawn.get((arm, name), np.zeros(1))
        of = 0 if (arm, name) in drawn else arm
        low, high = outcome.laws[of].bounds
        margin = MARGIN * (high - low) if math.isfinite(high) else 0.0
        for alone, factor in ((True, np.ones(1)), *((False, each) for each in _swing(world, name, arm, usual, then))):
            mean = outcome.mean[of] * (1 + usual) * factor
            bad = np.flatnonzero(((1 + usual) * factor != 1) & ~((low + margin < mean) & (mean < high - margin)))
            if bad.size:
                row = bad[0]
                path = f"truth.{world.arms[arm]}.{name}"
                if not alone:
                    at, times = float(outcome.mean[of] * (1 + usual)[row]), _times(usual, then.get((arm, name)), row)
                    path = _blamed(world, name, arm, at, times, low + margin, high - margin)
                found = f"{mean[row]:.4g} {_in_some(bad.size, replications)}"
                rule = f"its mean must stay between {low:g} and {high:g}, the least and the largest of its values"
                yield Problem(f"takes {name} of {world.arms[arm]} to {found}; {rule}{_hint(world, name)}", path=path)
                break


def _swing(world: World, name: str, arm: int, usual: Floats, then: Drawn) -> tuple[Floats, Floats]:
    """The smallest and the largest factor on a mean with the usual effect (R,), in any tick and segment.

    () each, or (R,) where the effect is another one at some times.
    """
    change, by_segment = world.change, world.segments.factors.get(name) if world.segments else None
    by_tick = np.ones(1) if change is None or name not in change.factors else change.factors[name][:, arm]
    least, most = np.asarray(by_tick.min()), np.asarray(by_tick.max())
    for timed in change.timed if change else ():
        if (timed.arm, timed.metric) == (arm, name):
            least, most = timed.extremes(usual, then[arm, name], np.broadcast_to(by_tick, world.requests.shape))
    if by_segment is not None:
        least, most = least * by_segment.min(), most * by_segment.max()
    for shocks in change.shocks if change else ():
        if shocks.metric == name:
            least, most = least * shocks.least, most * shocks.most
    return least, most


def _times(usual: Floats, then: Floats | None, row: int) -> tuple[float, float]:
    """The smallest and the largest factor that effects at some times put on the usual one in a replication."""
    factors = np.ones(1) if then is None else np.append((1 + then[row]) / (1 + usual[row]), 1.0)
    return float(factors.min()), float(factors.max())


def _blamed(world: World, name: str, arm: int, mean: float, times: tuple[float, float], low: float, high: float) -> str:
    """The path of the key that takes a mean out of (low, high), where the factors of one key after the other are put on it."""
    steps = [(f"truth.{world.arms[arm]}.{name}.when", times)]
    if world.segments and name in world.segments.factors:
        by_segment = world.segments.factors[name]
        steps.append(("segments", (float(by_segment.min()), float(by_segment.max()))))
    bounds = world.change.bounds.get(name, {}) if world.change else {}
    steps += [(f"metrics.{name}.{key}", bound) for key, bound in bounds.items()]
    reached = [mean]
    for path, factors in steps:
        reached = [at * factor for at in reached for factor in factors]
        reached = [min(reached), max(reached)]
        if not (low < reached[0] and reached[1] < high):
            return path
    return "timeline"


def _hint(world: World, name: str) -> str:
    bounds = world.change.bounds.get(name, {}) if world.change else {}
    said = [f"{key} by {low:.3g} to {high:.3g}" for key, (low, high) in bounds.items()]
    if "shocks" in bounds:
        said[-1] += f", which is where shocks are cut off, {CUT:g} standard deviations from their middle"
    return f". It is multiplied: {'; '.join(said)}" if said else ""
