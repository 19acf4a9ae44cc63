"""A metric that must not get worse: stop where it does, and let nothing pass until it is shown not to."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.policy.base import Finding, Guardrail, View
from sim.policy.columns import Column, Moment, moments_of
from sim.policy.inference.comparison import (
    LEAST_RULE,
    TALLY_RULE,
    Tally,
    above_margin,
    least_outcomes,
    resolved,
)
from sim.policy.setting import DeclaredSetting, Setting
from sim.spelling import there_are
from sim.units import Share, format_share


class NonInferior(Guardrail):
    """Trips once a metric is shown to be worse than the champion's by more than a margin, and holds once it is shown not to be.

    In between, an arm that the evidence passes waits: it goes on when non-inferiority is shown, stops if the contrary is, and
    is inconclusive at the longest duration. Both are always-valid tests at every tick, of mean - (1 - margin) · champion's mean
    (with signs for metrics that improve by falling), by half-normal mixtures with standard deviation margin times the
    champion's registered mean: what the statistic is where nothing changed. Every challenger is tested at alpha / challengers
    (Bonferroni).

    Controls, at `alpha` each and however often you look: the chance to hold an arm that is worse by the margin or more, and the
    chance to stop one that is not. Assumes independent requests and a normal limit that has set in by `min_outcomes`; weights
    may change, and follow what was seen, unless `tally` is pooled.

    Source: Johari, Koomen, Pekelis & Walsh, Operations Research 70 (2022), one-sided as in Howard, Ramdas, McAuliffe & Sekhon,
    Annals of Statistics 49 (2021); relative margins: Laster & Johnson, Statistics in Medicine 22 (2003), `sim.stats.margin`.

    >>> NonInferior(metric="revenue", margin="2%").margin
    0.02
    """

    kind: Literal["non_inferior"] = "non_inferior"
    metric: str = Field(description="an outcome metric of the scenario")
    margin: Share = Field(ge=1e-9, lt=1, description="how much worse than the champion's mean it may be, relative to that")
    alpha: Share = Field(
        0.05, ge=1e-12, lt=1, description="one-sided error rate of each of the two tests, over all challengers and looks"
    )
    min_outcomes: int | None = Field(None, ge=2, description=LEAST_RULE)
    tally: Tally | None = Field(None, description=TALLY_RULE)

    @property
    def waits(self) -> bool:
        return True

    def told(self, setting: Setting) -> str:
        worse = f"worse in {self.metric} by {format_share(self.margin)}"
        rule = f"alpha {format_share(self.alpha)} over all looks"
        return f"stops a challenger that is shown to be {worse}, and passes none before it is shown not to be ({rule})"

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("metric", self.metric),)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[self.metric])

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return self.needs(setting) if resolved(self.tally) == "within_ticks" else ()

    def memory(self, setting: Setting) -> dict[str, NDArray[np.bool_]]:
        return {"shown": np.zeros(len(setting.arms), bool)}

    def judge(self, view: View) -> NDArray[np.int8]:
        from sim.stats.sequential import mixture_sprt

        metric, shown = view.setting.metrics[self.metric], view.memory["shown"]
        findings = np.where(shown, Finding.PASS, Finding.UNDECIDED).astype(np.int8)
        known = view.of_total(Moment(self.metric, "count"))
        enough = np.minimum(known[:, :1], known[:, 1:]) >= least_outcomes(metric, self.min_outcomes)
        rows = np.asarray(enough.any(axis=1))
        if not rows.any():
            return findings
        gap = above_margin(view, metric, rows, self.margin, self.tally)
        mixing, alpha = self.margin * abs(metric.nominal_mean), self.alpha / (len(view.setting.arms) - 1)
        better, worse = (
            enough[rows] & (mixture_sprt(gap.estimate, gap.standard_error, mixing_sd=mixing, alternative=side).p_value <= alpha)
            for side in ("greater", "less")
        )
        shown[rows, 1:] |= better
        findings[rows, 1:] = np.where(worse, Finding.FAIL, np.where(shown[rows, 1:], Finding.PASS, Finding.UNDECIDED))
        return findings

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.metric not in setting.metrics:
            return [("metric", f"no outcome metric {self.metric!r}; {there_are(setting.metrics)}")]
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if setting.metrics[self.metric].nominal_mean == 0:
            return [("margin", f"is relative, and the champion's registered mean of {self.metric} is 0")]
        return []
