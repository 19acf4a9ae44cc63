"""Counts and scores before any replication: their values, how often each comes, and the grid that holds them exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.arrays import Floats
from sim.distributions.outcome import OutcomeKind
from sim.scenario.schema import MetricSpec
from sim.world.metric import OutcomeWorld

# A grid finer than this does not count as exact.
_MOST_DECIMALS = 6


def tilted(spec: MetricSpec, laws: Sequence[OutcomeKind], least: float = 1.0, most: float = 1.0) -> OutcomeWorld:
    """A metric of counts or scores, with every value that matters under factors on the mean from `least` to `most`.

    Raises `ValueError` if there are too many.
    """
    said = [law.levels(least, most) for law in laws]
    groups = max(len(values) for values, _ in said)
    atoms, log_chance = np.zeros((len(said), groups)), np.full((len(said), groups), -np.inf)
    for arm, (values, logs) in enumerate(said):
        atoms[arm, : len(values)], log_chance[arm, : len(values)] = values, logs
    chance = np.exp(log_chance)
    mean = (chance * atoms).sum(axis=1)
    sd = np.sqrt((chance * (atoms - mean[:, None]) ** 2).sum(axis=1))
    return OutcomeWorld(spec, "tilted", 1.0, mean, sd, atoms, chance, None, log_chance=log_chance, laws=tuple(laws))


def on_grid(values: Floats, grid: float) -> bool:
    """Whether values are whole multiples of a step, but for rounding; a multiple of 0 is 0 itself.

    >>> on_grid(np.array([0.5, 4.0]), 0.5), on_grid(np.array([0.5, 4.0]), 1.0), on_grid(np.array([0.5, 4.0]), 1e12)
    (True, False, False)
    """
    steps = values / grid
    return bool((np.abs(steps - np.rint(steps)) <= 1e-9 * np.abs(steps)).all())


def exact_grid(values: Floats) -> float | None:
    """The coarsest decade, 1 at most, of which all values are whole multiples; None if it takes more than six decimals.

    >>> exact_grid(np.array([1.0, 4.5])), exact_grid(np.array([1 / 3]))
    (0.1, None)
    """
    return next((10.0**-decimals for decimals in range(_MOST_DECIMALS + 1) if on_grid(values, 10.0**-decimals)), None)
