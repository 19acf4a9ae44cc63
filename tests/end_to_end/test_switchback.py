"""Arms that take turns, from a file: false declarations by request and by period, the estimate, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main

ROWS = 1000
FILE = """\
name: turns
seed: 5
replications: 1000
horizon: 48h
tick: 1h
sensitivity: off
traffic: {rate: 4000/h}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary, shocks: {sd: 20%, correlation_time: 1h}}]
truth: {challenger: {conversion: {relative_effect: 10%}}}
policies:
  - name: by-request
    kind: stages
    stages: [{allocation: {kind: switchback, period: 1h}, evidence: {kind: fixed_horizon, sample: 80000, tally: pooled}}]
  - name: paired
    kind: stages
    stages: [{allocation: {kind: switchback, period: 1h}, evidence: {kind: by_period, periods: 48}}]
  - name: random
    kind: stages
    stages: [{allocation: {kind: switchback, period: 1h, design: random}, evidence: {kind: by_period, periods: 48}}]
"""


def test_periods_keep_what_requests_break_and_estimate_without_bias(store: str, tmp_path: Path) -> None:
    file = tmp_path / "turns.yaml"
    file.write_text(FILE)
    where = ["--registry-uri", store, "--no-tracking", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["run", str(file), *where]) == 0
    trials = pd.read_parquet(tmp_path / "run" / "trials.parquet").set_index("policy")
    # Of arms that are alike. Within an hour a mean varies by 5% (1 - 5%) / 4,000, and by (5% of 20%)² with the shocks: the
    # standard error by request is about a third of the true one.
    declares = trials.groupby("policy")["aa_declared"].mean()
    assert declares["by-request"] > 0.3
    for policy in ("paired", "random"):
        assert abs(declares[policy] - 0.05) < 4 * np.sqrt(0.05 * 0.95 / ROWS), policy
        own = trials.loc[policy]
        assert (own["time_to_end_s"] == 48 * 3600).all()
        # Unbiased, and its standard error is the spread of the estimates.
        spread = own["effect_estimate"].std()
        assert abs(own["effect_estimate"].mean() - 0.1) < 4 * spread / np.sqrt(ROWS), policy
        assert own["effect_se"].mean() == pytest.approx(spread, rel=0.1)
    assert "by-request" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("policies[1].stages[0].allocation.period=90m", "allocation.period: must be a whole number of ticks of 1h"),
        ("policies[1].stages[0].evidence.periods=49", "evidence.periods: must fit into the horizon of 2d"),
        ("policies[1].stages[0].evidence.periods=3", "evidence.periods: "),
        ("policies[1].stages[0].evidence.washout=1h", "evidence.washout: must be shorter than a period of 1h"),
        ("policies[1].stages[0].allocation={kind: fixed}", "evidence.kind: compares periods, in which arms take turns"),
        ("policies[1].stages[0].allocation.design=pairs", "allocation.design: "),
        ("telemetry.lag=1h", "policies[1].stages[0].evidence.kind: takes what is shown in a period for its own"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(
    change: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "turns.yaml"
    file.write_text(FILE)
    assert main(["check", str(file), "--set", change]) == 2
    assert said in capsys.readouterr().err
