"""The mixture sequential probability ratio test: look as often as you like."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.policy.adjust import ADJUST_RULE, AnyAdjust
from sim.policy.base import Evidence, Finding, Setting, View
from sim.policy.evidence.comparison import (
    TEST_RULE,
    TestKind,
    adjust_problems,
    compare,
    enough_known,
    nominal,
    outcome_needs,
    primary,
)
from sim.units import Share


class MixtureSprt(Evidence):
    """Declare a difference once the always-valid p-value reaches alpha; looked at every tick.

    The likelihood ratio of effects that spread normally around none, with standard deviation `mde` times the champion's
    registered mean (or `mixing_sd`), against no effect (Robbins 1970; Johari, Koomen, Pekelis & Walsh 2022). Every challenger
    is tested at alpha / challengers (Bonferroni). Significantly better passes, significantly worse fails.

    Controls: the family-wise error of ever declaring a difference where none is, at `alpha`, whenever you look and however long
    you wait. The price is a larger sample than that of a planned test. It has no end of its own: without a difference it goes
    on until `max_duration`, and is then inconclusive. Assumes independent requests, and a normal limit that has set in by
    `min_outcomes`; not valid where the allocation depends on what was seen.

    >>> from sim.policy.base import Metric
    >>> setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, True, 1.0, 0.05, 0.2)})
    >>> MixtureSprt(mde="2%").effect_sd(setting)
    0.001
    """

    reads_reward: ClassVar[bool] = True

    kind: Literal["mixture_sprt"] = "mixture_sprt"
    alpha: Share = Field(0.05, gt=0, lt=1, description="two-sided error rate, over all challengers and all looks")
    mde: Share | None = Field(None, gt=0, description="relative effect on the primary metric that is found soonest")
    mixing_sd: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="spread of effects, in the metric's unit, instead of `mde`"
    )
    min_outcomes: int = Field(100, ge=2, description="known outcomes that champion and challenger must have before a look")
    test: TestKind = Field("auto", description=TEST_RULE)
    adjust: AnyAdjust | None = Field(None, description=ADJUST_RULE)

    def effect_sd(self, setting: Setting) -> float:
        """The mixing standard deviation, in the unit of the primary metric."""
        if self.mixing_sd is not None:
            return self.mixing_sd
        return (self.mde or 0.0) * abs(nominal(setting, self.adjust)[0])

    def needs(self, setting: Setting) -> tuple[str, ...]:
        return outcome_needs(setting, self.adjust)

    def judge(self, view: View) -> NDArray[np.int8]:
        from sim.stats.sequential import mixture_sprt

        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        enough = enough_known(view, self.min_outcomes, self.adjust)
        rows = np.asarray(enough.any(axis=1))
        if not rows.any():
            return findings
        result = compare(view, self.test, rows, adjust=self.adjust)
        p_value = mixture_sprt(result.effect, result.standard_error, mixing_sd=self.effect_sd(view.setting)).p_value
        declared = enough[rows] & (p_value <= self.alpha / (len(view.setting.arms) - 1))
        better = result.effect * primary(view).sign > 0
        findings[rows, 1:] = np.where(declared, np.where(better, Finding.PASS, Finding.FAIL), Finding.UNDECIDED)
        return findings

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        return adjust_problems(setting, self.adjust, self.test) or self._mixing_problems(setting)

    def _mixing_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if self.mixing_sd is not None and self.mde is not None:
            return [("mixing_sd", f"and mde say the same in two ways: give one, got {self.mixing_sd:g} and {self.mde:g}")]
        if self.mixing_sd is not None:
            return []
        if self.mde is None:
            return [("mde", "is required: the relative effect to find soonest (or give `mixing_sd`, in the metric's unit)")]
        metric = setting.metrics.get(setting.primary)
        if metric is not None and nominal(setting, self.adjust)[0] == 0:
            return [("mde", f"is relative, and the champion's registered mean of {metric.name} is 0: give `mixing_sd` instead")]
        return []
