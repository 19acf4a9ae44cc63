"""Figures of calls that compete for servers: waits, losses, shared pools; by formula, and played call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.base import Engine
from sim.engine.catalogue import ENGINES
from sim.policy.columns import Column
from sim.run.trial import play
from sim.stats.queues import erlang_b, erlang_c, mg1_wait, mm1_reneging, mmc_wait, offered_load
from sim.verify.figure import Figure, Sample, exact, played
from sim.verify.rehearsal import NEVER, behaving, mean, scenario_of, some, test_by
from sim.workflow import plan_scenario
from sim.world.world import Truth

Calls = NDArray[np.void]

ERLANG = "Erlang 1917"
GROSS = "Gross, Shortle, Thompson & Harris 2008"
TABLES = "Erlang B traffic tables"
BARRER = "Barrer 1957 (M/M/1+D)"
POLLACZEK = "Pollaczek 1930, Khinchine 1932"

WARM_S = 500
"""The warm-up, in mean service times. Queues start empty, so calls that arrive before this time do not count."""
PLAYED_S = 4500
NS = 1e9
SERVICE = {"exponential": "1s"}


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield from _formulas()
    for servers, use, wait in ((4, 0.8, 0.7455), (1, 0.4, 0.6667), (1, 0.8, 4.0)):
        load, title = servers * use, f"M/M/{servers} at ρ = {use:g}"
        waits = _once(servers, load)
        yield played(
            f"queues.play-mm{servers}-{use * 100:g}-delayed", f"{title}: share that waits", f"{GROSS}, eq. 2.37",
            lambda servers=servers, load=load: erlang_c(servers, load),
            lambda quick, waits=waits: _over_replications(waits(quick), _delayed),
        )  # fmt: skip
        yield played(
            f"queues.play-mm{servers}-{use * 100:g}-wait", f"{title}: mean wait in service times", f"{GROSS}, section 2.3",
            wait,
            lambda quick, waits=waits: _over_replications(waits(quick), _wait),
        )  # fmt: skip
    yield played(
        "queues.play-simpy", "M/M/1 at ρ = .4, by the SimPy engine: mean wait in service times", GROSS, 0.6667,
        lambda quick: _over_replications(_simpy(quick), _wait),
    )  # fmt: skip
    for slug, title, service, variance in (
        ("constant", "M/D/1", {"constant": "1s"}, 0.0),
        ("variable", "M/G/1, gamma service times of sd 1.5", {"gamma": {"mean": "1s", "sd": "1500ms"}}, 2.25),
    ):
        yield played(
            f"queues.play-{slug}", f"{title}, at ρ = .7: mean wait in service times", POLLACZEK,
            lambda variance=variance: mg1_wait(0.7, 1.0, variance),
            lambda quick, slug=slug, service=service: _over_replications(
                _calls(slug, quick, 0.7, {"replicas": 1}, service=service), _wait
            ),
        )  # fmt: skip
    yield played(
        "queues.play-loss", "M/M/5 without a queue, load 3: share rejected", f"{ERLANG} (B formula)", lambda: erlang_b(5, 3.0),
        lambda quick: _over_replications(_calls("loss", quick, 3.0, {"replicas": 5, "queue": 0}), _rejected),
    )  # fmt: skip
    yield played(
        "queues.play-reneging", "M/M/1 at ρ = .9, patience in the queue of two service times: share that leaves", BARRER,
        lambda: mm1_reneging(0.9, 2.0),
        lambda quick: _over_replications(_calls("reneging", quick, 0.9, {"replicas": 1, "patience": "2s"}), _left),
    )  # fmt: skip
    yield played(
        "queues.play-shadow",
        "a shadow on production's only server, ρ from .4 to .8: mean wait of a live call, which comes together with its copy",
        f"{POLLACZEK}: M/G/1 of the batches", lambda: mg1_wait(0.4, 2.0, 2.0),
        lambda quick: _over_replications([calls[calls["copy"] == 0] for calls in _shadowed(quick)], _wait),
    )  # fmt: skip
    yield played(
        "queues.play-superposition", "two arms at .4 each on one server: mean wait of either", f"{GROSS}: M/M/1 at ρ = .8", 4.0,
        lambda quick: _over_replications(_calls("both", quick, 0.8, {"replicas": 1}, share=0.5), _wait),
    )  # fmt: skip


def _formulas() -> Iterator[Figure]:
    yield exact("queues.mm4", "M/M/4 at ρ = .8: mean wait in service times", ERLANG, 0.7455, lambda: mmc_wait(4, 3.2), 1e-4)
    yield exact(
        "queues.mm1", "M/M/1 at ρ = .4 and .8: share that waits, mean wait", ERLANG, (0.4, 0.667, 0.8, 4.0),
        lambda: [erlang_c(1, 0.4), mmc_wait(1, 0.4), erlang_c(1, 0.8), mmc_wait(1, 0.8)],
    )  # fmt: skip
    yield exact(
        "queues.erlang-b-1", "load with 1% lost, 5, 10, 20, 100 servers", TABLES, (1.36, 4.46, 12.0, 84.1),
        lambda: [offered_load(servers, 0.01) for servers in (5, 10, 20, 100)], 0.05, recalled=True,
    )  # fmt: skip
    yield exact(
        "queues.erlang-b-2", "load with 2% lost, 5, 10, 20, 30 servers", TABLES, (1.66, 5.08, 13.2, 21.9),
        lambda: [offered_load(servers, 0.02) for servers in (5, 10, 20, 30)], 0.05, recalled=True,
    )  # fmt: skip
    yield exact(
        "queues.mg1", "M/G/1 at ρ = .8, exponential and constant service: mean wait", POLLACZEK, (4.0, 2.0),
        lambda: [mg1_wait(0.8, 1.0, variance) for variance in (1.0, 0.0)],
    )  # fmt: skip


def _wait(calls: Calls) -> float:
    served = calls[calls["start_ns"] >= 0]
    return float((served["start_ns"] - served["arrive_ns"]).mean() / NS)


def _delayed(calls: Calls) -> float:
    return float((calls["start_ns"] > calls["arrive_ns"]).mean())


def _rejected(calls: Calls) -> float:
    from sim.engine.calls import REJECTION

    return float((calls["outcome"] == REJECTION).mean())


def _left(calls: Calls) -> float:
    return float((calls["start_ns"] < 0).mean())


def _over_replications(tables: Sequence[Calls], what: Callable[[Calls], float]) -> Sample:
    """The mean over replications of a statistic of the calls after the warm-up."""
    return mean(np.array([what(calls[calls["arrive_ns"] >= WARM_S * NS]) for calls in tables]))


def _once(servers: int, load: float) -> Callable[[bool], Sequence[Calls]]:
    return lambda quick: _mmc(servers, load, quick)


@cache
def _mmc(servers: int, load: float, quick: bool) -> Sequence[Calls]:
    return _calls(f"mm{servers}-{load * 10:g}", quick, load, {"replicas": servers})


def _simpy(quick: bool) -> Sequence[Calls]:
    return _calls("simpy", quick, 0.4, {"replicas": 1}, engine="simpy", replications=160)


def _shadowed(quick: bool) -> Sequence[Calls]:
    never = {"name": "test", "kind": "shadow", "duration": f"{2 * (WARM_S + PLAYED_S)}s", "checks": [_NEVER]}
    return _calls("shadow", quick, 0.4, {"replicas": 1}, policy=never)


_NEVER = {"metric": "error_rate", "max": "100%"}


def _calls(
    name: str,
    quick: bool,
    rate: float,
    servers: Mapping[str, Any],
    *,
    service: Any = None,
    share: float = 0.0,
    policy: Mapping[str, Any] | None = None,
    engine: str = "compiled",
    replications: int = 1000,
) -> list[Calls]:
    """All calls of each replication of a scenario in which all arms share a pool. The default mean service time is 1 s."""
    played_policy = policy or test_by(NEVER, split=(1 - share, share))
    seconds = WARM_S + PLAYED_S
    scenario = scenario_of(
        f"queue-{name}", 2, some(replications, quick), 1, 1, [played_policy], engine=engine, tick="500s", horizon=f"{seconds}s",
        traffic={"rate": f"{rate}/s"}, pools={"main": {**servers, "arms": ["champion", "a"]}},
    )  # fmt: skip
    arm = {"outcomes": {"conversion": {"bernoulli": 0.5}}, "latency": service or SERVICE}
    (point,) = plan_scenario(scenario, behaving([arm, arm])).points
    record = _recorder(point.engine.name)
    tables = []
    for replication in range(point.scenario.replications):
        made: list[Any] = []

        def make(truth: Truth, needs: tuple[Column, ...], mirrors: bool, made: list[Any] = made) -> Engine:
            made.append(record(truth, needs, mirrors, record=True))
            return made[0]  # type: ignore[no-any-return]

        play(point.world.realise(np.array([replication])), point.policy("test"), make, samples=2)
        tables.append(made[0].calls)
    return tables


def _recorder(engine: str) -> Any:
    """The maker of an engine that records every call."""
    return ENGINES[engine].load()
