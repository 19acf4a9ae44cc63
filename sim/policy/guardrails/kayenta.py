"""The judge of Kayenta: the interval of the shift must leave a share of its estimate behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sim.arrays import Bools, Floats
from sim.policy.guardrails.judged import JudgedMetric, ValueJudge
from sim.policy.setting import Setting
from sim.policy.telling import listed
from sim.units import Share, format_duration, format_share


class KayentaMetric(JudgedMetric):
    """A metric of the judge: as of `mann_whitney`, with its group, and whether all hangs on it."""

    group: str = Field("", description="the group whose weight it shares; metrics without one are a group")
    critical: bool = Field(False, description="the score is 0 unless it passes: also without data")
    critical_tolerance: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="of a critical metric: where it fails by less than this, it only fails"
    )
    no_value: Literal["left_out", "zero"] = Field(
        "left_out", description="what a tick without a value is; where it is zero, a metric is never without data"
    )
    must_have_data: bool = Field(False, description="without data it fails")

    @model_validator(mode="after")
    def _graded(self) -> KayentaMetric:
        if self.critical_tolerance and not self.critical:
            raise ValueError("critical_tolerance is for a critical metric")
        return self

    @property
    def empty(self) -> float:
        return 0.0 if self.no_value == "zero" else float("nan")


class Kayenta(ValueJudge):
    """Compares the values of the last ticks as Spinnaker's Kayenta does, and judges its score.

    A metric fails where the interval of the shift of its values against the champion's (Hodges and Lehmann's, by the normal
    limit) lies beyond `tolerance` of the estimate: for a rise that is worse, where the lower end is above a quarter of it. The
    means must be apart in the same direction as well, by the `tolerance` of the metric (Kayenta's effect size). Ticks without
    a value are left out, of each arm by itself; a metric without any value in either arm has no data.

    The score of a group is the share of its metrics that pass, of those with data, by weight; a group without data counts as
    one that passes. The whole is the mean of the groups by `groups`, to a hundredth of a percent. It is 0 where half of the
    metrics or more have no data, or a critical one does not pass. A score below `marginal` stops the arm; at `pass` or above
    it holds; in between it goes on, and an arm that the evidence passes then is inconclusive.

    Controls no error rate: it looks again and again, and the interval is not a test at 1%, as the shift must also be sure to
    keep a share of itself. A large shift that many ticks share may pass: 7 of 10 values a hundredfold do. Assumes, as
    `mann_whitney`, that the values of ticks are independent, and alike in spread. Kayenta's removal of outliers, which is off
    unless asked for, is not done. Kayenta searches for the ends of the interval to a millionth in the unit of the values; here
    they are exact.

    Source: Graff & Sanden, Automated Canary Analysis at Netflix with Kayenta (2018); Kayenta's NetflixACAJudge,
    MannWhitneyClassifier and WeightedSumScorer; `sim.stats.shift`.

    >>> Kayenta(metrics=[{"metric": "error_rate", "critical": True}], every="1h").confidence
    0.98
    """

    kind: Literal["kayenta"] = "kayenta"
    metrics: tuple[KayentaMetric, ...] = Field(min_length=1, description="what is compared")
    groups: Mapping[str, float] = Field(default_factory=dict, description="weights of groups in the score; even if left out")
    always_pass: Mapping[str, float] = Field(
        default_factory=dict,
        description="weights, by group, of metrics that always pass: those of what is not simulated, such as processors; each "
        "weighs 1 if it is a metric",
    )
    confidence: Share = Field(0.98, gt=0.5, lt=1, description="of the two-sided interval of the shift")
    tolerance: float = Field(
        0.25, ge=0, allow_inf_nan=False, description="how much of the estimate the interval must leave behind to fail"
    )

    @model_validator(mode="after")
    def _weighed(self) -> Kayenta:
        named = self._named()
        if self.groups and set(self.groups) != set(named):
            given, wanted = (listed([repr(name) for name in names]) for names in (self.groups, named))
            raise ValueError(f"groups must give a weight to each group of the metrics: {wanted}, got {given}")
        if any(not 0 < weight < float("inf") for weight in self.groups.values()):
            raise ValueError("groups: weights must be above 0")
        if any(not 0 < weight < float("inf") for weight in self.always_pass.values()):
            raise ValueError("always_pass: weights must be above 0")
        return self

    def _named(self) -> dict[str, float]:
        """The groups of the metrics, each with the weight of what always passes."""
        return {**{judged.group: 0.0 for judged in self.metrics}, **self.always_pass}

    @property
    def judged(self) -> Sequence[JudgedMetric]:
        return self.metrics

    def told(self, setting: Setting) -> str:
        names = listed(self.told_names())
        rule = f"Kayenta's interval of {format_share(self.confidence)}, tolerance {format_share(self.tolerance)}"
        judged = f"compares {names} with the {self.against}'s every {format_duration(self.every)} ({rule})"
        return f"{judged}, stops a challenger with {self.told_score()}"

    def look(self, values: Floats, setting: Setting) -> NDArray[np.int8]:
        shape = values.shape[0], values.shape[2]
        known, passed = ({group: np.full(shape, weight) for group, weight in self._named().items()} for _ in range(2))
        unseen = np.zeros(shape)
        critical: Bools = np.zeros(shape, bool)
        for number, judged in enumerate(self.metrics):
            bad, gravely, data = self._differs(values[:, number], judged, setting)
            counts: Bools = data | judged.must_have_data
            known[judged.group] += judged.weight * counts
            passed[judged.group] += judged.weight * (data & ~bad)
            # One that must have data, and is not critical, is a failure without it, and not without data.
            unseen += ~data & (judged.critical or not judged.must_have_data)
            if judged.critical:
                critical |= gravely | ~data
        weight = {group: self.groups.get(group, 1.0) for group in known}
        score = np.zeros(shape)
        for group, weighed in known.items():
            score += weight[group] * np.where(weighed > 0, passed[group] / np.where(weighed > 0, weighed, 1.0), 1.0)
        score = np.floor(1e4 * score / sum(weight.values()) + 0.5 + 1e-9) / 1e4
        return self.by_score(
            np.where(critical | (2 * unseen >= len(self.metrics) + sum(self.always_pass.values())), 0.0, score)
        )

    def _differs(self, values: Floats, judged: KayentaMetric, setting: Setting) -> tuple[Bools, Bools, Bools]:
        """(r, K) each: whether the arm is worse than the champion, gravely so, and whether both have values.

        The champion is alike.
        """
        from sim.stats.shift import shift

        champion = np.broadcast_to(values[:, :1], values.shape)
        some: Bools = np.asarray(~np.isnan(values).all(axis=2))
        data: Bools = np.asarray(some & some[:, :1])
        bad, gravely = np.zeros((2, *some.shape), bool)
        if values.shape[1] > 1:
            found = shift(values[:, 1:], champion[:, 1:], self.confidence, "normal")
            left = self.tolerance * np.abs(found.estimate)
            mean, base = (
                np.nansum(of, axis=2) / np.maximum((~np.isnan(of)).sum(axis=2), 1) for of in (values[:, 1:], champion[:, 1:])
            )
            # Where a mean is 0 there is no ratio of them, and it is not asked for.
            no_ratio = (mean == 0) | (base == 0)
            for sign in (judged.sign(setting),) if judged.direction == "worse" else (1, -1):
                beyond = np.asarray(found.lower > left if sign > 0 else found.upper < -left)
                apart = sign * (mean - base) / np.where(no_ratio, 1.0, np.abs(base))
                beyond &= no_ratio | (apart >= judged.tolerance)
                bad[:, 1:] |= beyond
                gravely[:, 1:] |= beyond & (no_ratio | (apart >= judged.critical_tolerance))
        return bad & data, gravely & data, data
