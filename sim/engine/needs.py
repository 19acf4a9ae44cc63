"""The columns that are asked of an engine: by class, their latency limits, and the columns it cannot fill."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from sim.errors import InputError, Problem
from sim.policy.columns import (
    Above,
    Agreement,
    AtVisit,
    CappedMoment,
    Column,
    Count,
    CovariateMoment,
    JointUserMoment,
    LatencySum,
    Moment,
    Product,
    SegmentMoment,
    UserMoment,
    WeighedUserMoment,
)
from sim.world.world import World

C = TypeVar("C", bound=Column)

Filled = type[Column] | Column
"""What an engine can fill: a class of columns, or a single column, live and mirrored."""

CALL_COUNTS = Count("requests"), Count("responses"), Count("errors"), Count("timeouts"), Count("rejections"), Count("retries")
FILLED_BY_CALLS: frozenset[Filled] = frozenset({
    *CALL_COUNTS, Above, LatencySum, Moment, Agreement, CovariateMoment, UserMoment, JointUserMoment, WeighedUserMoment,
    SegmentMoment, CappedMoment, Product, AtVisit,
})  # fmt: skip
"""The columns that an engine which records single calls fills."""
NO_CALLS = ": it takes single calls to tell, and this engine draws counts"


def of_class(needs: Sequence[Column], kind: type[C]) -> list[tuple[int, C]]:
    """The columns of a class, each with its place among all columns.

    >>> of_class((Count("errors"), Above(0.25)), Above)
    [(1, Above(0.25))]
    """
    return [(place, column) for place, column in enumerate(needs) if isinstance(column, kind)]


def limits(needs: Sequence[Column], slo_s: float | None) -> tuple[float, ...]:
    """The latency limits in seconds that some column or the objective needs, increasing."""
    limits_s = {column.limit_s for _, column in of_class(needs, Above)}
    return tuple(sorted(limits_s | ({slo_s} if slo_s is not None else set())))


def unfilled(fills: Collection[Filled], world: World, needs: Sequence[Column]) -> Iterator[str]:
    """The reasons why an engine with these `fills` cannot fill all columns that are needed in a world; none if it can."""
    foreign = [column for column in needs if type(column) not in fills and column.as_live() not in fills]
    yield from (
        f"telemetry has no column {column.name!r}{NO_CALLS if column.per_call else ''}"
        for column in foreign
        if not column.per_request
    )
    single = [column for column in foreign if column.per_request]
    if single:
        yield f"adjust: {single[0].name} takes single requests to tell"
    yield from (f"telemetry has no column {column.name!r}: {why}" for column, why in _unavailable(world, needs))


def refuse_unfilled(engine: str, fills: Collection[Filled], world: World, needs: Sequence[Column]) -> None:
    """Raises `InputError` if an engine cannot fill all columns that are needed in a world."""
    problems = [f"engine {engine}: {why}" for why in unfilled(fills, world, needs)]
    if problems:
        raise InputError(problems)


def _unavailable(world: World, needs: Sequence[Column]) -> Iterator[tuple[Column, str]]:
    """Columns that a world cannot provide, each with the reason."""
    metrics = {outcome.spec.name for outcome in world.outcomes}
    for column in needs:
        yield from ((column, f"there is no metric {name!r}") for name in column.metrics if name not in metrics)
    if world.agreement is None:
        yield from ((column, "not every model says how often it agrees") for _, column in of_class(needs, Agreement))
    for _, segment in of_class(needs, SegmentMoment):
        if world.segments is None or segment.segment not in world.segments.names:
            yield segment, f"there is no segment {segment.segment!r}"
    for _, weighed in of_class(needs, WeighedUserMoment):
        if weighed.mirrored:
            yield weighed, "copies of requests have no share of traffic"
        elif world.population is None:
            yield weighed, "there are no users"
    for _, product in of_class(needs, Product):
        if any(name in world.feedback for name in product.metrics):
            yield product, f"{product.metric} and {product.other} are not known together"


def overflows(world: World, needs: Iterable[Column]) -> Iterator[Problem]:
    """A problem for each metric whose sums over users could overflow 63 bits: sums over a user's requests are squared."""
    population = world.population
    by_user = {name for column in needs if column.by_user for name in column.metrics}
    if population is None:
        return
    requests = float(world.requests.sum())
    squares = requests + requests**2 * float((population.activity**2).sum())
    for outcome in world.outcomes:
        # A sum of sixteen times its expectation does not happen by chance.
        mean_square = float((outcome.mean**2 + outcome.sd**2).max()) * (outcome.reach / outcome.grid) ** 2
        # The squares of how many requests a user sends are summed as well.
        largest = 16 * squares * max(1.0, mean_square)
        if world.counts_failures:
            largest = max(largest, 16 * squares * float(outcome.failed_value) ** 2)
        if outcome.spec.name in by_user and largest >= 2.0**62:
            rule = f"squares of what users add up to in {requests:.3g} requests could overflow 63 bits: take a coarser grid"
            yield Problem(f"{rule}, got {outcome.grid:g}", path=f"metrics.{outcome.spec.name}.grid")
