"""Stopping when choosing the best arm can hardly cost anything any more."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Floats
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, Moment, moments_of
from sim.policy.inference.amount import amount, amount_problems, share_problems
from sim.policy.inference.posteriors import expected_loss
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share


class ExpectedLoss(Evidence):
    """Choose the arm whose expected loss is least, once that is below a threshold of caring; looked at every tick.

    The loss of an arm is how much better the best arm is, on average over the posterior. Where a challenger is chosen it
    passes, and the others end with nothing declared; where the champion is, every challenger fails. Two arms that are as good
    as each other are soon told apart by a coin: either choice costs next to nothing, which is all that is asked.

    Controls no error rate. Looked at every tick without a difference, it ends up shipping in half of the trials. Its promise is
    that the loss *averaged over the prior* stays below the threshold. Assumes independent outcomes, and the priors of
    `sim.policy.inference.posteriors`.

    Source: Stucchio, Bayesian A/B Testing at VWO (2015), §5, §6.

    >>> from sim.policy.setting import Metric
    >>> setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, True, 1.0, 0.05, 0.2)})
    >>> ExpectedLoss(threshold="2%").caring(setting)
    0.001
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["expected_loss"] = "expected_loss"
    threshold: Share | None = Field(
        None,
        ge=1e-9,
        description="threshold of caring: the loss below which it decides, relative to the champion's registered mean",
    )
    loss: float | None = Field(
        None,
        ge=1e-12,
        le=1e12,
        allow_inf_nan=False,
        description="the same in the primary metric's unit, instead of `threshold`",
    )
    min_outcomes: int = Field(100, ge=2, description="known outcomes that every arm still in must have before a look")

    def caring(self, setting: Setting) -> float:
        """The threshold of caring, in the unit of the primary metric."""
        return amount(self.threshold, self.loss, setting)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def told(self, setting: Setting) -> str:
        least = f"{format_share(self.threshold)} of the champion's" if self.threshold is not None else f"{self.loss:g}"
        chosen = f"looks every tick, and chooses the arm of least expected loss in {setting.primary} once that is below {least}"
        return f"{chosen}, from {self.min_outcomes:,} outcomes an arm on; a challenger that is chosen passes"

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        known = view.of_total(Moment(view.setting.primary, "count"))
        ready = np.all((known >= self.min_outcomes) | ~view.arms_in, axis=1)
        if not ready.any():
            return findings
        loss: Floats = expected_loss(view, ready)
        least = loss.min(axis=1, keepdims=True)
        chosen = np.arange(loss.shape[1]) == loss.argmin(axis=1)[:, None]
        decided = np.where(chosen[:, :1], Finding.FAIL, np.where(chosen, Finding.PASS, Finding.NULL))
        findings[ready] = np.where(least <= self.caring(view.setting), decided, Finding.UNDECIDED)
        return findings

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return amount_problems(("threshold", "loss"), self.threshold, self.loss)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return share_problems(("threshold", "loss"), self.threshold, setting)
