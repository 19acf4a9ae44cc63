"""A staged rollout from a file: a ramp by the clock, watched by a sequential test, after Zhao, Liu & Deb (2019)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main
from tests.thorough import plays
from tests.undrawn import undrawn as undrawn

MODELS = """\
model: app
versions:
  - {alias: champion, outcomes: {trip: {bernoulli: 20%}}, latency: {constant: 50ms}}
  - {alias: same, outcomes: {trip: {bernoulli: 20%}}, latency: {constant: 50ms}}
  - {alias: worse, outcomes: {trip: {bernoulli: 18%}}, latency: {constant: 50ms}}
"""
SCENARIO = """\
name: staged
seed: 8
replications: REPLICATIONS
horizon: 8d
tick: TICK
aa: false
sensitivity: off
traffic: {rate: 400/h, daily: {peak: "18:00", amplitude: 60%}}
models: [{arm: champion, uri: "models:/app@champion"}, {arm: release, uri: "models:/app@RELEASE"}]
metrics: [{name: trip, role: primary, daily: {peak: "08:00", amplitude: 30%}}]
USERS
policies:
  - name: staged
    kind: canary
    steps: [{weight: 5%, bake: 1d}, {weight: 20%, bake: 2d}, {weight: 50%, bake: 4d}]
    checks: [{kind: degradation, metric: trip, mde: 10%ADJUST}]
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    store = ["--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    assert main(["models", "register", "models.yaml", *store]) == 0
    return store


def stopped(store: list[str], release: str, replications: int, users: str = "", adjust: str = "", tick: str = "1h") -> float:
    """The share of trials in which the release is rolled back."""
    text = SCENARIO.replace("RELEASE", release).replace("REPLICATIONS", str(replications)).replace("TICK", tick)
    Path("staged.yaml").write_text(text.replace("USERS", users).replace("ADJUST", adjust), encoding="utf-8")
    assert main(["check", "staged.yaml"]) == 0
    out = f"{release}{'-by-user' if adjust else ''}{'-users' if users else ''}"
    assert main(["run", "staged.yaml", "--out", out, "--no-tracking", "--quiet", *store]) == 0
    trials = pd.read_parquet(f"{out}/trials.parquet")
    assert set(trials["verdict"]) <= {"ship", "keep"}
    return float((trials["verdict"] == "keep").mean())


def most(alpha: float, replications: int) -> float:
    return float(alpha + 4 * np.sqrt(alpha * (1 - alpha) / replications))


def test_a_release_that_is_the_same_is_rarely_rolled_back(store: list[str]) -> None:
    """At every hour of three weights, with traffic and a metric that change by the hour."""
    assert 0.005 < stopped(store, "same", 2000) < most(0.05, 2000)


def test_one_that_is_worse_is(store: list[str]) -> None:
    assert stopped(store, "worse", 400) > 0.9


ALIKE = "users: {count: 3000, activity: even, assignment: sticky, similarity: 40%}"


def test_requests_of_a_user_are_alike(store: list[str]) -> None:
    """Taken as independent, they stop a release that is the same far too often; by user, they do not."""
    few = plays(120, 200)
    plain = stopped(store, "same", few, ALIKE, tick="4h")
    by_user = stopped(store, "same", few, ALIKE, ", adjust: {kind: cluster}", tick="4h")
    assert plain > 0.15
    assert by_user < most(0.05, few)
