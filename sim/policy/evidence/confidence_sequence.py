"""A confidence sequence: an interval for the effect that may be looked at every tick."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools
from sim.policy.base import Finding, View
from sim.policy.inference.comparison import LEAST_RULE, compare, findings_where_known, least_outcomes, margin_problems, primary
from sim.policy.inference.planned import PlannedTest
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share


class ConfidenceSequence(PlannedTest):
    """Decide once an interval that covers the effect at all looks together lies on one side of no effect, or of a margin.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), whose width follows the variance
    that is seen; narrowest at the sample of one look for `mde` at `power` (or at `sample`). A challenger passes when the whole
    interval is above 0, or with a `margin` above -margin (not worse by that); it fails when the whole interval is below. Every
    challenger has an interval at 1 - alpha / challengers (Bonferroni).

    Controls: the family-wise error of ever declaring a difference where none is (with a margin: passing a challenger that is
    worse by the margin), at `alpha`, whenever you look and however long you wait, in the limit of a late first look. It has no
    end of its own. Assumes independent requests, and that `min_outcomes` is late enough for that limit; the variance may be
    unknown.

    >>> ConfidenceSequence(mde="2%", margin="1%").margin
    0.01
    """

    can_be_null: ClassVar[bool] = False
    waits: ClassVar[bool] = False

    kind: Literal["confidence_sequence"] = "confidence_sequence"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="two-sided error rate, over all challengers and all looks")
    mde: Share | None = Field(
        None, ge=1e-9, description="relative effect on the primary metric for which the interval is tuned"
    )
    margin: Share | None = Field(
        None, ge=1e-9, description="relative loss that is tolerated: passes when shown not to be worse by it"
    )
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)

    def planned_share(self, view: View) -> None:
        # Its sample says where the interval is narrowest; it waits for nothing.
        return None

    def told(self, setting: Setting) -> str:
        least = "no effect" if self.margin is None else f"a loss of {format_share(self.margin)}"
        tuned = (
            f"an effect of {format_share(self.mde)}"
            if self.mde is not None
            else f"{self.planned_sample(setting):,} outcomes an arm"
        )
        rule = f"alpha {format_share(self.alpha)} over all looks, narrowest for {tuned}"
        passes = f"looks every tick, and passes a challenger once a confidence sequence of its effect on {setting.primary}"
        return f"{passes} lies above {least} ({rule}){self.compared()}"

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha if self.margin is None else None

    def judge(self, view: View) -> NDArray[np.int8]:
        return findings_where_known(view, least_outcomes(primary(view), self.min_outcomes), self.adjust, self._look)

    def _look(self, view: View, rows: Bools, enough: Bools) -> NDArray[np.int8]:
        from sim.stats.sequential import asymptotic_confidence_sequence

        sign, setting = primary(view).sign, view.setting
        result = compare(view, self.test, rows, self.effect, pooled=self.margin is None, adjust=self.adjust, tally=self.tally)
        interval = asymptotic_confidence_sequence(
            sign * result.effect,
            result.standard_error,
            # Outcomes of both arms of an even split with the same information.
            4 * self.arrived(view)[rows, 1:],
            planned_n=2 * self.planned_sample(setting),
            alpha=self.alpha / (len(setting.arms) - 1),
        )
        least = -self.margin * self.unit(setting) if self.margin else 0.0
        better, worse = interval.lower > least, interval.upper < least
        return np.select([better, worse], [Finding.PASS, Finding.FAIL], Finding.UNDECIDED).astype(np.int8)

    def test_problems(self) -> list[tuple[str, str]]:
        if self.margin is not None and self.test == "z_pooled":
            return [("test", "must have unpooled variances (z_unpooled or welch) for a margin, got z_pooled")]
        return super().test_problems()

    def nominal_problems(self, setting: Setting) -> list[tuple[str, str]]:
        of_margin = [] if self.margin is None else margin_problems(setting, self.adjust)
        return of_margin or super().nominal_problems(setting)
