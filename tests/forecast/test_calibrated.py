"""Forecasts come true as often as they say: of rollouts that the simulator itself plays, with a truth from the prior."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.forecast.forecasting import forecast
from sim.policy.base import Verdict
from tests.forecast.scenarios import MODEL, point, scenario
from tests.forecast.seen import play, write
from tests.thorough import plays

ROLLOUTS, DRAWS = plays(40, 60), 150
# Looks, in ticks.
LOOKS = (3, 7)

POLICIES: dict[str, dict[str, Any]] = {
    "ab": {"kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 12000}},
    "canary": {
        "kind": "canary",
        "steps": [{"weight": "10%", "bake": "4d"}, {"weight": "50%", "bake": "6d"}],
        "checks": [{"metric": "conversion", "min_ratio": 0.97, "over": "stage", "every": "1d", "min_requests": 500}],
    },
}
LATE = {"metrics": [{"name": "conversion", "role": "primary", "delay": {"exponential": "2d"}}]}


@pytest.mark.parametrize(("policy", "changes"), [("ab", {}), ("ab", LATE), ("canary", {})], ids=["ab", "late", "canary"])
def test_forecasts_are_calibrated_and_a_martingale(tmp_path: Path, policy: str, changes: dict[str, Any]) -> None:
    """`DRAWS` rehearsals add a variance of p (1 - p) / DRAWS to a forecast, a hundredth of that of what happens."""
    said = scenario(tick="1d", replications=ROLLOUTS, policies=[{"name": "it", **POLICIES[policy]}], **changes)
    here = point(said)
    ships, forecasts = np.zeros(ROLLOUTS), np.zeros((ROLLOUTS, len(LOOKS)))
    for number in range(ROLLOUTS):
        rollout = play(here, "it", number)
        ships[number] = rollout.trial["verdict"] == Verdict.SHIP
        for place, look in enumerate(LOOKS):
            if rollout.ended <= look:
                forecasts[number, place] = ships[number]
                continue
            seen = write(rollout, here, tmp_path / "seen.csv", look)
            way = forecast(said, "it", seen, [MODEL, MODEL], replications=DRAWS).ways[0]
            forecasts[number, place] = way.right_ship.value + way.wrong_ship.value
    for place in range(len(LOOKS)):
        p = forecasts[:, place]
        variance = p * (1 - p) + (0.5 / DRAWS) * (p * (1 - p) + 1 / DRAWS)
        assert abs((ships - p).sum()) < 4 * math.sqrt(variance.sum())
        # Spiegelhalter, Statistics in Medicine 5 (1986) 421: whether forecasts are too bold or too timid.
        bold = ((ships - p) * (1 - 2 * p)).sum() / math.sqrt(((1 - 2 * p) ** 2 * variance).sum())
        assert abs(bold) < 4
    moved = forecasts[:, 1] - forecasts[:, 0]
    # The next forecast is on average the present one, also among those that are high, and among those that are low.
    for weight in (np.ones(ROLLOUTS), forecasts[:, 0] - forecasts[:, 0].mean()):
        assert abs((weight * moved).sum()) < 4 * math.sqrt(((weight * moved) ** 2).sum() + 1 / DRAWS)
    # And it learns: what is seen later tells more.
    assert ((ships - forecasts[:, 1]) ** 2).mean() < ((ships - forecasts[:, 0]) ** 2).mean() + 0.02
