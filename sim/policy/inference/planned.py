"""Tests that are planned for a number of outcomes beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError
from sim.policy.adjust import ADJUST_RULE, AnyAdjust
from sim.policy.base import Evidence, View
from sim.policy.columns import Column
from sim.policy.inference.comparison import (
    SCALE_RULE,
    TALLY_RULE,
    TEST_RULE,
    Scale,
    Tally,
    TestKind,
    adjust_problems,
    adjusted_problems,
    contrast_needs,
    information,
    nominal,
    outcome_needs,
    relative_effect,
    resolved,
)
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import compared
from sim.units import Share, format_share


def unsized(key: str, sample: Callable[[], float]) -> list[tuple[str, str]]:
    """The reasons why there is no sample for a test: (key, message) pairs.

    >>> unsized("mde", lambda: 1000.0)
    []
    """
    try:
        sample()
    except InputError as error:
        return [(key, f"cannot size a test: {problem}") for problem in error.problems]
    return []


class PlannedTest(Evidence):
    """A test whose sample is the usual power calculation at the scenario's nominal values.

    Casella & Berger (2002), 8.3; with several challengers at alpha / challengers. The test waits for as much information as
    that sample has. With `adjust` that comes sooner by the adjustment's gain, the ratio of two variances in what is seen.
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True
    waits: ClassVar[bool] = True

    kind: str
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="two-sided error rate, over all challengers")
    power: Share = Field(0.8, gt=0, lt=1, description="probability of declaring a true effect of `mde`")
    mde: Share | None = Field(None, ge=1e-9, description="relative effect on the primary metric that the test is sized for")
    sample: int | None = Field(
        None, ge=2, description="outcomes an arm of an even split, instead of a power calculation from `mde`"
    )
    effect: Scale = Field("absolute", description=SCALE_RULE)
    test: TestKind = Field("auto", description=TEST_RULE)
    adjust: AnyAdjust | None = Field(None, description=ADJUST_RULE)
    tally: Tally | None = Field(None, description=TALLY_RULE)

    def planned_sample(self, setting: Setting) -> int:
        """Outcomes an arm of an even split at which the test ends."""
        return self.sample if self.sample is not None else int(np.ceil(self.one_look_sample(setting)))

    def one_look_sample(self, setting: Setting) -> float:
        """Outcomes an arm of an even split that one look needs at `power`, not rounded."""
        from sim.stats.power import sample_size

        mean, sd = nominal(setting, self.adjust)
        proportions = setting.metrics[setting.primary].binary and self.adjust is None
        return sample_size(
            "proportions" if proportions else "means",
            baseline=mean,
            sd=None if proportions else sd,
            alpha=self.alpha,
            power=self.power,
            comparisons=len(setting.arms) - 1,
            scale=self.effect,
            **self.goal(setting),
        )

    def sized(self, setting: Setting) -> str:
        """How many outcomes the test is planned for, and what for, as the end of a sentence."""
        text = f"once as much is known as from {self.planned_sample(setting):,} outcomes an arm"
        if self.sample is not None:
            return text
        return f"{text}, planned to find an effect of {format_share(self.mde or 0.0)} in {format_share(self.power)} of tests"

    def compared(self) -> str:
        """How outcomes are compared where that is not the usual way, as the end of a sentence."""
        return compared(self.adjust, self.tally)

    def goal(self, setting: Setting) -> dict[str, Any]:
        """The effect or the margin that the sample is sized for, as arguments of `sim.stats.power.sample_size`."""
        return {"effect": setting.metrics[setting.primary].sign * (self.mde or 0.0) * self.unit(setting)}

    def unit(self, setting: Setting) -> float:
        """The factor that turns a relative effect into an effect on the scale of the test."""
        return abs(nominal(setting, self.adjust)[0]) if self.effect == "absolute" else 1.0

    def arrived(self, view: View) -> Floats:
        """(r, K) what has arrived: the effective sample size of champion and arm, n / 2 at n outcomes an arm."""
        return information(view, adjust=self.adjust, tally=self.tally)

    def planned_share(self, view: View) -> Floats | None:
        return self.arrived(view) / (self.planned_sample(view.setting) / 2)

    def complete(self, view: View) -> Bools:
        """(r,) whether every arm still in has the information of the planned sample."""
        enough = (self.arrived(view) >= self.planned_sample(view.setting) / 2) | ~view.arms_in
        enough[:, 0] = True
        return np.asarray(enough.all(axis=1))

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return outcome_needs(setting, self.adjust, self.tally)

    def pools(self, setting: DeclaredSetting) -> bool:
        return resolved(self.tally, self.adjust) == "pooled"

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return contrast_needs(setting, self.adjust, self.tally)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        return relative_effect(view, arm, self.adjust, self.tally)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [*self.test_problems(), *adjust_problems(setting, self.adjust, self.test, self.tally), *self.size_problems()]

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return adjusted_problems(setting, self.adjust) or self.nominal_problems(setting)

    def test_problems(self) -> list[tuple[str, str]]:
        """Problems of the choice of the test: (key, message) pairs."""
        if self.effect == "relative" and self.test == "z_pooled":
            return [("test", "must have unpooled variances (z_unpooled or welch) for a relative effect, got z_pooled")]
        return []

    def size_problems(self) -> list[tuple[str, str]]:
        """Problems of the settings that size the test: (key, message) pairs."""
        if self.sample is not None and self.mde is not None:
            return [("sample", f"and mde are two ways to size one test: give one, got {self.sample} and {self.mde:g}")]
        if self.sample is not None:
            return []
        if self.mde is None:
            return [("mde", "is required: the relative effect to size the test for (or give `sample`, outcomes an arm)")]
        if self.power <= self.alpha:
            return [("power", f"must exceed alpha, got power {self.power:g} and alpha {self.alpha:g}")]
        return []

    def nominal_problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Reasons why the registered metric cannot size the test: (key, message) pairs."""
        return [] if self.mde is None else self.sizing_problems(setting, "mde", self.mde)

    def sizing_problems(self, setting: Setting, key: str, change: float) -> list[tuple[str, str]]:
        """Reasons why the registered metric cannot size a test for a relative `change`, which the file calls `key`."""
        metric = setting.metrics[setting.primary]
        mean, sd = nominal(setting, self.adjust)
        if mean == 0:
            return [(key, f"is relative, and the champion's registered mean of {metric.name} is 0: give `sample` instead")]
        if sd == 0:
            return [(key, f"cannot size a test: the champion's registered {metric.name} never varies; give `sample` instead")]
        reached = metric.nominal_mean * (1 + metric.sign * change)
        if metric.binary and self.adjust is None and not 0 < reached < 1:
            return [(key, f"takes {metric.name} from {metric.nominal_mean:g} to {reached:g}, outside (0, 1)")]
        return unsized(key, lambda: self.one_look_sample(setting))
