"""Betting on bounded outcomes: exact at any sample size, looked at every tick."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.errors import InputError
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.bounded import HIGHEST_RULE, LOWEST_RULE, bound_problems, bounds_of, order_problems, outside, rescaled
from sim.policy.inference.comparison import primary
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share


class Betting(Evidence):
    """Declare a difference once nobody could have won so much by betting on outcomes of equal means; looked at every tick.

    `capital` bets on every tick's outcomes that the arm that has been better so far is better, and declares when the winnings
    reach 2 / alpha (Turner, Ly & Grünwald 2024). `empirical_bernstein` declares when the arms' confidence sequences no longer
    overlap (Waudby-Smith & Ramdas 2024, Theorem 2): better for outcomes of little spread within their bounds, else later. Every
    challenger is tested at alpha / challengers (Bonferroni). Significantly better passes, significantly worse fails.

    Controls: the family-wise error of ever declaring a difference where none is, at `alpha`, at every look, with any number of
    outcomes, and under weights that depend on what was seen. It has no end of its own. Assumes that outcomes are independent
    and lie between `lowest` and `highest`, or are binary; nothing of their distribution.

    >>> Betting(highest=500).method
    'capital'
    """

    reads_reward: ClassVar[bool] = True

    kind: Literal["betting"] = "betting"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="two-sided error rate, over all challengers and all looks")
    method: Literal["capital", "empirical_bernstein"] = Field("capital", description="what is bet on")
    lowest: float | None = Field(None, ge=-1e12, le=1e12, allow_inf_nan=False, description=LOWEST_RULE)
    highest: float | None = Field(None, ge=-1e12, le=1e12, allow_inf_nan=False, description=HIGHEST_RULE)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        """Log capitals of betting on better and on worse; or the sums behind every arm's interval."""
        arms = len(setting.arms)
        return {"capital": np.zeros((2, arms - 1))} if self.method == "capital" else {"sums": np.zeros((3, arms))}

    def pools(self, setting: DeclaredSetting) -> bool:
        # `capital` compares the arms' outcomes of one tick.
        return self.method != "capital"

    def told(self, setting: Setting) -> str:
        passes = f"looks every tick, and passes a challenger that is found better in {setting.primary} by betting on outcomes"
        return f"{passes} ({self.method.replace('_', ' ')}, alpha {format_share(self.alpha)} over all looks)"

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha

    def judge(self, view: View) -> NDArray[np.int8]:
        sign, last = primary(view).sign, self._within(view, view.last)
        seen = self._within(view, view.total - view.last)
        alpha = self.alpha / (len(view.setting.arms) - 1)
        passed, failed = (self._capital if self.method == "capital" else self._bernstein)(view, seen, last, alpha)
        if sign < 0:
            passed, failed = failed, passed
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        findings[:, 1:] = np.select([passed, failed], [Finding.PASS, Finding.FAIL], Finding.UNDECIDED)
        return findings

    def _capital(self, view: View, seen: list[Floats], last: list[Floats], alpha: float) -> tuple[Bools, Bools]:
        from sim.stats.two_sample_betting import capital_step

        (n, total, _), (new, added, _) = seen, last
        arms = (n[:, :1], total[:, :1], n[:, 1:], total[:, 1:], new[:, :1], added[:, :1], new[:, 1:], added[:, 1:])
        capital = view.memory["capital"]
        for side, growth in enumerate(capital_step(*arms)):
            capital[:, side] += growth
        won = capital >= math.log(2 / alpha)
        return won[:, 0], won[:, 1]

    def _bernstein(self, view: View, seen: list[Floats], last: list[Floats], alpha: float) -> tuple[Bools, Bools]:
        from sim.stats.betting import bernstein_bounds, bernstein_step

        sums = view.memory["sums"]
        for at, step in enumerate(bernstein_step(*seen, *last, alpha=alpha / 2)):
            sums[:, at] += step
        interval = bernstein_bounds(sums[:, 0], sums[:, 1], sums[:, 2], alpha=alpha / 2)
        return interval.lower[:, 1:] > interval.upper[:, :1], interval.upper[:, 1:] < interval.lower[:, :1]

    def _within(self, view: View, counts: NDArray[np.int64]) -> list[Floats]:
        """(r, K) count, sum and sum of squares of outcomes that are rescaled to lie between 0 and 1."""
        metric = primary(view)
        part = View(view.setting, view.tick, view.age, view.arms_in, counts, counts, view.columns, view.mirrored)
        n, total, square = part.moments(metric)
        if metric.binary:
            return [n, total, square]
        scaled, low, high = rescaled(self.kind, metric, n, total, self.lowest, self.highest)
        squares = (square - 2 * low * total + low * low * n) / (high - low) ** 2
        if (squares > scaled + 1e-9 * (1 + n)).any():
            raise InputError([outside(self.kind, metric, low, high)])
        return [n, scaled, np.clip(squares, scaled * scaled / np.maximum(n, 1), scaled)]

    def bounds(self, setting: Setting) -> tuple[float, float] | None:
        return bounds_of(self.lowest, self.highest, setting.metrics[setting.primary])

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        metric = setting.metrics.get(setting.primary)
        if metric is not None and metric.provisional:
            rule = f"bets on the outcomes of a tick, and those of {metric.name} are failures until they are known"
            return [("kind", f"{rule}: with until_known: failure a tick's successes are of earlier outcomes")]
        return order_problems(self.lowest, self.highest, metric)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return bound_problems(self.lowest, self.highest, setting.metrics[setting.primary])
