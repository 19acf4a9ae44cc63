"""Wald's sequential probability ratio test: an effect against none, looked at every tick."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats, Ints
from sim.policy.adjust import ADJUST_RULE, AnyAdjust
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column
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
    nominal,
    outcome_needs,
    primary,
    relative_effect,
    resolved,
)
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import compared
from sim.units import Share, format_share


class Sprt(Evidence):
    """Declare an effect, or that there is none of size `mde`, once the likelihood ratio of the two leaves Wald's bounds.

    With two sides, one test against a better challenger and one against a worse one, at half of alpha each; it passes when the
    first rejects, fails when the second does, and ends with nothing declared when both have accepted that there is no effect
    (Sobel & Wald 1949). With one side, the first alone. Every challenger is tested at alpha / challengers (Bonferroni).

    Controls, however often you look: the error of declaring an effect where none is, at alpha / power at most and in practice
    below `alpha`, because looks overshoot the bounds, and that of missing one of `mde`, at 1 - power in the same way (Wald
    1947, ch. 3). At an effect of none or of `mde` it needs about half of the fixed sample on average; between the two it can
    need more. Assumes independent requests, a normal limit that has set in by `min_outcomes`; weights may change, and follow
    what was seen, unless `tally` is pooled.

    >>> Sprt(mde="2%").sides
    2
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["sprt"] = "sprt"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="error rate over all challengers and looks, of all `sides` together")
    power: Share = Field(0.8, gt=0, lt=1, description="probability of declaring a true effect of `mde`")
    mde: Share = Field(ge=1e-9, description="relative effect on the primary metric that is told from none")
    sides: Literal[1, 2] = Field(2, description="1 declares a challenger better only, 2 better or worse")
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)
    test: TestKind = Field("auto", description=TEST_RULE)
    adjust: AnyAdjust | None = Field(None, description=ADJUST_RULE)
    tally: Tally | None = Field(None, description=TALLY_RULE)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return outcome_needs(setting, self.adjust, self.tally)

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        """Of each challenger, whether the tests against a better and a worse one have accepted that there is no effect."""
        return {"none": np.zeros((len(setting.arms) - 1, 2), bool)}

    def pools(self, setting: DeclaredSetting) -> bool:
        return resolved(self.tally, self.adjust) == "pooled"

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return contrast_needs(setting, self.adjust, self.tally)

    def told(self, setting: Setting) -> str:
        sides = "two-sided" if self.sides == 2 else "one-sided"
        rule = f"SPRT of an effect of {format_share(self.mde)} against none, alpha {format_share(self.alpha)}, {sides}"
        passes = f"looks every tick, and passes a challenger that is found better in {setting.primary}"
        return f"{passes} ({rule}, power {format_share(self.power)}){compared(self.adjust, self.tally)}"

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha

    def judge(self, view: View) -> NDArray[np.int8]:
        return findings_where_known(view, least_outcomes(primary(view), self.min_outcomes), self.adjust, self._look)

    def _look(self, view: View, rows: Bools, enough: Bools) -> NDArray[np.int8]:
        from sim.stats.sprt import boundaries, log_ratio_normal

        metric = primary(view)
        effect = self.mde * abs(nominal(view.setting, self.adjust)[0])
        result = compare(view, self.test, rows, adjust=self.adjust, tally=self.tally)
        bounds = boundaries(self.alpha / self.sides / (len(view.setting.arms) - 1), 1 - self.power)
        for_better, for_worse = (
            log_ratio_normal(metric.sign * result.effect, result.standard_error, effect=side * effect) for side in (1, -1)
        )
        none = view.memory["none"][rows]
        better = (for_better >= bounds.upper) & ~none[..., 0]
        worse = (for_worse >= bounds.upper) & ~none[..., 1] if self.sides == 2 else np.zeros_like(better)
        accepted = np.stack([for_better <= bounds.lower, for_worse <= bounds.lower], axis=-1)
        none |= accepted & enough[..., None]
        view.memory["none"][rows] = none
        finished = none[..., : self.sides].all(axis=-1)
        findings = np.select([better, worse, finished], [Finding.PASS, Finding.FAIL, Finding.NULL], Finding.UNDECIDED)
        return findings.astype(np.int8)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        return relative_effect(view, arm, self.adjust, self.tally)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.power <= self.alpha:
            return [("power", f"must exceed alpha, got power {self.power:g} and alpha {self.alpha:g}")]
        return adjust_problems(setting, self.adjust, self.test, self.tally)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        problems = adjusted_problems(setting, self.adjust)
        if not problems and nominal(setting, self.adjust)[0] == 0:
            problems.append(("mde", f"is relative, and the champion's registered mean of {setting.primary} is 0"))
        return problems
