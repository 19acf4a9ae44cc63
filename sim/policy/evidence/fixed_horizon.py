"""A fixed-horizon test: one look, at a sample size chosen beforehand."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.policy.base import Evidence, Finding, Setting, View, outcome_columns
from sim.units import Share


class FixedHorizon(Evidence):
    """One test of every challenger against the champion, when the planned sample has *arrived*.

    The plan is the usual power calculation at the scenario's nominal values (Casella & Berger 2002, 8.3; with several
    challengers at alpha / challengers, which Holm's step-down test at the look then improves on). Samples are counted in
    information, 1 / (1/n0 + 1/nk), by known outcomes, so that an uneven split waits for as much evidence as an even one.
    A challenger significantly better passes, significantly worse fails; otherwise nothing is declared.

    Controls: the family-wise error of declaring any difference where none is, at `alpha`, at one look. Assumes independent
    requests and samples that are large enough for the normal limit.

    >>> FixedHorizon(sample=1000).planned_sample(Setting(("a", "b"), 1, 10, 600.0, "m", {}))
    1000
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True

    kind: Literal["fixed_horizon"] = "fixed_horizon"
    alpha: Share = Field(0.05, gt=0, lt=1, description="two-sided error rate, over all challengers")
    power: Share = Field(0.8, gt=0, lt=1, description="probability of declaring a true effect of `mde`")
    mde: Share | None = Field(None, gt=0, description="relative effect on the primary metric that the test is sized for")
    sample: int | None = Field(
        None, ge=2, description="outcomes an arm of an even split, instead of a power calculation from `mde`"
    )
    test: Literal["auto", "z_pooled", "z_unpooled", "welch"] = Field(
        "auto", description="z_pooled for a binary metric and welch for any other, unless named"
    )

    def planned_sample(self, setting: Setting) -> int:
        """Outcomes an arm of an even split."""
        from sim.stats.power import sample_size

        if self.sample is not None:
            return self.sample
        metric = setting.metrics[setting.primary]
        effect = metric.sign * (self.mde or 0.0) * abs(metric.nominal_mean)
        comparisons = len(setting.arms) - 1
        if metric.binary:
            size = sample_size(
                "proportions",
                baseline=metric.nominal_mean,
                effect=effect,
                alpha=self.alpha,
                power=self.power,
                comparisons=comparisons,
            )
        else:
            size = sample_size(
                "means", sd=metric.nominal_sd, effect=effect, alpha=self.alpha, power=self.power, comparisons=comparisons
            )
        return int(np.ceil(size))

    def needs(self, setting: Setting) -> tuple[str, ...]:
        return outcome_columns(setting.metrics[setting.primary])

    def judge(self, view: View) -> NDArray[np.int8]:
        # SciPy behind these takes a third of a second to import, which reading a scenario need not wait for.
        from sim.stats.multiplicity import holm
        from sim.stats.tests import two_sample

        metric = view.setting.metrics[view.setting.primary]
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        known = view.of_total(f"{metric.name}.count")
        pair = known[:, :1] * (known / np.maximum(known[:, :1] + known, 1))
        enough = (pair >= self.planned_sample(view.setting) / 2) | ~view.arms_in
        enough[:, 0] = True
        ready = enough.all(axis=1)
        if not ready.any():
            return findings
        count, total, square = (moment[ready] for moment in view.moments(metric))
        kind = self.test if self.test != "auto" else "z_pooled" if metric.binary else "welch"
        result = two_sample(kind, count[:, :1], total[:, :1], square[:, :1], count[:, 1:], total[:, 1:], square[:, 1:])
        declared = holm(np.where(view.arms_in[ready][:, 1:], result.p_value, np.nan), self.alpha)
        better = result.effect * metric.sign > 0
        findings[ready, 1:] = np.where(declared, np.where(better, Finding.PASS, Finding.FAIL), Finding.NULL)
        return findings

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        if self.sample is not None and self.mde is not None:
            return [("sample", f"and mde are two ways to size one test: give one, got {self.sample} and {self.mde:g}")]
        if self.sample is not None:
            return []
        if self.mde is None:
            return [("mde", "is required: the relative effect to size the test for (or give `sample`, outcomes an arm)")]
        if self.power <= self.alpha:
            return [("power", f"must exceed alpha, got power {self.power:g} and alpha {self.alpha:g}")]
        metric = setting.metrics.get(setting.primary)
        if metric is None:
            return []  # said where the metrics are
        if metric.nominal_mean == 0:
            return [("mde", f"is relative, and the champion's registered mean of {metric.name} is 0: give `sample` instead")]
        if metric.nominal_sd == 0:
            return [("mde", f"cannot size a test: the champion's registered {metric.name} never varies; give `sample` instead")]
        reached = metric.nominal_mean * (1 + metric.sign * self.mde)
        if metric.binary and not 0 < reached < 1:
            return [("mde", f"takes {metric.name} from {metric.nominal_mean:g} to {reached:g}, outside (0, 1)")]
        return []
