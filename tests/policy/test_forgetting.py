"""Bandits that forget, and bandits that know something before they begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from sim.policy.allocation import EpsilonGreedy, KlUcb, Thompson, Ucb1
from sim.policy.allocation.forgetting import Forgetting
from sim.policy.base import Allocation, View
from sim.testing.contract import AllocationContract
from sim.testing.settings import fresh_memory, make_setting
from tests.undrawn import undrawn as undrawn

KINDS = pytest.mark.parametrize("kind", [Thompson, EpsilonGreedy, Ucb1, KlUcb])
# (outcomes, sum) of two arms, tick by tick.
TICKS = [((40, 8), (40, 12)), ((10, 1), (70, 30)), ((0, 0), (5, 5)), ((90, 30), (20, 1)), ((30, 5), (60, 20)), ((9, 9), (3, 0))]


class TestDiscounted(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return Thompson(discount=0.9)


class TestOfAWindow(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return EpsilonGreedy(window="30m")


def remembered(part: Forgetting, ticks: list[Any] = TICKS) -> list[np.ndarray]:
    """(2 columns, K) what is remembered after every tick."""
    setting = make_setting()
    columns = {column: at for at, column in enumerate(part.needs(setting))}
    total = np.zeros((1, 2, len(columns)), np.int64)
    memory = fresh_memory(part, setting, 1)
    found = []
    for age, tick in enumerate([((0, 0), (0, 0)), *ticks]):
        last = np.array([tick])
        total = total + last
        view = View(setting, age, np.full(1, age), np.ones((1, 2), bool), last, total, columns, False, memory)
        found.append(np.stack([each[0] for each in part.remembered(view)]))
    return found


@KINDS
def test_all_is_remembered_if_nothing_says_otherwise(kind: type[Forgetting]) -> None:
    counts = np.array([((0, 0), (0, 0)), *TICKS])
    for age, found in enumerate(remembered(kind())):
        assert found.tolist() == counts[: age + 1].sum(axis=0).T.tolist()


@KINDS
def test_a_discount_takes_its_share_every_tick(kind: type[Forgetting]) -> None:
    counts = np.array([((0, 0), (0, 0)), *TICKS], float)
    for age, found in enumerate(remembered(kind(discount="75%"))):
        weights = 0.75 ** np.arange(age, -1, -1)
        np.testing.assert_allclose(found, np.tensordot(weights, counts[: age + 1], 1).T, rtol=1e-12)


@KINDS
@pytest.mark.parametrize("ticks", [1, 2, 4, 50])
def test_a_window_has_its_last_ticks_only(kind: type[Forgetting], ticks: int) -> None:
    counts = np.array([((0, 0), (0, 0)), *TICKS])
    for age, found in enumerate(remembered(kind(window=f"{10 * ticks}m"))):
        assert found.tolist() == counts[max(0, age + 1 - ticks) : age + 1].sum(axis=0).T.tolist()


def share(part: Thompson, counts: tuple[tuple[int, ...], tuple[int, ...]], primary: str = "conversion") -> float:
    """The challenger's share after (outcomes, sum, square) of each arm."""
    setting = make_setting(primary=primary)
    total = np.array([counts])
    columns = {column: at for at, column in enumerate(part.needs(setting))}
    memory = fresh_memory(part, setting, 1)
    view = View(setting, 5, np.full(1, 5), np.ones((1, 2), bool), total, total, columns, False, memory)
    return float(part.live(view)[0, 1])


def test_a_prior_is_the_beta_distribution_that_it_says() -> None:
    part = Thompson.model_validate({"prior": {"champion": [100, 300], "a": [2, 3]}})
    champion, challenger = stats.beta(100 + 12, 300 + 38), stats.beta(2 + 6, 3 + 14)
    better, _ = integrate.quad(lambda p: challenger.pdf(p) * champion.cdf(p), 0, 1, epsabs=1e-12)
    assert share(part, ((50, 12), (20, 6))) == pytest.approx(better, abs=1e-6)


def test_a_beta_prior_of_one_and_one_is_none() -> None:
    counts = ((50, 12), (20, 6))
    assert share(Thompson.model_validate({"prior": {"champion": [1, 1]}}), counts) == share(Thompson(), counts)


def test_a_prior_of_amounts_is_as_good_as_outcomes() -> None:
    # 400 outcomes of mean 10 and standard deviation 4, in cents: sum, and sum of squares.
    total, square = 400 * 1000, 399 * 400**2 + 400 * 1000**2
    later = (50, 50 * 1100, 50 * 1100**2 + 49 * 300**2)
    told = Thompson.model_validate({"prior": {"champion": {"mean": 10, "sd": 4, "outcomes": 400}}})
    seen = share(Thompson(), ((400, total, square), later), "revenue")
    assert share(told, ((0, 0, 0), later), "revenue") == pytest.approx(seen, rel=1e-9)
    assert 0.5 < seen < 1


def test_of_a_metric_that_falls_the_good_are_the_zeros() -> None:
    setting = make_setting()
    bounce = replace(setting.metrics["conversion"], sign=-1)
    falling = replace(setting, metrics={**setting.metrics, "conversion": bounce})
    part = Thompson.model_validate({"prior": {"a": [300, 100]}})
    total = np.zeros((1, 2, 2), np.int64)
    for where in (setting, falling):
        columns = {column: at for at, column in enumerate(part.needs(where))}
        view = View(where, 5, np.full(1, 5), np.ones((1, 2), bool), total, total, columns, False, {})
        # A challenger that is good in three of four is better than one of which nothing is known, in 3 of 4.
        assert float(part.live(view)[0, 1]) == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize(
    ("said", "primary", "key", "words"),
    [
        ({"discount": 0.9, "window": "1h"}, "conversion", "window", "two ways to forget: give one, got 0.9 and 1h"),
        ({"window": "15m"}, "conversion", "window", "a whole number of ticks of 10m, got 15m"),
        ({"window": "60d"}, "conversion", "window", "at most 5,000 ticks, got 60d, 8,640 ticks"),
        ({"prior": {"b": [1, 2]}}, "conversion", "prior.b", "no arm 'b'; there are champion, a"),
        ({"prior": {"a": {"mean": 1, "sd": 1, "outcomes": 9}}}, "conversion", "prior.a", "must be [good, bad]"),
        (
            {"prior": {"a": [10, 20]}},
            "revenue",
            "prior.a",
            "mean, sd and outcomes, as revenue is an amount; got [10, 20]",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], primary: str, key: str, words: str) -> None:
    ((found, message),) = Thompson.model_validate(said).problems(make_setting(primary=primary))
    assert found == key
    assert words in message


CHANGING = """\
name: changing
horizon: 14d
tick: 1h
replications: 200
aa: false
engine: aggregate
seed: 7
traffic: {rate: 60/h}
models: [{arm: champion, uri: "models:/kinds@champion"}, {arm: better, uri: "models:/kinds@better"}]
metrics: [{name: conversion, role: primary}]
truth: {better: {conversion: {relative_effect: -40%}}}
timeline: [{kind: drift, arm: better, metric: conversion, at: 5d, to: 150%}]
policies:
  - name: never
    kind: bandit
    allocation: {kind: thompson}
    evidence: {kind: fixed_horizon, sample: 999999}
  - name: discounting
    kind: bandit
    allocation: {kind: thompson, discount: 0.98}
    evidence: {kind: fixed_horizon, sample: 999999}
  - name: of_two_days
    kind: bandit
    allocation: {kind: thompson, window: 2d}
    evidence: {kind: fixed_horizon, sample: 999999}
"""


def test_who_forgets_finds_the_arm_that_becomes_better_on_day_five(tmp_path: Path) -> None:
    """The need of SMPyBandits #71, from a file: half of it again from 12% to 18%, and then a champion of 20% that is beaten."""
    import pandas as pd

    from sim.cli import main

    store = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "changing.yaml").write_text(CHANGING)
    models = Path(__file__).parents[1] / "kinds" / "models.yaml"
    assert main(["models", "register", str(models), "--tracking-uri", store]) == 0
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path)]
    assert main(["check", str(tmp_path / "changing.yaml")]) == 0
    assert main(["run", str(tmp_path / "changing.yaml"), *options]) == 0
    (file,) = tmp_path.glob("*/timeline.parquet")
    timeline = pd.read_parquet(file).set_index(["policy", "tick"])["weight.better.mean"]
    # By day 5 all have given it up, nearly; by day 9 those that forget have come back to it.
    assert all(timeline[policy, 120] < 0.25 for policy in ("never", "discounting", "of_two_days"))
    assert timeline["never", 216] < 0.7
    assert all(timeline[policy, 216] > 0.85 for policy in ("discounting", "of_two_days"))
