"""Pools against queueing theory: every figure within four standard errors over replications, from the record of every call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.engine.calls import REJECTION, TIMEOUT
from sim.world.capacity import Retry
from tests.analytic.formulas import erlang_c, mg1_wait, mmc_wait, mmck, mmck_wait, patience
from tests.analytic.runs import WARM_S, Calls, Runner, S, pool, runner, share, waits_s
from tests.thorough import THOROUGH


# SimPy plays the same events, bit for bit (tests/engine/test_parity.py): at length it is held to theory by itself too.
@pytest.fixture(params=["compiled", "simpy"] if THOROUGH else ["compiled"])
def engine(request: pytest.FixtureRequest) -> Runner:
    return runner(request.param)


def test_waits_in_mmc_by_simpy() -> None:
    _waits_in_mmc(runner("simpy"), 4, 0.8)


@pytest.mark.parametrize(("servers", "use"), [(1, 0.4), (1, 0.8), (4, 0.8), (10, 0.7)])
def test_waits_in_mmc(engine: Runner, servers: int, use: float) -> None:
    _waits_in_mmc(engine, servers, use)


def _waits_in_mmc(engine: Runner, servers: int, use: float) -> None:
    load = servers * use
    tables = engine.calls(load, pools=(pool(servers),))
    delayed = erlang_c(servers, load)
    engine.agrees(tables, lambda calls: (waits_s(calls) > 0).mean(), delayed, 0.02)
    engine.agrees(tables, lambda calls: waits_s(calls).mean(), mmc_wait(servers, load), 0.2 * mmc_wait(servers, load))
    # Those who wait do so exponentially.
    mean = 1 / (servers - load)
    engine.agrees(tables, lambda calls: (waits_s(calls) > mean).mean(), delayed * np.exp(-1.0), 0.03)


@pytest.mark.parametrize(("servers", "queue", "load"), [(5, 0, 3.0), (4, 3, 4.4), (1, 10, 1.5)])
def test_losses_in_mmck(engine: Runner, servers: int, queue: int, load: float) -> None:
    tables = engine.calls(load, pools=(pool(servers, queue),))
    engine.agrees(tables, lambda calls: share(calls, REJECTION), mmck(servers, queue, load)[-1], 0.02)
    if queue:
        engine.agrees(tables, lambda calls: waits_s(calls).mean(), mmck_wait(servers, queue, load), 0.3)


@pytest.mark.parametrize(
    ("latency", "variance"),
    [
        ({"constant": "1s"}, 0.0),
        ({"gamma": {"mean": "1s", "sd": "500ms"}}, 0.25),
        ({"gamma": {"mean": "1s", "sd": "1500ms"}}, 2.25),
        # Linear between quantiles: uniform from 0.5 to 1.5 s.
        ({"quantiles": {"0%": "500ms", "100%": "1500ms"}}, 1 / 12),
    ],
    ids=["constant", "gamma", "variable gamma", "uniform"],
)
def test_waits_in_mg1(engine: Runner, latency: Any, variance: float) -> None:
    tables = engine.calls(0.7, latency=latency, pools=(pool(1),))
    expected = mg1_wait(0.7, 1.0, variance)
    engine.agrees(tables, lambda calls: waits_s(calls).mean(), expected, 0.25 * expected)
    engine.agrees(tables, lambda calls: (waits_s(calls) > 0).mean(), 0.7, 0.02)


@pytest.mark.parametrize(("load", "limit"), [(0.8, 3.0), (1.0, 2.0), (2.0, 1.5)])
def test_clients_who_give_up(engine: Runner, load: float, limit: float) -> None:
    tables = engine.calls(load, pools=(pool(1, timeout_s=limit),))
    never, late = patience(load, limit)
    engine.agrees(tables, lambda calls: (calls["start_ns"] < 0).mean(), never, 0.02)
    engine.agrees(tables, lambda calls: share(calls, TIMEOUT), late, 0.02)


@pytest.mark.parametrize(("load", "limit"), [(0.9, 2.0), (0.8, 3.0), (2.0, 1.5)])
def test_clients_who_leave_the_queue(engine: Runner, load: float, limit: float) -> None:
    tables = engine.calls(load, pools=(pool(1, patience_s=limit),))
    never, _ = patience(load, limit)
    engine.agrees(tables, lambda calls: (calls["start_ns"] < 0).mean(), never, 0.02)
    engine.agrees(tables, lambda calls: share(calls, TIMEOUT), never, 0.02)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_shadow_slows_production_on_a_shared_pool(engine: Runner, fraction: float) -> None:
    """Live traffic at a load of .4 alone; a copy of all of it takes the load to .8.

    A live call and its copy arrive together, so they are a batch, whose service is that of one or two calls: M/G/1 for the live
    call, which is served first. Its mean wait is 6 service times, where two independent streams of .4 would wait for 4.
    """
    tables = engine.calls(0.4, mirror=fraction, pools=(pool(1),))
    # A batch takes S1 + B S2: mean 1 + q, variance 1 + q + q (1 - q).
    expected = mg1_wait(0.4, 1 + fraction, 1 + fraction + fraction * (1 - fraction))
    assert fraction != 0.0 or expected == pytest.approx(mmc_wait(1, 0.4))
    assert fraction != 1.0 or expected == pytest.approx(6.0)
    live = [calls[calls["copy"] == 0] for calls in tables]
    engine.agrees(live, lambda calls: waits_s(calls).mean(), expected, 0.25 * expected)
    engine.agrees(live, lambda calls: (waits_s(calls) > 0).mean(), 0.4 * (1 + fraction), 0.02)


def test_two_streams_of_a_shared_pool_are_one(engine: Runner) -> None:
    """Superposition: both arms at .4 wait as one stream of .8 does, and thinned to a pool each, as one of .4."""
    shared = engine.calls(0.8, live=0.5, pools=(pool(1),))
    apart = engine.calls(0.8, live=0.5, pools=(pool(1, arms=(0,)), pool(1, arms=(1,))))
    for arm in (0, 1):
        for tables, load in ((shared, 0.8), (apart, 0.4)):
            of_arm = [calls[calls["arm"] == arm] for calls in tables]
            engine.agrees(of_arm, lambda calls: (waits_s(calls) > 0).mean(), load, 0.03)
            engine.agrees(of_arm, lambda calls: waits_s(calls).mean(), mmc_wait(1, load), 0.25 * mmc_wait(1, load))


def _present(calls: Calls) -> float:
    """The mean number of clients present, from looks at regular times."""
    last = calls["arrive_ns"].max()
    looks = np.arange(WARM_S * S + 50 * S, last, 1.7 * S)
    came = np.searchsorted(np.sort(calls["arrive_ns"]), looks, side="right")
    left = np.searchsorted(np.sort(calls["end_ns"]), looks, side="right")
    return float((came - left).mean())


@pytest.mark.parametrize("timeout_s", [None, 3.0], ids=["patient", "impatient"])
def test_littles_law_on_every_pool(engine: Runner, timeout_s: float | None) -> None:
    """Clients present are arrivals a second times their time there, whatever the pool does to them."""
    pools = (pool(2, 6, timeout_s, arms=(0,)), pool(1, None, timeout_s, arms=(1,)))
    tables = engine.calls(3.0, live=0.8, pools=pools)
    for arm, rate in ((0, 2.4), (1, 0.6)):
        of_pool = [calls[calls["arm"] == arm] for calls in tables]

        def excess(calls: Calls, rate: float = rate) -> float:
            return _present(calls) - rate * float((calls["end_ns"] - calls["arrive_ns"]).mean()) / S

        engine.agrees(of_pool, excess, 0.0, 0.1)


def test_calls_in_flight_without_a_pool_are_poisson(engine: Runner) -> None:
    """M/G/∞: present is Poisson with the load for a mean, whatever the law of service (Gross et al. 2008, section 2.6)."""
    tables = engine.calls(3.0, latency={"gamma": {"mean": "1s", "sd": "500ms"}})
    engine.agrees(tables, _present, 3.0, 0.1)


def test_clients_who_try_again_are_a_stream_of_their_own(engine: Runner) -> None:
    """After long back-offs retries are independent of the queue: a loss system whose load feeds on its own losses.

    With chance b of rejection and A attempts, the load is a (1 + b + … + b^(A-1)), and b is Erlang's B of it (Cohen 1957).
    """
    # Uniform back-offs of up to 400 service times, over which nothing of a burst of rejections is left.
    retry = Retry(3, False, False, True, base_s=400.0, factor=1.0, longest_s=400.0, jitter=1.0)
    blocked = 0.0
    for _ in range(200):
        blocked = mmck(3, 0, 2.0 * (1 + blocked + blocked**2))[-1]
    # The first retries come late, and the last ones are alone.
    tables = [
        calls[calls["arrive_ns"] < calls["arrive_ns"][calls["attempt"] == 0].max()]
        for calls in engine.calls(2.0, pools=(pool(3, 0),), retry=retry)
    ]
    engine.agrees(tables, lambda calls: share(calls, REJECTION), blocked, 0.02, since_s=900.0)
    engine.agrees(tables, _third_attempts, blocked**2, 0.02, since_s=900.0)


def _third_attempts(calls: Calls) -> float:
    return float((calls["attempt"] == 2).sum() / (calls["attempt"] == 0).sum())
