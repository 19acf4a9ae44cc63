"""A ramp, a drift and a pooled test, from a file: warned of, measured in A/A tests, and marked."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main
from sim.run.record import read_run

SCENARIO = """\
name: ramped
seed: 5
replications: 150
horizon: 4d
tick: 1h
traffic: {rate: 10/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
timeline:
  - {kind: drift, arm: champion, metric: conversion, at: 1d, to: 10%}
  - {kind: drift, arm: challenger, metric: conversion, at: 1d, to: 10%}
policies:
  - {name: hold, kind: hold}
  - name: within
    kind: stages
    stages:
      - name: ramp
        allocation: {kind: ramp, steps: [{weight: 10%, bake: 1d}, {weight: 50%, bake: 3d}]}
        evidence: {kind: fixed_horizon, mde: 2%}
  - name: pooled
    kind: stages
    stages:
      - name: ramp
        allocation: {kind: ramp, steps: [{weight: 10%, bake: 1d}, {weight: 50%, bake: 3d}]}
        evidence: {kind: fixed_horizon, mde: 2%, tally: pooled}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ramped.yaml"
    path.write_text(SCENARIO)
    return path


def test_a_pooled_test_is_warned_of_measured_and_marked(
    file: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(file)]) == 0
    warning = capsys.readouterr().err
    assert f"{file}:27:57 policies[2].stages[0].evidence.tally: fixed_horizon pools" in warning
    assert warning.count("sim: warning") == 1
    command = ["run", str(file), "--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path), "--display"]
    assert main([*command, "plain"]) == 0
    out = capsys.readouterr().out
    (run,) = tmp_path.glob("*/run.json")
    policies = {policy["name"]: policy for policy in json.loads(run.read_text())["policies"]}
    assert {name: policy["promised"] for name, policy in policies.items()} == {"hold": None, "within": 0.05, "pooled": 0.05}
    assert [policy["warned"] for policy in policies.values()] == [False, False, True]
    trials = pd.read_parquet(run.parent / "trials.parquet")
    declared = trials.groupby("policy")["aa_declared"].mean()
    assert pd.isna(declared["hold"])
    assert declared["pooled"] == 1
    # Seven standard errors above 5%.
    assert declared["within"] < 0.18
    (row,) = (line for line in out.splitlines() if line.startswith("pooled! "))
    assert "100%!" in row
    assert "after a name: warned of before the run" in " ".join(out.split())
    report = (run.parent / "report.html").read_text()
    section = report.partition("Does every rule keep its promise?")[2].partition("<h2>")[0]
    assert section.count("broken</td>") == section.count("kept</td>") == 1


def test_it_can_be_left_out(file: Path, store: str, tmp_path: Path) -> None:
    file.write_text(SCENARIO.replace("seed: 5", "seed: 5\naa: off"))
    assert main(["run", str(file), "--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path)]) == 0
    (run,) = tmp_path.glob("*/run.json")
    assert "aa_declared" not in pd.read_parquet(run.parent / "trials.parquet")
    assert "keep its promise" not in (run.parent / "report.html").read_text()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("tally: totals", "must be one of within_ticks, pooled; got 'totals'"),
        ("kind: posterior, tally: pooled", "unknown key 'tally'"),
    ],
)
def test_a_tally_that_does_not_fit_is_refused_at_its_line(
    file: Path, said: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = said if said.startswith("kind") else f"kind: fixed_horizon, mde: 2%, {said}"
    text = SCENARIO.replace("kind: fixed_horizon, mde: 2%, tally: pooled", rule).replace(
        "traffic:", "users: {count: 100}\ntraffic:"
    )
    file.write_text(text)
    assert main(["check", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert f"{file}:28:" in error


def test_what_is_promised_and_warned_of_may_differ_along_a_sweep(file: Path, store: str, tmp_path: Path) -> None:
    rule = "policies[2].stages[0].evidence"
    swept = f"sweep: {{'{rule}.alpha': [1%, 10%], '{rule}.tally': [pooled, within_ticks]}}\n"
    file.write_text(SCENARIO.replace("replications: 150", "replications: 4") + swept)
    assert main(["run", str(file), "--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path)]) == 0
    record = read_run(next(tmp_path.glob("*/run.json")).parent)
    found = [next(policy for policy in point.run.policies if policy.name == "pooled") for point in record.points]
    assert [(policy.promised, policy.warned) for policy in found] == [(0.01, True), (0.01, False), (0.1, True), (0.1, False)]


def test_what_late_conversions_do_in_the_world_as_played_is_warned_of_and_measured(
    file: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both arms convert alike; the challenger's conversions become known later, and failures at the window."""
    late = "{by_outcome: {success: {exponential: AFTER}, failure: window}}"
    arms = f"champion: {late.replace('AFTER', '6h')}, challenger: {late.replace('AFTER', '12h')}"
    metric = f"{{name: conversion, role: primary, delay: {{by_arm: {{{arms}}}}}, attribution_window: 1d}}"
    head = SCENARIO.partition("timeline:")[0].replace("{name: conversion, role: primary}", metric)
    head = head.replace("@challenger", "@champion")
    file.write_text(head + "policies: [{name: fixed, kind: ab, evidence: {kind: fixed_horizon, mde: 4%}}]\n")
    command = ["run", str(file), "--registry-uri", store, "--no-tracking", "--reports", str(tmp_path)]
    assert main([*command, "--display", "none"]) == 0
    said = capsys.readouterr().err
    assert "ramped: A/A tests of 1 policy beside the run (aa: false leaves them out)" in said
    place = f"{file}:{head.count(chr(10)) + 1}:"
    assert f"warning: {place}" in said
    assert "policies[0].evidence.kind: of what is known of conversion, the arms have unlike shares of successes" in said
    (summary,) = tmp_path.glob("*/summary.json")
    (fixed,) = json.loads(summary.read_text())["points"][0]["policies"]
    assert fixed["measures"]["false_declaration"]["estimate"] > 0.9
    # Seven standard errors above 5%.
    assert fixed["measures"]["aa_declared"]["estimate"] < 0.18
    assert "declares falsely, as played" in (summary.parent / "report.html").read_text()


SALES = """\
model: shop
versions:
  - alias: now
    outcomes: {revenue: {zero_inflated: {rate: 2%, amount: {lognormal: {mean: 50, sd: 65.5}}}}}
    latency: {constant: 20ms}
    error_rate: 0%
"""
ADJUSTED = """\
name: adjusted
seed: 9
replications: 60
horizon: 6h
tick: 10m
traffic: {rate: 2/s}
models:
  - {arm: champion, uri: "models:/shop@now"}
  - {arm: challenger, uri: "models:/shop@now"}
metrics: [{name: revenue, role: primary, covariate: {correlation: 90%}}]
policies: [{name: cuped, kind: ab, evidence: {kind: fixed_horizon, mde: 25%, adjust: {kind: cuped}}}]
"""


def test_an_adjusted_test_waits_for_what_it_was_planned_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plain test takes 67.7k requests, CUPED 19% of that; a tick holds 1,200 requests, and some 24 sales."""
    uri, models, file = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "models.yaml", tmp_path / "adjusted.yaml"
    models.write_text(SALES)
    file.write_text(ADJUSTED)
    assert main(["models", "register", str(models), "--tracking-uri", uri]) == 0
    command = ["run", str(file), "--registry-uri", uri, "--no-tracking", "--reports", str(tmp_path / "reports")]
    assert main([*command, "--display", "none"]) == 0
    assert (
        "adjusted: A/A tests of 1 policy beside the run play at most 2.59M requests, as the run itself"
        in capsys.readouterr().err
    )
    (run,) = (tmp_path / "reports").glob("*/trials.parquet")
    ended = pd.read_parquet(run)["requests_to_decision"].dropna()
    assert ended.size > 40
    # Arrivals fall unevenly on the arms: four standard errors of that.
    assert ended.min() > 0.19 * 67_700 - 4 * 0.19 * 67_700**0.5
