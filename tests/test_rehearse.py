"""One way in for programs: a scenario and its models in memory, through the same check, with the same bits as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sim
from sim.cli import main
from sim.workflow import trace_scenario

SCENARIO: dict[str, Any] = {
    "name": "small",
    "horizon": "1d",
    "tick": "1h",
    "replications": 20,
    "traffic": {"rate": "1000/h"},
    "models": [{"arm": "champion", "uri": "models:/ranker@old"}, {"arm": "challenger", "uri": "models:/ranker/2"}],
    "metrics": [{"name": "sale", "role": "primary"}],
    "policies": [
        {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}},
        {"name": "bandit", "kind": "bandit"},
    ],
}
TEXT = """\
name: small
horizon: 1d
tick: 1h
replications: 20
traffic: {rate: 1000/h}
models: [{arm: champion, uri: "models:/ranker@old"}, {arm: challenger, uri: "models:/ranker/2"}]
metrics: [{name: sale, role: primary}]
policies:
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, sample: 5000}}
  - {name: bandit, kind: bandit}
"""
OLD, NEW = ({"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.06))
FILE = {"model": "ranker", "versions": [{"alias": "old", **OLD}, NEW]}
MODELS_TEXT = """\
model: ranker
versions:
  - {alias: old, outcomes: {sale: {bernoulli: 0.05}}, latency: {constant: 45ms}}
  - {outcomes: {sale: {bernoulli: 0.06}}, latency: {constant: 45ms}}
"""


def test_a_scenario_and_its_models_come_in_every_form_and_give_what_a_run_gives(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(TEXT)
    (tmp_path / "models.yaml").write_text(MODELS_TEXT)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    assert main(["models", "register", str(tmp_path / "models.yaml"), "--tracking-uri", store]) == 0
    outcome = sim.run_scenario(tmp_path / "small.yaml", reports=tmp_path, registry_uri=store, log=False)
    trials = pd.read_parquet(outcome.folder / "trials.parquet")
    assert outcome.comparison is not None
    forms: list[tuple[Any, Any]] = [
        (SCENARIO, [OLD, NEW]),
        (TEXT, {"champion": OLD, "challenger": NEW}),
        (str(tmp_path / "small.yaml"), FILE),
        (tmp_path / "small.yaml", tmp_path / "models.yaml"),
        (SCENARIO, MODELS_TEXT),
    ]
    for scenario, models in forms:
        rehearsal = sim.rehearse(scenario, models)
        pd.testing.assert_frame_equal(rehearsal.trials, trials, check_exact=True)
        assert rehearsal.comparison.points == outcome.comparison.points
    from_store = sim.rehearse(SCENARIO, registry_uri=store, baseline="bandit")
    pd.testing.assert_frame_equal(from_store.trials, trials, check_exact=True)
    assert from_store.comparison.baseline == "bandit"


def test_run_and_trace_take_the_same(tmp_path: Path) -> None:
    outcome = sim.run_scenario(SCENARIO, models=FILE, reports=tmp_path, log=False)
    pd.testing.assert_frame_equal(pd.read_parquet(outcome.folder / "trials.parquet"), sim.rehearse(SCENARIO, FILE).trials)
    log = trace_scenario(SCENARIO, "ab", 3, models=FILE, until_s=3600, reports=tmp_path)
    assert set(log["event"]) >= {"arrive", "start", "finish", "tick"}


def test_a_sweep_is_played_at_every_point() -> None:
    rehearsal = sim.rehearse({**SCENARIO, "sweep": {"traffic.rate": ["500/h", "2000/h"]}}, [OLD, NEW])
    assert rehearsal.trials.groupby("point").size().tolist() == [40, 40]
    assert len(rehearsal.comparison.points) == 2


@pytest.mark.parametrize(
    ("scenario", "models", "said"),
    [
        ({**SCENARIO, "tick": "3d"}, [OLD, NEW], "scenario tick: must not exceed the horizon, got a tick of 3d"),
        ({**SCENARIO, "traffic": {"rat": "1/s"}}, [OLD, NEW], "scenario traffic.rat: unknown key 'rat'; did you mean 'rate'?"),
        (TEXT.replace("1000/h", "1000"), [OLD, NEW], "scenario:5:17 traffic.rate: must be"),
        (7, [OLD, NEW], "scenario: must be a file, YAML text or a mapping; got 7"),
        (SCENARIO, [OLD], "models: must be one for each of the 2 arms, champion, challenger; got 1"),
        (SCENARIO, {"champion": OLD}, "models: says nothing of the arm 'challenger'"),
        (SCENARIO, {"champion": OLD, "chalenger": NEW}, "models.chalenger: no arm 'chalenger'; there are champion, challenger"),
        (SCENARIO, [OLD, {**NEW, "error_rate": 2}], "models[1].error_rate"),
        (
            SCENARIO,
            {**FILE, "versions": [OLD, NEW]},
            "models[0].uri: names no version of the models that were given; there are",
        ),
        (SCENARIO, [OLD, {**NEW, "outcomes": {"buy": {"bernoulli": 0.1}}}], "metrics[0].name: no model of challenger produces"),
    ],
)
def test_what_is_wrong_is_said_of_what_was_given(scenario: Any, models: Any, said: str) -> None:
    with pytest.raises(sim.InputError) as error:
        sim.rehearse(scenario, models)
    assert said in str(error.value)
