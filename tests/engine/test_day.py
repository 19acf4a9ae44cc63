"""A world with a day in it is played alike by all engines: cycles of the mean, an effect by the hour, and shocks.

The event engines agree bit for bit, `aggregate` agrees with them in distribution, and all of them with what a formula says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.base import Maker
from sim.engine.catalogue import ENGINES
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.columns import mean_of
from sim.world.world import World
from tests.columns import counts, moments
from tests.engine.side_by_side import Floats, apart, observed, spread_apart
from tests.thorough import plays
from tests.worlds import behaves, make_scenario, make_world

METRICS: list[dict[str, Any]] = [
    {
        "name": "conversion", "role": "primary", "delay": {"exponential": "1h"}, "daily": {"peak": "23:00", "amplitude": "60%"},
        "weekly": [1, 0.6, 1, 1, 1, 1, 1], "shocks": {"sd": "20%", "correlation_time": "2h"},
    },
    {"name": "items", "daily": {"peak": "12:00", "amplitude": "40%"}, "shocks": {"sd": "30%", "correlation_time": "1h"}},
    {
        "name": "score", "delay": {"constant": "1h"}, "weekly": [1, 2, 1, 1, 1, 1, 1],
        "shocks": {"sd": "10%", "correlation_time": "3h"},
    },
    {
        "name": "revenue", "daily": {"peak": "23:00", "amplitude": "20%"}, "grid": 0.01,
        "shocks": {"sd": "20%", "correlation_time": "4h"},
    },
]  # fmt: skip
NIGHT: dict[str, Any] = {
    "challenger": {
        "conversion": {
            "relative_effect": {"normal": {"mean": "0%", "sd": "5%"}},
            "when": [{"between": ["22:00", "23:30"], "relative_effect": {"uniform": {"low": "20%", "high": "60%"}}}],
        },
        "items": {
            "relative_effect": "10%",
            "when": [{"days": [2], "relative_effect": {"normal": {"mean": "-20%", "sd": "5%"}}}],
        },
        "revenue": {"relative_effect": "0%", "when": [{"between": ["00:30", "01:00"], "relative_effect": "50%"}]},
    }
}
SEGMENTS = [
    {"name": "mobile", "share": "70%", "relative": {"conversion": "-20%", "items": "30%"}},
    {"name": "desktop", "share": "30%"},
]
NEEDS = (
    *counts("requests", "responses"), *mean_of("conversion"), *moments("items", "sum", "square"),
    *moments("score", "sum", "square"), *moments("revenue", "sum", "square"),
)  # fmt: skip
# A mean that is off by 0.16 of its standard deviation is found nine times in ten, and by 0.11 in `scripts/verify`.
ROWS = plays(2500, 6000)
FEW, MANY, OTHERS = np.arange(200), np.arange(ROWS), np.arange(100_000, 100_000 + ROWS)


def world(**changes: Any) -> World:
    """Six hours from nine in the evening on, in ticks of an hour; a third of the calls straddle an edge."""
    said = behaves(
        outcomes={
            "conversion": {"bernoulli": 0.12}, "items": {"poisson": 1.3}, "score": {"normal": {"mean": 5, "sd": 2}},
            "revenue": {"zero_inflated": {"rate": 0.4, "amount": {"gamma": {"mean": 30, "sd": 10}}}},
        },
        latency={"quantiles": {"0%": "1s", "100%": "40m"}}, error_rate=0.1,
    )  # fmt: skip
    scenario = make_scenario(**{
        "horizon": "6h", "tick": "1h", "traffic": {"rate": "40/h", "start": "21:00"}, "metrics": METRICS, "truth": NIGHT,
        "segments": SEGMENTS, **changes,
    })  # fmt: skip
    return make_world(scenario, [said] * 2)


@pytest.fixture(scope="module")
def both() -> tuple[Floats, Floats]:
    of = world()
    return observed(CompiledEngine, of, MANY, NEEDS)[0], observed(AggregateEngine, of, OTHERS, NEEDS)[0]


def flat(shown: Floats, ticks: slice = slice(4)) -> Floats:
    return shown[:, ticks].reshape(len(shown), -1)


def test_means_of_every_column_and_tick_agree(both: tuple[Floats, Floats]) -> None:
    z = apart(*map(flat, both))
    assert z.size == 4 * 2 * len(NEEDS)
    # 88 comparisons: the largest of as many normals exceeds 4.2 once in 400 runs.
    assert np.abs(z).max() < 4.2
    assert 0.7 < z[z != 0].std() < 1.3


def test_variances_and_covariances_between_arms_and_ticks_agree(both: tuple[Floats, Floats]) -> None:
    """Shocks show in what arms and ticks have in common."""
    z = spread_apart(*(flat(shown, slice(1, 4)) for shown in both))
    assert np.abs(z).max() < 5
    assert 0.7 < z[z != 0].std() < 1.2


def test_means_agree_where_half_of_the_replications_are_decided(both: tuple[Floats, Floats]) -> None:
    z = apart(*(flat(shown[::2], slice(4, None)) for shown in both))
    assert np.abs(z).max() < 4.2


def test_the_event_engines_agree_bit_for_bit() -> None:
    of = world(users={"count": 50, "assignment": "request", "similarity": "20%"})
    for one, other in zip(observed(CompiledEngine, of, FEW, NEEDS), observed(SimpyEngine, of, FEW, NEEDS), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("engine", [AggregateEngine, CompiledEngine], ids=["aggregate", "compiled"])
def test_means_are_what_a_formula_says(engine: Maker) -> None:
    """Score and items of good answers, from numbers that are worked out here once more."""
    plain = [{key: value for key, value in metric.items() if key != "delay"} for metric in METRICS]
    of = world(metrics=plain, segments=[])
    shown = observed(engine, of, MANY, NEEDS)[0][:, :3].reshape(MANY.size, 3, 2, len(NEEDS))
    # What ended in a tick began in it or in the tick before, when the mean was another one: so the first three ticks together
    # are compared with requests, by their ticks, less those in flight at the end.
    hours = np.arange(21, 24) + 0.5
    # The share in flight at the third edge: the mean latency over the tick.
    late = np.array([0.0, 0.0, 1200.5 / 3600])
    known = 40 * 0.9 * (1 - late)
    cosine = np.sin(np.pi / 24) / (np.pi / 24) * np.cos(2 * np.pi * (hours - 12) / 24)
    for arm, share, effect in ((0, 0.5 / 0.8, 1.0), (1, 0.3 / 0.8, 1.1)):
        items = shown[:, :, arm, NEEDS.index(moments("items", "sum")[0])].sum(axis=1)
        expected = (share * known * 1.3 * effect * (1 + 0.4 * cosine)).sum()
        assert abs(items.mean() - expected) < 4 * items.std() / np.sqrt(items.size)
        score = shown[:, :, arm, NEEDS.index(moments("score", "sum")[0])].sum(axis=1) * of.outcomes[2].grid
        assert abs(score.mean() - 5 * share * known.sum()) < 4 * score.std() / np.sqrt(score.size)


def test_auto_takes_the_aggregate_engine_where_an_amount_that_changes_is_not_late() -> None:
    assert "outlast" not in " ".join(ENGINES["aggregate"].refused(world(), NEEDS))
    assert not ENGINES["aggregate"].refused(world(), NEEDS)
    late = [*METRICS[:3], {**METRICS[3], "delay": {"exponential": "1h"}}]
    (reason,) = ENGINES["aggregate"].refused(world(metrics=late), NEEDS)
    assert reason.startswith("metrics.revenue.delay: the mean of an amount changes from tick to tick")


def test_a_block_of_replications_does_not_depend_on_its_others() -> None:
    for engine in (AggregateEngine, CompiledEngine):
        alone = observed(engine, world(), np.array([3, 8]), NEEDS)[0]
        together = observed(engine, world(), np.arange(10), NEEDS)[0][[3, 8]]
        # Every second row of a block is decided after four ticks.
        assert np.array_equal(alone[:, :4], together[:, :4])
