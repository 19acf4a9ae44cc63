"""Other simulators on the same system, each in the style of its own documentation; and the random draws alone.

Each function plays about `requests` requests and returns their exact number. Each function draws only what the system needs:
the arrival, the route and the service time of a request. Docstrings say what else a peer counts.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

from sim.bench.worlds import RATE_PER_S, SERVERS, SERVICE_S


def bare_draws(requests: int) -> float:
    """NumPy draws of two exponentials and a uniform per request, in buffers that stay in the cache: the least possible work.

    >>> bare_draws(1000)
    1000.0
    """
    import numpy as np

    rng, size = np.random.default_rng(7), min(requests, 10_000)
    times, where = np.empty(size), np.empty(size)
    for begin in range(0, requests, size):
        left = min(size, requests - begin)
        rng.standard_exponential(out=times[:left])
        rng.standard_exponential(out=times[:left])
        rng.random(out=where[:left])
    return float(requests)


def plain_simpy(requests: int) -> float:
    """Idiomatic SimPy: two `Resource`s, a process for every request, and no counts.

    >>> 900 < plain_simpy(1000) < 1100
    True
    """
    import simpy

    environment, draw, sent = simpy.Environment(), random.Random(7), 0
    stations = [simpy.Resource(environment, capacity=SERVERS) for _ in range(2)]

    def request(station: simpy.Resource) -> Generator[simpy.Event, Any, None]:
        with station.request() as turn:
            yield turn
            yield environment.timeout(draw.expovariate(1 / SERVICE_S))

    def source() -> Generator[simpy.Event, Any, None]:
        nonlocal sent
        while True:
            yield environment.timeout(draw.expovariate(RATE_PER_S))
            sent += 1
            environment.process(request(stations[draw.random() < 0.5]))

    environment.process(source())
    environment.run(until=requests / RATE_PER_S)
    return float(sent)


def ciw(requests: int) -> float:
    """Ciw: two nodes of four servers, each with half of the Poisson stream, as a 50/50 router would send it."""
    import ciw

    ciw.seed(7)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(RATE_PER_S / 2) for _ in range(2)],
        service_distributions=[ciw.dists.Exponential(1 / SERVICE_S) for _ in range(2)],
        number_of_servers=[SERVERS, SERVERS],
        routing=[[0.0, 0.0], [0.0, 0.0]],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(requests / RATE_PER_S)
    # The first node is the source of individuals, the last node their exit.
    return float(sum(node.number_of_individuals for node in simulation.nodes[1:]))


def cimba(requests: int) -> float:
    """Cimba's C engine: a process that sends times of arrival to two `Store`s, and four server processes at each `Store`.

    It counts the requests and those slower than the limit, and sums their time in the system.
    """
    import cimba as cb

    from sim.bench.cimba_stations import stations

    model = stations()()
    window = cb.Window(duration=requests / RATE_PER_S)
    results = cb.Experiment(model, replications=1, window=window, seed=7).run(workers=1)
    return float(results[model].served.values[0, 0])
