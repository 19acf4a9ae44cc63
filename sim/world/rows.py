"""The rows of the data that requests replay: how likely each is, in every replication.

A test set is a sample of the traffic. What it cannot tell is carried into every replication by a Bayesian bootstrap (Rubin
1981, "The Bayesian bootstrap", Ann. Statist. 9): a replication's population gives row j of N the share E_j / (E_1 + … + E_N),
with exponential E_j of its own, which is a draw from Dirichlet(1, …, 1). All arms and
metrics of a replication share these weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.streams import at, keys, uniforms

Shares = Callable[[list[Ints]], list[Floats]]
"""Ways of grouping rows of the data, (N,) each, to how likely each group is in each replication, (R, G)."""

# Weights of so many rows, over replications, are held at once.
_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class RowWeights:
    """How likely the N rows of the data are; of worlds in which they are not all alike in every replication.

    shift (N,) how many live requests each row stands for, relative to the others; `bootstrap` whether every replication weighs
    the rows anew, which multiplies that.
    """

    shift: Floats
    bootstrap: bool

    def shares(self, seed: int, replications: Ints) -> Iterator[Floats]:
        """(N,) the shares of the rows in one replication after another. They depend on no other key of the scenario.

        >>> [share.tolist() for share in RowWeights(np.array([1.0, 3.0]), bootstrap=False).shares(7, np.arange(1))]
        [[0.25, 0.75]]
        """
        shift = self.shift / self.shift.max()
        if not self.bootstrap:
            yield from (shift / shift.sum() for _ in replications)
            return
        rows = np.arange(1, shift.size + 1, dtype=np.uint64)
        step = max(1, _AT_ONCE // shift.size)
        for start in range(0, len(replications), step):
            key = keys(seed, replications[start : start + step], "data_weights")
            for weight in -np.log(uniforms(at(key[:, None], rows))) * shift:
                yield weight / weight.sum()

    def grouped(self, seed: int, replications: Ints, groups: Sequence[Ints]) -> list[Floats]:
        """(R, G) for each way of grouping rows, (N,) numbers from 0 to G - 1: the share of every group.

        >>> weights = RowWeights(np.ones(4), bootstrap=False)
        >>> weights.grouped(7, np.arange(2), [np.array([0, 1, 1, 1])])[0].tolist()
        [[0.25, 0.75], [0.25, 0.75]]
        """
        found = [np.empty((len(replications), int(of.max()) + 1)) for of in groups]
        for place, share in enumerate(self.shares(seed, replications)):
            for of, into in zip(groups, found, strict=True):
                into[place] = np.bincount(of, share, into.shape[1])
        return found


def means(of: Floats, shares: Shares) -> Floats:
    """(R, K) means of what rows have in each arm, (N, K).

    >>> weights = RowWeights(np.array([1.0, 3.0]), bootstrap=False)
    >>> means(np.array([[0.0, 1.0], [4.0, 1.0]]), lambda groups: weights.grouped(7, np.arange(1), groups)).tolist()
    [[3.0, 1.0]]
    """
    found = [np.unique(own, return_inverse=True) for own in of.T]
    by_arm = shares([group for _, group in found])
    # Not a matrix product, whose last digit depends on how many rows there are.
    return np.stack([(share * values).sum(axis=1) for share, (values, _) in zip(by_arm, found, strict=True)], axis=1)


def search_table(share: Floats) -> tuple[Floats, Ints]:
    """(up_to (R, N), guide (R, N)) for drawing a row with shares (R, N) in constant expected time (Chen & Asau 1974).

    The row of a uniform u is the first one with u < up_to, and none before guide[floor(u N)] is it.

    >>> up_to, guide = search_table(np.array([[0.25, 0.0, 0.75, 0.0]]))
    >>> up_to.tolist(), guide.tolist()
    ([[0.25, 0.25, 1.0, 1.0]], [[0, 2, 2, 2]])
    """
    rows = share.shape[1]
    up_to = np.cumsum(share, axis=1)
    # A row without a share must never be drawn, and rounding may leave the last level a little below 1.
    last = rows - 1 - np.argmax(share[:, ::-1] > 0, axis=1)
    up_to[np.arange(rows) >= last[:, None]] = 1.0
    start = np.arange(rows) / rows
    return up_to, np.stack([np.searchsorted(each, start, side="right") for each in up_to]).astype(np.int64)
