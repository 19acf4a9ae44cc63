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

    Factors of several events multiply, failures are independent of each other, and outages of one pool add up.

    >>> drift = Drift(arm="b", metric="conversion", at="0s", duration="2m", to="-10%")
    >>> found = change([drift], ("a", "b"), (), 3, 60.0)
    >>> found.factors["conversion"][:, 1].round(3).tolist(), found.lasting["conversion"].tolist()
    ([0.975, 0.925, 0.9], [1.0, 0.9])
    """
    if not events:
        return None
    shape = ticks, len(arms)
    held: Floats = np.ones(shape)
    slowness: Floats = np.ones(shape)
    out: NDArray[np.int64] = np.zeros((ticks, len(pools)), np.int64)
    factors: dict[str, Floats] = {}
    lasting: dict[str, Floats] = {}
    middle: Floats = (np.arange(ticks, dtype=np.float64) + 0.5) * tick_s
    horizon: Floats = np.array([ticks * tick_s])
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
                if event.restart is None:
                    lasting.setdefault(LATENCY, np.ones(len(arms)))[arm] *= _leak(event, horizon)[0]
            case Novelty():
                factors.setdefault(event.metric, np.ones(shape))[:, arm] *= _novelty(event, ticks, tick_s)
            case Drift():
                now, end = event.to * _progress(event, middle), event.to * _progress(event, horizon)[0]
                lasts = lasting.setdefault(event.metric, np.ones(len(arms)))
                if event.metric == ERROR_RATE:
                    held[:, arm] *= 1 - now
                    lasts[arm] *= 1 - end
                else:
                    lasts[arm] *= 1 + end
                    if event.metric == LATENCY:
                        slowness[:, arm] *= 1 + now
                    else:
                        factors.setdefault(event.metric, np.ones(shape))[:, arm] *= 1 + now
    if ERROR_RATE in lasting:
        lasting[ERROR_RATE] = 1 - lasting[ERROR_RATE]
    most = np.array([max(pool.replicas, pool.scaling.most if pool.scaling else 0) for pool in pools], np.int64)
    return Change(1 - held, slowness, factors, np.minimum(out, most), lasting)


def _during(event: ErrorSpike | Slowdown | Outage, middle: Floats) -> NDArray[np.bool_]:
    return (middle > event.at) & (middle < event.at + event.duration)


def _progress(drift: Drift, time_s: Floats) -> Floats:
    """How far a drift has come. It bends at edges of ticks only, so a tick's middle is its mean."""
    if drift.duration is None:
        return (time_s > drift.at).astype(np.float64)
    return np.clip((time_s - drift.at) / drift.duration, 0.0, 1.0)


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
