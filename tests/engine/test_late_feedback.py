"""Feedback that is late: by arm, by outcome, within a window, and as a failure until it is known, in all engines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import refusals
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.columns import MOMENTS
from sim.world.feedback import Feedback
from sim.world.latency import Exponential
from sim.world.world import World
from tests.columns import mirrored, moments
from tests.engine.side_by_side import apart, observed, spread_apart, three_families
from tests.engine.test_aggregate_features import FACTORS, SEGMENTS

NEEDS = (*moments("conversion", *MOMENTS), *moments("score", *MOMENTS), *moments("revenue", *MOMENTS))
MANY, OTHERS = np.arange(6000), np.arange(100_000, 106_000)
SLOW, SLOWER, FIXED = {"exponential": "12s"}, {"exponential": "40s"}, {"constant": "17s"}
FAILURE, WINDOW = {"until_known": "failure"}, {"attribution_window": "30s"}


def late(**said: Any) -> list[dict[str, Any]]:
    """Three metrics, with keys of their feedback by name."""
    metrics: list[dict[str, Any]] = [{"name": "conversion", "role": "primary"}, {"name": "score"}, {"name": "revenue"}]
    return [{**each, **said.get(each["name"], {})} for each in metrics]


def apart_by(success: Any, failure: Any = None) -> dict[str, Any]:
    """A delay by outcome."""
    return {"by_outcome": {key: value for key, value in (("success", success), ("failure", failure)) if value}}


ARMS = {"by_arm": {"champion": SLOW, "a": FIXED}}
WORLDS: dict[str, dict[str, Any]] = {
    "a failure until it is known": {
        "metrics": late(
            conversion={"delay": SLOW, **FAILURE}, score={"delay": FIXED, **FAILURE}, revenue={"delay": SLOWER, **FAILURE}
        ),
    },
    "by arm": {"metrics": late(conversion={"delay": ARMS}, score={"delay": {"by_arm": {"b": FIXED, "a": {"constant": "5s"}}}})},
    "by arm, a failure until it is known, in a changing world": {
        "metrics": late(conversion={"delay": ARMS, **FAILURE}), "timeline": FACTORS, "segments": SEGMENTS,
    },
    "a window": {"metrics": late(conversion={"delay": SLOWER, **WINDOW}, revenue={"delay": SLOW, "attribution_window": "10s"})},
    "windows of failures until they are known": {
        "metrics": late(conversion={"delay": SLOWER, **WINDOW, **FAILURE}, revenue={"delay": SLOW, **WINDOW, **FAILURE}),
        "segments": SEGMENTS,
    },
    "a window in a changing world, by arm": {
        "metrics": late(conversion={"delay": ARMS, "attribution_window": "20s"}), "timeline": FACTORS,
    },
    "failures at once": {"metrics": late(conversion={"delay": apart_by(SLOW)})},
    "failures when the window closes": {
        "metrics": late(conversion={"delay": apart_by(SLOWER, "window"), **WINDOW}), "segments": SEGMENTS,
    },
    "failures sooner, or later, by arm, with a window, in a changing world": {
        "metrics": late(
            conversion={
                "delay": {"by_arm": {"champion": apart_by(SLOW, {"exponential": "70s"}), "a": apart_by(FIXED), "b": SLOW}},
                "attribution_window": "20s",
            }
        ),
        "timeline": FACTORS,
    },
    "failures later than the window": {
        "metrics": late(conversion={"delay": apart_by(FIXED, {"constant": "70s"}), **WINDOW}),
    },
}  # fmt: skip


@pytest.mark.parametrize("said", WORLDS.values(), ids=WORLDS.keys())
def test_aggregate_agrees_with_the_compiled_engine_in_distribution(said: dict[str, Any]) -> None:
    world = three_families(**said)
    assert not list(refusals(world))
    one, other = observed(CompiledEngine, world, MANY, NEEDS)[0], observed(AggregateEngine, world, OTHERS, NEEDS)[0]
    halves = ((slice(None), slice(0, 4)), (slice(None, None, 2), slice(4, 6)))
    means = [apart(*(shown[rows, ticks].reshape(len(shown[rows]), -1) for shown in (one, other))) for rows, ticks in halves]
    z = np.concatenate(means)
    # 162 means: the largest of as many normals exceeds 4.5 once in 900 runs.
    assert np.abs(z).max() < 4.5
    assert z[z != 0].std() < 1.5
    for ticks, rows in (([0, 1], slice(None)), ([2, 3], slice(None)), ([4, 5], slice(None, None, 2))):
        sides = (shown[rows][:, ticks].reshape(len(shown[rows]), -1) for shown in (one, other))
        assert np.abs(spread_apart(*sides)).max() < 5.2


@pytest.mark.parametrize("said", WORLDS.values(), ids=WORLDS.keys())
def test_the_event_engines_agree_bit_for_bit(said: dict[str, Any]) -> None:
    world = three_families(**said)
    needs = (*NEEDS, *mirrored(*NEEDS))
    one, other = (observed(engine, world, np.arange(6), needs) for engine in (CompiledEngine, SimpyEngine))
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def long_window(provisional: bool, failure_s: float | None = None) -> World:
    """A window of 13 ticks in a horizon of 20, in which a third of what is known within it is known in the last seven."""
    world = three_families(horizon="200s", traffic={"rate": "1/s"}, metrics=late(conversion={"delay": SLOW}))
    success, failure = Exponential(90.0), Exponential(failure_s or 90.0)
    return replace(world, feedback={"conversion": Feedback((success,) * 3, (failure,) * 3, 130.0, provisional)})


@pytest.mark.parametrize(("provisional", "failure_s"), [(True, None), (False, None), (False, 200.0)])
def test_a_window_of_many_ticks_agrees(provisional: bool, failure_s: float | None) -> None:
    world = long_window(provisional, failure_s)
    assert not list(refusals(world))
    needs = moments("conversion", "count", "sum")
    shown = []
    for engine, replications in ((CompiledEngine, MANY), (AggregateEngine, OTHERS)):
        made = engine(world.realise(replications), needs, False)
        shown.append(np.stack([made.step(_even(world)).counts for _ in range(world.ticks)], axis=1)[:, :, :2].astype(float))
    one, other = shown
    # 80 means, and 3,240 variances and covariances.
    assert np.abs(apart(one.reshape(len(one), -1), other.reshape(len(other), -1))).max() < 4.3
    assert np.abs(spread_apart(one.reshape(len(one), -1), other.reshape(len(other), -1))).max() < 5.0


def _even(world: World) -> Any:
    from sim.policy.base import Routing

    rows = np.arange(len(MANY))
    live = np.tile([0.4, 0.3, 0.3], (rows.size, 1))
    return Routing(rows, live, np.zeros_like(live), np.zeros(rows.size, np.int64))
