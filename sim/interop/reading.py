"""Values of manifest fields, each read by its rule. One that breaks it is refused at its line, and reading goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.objects import left_over, not_a
from sim.interop.tokens import Unread

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_S = 365 * 86_400.0


def go_seconds(text: str) -> float:
    """Seconds of a duration of Go, such as 1m30s, 1.5h or 250ms. Raises `Unread`.

    >>> go_seconds("1m30s"), go_seconds("1.5h"), go_seconds("250ms")
    (90.0, 5400.0, 0.25)
    """
    total, at = 0.0, 0
    while at < len(text):
        end = at
        while end < len(text) and (text[end].isdigit() or text[end] == "."):
            end += 1
        unit = next((each for each in sorted(_UNITS, key=len, reverse=True) if text.startswith(each, end)), "")
        try:
            total += float(text[at:end]) * _UNITS[unit]
        except (KeyError, ValueError):
            raise Unread("it has no unit, one of h, m, s and ms" if not unit else "it is no number") from None
        at = end + len(unit)
    if not text or not 0 <= total <= _MOST_S:
        raise Unread("it is no time from 0 to a year")
    return round(total, 9)


class Values:
    """The values of an object, by place, with defaults. What breaks its rule is refused in the account of the object."""

    def __init__(self, account: Account, arguments: Mapping[str, str] | None = None) -> None:
        self.account = account
        self.arguments = arguments or {}

    def get(self, place: Place) -> Any:
        """The value at a place, with arguments filled in; None where there is none."""
        value = self.account.object.get(place)
        return self.filled(place, value) if isinstance(value, str) else value

    def filled(self, place: Place, text: str) -> str:
        """Text with `{{args.name}}` in it replaced by what the argument is. An argument without a value is refused."""
        pieces, rest = "", text
        while (start := rest.find("{{")) >= 0 and (end := rest.find("}}", start)) >= 0:
            inside = rest[start + 2 : end].strip()
            name = inside.removeprefix("args.").strip()
            value = self.arguments.get(name) if inside.startswith("args.") else self.arguments.get(inside)
            if value is None:
                if inside.startswith("args."):
                    self.account.refuse(place, f"the argument {name!r} has no value")
                else:
                    self.account.refuse(place, f"'{{{{{inside}}}}}' {left_over('{{}}')}")
                value = "?"
            pieces += rest[:start] + value
            rest = rest[end + 2 :]
        return pieces + rest

    def items(self, place: Place) -> list[Place]:
        """The places of the items of a list; none where there is no list."""
        value = self.get(place)
        if value is None:
            return []
        if not isinstance(value, list):
            self.account.refuse(place, not_a("a list", value))
            return []
        return [(*place, index) for index in range(len(value))]

    def mapping(self, place: Place) -> bool:
        """Whether there is a mapping at a place, be it empty."""
        value = self.get(place)
        if value is not None and not isinstance(value, dict):
            self.account.refuse(place, not_a("a mapping (key: value)", value))
        return isinstance(value, dict)

    def text(self, place: Place, default: str = "") -> str:
        """A text."""
        value = self.get(place)
        if value is None:
            return default
        if isinstance(value, str) and value.strip():
            if why := left_over(value):
                self.account.refuse(place, f"it {why}")
            return value
        self.account.refuse(place, not_a("a text", value))
        return default

    def flag(self, place: Place, default: bool = False) -> bool:
        """True or false."""
        value = self.get(place)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.account.refuse(place, not_a("true or false", value))
        return default

    def whole(self, place: Place, default: int | None = None, least: int = 0, most: int = 10**9) -> int | None:
        """A whole number, also as a text of digits."""
        value = self.get(place)
        if value is None:
            return default
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) <= 12:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        between = f"from {least} to {most}" if most < 10**9 else f"of at least {least}"
        self.account.refuse(place, not_a(f"a whole number {between}", value))
        return default

    def number(self, place: Place) -> float | None:
        """A number, also as a text."""
        value = self.get(place)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            self.account.refuse(place, not_a("a number", value))
            return None
        return number

    def seconds(self, place: Place, default: float | None = None, *, bare: bool = False) -> float | None:
        """Seconds of a duration of Go; with `bare`, also of a number of seconds."""
        value = self.get(place)
        if value is None:
            return default
        if bare and isinstance(value, str) and value.strip().isdecimal():
            value = int(value) if len(value) < 12 else value
        if bare and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_S:
            return float(value)
        try:
            if isinstance(value, str):
                return go_seconds(value.strip())
            raise Unread("it has no unit")
        except Unread as error:
            self.account.refuse(place, f"{not_a('a duration such as 5m', value)}: {error}")
            return default
