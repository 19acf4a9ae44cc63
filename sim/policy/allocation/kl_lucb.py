"""KL-LUCB's sampling: the leader and its best contender."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from sim.arrays import Floats
from sim.policy.allocation.floor import floored
from sim.policy.allocation.identifying import Identifying
from sim.policy.allocation.index import highest
from sim.policy.base import View
from sim.policy.inference.identification import all_outcomes, good_outcomes
from sim.policy.setting import Setting
from sim.policy.telling import least
from sim.units import Share, format_share


class KlLucb(Identifying):
    """Half of the traffic goes to the arm that looks best, half to the one of the others that could be the best of all.

    That is the one with the highest upper bound by the Kullback–Leibler divergence, as in `kl_ucb`, but at the rate
    log((log t + 1) / alpha) of evidence `best_arm`, whose `method: kl_bounds` is the stopping rule that belongs to it. Arms
    without outcomes come first; ties share evenly. It finds the best arm and does not spare users on the way. For binary
    metrics.

    Source: Kaufmann & Kalyanakrishnan, COLT (2013); the rate is that of Garivier & Kaufmann, COLT (2016), section 6.

    >>> KlLucb(alpha="10%").alpha
    0.1
    """

    kind: Literal["kl_lucb"] = "kl_lucb"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="error rate of the evidence that it samples for")

    def told(self, setting: Setting) -> str:
        rule = "gives half of live traffic to the arm that looks best, and half to the other that may yet be the best"
        return f"{rule} (KL-LUCB, alpha {format_share(self.alpha)}){least(self.floor)}"

    def live(self, view: View) -> Floats:
        from sim.stats.bandits import kl_upper
        from sim.stats.identification import customary_threshold

        arms_in = view.arms_in
        count, good = good_outcomes(view)
        known = np.maximum(count, 1.0)
        rate = customary_threshold(all_outcomes(count, arms_in), self.alpha)
        upper = kl_upper(good / known, rate / known)
        leader = highest(good / known, arms_in)
        # Several arms that look best are the leader equally often.
        contender = np.zeros(leader.shape)
        for arm in range(leader.shape[1]):
            others = arms_in.copy()
            others[:, arm] = False
            some = others.any(axis=1) & (leader[:, arm] > 0)
            contender[some] += leader[some, arm, None] * highest(upper[some], others[some])
        unknown = arms_in & (count == 0)
        first = unknown.any(axis=1, keepdims=True)
        shares = np.where(first, highest(-count, arms_in), (leader + contender) / 2)
        return floored(shares, self.floor, arms_in)
