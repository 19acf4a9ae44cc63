"""The share of the error budget that a rollout burns, from a file: against its closed form, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main

# The example's champion fails in 0.1% of requests; the incident adds 10% of the challenger's for its first hour.
RATE_S, HOUR_S, SLO, PERIOD_S, ERRORS, MORE = 10.0, 3600.0, 0.999, 7 * 86_400.0, 0.001, 0.1
FILE = """\
name: budget
seed: 4
replications: 300
horizon: 12h
tick: 10m
aa: false
sensitivity: off
traffic: {rate: 10/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@champion"}
metrics: [{name: conversion, role: primary}]
timeline: [{kind: errors, arm: challenger, at: 0h, duration: 1h, rate: 10%}]
error_budget: {slo: 99.9%, period: 7d}
policies:
  - {name: hold, kind: hold}
  - {name: switch, kind: switch}
  - {name: canary, kind: canary, steps: [{weight: 50%, bake: 3h}], checks: [{metric: error_rate, max: 100%}]}
  - {name: endless, kind: canary, steps: [{weight: 50%, bake: 20h}], checks: [{metric: error_rate, max: 100%}]}
"""


@pytest.mark.parametrize("engine", ["aggregate", "compiled"])
def test_what_is_burned_is_what_fails_until_the_end_over_what_may(engine: str, store: str, tmp_path: Path) -> None:
    file = tmp_path / "budget.yaml"
    file.write_text(FILE)
    where = ["--registry-uri", store, "--no-tracking", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["run", str(file), *where, "--set", f"engine={engine}"]) == 0
    trials = pd.read_parquet(tmp_path / "run" / "trials.parquet").set_index("policy")
    burned = trials["budget_burned"]
    assert not burned.loc[["hold", "switch"]].any()
    allowed = (1 - SLO) * RATE_S * PERIOD_S
    # Both arms fail at the champion's rate for 3 h or 12 h; for an hour half of the traffic fails at 10% more of the time.
    incident = 0.5 * RATE_S * HOUR_S * MORE * (1 - ERRORS)
    for policy, hours in (("canary", 3), ("endless", 12)):
        failed = ERRORS * RATE_S * hours * HOUR_S + incident
        # Failures among Poisson requests are Poisson.
        assert abs(burned.loc[policy].mean() - failed / allowed) < 4 * np.sqrt(failed / 300) / allowed, policy
    # Undecided at the horizon, it is all that failed.
    everything = trials.loc["endless", "errors"] / allowed
    assert np.allclose(burned.loc["endless"], everything, atol=3 / allowed)
    told = (tmp_path / "run" / "report.md").read_text()
    assert "0.1% of the requests of 7d may fail" in told
    assert "error budget burned" in told


def test_without_a_budget_nothing_is_said(store: str, tmp_path: Path) -> None:
    file = tmp_path / "budget.yaml"
    file.write_text(FILE.replace("error_budget: {slo: 99.9%, period: 7d}\n", ""))
    where = ["--registry-uri", store, "--no-tracking", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["run", str(file), *where, "--set", "replications=5"]) == 0
    assert pd.read_parquet(tmp_path / "run" / "trials.parquet")["budget_burned"].isna().all()
    told = (tmp_path / "run" / "report.md").read_text()
    assert "Error budget" not in told
    assert "budget burned" not in told.split("declares in A/A")[0]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("{slo: 100%, period: 7d}", "error_budget.slo: "),
        ("{slo: 99.9%}", "error_budget.period: "),
        ("{slo: 99.9%, period: 0s}", "error_budget.period: "),
        ("{slo: 99.9%, period: 7d, windows: 1h}", "error_budget.windows: unknown key"),
    ],
)
def test_what_cannot_be_is_refused_at_its_line(
    budget: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "budget.yaml"
    file.write_text(FILE.replace("{slo: 99.9%, period: 7d}", budget))
    assert main(["check", str(file)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "budget.yaml:" in error
