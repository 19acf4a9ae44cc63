"""The test of one look at a planned sample. `fixed_horizon` takes it once; `peeking` repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.base import Finding, View
from sim.policy.inference.comparison import compare, margin_problems, primary
from sim.policy.inference.planned import PlannedTest
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share

if TYPE_CHECKING:
    from sim.stats.two_sample import TestResult


class OneLook(PlannedTest):
    """A test of every challenger against the champion, of superiority or against a margin.

    `superiority`: significantly better passes, significantly worse fails. `non_inferiority`: passes when shown not to be worse
    by `margin`, fails when shown to be. `equivalence`: passes when shown to differ by less than `margin`, fails when shown to
    differ by more. The latter two are one-sided tests at alpha each, sized to pass a challenger that is the same; to fail one
    that may differ either way takes alpha / 2 on each side.
    """

    alpha: Share = Field(
        0.05, ge=1e-12, lt=1, description="error rate over all challengers: two-sided, one-sided with a margin"
    )
    hypothesis: Literal["superiority", "non_inferiority", "equivalence"] = Field(
        "superiority", description="what a challenger has to be shown to be"
    )
    margin: Share | None = Field(
        None, ge=1e-9, description="for non_inferiority and equivalence: the relative difference that does not matter"
    )
    correction: Literal["holm", "bonferroni", "dunnett"] = Field(
        "holm", description="how several challengers share alpha; planned for with Dunnett's bound or Bonferroni's"
    )

    def goal(self, setting: Setting) -> dict[str, Any]:
        correction = {"correction": "dunnett" if self.correction == "dunnett" else "bonferroni"}
        if self.hypothesis == "superiority":
            return super().goal(setting) | correction
        return {"hypothesis": self.hypothesis, "margin": (self.margin or 0.0) * self.unit(setting)} | correction

    def sized(self, setting: Setting) -> str:
        if self.hypothesis == "superiority" or self.sample is not None:
            return super().sized(setting)
        text = f"once as much is known as from {self.planned_sample(setting):,} outcomes an arm"
        return f"{text}, planned to pass one that is the same in {format_share(self.power)} of tests"

    def shows(self, setting: Setting) -> str:
        """What a challenger must be shown to be, and with which error."""
        margin, name = format_share(self.margin or 0.0), setting.primary
        what = {
            "superiority": f"to be better in {name}",
            "non_inferiority": f"not to be worse in {name} by {margin}",
            "equivalence": f"to differ in {name} by less than {margin}",
        }[self.hypothesis]
        sides = "two-sided" if self.hypothesis == "superiority" else "one-sided"
        return f"{what} (alpha {format_share(self.alpha)}, {sides}){self.compared()}"

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha if self.hypothesis == "superiority" else None

    def decide(self, view: View, rows: Bools) -> NDArray[np.int8]:
        """(rows, K - 1) findings of the test for every challenger now; NULL where it declares nothing."""
        from sim.stats.hypotheses import against, equivalence, non_inferiority

        sign, superiority = primary(view).sign, self.hypothesis == "superiority"
        result = compare(view, self.test, rows, self.effect, pooled=superiority, adjust=self.adjust, tally=self.tally)
        tested = view.arms_in[rows][:, 1:]
        if superiority:
            declared = self._declared(result.p_value, result, tested, sides=2)
            better = result.effect * sign > 0
            passed, failed = declared & better, declared & ~better
        else:
            margin = (self.margin or 0.0) * self.unit(view.setting)
            if self.hypothesis == "non_inferiority":
                holds = non_inferiority(result, margin, "increase" if sign > 0 else "decrease")
                broken = against(result, -sign * margin, "less" if sign > 0 else "greater")
            else:
                holds = equivalence(result, margin)
                # An arm between the margins can be found beyond either one by chance: two tests.
                nearer = np.minimum(against(result, -margin, "less"), against(result, margin, "greater"))
                broken = np.minimum(2 * nearer, 1.0)
            passed, failed = (self._declared(p_value, result, tested, sides=1) for p_value in (holds, broken))
        return np.select([passed, failed], [Finding.PASS, Finding.FAIL], Finding.NULL).astype(np.int8)

    def _declared(self, p_value: Floats, result: TestResult, tested: Bools, sides: int) -> Bools:
        from scipy.special import ndtri

        from sim.stats.dunnett import dunnett_adjust
        from sim.stats.multiplicity import bonferroni_adjust, holm_adjust

        p_value = np.where(tested, p_value, np.nan)
        if self.correction == "dunnett" and p_value.shape[1] > 1:
            # P-values are turned into normal scores, because each of Welch's statistics has its own degrees of freedom.
            alternative: Literal["two-sided", "greater"] = "two-sided" if sides == 2 else "greater"
            adjusted = dunnett_adjust(-ndtri(p_value / sides), result.champion_share, alternative=alternative)
        else:
            adjusted = bonferroni_adjust(p_value) if self.correction == "bonferroni" else holm_adjust(p_value)
        return np.asarray(adjusted <= self.alpha)

    def test_problems(self) -> list[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        if self.hypothesis == "superiority":
            given = [("margin", f"is for non_inferiority and equivalence only, got {self.margin:g}")] if self.margin else []
            return [*problems, *super().test_problems(), *given]
        if self.margin is None:
            problems.append(("margin", f"is required for {self.hypothesis}: the relative difference that does not matter"))
        if self.mde is not None:
            problems.append(("mde", f"is for superiority only, got {self.mde:g}: {self.hypothesis} is sized for its margin"))
        if self.test == "z_pooled":
            problems.append(("test", f"must have unpooled variances (z_unpooled or welch) for {self.hypothesis}, got z_pooled"))
        if self.correction == "dunnett" and self.hypothesis == "equivalence":
            problems.append(
                ("correction", "must be holm or bonferroni for equivalence, which is two tests in one; got dunnett")
            )
        return problems

    def size_problems(self) -> list[tuple[str, str]]:
        if self.hypothesis == "superiority":
            return super().size_problems()
        if self.sample is None and self.power <= self.alpha:
            return [("power", f"must exceed alpha, got power {self.power:g} and alpha {self.alpha:g}")]
        return []

    def nominal_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if self.hypothesis == "superiority":
            return super().nominal_problems(setting)
        if self.sample is None:
            return self.sizing_problems(setting, "margin", 0.0)
        return margin_problems(setting, self.adjust)
