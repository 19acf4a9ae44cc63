"""From the timeline of a scenario to what changes by tick and arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats
from sim.scenario.timeline import Drift, ErrorSpike, Event, Leak, Novelty, Outage, Slowdown
from sim.world.capacity import Pool
from sim.world.change import ERROR_RATE, LATENCY, Change

HOUR_S = 3600.0


def change(events: Sequence[Event], arms: Sequence[str], pools: Sequence[Pool], ticks: int, tick_s: float) -> Change | None:
    """What the events add up to; None where there are none. What varies within a tick takes its mean over the tick.

    Factors of several events multiply, failures are independent of each other, and outages of one pool add up. The drifts of
    one metric of an arm are one path, from value to value.

    >>> drift = Drift(arm="b", metric="conversion", at="0s", duration="2m", to="-10%")
    >>> found = change([drift], ("a", "b"), (), 3, 60.0)
    >>> found.factors["conversion"][:, 1].round(3).tolist()
    [0.975, 0.925, 0.9]
    """
    if not events:
        return None
    shape = ticks, len(arms)
    held: Floats = np.ones(shape)
    slowness: Floats = np.ones(shape)
    out: NDArray[np.int64] = np.zeros((ticks, len(pools)), np.int64)
    factors: dict[str, Floats] = {}
    middle: Floats = (np.arange(ticks, dtype=np.float64) + 0.5) * tick_s
    drifts: dict[tuple[int, str], list[Drift]] = {}
    for event in events:
        if isinstance(event, Outage):
            place = next(place for place, pool in enumerate(pools) if pool.name == event.pool)
            out[_during(event, middle), place] += event.replicas
            continue
        arm = arms.index(event.arm)
        match event:
            case ErrorSpike():
                held[_during(event, middle), arm] *= 1 - event.rate
            case Slowdown():
                slowness[_during(event, middle), arm] *= event.factor
            case Leak():
                slowness[:, arm] *= _leak(event, middle)
            case Novelty():
                factors.setdefault(event.metric, np.ones(shape))[:, arm] *= _novelty(event, ticks, tick_s)
            case Drift():
                drifts.setdefault((arm, event.metric), []).append(event)
    for (arm, metric), several in drifts.items():
        now = _path(several, middle)
        if metric == ERROR_RATE:
            held[:, arm] *= 1 - now
        elif metric == LATENCY:
            slowness[:, arm] *= 1 + now
        else:
            factors.setdefault(metric, np.ones(shape))[:, arm] *= 1 + now
    most = np.array([max(pool.replicas, pool.scaling.most if pool.scaling else 0) for pool in pools], np.int64)
    return Change(1 - held, slowness, factors, np.minimum(out, most))


def _during(event: ErrorSpike | Slowdown | Outage, middle: Floats) -> NDArray[np.bool_]:
    return (middle > event.at) & (middle < event.at + event.duration)


def _path(drifts: Sequence[Drift], time_s: Floats) -> Floats:
    """Where the drifts of one metric have come to, relative to what is registered, time_s (T,).

    Each moves from where the one before it has come to when it begins, in a line to its own value. Lines bend at edges of ticks
    only, so a tick's middle is its mean.

    >>> weekend = [Drift(arm="b", metric="m", at="2s", to="-30%"), Drift(arm="b", metric="m", at="4s", duration="2s", to="0%")]
    >>> _path(weekend, np.array([1.0, 3.0, 5.0, 7.0])).round(2).tolist()
    [0.0, -0.3, -0.15, 0.0]
    """
    path = np.zeros(time_s.shape)
    before: Drift | None = None
    start = 0.0
    for drift in sorted(drifts, key=lambda each: each.at):
        if before is not None:
            start = float(_line(before, start, np.array([drift.at]))[0])
        path = np.where(time_s > drift.at, _line(drift, start, time_s), path)
        before = drift
    return path


def _line(drift: Drift, start: float, time_s: Floats) -> Floats:
    """(T,) the values of a drift from its beginning on, where it starts from a value."""
    if drift.duration is None:
        return np.full(time_s.shape, drift.to)
    progress = np.clip((time_s - drift.at) / drift.duration, 0.0, 1.0)
    return np.where(progress < 1, start + (drift.to - start) * progress, drift.to)


def _leak(leak: Leak, middle: Floats) -> Floats:
    age = np.maximum(middle - leak.at, 0.0)
    if leak.restart is not None:
        age = age % leak.restart
    return 1 + leak.per_hour * age / HOUR_S


def _novelty(novelty: Novelty, ticks: int, tick_s: float) -> Floats:
    """The mean of effect * 2^(-t / half_life) over each tick is (its values at the edges, less each other) / (rate * tick)."""
    decay = np.log(2) / novelty.half_life
    start = np.exp(-decay * np.arange(ticks) * tick_s)
    factor: Floats = 1 + novelty.effect * start * -np.expm1(-decay * tick_s) / (decay * tick_s)
    return factor
