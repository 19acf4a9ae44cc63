"""What rounding to a metric's grid does to its amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats
from sim.world.metric import OutcomeWorld

MOST_OFF_MEAN, MOST_OFF_SD = 0.001, 0.01
"""The shares of the mean and of the sd by which rounding may move them, in any arm."""
# Where the mean is small against the sd, this share of the sd counts instead: more than a million outcomes cannot tell it.
_OF_SD = 1e-5


@dataclass(frozen=True)
class Corners:
    """The factors under which amounts are rounded. Lists have an entry for each arm.

    base: the arm whose registered values it takes, the champion where the truth gives it an effect. pairs: the extreme factors,
    as an effect, which is on the values before they are rounded, and a change, which is on the rounded ones.
    """

    base: Sequence[int]
    pairs: Sequence[Sequence[tuple[float, float]]]


def corners_of(outcome: OutcomeWorld, drawn: Mapping[tuple[int, str], Floats], least: Floats, most: Floats) -> Corners:
    """The extremes of an outcome. drawn: the effects (R,) of arms; least, most (K,): what they and all changes multiply to.

    Values of counts, scores and replayed models stay what they are, and only how often each comes may change: factors of 1.
    """
    base, pairs = [], []
    for arm in range(outcome.mean.size):
        effect = None if outcome.reward is not None else drawn.get((arm, outcome.spec.name))
        base.append(arm if effect is None else 0)
        low, high = (1.0, 1.0) if effect is None else (1 + float(effect.min()), 1 + float(effect.max()))
        extremes = [(low, 1.0), (high, 1.0), (low, float(least[arm]) / low), (high, float(most[arm]) / high)]
        stays = outcome.kind == "tilted" or outcome.reward is not None
        pairs.append([(1.0, 1.0)] if stays else list(dict.fromkeys(extremes)))
    return Corners(base, pairs)


def misrounded(outcome: OutcomeWorld, grid: float, arms: Sequence[str], corners: Corners) -> str | None:
    """What a grid does to the mean or the sd of an arm, where it moves them too far; None where it does not.

    Amounts are held to it under all their extreme factors, rounded as the engines round them. Normal amounts are rounded
    without a bias and have a rule of their own. Of exact and rounded values, means may differ by `MOST_OFF_MEAN` of the mean,
    and sds by `MOST_OFF_SD` of the sd, both without factors where that is larger.
    """
    if outcome.kind == "normal":
        return None
    for arm, name in enumerate(arms):
        of = corners.base[arm]
        there = outcome.chance[of] > 0
        atoms, chance = outcome.atoms[of][there], outcome.chance[of][there]
        mean, sd = _moments(atoms, chance)
        for effect, change in corners.pairs[arm]:
            exact, exact_sd = effect * change * mean, effect * change * sd
            found, found_sd = _moments(np.rint(np.rint(atoms * effect / grid) * change) * grid, chance)
            if abs(found - exact) > max(MOST_OFF_MEAN * max(abs(mean), abs(exact)), _OF_SD * max(sd, exact_sd)):
                return f"it takes the mean of {outcome.spec.name} of {name} from {exact:.6g} to {found:.6g}"
            if abs(found_sd - exact_sd) > MOST_OFF_SD * max(sd, exact_sd):
                return f"it takes the sd of {outcome.spec.name} of {name} from {exact_sd:.6g} to {found_sd:.6g}"
    return None


def finer(grid: float) -> Iterator[float]:
    """The next finer decades of a decade: a thousand times as fine at most.

    >>> [f"{each:g}" for each in finer(0.01)]
    ['0.001', '0.0001', '1e-05']
    """
    decade = round(np.log10(grid))
    yield from (10.0**power for power in range(decade - 1, decade - 4, -1))


def _moments(values: Floats, chance: Floats) -> tuple[float, float]:
    """(mean, sd) of a distribution; as registered, its chances sum to 1."""
    mean = float((values * chance).sum())
    return mean, float(np.sqrt((chance * (values - mean) ** 2).sum()))
