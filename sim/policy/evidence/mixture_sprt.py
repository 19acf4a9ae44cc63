"""The mixture sequential probability ratio test: look as often as you like."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats, Ints
from sim.policy.adjust import ADJUST_RULE, AnyAdjust
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column
from sim.policy.inference.amount import amount, amount_problems, share_problems
from sim.policy.inference.comparison import (
    LEAST_RULE,
    TALLY_RULE,
    TEST_RULE,
    Tally,
    TestKind,
    adjust_problems,
    adjusted_problems,
    compare,
    contrast_needs,
    findings_where_known,
    least_outcomes,
    outcome_needs,
    primary,
    relative_effect,
    resolved,
)
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import compared
from sim.units import Share, format_share


class MixtureSprt(Evidence):
    """Declare a difference once the always-valid p-value reaches alpha; looked at every tick.

    The likelihood ratio of effects that spread normally around none, with standard deviation `mde` times the champion's
    registered mean (or `mixing_sd`), against no effect (Robbins 1970; Johari, Koomen, Pekelis & Walsh 2022). Every challenger
    is tested at alpha / challengers (Bonferroni). Significantly better passes, significantly worse fails.

    Controls: the family-wise error of ever declaring a difference where none is, at `alpha`, whenever you look and however long
    you wait. The price is a larger sample than that of a planned test. It has no end of its own: without a difference it goes
    on until `max_duration`, and is then inconclusive. Assumes independent requests, and a normal limit that has set in by
    `min_outcomes`; weights may change, and follow what was seen, unless `tally` is pooled.

    >>> from sim.policy.setting import Metric
    >>> setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, True, 1.0, 0.05, 0.2)})
    >>> MixtureSprt(mde="2%").effect_sd(setting)
    0.001
    """

    reads_reward: ClassVar[bool] = True

    kind: Literal["mixture_sprt"] = "mixture_sprt"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="two-sided error rate, over all challengers and all looks")
    mde: Share | None = Field(None, ge=1e-9, description="relative effect on the primary metric that is found soonest")
    mixing_sd: float | None = Field(
        None, ge=1e-12, le=1e12, allow_inf_nan=False, description="spread of effects, in the metric's unit, instead of `mde`"
    )
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)
    test: TestKind = Field("auto", description=TEST_RULE)
    adjust: AnyAdjust | None = Field(None, description=ADJUST_RULE)
    tally: Tally | None = Field(None, description=TALLY_RULE)

    def effect_sd(self, setting: Setting) -> float:
        """The mixing standard deviation, in the unit of the primary metric."""
        return amount(self.mde, self.mixing_sd, setting, self.adjust)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return outcome_needs(setting, self.adjust, self.tally)

    def pools(self, setting: DeclaredSetting) -> bool:
        return resolved(self.tally, self.adjust) == "pooled"

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return contrast_needs(setting, self.adjust, self.tally)

    def told(self, setting: Setting) -> str:
        spread = format_share(self.mde) if self.mde is not None else f"{self.mixing_sd:g}"
        rule = f"mixture SPRT, alpha {format_share(self.alpha)} over all looks, soonest for an effect of {spread}"
        passes = f"looks every tick, and passes a challenger that is found better in {setting.primary}"
        return f"{passes} ({rule}){compared(self.adjust, self.tally)}"

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha

    def judge(self, view: View) -> NDArray[np.int8]:
        return findings_where_known(view, least_outcomes(primary(view), self.min_outcomes), self.adjust, self._look)

    def _look(self, view: View, rows: Bools, enough: Bools) -> NDArray[np.int8]:
        from sim.stats.sequential import mixture_sprt

        result = compare(view, self.test, rows, adjust=self.adjust, tally=self.tally)
        p_value = mixture_sprt(result.effect, result.standard_error, mixing_sd=self.effect_sd(view.setting)).p_value
        declared = p_value <= self.alpha / (len(view.setting.arms) - 1)
        better = result.effect * primary(view).sign > 0
        return np.where(declared, np.where(better, Finding.PASS, Finding.FAIL), Finding.UNDECIDED).astype(np.int8)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        return relative_effect(view, arm, self.adjust, self.tally)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        sized = amount_problems(("mde", "mixing_sd"), self.mde, self.mixing_sd)
        return adjust_problems(setting, self.adjust, self.test, self.tally) + sized

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        problems = adjusted_problems(setting, self.adjust)
        return problems or share_problems(("mde", "mixing_sd"), self.mde, setting, self.adjust)
