"""Closed forms of queueing theory, with mean service times of 1 unless said. `load` is arrivals per mean service time."""

from __future__ import annotations

import math


def erlang_c(servers: int, load: float) -> float:
    """P(wait) in M/M/c (Gross, Shortle, Thompson & Harris 2008, eq. 2.37).

    >>> round(erlang_c(1, 0.4), 3), round(erlang_c(1, 0.8), 3)
    (0.4, 0.8)
    """
    blocked = mmck(servers, 0, load)[-1]
    use = load / servers
    return blocked / (1 - use * (1 - blocked))


def mmc_wait(servers: int, load: float) -> float:
    """Mean wait in M/M/c, in service times.

    >>> round(mmc_wait(4, 3.2), 4), round(mmc_wait(1, 0.4), 3), round(mmc_wait(1, 0.8), 3)
    (0.7455, 0.667, 4.0)
    """
    return erlang_c(servers, load) / (servers - load)


def mmck(servers: int, queue: int, load: float) -> list[float]:
    """Chances of 0, …, c + queue calls in M/M/c with a limited queue, a birth-death process (ibid., section 2.5).

    The last is the share rejected; without a queue it is Erlang's B.

    >>> round(mmck(5, 0, 3.0)[-1], 4)
    0.1101
    """
    weights = [1.0]
    for number in range(1, servers + queue + 1):
        weights.append(weights[-1] * load / min(number, servers))
    return [weight / sum(weights) for weight in weights]


def mmck_wait(servers: int, queue: int, load: float) -> float:
    """Mean wait of the calls that are not rejected, by Little's law."""
    chances = mmck(servers, queue, load)
    waiting = sum(chance * max(number - servers, 0) for number, chance in enumerate(chances))
    return waiting / (load * (1 - chances[-1]))


def mg1_wait(rate: float, mean: float, variance: float) -> float:
    """Mean wait in M/G/1 (Pollaczek 1930; Khinchine 1932).

    >>> round(mg1_wait(0.8, 1.0, 1.0), 6), round(mg1_wait(0.8, 1.0, 0.0), 6)
    (4.0, 2.0)
    """
    return rate * (variance + mean**2) / (2 * (1 - rate * mean))


def patience(load: float, limit: float) -> tuple[float, float]:
    """(never served, not finished in time): the shares of calls in M/M/1 whose clients all leave after `limit` service times.

    The server works on for a client who left in service, so a call's wait W, were it patient, has the density of M/M/1+D
    (Barrer 1957; Baccelli & Hebuterne 1981, eq. 3.5): P(W = 0) = p and p load exp((load - 1) w) up to the limit, beyond which
    only those who are never served would have to wait. Those served, in turn, finish in time if W + S <= limit.

    >>> never, late = patience(0.8, 1e3)
    >>> round(never, 9), round(late, 9)
    (0.0, 0.0)
    """
    excess = load - 1
    grown = math.exp(excess * limit)
    up_to = load * (limit if excess == 0 else (grown - 1) / excess)
    empty = 1 / (1 + up_to + load * grown)
    never = empty * load * grown
    # P(W + S <= limit) = p (1 - e^-limit) + integral of the density of W times 1 - e^-(limit - w).
    in_time = empty * (1 - math.exp(-limit) + up_to - (grown - math.exp(-limit)))
    return never, 1 - in_time
