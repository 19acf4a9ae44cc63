"""Threshold checks on what monitoring shows, as rollout controllers run them."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_serializer, field_validator, model_validator

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import DeclaredSetting, Finding, Guardrail, Setting, View, whole_ticks
from sim.policy.columns import Above, Agreement, Column, Count, mean_of
from sim.policy.telling import counted, listed
from sim.spelling import did_you_mean, there_are
from sim.units import Duration, Share, format_duration, format_share, parse_duration, parse_share, read_duration, shown

LATENCY, ERROR_RATE, AGREEMENT = "latency", "error_rate", "agreement"
BUILT_IN = (ERROR_RATE, LATENCY, AGREEMENT)


_AMOUNT = "must be a number, or a share such as 5%"
_QUANTILE_NAME = re.compile(r"(?i)^p[0-9]{2,3}(?![0-9a-z])|latenc|response.?time|duration")
_LATENCY_HINT = "a quantile of the time to answer is `metric: latency` with `quantile`, such as 99%"


def _is_duration(limit: Any) -> bool:
    try:
        parse_duration(limit)
    except ValueError:
        return False
    return True


def _multiple(ratio: float, value: Floats) -> Floats:
    """The value moved by (ratio - 1) times its absolute size, so that 0.9 times -10 is -11: a tenth of its size below."""
    return np.where(value < 0, 2 - ratio, ratio) * value


class Check(Guardrail):
    """One threshold on one metric of every challenger, looked at once an interval; it trips after `trip` failed looks.

    Failed looks add up over the whole stage, and a good one does not reset the count unless `consecutive` (Argo Rollouts'
    `failureLimit` and Flagger's `threshold` add up; Argo's `consecutiveErrorLimit` does not). A look with fewer than
    `min_requests` answers has no data: by `no_data` it is skipped (and a stage in which a check never had data cannot pass),
    counts as good, or counts as failed; for a ratio, the champion needs `min_requests` too. A latency check holds while at most
    1 - quantile of the calls are slower than `max`. Intervals are counted from the start of the stage.

    Controls no error rate. Of m looks at a challenger that is well, each of which fails with probability `share`, at least
    `trip` fail with probability `sim.stats.reliability.at_least(trip, m, share)`: where one in a hundred does and the first
    one trips, 76% do within 144 looks. This assumes looks that are independent of each other, at separate intervals and
    independent requests; those at the stage so far have most of their data in common, and fail less often but together.

    Source: Argo Rollouts and Flagger, as above; Beyer et al., The Site Reliability Workbook (2018), ch. 16, on canaries.

    >>> Check(metric="latency", quantile="99%", max="250ms").columns()
    (Count('responses'), Above(0.25))
    """

    kind: Literal["threshold"] | None = Field(None, description="a check without a kind is one of these")
    metric: str = Field(description="error_rate, latency, agreement, or an outcome metric of the scenario")
    quantile: Share | None = Field(None, gt=0, lt=1, description="for latency: the quantile that `max` limits (default 99%)")
    max: float | str | None = Field(None, description="fail above this: a share, an amount, or a duration for latency")
    min: float | str | None = Field(None, description="fail below this")
    max_ratio: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="fail above this multiple of the champion's value; 1.1 is a tenth of its size above it, if negative too",
    )
    min_ratio: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="fail below this multiple of the champion's value; 0.9 is a tenth of its size below it, if negative too",
    )
    trip: int = Field(1, ge=1, description="failed looks that stop the arm")
    consecutive: bool = Field(False, description="a good look sets the count of failed looks back to 0")
    min_requests: int = Field(1, ge=1, description="answers that a look needs")
    no_data: Literal["wait", "pass", "fail"] = Field("wait", description="what a look with too few answers means")
    every: Duration | None = Field(None, description="the interval, a whole number of ticks; one tick if left out")
    over: Literal["interval", "stage"] = Field("interval", description="what a look sees: the interval, or the stage so far")

    @field_validator("max", "min", mode="before")
    @classmethod
    def _read_limit(cls, limit: Any, info: ValidationInfo) -> float | str | None:
        metric = info.data.get("metric")
        if limit is None:
            return None
        if metric == LATENCY:
            return read_duration(limit, info)
        if metric in (ERROR_RATE, AGREEMENT) or (isinstance(limit, str) and "%" in limit):
            return parse_share(limit)
        try:
            amount = math.nan if isinstance(limit, bool) else float(limit)
        except (TypeError, ValueError):
            amount = math.nan
        if not math.isfinite(amount) and _is_duration(limit):
            # Either `metric` or this limit is wrong. `declared_problems` reports it, where the scenario's metrics are known.
            return str(limit)
        if not math.isfinite(amount):
            raise ValueError(f"{_AMOUNT}, got {shown(limit)}")
        return amount

    @model_validator(mode="after")
    def _one_rule(self) -> Check:
        limits = [key for key in ("max", "min", "max_ratio", "min_ratio") if getattr(self, key) is not None]
        if not limits:
            raise ValueError("needs at least one of max, min, max_ratio, min_ratio")
        if self.metric == LATENCY and limits != ["max"]:
            raise ValueError(f"a latency check takes `max` only, got {', '.join(limits)}")
        if self.metric != LATENCY and self.quantile is not None:
            raise ValueError(f"quantile is for latency, got it for {self.metric}")
        for low, high in (("min", "max"), ("min_ratio", "max_ratio")):
            least, most = getattr(self, low), getattr(self, high)
            if isinstance(least, float) and isinstance(most, float) and least > most:
                raise ValueError(f"{low} must not exceed {high}, got {least:g} and {most:g}")
        if self.metric == AGREEMENT and {"max_ratio", "min_ratio"} & set(limits):
            raise ValueError("agreement is with the champion, which has none of its own to take a ratio to; use min")
        return self

    @field_serializer("max", "min")
    def _write_limit(self, limit: float | None) -> float | str | None:
        return format_duration(limit) if self.metric == LATENCY and limit is not None else limit

    def columns(self) -> tuple[Column, Column]:
        """The column of the number of answers, and the column of the count or the sum over them."""
        if self.metric == ERROR_RATE:
            return Count("responses"), Count("errors")
        if self.metric == LATENCY:
            assert isinstance(self.max, float)
            return Count("responses"), Above(self.max)
        if self.metric == AGREEMENT:
            return Agreement("count"), Agreement("sum")
        return mean_of(self.metric)

    def told(self, setting: Setting) -> str:
        when = f"every {format_duration(self.every)}" if self.every else "every tick"
        seen = ", of the stage so far" if self.over == "stage" else ""
        answers = f", of at least {counted(self.min_requests, 'answer')}" if self.min_requests > 1 else ""
        how = " in a row" if self.consecutive and self.trip > 1 else ""
        trips = f"in {counted(self.trip, 'look')}{how}, one {when}" if self.trip > 1 else f"in a look, one {when}"
        return f"stops a challenger {self._broken(setting)} {trips}{seen}{answers}"

    def _broken(self, setting: Setting) -> str:
        """What fails a look."""
        if self.metric == LATENCY:
            quantile, limit = 0.99 if self.quantile is None else self.quantile, float(self.max or 0.0)
            return f"whose {format_share(quantile)} latency is above {format_duration(limit)}"
        metric = setting.metrics.get(self.metric)
        share = self.metric in (ERROR_RATE, AGREEMENT) or (metric is not None and metric.binary)
        limits = []
        for word, bound in (("above", self.max), ("below", self.min)):
            if bound is not None:
                limits.append(f"{word} {format_share(float(bound)) if share else f'{float(bound):g}'}")
        for word, ratio in (("above", self.max_ratio), ("below", self.min_ratio)):
            if ratio is not None:
                limits.append(f"{word} {ratio:g} times the champion's")
        return f"whose {self.metric} is {listed(limits, 'or')}"

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("metric", self.metric),)

    def first_look(self) -> tuple[str, float] | None:
        return ("every", self.every) if self.every else None

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return self.columns()

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        arms = len(setting.arms)
        return {
            "failed": np.zeros(arms, np.int64),  # failed looks
            "seen": np.zeros(arms, bool),  # whether any look could say something
            "before": np.zeros((2, arms), np.int64),  # both columns at the last look
        }

    def judge(self, view: View) -> NDArray[np.int8]:
        failed, seen, before = (view.memory[key] for key in ("failed", "seen", "before"))
        every = view.setting.ticks_of(self.every) if self.every else 1
        look = (view.age % every == 0) & (view.age > 0)
        now = np.stack([view.of_total(column) for column in self.columns()], axis=1)
        count, total = np.moveaxis(now - before if self.over == "interval" else now, 1, 0)
        if self.over == "interval":
            before[look] = now[look]
        data = count >= self.min_requests
        if self.max_ratio is not None or self.min_ratio is not None:
            data &= data[:, :1]
        bad = np.where(data, self._breached(view, count, total), self.no_data == "fail")
        bad &= look[:, None]
        good = look[:, None] & ~bad & (data | (self.no_data == "pass"))
        failed += bad
        if self.consecutive:
            failed[good] = 0
        seen |= good | bad
        held = np.where(seen, Finding.PASS, Finding.UNDECIDED)
        return np.where(failed >= self.trip, Finding.FAIL, held).astype(np.int8)

    def _breached(self, view: View, count: Ints, total: Ints) -> Bools:
        scale = view.setting.metrics[self.metric].grid if self.metric in view.setting.metrics else 1.0
        value: Floats = total * scale / np.maximum(count, 1)
        breached = np.zeros(value.shape, bool)
        if self.metric == LATENCY:
            # In floating point, 1 - 0.9 is a little less than 0.1.
            return value > 1 - (self.quantile or 0.99) + 1e-12
        if self.max is not None:
            breached |= value > float(self.max)
        if self.min is not None:
            breached |= value < float(self.min)
        if self.max_ratio is not None:
            breached |= value > _multiple(self.max_ratio, value[:, :1])
        if self.min_ratio is not None:
            breached |= value < _multiple(self.min_ratio, value[:, :1])
        return breached

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = whole_ticks("every", self.every, setting) if self.every else []
        if self.metric not in BUILT_IN and self.metric not in setting.metrics:
            known = [*BUILT_IN, *setting.metrics]
            hint = _LATENCY_HINT if _QUANTILE_NAME.search(self.metric) else did_you_mean(self.metric, known)
            problems.append(("metric", f"no metric {self.metric!r}; {there_are(known)}{hint and '; '}{hint}"))
        elif self.metric != LATENCY:
            limits = {"max": self.max, "min": self.min}
            problems += [(key, f"{_AMOUNT}, got {shown(limit)}") for key, limit in limits.items() if isinstance(limit, str)]
        return problems
