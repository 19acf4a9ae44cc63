"""Telemetry columns: which a name asks for, and which a world can give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from sim.errors import InputError, Problem
from sim.policy.base import MIRROR
from sim.units import parse_duration
from sim.world.world import World

ABOVE = "latency.above."
COUNTS = ("requests", "responses", "errors", "timeouts", "rejections", "retries")
"""Arrivals of attempts; ends that clients see, which of them were no good answer, and why; attempts that are not the first."""

MOMENTS = ("count", "sum", "square")
PER_REQUEST = (
    *(f"covariate.{moment}" for moment in ("sum", "square", "cross")),
    *(f"user.{moment}" for moment in ("count", "square", "cross", "sizes")),
    *(f"user.joint.{moment}" for moment in ("square", "cross", "counter", "sizes")),
)
"""Columns that need each request's feedback (`sim.engine.feedback`); `aggregate` has counts only and refuses them."""


@dataclass(frozen=True)
class Column:
    """One need, taken apart: "mirror.latency.above.250ms" is the mirrored plane's calls slower than 0.25 s.

    limit_s: of a latency; cap: of an outcome, in its own unit; other: a segment, or the metric of a product.
    """

    name: str
    mirrored: bool
    kind: str
    metric: str = ""
    limit_s: float = 0.0
    cap: float = 0.0
    other: str = ""

    @property
    def per_request(self) -> bool:
        """Whether it takes single requests to tell."""
        return bool(self.metric) and self.kind not in MOMENTS


def column(name: str) -> Column:
    """Take a need apart. Raises `InputError` for a name that no engine knows.

    >>> column("mirror.latency.above.250ms").limit_s
    0.25
    >>> column("conversion.sum")
    Column(name='conversion.sum', mirrored=False, kind='sum', metric='conversion', limit_s=0.0, cap=0.0, other='')
    >>> column("revenue.capped.2.5.square").cap, column("revenue.segment.mobile.sum").other, column("revenue.with.clicks").kind
    (2.5, 'mobile', 'with')
    """
    mirrored = name.startswith(MIRROR)
    base = name.removeprefix(MIRROR)
    if base in COUNTS:
        return Column(name, mirrored, base)
    if base.startswith(ABOVE):
        return Column(name, mirrored, "above", limit_s=parse_duration(base.removeprefix(ABOVE)))
    metric, _, rest = base.partition(".")
    if metric and rest in (*MOMENTS, *PER_REQUEST):
        return Column(name, mirrored, rest, metric)
    kind, _, rest = rest.partition(".")
    other, _, moment = rest.rpartition(".")
    if metric and kind == "with" and rest:
        return Column(name, mirrored, kind, metric, other=rest)
    if metric and kind == "segment" and other and moment in MOMENTS:
        return Column(name, mirrored, f"segment.{moment}", metric, other=other)
    if metric and kind == "capped" and moment in MOMENTS[1:]:
        with suppress(ValueError):
            return Column(name, mirrored, f"capped.{moment}", metric, cap=float(other))
    raise InputError([f"telemetry has no column {name!r}"])


def limits(columns: tuple[Column, ...], slo_s: float | None) -> tuple[float, ...]:
    """The latency limits that some column or the objective needs, increasing."""
    found = {each.limit_s for each in columns if each.kind == "above"}
    return tuple(sorted(found | ({slo_s} if slo_s is not None else set())))


def overflows(world: World, needs: Iterable[str]) -> Iterator[Problem]:
    """The metrics whose sums over users could overflow 63 bits: a user's requests add up before they are squared."""
    population = world.population
    by_user = {each.metric for each in map(column, needs) if each.kind.startswith("user.")}
    if population is None:
        return
    requests = float(world.requests.sum())
    squares = requests + requests**2 * float((population.activity**2).sum())
    for outcome in world.outcomes:
        # Sixteen times what is expected is out of reach of chance.
        largest = 16 * squares * float((outcome.mean**2 + outcome.sd**2).max()) * (outcome.reach / outcome.grid) ** 2
        if outcome.spec.name in by_user and largest >= 2.0**62:
            rule = f"squares of what users add up to in {requests:.3g} requests could overflow 63 bits: take a coarser grid"
            yield Problem(f"{rule}, got {outcome.grid:g}", path=f"metrics.{outcome.spec.name}.grid")
