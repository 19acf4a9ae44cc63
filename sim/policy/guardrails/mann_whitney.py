"""The Mann-Whitney judge: a score of metrics whose values, tick by tick, look alike in canary and baseline."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Bools, Floats
from sim.policy.base import DeclaredSetting, Finding, Guardrail, Setting, View, whole_ticks
from sim.policy.columns import Above, Column, Count, mean_of
from sim.policy.guardrails.check import ERROR_RATE, LATENCY
from sim.policy.telling import listed
from sim.spelling import there_are
from sim.units import Duration, Share, format_duration, format_share


class JudgedMetric(BaseModel):
    """A metric of the judge: which way is worse, how much worse counts, and its weight in the score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(description="error_rate, latency (the share of calls above `limit`), or an outcome metric")
    limit: Duration | None = Field(None, description="for latency: what is slow")
    direction: Literal["worse", "either"] = Field("worse", description="which differences from the champion count")
    tolerance: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="means up to this much apart, relative to the champion's, are alike: 0.2 is a fifth",
    )
    weight: float = Field(1.0, gt=0, allow_inf_nan=False, description="weight in the score")

    @model_validator(mode="after")
    def _limited(self) -> JudgedMetric:
        if (self.metric == LATENCY) != (self.limit is not None):
            raise ValueError(f"limit is for latency, which needs one, got {'one' if self.limit else 'none'} for {self.metric}")
        return self

    def columns(self) -> tuple[Column, Column]:
        """The column of the number of values, and the column of the count or the sum over them."""
        if self.metric == ERROR_RATE:
            return Count("responses"), Count("errors")
        if self.limit is not None:
            return Count("responses"), Above(self.limit)
        return mean_of(self.metric)

    def sign(self, setting: Setting) -> int:
        """+1 where a rise is worse, -1 where a fall is."""
        return 1 if self.metric in (ERROR_RATE, LATENCY) else -setting.metrics[self.metric].sign


class MannWhitney(Guardrail):
    """Compares the values of the last ticks, metric by metric, and judges the score: the weight of the metrics that pass.

    Every `every`, a metric fails where its values in the ticks of the window differ in the bad direction by a Mann-Whitney U
    test at `alpha`, *and* the ratio of the means leaves `tolerance`. A tick in which champion or challenger has no value is
    left out; a metric with fewer than `min_ticks` values counts as passed, and with none that has more the judge says nothing.
    A score below `marginal` stops the arm; at `pass` or above it holds; in between it goes on, and an arm that the evidence
    passes then is inconclusive.

    Controls no error rate of the stage: it looks again and again, each time with the chance to fail a metric that its `alpha`
    allows. Assumes that the values of ticks are independent, and alike in spread: a canary at 5% has noisier values than the
    champion at 95%, so compare equal weights where you can.

    Source: Mann & Whitney, Annals of Mathematical Statistics 18 (1947); Graff & Sanden, Automated Canary Analysis at Netflix
    with Kayenta (2018). Where Kayenta asks that the 98% interval of the shift leaves a quarter of its estimate behind, this
    asks for the test at half of 2%, and for the ratio of the means that Kayenta calls effect size.

    >>> judge = MannWhitney(metrics=[{"metric": "error_rate"}], every="1h")
    >>> judge.marginal, judge.pass_score
    (0.5, 0.75)
    """

    kind: Literal["mann_whitney"] = "mann_whitney"
    metrics: tuple[JudgedMetric, ...] = Field(min_length=1, description="what is compared")
    every: Duration = Field(description="from look to look, a whole number of ticks, counted from the start of the stage")
    window: Duration | None = Field(
        None, description="how far a look reaches back, a whole number of ticks; from look to look if left out"
    )
    alpha: Share = Field(0.01, ge=1e-12, lt=0.5, description="one-sided error rate of one comparison")
    min_ticks: int = Field(8, ge=2, description="ticks with a value in both arms that a comparison needs")
    pass_score: Share = Field(0.75, gt=0, alias="pass", description="score at which it holds")
    marginal: Share = Field(0.5, gt=0, description="score below which it stops the arm")

    @model_validator(mode="after")
    def _ordered(self) -> MannWhitney:
        if self.marginal > self.pass_score:
            marginal, passing = format_share(self.marginal), format_share(self.pass_score)
            raise ValueError(f"marginal must not exceed pass, got {marginal} and {passing}")
        return self

    def told(self, setting: Setting) -> str:
        names = [f"{each.metric} above {format_duration(each.limit)}" if each.limit else each.metric for each in self.metrics]
        judged = f"compares {listed(names)} with the champion's every {format_duration(self.every)} (Mann-Whitney, alpha"
        score = f"a score below {format_share(self.marginal)}, and passes none below {format_share(self.pass_score)}"
        return f"{judged} {format_share(self.alpha)}), stops a challenger with {score}"

    def reads(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"metrics[{index}].metric", judged.metric) for index, judged in enumerate(self.metrics))

    def first_look(self) -> tuple[str, float]:
        return "every", self.every

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return tuple(dict.fromkeys(column for judged in self.metrics for column in judged.columns()))

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        arms = len(setting.arms)
        return {
            # The values of the window, the oldest overwritten; NaN where a tick had none.
            "values": np.full((len(self.metrics), arms, setting.ticks_of(self.window or self.every)), np.nan, np.float32),
            "findings": np.full(arms, Finding.UNDECIDED, np.int8),
        }

    def judge(self, view: View) -> NDArray[np.int8]:
        values, findings = view.memory["values"], view.memory["findings"]
        place = (view.age - 1) % values.shape[-1]
        for number, judged in enumerate(self.metrics):
            count, total = (view.of_last(column) for column in judged.columns())
            means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
            values[np.arange(len(means)), number, :, place] = means
        look = (view.age > 0) & (view.age % view.setting.ticks_of(self.every) == 0)
        if look.any():
            findings[look] = self._look(values[look].astype(np.float64), view.setting)
        return findings.copy()

    def _look(self, values: Floats, setting: Setting) -> NDArray[np.int8]:
        """(r, K) findings from the values of the window, (r, M, K, W)."""
        weight = np.array([judged.weight for judged in self.metrics])
        passed, known = np.zeros((2, values.shape[0], values.shape[2]))
        for number, judged in enumerate(self.metrics):
            bad, enough = self._differs(values[:, number], judged, setting)
            passed += weight[number] * ~bad
            known += enough
        score = passed / weight.sum()
        findings = np.where(score >= self.pass_score - 1e-12, Finding.PASS, Finding.UNDECIDED)
        findings = np.where(score < self.marginal - 1e-12, Finding.FAIL, findings)
        return np.where(known > 0, findings, Finding.UNDECIDED).astype(np.int8)

    def _differs(self, values: Floats, judged: JudgedMetric, setting: Setting) -> tuple[Bools, Bools]:
        """(r, K) each: whether the arm differs from the champion by more than it may, and whether it has `min_ticks` values."""
        from sim.stats.rank import mann_whitney

        champion = np.broadcast_to(values[:, :1], values.shape)
        missing = np.isnan(champion) | np.isnan(values)
        ours, theirs = np.where(missing, np.nan, values), np.where(missing, np.nan, champion)
        ticks = (~missing).sum(axis=2)
        enough = ticks >= self.min_ticks
        mean, base = (np.where(missing, 0.0, kept).sum(axis=2) / np.maximum(ticks, 1) for kept in (values, champion))
        bad = np.zeros(enough.shape, bool)
        signs = (judged.sign(setting),) if judged.direction == "worse" else (1, -1)
        for sign in signs:
            apart = sign * (mean - base) > judged.tolerance * np.abs(base)
            result = mann_whitney(ours, theirs, "greater" if sign > 0 else "less")
            bad |= enough & apart & (result.p_value <= self.alpha)
        return bad, enough

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = whole_ticks("every", self.every, setting)
        if self.window is not None:
            problems += whole_ticks("window", self.window, setting)
        ticks = setting.ticks_of(self.window or self.every)
        if ticks < self.min_ticks:
            length = format_duration(self.window or self.every)
            problems.append(
                ("window" if self.window else "every", f"{length} holds {ticks} ticks, fewer than min_ticks, {self.min_ticks}")
            )
        for index, judged in enumerate(self.metrics):
            if judged.metric not in (ERROR_RATE, LATENCY) and judged.metric not in setting.metrics:
                known = there_are([ERROR_RATE, LATENCY, *setting.metrics])
                problems.append((f"metrics[{index}].metric", f"no metric {judged.metric!r}; {known}"))
        return problems
