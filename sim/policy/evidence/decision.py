"""One decision from several metrics: something improved, nothing got worse."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.comparison import (
    TALLY_RULE,
    Tally,
    above_margin,
    information,
    relative_effect,
    resolved,
)
from sim.policy.inference.planned import unsized
from sim.policy.setting import DeclaredSetting, Metric, Setting
from sim.policy.telling import listed
from sim.spelling import there_are
from sim.units import Share, format_share


class Success(BaseModel):
    """A metric that is to improve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(description="an outcome metric of the scenario")
    mde: Share | None = Field(None, ge=1e-9, description="relative improvement that the test is sized for")


class Protected(BaseModel):
    """A metric that must not get worse by more than a margin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(description="an outcome metric of the scenario")
    margin: Share = Field(ge=1e-9, lt=1, description="how much worse than the champion's mean it may be, relative to that")


class Decision(Evidence):
    """Ship if at least one success metric improves, every guardrail metric is not inferior, and no success metric got worse.

    One look at a planned sample, with one-sided z tests: of each success metric for an improvement, at `alpha` / success
    metrics; of each guardrail metric for being within its margin, at `alpha` undivided, since all of them must hold; of each
    success metric for having got worse, and of each guardrail metric for being worse than its margin, at `alpha` / metrics. A
    challenger passes by the rule above, fails where one of the last tests says so, and otherwise ends with nothing declared.
    Several challengers: everything at alpha / challengers (Bonferroni).

    The sample is the largest that any metric needs. So that the *decision* has `power` where one success metric improves by its
    `mde` and nothing else moves, each test gets the error β* = (β - alpha) / (guardrail metrics + 1), β = 1 - power: a false
    alarm of the tests for worse costs alpha at most, and the rest is shared out (Bonferroni). A guardrail metric is sized for
    non-inferiority by its margin, at the champion's registered values in both arms.

    Controls, at `alpha`, the chance to ship where no success metric improves, the chance to ship where some guardrail metric is
    worse than its margin, and the chance to fail a challenger that is worse on none. Assumes independent requests, and samples
    large enough for the normal limit. Metrics may depend on each other.

    Source: Schultzberg, Ankargren & Frånberg, Risk-Aware Product Decisions in A/B Tests with Multiple Metrics (2024; arXiv
    2402.11609): no division of alpha for guardrail metrics, and the correction of β; margins as in `sim.stats.margin`.

    >>> rule = Decision(success=[{"metric": "clicks", "mde": "2%"}], guardrails=[{"metric": "sales", "margin": "1%"}])
    >>> round(rule.test_power, 4)
    0.9125
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True
    waits: ClassVar[bool] = True

    kind: Literal["decision"] = "decision"
    success: tuple[Success, ...] = Field(min_length=1, description="metrics of which one must improve, the primary among them")
    guardrails: tuple[Protected, ...] = Field((), description="metrics that must not be worse than their margin")
    alpha: Share = Field(0.025, ge=1e-12, lt=0.5, description="one-sided error rate of the decision, over all challengers")
    power: Share = Field(0.8, gt=0, lt=1, description="probability to ship where one success metric improves by its `mde`")
    sample: int | None = Field(None, ge=2, description="outcomes an arm of an even split, instead of power calculations")
    tally: Tally | None = Field(None, description=TALLY_RULE)

    @property
    def test_power(self) -> float:
        """The power that a single test must have for the decision to have `power`."""
        return 1 - (1 - self.power - self.alpha) / (len(self.guardrails) + 1)

    def planned_sample(self, setting: Setting) -> int:
        """Outcomes an arm of an even split, of every metric, at the look."""
        if self.sample is not None:
            return self.sample
        improving = self.alpha / len(self.success)
        sizes = []
        for success in self.success:
            metric = setting.metrics[success.metric]
            effect = metric.sign * (success.mde or 0.0) * abs(metric.nominal_mean)
            sizes.append(self._size(setting, metric, improving, effect=effect))
        for guardrail in self.guardrails:
            metric = setting.metrics[guardrail.metric]
            goal = {"hypothesis": "non_inferiority", "direction": "increase" if metric.sign > 0 else "decrease"}
            sizes.append(self._size(setting, metric, self.alpha, margin=guardrail.margin * abs(metric.nominal_mean), **goal))
        return math.ceil(max(sizes))

    def _size(self, setting: Setting, metric: Metric, alpha: float, **goal: Any) -> float:
        from sim.stats.power import sample_size

        return sample_size(
            "proportions" if metric.binary else "means",
            baseline=metric.nominal_mean if metric.binary else None,
            sd=None if metric.binary else metric.nominal_sd,
            alpha=alpha,
            power=self.test_power,
            sides=1,
            comparisons=len(setting.arms) - 1,
            **goal,
        )

    def told(self, setting: Setting) -> str:
        improving = listed([each.metric for each in self.success], "or")
        kept = "".join(f", {each.metric} is not worse by {format_share(each.margin)}" for each in self.guardrails)
        passes = f"passes a challenger if one look shows that {improving} improves{kept}"
        rule = f"and nothing that is to improve gets worse (alpha {format_share(self.alpha)}, one-sided)"
        return f"{passes} {rule}, once as much is known as from {self.planned_sample(setting):,} outcomes an arm"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return tuple(dict.fromkeys(column for name in self._metrics() for column in moments_of(setting.metrics[name])))

    def pools(self, setting: DeclaredSetting) -> bool:
        return resolved(self.tally) == "pooled"

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return () if resolved(self.tally) == "pooled" else self.needs(setting)

    def promised(self, setting: DeclaredSetting) -> float | None:
        return min(1.0, 2 * self.alpha)

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        ready = self._complete(view)
        if not ready.any():
            return findings
        alpha = self.alpha / (len(view.setting.arms) - 1)
        improved = np.stack([self._tail(view, each.metric, ready) for each in self.success]) <= alpha / len(self.success)
        margins = [self._tail(view, each.metric, ready, each.margin) for each in self.guardrails]
        beaten = [1 - tail for tail in (*(self._tail(view, each.metric, ready) for each in self.success), *margins)]
        worse = np.any(np.stack(beaten) <= alpha / len(beaten), axis=0)
        held = np.all([improved.any(axis=0), *(tail <= alpha for tail in margins)], axis=0)
        findings[ready, 1:] = np.where(worse, Finding.FAIL, np.where(held, Finding.PASS, Finding.NULL))
        return findings

    def planned_share(self, view: View) -> Floats | None:
        least: Floats = np.min([information(view, name, tally=self.tally) for name in self._metrics()], axis=0)
        return least / (self.planned_sample(view.setting) / 2)

    def _metrics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(each.metric for each in self.success), *(each.metric for each in self.guardrails)]))

    def _complete(self, view: View) -> Bools:
        """(r,) whether every arm still in has the planned information on every metric."""
        enough = ~view.arms_in
        least = np.min([information(view, name, tally=self.tally) for name in self._metrics()], axis=0)
        enough |= least >= self.planned_sample(view.setting) / 2
        enough[:, 0] = True
        return np.asarray(enough.all(axis=1))

    def _tail(self, view: View, name: str, rows: Bools, margin: float = 0.0) -> Floats:
        """(rows, K - 1) one-sided p-values of the hypothesis: no better than the champion less the margin."""
        from scipy.special import ndtr

        gap = above_margin(view, view.setting.metrics[name], rows, margin, self.tally)
        known = gap.standard_error > 0
        return np.where(known, ndtr(-gap.estimate / np.where(known, gap.standard_error, 1.0)), 0.5)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        return relative_effect(view, arm, None, self.tally)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        metrics = {
            "success": [entry.metric for entry in self.success],
            "guardrails": [entry.metric for entry in self.guardrails],
        }
        for key, names in metrics.items():
            for index, name in enumerate(names):
                if name not in setting.metrics:
                    problems.append((f"{key}[{index}].metric", f"no metric {name!r}; {there_are(setting.metrics)}"))
                elif name in names[:index]:
                    problems.append((f"{key}[{index}].metric", f"{name!r} stands there twice"))
        for index, success in enumerate(self.success):
            if self.sample is None and success.mde is None:
                problems.append(
                    (f"success[{index}].mde", "is required: the relative effect to size the test for (or give `sample`)")
                )
            if self.sample is not None and success.mde is not None:
                rule = "and sample are two ways to size one test: give one"
                problems.append((f"success[{index}].mde", f"{rule}, got {success.mde:g} and {self.sample}"))
        if setting.primary in setting.metrics and setting.primary not in metrics["success"]:
            problems.append(("success", f"must name the primary metric {setting.primary!r}, by which the decision is judged"))
        return problems or self._power_problems()

    def _power_problems(self) -> list[tuple[str, str]]:
        if self.sample is not None:
            return []
        if self.power + self.alpha >= 1:
            return [("power", f"must leave more than alpha to miss, got power {self.power:g} and alpha {self.alpha:g}")]
        if self.power <= self.alpha:
            return [("power", f"must exceed alpha, got power {self.power:g} and alpha {self.alpha:g}")]
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        problems = []
        for index, each in enumerate(self.guardrails):
            if setting.metrics[each.metric].nominal_mean == 0:
                rule = f"is relative, and the champion's registered mean of {each.metric} is 0"
                problems.append((f"guardrails[{index}].margin", rule))
        if problems or self.sample is not None:
            return problems
        sized = [(f"success[{i}].mde", each.metric, each.mde or 0.0) for i, each in enumerate(self.success)]
        sized += [(f"guardrails[{i}].margin", each.metric, 0.0) for i, each in enumerate(self.guardrails)]
        for key, name, improvement in sized:
            metric = setting.metrics[name]
            reached = metric.nominal_mean * (1 + metric.sign * improvement)
            if metric.nominal_mean == 0:
                problems.append((key, f"is relative, and the champion's registered mean of {name} is 0: give `sample` instead"))
            elif metric.nominal_sd == 0:
                problems.append(
                    (key, f"cannot size a test: the champion's registered {name} never varies; give `sample` instead")
                )
            elif metric.binary and not 0 < reached < 1:
                problems.append((key, f"takes {name} from {metric.nominal_mean:g} to {reached:g}, outside (0, 1)"))
        return problems or unsized("success", lambda: self.planned_sample(setting))
