"""The stories of single trials, from a scenario file: they are those of the run, the ones that they are said to be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main
from sim.compare.trials import read_trials
from sim.run.record import read_run
from sim.run.story import Story, read_stories

ROOT = Path(__file__).parents[2]
SCENARIO = """\
name: told
seed: 3
replications: 30
horizon: 2d
tick: 30m
engine: {engine}
traffic: {{rate: {rate}}}
models:
  - {{arm: champion, uri: "models:/checkout-ranker@champion"}}
  - {{arm: challenger, uri: "models:/checkout-ranker@challenger"}}
metrics:
  - {{name: conversion, role: primary, smallest_effect: 1%}}
  - {{name: error_rate, role: guardrail, max: 5%}}
truth: {{challenger: {{conversion: {{relative_effect: {{normal: {{mean: 0%, sd: 10%}}}}}}}}}}
timeline: [{{kind: errors, arm: challenger, at: 20h, duration: 2h, rate: 30%}}]
policies:
  - {{name: hold, kind: hold}}
  - {{name: ab, kind: ab, evidence: {{kind: mixture_sprt, mde: 10%}}}}
  - {{name: canary, kind: canary, steps: [{{weight: 10%, bake: 6h}}, {{weight: 50%, bake: 18h}}], checks: [{{metric: error_rate, max: 5%}}]}}
  - name: chain
    kind: stages
    stages:
      - {{name: shadow, kind: shadow, duration: 2h, mirror: 100%, checks: [{{metric: error_rate, max: 5%}}]}}
      - {{name: test, kind: ab, evidence: {{kind: fixed_horizon, sample: 20000}}}}
"""  # noqa: E501


def played(tmp_path: Path, store: str, engine: str = "aggregate", rate: str = "40/s") -> Path:
    file = tmp_path / "told.yaml"
    file.write_text(SCENARIO.format(engine=engine, rate=rate))
    assert main(["check", str(file)]) == 0
    folder = tmp_path / f"run-{engine}"
    assert main(["run", str(file), "--registry-uri", store, "--no-tracking", "--quiet", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(("engine", "rate"), [("aggregate", "40/s"), ("compiled", "2/s")])
def test_a_story_is_that_of_its_trial(store: str, tmp_path: Path, engine: str, rate: str) -> None:
    folder = played(tmp_path, store, engine, rate)
    trials = pd.read_parquet(folder / "trials.parquet").set_index(["policy", "replication"])
    told = read_stories(folder)
    assert {story.policy for story in told} == {"ab", "canary", "chain"}
    for story in told:
        trial = trials.loc[(story.policy, story.replication)]
        assert story.verdict == trial["verdict"]
        end = trial["time_to_end_s"]
        assert story.end_s == (2 * 86_400.0 if np.isnan(end) else end)
        assert story.time_s[-1] == story.end_s
        assert (story.time_s[0], story.events[0].at_s, story.events[-1].at_s) == (0.0, 0.0, story.end_s)
        (arm,) = story.arms
        assert arm.true[0] is not None
        assert story.effect == pytest.approx(trial["best_effect"], abs=2e-3) or np.isnan(trial["best_effect"])


def test_the_worst_the_typical_and_the_best_are_those_of_all_trials(store: str, tmp_path: Path) -> None:
    folder = played(tmp_path, store)
    (by_policy,) = read_trials(folder, read_run(folder))
    for name in ("ab", "canary"):
        told: dict[str, Story] = {story.which: story for story in read_stories(folder) if story.policy == name}
        values = by_policy[name]["net_value"]
        assert told["worst"].value == values.min()
        assert told["best"].value == values.max()
        assert told["typical"].value == np.sort(values)[14]
        assert all(values[story.replication] == story.value for story in told.values())


def test_what_is_seen_at_a_verdict_is_what_the_trial_reports(store: str, tmp_path: Path) -> None:
    folder = played(tmp_path, store)
    trials = pd.read_parquet(folder / "trials.parquet").set_index(["policy", "replication"])
    compared = 0
    for story in read_stories(folder):
        trial, seen = trials.loc[(story.policy, story.replication)], story.arms[0].seen[-1]
        if story.policy != "canary" and np.isfinite(trial["naive_estimate"]):
            assert seen == pytest.approx(trial["naive_estimate"], rel=1e-4)
            compared += 1
    assert compared >= 4


def test_events_tell_what_stopped_a_policy(store: str, tmp_path: Path) -> None:
    told = {(story.policy, story.which): story for story in read_stories(played(tmp_path, store))}
    worst = [event.text for event in told["canary", "worst"].events]
    assert worst[0] == "begins, with 10% of live traffic to challenger"
    # The errors of the 20th hour.
    stopped = [story for story in told.values() if any("error_rate fails challenger" in event.text for event in story.events)]
    assert {story.policy for story in stopped} >= {"canary"}
    assert all(story.verdict == "keep" and 20 * 3600 < story.end_s <= 22 * 3600 for story in stopped)
    chain = [event.text for event in told["chain", "typical"].events]
    assert sum("begins" in text for text in chain) == 2
    assert "copied to challenger" in chain[0]


def test_the_report_tells_them_and_a_damaged_file_is_named(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = played(tmp_path, store)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What happens in a single trial?" in page
    assert page.count("<figcaption>The worst trial</figcaption>") >= 2
    file = folder / "stories.json"
    stories = json.loads(file.read_text())
    stories[0]["time_s"] = "never"
    file.write_text(json.dumps(stories))
    assert main(["report", str(folder)]) == 2
    assert "stories.json" in capsys.readouterr().err
    file.unlink()
    # As in a folder of an earlier version.
    assert main(["report", str(folder)]) == 0
    assert "What happens in a single trial?" not in (folder / "report.html").read_text(encoding="utf-8")


def test_of_few_trials_and_of_a_sweep_none_is_told(store: str, tmp_path: Path) -> None:
    file = tmp_path / "few.yaml"
    file.write_text(SCENARIO.format(engine="aggregate", rate="40/s").replace("replications: 30", "replications: 19"))
    for number, more in enumerate(([], ["--set", "replications=20", "--set", "sweep={seed: [1, 2]}"])):
        folder = tmp_path / str(number)
        options = ["--registry-uri", store, "--no-tracking", "--quiet", "--out", str(folder), *more]
        assert main(["run", str(file), *options]) == 0
        assert read_stories(folder) == ()
