"""Track-and-Stop's sampling: the weights with which the best arm is found soonest."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.arrays import Floats
from sim.policy.allocation.floor import floored
from sim.policy.allocation.identifying import Identifying
from sim.policy.allocation.index import highest
from sim.policy.base import View
from sim.policy.inference.identification import all_outcomes, good_outcomes
from sim.policy.setting import Setting
from sim.policy.telling import least


class TrackAndStop(Identifying):
    """All traffic of a tick goes to the arm that is furthest behind its optimal weight, given the means observed so far.

    Optimal are the weights with which the best of Bernoulli arms with these means would be told from the others soonest
    (D-tracking). An arm with fewer than √t − K/2 of the t known outcomes of the K arms still in comes first, the one with the
    fewest, so that no arm is given up on by mistake; ties share evenly. It finds the best arm and does not spare users on the
    way. With many requests a tick it runs in batches, and keeps to the weights to within a few ticks.

    For evidence `best_arm`, the stopping rule that belongs to it. For binary metrics.

    Source: Garivier & Kaufmann, COLT (2016), section 3.1.

    >>> TrackAndStop(floor="1%").floor
    0.01
    """

    kind: Literal["track_and_stop"] = "track_and_stop"

    def told(self, setting: Setting) -> str:
        rule = "the arm furthest behind the shares that tell the best arm soonest (track-and-stop)"
        return f"sends all live traffic of a tick to {rule}{least(self.floor)}"

    def live(self, view: View) -> Floats:
        from sim.stats.identification import optimal_weights

        arms_in = view.arms_in
        count, good = good_outcomes(view)
        t = all_outcomes(count, arms_in)
        least = np.where(arms_in, count, np.inf).min(axis=1, keepdims=True)
        forced = (least == 0) | (least < np.sqrt(t) - arms_in.sum(axis=1, keepdims=True) / 2)
        weights = optimal_weights(good / np.maximum(count, 1.0), arms_in)
        behind = np.where(forced, 0.0, t * weights) - count
        return floored(highest(behind, arms_in), self.floor, arms_in)
