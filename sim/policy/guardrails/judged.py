"""Judges of values: they compare the values of ticks, metric by metric, in canary and baseline, and judge a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Floats
from sim.policy.base import Finding, Guardrail, View
from sim.policy.columns import Above, Column, Count
from sim.policy.guardrails.measured import ERROR_RATE, LATENCY, MEAN_LATENCY, columns_of
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.spelling import there_are
from sim.units import Duration, Share, format_duration, format_share

# What all calls have, of which more is worse.
_CALLS = (ERROR_RATE, LATENCY, MEAN_LATENCY)


class JudgedMetric(BaseModel):
    """A metric of the judge: which way is worse, how much worse counts, and its weight in the score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(
        description="error_rate, latency (the share of calls above `limit`), mean_latency, or an outcome metric"
    )
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

    @property
    def empty(self) -> float:
        """The value of a tick that has none."""
        return float("nan")

    def columns(self) -> tuple[Column, Column]:
        """The column of the number of values, and the column of the count or the sum over them."""
        if self.limit is not None:
            return Count("responses"), Above(self.limit)
        return columns_of(self.metric)

    def sign(self, setting: Setting) -> int:
        """+1 where a rise is worse, -1 where a fall is."""
        return 1 if self.metric in _CALLS else -setting.metrics[self.metric].sign


class ValueJudge(Guardrail):
    """Keeps the values of the last ticks of every metric and arm, and asks at each look what they are worth.

    A judge of its own says what it compares (`metrics`), and what it finds of the values (`look`).
    """

    every: Duration = Field(description="from look to look, a whole number of ticks, counted from the start of the stage")
    window: Duration | None = Field(
        None, description="how far a look reaches back, a whole number of ticks; from look to look if left out"
    )
    against: Literal["champion", "baseline"] = Field(
        "champion", description="whose values are compared with: the champion's, or those of its version deployed anew"
    )
    pass_score: Share = Field(0.75, gt=0, alias="pass", description="score at which it holds")
    marginal: Share = Field(0.5, gt=0, description="score below which it stops the arm")

    @model_validator(mode="after")
    def _ordered(self) -> ValueJudge:
        if self.marginal > self.pass_score:
            marginal, passing = format_share(self.marginal), format_share(self.pass_score)
            raise ValueError(f"marginal must not exceed pass, got {marginal} and {passing}")
        return self

    @property
    def judged(self) -> Sequence[JudgedMetric]:
        """The metrics that are compared."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it compares")

    def look(self, values: Floats, setting: Setting) -> NDArray[np.int8]:
        """(r, K) findings from the values of the window, (r, M, K, W); NaN where a tick had none."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it finds")

    @property
    def baseline_as(self) -> Literal["nothing", "champion", "added"]:
        return "champion" if self.against == "baseline" else "nothing"

    def told_names(self) -> list[str]:
        """The metrics in words."""
        return [f"{each.metric} above {format_duration(each.limit)}" if each.limit else each.metric for each in self.judged]

    def told_score(self) -> str:
        """What the score decides, in words."""
        return f"a score below {format_share(self.marginal)}, and passes none below {format_share(self.pass_score)}"

    def by_score(self, score: Floats) -> NDArray[np.int8]:
        """(r, K) findings of a score, (r, K)."""
        findings = np.where(score >= self.pass_score - 1e-12, Finding.PASS, Finding.UNDECIDED)
        return np.where(score < self.marginal - 1e-12, Finding.FAIL, findings).astype(np.int8)

    def reads(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"metrics[{index}].metric", judged.metric) for index, judged in enumerate(self.judged))

    def first_look(self) -> tuple[str, float]:
        return "every", self.every

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return tuple(dict.fromkeys(column for judged in self.judged for column in judged.columns()))

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        arms = len(setting.arms)
        return {
            # The values of the window, the oldest overwritten; NaN where a tick had none.
            "values": np.full((len(self.judged), arms, setting.ticks_of(self.window or self.every)), np.nan, np.float32),
            "findings": np.full(arms, Finding.UNDECIDED, np.int8),
        }

    def judge(self, view: View) -> NDArray[np.int8]:
        values, findings = view.memory["values"], view.memory["findings"]
        place = (view.age - 1) % values.shape[-1]
        for number, judged in enumerate(self.judged):
            count, total = (view.of_last(column) for column in judged.columns())
            means = np.where(count > 0, total / np.maximum(count, 1), judged.empty)
            values[np.arange(len(means)), number, :, place] = means
        look = (view.age > 0) & (view.age % view.setting.ticks_of(self.every) == 0)
        if look.any():
            findings[look] = self.look(values[look].astype(np.float64), view.setting)
        return findings.copy()

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = whole_ticks("every", self.every, setting)
        if self.window is not None:
            problems += whole_ticks("window", self.window, setting)
        for index, judged in enumerate(self.judged):
            if judged.metric not in _CALLS and judged.metric not in setting.metrics:
                known = there_are([*_CALLS, *setting.metrics])
                problems.append((f"metrics[{index}].metric", f"no metric {judged.metric!r}; {known}"))
        return problems
