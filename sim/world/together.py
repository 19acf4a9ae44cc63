"""Outcomes of several arms that rise together: the larger one arm's outcome is, the larger is every other's."""

from __future__ import annotations

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.draws import multinomial
from sim.world.streams import Keys


def rising(values: Ints, chance: Floats, n: Ints, key: Keys) -> Ints:
    """(r, K) what n (r,) rows earn in each arm, where one uniform decides a row in all of them by inversion.

    Each arm has values (r or 1, K, G) with chance (r or 1, K, G). Any two arms are then as alike as their distributions allow
    (the Fréchet bound): of two shares of ones p < q, no row has a one in the first arm alone. key (r,).

    >>> from sim.world.streams import keys
    >>> halves = np.array([[[0, 1], [0, 1]]]), np.array([[[0.5, 0.5], [0.5, 0.5]]])
    >>> one, other = rising(*halves, np.array([100]), keys(1, [0], "x"))[0].tolist()
    >>> one == other
    True
    """
    rows, arms = len(n), values.shape[1]
    own = max(len(values), len(chance))
    values, chance = np.broadcast_to(values, (own, *values.shape[1:])), np.broadcast_to(chance, (own, *chance.shape[1:]))
    order = np.argsort(values, axis=-1, kind="stable")
    values, chance = np.take_along_axis(values, order, -1), np.take_along_axis(chance, order, -1)
    level = np.clip(np.cumsum(chance, axis=-1), 0.0, 1.0)
    level[..., -1] = 1.0
    edge = np.sort(level.reshape(own, -1), axis=-1)
    edge = np.concatenate([np.zeros((own, 1)), edge], axis=-1)
    cells = multinomial(n, np.diff(edge, axis=-1) if own > 1 else np.diff(edge[0]), key)
    # The place of each cell among an arm's values: those whose levels end below it are smaller.
    middle = (edge[:, 1:] + edge[:, :-1]) / 2
    found = np.zeros((rows, arms), np.int64)
    for arm in range(arms):
        place = np.stack([np.searchsorted(*pair, side="left") for pair in zip(level[:, arm], middle, strict=True)])
        earned = np.take_along_axis(values[:, arm], np.minimum(place, values.shape[-1] - 1), -1)
        found[:, arm] = (cells * earned).sum(axis=-1)
    return found
