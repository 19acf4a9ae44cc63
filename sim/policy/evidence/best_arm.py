"""Identifying the best of several arms, with fixed confidence."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.identification import all_outcomes, binary_problems, good_outcomes
from sim.policy.setting import Setting
from sim.units import Share, format_share


class BestArm(Evidence):
    """Name the best arm, once the outcomes tell it from every other; looked at every tick.

    Where that is a challenger it passes, and the others end with nothing declared; where it is the champion, all challengers
    fail. `likelihood_ratio` (Chernoff's rule) compares the outcomes with the nearest alternative in which another arm is best,
    and belongs to allocation `track_and_stop`. `kl_bounds` waits until the lower bound of the arm that looks best is above the
    upper bounds of all others, and belongs to `kl_lucb`. Either works with any allocation.

    Controls, with `bound: proven`: the chance to name an arm that is not the best, at `alpha`, over all looks and under any
    weights. After t outcomes of K arms, the ratio must exceed log(2 t (K − 1) / alpha), or the bounds are those of the rate
    v + log v, v = log(405.5 K t^1.1 / alpha). The `customary` log((log t + 1) / alpha) of published experiments decides several
    times sooner, and nothing is proven of it. Of two arms that are equally good, the ratio named each in 4.8% of trials at an
    alpha of 5%, looked at after each of 10,000 outcomes an arm; where arms differ, and with bounds, it errs far less. No rule
    can tell such arms apart: give the stage a `max_duration`. Assumes independent binary outcomes of chances that stay.

    Source: Garivier & Kaufmann, COLT (2016), section 3.2, Theorem 10 and section 6; Kaufmann & Kalyanakrishnan, COLT (2013),
    Theorem 1.

    >>> BestArm(alpha="10%").method
    'likelihood_ratio'
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["best_arm"] = "best_arm"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="chance to name an arm that is not the best, over all looks: δ")
    method: Literal["likelihood_ratio", "kl_bounds"] = Field("likelihood_ratio", description="how arms are told apart")
    bound: Literal["customary", "proven"] = Field("customary", description="what it takes: as in experiments, or as in proofs")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def told(self, setting: Setting) -> str:
        method = f"{self.method.replace('_', ' ')}, {self.bound} bound"
        named = f"looks every tick, and passes a challenger once it is told to be the best arm in {setting.primary}"
        return f"{named} (alpha {format_share(self.alpha)}, {method})"

    def judge(self, view: View) -> NDArray[np.int8]:
        count, good = good_outcomes(view)
        mean = np.where(view.arms_in, good / np.maximum(count, 1.0), -np.inf)
        best = np.arange(mean.shape[1]) == mean.argmax(axis=1)[:, None]
        decided = (self._by_ratio if self.method == "likelihood_ratio" else self._by_bounds)(view, count, good, best)
        named = np.where(best[:, :1], Finding.FAIL, np.where(best, Finding.PASS, Finding.NULL))
        return np.where(decided[:, None], named, Finding.UNDECIDED).astype(np.int8)

    def _by_ratio(self, view: View, count: Floats, good: Floats, best: Bools) -> Bools:
        from sim.stats.identification import customary_threshold, likelihood_ratio, proven_threshold

        t, arms = all_outcomes(count, view.arms_in)[:, 0], count.shape[1]
        needed = customary_threshold(t, self.alpha) if self.bound == "customary" else proven_threshold(t, self.alpha, arms)
        return np.asarray(likelihood_ratio(count, good, view.arms_in) > needed)

    def _by_bounds(self, view: View, count: Floats, good: Floats, best: Bools) -> Bools:
        from sim.stats.bandits import kl_lower, kl_upper
        from sim.stats.identification import customary_threshold, proven_rate

        t, arms = all_outcomes(count, view.arms_in), count.shape[1]
        rate = customary_threshold(t, self.alpha) if self.bound == "customary" else proven_rate(t, self.alpha, arms)
        known = np.maximum(count, 1.0)
        lower = kl_lower((good / known)[best], rate[:, 0] / known[best])
        upper = kl_upper(good / known, rate / known)
        seen = np.all((count > 0) | ~view.arms_in, axis=1)
        return np.asarray(seen & (lower > np.where(view.arms_in & ~best, upper, -np.inf).max(axis=1)))

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return binary_problems(self.kind, setting)
