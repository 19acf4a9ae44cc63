"""Quantities as people write them in scenario files: ``10m``, ``40/s``, ``10%``, ``-2%``, ``20:00``.

Each quantity is a `float` in the program (seconds, per second, a share) and text in a file. Text is read as an
exact rational and rounded once, so that ``100us`` is the float nearest to 0.0001. `parse_*` reads the text of
`format_*` back to the same bits.

The types `Duration`, `Rate` and `Clock` take text, or, from Python code, a number in the unit of the program. A file must name
the unit: validate a file with the context `AS_WRITTEN`. JSON is always validated as a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from sim.errors import InputError, Problem

__all__ = [
    "AS_WRITTEN",
    "Clock",
    "Duration",
    "Effect",
    "Rate",
    "Share",
    "UnitError",
    "as_written",
    "bounded",
    "format_clock",
    "format_duration",
    "format_effect",
    "format_rate",
    "format_share",
    "number_or_text",
    "parse_clock",
    "parse_duration",
    "parse_effect",
    "parse_rate",
    "parse_share",
    "read_duration",
    "rounded_rate",
    "shown",
]

_YEAR_S = 365 * 86_400
_SECONDS = {
    "w": Fraction(604_800),
    "d": Fraction(86_400),
    "h": Fraction(3_600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
# Three digits of exponent reach beyond every float and keep the exact rational small.
_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
_DURATION = "^(?=.)" + "".join(rf"(?:({_NUMBER}) ?{unit} ?)?" for unit in _SECONDS) + "$"
_DURATION_SCHEMA = rf"^(?:{_NUMBER} ?(?:{'|'.join(_SECONDS)}) ?)+$"
_RATE = rf"^({_NUMBER}) ?/ ?(ms|s|m|h|d|w|y)$"
_PER = {**_SECONDS, "y": Fraction(_YEAR_S)}
_SHARE = rf"^({_NUMBER}) ?(%?)$"
_EFFECT = rf"^([+-]?{_NUMBER}) ?(%?)$"
_CLOCK = r"^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]{1,12})?))?$"
_LONGEST_TEXT = 100
# Clocks count nanoseconds in 64 bits: nine years, 2^58 of them, leave room to add up.
LONGEST_S = 9 * 365 * 86_400.0
"""The longest duration that a file may write, in seconds."""


AS_WRITTEN: Mapping[str, Any] = {"as_written": True}
"""Pydantic's validation context for data that people wrote: numbers without a unit are refused."""


class UnitError(InputError, ValueError):
    """A quantity cannot be read. Also a `ValueError`, so that pydantic collects it with other errors."""

    def __init__(self, problem: str | tuple[Problem, ...]) -> None:
        super().__init__((problem,) if isinstance(problem, str) else problem)


def parse_duration(value: object) -> float:
    """Seconds (> 0) of a duration with its unit: w, d, h, m, s, ms, us, ns, or several from large to small.

    Raises `UnitError` for a bare number, an unknown unit, and anything that is not above zero and finite.

    >>> parse_duration("10m"), parse_duration("250ms"), parse_duration("1h30m")
    (600.0, 0.25, 5400.0)
    >>> parse_duration(10)
    Traceback (most recent call last):
    sim.units.UnitError: must be a duration above zero: write a unit, such as 10m; got 10
    """
    rule = "must be a duration above zero"
    if _is_number(value) or (isinstance(value, str) and re.fullmatch(_EFFECT, value.strip())):
        raise UnitError(f"{rule}: write a unit, such as 10m; got {shown(value)}")
    rule += " with its unit (w, d, h, m, s, ms, us or ns), such as 10m, 14d or 1h30m"
    match = _match(_DURATION, value, rule)
    parts = zip(match.groups(), _SECONDS.values(), strict=True)
    seconds = sum((Fraction(count) * unit for count, unit in parts if count), start=Fraction(0))
    return _positive(seconds, value, rule)


def bounded(seconds: float) -> float:
    """The duration, if a 64-bit clock of nanoseconds can hold it. Raises `UnitError` above nine years.

    >>> bounded(600.0)
    600.0
    """
    if seconds > LONGEST_S:
        raise UnitError(f"must be at most 9 years ({format_duration(LONGEST_S)}); got {format_duration(seconds)}")
    return seconds


def as_written(info: ValidationInfo) -> bool:
    """Whether people wrote the data, rather than a program: the data is JSON, or its context is `AS_WRITTEN`."""
    return info.mode == "json" or bool(info.context and info.context.get("as_written"))


def number_or_text(
    parse: Callable[[object], float], rule: str, holds: Callable[[float], bool]
) -> Callable[[object, ValidationInfo], float]:
    """A reader of text with `parse`, and from Python code also of numbers for which `holds` is true; errors state `rule`."""

    def read(value: object, info: ValidationInfo) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or as_written(info):
            return parse(value)
        try:
            number = float(value) + 0.0
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and holds(number)):
            raise UnitError(f"{rule}; got {shown(value)}")
        return number

    return read


def parse_rate(value: object) -> float:
    """Events per second (> 0) of a rate with its unit of time, one of ms, s, m, h, d, w, y (365 days).

    Raises `UnitError` for a bare number, an unknown unit, and anything that is not above zero and finite.

    >>> parse_rate("40/s"), parse_rate("1200/m"), parse_rate("3.6e6/h"), parse_rate("365/y") == parse_rate("1/d")
    (40.0, 20.0, 1000.0, True)
    """
    rule = "must be a rate above zero per ms, s, m, h, d, w or y, such as 40/s"
    count, unit = _match(_RATE, value, rule).groups()
    return _positive(Fraction(count) / _PER[unit], value, rule)


def parse_share(value: object) -> float:
    """A share in [0, 1], from a percentage or a plain number.

    Raises `UnitError` for anything below 0% or above 100%.

    >>> parse_share("10%"), parse_share(0.1), parse_share("0.1")
    (0.1, 0.1, 0.1)
    """
    rule = "must be a share from 0% to 100%, such as 10% or 0.1"
    share = _proportion(_EFFECT, value, rule)
    if not 0 <= share <= 1:
        raise UnitError(f"{rule}; got {shown(value)}")
    return share


def parse_effect(value: object) -> float:
    """A relative change above -100%, from a signed percentage or a plain number.

    Raises `UnitError` for -100% and below, which no rate or mean can follow.

    >>> parse_effect("-2%"), parse_effect("+5%"), parse_effect(0.02)
    (-0.02, 0.05, 0.02)
    """
    rule = "must be a relative change above -100%, such as -2%, +5% or 0.02"
    effect = _proportion(_EFFECT, value, rule)
    if not effect > -1:
        raise UnitError(f"{rule}; got {shown(value)}")
    return effect


def parse_clock(value: object) -> float:
    """Seconds after midnight, in [0, 86400), of a time of day from 00:00 to 23:59, seconds optional.

    Raises `UnitError` for anything else, 24:00 included.

    >>> parse_clock("20:00"), parse_clock("06:30"), parse_clock("00:00:01.5")
    (72000.0, 23400.0, 1.5)
    """
    rule = "must be a time of day from 00:00 to 23:59, such as 20:00"
    hours, minutes, seconds = _match(_CLOCK, value, rule).groups()
    time_s = float(int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds or 0))
    if not time_s < 86_400:
        raise UnitError(f"{rule}; got {shown(value)}")
    return time_s


def format_duration(seconds: float) -> str:
    """The shortest usual text that `parse_duration` reads as exactly this float.

    >>> format_duration(600.0), format_duration(1_209_600.0), format_duration(0.25), format_duration(0.123456)
    ('10m', '14d', '250ms', '0.123456s')
    """
    units = ("d", "h", "m", "s") if seconds >= 1 else ("ms", "us", "ns")
    largest = 1e6 if seconds >= 1 else 1e3
    for unit in units:
        count = seconds / float(_SECONDS[unit])
        if 0.5 < count < largest and _reads_as(text := f"{round(count)}{unit}", parse_duration, seconds):
            return text
    return f"{_plain(seconds)}s"


def format_rate(rate_per_s: float) -> str:
    """The shortest text that `parse_rate` reads as exactly this float; of equally short ones that of the shortest unit.

    >>> format_rate(40.0), format_rate(parse_rate("1e6/d")), format_rate(parse_rate("50/y")), format_rate(parse_rate("23.8/h"))
    ('40/s', '1000000/d', '50/y', '23.8/h')
    """
    per_second = f"{_plain(rate_per_s)}/s"
    counts = {unit: rate_per_s * float(_PER[unit]) for unit in ("m", "h", "d", "y")}
    # What people write has few digits, and the last ones of a product are rounding errors.
    rounded = [f"{_plain(float(f'{count:.12g}'))}/{unit}" for unit, count in counts.items() if 1e-12 < count < 1e12]
    return min([per_second, *(t for t in rounded if _reads_as(t, parse_rate, rate_per_s))], key=len)


def rounded_rate(rate_per_s: float) -> str:
    """A rate with three digits, in the shortest unit of time in which there is at least one event.

    >>> rounded_rate(10 / 3), rounded_rate(10 / 180), rounded_rate(1 / 3e9)
    ('3.33/s', '3.33/m', '0.0105/y')
    """
    unit = next((unit for unit in ("s", "m", "h", "d") if rate_per_s * float(_PER[unit]) >= 1), "y")
    return f"{float(f'{rate_per_s * float(_PER[unit]):.3g}'):.12g}/{unit}"


def format_share(share: float) -> str:
    """A percentage that `parse_share` reads as exactly this float.

    >>> format_share(0.1), format_share(1.0), format_share(1 / 3)
    ('10%', '100%', '33.33333333333333%')
    """
    percent = (Decimal(repr(share + 0.0)) * 100).normalize()
    return f"{percent:f}%" if -7 < percent.adjusted() < 7 else f"{percent}%"


def format_effect(effect: float) -> str:
    """A signed percentage that `parse_effect` reads as exactly this float.

    >>> format_effect(0.05), format_effect(-0.02), format_effect(0.0)
    ('+5%', '-2%', '0%')
    """
    return ("+" if effect > 0 else "") + format_share(effect)


def format_clock(seconds: float) -> str:
    """A time of day that `parse_clock` reads as exactly this float.

    >>> format_clock(72_000.0), format_clock(1.5)
    ('20:00', '00:00:01.5')
    """
    minutes, rest = divmod(Decimal(repr(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    whole, _, fraction = f"{rest.normalize():f}".partition(".")
    text = f"{int(hours):02}:{int(minutes):02}"
    return text if not rest else f"{text}:{whole:0>2}" + (f".{fraction}" if fraction else "")


def shown(value: object) -> str:
    """A value as error messages show it: short, and in the words of YAML.

    >>> shown("10x"), shown(True), shown(None), shown([1, 2])
    ("'10x'", 'true', 'nothing', 'a list')
    """
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a very large number"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _match(pattern: str, value: object, rule: str) -> re.Match[str]:
    short = isinstance(value, str) and len(value) <= _LONGEST_TEXT
    match = re.fullmatch(pattern, value.strip()) if short and isinstance(value, str) else None
    if match is None:
        raise UnitError(f"{rule}; got {shown(value)}")
    return match


def _positive(exact: Fraction, value: object, rule: str) -> float:
    try:
        number = float(exact)
    except OverflowError:
        number = math.inf
    if not 0 < number < math.inf:
        size = "" if exact <= 0 else ": this is too large" if number else ": this is too small"
        raise UnitError(f"{rule}{size}; got {shown(value)}")
    return number


def _proportion(pattern: str, value: object, rule: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
        else:
            count, percent = _match(pattern, value, rule).groups()
            number = float(Fraction(count) / (100 if percent else 1))
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UnitError(f"{rule}; got {shown(value)}")
    return number + 0.0  # -0.0 would be written as 0% and read back with other bits


def _plain(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


def _reads_as(text: str, parse: Callable[[object], float], number: float) -> bool:
    return parse(text) == number


def _text_schema(pattern: str, description: str, *examples: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "description": description, "examples": list(examples)}


def _number_schema(pattern: str, description: str, *examples: str | float, **bounds: float) -> dict[str, Any]:
    branches = [{"type": "string", "pattern": pattern}, {"type": "number", **bounds}]
    return {"anyOf": branches, "description": description, "examples": list(examples)}


# Readers for pydantic: text anywhere, numbers from Python code.
read_duration = number_or_text(parse_duration, "must be a duration above zero, in seconds", lambda seconds: seconds > 0)
read_rate = number_or_text(parse_rate, "must be a rate above zero, in events a second", lambda rate_per_s: rate_per_s > 0)
read_clock = number_or_text(parse_clock, "must be a time of day, in seconds after midnight", lambda at_s: 0 <= at_s < 86_400)

Duration = Annotated[
    float,
    BeforeValidator(read_duration),
    AfterValidator(bounded),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_text_schema(_DURATION_SCHEMA, "A duration with its unit", "10m", "14d", "250ms", "1h30m")),
]
"""Seconds, > 0, at most nine years.

>>> from pydantic import TypeAdapter
>>> TypeAdapter(Duration).validate_python("1h"), TypeAdapter(Duration).validate_python(3600)
(3600.0, 3600.0)
>>> TypeAdapter(Duration).validate_python(3600, context=AS_WRITTEN)
Traceback (most recent call last):
pydantic_core._pydantic_core.ValidationError: 1 validation error for ...
"""

Rate = Annotated[
    float,
    BeforeValidator(read_rate),
    PlainSerializer(format_rate, return_type=str, when_used="json"),
    WithJsonSchema(_text_schema(_RATE, "A rate with its unit of time", "40/s", "1200/m", "3.6e6/h")),
]
"""Events per second, > 0."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(format_share, return_type=str, when_used="json"),
    WithJsonSchema(_number_schema(_SHARE, "A share from 0% to 100%", "10%", 0.1, minimum=0, maximum=1)),
]
"""A share in [0, 1]."""

Effect = Annotated[
    float,
    BeforeValidator(parse_effect),
    Field(le=1e6),
    PlainSerializer(format_effect, return_type=str, when_used="json"),
    WithJsonSchema(
        _number_schema(_EFFECT, "A relative change above -100%", "-2%", "+5%", 0.02, exclusiveMinimum=-1, maximum=1e6)
    ),
]
"""A relative change, > -1, at most a million."""

Clock = Annotated[
    float,
    BeforeValidator(read_clock),
    PlainSerializer(format_clock, return_type=str, when_used="json"),
    WithJsonSchema(_text_schema(_CLOCK, "A time of day", "20:00", "06:30")),
]
"""Seconds after midnight, in [0, 86400)."""
