"""What a threshold check can measure, and how amounts of it are written: shares, durations, rates and plain numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationInfo

from sim.policy.columns import Agreement, Column, Count, LatencySum, mean_of
from sim.policy.setting import DeclaredSetting, Setting
from sim.spelling import did_you_mean, there_are
from sim.units import (
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_share,
    read_duration,
    read_rate,
    shown,
)

LATENCY, ERROR_RATE, AGREEMENT = "latency", "error_rate", "agreement"
MEAN_LATENCY, REQUESTS = "mean_latency", "requests"
BUILT_IN = (ERROR_RATE, LATENCY, AGREEMENT)
"""Metrics that a scenario may declare and that are no outcomes."""
CHECK_ONLY = (MEAN_LATENCY, REQUESTS)
"""Further names that only a check knows: no outcome metric may have one."""

AMOUNT_RULE = "must be a number, or a share such as 5%"
_QUANTILE_NAME = re.compile(r"(?i)^p[0-9]{2,3}(?![0-9a-z])|latenc|response.?time|duration")
_LATENCY_HINT = "a quantile of the time to answer is `metric: latency` with `quantile`, such as 99%"


def read_amount(metric: str | None, amount: Any, info: ValidationInfo) -> float | str:
    """An amount of a metric as a file writes it. Raises `ValueError` with the rule.

    A duration stands for a metric that is no latency only if either is wrong: then its text is returned, and `known_problems`
    and `text_problems` report it, where the scenario's metrics are known.
    """
    if metric in (LATENCY, MEAN_LATENCY):
        return read_duration(amount, info)
    if metric == REQUESTS:
        return read_rate(amount, info)
    if metric in (ERROR_RATE, AGREEMENT) or (isinstance(amount, str) and "%" in amount):
        return parse_share(amount)
    try:
        number = math.nan if isinstance(amount, bool) else float(amount)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) and _is_duration(amount):
        return str(amount)
    if not math.isfinite(number):
        raise ValueError(f"{AMOUNT_RULE}, got {shown(amount)}")
    return number


def read_difference(metric: str | None, amount: Any, info: ValidationInfo) -> float | str:
    """A difference of two amounts of a metric, with its sign: `0.5%` are half a point of a share, `-20ms` are 20 ms less."""
    if isinstance(amount, str) and amount.strip()[:1] in ("+", "-"):
        sign, rest = (-1 if amount.strip()[0] == "-" else 1), amount.strip()[1:]
        size = read_amount(metric, rest, info)
        return amount if isinstance(size, str) else sign * size + 0.0
    if isinstance(amount, int | float) and not isinstance(amount, bool) and amount < 0:
        size = read_amount(metric, -amount, info)
        return size if isinstance(size, str) else -size
    return read_amount(metric, amount, info)


def write_amount(metric: str, amount: float | str | None) -> float | str | None:
    """An amount, or a difference of two, as a file writes it."""
    form = _FORMS.get(metric)
    if form is None or amount is None or isinstance(amount, str):
        return amount
    return form(amount) if amount >= 0 else f"-{form(-amount)}"


def tell_amount(metric: str, amount: float | str | None, setting: Setting) -> str:
    """An amount in a sentence."""
    written = write_amount(metric, amount)
    if isinstance(written, str):
        return written
    number = float(amount or 0.0)
    known = setting.metrics.get(metric)
    share = metric in (ERROR_RATE, AGREEMENT) or (known is not None and known.binary)
    return format_share(number) if share else f"{number:g}"


def tell_difference(metric: str, amount: float | str | None, setting: Setting) -> str:
    """A difference in a sentence: of shares, in points."""
    text = tell_amount(metric, amount, setting)
    return f"{text.removesuffix('%')} points" if text.endswith("%") else text


def columns_of(metric: str) -> tuple[Column, Column]:
    """The column of the number of values of a metric, and that of the sum over them. A quantile has columns of its own.

    >>> columns_of("error_rate")
    (Count('responses'), Count('errors'))
    """
    if metric == ERROR_RATE:
        return Count("responses"), Count("errors")
    if metric == MEAN_LATENCY:
        return Count("responses"), LatencySum()
    if metric == REQUESTS:
        return Count("responses"), Count("responses")
    return (Agreement("count"), Agreement("sum")) if metric == AGREEMENT else mean_of(metric)


def known_problems(metric: str, setting: DeclaredSetting) -> list[tuple[str, str]]:
    """The problem of a metric that there is not, as (key, message) pairs: none, or one."""
    if metric in (*BUILT_IN, *CHECK_ONLY) or metric in setting.metrics:
        return []
    known = [*BUILT_IN, *CHECK_ONLY, *setting.metrics]
    hint = _LATENCY_HINT if _QUANTILE_NAME.search(metric) else did_you_mean(metric, known)
    return [("metric", f"no metric {metric!r}; {there_are(known)}{hint and '; '}{hint}")]


_FORMS: dict[str, Callable[[float], str]] = {LATENCY: format_duration, MEAN_LATENCY: format_duration, REQUESTS: format_rate}


def _is_duration(amount: Any) -> bool:
    try:
        parse_duration(amount)
    except ValueError:
        return False
    return True
