"""When Kayenta looks, how far back, and at which scores it fails or passes: of a stage of Spinnaker, or of a request.

Source: RunCanaryIntervalsStage and KayentaCanaryContext of spinnaker/orca; SetupAndExecuteCanariesStage, MonitorCanaryTask and
GenerateCanaryAnalysisResultTask of spinnaker/kayenta.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.objects import not_a
from sim.interop.reading import Values
from sim.units import format_duration

_STEP_S = 60.0
# What is assumed where only a config is given.
ALONE_S = 3600.0
_ISO = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?")
_MINUTES = 10**6


@dataclass(frozen=True)
class Keys:
    """Where a stage, or a request, has its settings."""

    base: Place
    hours: tuple[str, ...]
    minutes: str
    interval: str
    begin: str
    thresholds: str
    default: tuple[float, float] | None


OF_STAGE = Keys(
    ("canaryConfig",), ("lifetimeDuration", "lifetimeHours"), "", "canaryAnalysisIntervalMins", "beginCanaryAnalysisAfterMins",
    "scoreThresholds", (75.0, 50.0),
)  # fmt: skip
OF_REQUEST = Keys((), (), "lifetimeDurationMins", "analysisIntervalMins", "beginAfterMins", "thresholds", None)


@dataclass(frozen=True)
class Times:
    """When it looks, in seconds: after `begin_s`, every `every_s`, `looks` times, each as far back as `back_s`, in steps.

    `back_s` None: to the start. `baseline`: whether it compares with a baseline that is deployed with the canary.
    """

    begin_s: float
    every_s: float
    looks: int
    back_s: float | None
    step_s: float
    baseline: bool

    @property
    def all(self) -> tuple[float, ...]:
        """The durations that must be whole ticks."""
        return (self.begin_s, self.every_s, self.back_s or 0.0, self.step_s)


ALONE = Times(0.0, ALONE_S, 1, None, _STEP_S, baseline=False)


def times_of(account: Account, keys: Keys) -> Times:
    """When a stage or a request looks. What cannot be carried is refused in the account."""
    values, base = Values(account), keys.base
    begin_s = 60.0 * (values.whole((*base, keys.begin), 0, most=_MINUTES) or 0)
    life_s = _life_s(values, keys)
    every_s = 60.0 * (values.whole((*base, keys.interval), 0, most=_MINUTES) or 0)
    if not 0 < every_s <= life_s:
        if every_s:
            account.use((*base, keys.interval), f"longer than all of it: one look, after {format_duration(life_s)}")
        every_s = life_s
    looks = max(1, int(life_s // every_s))
    if looks * every_s != life_s:
        account.remark(
            (*base, keys.interval),
            f"{format_duration(life_s)} are no whole number of intervals: it ends after {format_duration(looks * every_s)}",
            "an interval that divides the lifetime",
        )
    back_s = 60.0 * (values.whole((*base, "lookbackMins"), 0, most=_MINUTES) or 0)
    if back_s > every_s and begin_s:
        account.refuse(
            (*base, "lookbackMins"),
            "a first look that sees farther back than the analysis began is not carried; an interval at most",
        )
    if values.whole((*base, "baselineAnalysisOffsetInMins"), 0):
        account.refuse((*base, "baselineAnalysisOffsetInMins"), "a baseline of another time is not carried")
    step_s, baseline = _scope(values, keys)
    if every_s % step_s:
        account.refuse((*base, "scopes", 0, "step"), f"{format_duration(every_s)} are no whole number of steps")
    if (window_s := back_s or looks * every_s) / step_s < 50:
        account.remark(
            (*base, "scopes"),
            f"its last look has {window_s / step_s:.0f} values of each metric, where Kayenta warns below 50",
            "a longer lifetime, or a shorter step",
        )
    return Times(begin_s, every_s, looks, back_s or None, step_s, baseline)


def _life_s(values: Values, keys: Keys) -> float:
    account, base = values.account, keys.base
    found_s = 0.0
    if keys.minutes:
        found_s = 60.0 * (values.whole((*base, keys.minutes), 0, most=_MINUTES) or 0)
    for key in keys.hours:
        written = values.get((*base, key))
        if written is None or found_s:
            continue
        if key == "lifetimeHours":
            found_s = 3600.0 * (values.whole((*base, key), 0, most=10_000) or 0)
            continue
        match = _ISO.fullmatch(written) if isinstance(written, str) else None
        if match is None or not any(match.groups()):
            account.refuse((*base, key), not_a("a duration such as PT1H30M", written))
            return ALONE_S
        found_s = sum(int(each or 0) * unit for each, unit in zip(match.groups(), (86_400, 3600, 60, 1), strict=True))
    if not found_s or found_s % 60:
        name = keys.minutes or keys.hours[0]
        rule = "a whole number of minutes is needed: how long it judges"
        account.refuse((*base, name), rule)
        return ALONE_S
    return found_s


def _scope(values: Values, keys: Keys) -> tuple[float, bool]:
    """(seconds of a step, whether it compares with a baseline)."""
    account, scopes = values.account, (*keys.base, "scopes")
    items = values.items(scopes)
    for place in items[1:]:
        account.refuse(place, "a second scope is not carried: there is one canary")
    step_s, control = _STEP_S, ""
    if items:
        step_s = float(values.whole((*items[0], "step"), 60, least=1, most=86_400) or 60)
        written = values.get((*items[0], "controlScope"))
        control = written if isinstance(written, str) else ""
        if values.whole((*items[0], "controlOffsetInMinutes"), 0):
            account.refuse((*items[0], "controlOffsetInMinutes"), "a baseline of another time is not carried")
    kind = values.get(("analysisType",)) if keys.base else None
    if kind not in (None, "realTimeAutomatic", "realTime"):
        account.refuse(
            ("analysisType",), not_a("realTimeAutomatic or realTime: an analysis of the past moves no traffic", kind)
        )
    baseline = kind == "realTimeAutomatic" or "baseline" in control.lower()
    if items and values.get((*items[0], "controlScope")) is not None:
        account.use(
            (*items[0], "controlScope"),
            "compared with a baseline of the same age" if baseline else "compared with what serves",
        )
    return step_s, baseline


def thresholds_of(account: Account, place: Place, default: tuple[float, float] | None) -> tuple[float, float] | None:
    """(pass, marginal) as shares, such that a score stops below marginal. None where they are not given, or refused.

    A score that is not above `marginal` fails, and a score has two digits.
    """
    values = Values(account)
    written = [values.number((*place, key)) for key in ("pass", "marginal")]
    passing, marginal = (
        each if each is not None else given for each, given in zip(written, default or (None, None), strict=True)
    )
    if passing is None or marginal is None:
        return None
    for key, score in (("pass", passing), ("marginal", marginal)):
        if not 0 <= score <= 100:
            account.refuse((*place, key), f"must be a score from 0 to 100; got {score:g}")
            return None
    if marginal >= 100:
        account.refuse((*place, "marginal"), "no score is above it: it always rolls back")
        return None
    stops = (math.floor(100 * marginal + 1e-9) + 1) / 100
    passes = max(passing, stops)
    if passes != passing:
        account.remark(
            (*place, "pass"), "it is not above marginal, and a score that is not above marginal fails", "a pass above marginal"
        )
    return round(passes / 100, 9), round(stops / 100, 9)
