"""A programme of releases, from a file: its value against sums over the trials, the memo, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main
from sim.compare.comparison import Comparison, compare

# The long test is worth more for a release, and keeps the others waiting.
PROGRAMME = """\
name: queue
seed: 3
replications: 200
horizon: 4d
tick: 2h
aa: false
traffic: {rate: 20/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
truth: {challenger: {conversion: {relative_effect: {normal: {mean: 0%, sd: 3%}}}}}
value: {lifetime: 365d, currency: EUR, per: 2}
programme: {candidates: 300/y, at_once: 1}
sensitivity: off
policies:
  - {name: hold, kind: hold}
  - {name: late, kind: ab, max_duration: 3d, evidence: {kind: fixed_horizon, sample: 20000000}}
  - {name: long, kind: ab, evidence: {kind: fixed_horizon, sample: 2000000}}
  - {name: short, kind: ab, evidence: {kind: fixed_horizon, sample: 400000}}
"""


def played(store: str, tmp_path: Path, *options: str) -> tuple[pd.DataFrame, Comparison]:
    """The trials of a run from the command line, and their comparison."""
    file, out = tmp_path / "scenario.yaml", tmp_path / "out"
    file.write_text(PROGRAMME)
    given = ["--tracking-uri", store, "--no-tracking", "--quiet", "--again", "--out", str(out), *options]
    assert main(["run", str(file), *given]) == 0
    return pd.read_parquet(out / "trials.parquet"), compare(out)


def test_the_value_of_a_year_and_the_other_choice(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials, comparison = played(store, tmp_path)
    (point,) = comparison.points
    days = trials["time_to_end_s"].fillna(4 * 86_400.0).groupby(trials["policy"]).mean() / 86_400
    assert days["hold"] == 0
    assert days["late"] == 3.0  # gives up, and frees the slot
    for name in ("hold", "late", "long", "short"):
        releases = min(300.0, 365 / days[name]) if days[name] else 300.0
        assert point.estimate(name, "releases_per_year").estimate == pytest.approx(releases)
        net = point.estimate(name, "net_value").estimate
        assert net is not None
        assert point.estimate(name, "value_per_year").estimate == pytest.approx(net * releases)
    assert point.decision.chosen == "long"
    out = " ".join(capsys.readouterr().out.split())
    assert "In a programme of 300 candidates a year, with one rollout at a time, take short instead: it gives" in out
    assert "value a year" in (tmp_path / "out" / "report.md").read_text()
    difference = next(each for each in point.policies if each.policy == "short").differences["value_per_year"]
    assert difference is not None
    assert difference.lower is not None


def test_with_slots_enough_the_choice_is_that_of_one_release(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, comparison = played(store, tmp_path, "--set", "programme.at_once=4")
    (point,) = comparison.points
    assert point.estimate("long", "releases_per_year").estimate == 300.0
    assert "with 4 rollouts at a time, the choice is the same: long gives" in " ".join(capsys.readouterr().out.split())


def test_without_a_programme_nothing_is_said_of_one(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, comparison = played(store, tmp_path, "--set", "programme=null")
    assert comparison.points[0].estimate("long", "value_per_year").estimate is None
    texts = [capsys.readouterr().out, (tmp_path / "out" / "report.md").read_text()]
    assert not any("In a programme" in text or "value a year" in text for text in texts)


@pytest.mark.parametrize(
    ("programme", "says"),
    [
        ("{}", "programme.candidates: is required"),
        ("{candidates: 50}", "programme.candidates: must be a rate above zero per ms, s, m, h, d, w or y"),
        ("{candidates: 50/y, at_once: 0}", "programme.at_once: must be at least 1; got 0"),
        ("{candidates: 50/y, atonce: 2}", "programme.atonce: unknown key 'atonce'; did you mean 'at_once'?"),
    ],
)
def test_what_cannot_be_is_refused_at_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], programme: str, says: str
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(PROGRAMME.replace("{candidates: 300/y, at_once: 1}", programme))
    assert main(["check", str(file)]) == 2
    assert f"{file}:14:" in (error := capsys.readouterr().err)
    assert says in error


def test_where_requests_compete_keeping_the_champion_must_be_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scenario.yaml"
    text = PROGRAMME.replace("value: {lifetime: 365d, currency: EUR, per: 2}", "capacity: {champion: {replicas: 2}}")
    file.write_text(text.replace("  - {name: hold, kind: hold}\n", ""))
    assert main(["check", str(file)]) == 2
    assert "programme: needs a policy of kind hold: with capacity" in capsys.readouterr().err


def test_a_rate_a_year_is_written_as_it_was(tmp_path: Path) -> None:
    from sim.workflow import load_scenario

    programme = load_scenario(PROGRAMME).dump()["programme"]
    assert programme == {"candidates": "300/y", "at_once": 1}
    assert np.isclose(load_scenario(PROGRAMME).programme.candidates * 365 * 86_400, 300)  # type: ignore[union-attr]
