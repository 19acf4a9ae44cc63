"""`sim recommend` from a file: what is found, that it is the same every time, what is kept, and what is refused."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from sim.cli import main
from sim.scenario.search import FAMILIES

MODELS = """\
model: shop
versions:
  - {alias: champion, outcomes: {sale: {bernoulli: 10%}}, latency: {constant: 50ms}}
  - {alias: challenger, outcomes: {sale: {bernoulli: 10%}}, latency: {constant: 50ms}}
"""
SCENARIO = """\
name: shop
seed: 4
replications: 200
horizon: 4d
tick: 1h
aa: false
sensitivity: off
traffic: {rate: 30/m}
models: [{arm: champion, uri: "models:/shop@champion"}, {arm: challenger, uri: "models:/shop@challenger"}]
truth: {challenger: {sale: {relative_effect: {normal: {mean: 0%, sd: 10%}}}}}
metrics: [{name: sale, role: primary}, {name: error_rate, role: guardrail, max: 5%}]
value: {lifetime: 30d}
require: {wrong_ship: < 20%}
policies:
  - {name: hold, kind: hold}
  - {name: today, kind: canary, steps: [{weight: 10%, bake: 1d}], checks: [{metric: error_rate, max: 5%}]}
search: {candidates: 24, replications: 90, finalists: 2}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scenario and its models registered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    Path("shop.yaml").write_text(SCENARIO, encoding="utf-8")
    assert main(["models", "register", "models.yaml"]) == 0
    return tmp_path


# For what does not depend on who wins.
FEW = ("--set", "search.replications=30", "--set", "replications=40")


def recommend(*more: str) -> int:
    return main(["recommend", "shop.yaml", "--no-tracking", "--quiet", *more])


def candidates(folder: str) -> list[dict[str, str]]:
    with Path(folder, "candidates.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_found_is_better_than_what_the_team_does(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "shop.yaml"]) == 0
    assert recommend("--out", "found") == 0
    said = capsys.readouterr()
    tried = candidates("found")
    finalists = [each["name"] for each in tried if each["fate"] == "finalist"]
    assert 1 <= len(finalists) <= 2
    written: dict[str, Any] = yaml.safe_load(Path("found/recommended.yaml").read_text(encoding="utf-8"))
    assert {each["name"] for each in written["policies"]} == {"hold", "today", *finalists}
    assert written["seed"] != 4
    assert "search" not in written
    # The canary ships whatever comes, of which half is worse.
    trials = pd.read_parquet("found/run/trials.parquet")
    summary = json.loads(Path("found/run/summary.json").read_text(encoding="utf-8"))
    of = {each["policy"]: each["measures"]["net_value"]["estimate"] for each in summary["points"][0]["policies"]}
    assert set(trials["policy"]) == set(of)
    best = max(finalists, key=of.__getitem__)
    assert of[best] > of["today"] + 100
    # What is said of the bound is of the fresh trials: the best acceptable arm, at once.
    bound = trials[trials["policy"] == best]["best_value"].mean()
    assert f"{best}: {of[best] / bound:.0%}" in said.out
    assert f"Take {best}" in said.out


def test_a_search_depends_on_the_scenario_alone(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = (*FEW, "--set", "search.candidates=12")
    assert recommend("--out", "one", "--workers", "1", "--reports", "a", *few) == 0
    assert recommend("--out", "two", "--workers", "2", "--reports", "b", *few) == 0
    # Played again of what was kept; into its own folder, too.
    assert recommend("--out", "three", "--reports", "b", *few) == 0
    assert recommend("--out", "three", "--reports", "b", *few) == 0
    for name in ("candidates.csv", "recommended.yaml", "run/trials.parquet"):
        first = Path("one", name).read_bytes()
        assert Path("two", name).read_bytes() == first
        assert Path("three", name).read_bytes() == first
    # Another seed, another search.
    assert recommend("--out", "four", "--seed", "5", *few) == 0
    assert candidates("four") != candidates("one")


def test_an_interrupted_search_goes_on(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from sim.recommend.race import Race

    assert recommend("--out", "whole", "--reports", "a") == 0
    looks = iter(range(100))
    look = Race.look

    def interrupted(self: Race, *given: Any, **named: Any) -> Any:
        if next(looks) == 2:
            raise KeyboardInterrupt
        return look(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Race, "look", interrupted)
        assert recommend("--out", "part", "--reports", "b") == 130
    assert not Path("part").exists()
    kept = sorted(Path("b/.searches").iterdir())
    assert len(kept) >= 10
    assert recommend("--out", "part", "--reports", "b") == 0
    assert Path("part/candidates.csv").read_bytes() == Path("whole/candidates.csv").read_bytes()


def test_every_family_is_tried_and_settings_may_be_named(shop: Path) -> None:
    more = ("--set", "search.candidates=60", "--set", "search.settings={alpha: [7%], bake: [3h, 6h]}")
    assert recommend("--out", "found", *more, *FEW) == 0
    tried = candidates("found")
    assert {each["family"].partition("-")[0] for each in tried} == {*FAMILIES}
    policies = [json.loads(each["policy"]) for each in tried]
    assert {each["evidence"]["alpha"] for each in policies if "alpha" in each.get("evidence", {})} == {"7%"}
    assert {each["ramp"]["every"] for each in policies if each["kind"] == "canary"} <= {"3h", "6h"}
    # Checks of the scenario's own limits stand in every ramp.
    assert all(each["checks"][0]["metric"] == "error_rate" for each in policies if each["kind"] == "canary")
    assert not [each for each in tried if each["fate"].startswith("refused")]


def test_the_study_is_optunas(shop: Path) -> None:
    assert recommend("--out", "found", "--set", "search.families=[ab]", *FEW) == 0
    with sqlite3.connect("found/study.db") as store:
        (count,) = store.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
    assert count == 24


def test_a_promise_that_nobody_keeps_is_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--set", "search.families=[canary]", "--set", "require={missed_win: < 1%, wrong_ship: < 1%}")
    assert recommend("--out", "found", *more) == 2
    said = capsys.readouterr().err
    assert "search: none of" in said
    assert "is shown not to meet missed_win < 1%" in said or "is shown not to meet wrong_ship < 1%" in said
    assert not Path("found").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sweep={traffic.rate: [1/s, 2/s]}", "sweep: a search is of one world: leave out the sweep"),
        ("search.families=[abtest]", "search.families[0]: must be one of ab, bandit, canary, chain, risk_budget, sqr, staged"),
        ("search.settings={alpha: [5%, 1%]}", "the values of alpha must rise"),
        ("search.settings={alfa: [5%]}", "did you mean 'alpha'?"),
        ("search.candidates=0", "search.candidates"),
        ("search.settings={bake: [90m]}", "must be a whole number of ticks"),
    ],
)
def test_what_cannot_be_searched_is_refused(shop: Path, capsys: pytest.CaptureFixture[str], change: str, said: str) -> None:
    families = () if "families" in change else ("--set", "search.families=[canary]")
    assert recommend("--out", "found", *families, "--set", change) == 2
    assert said in capsys.readouterr().err
    assert not Path("found").exists()


def test_where_requests_compete_the_champion_alone_is_played_too(shop: Path) -> None:
    more = ("--set", "capacity={champion: {replicas: 4, timeout: 1s}, challenger: {replicas: 4, timeout: 1s}}")
    few = ("--set", "search.candidates=6", "--set", "search.replications=20", "--set", "replications=20")
    assert recommend("--out", "found", *more, *few, "--set", "require={}") == 0
    assert all(each["worth"] for each in candidates("found") if not each["fate"].startswith("refused"))


def test_a_folder_of_something_else_is_left_alone(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine", encoding="utf-8")
    assert recommend("--out", "mine") == 2
    assert "holds other files, such as notes.txt, and no search" in capsys.readouterr().err
    assert recommend("--out", "mine/notes.txt") == 2
    assert [each.name for each in Path("mine").iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_is_refused_before_the_search(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("a file")
    for folder in ("taken", "taken/found"):
        assert recommend("--out", folder) == 2
        assert "--out" in capsys.readouterr().err
    assert not Path("reports").exists()


def test_rules_may_be_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = ["sprt", "confidence_sequence", "betting", "bayes_factor", "rope"]
    more = ("--set", f"search.rules={json.dumps(rules)}", "--set", "search.families=[ab, bandit]")
    assert recommend("--out", "found", *more, *FEW, "--set", "search.candidates=40") == 0
    tried = candidates("found")
    assert {json.loads(each["policy"])["evidence"]["kind"] for each in tried} == {*rules}
    assert not [each["fate"] for each in tried if each["fate"].startswith("refused")]
    assert recommend("--out", "no", "--set", "search.rules=[fixed_horizon]", "--set", "search.families=[bandit]") == 2
    assert "search.rules: need one for bandits: one beside fixed_horizon and group_sequential" in capsys.readouterr().err


def test_a_cluster_finds_the_same(shop: Path) -> None:
    pytest.importorskip("distributed")
    few = (*FEW, "--set", "search.candidates=10", "--set", "search.families=[ab]")
    assert recommend("--out", "own", "--reports", "a", *few) == 0
    assert recommend("--out", "theirs", "--reports", "b", "--cluster", "local:1", *few) == 0
    assert Path("own/candidates.csv").read_bytes() == Path("theirs/candidates.csv").read_bytes()
