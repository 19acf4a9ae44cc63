"""The `error_budget` part of a scenario file: how many requests may fail in a period."""

from __future__ import annotations

from pydantic import Field

from sim.scenario.spec import Spec
from sim.units import Duration, Share, format_duration, format_share


class ErrorBudget(Spec):
    """The requests that may fail in a period by an objective, of all arms together: what a rollout burns of it is measured.

    Source: Beyer et al., The Site Reliability Workbook (2018), ch. 2.
    """

    slo: Share = Field(gt=0, lt=1, description="the objective: the share of requests that must not fail, such as 99.9%")
    period: Duration = Field(description="how long the budget must last, such as 30d")

    def allowed(self, requests: float, length_s: float) -> float:
        """The requests that may fail in a period whose traffic is that of `length_s` seconds with so many requests.

        >>> round(ErrorBudget(slo="99.9%", period="30d").allowed(86_400.0, 86_400.0), 6)
        2592.0
        """
        return (1 - self.slo) * requests * self.period / length_s

    def told(self) -> str:
        """The budget in words."""
        return f"{format_share(round(1 - self.slo, 12))} of the requests of {format_duration(self.period)} may fail"
