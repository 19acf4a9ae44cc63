"""The Mann-Whitney judge: a score of metrics whose values, tick by tick, look alike in canary and baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.base import Finding
from sim.policy.guardrails.judged import JudgedMetric, ValueJudge
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import listed
from sim.units import Share, format_duration, format_share


class MannWhitney(ValueJudge):
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
    asks for the test at half of 2%, and for the ratio of the means that Kayenta calls effect size. `kayenta` has its own rule.

    >>> judge = MannWhitney(metrics=[{"metric": "error_rate"}], every="1h")
    >>> judge.marginal, judge.pass_score
    (0.5, 0.75)
    """

    kind: Literal["mann_whitney"] = "mann_whitney"
    metrics: tuple[JudgedMetric, ...] = Field(min_length=1, description="what is compared")
    alpha: Share = Field(0.01, ge=1e-12, lt=0.5, description="one-sided error rate of one comparison")
    min_ticks: int = Field(8, ge=2, description="ticks with a value in both arms that a comparison needs")

    @property
    def judged(self) -> Sequence[JudgedMetric]:
        return self.metrics

    def told(self, setting: Setting) -> str:
        names = listed(self.told_names())
        judged = f"compares {names} with the champion's every {format_duration(self.every)} (Mann-Whitney, alpha"
        return f"{judged} {format_share(self.alpha)}), stops a challenger with {self.told_score()}"

    def look(self, values: Floats, setting: Setting) -> NDArray[np.int8]:
        weight = np.array([judged.weight for judged in self.metrics])
        passed, known = np.zeros((2, values.shape[0], values.shape[2]))
        for number, judged in enumerate(self.metrics):
            bad, enough = self._differs(values[:, number], judged, setting)
            passed += weight[number] * ~bad
            known += enough
        findings = self.by_score(passed / weight.sum())
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
        problems = super().declared_problems(setting)
        ticks = setting.ticks_of(self.window or self.every)
        if ticks < self.min_ticks:
            length = format_duration(self.window or self.every)
            key = "window" if self.window else "every"
            problems.append((key, f"{length} holds {ticks} ticks, fewer than min_ticks, {self.min_ticks}"))
        return problems
