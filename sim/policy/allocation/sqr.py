"""Speed, quality, risk: a ramp that goes on as soon as the risk of a larger weight is shown to be tolerable."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import Allocation, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.amount import amount
from sim.policy.inference.comparison import LEAST_RULE, enough_known, least_outcomes, nominal, primary
from sim.policy.inference.effect import effect_posterior
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, Share, format_duration, format_share

Weight = Annotated[Share, Field(gt=0, lt=1)]
NOTHING = -1
"""The step of a challenger that gets no traffic, as its risk is too high at the first weight already."""


class Sqr(Allocation):
    """Each challenger gets the largest of `weights` at which its risk is shown to be tolerable; the last is held for `stay`.

    The risk of a weight is the share of live traffic that a challenger then has, times how much worse its mean is than the
    champion's: the loss of the whole service, relative to the champion's registered mean. It is tolerable up to `tolerance`.
    How much worse a challenger is has a normal prior around `expected_mean`, and a normal posterior by what was seen, at the
    champion's registered variance. Every `every` a challenger goes on to the largest weight whose risk is intolerable with a
    posterior chance of at most 1 - (1 - chance)^(1 / (weights after the first · challengers)). It goes back to the largest
    weight that is not shown to be intolerable with the same certainty, and gets nothing where the first is too. The schedule
    stands still before the last weight, so that `survive` passes a challenger that was held there for `stay`, in all.

    Controls: that a challenger ever gets a weight, beyond the first, whose risk is above `tolerance` has a chance of at most
    `chance` in a trial, over all weights, challengers and looks, on average over the prior; a narrower prior than the truth
    breaks that. The first weight is given unseen. Challengers share a weight evenly, and what one leaves is the champion's.
    Assumes independent outcomes, an effect that does not change, and a normal limit that has set in by `min_outcomes`. Weights
    follow outcomes, so they are compared within ticks.

    Source: after Xu, Duan & Huang, SQR: Balancing Speed, Quality and Risk in Online Experiments, KDD (2018), as its abstract
    and later work tell of it: the last weight is the ramp of maximum power (MPR); before it, the risk of each weight is put to
    a generalised sequential probability ratio test, here by the posterior odds of intolerable against tolerable, and the
    largest weight that is accepted is taken; at it, a week. What is our own: one metric; the chance is shared among the
    weights, so that it is that of a whole ramp; `max_duration` of the stage is the limit in time; further stages say what
    follows the MPR.

    >>> part = Sqr.model_validate({"weights": ["1%", "25%", "50%"], "tolerance": "1%", "every": "1d", "expected_effect": "10%"})
    >>> part.limits()
    (1.0, 0.04, 0.02)
    """

    adaptive: ClassVar[bool] = True

    kind: Literal["sqr"] = "sqr"
    weights: tuple[Weight, ...] = Field(
        min_length=2, max_length=100, description="the challengers' weights together, rising; the last is that of maximum power"
    )
    tolerance: Share = Field(
        gt=0, description="the loss of the whole service that is tolerated, relative to the champion's registered mean"
    )
    chance: Share = Field(0.05, gt=0, lt=0.5, description="the accepted chance that a weight after the first loses more")
    every: Duration = Field(description="how long a weight is held at least, a whole number of ticks")
    stay: Duration = Field(
        7 * 86400.0, description="how long the last weight is held before the ramp is over, a whole number of ticks"
    )
    expected_effect: Share = Field(
        ge=1e-9, description="spread of the effects that are expected, relative to the champion's registered mean"
    )
    expected_mean: float = Field(
        0.0, ge=-10, le=10, allow_inf_nan=False,
        description="the middle of the effects that are expected, in their spreads; above 0 where they are rather good",
    )  # fmt: skip
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)

    @model_validator(mode="after")
    def _rise(self) -> Sqr:
        if any(after <= before for before, after in itertools.pairwise(self.weights)):
            raise ValueError("the values of weights must rise")
        return self

    def limits(self) -> tuple[float, ...]:
        """How much worse, relative to the champion's mean, all challengers may be at each weight."""
        return tuple(self.tolerance / weight for weight in self.weights)

    def chance_each(self, challengers: int) -> float:
        """The posterior chance of an intolerable risk at which one challenger goes on to one weight."""
        return -float(np.expm1(np.log1p(-self.chance) / ((len(self.weights) - 1) * challengers)))

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return self.needs(setting)

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        return {"next": np.array(setting.ticks_of(self.every)), "step": np.zeros(len(setting.arms), np.int64)}

    def length_s(self, setting: DeclaredSetting) -> float:
        return self.stay

    def may_hold(self) -> bool:
        return True

    def hold(self, view: View) -> Bools:
        short = (view.memory["step"] < len(self.weights) - 1) & view.arms_in
        return np.asarray(short[:, 1:].any(axis=1))

    def live(self, view: View) -> Floats:
        memory = view.memory
        due = view.age >= memory["next"]
        if due.any():
            memory["step"][due, 1:] = self._steps(view, due)
            memory["next"][due] = view.age[due] + view.setting.ticks_of(self.every)
        # The step of no traffic is the last place: -1.
        weights = np.array([*self.weights, 0.0]) / (len(view.setting.arms) - 1)
        live: Floats = np.where(view.arms_in, weights[memory["step"]], 0.0)
        live[:, 0] = 1 - live[:, 1:].sum(axis=1)
        return live

    def _steps(self, view: View, rows: Bools) -> Ints:
        """(rows, K - 1) the steps that challengers go on or back to."""
        now = view.memory["step"][rows, 1:]
        risky = self.intolerable(view, rows)
        # A larger weight is at least as risky, so that the number of weights is the place after the largest.
        chance = self.chance_each(now.shape[1])
        shown, left = (risky <= chance).sum(axis=-1) - 1, (risky < 1 - chance).sum(axis=-1) - 1
        # The first weight is nobody's to be shown.
        on = np.minimum(np.maximum(now, np.where(shown > 0, shown, NOTHING)), left)
        known = enough_known(view, least_outcomes(primary(view), self.min_outcomes), None)[rows]
        steps: Ints = np.where(known, on, now)
        return steps

    def intolerable(self, view: View, rows: Bools) -> Floats:
        """(rows, K - 1, W) the posterior chance that a challenger's risk at a weight is above the tolerance."""
        from scipy.special import ndtr

        setting = view.setting
        spread = amount(self.expected_effect, None, setting)
        mean, sd = effect_posterior(view, rows, self.expected_mean * spread, spread)
        # A challenger has its part of the weight, and may be so much worse.
        worse = np.array(self.limits()) * (len(setting.arms) - 1) * abs(nominal(setting, None)[0])
        chances: Floats = ndtr((-worse - mean[..., None]) / sd[..., None])
        return chances

    def told(self, setting: Setting) -> str:
        whom = "the challenger" if len(setting.arms) == 2 else "the challengers together"
        ladder = ", ".join(format_share(weight) for weight in self.weights)
        loss = f"a loss of more than {format_share(self.tolerance)} of {setting.primary} in all of live traffic"
        chance = f"a chance that keeps to {format_share(self.chance)} over all of them"
        rule = f"gives {whom} {ladder} of live traffic, each after the first once {loss} has {chance}"
        looks = f"weights are set every {format_duration(self.every)}, the last is held for {format_duration(self.stay)}"
        return f"{rule}; {looks} (expected effect {format_share(self.expected_effect)})"

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return whole_ticks("every", self.every, setting) + whole_ticks("stay", self.stay, setting)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        mean, sd = nominal(setting, None)
        if mean == 0:
            rule = f"is relative, and the champion's registered mean of {setting.primary} is 0"
            return [(key, rule) for key in ("tolerance", "expected_effect")]
        if sd <= 0:
            return [("kind", f"needs outcomes that vary: {setting.primary} is always the same, as the champion registered")]
        return []
