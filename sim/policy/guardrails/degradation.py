"""A metric that is watched while a rollout goes on: stop where it is shown to be worse, and let all else pass."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools
from sim.policy.adjust import ADJUST_RULE, AnyAdjust
from sim.policy.base import Finding, Guardrail, View
from sim.policy.columns import Column, Moment, moments_of
from sim.policy.inference.amount import amount, amount_problems, share_problems
from sim.policy.inference.comparison import (
    LEAST_RULE,
    TALLY_RULE,
    Tally,
    adjust_problems,
    adjusted_problems,
    compare,
    contrast_needs,
    least_outcomes,
    outcome_needs,
    resolved,
)
from sim.policy.setting import DeclaredSetting, Metric, Setting
from sim.policy.telling import compared
from sim.spelling import there_are
from sim.units import Share, format_share


class Degradation(Guardrail):
    """Trips once a metric is shown to be worse than the champion's; looked at every tick. It holds what is not.

    A one-sided mixture sequential probability ratio test of the difference of the means, over all that was seen since the stage
    began, at all weights of its ramp: the likelihood ratio of effects for the worse that spread as a half-normal with standard
    deviation `mde` times the champion's registered mean (or `mixing_sd`), against none. Every challenger is tested at alpha /
    challengers (Bonferroni). With `adjust: {kind: cluster}` the standard error is that of users, whose requests may be alike.

    Controls: the chance of *ever* stopping a challenger that is no worse, at `alpha`, however often you look. It shows nothing
    of what it does not stop. Assumes independent requests, or users where the adjustment says so, and a normal limit that has
    set in by `min_outcomes`; weights may change, and follow what was seen, unless `tally` is pooled.

    Source: Zhao, Liu & Deb, Safely and Quickly Deploying New Features with a Staged Rollout Framework, arXiv:1905.10493 (2019),
    whose continuous monitoring is such a test of a rollout in stages; one-sided as in Howard, Ramdas, McAuliffe & Sekhon,
    Annals of Statistics 49 (2021). Theirs is two-sided; users are told apart here by the delta method (`cluster`).

    >>> Degradation(metric="conversion", mde="5%").alpha
    0.05
    """

    kind: Literal["degradation"] = "degradation"
    metric: str = Field(description="an outcome metric of the scenario")
    alpha: Share = Field(
        0.05, ge=1e-12, lt=1, description="chance of ever stopping a challenger that is no worse, over all of them and looks"
    )
    mde: Share | None = Field(None, ge=1e-9, description="relative effect on the metric that is found soonest")
    mixing_sd: float | None = Field(
        None, ge=1e-12, le=1e12, allow_inf_nan=False, description="spread of effects, in the metric's unit, instead of `mde`"
    )
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)
    adjust: AnyAdjust | None = Field(None, description=f"{ADJUST_RULE}; of the primary metric only")
    tally: Tally | None = Field(None, description=TALLY_RULE)

    def told(self, setting: Setting) -> str:
        spread = format_share(self.mde) if self.mde is not None else f"{self.mixing_sd:g}"
        rule = f"mixture SPRT, alpha {format_share(self.alpha)} over all looks, soonest for an effect of {spread}"
        return f"stops a challenger that is shown to be worse in {self.metric} ({rule}){compared(self.adjust, self.tally)}"

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("metric", self.metric),)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        if self.adjust is not None:
            return outcome_needs(setting, self.adjust, self.tally)
        return moments_of(setting.metrics[self.metric])

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        if self.adjust is not None:
            return contrast_needs(setting, self.adjust, self.tally)
        return self.needs(setting) if resolved(self.tally) == "within_ticks" else ()

    def effect_sd(self, setting: Setting) -> float:
        """The mixing standard deviation, in the unit of what is compared."""
        if self.adjust is not None:
            return amount(self.mde, self.mixing_sd, setting, self.adjust)
        if self.mixing_sd is not None:
            return self.mixing_sd
        return (self.mde or 0.0) * abs(setting.metrics[self.metric].nominal_mean)

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        metric = view.setting.metrics[self.metric]
        enough = self._enough(view, metric)
        rows = np.asarray(enough.any(axis=1))
        if rows.any():
            worse = self._worse(view, metric, rows)
            findings[rows, 1:] = np.where(enough[rows], np.where(worse, Finding.FAIL, Finding.PASS), Finding.UNDECIDED)
        return findings

    def _enough(self, view: View, metric: Metric) -> Bools:
        """(r, K - 1) whether champion and challenger both have what a look needs."""
        enough = view.of_total(Moment(self.metric, "count")) >= least_outcomes(metric, self.min_outcomes)
        if self.adjust is not None:
            enough = enough & self.adjust.ready(view)
        return np.asarray(enough[:, :1] & enough[:, 1:])

    def _worse(self, view: View, metric: Metric, rows: Bools) -> Bools:
        """(rows, K - 1) whether a challenger is shown to be worse."""
        from sim.stats.sequential import mixture_sprt

        result = compare(view, "auto", rows, adjust=self.adjust, tally=self.tally, metric=metric)
        mixing = self.effect_sd(view.setting)
        test = mixture_sprt(metric.sign * result.effect, result.standard_error, mixing_sd=mixing, alternative="less")
        return np.asarray(test.p_value <= self.alpha / (len(view.setting.arms) - 1))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = amount_problems(("mde", "mixing_sd"), self.mde, self.mixing_sd)
        if self.metric not in setting.metrics:
            return [*problems, ("metric", f"no outcome metric {self.metric!r}; {there_are(setting.metrics)}")]
        if self.adjust is not None and self.metric != setting.primary:
            rule = f"only the primary metric, {setting.primary}, can be adjusted: leave it out for {self.metric}"
            return [*problems, ("adjust", rule)]
        return adjust_problems(setting, self.adjust, tally=self.tally) + problems

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if self.adjust is not None:
            problems = adjusted_problems(setting, self.adjust)
            return problems or share_problems(("mde", "mixing_sd"), self.mde, setting, self.adjust)
        if self.mde is not None and setting.metrics[self.metric].nominal_mean == 0:
            rule = f"is relative, and the champion's registered mean of {self.metric} is 0: give `mixing_sd` instead"
            return [("mde", rule)]
        return []
