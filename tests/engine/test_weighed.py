"""Sums over users, weighed within ticks: exact in whatever order requests are told, and what a trace of them adds up to."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.arrays import Ints
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.events import Steering, event_log
from sim.engine.feedback import COUNTS, FIELDS, KNOWN, LANE, REQUEST, ROW, VALUE, VISITED, FeedbackLog
from sim.engine.limbs import add_product
from sim.engine.reference.engine import SimpyEngine
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import Moment, WeighedUserMoment, weighed_user_moments
from sim.world.clock import to_ns
from sim.world.potential import Potential, user_of
from sim.world.world import World
from tests.engine.test_feedback import small_world
from tests.worlds import behaves, make_scenario, make_world

LIVE = ([0.6, 0.3, 0.1], [0.25, 0.5, 0.25], [0.0, 0.3, 0.7], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0])
NEEDS = (*weighed_user_moments("revenue"), Moment("revenue", "count"))


def three_arms(delay: dict[str, Any], assignment: str) -> World:
    """Forty users, who send some three calls a tick, of which some fail; what they earn is told at once or later."""
    scenario = make_scenario(
        arms=("champion", "a", "b"), tick="10s", horizon="3m", traffic={"rate": "4/s"},
        users={"count": 40, "similarity": "30%", "assignment": assignment},
        metrics=[{"name": "revenue", "role": "primary", "failure": {"worth": -7}, **delay}],
    )  # fmt: skip
    earns = {"revenue": {"lognormal": {"mean": 30.0, "sd": 20.0}}}
    return make_world(scenario, [behaves(outcomes=earns, error_rate="5%", latency={"exponential": "3s"})] * 3)


def played(engine: Any, world: World) -> tuple[Ints, Any, Any]:
    """(T, K, C) telemetry of a replication under `LIVE` in turn, the shares (T, K), and the engine."""
    made = engine(world.realise(np.arange(1)), NEEDS, False, record=True)
    live = np.array([LIVE[tick % len(LIVE)] for tick in range(world.ticks)])
    ticks = [
        made.step(Routing(np.arange(1), live[tick : tick + 1], np.zeros((1, 3)), np.zeros(1, np.int64))).counts[0]
        for tick in range(world.ticks)
    ]
    return np.array(ticks), live, made


def exact(counts: Ints, challenger: int) -> list[int]:
    """The ten sums of a challenger, in units of 2⁻⁴⁰."""
    total = counts.sum(axis=0)[1 + challenger, :-1].tolist()
    return [whole * 2**40 + rest for whole, rest in zip(total[::2], total[1::2], strict=True)]


def by_hand(world: World, live: Any, engine: Any, challenger: int, bits: int | None) -> list[Any]:
    """The same from the event log: weights in units of 2⁻²⁰, or as they are if `bits` is None."""
    log = event_log(engine.truth, engine.calls, Steering(live, np.zeros_like(live), None), world.ticks)
    told = log[log["event"] == "feedback"]
    grid, seen = world.outcomes[0].grid, set()
    sent = dict(zip(engine.calls["request"].tolist(), (engine.calls["arrive_ns"] // to_ns(world.tick_s)).tolist(), strict=True))
    users: dict[int, list[Any]] = {}
    for time_s, request, user, arm, detail in told[["time_s", "request", "user", "arm", "detail"]].itertuples(index=False):
        tick, lane = int(time_s // world.tick_s), world.arms.index(arm)
        if tick >= world.ticks or lane not in (0, 1 + challenger):
            continue
        shares = live[sent[request]]
        both = shares[0] + shares[1 + challenger]
        share = shares[1 + challenger] / both if both > 0 else 0.0
        weight = share if bits is None else round(share * 2**bits)
        of = users.setdefault(user, [0, 0, 0, 0])
        side, weight = (2, weight) if lane == 0 else (0, (1 if bits is None else 2**bits) - weight)
        value = round(float(detail.partition("=")[2]) / grid)
        # An outcome that counts before it is known is told again, and counts once.
        of[side] += weight if request not in seen else 0
        of[side + 1] += weight * value
        seen.add(request)
    n, s, base_n, base_s = (np.array(each, object) for each in zip(*users.values(), strict=True))
    pairs = (s, s), (n, s), (n, n), (base_s, base_s), (base_n, base_s), (base_n, base_n)
    return [int(a @ b) if bits else float(a @ b) for a, b in (*pairs, (base_s, s), (base_n, s), (base_s, n), (base_n, n))]


@pytest.mark.parametrize("engine", [CompiledEngine, SimpyEngine])
@pytest.mark.parametrize("assignment", ["sticky", "request"])
@pytest.mark.parametrize(
    "delay",
    [
        {},
        {"delay": {"exponential": "20s"}},
        {"delay": {"exponential": "20s"}, "attribution_window": "30s", "until_known": "failure"},
    ],
    ids=["prompt", "late", "failures in a window"],
)
def test_the_columns_are_what_a_trace_of_the_requests_adds_up_to(engine: Any, assignment: str, delay: dict[str, Any]) -> None:
    world = three_arms(delay, assignment)
    counts, live, made = played(engine, world)
    assert not counts[:, 0, :-1].any()
    assert (counts[..., 1:-1:2] >= 0).all()
    assert counts[..., -1].sum() > 400
    for challenger in range(2):
        found = exact(counts, challenger)
        assert found == by_hand(world, live, made, challenger, 20)
        # Weights are rounded to a millionth.
        assert np.array(found) / 2**40 == pytest.approx(by_hand(world, live, made, challenger, None), rel=1e-5)
        # Users meet both arms, as weights change.
        assert all(found)


def test_sums_are_exact_where_products_have_more_than_64_bits() -> None:
    draw = random.Random(3)
    for _ in range(300):
        sums, whole = np.zeros(2, np.int64), 0
        for _ in range(8):
            a, b = (draw.choice((-1, 1)) * draw.getrandbits(draw.randrange(1, 50)) for _ in range(2))
            add_product(sums, np.int64(a), np.int64(b), 40)
            whole += a * b
        assert int(sums[0]) * 2**40 + int(sums[1]) == whole
        assert 0 <= sums[1] < 2**40


@pytest.mark.parametrize("most", [10**6, 2**31], ids=["small", "large"])
def test_the_order_of_the_log_does_not_matter(most: int) -> None:
    """Nor does how large amounts are: sums of squares of 2³¹ steps of a grid are near 2⁶³, in whole units already."""
    world = small_world()
    truth, rng = world.realise(np.arange(2)), np.random.default_rng(4)
    needs = weighed_user_moments("revenue")
    log = np.zeros((500, FIELDS), np.int64)
    log[:, ROW], log[:, LANE] = rng.integers(0, 2, (2, 500))
    # Requests of a thousand come from forty users; those of large amounts from all over.
    log[:, REQUEST], log[:, COUNTS] = rng.integers(0, 1000, 500), 1
    log[:, VALUE] = np.where(rng.random(500) < (1.0 if most < 10**9 else 0.002), rng.integers(-9, most, 500), 1)
    log[:, KNOWN] = rng.integers(0, 3, 500)
    log[:, VISITED] = np.minimum(log[:, KNOWN], rng.integers(0, 3, 500))
    live = np.array([[[0.9, 0.1], [0.3, 0.7]], [[0.5, 0.5], [0.4, 0.6]], [[0.1, 0.9], [1.0, 0.0]]])
    seen = []
    for order in (np.arange(500), rng.permutation(500)):
        potential = Potential(truth, ["revenue"], False, False)
        feedback, ticks = FeedbackLog(truth, potential, needs), []
        for tick in range(3):
            feedback.weigh(np.arange(2), tick, live[tick])
            if tick == 0:
                feedback.book(log[order[:300]], tick)
                feedback.book(log[order[300:]], tick)
            ticks.append(np.zeros((2, 2, len(needs)), np.int64))
            feedback.report(np.arange(2), tick, ticks[-1])
        seen.append(np.array(ticks))
    assert (seen[0] == seen[1]).all()
    squares = {0: 0, 1: 0}
    tables, sums = potential.tables, {}
    for entry in log.tolist():
        user = int(user_of(tables.rules[0], tables.rows[entry[ROW]], tables.floats, tables.ints, entry[REQUEST]))
        weight = round(live[entry[VISITED], entry[ROW], 1] * 2**20)
        if entry[LANE] == 1:
            sums[entry[ROW], user] = sums.get((entry[ROW], user), 0) + (2**20 - weight) * entry[VALUE]
    for (row, _), total in sums.items():
        squares[row] += total**2
    whole = seen[0].sum(axis=0)[:, 1].tolist()
    assert [2**40 * of[0] + of[1] for of in whole] == [squares[0], squares[1]]


def test_a_new_stage_counts_from_nothing() -> None:
    world = three_arms({"delay": {"constant": "15s"}}, "sticky")
    sizes = [WeighedUserMoment("revenue", "sizes", digits) for digits in ("whole", "rest")]
    seen = []
    for entered in (0, 9):
        engine = CompiledEngine(world.realise(np.arange(1)), (*sizes, Moment("revenue", "count")), False)
        total: Any = 0
        for tick in range(world.ticks):
            cohort = np.array([int(tick >= entered)])
            counts = engine.step(Routing(np.arange(1), np.array([[0.5, 0.25, 0.25]]), np.zeros((1, 3)), cohort)).counts[0]
            total = counts if tick == entered else total + counts
        seen.append(total[1])
    whole, late = (row[0] + row[1] / 2**40 for row in seen)
    # A weight of two thirds: the squares of as many requests as each of ten users has sent since.
    assert late >= (2 / 3) ** 2 * seen[1][2] ** 2 / 40
    assert late < 0.5 * whole


@pytest.mark.parametrize("engine", [CompiledEngine, SimpyEngine])
@pytest.mark.parametrize(
    ("users", "mirrored", "why"),
    [(None, False, "there are no users"), ({"count": 9}, True, "copies of requests have no share of traffic")],
)
def test_what_has_no_users_or_no_share_is_refused(engine: Any, users: Any, mirrored: bool, why: str) -> None:
    column = replace(WeighedUserMoment("conversion", "sizes", "whole"), mirrored=mirrored)
    with pytest.raises(InputError, match=f"telemetry has no column '{column.name}': {why}"):
        engine(small_world(users=users).realise(np.arange(1)), (column,), mirrored)
