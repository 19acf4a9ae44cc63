"""A continuous distribution as finitely many values: strata, each of which is its conditional mean.

The mean is exact. Of the variance, what lies within strata is lost: docs/decisions/0002-amounts-are-strata.md has how much.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sim.arrays import Floats

# The strata of a continuous amount: 40 of equal chance below the 95% point, then each next one holds half of what is left.
_BODY, _BODY_SHARE, _TAIL = 40, 0.95, 24


class Stratified(Protocol):
    """A distribution of positive values that knows where its mean comes from."""

    @property
    def mean(self) -> float:
        """The expectation."""

    def parts(self, below: Floats, above: Floats) -> tuple[Floats, Floats]:
        """(E[X; X <= x] / E[X], E[X; X > x] / E[X]) at the points x with P(X <= x) = `below` and P(X > x) = `above`.

        Each to full relative precision where it is small.
        """


def edges() -> tuple[Floats, Floats]:
    """(P(X <= x) (G,), P(X > x) (G,)) of the lower edges x of the strata."""
    tail = (1 - _BODY_SHARE) * 0.5 ** np.arange(1, _TAIL)
    below = np.concatenate([np.linspace(0, _BODY_SHARE, _BODY + 1), 1 - tail])
    above = 1 - below
    above[_BODY + 1 :] = tail
    return below, above


def strata(amount: Stratified) -> tuple[Floats, Floats]:
    """(values (G,), chances (G,)) of a positive amount: G = 64 strata, each represented by its conditional mean.

    An amount of this program *is* this discrete distribution, in every engine.
    """
    below, above = edges()
    under, over = amount.parts(below, above)
    chance = -np.diff(above, append=0.0)
    # Each difference is taken between the smaller numbers, where no digits cancel.
    share: Floats = np.where(under < 0.5, np.diff(under, append=1.0), -np.diff(over, append=0.0))
    return amount.mean * share / chance, chance
