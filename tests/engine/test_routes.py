"""Where weights send users who keep their arm: exact shares; who came stays while weights rise, and the last to come leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.engine.routes import homes, routers
from sim.policy.base import Routing
from sim.policy.columns import Count
from tests.engine.heap_engine import HeapEngine, kept_arm
from tests.thorough import plays
from tests.worlds import behaves, make_scenario, make_world

same = settings(deadline=None, derandomize=True, database=None, max_examples=plays(60, 150))

# Users by their two uniforms; none of them on an edge.
PLACES = (np.arange(500) + np.sqrt(0.5)) / 500
GUESTS = (0.0501, 0.3502, 0.6503, 0.9504)


def whole(parts: Sequence[int]) -> list[float]:
    """Weights in proportion to whole numbers; all to the champion, if all are zero."""
    return [each / sum(parts) for each in parts] if any(parts) else [1.0] + [0.0] * (len(parts) - 1)


def weights(arms: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.integers(0, 9), min_size=arms, max_size=arms).map(whole)


PAIRS = st.integers(2, 7).flatmap(lambda arms: st.tuples(weights(arms), weights(arms)))


def arms_of(live: Sequence[float]) -> NDArray[np.int64]:
    """(500, 4) the arm of every user."""
    (router,) = routers(np.array([live]), sticky=True)
    return np.array([[router.arm(u, v) for v in GUESTS] for u in PLACES.tolist()])


@given(PAIRS)
@same
def test_shares_are_exact(pair: tuple[list[float], list[float]]) -> None:
    for live in pair:
        count = len(live) - 1
        own, guests, thresholds = (limits[0] for limits in homes(np.array([live])))
        of_guests = np.diff(np.minimum(thresholds, 1), prepend=0)
        shares = (1 - own + of_guests * guests.sum()) / count
        assert np.allclose([(own - guests).sum() / count, *shares], live, rtol=0, atol=1e-12)
        # An arm without weight has nobody at all.
        assert all(live[arm] > 0 for arm in np.unique(arms_of(live)))


@given(PAIRS)
@same
def test_a_second_opinion_sends_every_user_to_the_same_arm(pair: tuple[list[float], list[float]]) -> None:
    for live in pair:
        assert arms_of(live).tolist() == [[kept_arm(live, u, v) for v in GUESTS] for u in PLACES.tolist()]


@given(PAIRS)
@same
def test_a_smaller_weight_has_some_of_the_users_of_a_larger_one(pair: tuple[list[float], list[float]]) -> None:
    before, after = map(arms_of, pair)
    challengers = len(pair[0]) - 1
    home = 1 + np.broadcast_to((PLACES * challengers).astype(int)[:, None], before.shape)
    for arm in range(1, challengers + 1):
        few, many = (before == arm, after == arm) if pair[0][arm] <= pair[1][arm] else (after == arm, before == arm)
        assert not (few & ~many & (home == arm)).any()
        if challengers <= 2 or max(pair[0][arm], pair[1][arm]) <= 1 / challengers:
            assert not (few & ~many).any()


def test_cumulated_weights_serve_where_every_request_is_assigned_on_its_own() -> None:
    (router,) = routers(np.array([[0.8, 0.1, 0.1]]), sticky=False)
    assert [router.arm(u, 0.5) for u in (0.0, 0.79, 0.81, 0.89, 0.91, 1.0)] == [0, 0, 1, 1, 2, 2]


# The weights of champion, a and b, tick by tick.
PATH = {
    "start": (0.8, 0.1, 0.1),
    "both rise": (0.6, 0.2, 0.2),
    "a rises far": (0.15, 0.65, 0.2),
    "a falls": (0.7, 0.1, 0.2),
    "a is removed": (0.7 / 0.9, 0.0, 0.2 / 0.9),
}
USERS = 400


@pytest.fixture(scope="module", params=[SimpyEngine, CompiledEngine, HeapEngine], ids=lambda engine: engine.__name__)
def served(request: pytest.FixtureRequest) -> dict[str, list[set[int]]]:
    """{step of the path: by arm, the users whom it served}, of a scenario played on an engine."""
    scenario = make_scenario(
        arms=("champion", "a", "b"), horizon="50m", traffic={"rate": "12/s", "arrivals": "regular"},
        users={"count": USERS, "activity": "even", "assignment": "sticky"},
    )  # fmt: skip
    make: Callable[..., Any] = request.param
    engine = make(make_world(scenario, [behaves()] * 3).realise(np.arange(1)), (Count("requests"),), False, record=True)
    for live in PATH.values():
        engine.step(Routing(np.arange(1), np.array([live]), np.zeros((1, 3)), np.zeros(1, np.int64)))
    engine.settle(np.zeros(1, np.int64), np.full(1, -1))
    tick = engine.calls["arrive_ns"] // (600 * 10**9)
    return {
        step: [set(engine.calls["user"][(tick == number) & (engine.calls["arm"] == arm)].tolist()) for arm in range(3)]
        for number, step in enumerate(PATH)
    }


def test_every_user_has_one_arm_and_every_arm_its_share(served: dict[str, list[set[int]]]) -> None:
    for step, found in served.items():
        # 18 requests of a user in a tick: all are seen.
        assert sum(map(len, found)) == len(set().union(*found)) == USERS
        for users, share in zip(found, PATH[step], strict=True):
            assert abs(len(users) - share * USERS) <= 4 * np.sqrt(share * (1 - share) * USERS)


def test_nobody_leaves_a_challenger_while_its_weight_rises(served: dict[str, list[set[int]]]) -> None:
    for before, after in pairwise(PATH):
        for arm in (1, 2):
            if PATH[after][arm] >= PATH[before][arm]:
                assert served[before][arm] <= served[after][arm], (before, after)


def test_a_weight_that_falls_loses_the_last_to_come(served: dict[str, list[set[int]]]) -> None:
    assert served["start"][1] < served["both rise"][1] < served["a rises far"][1]
    # Back at 10%, it has those with whom it began.
    assert served["a falls"][1] == served["start"][1]
    assert not served["a is removed"][1]


def test_engines_agree_on_every_user() -> None:
    scenario = make_scenario(
        arms=("champion", "a", "b", "c", "d"), horizon="50m", traffic={"rate": "2/s"}, retries={"attempts": 2},
        users={"count": 200, "activity": {"pareto": 1.5}, "assignment": "sticky"},
    )  # fmt: skip
    truth = make_world(scenario, [behaves(error_rate="20%")] * 5).realise(np.arange(2))
    calls = []
    for make in (SimpyEngine, CompiledEngine, HeapEngine):
        engine: Any = make(truth, (Count("requests"),), False, record=True)
        for live in ((0.2,) * 5, (0.1, 0.4, 0.3, 0.2, 0), (0, 0.5, 0.05, 0.05, 0.4), (0, 0.3, 0.3, 0.3, 0.1), (0, 0, 0, 1, 0)):
            each = np.array([live, live[:1] + live[:0:-1]], np.float64)
            engine.step(Routing(np.arange(2), each, np.zeros((2, 5)), np.zeros(2, np.int64)))
        engine.settle(np.zeros(2, np.int64), np.full(2, -1))
        calls.append(np.sort(engine.calls))
    assert (calls[0]["attempt"] > 0).any()
    assert np.array_equal(calls[0], calls[1])
    assert np.array_equal(calls[0], calls[2])
