"""Conversions that come late, in a ramp, between a model and itself: no rule within ticks takes that for an effect."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main

LATE = """\
name: late
seed: 2
replications: {replications}
horizon: 4d
tick: 1h
engine: {engine}
aa: false
traffic: {{rate: 1/s}}
models:
  - {{arm: champion, uri: "models:/checkout-ranker@champion"}}
  - {{arm: challenger, uri: "models:/checkout-ranker@champion"}}
metrics:
  - name: conversion
    role: primary
    delay: {delay}
    attribution_window: 1d
    {more}
policies:
  - name: within
    kind: stages
    stages:
      - name: ramp
        allocation: {{kind: ramp, steps: [{{weight: 10%, bake: 1d}}, {{weight: 50%, bake: 3d}}]}}
        evidence: {{kind: fixed_horizon, sample: 100000{adjust}}}
  - name: pooled
    kind: stages
    stages:
      - name: ramp
        allocation: {{kind: ramp, steps: [{{weight: 10%, bake: 1d}}, {{weight: 50%, bake: 3d}}]}}
        evidence: {{kind: fixed_horizon, sample: 100000, tally: pooled}}
"""


COVARIATE = "covariate: {correlation: 50%}"


def declared(store: str, tmp_path: Path, **said: str) -> pd.Series:
    """The share of trials in which each policy declares a difference between a model and itself."""
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "late.yaml"
    by_outcome = "{by_outcome: {success: {exponential: 6h}, failure: %s}}"
    told = {"engine": "aggregate", "replications": "400", "adjust": "", "more": "", "failure": "window", **said}
    failure = told.pop("failure")
    delay = by_outcome % failure if failure else "{exponential: 6h}"
    file.write_text(LATE.format(delay=delay, **told))
    assert main(["check", str(file)]) == 0
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path / "reports")]
    assert main(["run", str(file), *options]) == 0
    (trials,) = (tmp_path / "reports").glob("*/trials.parquet")
    return pd.read_parquet(trials).groupby("policy")["shipped_arm"].apply(lambda arm: arm.notna().mean())


@pytest.mark.parametrize("said", [{}, {"failure": "{exponential: 1h}"}], ids=["at the window", "soon"])
def test_late_conversions_in_a_ramp_are_no_effect(store: str, tmp_path: Path, said: dict[str, str]) -> None:
    """Successes and failures come to be known at different times, so what a tick shows was sent under two weights."""
    share = declared(store, tmp_path, **said)
    # 2.5% of 400 ship by chance, 10 with a standard deviation of 3.1.
    assert share["within"] <= 22 / 400
    # Where failures are known sooner, the arm that has just grown looks worse, and nothing ships.
    assert share["pooled"] > 0.9 or said


def test_single_requests_tell_the_same(store: str, tmp_path: Path) -> None:
    """On the compiled engine, with a covariate taken out, and with failures that are counted until they are known."""
    share = declared(store, tmp_path, engine="compiled", replications="60", adjust=", adjust: {kind: cuped}", more=COVARIATE)
    assert share["within"] <= 6 / 60
    text = {"engine": "compiled", "replications": "60", "failure": "", "more": "until_known: failure"}
    assert declared(store, tmp_path / "failures", **text)["within"] <= 6 / 60
