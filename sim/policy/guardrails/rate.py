"""Sequential tests of whether bad events are more frequent than with the champion."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.policy.base import Finding, Guardrail, View
from sim.policy.columns import Above, Column, Count, mean_of
from sim.policy.guardrails.measured import ERROR_RATE, LATENCY
from sim.policy.setting import DeclaredSetting, Setting
from sim.spelling import there_are
from sim.units import Duration, Share, format_duration, format_share


class SequentialRate(Guardrail):
    """What the two kinds share: every tick adds its events to the evidence that a challenger has them more often."""

    alpha: Share = Field(
        0.01, ge=1e-12, lt=1, description="chance of ever stopping a challenger that is no worse, over all of them"
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="a rate higher by this is accepted, relative to the champion's: 0.2 is a fifth",
    )
    min_requests: int = Field(1, ge=1, description="answers of champion and challenger, each, before it holds or trips")

    def columns(self) -> tuple[Column, Column]:
        """The column of the number of answers, and the column of the events among them."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it counts")

    def accepted(self) -> str:
        """The tolerance and the error, as the end of a sentence."""
        more = f" by more than {format_share(self.tolerance)}" if self.tolerance else ""
        return f"{more}, at any tick (alpha {format_share(self.alpha)} over all looks)"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return self.columns()

    def memory(self, setting: Setting) -> dict[str, NDArray[np.float64]]:
        from sim.stats.rates import MULTIPLES

        return {"log_ratio": np.zeros((len(setting.arms) - 1, MULTIPLES.size))}

    def judge(self, view: View) -> NDArray[np.int8]:
        from sim.stats.rates import log_mixture, log_ratios

        answers, events = (view.of_last(column) for column in self.columns())
        evidence = view.memory["log_ratio"]
        evidence += log_ratios(events[:, :1], answers[:, :1], events[:, 1:], answers[:, 1:], null=1 + self.tolerance)
        known = view.of_total(self.columns()[0])
        enough = np.minimum(known[:, :1], known[:, 1:]) >= self.min_requests
        findings = np.zeros(view.arms_in.shape, np.int8)
        tripped = log_mixture(evidence) >= math.log((len(view.setting.arms) - 1) / self.alpha)
        findings[:, 1:] = np.where(enough, np.where(tripped, Finding.FAIL, Finding.PASS), Finding.UNDECIDED)
        return findings


class RateIncrease(SequentialRate):
    """Trips once the rate of errors, or of another bad outcome, is shown to exceed the champion's; looked at every tick.

    Given an event, whose it was is compared with the arms' shares of the answers, tick by tick, so that the level of the rate
    and the weights may change at any time. The alternatives are rates 1.1 to 32 times as high, mixed evenly.

    Controls: the chance of *ever* stopping a challenger whose rate is at most 1 + `tolerance` times the champion's, at `alpha`,
    over all challengers (Bonferroni), however often you look, with any number of events. Assumes that events are independent of
    each other; an outage that hits whichever arm is serving is not. Conservative where the rate is high.

    Source: Lindon, Sanden & Shirikian, Rapid Regression Detection in Software Deployments through Sequential Testing, KDD
    (2022); `sim.stats.rates`.

    >>> RateIncrease().columns()
    (Count('responses'), Count('errors'))
    """

    kind: Literal["rate_increase"] = "rate_increase"
    metric: str = Field(ERROR_RATE, description="error_rate, or a binary outcome metric that improves by falling")

    def told(self, setting: Setting) -> str:
        return f"stops a challenger whose {self.metric} is shown to exceed the champion's{self.accepted()}"

    def columns(self) -> tuple[Column, Column]:
        if self.metric == ERROR_RATE:
            return Count("responses"), Count("errors")
        return mean_of(self.metric)

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("metric", self.metric),)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.metric == ERROR_RATE:
            return []
        if self.metric not in setting.metrics:
            return [("metric", f"no metric {self.metric!r}; {there_are([ERROR_RATE, *setting.metrics])}")]
        if setting.metrics[self.metric].sign > 0:
            return [("metric", f"{self.metric} improves by rising; non_inferior is for metrics that must not fall")]
        if setting.metrics[self.metric].provisional:
            rule = f"with until_known: failure, events of {self.metric} come after the answers that they are compared with"
            return [("metric", f"{rule}; non_inferior compares totals")]
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if self.metric == ERROR_RATE or setting.metrics[self.metric].binary:
            return []
        return [("metric", f"{self.metric} is not binary, and has no rate; non_inferior is for means")]


class LatencyQuantile(SequentialRate):
    """Trips once calls slower than a limit are shown to be more frequent than with the champion; looked at every tick.

    With `limit` at a quantile of the champion's latency, 99% say, a larger share above it is a larger 99% quantile. The
    test is that of `rate_increase`, of the calls above the limit.

    Controls: the chance of *ever* stopping a challenger that is above the limit at most 1 + `tolerance` times as often, at
    `alpha`. Assumes that calls are slow independently of each other; calls that wait in one queue are not, and trip it too
    often.

    Source: Lindon, Sanden & Shirikian, KDD (2022), for counts; quantiles by counts: Howard & Ramdas, Sequential Estimation of
    Quantiles with Applications to A/B Testing and Best-Arm Identification, Bernoulli 28 (2022), §5.

    >>> LatencyQuantile(limit="250ms").columns()
    (Count('responses'), Above(0.25))
    """

    kind: Literal["latency_quantile"] = "latency_quantile"
    limit: Duration = Field(description="what is slow: the champion's latency at the quantile to guard")

    def told(self, setting: Setting) -> str:
        slow = f"calls slower than {format_duration(self.limit)}"
        return f"stops a challenger whose share of {slow} is shown to exceed the champion's{self.accepted()}"

    def columns(self) -> tuple[Column, Column]:
        return Count("responses"), Above(self.limit)

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("limit", LATENCY),)
