"""Thompson sampling, by probability matching."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sim.arrays import Floats
from sim.policy.allocation.forgetting import Forgetting
from sim.policy.base import View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.posteriors import Moments, probability_best
from sim.policy.setting import DeclaredSetting, Metric, Setting
from sim.policy.telling import listed
from sim.spelling import there_are


class KnownBefore(BaseModel):
    """What is known of an arm's amounts before the stage begins: as if so many outcomes had been seen already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float = Field(ge=-1e12, le=1e12, allow_inf_nan=False, description="their mean, in the metric's unit")
    sd: float = Field(ge=1e-12, le=1e12, allow_inf_nan=False, description="their standard deviation")
    outcomes: float = Field(ge=2, le=1e12, description="how many they are worth")


# Within what the integrals of `sim.stats.posterior` are good for, with room for the outcomes that follow.
Weight = Annotated[float, Field(ge=0.01, le=1e11, allow_inf_nan=False)]


class Thompson(Forgetting):
    """Each arm gets its posterior probability of being the best, and at least `floor`.

    Sampling every request of a tick from the posterior of the tick's start gives a multinomial with just these shares
    (Thompson 1933; Chapelle & Li 2011, batched feedback), so the policy needs no randomness of its own. What was known before,
    such as the champion's history, is the `prior`. With `discount` or `window` it forgets, and comes back to the prior.

    >>> Thompson(prior={"champion": [100, 900]}, discount="99%").discount
    0.99
    """

    kind: Literal["thompson"] = "thompson"
    prior: dict[str, tuple[Weight, Weight] | KnownBefore] = Field(
        default_factory=dict,
        description="by arm: [good, bad], the Beta distribution of a binary metric, or the mean, sd and number of amounts that "
        "were seen before; Beta(1, 1), and nothing seen, where an arm is not listed",
    )

    def read(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def told(self, setting: Setting) -> str:
        known = f", starting from what was known before of {listed(list(self.prior))}" if self.prior else ""
        return f"gives each arm as much of live traffic as it is likely to be the best (Thompson){self.limits()}{known}"

    def live(self, view: View) -> Floats:
        metric = view.setting.metrics[view.setting.primary]
        count, total, *square = self.remembered(view)
        total = total * metric.grid
        squares = square[0] * metric.grid**2 if square else total
        moments = self._with_prior(view.setting, metric, (count, total, squares))
        return self.floored(probability_best(metric, moments, view.arms_in), view)

    def _with_prior(self, setting: Setting, metric: Metric, seen: Moments) -> Moments:
        """The moments `seen`, plus those of the outcomes that the prior stands for."""
        if not self.prior:
            return seen
        count, total, square = (moment.copy() for moment in seen)
        for name, known in self.prior.items():
            arm = setting.arms.index(name)
            if isinstance(known, KnownBefore):
                count[:, arm] += known.outcomes
                total[:, arm] += known.outcomes * known.mean
                square[:, arm] += (known.outcomes - 1) * known.sd**2 + known.outcomes * known.mean**2
            else:
                good, bad = known
                # Beta(1, 1) stands for no outcomes.
                count[:, arm] += good + bad - 2
                total[:, arm] += (good if metric.sign > 0 else bad) - 1
        return count, total, square

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        arms = there_are(setting.arms)
        unknown = [(f"prior.{name}", f"no arm {name!r}; {arms}") for name in self.prior if name not in setting.arms]
        return super().declared_problems(setting) + unknown

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        metric = setting.metrics[setting.primary]
        problems = []
        for name, known in self.prior.items():
            if isinstance(known, KnownBefore) and metric.binary:
                rule = f"must be [good, bad], as {metric.name} is 0 or 1"
                problems.append((f"prior.{name}", f"{rule}; got mean, sd and outcomes"))
            elif not isinstance(known, KnownBefore) and not metric.binary:
                rule = f"must have mean, sd and outcomes, as {metric.name} is an amount"
                problems.append((f"prior.{name}", f"{rule}; got [{known[0]:g}, {known[1]:g}]"))
        return problems
