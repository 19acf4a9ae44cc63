"""Users who stay with the first challenger that they meet: the closed form, the event engines bit for bit, and what forgets."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from sim.engine.catalogue import make
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference import SimpyEngine
from sim.engine.routes import Cookies
from sim.policy.base import Routing
from sim.policy.columns import Count
from sim.run.trial import play
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

ENGINES = (SimpyEngine, CompiledEngine)
USERS = 300


def world(arms: tuple[str, ...] = ("champion", "challenger"), error_rate: str = "0%", **changes: Any) -> World:
    said = {"users": {"count": USERS, "activity": {"lognormal": 0.5}, "assignment": "canary"}, "horizon": "50m", **changes}
    scenario = make_scenario(arms=arms, **said)
    return make_world(scenario, [behaves(error_rate=error_rate)] * len(scenario.models))


def visits(engine: type, of: World, path: list[list[float]], rows: int = 4) -> Any:
    """Every call of an engine that is routed along a path of weights, one a tick, and a number (replications) of it."""
    played: Any = engine(of.realise(np.arange(rows)), (Count("requests"),), False, record=True)
    for live in path:
        each = np.tile(live, (rows, 1))
        played.step(Routing(np.arange(rows), each, np.zeros_like(each), np.zeros(rows, np.int64)))
    played.settle(np.zeros(rows, np.int64), np.full(rows, -1))
    return played.calls


def by_user(engine: type, of: World, path: list[list[float]]) -> list[list[int]]:
    """The arms that each user met, visit by visit, in one replication."""
    found = defaultdict(list)
    for call in visits(engine, of, path, rows=1):
        found[int(call["user"])].append((int(call["arrive_ns"]), int(call["arm"])))
    return [[arm for _, arm in sorted(met)] for met in found.values()]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_after_n_visits_a_user_is_there_with_the_chance_of_the_closed_form(engine: type) -> None:
    """1 - (1 - w)^n, of a weight of 10%."""
    weight, of = 0.1, world(traffic={"rate": "3/s"}, users={"count": 2000, "assignment": "canary"})
    met = by_user(engine, of, [[1 - weight, weight]] * 5)
    for n in range(1, 6):
        there = np.array([arms[n - 1] == 1 for arms in met if len(arms) >= n])
        chance = 1 - (1 - weight) ** n
        assert there.size > 300
        assert abs(there.mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / there.size), n


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_nobody_leaves_a_challenger_that_has_any_weight(engine: type) -> None:
    path = [[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.3, 0.1, 0.6], [0.98, 0.01, 0.01], [0.5, 0.25, 0.25]]
    for met in by_user(engine, world(("champion", "a", "b"), traffic={"rate": "2/s"}), path):
        first = next((place for place, arm in enumerate(met) if arm), len(met))
        assert len(set(met[first:])) <= 1


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_a_challenger_that_was_taken_away_begins_anew(engine: type) -> None:
    """All of them are there, then nobody is, and of those who come then a hundredth."""
    calls = visits(engine, world(traffic={"rate": "2/s"}), [[0.0, 1.0], [1.0, 0.0], [0.99, 0.01]])
    tick = calls["arrive_ns"] // (600 * 10**9)
    share = [calls["arm"][tick == number].mean() for number in range(3)]
    assert share[:2] == [1, 0]
    # Four requests of a user in a tick: the first at 1%, and the others at a little more.
    assert 0 < share[2] < 0.06


WITH_A_BASELINE = [
    {"arm": "champion", "uri": "models:/ranker/1"},
    {"arm": "challenger", "uri": "models:/ranker/2"},
    {"arm": "fresh", "uri": "models:/ranker/1", "role": "baseline"},
]
CANARY = {
    "name": "it", "kind": "canary", "steps": [{"weight": "5%", "bake": "20m"}, {"weight": "30%", "bake": "20m"}],
    "checks": [{"metric": "error_rate", "max": "25%", "trip": 2, "start": "10m"}],
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retries": {"attempts": 3, "on": ["error"], "backoff": "5s"}},
        {"capacity": {"challenger": {"replicas": 1, "queue": 4, "timeout": "300ms"}}, "retries": {"attempts": 2}},
        {"router": {"misrouted": {"challenger": "20%"}}},
        {"users": {"count": 90, "assignment": "canary", "similarity": "30%"}, "models": WITH_A_BASELINE},
    ],
    ids=["plain", "retries", "servers", "router", "baseline"],
)  # fmt: skip
def test_the_event_engines_play_it_bit_for_bit(changes: dict[str, Any]) -> None:
    policy = {**CANARY, "baseline": "models" in changes}
    scenario = make_scenario(policies=[policy])
    of = world(error_rate="20%", policies=[policy], **changes)
    forms = {form.name: form for form in scenario.policies}
    found = [
        play(of.realise(np.arange(5)), forms["it"].build(forms, scenario.arms), make(engine), 10)
        for engine in ("compiled", "simpy")
    ]
    for name, column in found[0].columns.items():
        np.testing.assert_array_equal(column, found[1].columns[name], err_msg=name)


def test_both_engines_send_every_attempt_to_the_same_arm() -> None:
    of = world(("champion", "a", "b"), "30%", traffic={"rate": "2/s"}, retries={"attempts": 3, "backoff": "20s"})
    path = [[0.6, 0.3, 0.1], [0.8, 0.0, 0.2], [0.7, 0.2, 0.1]]
    one, other = (visits(engine, of, path) for engine in ENGINES)
    np.testing.assert_array_equal(np.sort(one), np.sort(other))
    assert (one["attempt"] > 0).any()


def test_cookies_of_some_replications_leave_those_of_others() -> None:
    cookies = Cookies(3, 4, 3)
    cookies.begin(np.arange(3), np.tile([0.8, 0.1, 0.1], (3, 1)))
    cookies.kept[:] = [0, 1, 2, 1]
    cookies.begin(np.array([1, 2]), np.array([[0.9, 0.0, 0.1], [0.9, 0.1, 0.0]]))
    assert cookies.kept.tolist() == [[0, 1, 2, 1], [0, 0, 2, 0], [0, 1, 0, 1]]
