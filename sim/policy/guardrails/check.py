"""Threshold checks on what monitoring shows, as rollout controllers run them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sim.arrays import Bools
from sim.policy.base import Guardrail, View
from sim.policy.columns import Column
from sim.policy.guardrails.counting import Counting, Looks
from sim.policy.guardrails.limits import BASELINE, SERVICE, Limits
from sim.policy.guardrails.looking import Looking
from sim.policy.guardrails.measured import REQUESTS
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import counted


class Check(Looking, Counting, Limits, Guardrail):
    """Thresholds on one metric of every challenger, looked at once an interval; it trips after `trip` failed looks.

    Failed looks add up over the whole stage, and a good one does not reset the count unless `consecutive`; with `of`, those of
    the last looks count (Argo Rollouts' `failureLimit` and Flagger's `threshold` add up; Argo's `consecutiveErrorLimit` does
    not). A look beyond `doubt_above` or `doubt_below` that has not failed is in doubt: after `doubt_trip` of them the arm is
    inconclusive. A look with fewer than `min_requests` answers has no data: by `no_data` it is skipped (and a stage in which a
    check never had data cannot pass), counts as good, as failed, or as in doubt; for a comparison, what is compared with needs
    `min_requests` too. A latency check holds while at most 1 - quantile of the calls are slower than `max`.

    Looks are counted from the start of the stage. `over: 5m` sees the last five minutes, in which windows of looks closer to
    each other overlap, and are correlated as in life. A window longer than the stage is old sees the stage so far: tallies are
    set back where a stage is entered.

    Controls no error rate. Of m looks at a challenger that is well, each of which fails with probability `share`, at least
    `trip` fail with probability `sim.stats.reliability.at_least(trip, m, share)`: where one in a hundred does and the first
    one trips, 76% do within 144 looks. This assumes looks that are independent of each other, at separate intervals and
    independent requests; those at the stage so far have most of their data in common, and fail less often but together.

    Source: Argo Rollouts and Flagger, as above; Beyer et al., The Site Reliability Workbook (2018), ch. 16, on canaries.

    >>> Check(metric="latency", quantile="99%", max="250ms").columns()
    (Count('responses'), Above(0.25))
    """

    tells_looks: ClassVar[bool] = True

    kind: Literal["threshold"] | None = Field(None, description="a check without a kind is one of these")

    @model_validator(mode="after")
    def _together(self) -> Check:
        if self.doubt_trip > 1 and not self.can_doubt:
            raise ValueError("doubt_trip counts looks in doubt: needs doubt_above, doubt_below or no_data: doubt")
        if self.pass_after is not None and self.looks is not None and self.pass_after > self.looks:
            raise ValueError(f"pass_after must not exceed looks, got {self.pass_after} and {self.looks}: it could never pass")
        if self.metric == REQUESTS and (self.min_requests > 1 or self.no_data != "wait"):
            key = "min_requests" if self.min_requests > 1 else "no_data"
            raise ValueError(f"{key} is not for requests, of which none is data too; use min")
        return self

    @property
    def can_doubt(self) -> bool:
        """Whether a look may be in doubt."""
        return self.doubts() or self.no_data == "doubt"

    def told(self, setting: Setting) -> str:
        bad, doubt = self.told_bad(setting), self.told_doubt(setting)
        when, seen = self.told_looks()
        does = []
        if bad:
            stops = "reports" if self.report_only else "stops"
            does.append(f"{stops} a challenger whose {bad} {self.told_trip()}, one {when}{seen}")
        if doubt:
            looks = f"in {counted(self.doubt_trip, 'look')}" if self.doubt_trip > 1 else "in a look"
            does.append(f"takes one whose {doubt} {looks}{'' if bad else f', one {when}{seen},'} for inconclusive")
        if self.pass_after is not None:
            does.append(f"passes none before {counted(self.pass_after, 'good look')} in a row")
        return ", and ".join(does) + (", and stops nothing" if self.report_only else "")

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("metric", self.metric),)

    def first_look(self) -> tuple[str, float] | None:
        if self.start is not None:
            return "start", self.start
        return ("every", self.every) if self.every else None

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return tuple(dict.fromkeys(self.columns()))

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        return {**self.count_memory(setting, self.can_doubt), **self.window_memory(len(self.columns()), setting)}

    @property
    def baseline_as(self) -> Literal["nothing", "champion", "added"]:
        if self.against == BASELINE:
            return "champion"
        return "added" if SERVICE in (self.against, self.sees) else "nothing"

    def judge(self, view: View) -> NDArray[np.int8]:
        looks = self.look(view)
        if looks is not None:
            self.count(view.memory, looks, self.looking(view.age, view.setting))
        return self.found(view.memory, self.looked(view.age, view.setting))

    def last_look_good(self, view: View) -> Bools:
        return self.good_lately(view.memory, self.looked(view.age, view.setting))

    def rings(self, view: View, findings: NDArray[np.int8]) -> Bools:
        return np.asarray(view.memory["bad"] & self.looking(view.age, view.setting)[:, None])

    def look(self, view: View) -> Looks | None:
        """The looks of this tick, of each arm; None where no replication has one. Call it every tick: it keeps its window."""
        seen, look = self.in_window(view, self.columns()), self.looking(view.age, view.setting)[:, None]
        if not look.any():
            return None
        breach = self.breach(seen, view, self.seconds, self.min_requests)
        bad = look & np.where(breach.data, breach.bad, self.no_data == "fail")
        good = look & ~bad & (breach.data | (self.no_data == "pass"))
        if not self.can_doubt:
            return Looks(bad, good)
        doubt = look & ~bad & np.where(breach.data, False if breach.doubt is None else breach.doubt, self.no_data == "doubt")
        return Looks(bad, good & ~doubt, doubt)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return self.looking_problems(setting) + self.limit_problems(setting)
