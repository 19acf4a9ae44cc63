"""Telemetry columns by the dozen, for tests that ask for many."""

from __future__ import annotations

from sim.policy.columns import Agreement, Column, Count, CountKind, Moment, MomentKind


def counts(*kinds: CountKind) -> tuple[Count, ...]:
    """Some counts of calls."""
    return tuple(Count(kind) for kind in kinds)


def moments(metric: str, *kinds: MomentKind) -> tuple[Moment, ...]:
    """Some moments of a metric."""
    return tuple(Moment(metric, kind) for kind in kinds)


def agreement(*kinds: MomentKind) -> tuple[Agreement, ...]:
    """Some moments of agreement with the champion."""
    return tuple(Agreement(kind) for kind in kinds)


def mirrored(*columns: Column) -> tuple[Column, ...]:
    """The same of mirrored calls."""
    return tuple(column.as_mirrored() for column in columns)
