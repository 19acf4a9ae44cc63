"""A ramp by the risk of its next weight: one step by hand, how it moves, and that its promise holds when played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from sim.cli import main
from sim.policy.allocation import Sqr
from sim.policy.base import Allocation, View
from sim.testing.contract import AllocationContract, view_of
from sim.testing.settings import make_setting
from tests.undrawn import undrawn as undrawn

LADDER: dict[str, Any] = {"weights": ["1%", "10%", "50%"], "tolerance": "1%", "every": "1h", "expected_effect": "20%"}


class TestContract(AllocationContract):
    start = 0.99

    @pytest.fixture
    def part(self) -> Allocation:
        return Sqr.model_validate(LADDER)


def seen(part: Sqr, *arms: tuple[int, int], age: int = 6) -> View:
    """A view of (outcomes, sum) of each arm, all in the ticks so far."""
    return view_of(part, make_setting(len(arms)), np.array([arms]), np.ones((1, len(arms)), bool), age=age)


def weight(part: Sqr, *arms: tuple[int, int]) -> float:
    return float(part.live(seen(part, *arms))[0, 1])


def test_one_step_by_hand() -> None:
    """10% more loses 1% of all at a weight of 10%: so much worse than 20% of conversions is 2 points."""
    part = Sqr.model_validate({**LADDER, "chance": "20%"})
    n, base, spread = 4000, 0.2, 0.2 * 0.2
    each = 1 - 0.8 ** (1 / 2)
    assert part.chance_each(1) == pytest.approx(each)
    moved = {}
    for sold in range(600, 1100, 10):
        effect = (sold - n * base) / n
        # Information n n / (n + n), of the champion's registered variance.
        precision = 1 / spread**2 + (n / 2) / (base * (1 - base))
        mean, sd = effect * (n / 2) / (base * (1 - base)) / precision, precision**-0.5
        risky = [norm.cdf((-limit * base - mean) / sd) for limit in (1.0, 0.1, 0.02)]
        expected = 0.5 if risky[2] <= each else 0.1 if risky[1] <= each else 0.0 if risky[0] >= 1 - each else 0.01
        view = seen(part, (n, round(n * base)), (n, sold))
        np.testing.assert_allclose(part.intolerable(view, np.ones(1, bool))[0, 0], risky, atol=1e-12)
        assert part.live(view)[0, 1] == pytest.approx(expected)
        moved[expected] = True
    assert set(moved) == {0.01, 0.1, 0.5}


def test_nothing_moves_before_a_look() -> None:
    part = Sqr.model_validate(LADDER)
    good = (4000, 800), (4000, 1200)
    assert part.live(seen(part, *good, age=5))[0, 1] == pytest.approx(0.01)
    assert part.live(seen(part, *good, age=6))[0, 1] == pytest.approx(0.5)
    # The next look is an hour later.
    view = seen(part, *good, age=6)
    part.live(view)
    assert view.memory["next"][0] == 12


def test_an_arm_that_was_hardly_seen_stays() -> None:
    part = Sqr.model_validate({**LADDER, "min_outcomes": 4000})
    assert weight(part, (4000, 800), (3999, 1400)) == pytest.approx(0.01)
    assert weight(part, (4000, 800), (4000, 1400)) == pytest.approx(0.5)


def test_it_goes_back_to_what_is_not_shown_to_be_too_risky() -> None:
    part = Sqr.model_validate(LADDER)
    n = 40_000
    for sold, back in ((8000, 0.5), (7000, 0.1), (5000, 0.01)):
        view = seen(part, (n, 8000), (n, sold))
        view.memory["step"][:] = 2
        assert part.live(view)[0, 1] == pytest.approx(back)
    # At 1% of traffic all of it may be lost; at 10% a tenth.
    first = Sqr.model_validate({**LADDER, "weights": ["10%", "50%"]})
    assert weight(first, (n, 8000), (n, 5000)) == 0
    # And nothing that it has not seen brings it back.
    view = seen(first, (n, 8000), (n, 5000))
    first.live(view)
    view.age[:] = 12
    assert first.live(view)[0, 1] == 0


def test_the_schedule_stands_still_before_the_last_weight() -> None:
    part = Sqr.model_validate({**LADDER, "stay": "2h"})
    view = seen(part, (4000, 800), (4000, 800), (4000, 800))
    for steps, still in (([0, 2, 2], False), ([0, 2, 1], True), ([0, -1, 2], True)):
        view.memory["step"][:] = steps
        assert part.hold(view).tolist() == [still]
    # Who is out holds nobody up.
    view.arms_in[:] = [[True, True, False]]
    view.memory["step"][:] = [0, 2, 1]
    assert part.hold(view).tolist() == [False]
    assert part.length_s(view.setting) == 7200


def test_challengers_share_a_weight_and_the_chance() -> None:
    part = Sqr.model_validate(LADDER)
    live = part.live(seen(part, (9000, 1800), (9000, 2700), (9000, 2700)))
    np.testing.assert_allclose(live, [[0.5, 0.25, 0.25]])
    assert part.chance_each(2) < part.chance_each(1)
    # What one of them leaves is the champion's: nobody's risk was shown for more.
    view = seen(part, (9000, 1800), (9000, 2700), (9000, 2700))
    view.arms_in[:] = [[True, True, False]]
    np.testing.assert_allclose(part.live(view), [[0.75, 0.25, 0.0]])


def test_weights_rise() -> None:
    with pytest.raises(ValidationError, match="weights must rise"):
        Sqr.model_validate({**LADDER, "weights": ["10%", "10%"]})
    with pytest.raises(ValidationError, match="less than 1"):
        Sqr.model_validate({**LADDER, "weights": ["10%", "100%"]})


MODELS = """\
model: risky
versions:
  - {alias: champion, outcomes: {sale: {bernoulli: 10%}}, latency: {constant: 50ms}}
  - {alias: challenger, outcomes: {sale: {bernoulli: 10%}}, latency: {constant: 50ms}}
"""
SCENARIO = """\
name: risky
seed: 5
replications: 2000
horizon: 21d
tick: 1h
aa: false
sensitivity: off
traffic: {rate: 20/m, daily: {peak: "14:00", amplitude: 60%}}
models: [{arm: champion, uri: "models:/risky@champion"}, {arm: challenger, uri: "models:/risky@challenger"}]
truth: {challenger: {sale: {relative_effect: {normal: {mean: 0%, sd: 20%}}}}}
metrics: [{name: sale, role: primary, daily: {peak: "20:00", amplitude: 30%}}]
policies:
  - name: sqr
    kind: bandit
    allocation:
      {kind: sqr, weights: [1%, 5%, 10%, 25%, 50%], tolerance: 0.2%, chance: 10%, every: 12h, stay: 3d, expected_effect: 20%}
    evidence: {kind: survive}
    max_duration: 14d
  - name: by_clock
    kind: bandit
    allocation: {kind: ramp, ramp: {kind: exponential, first: 1%, factor: 3, until: 50%, every: 12h}}
    evidence: {kind: survive}
"""


def test_the_promise_holds_when_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Risk: the weight that a challenger ever had, times how much worse it is, where that weight is not the first."""
    monkeypatch.chdir(tmp_path)
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    Path("risky.yaml").write_text(SCENARIO, encoding="utf-8")
    store = ["--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    assert main(["models", "register", "models.yaml", *store]) == 0
    assert main(["check", "risky.yaml"]) == 0
    assert main(["run", "risky.yaml", "--out", "out", "--no-tracking", "--quiet", *store]) == 0
    trials = pd.read_parquet("out/trials.parquet")
    peak, effect = trials["peak_exposure"], trials["best_effect"]
    trials["too_risky"] = (peak > 0.011) & (-effect * peak > 0.002)
    risky = trials.groupby("policy")["too_risky"].mean()
    assert risky["sqr"] <= 0.1 + 4 * np.sqrt(0.1 * 0.9 / 2000)
    assert risky["by_clock"] > 0.4
    own = trials[trials["policy"] == "sqr"]
    bad, good = own[own["best_effect"] < -0.1], own[own["best_effect"] > 0.1]
    # Good ones are at the last weight soon and pass; bad ones hardly leave the first.
    assert (good["verdict"] == "ship").mean() > 0.95
    assert good["paused_s"].median() < 3 * 86_400
    assert (bad["verdict"] == "inconclusive").mean() > 0.99
    assert (bad["peak_exposure"] < 0.011).mean() > 0.9
    # Whoever passed was held at the last weight for three days.
    passed = own[own["verdict"] == "ship"]
    assert (passed["peak_exposure"] == 0.5).all()
    assert (passed["time_to_decision_s"] - passed["paused_s"]).eq(3 * 86_400).all()
