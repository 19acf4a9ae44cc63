"""The limits of a threshold check: what a value is held against, and what a look at it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_serializer, field_validator, model_validator

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import View
from sim.policy.columns import Above, Column, Count
from sim.policy.guardrails.measured import (
    AGREEMENT,
    AMOUNT_RULE,
    CHECK_ONLY,
    LATENCY,
    MEAN_LATENCY,
    REQUESTS,
    columns_of,
    known_problems,
    read_amount,
    read_difference,
    tell_amount,
    tell_difference,
    write_amount,
)
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import listed
from sim.units import Share, format_share, shown

SERVICE, CHAMPION, BASELINE = "service", "champion", "baseline"
_AMOUNTS = ("max", "min", "floor", "doubt_above", "doubt_below")
_DIFFERENCES = ("max_difference", "min_difference")
_AGAINST = ("max_ratio", "min_ratio", *_DIFFERENCES)
_RULES = ("max", "min", *_AGAINST, "doubt_above", "doubt_below")
_ABSOLUTE = ("max", "doubt_above")
_NANOSECONDS = 10**9


@dataclass(frozen=True)
class Breach:
    """What the values of a look are, (r, K) each: whether there is enough data, whether they are bad, and whether in doubt.

    `doubt` is None without limits of it. A bad value may be beyond them as well.
    """

    data: Bools
    bad: Bools
    doubt: Bools | None


class Limits(BaseModel):
    """The keys that say what is measured, of whom, against whom, and what of it is bad or in doubt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(
        description="error_rate, latency, mean_latency, requests (answers per time), agreement, or an outcome metric"
    )
    quantile: Share | None = Field(None, gt=0, lt=1, description="for latency: the quantile that `max` limits (default 99%)")
    max: float | str | None = Field(
        None, description="fail above this: a share, an amount, a duration for latencies, a rate for requests"
    )
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
    floor: float | str | None = Field(
        None, description="a ratio fails only where the value itself is above this too (with min_ratio: below this)"
    )
    max_difference: float | str | None = Field(
        None, description="fail where the value less the champion's is above this: of shares, 0.5% are half a point"
    )
    min_difference: float | str | None = Field(
        None, description="fail where the value less the champion's is below this, such as -0.5%"
    )
    doubt_above: float | str | None = Field(None, description="a look that has not failed is in doubt above this")
    doubt_below: float | str | None = Field(None, description="a look that has not failed is in doubt below this")
    against: str = Field(
        CHAMPION,
        description="what ratios and differences are taken to: champion; baseline, its version deployed anew; or service, all "
        "arms together",
    )
    sees: Literal["arm", "service"] = Field(
        "arm", description="whose value is looked at: the arm's, or that of all arms together, which cannot tell them apart"
    )

    @field_validator(*_AMOUNTS, mode="before")
    @classmethod
    def _read_amount(cls, amount: Any, info: ValidationInfo) -> float | str | None:
        return None if amount is None else read_amount(info.data.get("metric"), amount, info)

    @field_validator(*_DIFFERENCES, mode="before")
    @classmethod
    def _read_difference(cls, amount: Any, info: ValidationInfo) -> float | str | None:
        return None if amount is None else read_difference(info.data.get("metric"), amount, info)

    @field_serializer(*_AMOUNTS, *_DIFFERENCES)
    def _write_amount(self, amount: float | str | None) -> float | str | None:
        return write_amount(self.metric, amount)

    @model_validator(mode="after")
    def _one_rule(self) -> Limits:
        said = [key for key in _RULES if getattr(self, key) is not None]
        if not said:
            raise ValueError(f"needs at least one of {', '.join(_RULES)}")
        if self.metric == LATENCY and not set(said) <= set(_ABSOLUTE):
            raise ValueError(
                f"a latency check takes {' and '.join(f'`{key}`' for key in _ABSOLUTE)} only, got {', '.join(said)}"
            )
        if self.metric != LATENCY and self.quantile is not None:
            raise ValueError(f"quantile is for latency, got it for {self.metric}")
        for low, high in (
            ("min", "max"), ("min_ratio", "max_ratio"), ("min_difference", "max_difference"), ("doubt_above", "max"),
            ("min", "doubt_below"), ("doubt_below", "doubt_above"),
        ):  # fmt: skip
            least, most = getattr(self, low), getattr(self, high)
            if isinstance(least, float) and isinstance(most, float) and least > most:
                raise ValueError(f"{low} must not exceed {high}, got {self._text(low)} and {self._text(high)}")
        return self._relative(set(said) & set(_AGAINST))

    def _relative(self, said: set[str]) -> Limits:
        """The rules of what is compared."""
        if self.metric == AGREEMENT and said:
            raise ValueError("agreement is with the champion, which has none of its own to compare with; use min")
        ratios = [key for key in ("max_ratio", "min_ratio") if key in said]
        if self.floor is not None and len(ratios) != 1:
            raise ValueError(f"floor goes with one of max_ratio and min_ratio, got {' and '.join(ratios) or 'neither'}")
        if self.against != CHAMPION and not said:
            raise ValueError(f"against is for {', '.join(_AGAINST)}, got none of them")
        if self.against == SERVICE and self.sees == SERVICE:
            raise ValueError("the service is not compared with itself: sees and against cannot both be service")
        if self.against == BASELINE and self.sees == SERVICE:
            raise ValueError("the service is compared with the champion only, got against: baseline and sees: service")
        return self

    def _text(self, key: str) -> str:
        written = write_amount(self.metric, getattr(self, key))
        return f"{written:g}" if isinstance(written, float) else str(written)

    def columns(self) -> tuple[Column, ...]:
        """The column of the number of answers, and that of the sum over them; of a quantile, one for each limit."""
        if self.metric != LATENCY:
            return columns_of(self.metric)
        return Count("responses"), *dict.fromkeys(Above(limit) for limit in self._quantile_limits())

    def _quantile_limits(self) -> list[float]:
        return [limit for limit in (self.max, self.doubt_above) if isinstance(limit, float)]

    def compares(self) -> bool:
        """Whether a look holds the value against another one."""
        return any(getattr(self, key) is not None for key in _AGAINST)

    def doubts(self) -> bool:
        """Whether a value may be in doubt."""
        return self.doubt_above is not None or self.doubt_below is not None

    def breach(self, seen: Ints, view: View, seconds: Callable[[View], Floats], least: int) -> Breach:
        """What a look finds of (r, C, K) sums of the columns over some seconds, where values of `least` answers are data."""
        compares = self.compares()
        base = self._base(seen) if compares else seen
        if self.sees == SERVICE:
            seen = np.broadcast_to(seen.sum(axis=2, keepdims=True), seen.shape)
        if self.metric == LATENCY:
            doubt = self._slow(seen, self.doubt_above) if self.doubt_above is not None else None
            return Breach(seen[:, 0] >= least, self._slow(seen, self.max), doubt)
        if self.metric == REQUESTS:
            data = np.ones(seen[:, 0].shape, bool)
            length = seconds(view)[:, None]
            value, other = seen[:, 0] / length, base[:, 0] / length
        else:
            data = seen[:, 0] >= least
            value = other = self._mean(seen, view.setting)
            if compares:
                data &= base[:, 0] >= least
                other = self._mean(base, view.setting)
        return Breach(data, self._bad(value, other), self._doubted(value))

    def _base(self, seen: Ints) -> Ints:
        """(r, C, 1) the sums of what values are compared with."""
        return seen.sum(axis=2, keepdims=True) if self.against == SERVICE else seen[..., :1]

    def _mean(self, seen: Ints, setting: Setting) -> Floats:
        """(r, K) the mean of the answers, in the metric's unit."""
        count = np.maximum(seen[:, 0], 1)
        if self.metric == MEAN_LATENCY:
            # Divided once, so that a mean that is the limit itself has its bits.
            mean: Floats = seen[:, 1] / (count * _NANOSECONDS)
            return mean
        metric = setting.metrics.get(self.metric)
        value: Floats = seen[:, 1] * (metric.grid if metric is not None else 1.0) / count
        return value

    def _doubted(self, value: Floats) -> Bools | None:
        """(r, K) whether values are beyond the limits of doubt; None without such limits."""
        if not self.doubts():
            return None
        doubt = np.zeros(value.shape, bool)
        if self.doubt_above is not None:
            doubt |= value > float(self.doubt_above)
        if self.doubt_below is not None:
            doubt |= value < float(self.doubt_below)
        return doubt

    def _slow(self, seen: Ints, limit: float | str | None) -> Bools:
        """Whether more calls are slower than a limit than the quantile leaves."""
        if not isinstance(limit, float):
            return np.zeros(seen[:, 0].shape, bool)
        share = seen[:, self.columns().index(Above(limit))] / np.maximum(seen[:, 0], 1)
        # In floating point, 1 - 0.9 is a little less than 0.1.
        return np.asarray(share > 1 - (self.quantile or 0.99) + 1e-12)

    def _bad(self, value: Floats, base: Floats) -> Bools:
        bad = np.zeros(value.shape, bool)
        if self.max is not None:
            bad |= value > float(self.max)
        if self.min is not None:
            bad |= value < float(self.min)
        if self.max_ratio is not None:
            above = value > _multiple(self.max_ratio, base)
            bad |= above if self.floor is None else above & (value > float(self.floor))
        if self.min_ratio is not None:
            below = value < _multiple(self.min_ratio, base)
            bad |= below if self.floor is None else below & (value < float(self.floor))
        if self.max_difference is not None:
            bad |= value - base > float(self.max_difference)
        if self.min_difference is not None:
            bad |= value - base < float(self.min_difference)
        return bad

    def told_bad(self, setting: Setting) -> str:
        """What fails a look, in words: the rest of a sentence that begins with "whose"."""
        bounds = self._bounds(setting)
        return f"{self._named()} {listed(bounds, 'or')}" if bounds else ""

    def told_doubt(self, setting: Setting) -> str:
        """What puts a look in doubt, in words; empty if nothing does."""
        bounds = [
            f"{word} {tell_amount(self.metric, bound, setting)}"
            for word, bound in (("above", self.doubt_above), ("below", self.doubt_below))
            if bound is not None
        ]
        return f"{self._named()} {listed(bounds, 'or')}" if bounds else ""

    def _named(self) -> str:
        quantile = 0.99 if self.quantile is None else self.quantile
        name = {
            LATENCY: f"{format_share(quantile)} quantile of latency is",
            MEAN_LATENCY: "mean latency is",
            REQUESTS: "answers per time are",
        }.get(self.metric, f"{self.metric} is")
        return f"whole service's {name}" if self.sees == SERVICE else name

    def _bounds(self, setting: Setting) -> list[str]:
        whose = {SERVICE: "the whole service's", BASELINE: "the baseline's"}.get(self.against, "the champion's")
        bounds = []
        for word, bound in (("above", self.max), ("below", self.min)):
            if bound is not None:
                bounds.append(f"{word} {tell_amount(self.metric, bound, setting)}")
        for word, ratio in (("above", self.max_ratio), ("below", self.min_ratio)):
            if ratio is not None:
                floor = "" if self.floor is None else f" and {word} {tell_amount(self.metric, self.floor, setting)} itself"
                bounds.append(f"{word} {ratio:g} times {whose}{floor}")
        for highest, difference in ((True, self.max_difference), (False, self.min_difference)):
            if difference is not None:
                bounds.append(_apart(highest, tell_difference(self.metric, difference, setting), whose))
        return bounds

    def limit_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        """Problems of these keys that show in the scenario file alone: (key, message) pairs."""
        problems = known_problems(self.metric, setting)
        if not problems and self.metric not in (LATENCY, *CHECK_ONLY):
            texts = {key: getattr(self, key) for key in (*_AMOUNTS, *_DIFFERENCES)}
            problems = [(key, f"{AMOUNT_RULE}, got {shown(text)}") for key, text in texts.items() if isinstance(text, str)]
        if self.against not in (CHAMPION, SERVICE, BASELINE):
            problems.append(("against", f"must be {CHAMPION}, {BASELINE} or {SERVICE}, got {shown(self.against)}"))
        return problems


def _multiple(ratio: float, value: Floats) -> Floats:
    """The value moved by (ratio - 1) times its absolute size, so that 0.9 times -10 is -11: a tenth of its size below."""
    return np.where(value < 0, 2 - ratio, ratio) * value


def _apart(highest: bool, difference: str, whose: str) -> str:
    """What breaks a limit of a difference, in words.

    >>> _apart(True, "0.5 points", "the champion's"), _apart(False, "-20ms", "the champion's")
    ("more than 0.5 points above the champion's", "more than 20ms below the champion's")
    """
    lower = difference.startswith("-")
    more = "more" if highest != lower else "less"
    return f"{more} than {difference.removeprefix('-')} {'below' if lower else 'above'} {whose}"
