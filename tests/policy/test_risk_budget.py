"""A ramp that follows a budget of risk: how much it gives, and that the budget holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sim.cli import main
from sim.policy.allocation import RiskBudget
from sim.policy.base import Allocation, View
from sim.testing.contract import AllocationContract, counts_of, view_of
from sim.testing.settings import make_setting
from tests.undrawn import undrawn as undrawn


class TestContract(AllocationContract):
    start = 1.0

    @pytest.fixture
    def part(self) -> Allocation:
        return RiskBudget(budget=50, scale=0.5, every="20m")


def seen(part: RiskBudget, *arms: tuple[int, int, int]) -> View:
    """A view of (outcomes, sum, requests) of each arm, all in the ticks so far."""
    return view_of(part, make_setting(len(arms)), np.array([arms]), np.ones((1, len(arms)), bool), age=1)


def test_the_first_weight_is_what_the_prior_allows() -> None:
    part = RiskBudget(budget=10, chance="5%", every="1h", expected_effect="10%")
    view = seen(part, (0, 0, 1000), (0, 0, 0))
    setting = view.setting
    spread = 0.1 * setting.metrics["conversion"].nominal_mean
    looks = 1 + (setting.ticks - 1) // 6
    chance = 1 - 0.95 ** (1 / looks)
    allowed = 10 / (norm.isf(chance) * spread)
    # 1,000 requests a tick, six ticks to the next look.
    assert part.live(view)[0, 1] == pytest.approx(min(allowed / 6000, 0.5))
    assert 0 < allowed / 6000 < 0.5


def test_what_was_seen_moves_it() -> None:
    part = RiskBudget(budget=10, every="1h", expected_effect="10%")
    rate = make_setting().metrics["conversion"].nominal_mean

    def after(better: float) -> float:
        n = 2000
        return float(part.live(seen(part, (n, round(n * rate), 20_000), (n, round(n * rate * better), 0)))[0, 1])

    assert after(0.5) < after(1.0) < after(1.5)


def test_who_had_what_it_may_have_gets_nothing_until_the_next_look() -> None:
    part = RiskBudget(budget=10, every="1h", expected_effect="10%")
    view = seen(part, (0, 0, 1000), (0, 0, 0))
    part.live(view)
    allowed = view.memory["allowed"][0, 1]
    view.total[0, :, 2] = [9000, np.ceil(allowed)]
    view.last[0, :, 2] = [8000, np.ceil(allowed)]
    view.age[:] = 2
    assert part.live(view)[0, 1] == 0
    # And only what is left of it before that.
    view.total[0, 1, 2] = int(allowed) - 100
    assert part.live(view)[0, 1] == pytest.approx((allowed - (int(allowed) - 100)) / view.last[0, :, 2].sum())


def test_all_challengers_together_have_the_budget() -> None:
    setting = make_setting(4, 40)
    part = RiskBudget(budget=1e9, every="1h", most="30%", scale=1)
    total = counts_of(part, setting, np.random.default_rng(1))
    assert part.live(view_of(part, setting, total, np.ones((40, 4), bool)))[:, 1:].sum(axis=1).max() <= 0.3 + 1e-12


MODELS = """\
model: risky
versions:
  - {alias: champion, outcomes: {sale: {bernoulli: 10%}}, latency: {constant: 50ms}}
  - {alias: challenger, outcomes: {sale: {bernoulli: 10%}}, latency: {constant: 50ms}}
"""
SCENARIO = """\
name: risky
seed: 3
replications: 1000
horizon: 5d
tick: 30m
aa: false
sensitivity: off
traffic: {rate: 20/m, daily: {peak: "14:00", amplitude: 60%}}
models: [{arm: champion, uri: "models:/risky@champion"}, {arm: challenger, uri: "models:/risky@challenger"}]
truth: {challenger: {sale: {relative_effect: {normal: {mean: 0%, sd: 20%}}}}}
metrics: [{name: sale, role: primary, daily: {peak: "20:00", amplitude: 30%}}]
policies:
  - name: budget
    kind: bandit
    allocation: {kind: risk_budget, budget: 60, chance: 10%, every: 6h, expected_effect: 20%}
    evidence: {kind: fixed_horizon, sample: 100000000}
  - name: half
    kind: bandit
    allocation: {kind: fixed, weights: [50%, 50%]}
    evidence: {kind: fixed_horizon, sample: 100000000}
"""


def played(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(folder)
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    Path("risky.yaml").write_text(text, encoding="utf-8")
    store = ["--tracking-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    assert main(["models", "register", "models.yaml", *store]) == 0
    assert main(["check", "risky.yaml"]) == 0
    assert main(["run", "risky.yaml", "--out", "out", "--no-tracking", "--quiet", *store]) == 0
    return pd.read_parquet("out/trials.parquet")


def test_the_budget_holds_when_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided here, so all the harm is done while the policy tries: `harm` is the loss that the budget is of."""
    trials = played(tmp_path, SCENARIO, monkeypatch)
    harm = {name: of["harm"].to_numpy() for name, of in trials.groupby("policy")}
    broken = {name: float((lost > 60).mean()) for name, lost in harm.items()}
    assert broken["budget"] <= 0.1 + 4 * np.sqrt(0.1 * 0.9 / 1000)
    # An even split loses more than that in about a third of the worlds.
    assert broken["half"] > 0.3
    # Good challengers are not held back for ever.
    good = trials[(trials["policy"] == "budget") & (trials["best_effect"] > 0.2)]
    assert good["peak_exposure"].median() == 0.5
