"""`sim replay` as people give it: files, good and bad."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main
from sim.errors import EXIT_INPUT, EXIT_OK

POLICIES = """\
arms: [old, new]
policies:
  - {name: even, allocation: {kind: fixed}}
  - {name: mostly-new, allocation: {kind: fixed, weights: [20%, 80%]}}
  - {name: thompson, allocation: {kind: thompson, floor: 5%}}
"""


def frame(rows: int = 3_000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    arm = rng.choice(2, rows, p=[0.7, 0.3])
    reward = (rng.random(rows) < np.array([0.3, 0.5])[arm]).astype(int)
    words, chance = np.array(["old", "new"])[arm], np.array([0.7, 0.3])[arm]
    return pd.DataFrame({"time": np.arange(rows) * 10, "arm": words, "reward": reward, "propensity": chance})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("policies.yaml").write_text(POLICIES)
    frame().to_csv("log.csv", index=False)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["replay", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


QUICK = ("--policies", "policies.yaml", "--tick", "10m", "--replays", "20", "--samples", "50")


@pytest.mark.usefixtures("place")
def test_a_table_and_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = told(capsys, "log.csv", *QUICK)
    assert code == EXIT_OK
    data = json.loads(told(capsys, "log.csv", *QUICK, "--json")[1])
    value = data["each"][1]["values"]["snips"]["value"]
    assert f"mostly-new  snips      {value:.6g}" in text
    assert abs(value - (0.2 * 0.3 + 0.8 * 0.5)) < 4 * data["each"][1]["values"]["snips"]["standard_error"]
    assert list(data["each"][2]["values"]) == ["replay"]
    assert "replay only, as its traffic may change with time or with what it sees: thompson" in text


@pytest.mark.usefixtures("place")
def test_parquet_and_time_stamps_give_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = told(capsys, "log.csv", *QUICK)[1]
    log = frame()
    log.to_parquet("log.parquet")
    assert told(capsys, "log.parquet", *QUICK)[1] == wanted
    log["time"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(log["time"], unit="s")
    log.to_csv("stamped.csv", index=False)
    assert told(capsys, "stamped.csv", *QUICK)[1] == wanted
    log["time"] = log["time"].dt.tz_localize("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    log.to_csv("zoned.csv", index=False)
    assert told(capsys, "zoned.csv", *QUICK)[1] == wanted


@pytest.mark.usefixtures("place")
def test_policies_of_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    log = frame()
    log["arm"] = log["arm"].map({"old": "champion", "new": "challenger"})
    log.to_csv("scenario.csv", index=False)
    Path("mine.yaml").write_text("""\
name: mine
models: [{arm: champion, uri: "models:/a/1"}, {arm: challenger, uri: "models:/a/2"}]
traffic: {rate: 1/s}
horizon: 1d
tick: 10m
replications: 10
seed: 1
metrics: [{name: reward, role: primary}]
truth: {challenger: {reward: {relative_effect: {normal: {mean: 0%, sd: 3%}}}}}
policies:
  - {name: bandit, kind: bandit}
  - {name: hold, kind: hold}
  - {name: canary, kind: canary, steps: [{weight: 10%, bake: 1h}], checks: [{metric: error_rate, max: 1%}]}
""")
    few = ("--replays", "20", "--samples", "50")
    code, text, error = told(capsys, "scenario.csv", "--scenario", "mine.yaml", "--policy", "bandit", "--policy", "hold", *few)
    assert code == EXIT_OK, error
    assert "hold    ips        " in text
    code, _, error = told(capsys, "scenario.csv", "--scenario", "mine.yaml", "--policy", "canary", *few)
    assert code == EXIT_INPUT
    assert "which a log of rewards does not have" in error


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("propensity", 4, 0.0, "log.csv propensity: row 5: must be a probability, above 0 and at most 1, got 0"),
        ("propensity", 4, 1.5, "log.csv propensity: row 5: must be a probability, above 0 and at most 1, got 1.5"),
        ("propensity", 4, None, "log.csv propensity: row 5: must be a probability, above 0 and at most 1, got ''"),
        ("reward", 2, "nan", "log.csv reward: row 3: must be a finite number, got 'nan'"),
        ("reward", 2, "much", "log.csv reward: row 3: must be a finite number, got 'much'"),
        ("reward", 2, 1e300, "log.csv reward: row 3: must lie within ±1e+12, got 1e+300"),
        ("propensity", 4, 1e-300, "the effective sample size must be at least 100 (--least-size), got "),
        ("time", 2999, 1e300, "must cut the log into at most 20,000 ticks, got "),
        ("arm", 7, "nwe", "log.csv arm: row 8: no arm 'nwe' in the policies; did you mean 'new'?"),
        ("arm", 7, "n\x1b[2J", "row 8: no arm 'n\\x1b[2J' in the policies"),
        (
            "time",
            9,
            "5",
            "log.csv time: row 10: must not be earlier than the row before: sort the file by it; got '5' after '80'",
        ),
        ("time", 9, "noon", "log.csv time: row 10: must be seconds, or a time stamp"),
    ],
)
def test_a_wrong_value_is_told_at_its_row(
    capsys: pytest.CaptureFixture[str], column: str, row: int, value: object, message: str
) -> None:
    log = frame().astype({column: object})
    log.loc[row, column] = value
    log.to_csv("log.csv", index=False)
    code, out, error = told(capsys, "log.csv", *QUICK)
    assert (code, out) == (EXIT_INPUT, "")
    assert message in error
    assert "\x1b" not in error


@pytest.mark.usefixtures("place")
def test_all_problems_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = frame().astype(object)
    log.loc[3, "reward"], log.loc[4, "propensity"], log.loc[5, "arm"] = "x", 2, "other"
    log.to_csv("log.csv", index=False)
    _, _, error = told(capsys, "log.csv", *QUICK)
    assert all(f"row {row}: " in error for row in (4, 5, 6))


@pytest.mark.usefixtures("place")
def test_what_a_log_cannot_say_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    log = frame()
    log.drop(columns="propensity").to_csv("bare.csv", index=False)
    code, _, error = told(capsys, "bare.csv", *QUICK)
    assert code == EXIT_INPUT
    assert "bare.csv: has no column 'propensity'" in error
    code, _, error = told(capsys, "bare.csv", *QUICK, "--uniform")
    assert code == EXIT_INPUT
    assert "is not split evenly, as --uniform says" in error
    log.iloc[:40].to_csv("short.csv", index=False)
    code, out, error = told(capsys, "short.csv", *QUICK)
    assert (code, out) == (EXIT_INPUT, "")
    assert "the effective sample size must be at least 100 (--least-size)" in error
    log[log["arm"] == "old"].to_csv("one.csv", index=False)
    assert "one.csv arm: has one arm only, 'old'" in told(capsys, "one.csv", *QUICK)[2]
    log.iloc[:0].to_csv("empty.csv", index=False)
    assert "empty.csv: has no rows" in told(capsys, "empty.csv", *QUICK)[2]
    assert "none.csv: no such file" in told(capsys, "none.csv", *QUICK)[2]
    assert "must cut the log into at most 20,000 ticks" in told(capsys, "log.csv", *QUICK, "--tick", "1s")[2]


@pytest.mark.usefixtures("place")
def test_wrong_propensities_are_doubted(capsys: pytest.CaptureFixture[str]) -> None:
    log = frame()
    log["propensity"] = 0.5
    log.to_csv("log.csv", index=False)
    code, text, _ = told(capsys, "log.csv", *QUICK)
    assert code == EXIT_OK
    assert "doubt: the propensities of old do not fit how often it was shown" in text


@pytest.mark.usefixtures("place")
def test_a_wrong_policies_file_is_told_at_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("policies.yaml").write_text("arms: [old, new]\npolicies:\n  - {name: a, allocation: {kind: thomson}}\n")
    code, _, error = told(capsys, "log.csv", *QUICK)
    assert code == EXIT_INPUT
    assert "policies.yaml:3:" in error
    Path("policies.yaml").write_text(
        "arms: [old, new]\npolicies:\n  - {name: a, allocation: {kind: fixed, weights: [50%, 40%]}}\n"
    )
    assert "policies[0].allocation.weights: shares must sum to 100%" in told(capsys, "log.csv", *QUICK)[2]
    Path("policies.yaml").write_text(POLICIES)
    assert "no policy 'evn'; did you mean 'even'?" in told(capsys, "log.csv", *QUICK, "--policy", "evn")[2]
