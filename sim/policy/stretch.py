"""Stretches of ticks in which a policy changes nothing, so that an engine may play them at once.

A test of a planned sample finds nothing until that has arrived. While it waits under weights that stay as they are, a tick only
adds to sums. So the policy says which sums, and at which information it must be asked again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.arrays import Floats, Ints

# So many ticks are played at once at most: what is kept of each of them stays small.
LONGEST = 64


@dataclass(frozen=True)
class Quiet:
    """Until when a rule of evidence finds nothing, and its memory stays as it is.

    information (r, K - 1): what of the primary metric has arrived of a challenger, as in
    `sim.policy.inference.comparison.information`, when the rule must be asked again, counted within ticks or, if `pooled`, in
    totals. ticks: so many ticks on it must be asked again in any case; None where only information tells.

    >>> import numpy as np
    >>> Quiet(np.array([[500.0]]), pooled=False).ticks is None
    True
    """

    information: Floats
    pooled: bool
    ticks: int | None = None


@dataclass(frozen=True)
class Stretch:
    """What an engine adds up, and when it stops: after `ticks` ticks, or after the first in which some row has reached its
    information.

    total (R, K, C): the telemetry since the stage began. contrasts (2, KINDS, C', K - 1, R): the sums of
    `sim.policy.contrast.Contrasts`, of the columns at `contrasted`, and the column of it that counts the primary metric's
    outcomes; scores (7, K - 1, R): those of `sim.policy.estimates.Aipw`, whose `moments` (3,) are columns, with the mean
    `expected` of an arm without outcomes, and the `grid`. within, pooled (r, K - 1): the information of each row to stop at.
    """

    ticks: int
    total: Ints
    contrasts: Floats
    contrasted: Ints
    counted: int
    scores: Floats
    moments: Ints
    expected: float
    grid: float
    within: Floats
    pooled: Floats
