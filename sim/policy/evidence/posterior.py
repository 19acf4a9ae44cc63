"""Stopping when a posterior probability crosses a threshold."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim import ways
from sim.arrays import whole
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, Moment, moments_of
from sim.policy.inference.posteriors import probability_best
from sim.policy.setting import Setting
from sim.units import Share, format_share


class Posterior(Evidence):
    """Ship the arm that is best with probability `threshold`; give up on one that is best with no more than the rest.

    A challenger passes when its posterior probability of being best reaches `threshold`; the arms left then end with nothing
    declared. It fails when the champion's does, or when its own falls to (1 - threshold) / (challengers still in): what the
    threshold leaves over, shared out evenly. Two challengers that are equally good can keep each other from passing.

    Controls nothing in the frequentist sense: looked at every tick, a threshold of 95% ships a challenger that is no better far
    more often than 5% of the time. The comparison shows how often. Assumes independent outcomes, and the prior of
    `sim.policy.inference.posteriors` (Thompson 1933; Deng, Lu & Chen 2016, on what optional stopping does to it).

    >>> Posterior(threshold="99%").min_outcomes
    100
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["posterior"] = "posterior"
    threshold: Share = Field(0.95, gt=0.5, lt=1, description="posterior probability of being the best arm that decides")
    min_outcomes: int = Field(100, ge=1, description="known outcomes that every arm still in must have before a look")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def told(self, setting: Setting) -> str:
        passes = f"looks every tick, and passes a challenger that is the best in {setting.primary} with a posterior probability"
        return f"{passes} of {format_share(self.threshold)}, from {self.min_outcomes:,} outcomes an arm on"

    def judge(self, view: View) -> NDArray[np.int8]:
        known = view.of_total(Moment(view.setting.primary, "count"))
        metric = view.setting.metrics[view.setting.primary]
        best = probability_best(metric, view.moments(metric), view.arms_in)
        if ways.compiles(known.size):
            from sim.policy.kernels import judge_best

            return judge_best(whole(known), whole(view.arms_in), best, self.min_outcomes, self.threshold)
        ready = np.all((known >= self.min_outcomes) | ~view.arms_in, axis=1, keepdims=True)
        challengers = np.maximum(view.arms_in[:, 1:].sum(axis=1, keepdims=True), 1)
        hopeless = best <= (1 - self.threshold) / challengers
        findings = np.where(hopeless | (best[:, :1] >= self.threshold), Finding.FAIL, Finding.UNDECIDED)
        winner = best >= self.threshold
        won = winner[:, 1:].any(axis=1, keepdims=True)
        findings = np.where(won, np.where(winner, Finding.PASS, Finding.NULL), findings)
        return np.where(ready, findings, Finding.UNDECIDED).astype(np.int8)
