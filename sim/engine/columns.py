"""Telemetry columns: which a name asks for, and which a world can give."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import InputError
from sim.policy.base import MIRROR
from sim.units import parse_duration

ABOVE = "latency.above."
COUNTS = ("requests", "responses", "errors", "timeouts", "rejections", "retries")
"""Arrivals of attempts; ends that clients see, which of them were no good answer, and why; attempts that are not the first."""


@dataclass(frozen=True)
class Column:
    """One need, taken apart: "mirror.latency.above.250ms" is the mirrored plane's calls slower than 0.25 s."""

    name: str
    mirrored: bool
    kind: str
    metric: str = ""
    limit_s: float = 0.0


def column(name: str) -> Column:
    """Take a need apart. Raises `InputError` for a name that no engine knows.

    >>> column("mirror.latency.above.250ms").limit_s
    0.25
    >>> column("conversion.sum")
    Column(name='conversion.sum', mirrored=False, kind='sum', metric='conversion', limit_s=0.0)
    """
    mirrored = name.startswith(MIRROR)
    base = name.removeprefix(MIRROR)
    if base in COUNTS:
        return Column(name, mirrored, base)
    if base.startswith(ABOVE):
        return Column(name, mirrored, "above", limit_s=parse_duration(base.removeprefix(ABOVE)))
    metric, _, moment = base.rpartition(".")
    if metric and moment in ("count", "sum", "square"):
        return Column(name, mirrored, moment, metric)
    raise InputError([f"telemetry has no column {name!r}"])


def limits(columns: tuple[Column, ...], slo_s: float | None) -> tuple[float, ...]:
    """The latency limits that some column or the objective needs, increasing."""
    found = {each.limit_s for each in columns if each.kind == "above"}
    return tuple(sorted(found | ({slo_s} if slo_s is not None else set())))
