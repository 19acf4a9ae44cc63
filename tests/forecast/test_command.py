"""`sim forecast` from files: what it tells, from which tables, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from sim.cli import main
from tests.forecast.scenarios import point, scenario
from tests.forecast.seen import play, write

MODELS = """\
model: m
versions:
  - {alias: champion, outcomes: {conversion: {bernoulli: 30%}}, latency: {constant: 50ms}}
  - {alias: challenger, outcomes: {conversion: {bernoulli: 30%}}, latency: {constant: 50ms}}
"""
CANARY = {
    "name": "canary",
    "kind": "canary",
    "steps": [{"weight": "10%", "bake": "4d"}, {"weight": "50%", "bake": "6d"}],
    "checks": [{"metric": "conversion", "min_ratio": 0.8, "over": "stage", "every": "1d", "min_requests": 500}],
}
AB = {"name": "ab", "kind": "ab", "max_duration": "15d", "evidence": {"kind": "fixed_horizon", "sample": 12000}}
HALF_WAY = """\
time,arm,requests,conversion
2d,champion,2400,720
2d,challenger,2400,735
5d,champion,6000,1800
5d,challenger,6000,1840
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scenario, its models registered, and a table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    Path("it.yaml").write_text(yaml.safe_dump(scenario(tick="1d", policies=[AB, CANARY, {"name": "hold", "kind": "hold"}])))
    Path("seen.csv").write_text(HALF_WAY, encoding="utf-8")
    assert main(["models", "register", "models.yaml"]) == 0
    return tmp_path


def forecast(*more: str, policy: str = "ab", seen: str = "seen.csv") -> int:
    given = [] if any(each in ("--run", "--experiment") for each in more) else ["--seen", seen]
    return main(["forecast", "it.yaml", "--policy", policy, "--replications", "200", *given, *more])


def test_tables_of_all_kinds_tell_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert forecast("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [way["name"] for way in found["ways"]] == ["as planned", "longer", "ship challenger", "keep"]
    assert found["left_out"] == {"half": "traffic is split evenly already"}
    assert found["requests"] == {"champion": 6000, "challenger": 6000}
    for way in found["ways"]:
        assert sum(way[name]["value"] for name in ("right_ship", "wrong_ship", "rolled_back", "open")) == pytest.approx(1)
    table = pd.read_csv("seen.csv")
    each = table.copy()
    each[["requests", "conversion"]] = (
        table.groupby("arm")[["requests", "conversion"]].diff().fillna(table[["requests", "conversion"]])
    )
    each["time"] = each["time"].map({"2d": 172_800.0, "5d": 432_000.0})
    each.to_parquet("each.parquet")
    assert forecast("--json", "--per-interval", seen="each.parquet") == 0
    other = json.loads(capsys.readouterr().out)
    assert {**other, "source": ""} == {**found, "source": ""}


def test_text_and_markdown_tell_what_is_in_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert forecast("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert forecast() == 0
    text = capsys.readouterr().out
    assert forecast("--markdown") == 0
    marked = capsys.readouterr().out
    ship = found["ways"][0]["right_ship"]
    for told in (text, marked):
        assert f"{ship['value']:.1%} ± {ship['se']:.1%}" in told
        assert "predictive power" in told
        assert "stop now, keep champion" in told
    assert marked.count("\n| ") == 2 + len(found["ways"])


def test_a_run_of_mlflow(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mlflow import MlflowClient

    assert forecast("--json") == 0
    capsys.readouterr()
    client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("live"))
    for line in HALF_WAY.splitlines()[1:]:
        time, arm, requests, conversion = line.split(",")
        for name, value in (("requests", requests), ("conversion", conversion)):
            client.log_metric(run.info.run_id, f"{arm}/{name}", float(value), step=int(time[0]))
    client.log_metric(run.info.run_id, "loss", 0.5, step=1)
    assert forecast("--json") == 0
    by_table = json.loads(capsys.readouterr().out)
    for where in (["--experiment", "live"], ["--run", run.info.run_id, "--step", "1d"]):
        assert forecast("--json", *where) == 0
        by_run = json.loads(capsys.readouterr().out)
        assert {**by_run, "source": ""} == {**by_table, "source": ""}
    assert forecast("--experiment", "lives") == 2
    assert "no experiment 'lives'" in capsys.readouterr().err
    assert forecast("--run", "0" * 32) == 2
    assert "no run" in capsys.readouterr().err


def test_what_the_simulator_played_is_taken_up_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A canary in its second step: its routing is found again, and no traffic is even yet."""
    said = scenario(tick="1d", policies=[CANARY])
    rollout = play(point(said), "canary", 1)
    write(rollout, point(said), Path("seen.csv"), 6, 2, cumulative=False)
    capsys.readouterr()
    assert forecast("--json", "--per-interval", policy="canary") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["predictive_power"] is None
    assert [way["name"] for way in found["ways"]] == ["as planned", "half", "ship challenger", "keep"]
    assert "longer" in found["left_out"]
    assert found["ways"][0]["half_by_s"] == 4 * 86_400
    assert not found["doubts"]


def test_traffic_that_the_policy_would_not_have_sent(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "4d,champion,8640,2592\n4d,challenger,960,288\n5d,champion,10800,3240\n5d,challenger,1200,360\n"
    Path("seen.csv").write_text(f"time,arm,requests,conversion\n{rows}", encoding="utf-8")
    assert forecast(policy="canary") == 2
    told = capsys.readouterr().err
    assert "seen.csv requests: row" in told
    assert "at 5d the policy would have sent 50.000%" in told
    assert "the table shows" in told


def test_a_policy_that_has_ended_has_no_more_to_declare(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "10d,champion,12100,3600\n10d,challenger,12100,3900\n"
    Path("seen.csv").write_text(f"time,arm,requests,conversion\n{rows}", encoding="utf-8")
    capsys.readouterr()
    assert forecast("--json") == 0
    found = json.loads(capsys.readouterr().out)
    planned, *_ = found["ways"]
    assert found["predictive_power"] is None
    assert found["left_out"] == {"half": "the policy has ended", "longer": "the policy has ended"}
    assert planned["right_ship"]["value"] + planned["wrong_ship"]["value"] == 1
    assert planned["value"] == next(way["value"] for way in found["ways"] if way["name"] == "ship challenger")


def test_a_champion_of_another_scenario(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = HALF_WAY.replace("6000,1800", "6000,1500").replace("2400,720", "2400,600")
    Path("seen.csv").write_text(table, encoding="utf-8")
    assert forecast() == 2
    assert "conversion of champion is 0.25 in the table and 0.3 in the scenario" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("time,arm,requests,conversions\n1d,champion,5,1\n", "conversions: no such count or metric; did you mean 'conversion'"),
        ("time,arm,requests\n1d,champion,5\n1d,chalenger,5\n", "arm: row 2: no arm 'chalenger' in the scenario; did you mean"),
        ("time,arm,requests\n1d,champion,5\n", "arm: has no row of challenger at 1d"),
        ("time,arm,requests\n1d,champion,5\n1d,champion,5\n", "champion is there at this time already, in row 1"),
        ("time,arm,requests\n36h,champion,5\n36h,challenger,5\n", "row 1: must be a whole number of ticks of 1d, got '36h'"),
        ("time,arm,requests\n30d,champion,5\n30d,challenger,5\n", "time: row 1: must not be after the horizon of 20d"),
        ("time,arm,requests\n1e-300,champion,5\n1e-300,challenger,5\n", "row 1: must be a whole number of ticks of 1d"),
        ("time,arm,requests\n0,champion,5\n0,challenger,5\n", "time: row 1: must be after the start, got '0'"),
        ("time,arm,requests\nnoon,champion,5\n1d,challenger,5\n", "time: row 1: must be the time since the start"),
        ("time,arm,requests\n1d,champion,-5\n1d,challenger,5\n", "requests: row 1: must not be negative, got '-5'"),
        ("time,arm,requests\n1d,champion,5.5\n1d,challenger,5\n", "requests: row 1: must be a whole number, got '5.5'"),
        ("time,arm,requests\n1d,champion,many\n1d,challenger,5\n", "requests: row 1: must be a number, got 'many'"),
        (HALF_WAY.replace("6000,1840", "2000,1840"), "requests: row 4: must not fall with time, got 2,400 to 2,000"),
        (HALF_WAY.replace("6000,1840", "6000,6001"), "conversion: row 4: must not be more than conversion.count"),
        ("time,arm,requests,conversion\n", "has no rows"),
        ("arm,requests\nchampion,5\n", "has no column time"),
        ("time,arm,requests\n1d,champion,5\n1d,challenger,5\n", "lacks the column conversion.sum, which the policy reads"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(here: Path, capsys: pytest.CaptureFixture[str], table: str, told: str) -> None:
    Path("seen.csv").write_text(table, encoding="utf-8")
    assert forecast() == 2
    assert told in capsys.readouterr().err


def test_policies_and_scenarios_that_cannot_be_forecast(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, told in (
        (["--policy", "abb"], "no policy 'abb' in the scenario; did you mean 'ab'?"),
        (["--policy", "hold"], "hold has its verdict at once"),
        (["--set", "users={count: 500, similarity: 10%}"], "a forecast needs requests that are independent"),
        (["--set", "sweep={seed: [1, 2]}"], "leave out the sweep"),
        (["--seen", "none.csv"], "none.csv"),
        (["--step", "1h"], "a table says its times itself"),
    ):
        assert forecast(*options) == 2, options
        assert told in capsys.readouterr().err
    assert not Path("reports").exists()
