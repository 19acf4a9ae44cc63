"""A world with arms that are alike keeps everything but their differences."""

from __future__ import annotations

import numpy as np

from sim.world.alike import alike
from tests.worlds import behaves, make_scenario, make_world

METRICS = [{"name": "conversion", "role": "primary"}, {"name": "revenue", "role": "secondary"}]
TIMELINE = [
    {"kind": "drift", "arm": "champion", "metric": "conversion", "at": "6h", "to": "30%"},
    {"kind": "drift", "arm": "a", "metric": "conversion", "at": "2h", "to": "-50%"},
    {"kind": "errors", "arm": "b", "at": "1h", "duration": "2h", "rate": "40%"},
]


def test_every_challenger_is_the_champion_once_more() -> None:
    scenario = make_scenario(
        arms=("champion", "a", "b"), metrics=METRICS, timeline=TIMELINE,
        truth={"a": {"conversion": {"relative_effect": {"normal": {"mean": 0.1, "sd": 0.05}}}}},
    )  # fmt: skip
    outcomes = [
        {"conversion": {"bernoulli": rate}, "revenue": {"normal": {"mean": mean, "sd": mean / 2}}}
        for rate, mean in ((0.05, 10), (0.06, 11), (0.07, 12))
    ]
    arms = [
        behaves(outcomes=each, error_rate=error, latency={"constant": f"{20 * (1 + place)}ms"})
        for place, (each, error) in enumerate(zip(outcomes, (0.01, 0.02, 0.2), strict=True))
    ]
    world = make_world(scenario, arms)
    same, own = alike(world).realise(np.arange(5)), world.realise(np.arange(5))
    for tick in (0, 10, 20, 60):
        value = same.value_at(tick)
        np.testing.assert_array_equal(value, np.repeat(value[:, :1], 3, axis=1))
        np.testing.assert_array_equal(value[:, 0], own.value_at(tick)[:, 0])
        conditions = same.conditions(tick)
        assert (conditions.error_rate == own.conditions(tick).error_rate[:, :1]).all()
        assert (same.mean_latency_s(tick) == own.mean_latency_s(tick)[:, :1]).all()
    np.testing.assert_array_equal(same.arrivals, own.arrivals)
    assert same.value_at(60)[0, 0] != same.value_at(0)[0, 0], "the champion's own drift stays"
    assert not same.effect
