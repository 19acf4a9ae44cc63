"""From a file to a report that says in words what was compared, and in which world."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from sim.cli import main

FILE = """
name: told
question: What is said of it?
replications: 6
horizon: 2d
tick: 1h
aa: false
traffic: {rate: 1000/h, daily: {peak: "20:00", amplitude: 60%}}
models: [{arm: champion, uri: "models:/checkout-ranker@champion"}, {arm: challenger, uri: "models:/checkout-ranker@challenger"}]
metrics:
  - {name: conversion, role: primary, smallest_effect: 1%, delay: {exponential: 2h}}
  - {name: error_rate, role: guardrail, max: 2%}
truth: {challenger: {conversion: {relative_effect: {normal: {mean: 0%, sd: 3%}}}}}
timeline: [{kind: errors, arm: challenger, at: 1d, duration: 2h, rate: 10%}]
value: {lifetime: 30d, currency: EUR, per: 12, per_day: 50}
policies:
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 20%}}
  - {name: bandit, kind: bandit, allocation: {kind: thompson, floor: 5%}, evidence: {kind: posterior, threshold: 99%}}
  - {name: mine, kind: bandit, allocation: {kind: halves, most: 30%}, evidence: {kind: fixed_horizon, sample: 5000}}
  - name: canary
    kind: canary
    steps: [{weight: 5%, bake: 1h}, {weight: 50%, bake: 2h}]
    checks: [{metric: error_rate, max: 1%, trip: 2}]
"""
PARTS = """
from typing import Literal

import numpy as np

from sim.policy.base import Allocation
from sim.units import Share


class Halves(Allocation):
    kind: Literal["halves"] = "halves"
    most: Share = 0.5

    def live(self, view):
        return np.full(view.arms_in.shape, 0.5)
{told}
"""
SAID = (
    "Splits live traffic evenly between champion and challenger.",
    "planned to find an effect of 20% in 80% of tests",
    "no arm less than 5%",
    "posterior probability of 99%",
    "Uses halves (most 30%).",
    "Gives the challenger 5% of live traffic for 1h, then 50% for 2h. Passes a challenger that lasts for 3h. "
    "Stops a challenger whose error_rate is above 1% in 2 looks, one every tick.",
    "conversion is the champion's, changed by an effect that every replication draws anew: normal, mean 0%, sd 3%",
    "highest at 20:00, 60% above its mean",
    "known after a call's end: exponential 2h; until then they are left out",
    "from 1d on 10% of the calls of challenger fail in addition, for 2h",
    "a verdict lasts 30d from the start; one conversion is worth 12 EUR; a day of the rollout costs 50",
    "an effect below 1% does not matter; never what has error_rate above 2%",
)


def written(folder: Path, told: str = "") -> list[str]:
    (folder / "told.yaml").write_text(FILE, encoding="utf-8")
    (folder / "halves.py").write_text(PARTS.replace("{told}", told), encoding="utf-8")
    files = [str(folder / "told.yaml"), "--parts", str(folder / "halves.py"), "--reports", str(folder / "r")]
    return [*files, "--no-tracking", "--quiet"]


def test_a_report_says_what_each_policy_was_and_what_it_rests_on(store: str, tmp_path: Path) -> None:
    assert main(["run", *written(tmp_path), "--registry-uri", store]) == 0
    (run,) = (tmp_path / "r").glob("*/run.json")
    record = json.loads(run.read_text(encoding="utf-8"))
    words = [*record["assumptions"].values(), *(text for policy in record["policies"] for text in policy["told"])]
    page = unescape((run.parent / "report.html").read_text(encoding="utf-8"))
    marked = (run.parent / "report.md").read_text(encoding="utf-8").replace("\\", "")
    for said in SAID:
        assert sum(said in text for text in words) >= 1, said
        assert said in page
        assert said in marked


def test_words_of_a_part_from_outside_are_its_own_and_stay_text(store: str, tmp_path: Path) -> None:
    arguments = written(tmp_path, "    def told(self, setting):\n        return 'sends <b>half</b> to each'\n")
    assert main(["run", *arguments, "--registry-uri", store]) == 0
    (page,) = (tmp_path / "r").glob("*/report.html")
    assert "Sends &lt;b&gt;half&lt;/b&gt; to each." in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("told", ["raise ValueError('mute')", "return None", "return ' '"])
def test_a_part_that_cannot_tell_ends_the_run_before_it_is_played(
    told: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = written(tmp_path, f"    def told(self, setting):\n        {told}\n")
    assert main(["run", *arguments, "--registry-uri", store]) == 2
    assert re.search(r"halves\.py:\d+:1 Halves\.told: (raised ValueError: mute|must answer a text)", capsys.readouterr().err)
    assert not (tmp_path / "r").exists()
