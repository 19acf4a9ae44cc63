"""The base class of every part of a scenario file, and durations that may be zero."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from sim.units import Duration, UnitError, bounded, format_duration, number_or_text, parse_duration, shown


class Spec(BaseModel):
    """Strict and frozen: unknown keys are refused, and a scenario that was read does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_span(value: object) -> float:
    """Seconds of a duration that may be zero, such as a time since the start of the run.

    >>> parse_span("0m"), parse_span("6h"), parse_span(0)
    (0.0, 21600.0, 0.0)
    """
    text = value.strip() if isinstance(value, str) else value
    if (isinstance(text, int | float) and text == 0 and not isinstance(text, bool)) or text in _ZEROS:
        return 0.0
    try:
        return parse_duration(value)
    except UnitError:
        rule = "must be zero or a duration with its unit (w, d, h, m, s, ms, us or ns), such as 0s, 6h or 2d"
        raise UnitError(f"{rule}; got {shown(value)}") from None


_ZEROS = ("0", *(f"0{space}{unit}" for unit in ("w", "d", "h", "m", "s", "ms", "us", "ns") for space in ("", " ")))


def _format_span(seconds: float) -> str:
    return format_duration(seconds) if seconds else "0s"


Span = Annotated[
    float,
    BeforeValidator(number_or_text(parse_span, "must be zero or a duration, in seconds", lambda seconds: seconds >= 0)),
    AfterValidator(bounded),
    PlainSerializer(_format_span, return_type=str, when_used="json"),
    WithJsonSchema(Duration.__metadata__[-1].json_schema),
]
"""Seconds, >= 0, at most nine years."""
