"""Closed forms of queueing theory. `load` is arrivals per mean service time. Waits are mostly in mean service times."""

from __future__ import annotations

import math

import numpy as np

from sim.arrays import Floats
from sim.stats.validation import require, require_positive, require_share

# Beyond it exp overflows; what is left out is below 1e-300 of the result.
_LARGEST_EXPONENT = 700.0


def erlang_b(servers: int, load: float) -> float:
    """Share of calls that are lost because all servers are busy, in M/G/c/c.

    Raises `InputError` for less than one server or a load that is not positive.

    Source: Erlang (1917), by the recursion 1/B(c) = 1 + c / (load B(c − 1)).

    >>> round(erlang_b(5, 3.0), 4)
    0.1101
    """
    require(servers >= 1, "servers", "must be at least 1", servers)
    require_positive("load", load)
    inverse = 1.0
    for number in range(1, servers + 1):
        inverse = 1 + number / load * inverse
    return 1 / inverse


def offered_load(servers: int, lost: float) -> float:
    """The load at which a share `lost` of the calls is lost: the inverse of `erlang_b`.

    Raises `InputError` for less than one server or a share outside (0, 1).

    >>> round(offered_load(10, 0.01), 2)
    4.46
    """
    from scipy.optimize import brentq

    require_share("lost", lost)
    # c servers carry at most a load of c, so at least load − c is lost.
    return float(brentq(lambda load: erlang_b(servers, load) - lost, 1e-12, servers / (1 - lost) + 1, xtol=1e-12))


def erlang_c(servers: int, load: float) -> float:
    """Probability that a call waits in M/M/c.

    Raises `InputError` as `erlang_b`, and for a load that is not below the number of servers.

    Source: Erlang (1917); Gross, Shortle, Thompson & Harris, Fundamentals of Queueing Theory (2008), eq. 2.37.

    >>> round(erlang_c(1, 0.4), 3), round(erlang_c(4, 3.2), 4)
    (0.4, 0.5964)
    """
    lost = erlang_b(servers, load)
    require(load < servers, "load", f"must be below the number of servers ({servers})", load)
    return lost / (1 - load / servers * (1 - lost))


def mmc_wait(servers: int, load: float) -> float:
    """Mean wait for a server in M/M/c. Errors and source as `erlang_c`.

    >>> round(mmc_wait(4, 3.2), 4), round(mmc_wait(1, 0.8), 3)
    (0.7455, 4.0)
    """
    return erlang_c(servers, load) / (servers - load)


def mm1_reneging(load: float, patience: float) -> float:
    """Share of calls in M/M/1+D that leave the queue unserved, as clients wait at most `patience` mean service times.

    Raises `InputError` for a load or a patience that is not positive. The load may be above 1.

    Source: Barrer (1957). The server is idle for a share p of the time, where the density of the wait of a client who would
    stay for ever is p load exp((load - 1) w) up to the patience; who is served makes it busy, so 1 - p = load (1 - lost).

    >>> round(mm1_reneging(0.9, 2.0), 3), round(mm1_reneging(1.0, 2.0), 3), round(mm1_reneging(2.0, 1e3), 3)
    (0.219, 0.25, 0.5)
    """
    require_positive("load", load)
    require_positive("patience", patience)
    excess = load - 1
    if excess * patience > _LARGEST_EXPONENT:
        return excess / load
    grown = math.exp(excess * patience)
    # The integral of exp(excess w), by expm1 as the excess may be tiny.
    waited = load * (math.expm1(excess * patience) / excess if excess else patience)
    idle = 1 / (1 + waited + load * grown)
    return idle * load * grown


def mg1_wait(rate: float, mean: float, variance: float) -> float:
    """Mean wait in M/G/1, in the unit of `mean` and 1 / `rate`; `mean` and `variance` are those of a service time.

    Raises `InputError` for a rate or mean that is not positive, a negative variance and a rate times mean that is not below 1.

    Source: Pollaczek (1930); Khinchine (1932).

    >>> round(mg1_wait(0.8, 1.0, 1.0), 6), round(mg1_wait(0.8, 1.0, 0.0), 6)
    (4.0, 2.0)
    """
    require_positive("rate", rate)
    require_positive("mean", mean)
    require(variance >= 0, "variance", "must not be negative", variance)
    require(rate * mean < 1, "rate", f"must be below 1 / mean ({1 / mean:g})", rate)
    return rate * (variance + mean**2) / (2 * (1 - rate * mean))


def first_come_waits(at: Floats, held: Floats, servers: int) -> Floats:
    """Waits (..., n) of calls that come at `at` (n,) and hold one of `servers` for `held` (..., n), first come first served.

    All servers are free at first; times in one unit. Exact for any times. Raises `InputError` for less than one server, times
    that are not in order, and shapes that do not fit.

    Source: the recursion of Kiefer & Wolfowitz (1955); with one server it is Lindley's (1952).

    >>> first_come_waits(np.array([0.0, 1.0, 2.0]), np.array([3.0, 3.0, 3.0]), 1)
    array([0., 2., 4.])
    >>> first_come_waits(np.array([0.0, 1.0, 2.0]), np.array([3.0, 3.0, 3.0]), 2)
    array([0., 0., 1.])
    """
    require(servers >= 1, "servers", "must be at least 1", servers)
    require(at.ndim == 1 and held.shape[-1:] == at.shape, "held", f"must have a last axis of {at.size}", held.shape)
    require(bool((np.diff(at) >= 0).all()), "at", "must be in order", "times that go back")
    shape = held.shape[:-1]
    flat = np.moveaxis(held.reshape(-1, at.size), 1, 0)
    rows = np.arange(flat.shape[1])
    free = np.full((flat.shape[1], servers), -np.inf)
    waits = np.empty_like(flat)
    for call, come in enumerate(at):
        first = free.argmin(axis=1) if servers > 1 else 0
        waits[call] = np.maximum(free[rows, first] - come, 0.0)
        free[rows, first] = come + waits[call] + flat[call]
    return np.moveaxis(waits, 0, 1).reshape(*shape, at.size)
