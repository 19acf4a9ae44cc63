"""A ramp that follows a budget of risk: as much traffic as may go wrong."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.base import Allocation, View
from sim.policy.columns import Column, Count, moments_of
from sim.policy.inference.amount import amount, amount_problems, share_problems
from sim.policy.inference.comparison import nominal
from sim.policy.inference.effect import effect_posterior
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, Share, format_duration, format_share

_REQUESTS = Count("requests")


class RiskBudget(Allocation):
    """Each challenger gets what keeps the chance of a loss beyond `budget` at `chance`, and at most `most` together.

    A challenger's loss is its requests times how much worse its mean is than the champion's. How much worse that is has a
    normal prior around `expected_mean`, and a normal posterior by what was seen, at the champion's registered variance. Every
    `every` the weights are set anew: a challenger may have so many requests in all that the posterior chance of a loss beyond
    its part of the budget is 1 - (1 - chance)^(1 / looks), with as many looks as there can be until the horizon. So the chance
    of ever breaking the budget is at most `chance`, on average over the prior. In the first tick only the traffic is counted;
    between two looks a challenger that has had all that it may have gets none.

    Assumes independent outcomes and an effect that does not change. A weight may fall to 0: it is then left to the evidence and
    the checks to end the stage. Weights follow outcomes, so they are compared within ticks.

    Source: Li, Mao & Bojinov (2023), Balancing Risk and Reward: An Automated Phased Release Strategy, for a release in stages
    whose sizes follow a budget and a tolerated chance of ruin. Here the loss is the expected one, and several challengers have
    equal parts of budget and chance.

    >>> RiskBudget(budget=200, expected_effect="5%", every="1h").chance
    0.05
    """

    adaptive: ClassVar[bool] = True

    kind: Literal["risk_budget"] = "risk_budget"
    budget: float = Field(gt=0, le=1e15, allow_inf_nan=False, description="the loss that is accepted, in the metric's unit")
    chance: Share = Field(0.05, gt=0, lt=0.5, description="the accepted chance that the loss is larger")
    every: Duration = Field(description="how often weights are set, a whole number of ticks")
    most: Share = Field(0.5, gt=0, description="the challengers' largest weight together")
    expected_effect: Share | None = Field(
        None, ge=1e-9, description="spread of the effects that are expected, relative to the champion's registered mean"
    )
    scale: float | None = Field(
        None, ge=1e-12, le=1e12, allow_inf_nan=False,
        description="the same in the primary metric's unit, instead of `expected_effect`",
    )  # fmt: skip
    expected_mean: float = Field(
        0.0, ge=-10, le=10, allow_inf_nan=False,
        description="the middle of the effects that are expected, in their spreads; above 0 where they are rather good",
    )  # fmt: skip

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (*moments_of(setting.metrics[setting.primary]), _REQUESTS)

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        arms = len(setting.arms)
        # The age of the next look; that of the one before, and the requests of all arms until then; the weights since the last
        # look, and how many requests an arm may have in all.
        one = {"next": np.array(1), "since": np.array(0), "before": np.array(0)}
        return one | {"weight": np.zeros(arms), "allowed": np.zeros(arms)}

    def live(self, view: View) -> Floats:
        memory = view.memory
        due = view.age >= memory["next"]
        if due.any():
            self._look(view, due)
        taken, last = view.of_total(_REQUESTS), view.of_last(_REQUESTS).sum(axis=1, keepdims=True)
        room = np.maximum(memory["allowed"] - taken, 0.0) / np.maximum(last, 1)
        shares: Floats = np.where(view.arms_in, np.minimum(memory["weight"], room), 0.0)
        shares[:, 0] = 1 - shares[:, 1:].sum(axis=1)
        return shares

    def _look(self, view: View, due: Bools) -> None:
        """Set the weights of the replications that are `due` (r,) a look."""
        memory, ticks = view.memory, view.setting.ticks_of(self.every)
        taken = view.of_total(_REQUESTS)[due]
        requests, passed = taken.sum(axis=1), view.age[due] - memory["since"][due]
        expected = np.maximum((requests - memory["before"][due]) / passed * ticks, 1.0)
        challengers = view.arms_in[due].copy()
        challengers[:, 0] = False
        most = self.most / np.maximum(challengers.sum(axis=1, keepdims=True), 1)
        allowed = self._allowed(view, due)
        memory["allowed"][due] = allowed
        memory["weight"][due] = np.clip((allowed - taken) / expected[:, None], 0.0, most)
        memory["since"][due], memory["before"][due], memory["next"][due] = view.age[due], requests, view.age[due] + ticks

    def _allowed(self, view: View, rows: Bools) -> Floats:
        """(rows, K) requests that an arm may have in all; the champion's column has no meaning."""
        from scipy.special import ndtri

        setting = view.setting
        spread = amount(self.expected_effect, self.scale, setting)
        mean, sd = effect_posterior(view, rows, self.expected_mean * spread, spread)
        challengers = len(setting.arms) - 1
        looks = 1 + (setting.ticks - 1) // setting.ticks_of(self.every)
        chance = -np.expm1(np.log1p(-self.chance) / (looks * challengers))
        worst = -ndtri(chance) * sd - mean
        allowed = np.full((len(mean), challengers + 1), np.inf)
        allowed[:, 1:] = np.where(worst > 0, self.budget / challengers / np.where(worst > 0, worst, 1.0), np.inf)
        return allowed

    def told(self, setting: Setting) -> str:
        whom = "the challenger" if len(setting.arms) == 2 else "the challengers together"
        spread = format_share(self.expected_effect) if self.expected_effect is not None else f"{self.scale:g}"
        loss = f"a loss of more than {self.budget:g} {setting.primary} has a chance of at most {format_share(self.chance)}"
        rule = f"gives {whom} as much of live traffic as it may have if {loss}, and at most {format_share(self.most)}"
        return f"{rule}; weights are set every {format_duration(self.every)} (expected effect {spread})"

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        keys = ("expected_effect", "scale")
        return amount_problems(keys, self.expected_effect, self.scale) + whole_ticks("every", self.every, setting)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        problems = share_problems(("expected_effect", "scale"), self.expected_effect, setting)
        if nominal(setting, None)[1] <= 0:
            problems.append(
                ("kind", f"needs outcomes that vary: {setting.primary} is always the same, as the champion registered")
            )
        return problems
