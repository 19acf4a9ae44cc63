"""A region of practical equivalence: decide once the posterior lies outside it, or inside."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.amount import amount, amount_problems, share_problems
from sim.policy.inference.comparison import (
    TALLY_RULE,
    Tally,
    contrast_needs,
    findings_where_known,
    relative_effect,
    resolved,
)
from sim.policy.inference.posteriors import posterior_effect
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share


class Rope(Evidence):
    """Decide once enough of the posterior of an effect is above, below or inside a region around none; looked at every tick.

    A challenger passes when the effect is better than the region with posterior probability `mass`, and fails when it is worse.
    When the effect lies *inside* with that probability, the two are as good as equal, and it ends with nothing declared: unlike
    a test, the rule can accept that there is no difference worth having. Every challenger is compared with the champion.

    Controls no error rate. The region is what guards it: a posterior that wanders must get past its edge, so that without an
    effect far fewer looks are wrong than with `posterior`; an effect at the edge has no such guard. Assumes independent
    outcomes, a flat prior, and a normal posterior of the difference, which has set in by `min_outcomes`.

    Source: Kruschke, Advances in Methods and Practices in Psychological Science 1 (2018); with the mass of the whole posterior
    in place of an interval: Makowski, Ben-Shachar, Chen & Lüdecke, Frontiers in Psychology 10 (2019).

    >>> Rope(region="1%").mass
    0.95
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["rope"] = "rope"
    region: Share | None = Field(
        None,
        ge=1e-9,
        description="effects up to this, either way, are as good as none; relative to the champion's registered mean",
    )
    width: float | None = Field(
        None, ge=1e-12, le=1e12, allow_inf_nan=False, description="the same in the primary metric's unit, instead of `region`"
    )
    mass: Share = Field(0.95, gt=0.5, lt=1, description="posterior probability that decides")
    tally: Tally | None = Field(None, description=TALLY_RULE)
    min_outcomes: int = Field(100, ge=2, description="known outcomes that champion and challenger must have before a look")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def pools(self, setting: DeclaredSetting) -> bool:
        return resolved(self.tally) == "pooled"

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return contrast_needs(setting, None, self.tally)

    def told(self, setting: Setting) -> str:
        region, mass = format_share(self.region) if self.region is not None else f"{self.width:g}", format_share(self.mass)
        passes = f"looks every tick, and passes a challenger that is better in {setting.primary} by more than {region}"
        return f"{passes} with a posterior probability of {mass}; gives up on one that is within {region} with the same"

    def judge(self, view: View) -> NDArray[np.int8]:
        return findings_where_known(view, self.min_outcomes, None, self._look)

    def _look(self, view: View, rows: Bools, enough: Bools) -> NDArray[np.int8]:
        from sim.stats.rope import masses

        effect = posterior_effect(view, rows, self.tally)
        posterior = masses(effect.estimate, effect.standard_error, width=amount(self.region, self.width, view.setting))
        findings = np.where(posterior.inside >= self.mass, Finding.NULL, Finding.UNDECIDED)
        findings = np.where(posterior.above >= self.mass, Finding.PASS, findings)
        findings = np.where(posterior.below >= self.mass, Finding.FAIL, findings)
        return findings.astype(np.int8)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        return relative_effect(view, arm, None, self.tally)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return amount_problems(("region", "width"), self.region, self.width)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return share_problems(("region", "width"), self.region, setting)
