"""Sample-ratio mismatch: arms whose traffic does not follow their weights, so that comparisons may be biased."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Floats, Ints
from sim.policy.base import Allocation, Finding, Guardrail, View
from sim.policy.columns import Column, Count, UserMoment
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.policy.telling import listed
from sim.units import Duration, Share, format_duration, format_share


class SampleRatio(Guardrail):
    """Ends the stage as inconclusive, for every arm, once the traffic does not follow the weights: such a test cannot ship.

    Each challenger is compared with the champion, in first attempts of requests, at alpha / challengers (Bonferroni). Without
    `looks` by the sequential multinomial test at every tick; with `looks` by the chi-square test at these times, at alpha /
    looks each, and until the first of them nothing can pass. Where users keep their arm (`assignment: sticky`) their requests
    go there together, and it compares users: those of whom an outcome of the primary metric is known. So it also finds users
    whose every answer failed in one arm and not in the other.

    Controls: the chance of *ever* finding a mismatch where there is none, at `alpha`. Assumes that requests, or users, are
    routed independently, each by the weights of the stage, which stay as they are. Users who keep their arm must leave none:
    with several challengers, those of one that is removed would, and it is refused.

    Source: Lindon & Malek, Anytime-Valid Inference for Multinomial Count Data, NeurIPS (2022); chi-square: Fabijan et al.,
    Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD (2019); `sim.stats.srm`.

    >>> SampleRatio(split=("90%", "10%")).shares(Setting(("a", "b"), 1, 10, 600.0, "m", {}))
    array([[0.9, 0.1]])
    """

    compares_traffic: ClassVar[bool] = True

    kind: Literal["sample_ratio"] = "sample_ratio"
    alpha: Share = Field(0.001, ge=1e-12, lt=1, description="chance of ever finding a mismatch where there is none")
    looks: tuple[Duration, ...] = Field(
        (), description="times from the start of the stage; every tick, sequentially, if left out"
    )
    concentration: float = Field(
        1000.0,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        description="of the sequential test: larger finds smaller mismatches, and later",
    )
    min_requests: int = Field(
        100, ge=1, description="requests, or users who keep their arm, of champion and challenger together that a look needs"
    )
    split: tuple[Share, ...] | None = Field(
        None, description="the shares that are meant, one an arm; the weights of the stage if left out"
    )

    def shares(self, setting: Setting) -> Floats:
        """(K - 1, 2) planned shares of champion and challenger in the traffic of the two."""
        split = np.full(len(setting.arms), 1.0) if self.split is None else np.asarray(self.split)
        pairs = np.stack([np.broadcast_to(split[0], split[1:].shape), split[1:]], axis=1)
        return np.asarray(pairs / pairs.sum(axis=1, keepdims=True))

    def completed(self, allocation: Allocation, setting: DeclaredSetting) -> SampleRatio:
        weights = allocation.constant_weights(setting)
        if self.split is not None or weights is None:
            return self
        return self.model_copy(update={"split": tuple(weights.tolist())})

    @property
    def waits(self) -> bool:
        return True

    def told(self, setting: Setting) -> str:
        when = f"at {listed([format_duration(look) for look in self.looks])}" if self.looks else "at any tick"
        return f"ends as inconclusive where traffic does not follow the weights, {when} (alpha {format_share(self.alpha)})"

    def first_look(self) -> tuple[str, float] | None:
        return ("looks", min(self.looks)) if self.looks else None

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (UserMoment(setting.primary, "count"),) if setting.sticky else (Count("requests"), Count("retries"))

    def memory(self, setting: Setting) -> dict[str, NDArray[np.bool_]]:
        return {"seen": np.zeros(1, bool)}

    def judge(self, view: View) -> NDArray[np.int8]:
        columns = [view.of_total(column) for column in self.needs(view.setting)]
        counts = columns[0] if view.setting.sticky else columns[0] - columns[1]
        pairs = np.stack([np.broadcast_to(counts[:, :1], counts[:, 1:].shape), counts[:, 1:]], axis=2)
        enough = (pairs.sum(axis=2) >= self.min_requests) & view.arms_in[:, 1:]
        if self.looks:
            enough &= np.isin(view.age, [view.setting.ticks_of(look) for look in self.looks])[:, None]
        seen = view.memory["seen"]
        seen |= enough.any(axis=1, keepdims=True)
        findings = np.where(seen, Finding.PASS, Finding.UNDECIDED)
        if enough.any():
            p_value = self._p_value(pairs, self.shares(view.setting))
            alpha = self.alpha / (len(view.setting.arms) - 1) / max(len(self.looks), 1)
            findings = np.where((enough & (p_value <= alpha)).any(axis=1, keepdims=True), Finding.INCONCLUSIVE, findings)
        return np.broadcast_to(findings, view.arms_in.shape).astype(np.int8)

    def _p_value(self, pairs: Ints, shares: Floats) -> Floats:
        from sim.stats import srm

        if self.looks:
            return srm.test(pairs, shares).p_value
        return srm.sequential_test(pairs, shares, concentration=self.concentration).p_value

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = []
        if setting.sticky and len(setting.arms) > 2:
            rule = "compares users who keep their arm (users.assignment: sticky), and those of an arm that is removed do not"
            problems.append(("kind", f"sample_ratio {rule}: needs a single challenger there, got {len(setting.arms) - 1}"))
        for index, look in enumerate(self.looks):
            problems += [(f"looks[{index}]", message) for _, message in whole_ticks("", look, setting)]
            if look in self.looks[:index]:
                problems.append((f"looks[{index}]", f"{format_duration(look)} stands there twice"))
        if self.split is None:
            return problems
        if len(self.split) != len(setting.arms):
            problems.append(("split", f"must have one share for each of the {len(setting.arms)} arms, got {len(self.split)}"))
        elif abs(sum(self.split) - 1) > 1e-9:
            problems.append(("split", f"shares must sum to 100%, got {sum(self.split):.6g}"))
        elif not all(self.split):
            arm = setting.arms[self.split.index(0)]
            problems.append(("split", f"must give every arm some traffic to compare, got 0 for {arm}"))
        return problems
