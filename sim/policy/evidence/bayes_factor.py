"""Stopping when the data are many times likelier with an effect than without, or without than with."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.amount import amount, amount_problems, share_problems
from sim.policy.inference.comparison import (
    LEAST_RULE,
    TALLY_RULE,
    TEST_RULE,
    Tally,
    TestKind,
    compare,
    contrast_needs,
    findings_where_known,
    least_outcomes,
    primary,
    relative_effect,
    resolved,
)
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share


class BayesFactor(Evidence):
    """Decide once the Bayes factor of some effect against none, or of none against some, reaches `factor`; looked every tick.

    Effects are spread around none, normally with standard deviation `expected_effect` times the champion's registered mean, or
    as a Cauchy distribution with that as its quartile (the JZS prior, in large samples). At `factor` for an effect a challenger
    passes if better and fails if worse; at `factor` against one it ends with nothing declared. Challengers are judged apart,
    with no correction for their number.

    Controls the chance of *ever* declaring a difference where there is none, by Ville's inequality at 1 / `factor` a
    challenger: 10% at 10, and not the 5% of a test; nothing of how often none is accepted where there is a small one. That an
    accepted factor of k is right k times as often as wrong holds on average over the prior, at any stopping time. Assumes
    independent outcomes, and a normal limit that has set in by `min_outcomes`. With the normal prior it is `mixture_sprt` at
    alpha = 1 / `factor`, which can also accept that there is nothing.

    Source: Jeffreys, Theory of Probability (1961), ch. 5; Deng, Lu & Chen, Continuous Monitoring of A/B Tests without Pain,
    DSAA (2016); Rouder, Speckman, Sun, Morey & Iverson, Psychonomic Bulletin & Review 16 (2009), eq. 1, 2.

    >>> BayesFactor(expected_effect="2%").factor
    10.0
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["bayes_factor"] = "bayes_factor"
    factor: float = Field(10.0, gt=1, allow_inf_nan=False, description="how many times likelier the data must be")
    expected_effect: Share | None = Field(
        None, ge=1e-9, description="spread of the effects that are expected, relative to the champion's registered mean"
    )
    scale: float | None = Field(
        None,
        ge=1e-12,
        le=1e12,
        allow_inf_nan=False,
        description="the same in the primary metric's unit, instead of `expected_effect`",
    )
    prior: Literal["normal", "cauchy"] = Field("normal", description="how the expected effects spread around none")
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)
    test: TestKind = Field("auto", description=TEST_RULE)
    tally: Tally | None = Field(None, description=TALLY_RULE)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def pools(self, setting: DeclaredSetting) -> bool:
        return resolved(self.tally) == "pooled"

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return contrast_needs(setting, None, self.tally)

    def promised(self, setting: DeclaredSetting) -> float | None:
        return min(1.0, (len(setting.arms) - 1) / self.factor)

    def told(self, setting: Setting) -> str:
        spread = format_share(self.expected_effect) if self.expected_effect is not None else f"{self.scale:g}"
        passes = f"looks every tick, and passes a challenger that is better in {setting.primary} once the data are"
        none = f"gives up once they are {self.factor:g} times likelier with none"
        return f"{passes} {self.factor:g} times likelier with an effect than with none; {none} (expected effect {spread})"

    def judge(self, view: View) -> NDArray[np.int8]:
        return findings_where_known(view, least_outcomes(primary(view), self.min_outcomes), None, self._look)

    def _look(self, view: View, rows: Bools, enough: Bools) -> NDArray[np.int8]:
        from sim.stats.bayes_factor import log_bayes_factor

        result = compare(view, self.test, rows, tally=self.tally)
        scale = amount(self.expected_effect, self.scale, view.setting)
        log_factor = log_bayes_factor(result.effect, result.standard_error, scale=scale, prior=self.prior)
        better = result.effect * primary(view).sign > 0
        findings = np.where(log_factor <= -math.log(self.factor), Finding.NULL, Finding.UNDECIDED)
        findings = np.where(log_factor >= math.log(self.factor), np.where(better, Finding.PASS, Finding.FAIL), findings)
        return findings.astype(np.int8)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        return relative_effect(view, arm, None, self.tally)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return amount_problems(("expected_effect", "scale"), self.expected_effect, self.scale)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return share_problems(("expected_effect", "scale"), self.expected_effect, setting)
