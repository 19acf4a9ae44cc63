"""Rejection replay against what the policy would earn for itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.arrays import Floats
from sim.offpolicy.evaluating import Options, evaluate
from sim.offpolicy.log import Log
from sim.offpolicy.policies import Candidates, of_file
from sim.offpolicy.replaying import replay, setting_of
from sim.policy.allocation import Thompson
from sim.policy.base import View
from sim.policy.columns import mean_of
from tests.thorough import plays

MEANS = np.array([0.3, 0.5])


def log_of(rows: int, logged: Floats, seed: int, tick_rows: int = 50) -> Log:
    """A log of a Bernoulli reward, `tick_rows` rows a tick of 60 s."""
    rng = np.random.default_rng(seed)
    arm = rng.choice(2, rows, p=logged)
    reward = (rng.random(rows) < MEANS[arm]).astype(np.float64)
    zeros = np.zeros(rows, np.int64)
    return Log(("old", "new"), np.arange(rows) * 60.0 / tick_rows, arm, reward, logged[arm], zeros, 1)


def given(tmp_path: Path, *allocations: str) -> Candidates:
    each = "\n".join(f"  - {{name: p{number}, allocation: {text}}}" for number, text in enumerate(allocations))
    (tmp_path / "policies.yaml").write_text(f"arms: [old, new]\npolicies:\n{each}\n")
    return of_file(tmp_path / "policies.yaml")


def test_what_is_accepted_is_spread_as_the_policy_spreads_and_earns_what_it_would(tmp_path: Path) -> None:
    candidates = given(tmp_path, "{kind: fixed, weights: [25%, 75%]}")
    log = log_of(40_000, np.array([0.8, 0.2]), 1)
    setting = setting_of(log, candidates, 60.0, 20)
    played = replay(log, candidates.each[0], setting, seed=1, resampled=0)
    # A row is accepted with a chance of its least propensity, 0.2, whatever the policy is.
    assert played.accepted.mean() == pytest.approx(40_000 * 0.2, rel=0.03)
    assert played.shares[1] == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / played.accepted.mean()))
    true = float(MEANS @ [0.25, 0.75])
    assert played.mean.mean() == pytest.approx(true, abs=4 * np.sqrt(true * (1 - true) / played.accepted.mean()))


def test_resampled_rows_are_as_many_and_poisson(tmp_path: Path) -> None:
    candidates = given(tmp_path, "{kind: fixed, weights: [50%, 50%]}")
    log = log_of(4_000, np.array([0.5, 0.5]), 1)
    played = replay(log, candidates.each[0], setting_of(log, candidates, 60.0, 2_000), seed=3, resampled=2_000)
    # Accepted by half and there by a Poisson number of mean 1: of mean 1/2 and variance 3/4 - 1/4 + 1/2 a row.
    mean, variance = 4_000 * 0.5, 4_000 * (0.5 * 2 - 0.25)
    assert abs(played.accepted.mean() - mean) < 4 * np.sqrt(variance / 2_000)
    assert played.accepted.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / 2_000))


def test_a_bandit_earns_on_an_even_log_what_it_earns_on_its_own(tmp_path: Path) -> None:
    candidates = given(tmp_path, "{kind: thompson, floor: 5%}")
    ticks, tick_rows, logs = 30, 40, 60
    by_log, shares = [], []
    for seed in range(logs):
        log = log_of(ticks * tick_rows, np.array([0.5, 0.5]), 100 + seed, tick_rows)
        played = replay(log, candidates.each[0], setting_of(log, candidates, 60.0, 10), seed=seed, resampled=0)
        by_log.append(played.mean.mean())
        shares.append(played.shares[1])
    # The same bandit, played from nothing: half of a tick's rows are its own, as a replay of an even log accepts half.
    setting = setting_of(log_of(2_400, np.array([0.5, 0.5]), 1), candidates, 60.0, 4_000)
    rng = np.random.default_rng(9)
    count, total = np.zeros((2, 4_000, 2), np.int64)
    bandit = Thompson(floor=0.05)
    for _ in range(ticks):
        counts = np.stack([count, total], axis=2)
        columns = {column: place for place, column in enumerate(mean_of("reward"))}
        view = View(setting, 0, np.zeros(4_000, np.int64), np.ones((4_000, 2), bool), counts, counts, columns, False)
        live = bandit.live(view)
        n = rng.binomial(tick_rows, 0.5, 4_000)
        new = rng.binomial(n, live[:, 1])
        each = np.stack([n - new, new], axis=1)
        count += each
        total += rng.binomial(each, MEANS)
    expected = (total.sum(axis=1) / count.sum(axis=1)).mean()
    assert abs(np.mean(by_log) - expected) < 4 * np.std(by_log, ddof=1) / np.sqrt(logs)
    assert abs(np.mean(shares) - count[:, 1].sum() / count.sum()) < 4 * np.std(shares, ddof=1) / np.sqrt(logs)
    assert expected > MEANS.mean() + 0.03


@pytest.mark.parametrize("allocation", ["{kind: fixed, weights: [30%, 70%]}", "{kind: epsilon_greedy, epsilon: 20%}"])
def test_intervals_of_replays_cover(tmp_path: Path, allocation: str) -> None:
    candidates = given(tmp_path, allocation)
    logs, options = plays(75, 150), Options(tick_s=60.0, replays=60, samples=20)
    log = log_of(2_000, np.array([0.6, 0.4]), 999)
    setting = setting_of(log, candidates, 60.0, 1)
    many = [
        replay(log_of(2_000, np.array([0.6, 0.4]), 5_000 + seed), candidates.each[0], setting, seed=seed, resampled=0)
        for seed in range(plays(750, 1_500))
    ]
    true = np.mean([one.mean[0] for one in many])
    inside = 0
    for seed in range(logs):
        value = evaluate(log_of(2_000, np.array([0.6, 0.4]), seed), candidates, options).each[0].values["replay"]
        inside += value.normal[0] <= true <= value.normal[1]
    # They are of one replay, and the value is a mean of several: they may cover more than they say, and must not less.
    assert inside / logs > 0.95 - 4 * np.sqrt(0.95 * 0.05 / logs)


def test_the_same_seed_gives_the_same_bits_and_a_policy_does_not_hang_on_those_beside_it(tmp_path: Path) -> None:
    log = log_of(3_000, np.array([0.5, 0.5]), 4)
    options = Options(tick_s=60.0, replays=20, samples=50)
    both = evaluate(log, given(tmp_path, "{kind: fixed}", "{kind: thompson}"), options)
    again = evaluate(log, given(tmp_path, "{kind: thompson}", "{kind: fixed}"), options)
    assert both.each[1].values == again.each[0].values
    assert both.each[0].values == again.each[1].values
    gap = both.each[1].differences["replay"]
    back = again.each[1].differences["replay"]
    assert (gap.value, gap.standard_error) == pytest.approx((-back.value, back.standard_error))


def test_a_policy_beside_itself_differs_by_nothing(tmp_path: Path) -> None:
    log = log_of(3_000, np.array([0.5, 0.5]), 4)
    found = evaluate(log, given(tmp_path, "{kind: thompson}", "{kind: thompson}"), Options(tick_s=60.0, replays=20, samples=50))
    assert found.each[1].differences["replay"].normal == (0.0, 0.0)
