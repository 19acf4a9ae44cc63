"""`sim calibrate` from files: a log of known truth gives it back, what is written runs, and what is wrong is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from threadpoolctl import threadpool_info, threadpool_limits

from sim.cli import main
from sim.fitting.priors import Prior, fit_prior
from sim.report.html import POLICY
from sim.tables import moments

MODELS = """\
model: shop
versions:
  - alias: champion
    outcomes: {sale: {bernoulli: 20%}, revenue: {zero_inflated: {rate: 30%, amount: {gamma: {mean: 30, sd: 25}}}}}
    latency: {lognormal: {median: 45ms, p99: 180ms}}
    error_rate: 1%
  - alias: challenger
    outcomes: {sale: {bernoulli: 22%}, revenue: {zero_inflated: {rate: 30%, amount: {gamma: {mean: 30, sd: 25}}}}}
    latency: {gamma: {mean: 60ms, sd: 30ms}}
    error_rate: 2%
"""
SCENARIO = """\
name: shop
seed: 11
replications: 5
horizon: 8d
tick: 1h
traffic: {rate: 5/m, daily: {peak: "15:00", amplitude: 50%}, bursts: {factor: 4, every: 3h, duration: 30m}, start: "08:00"}
users: {count: 8000, activity: {lognormal: 0.8}, assignment: sticky, similarity: 20%}
models: [{arm: champion, uri: "models:/shop@champion"}, {arm: challenger, uri: "models:/shop@challenger"}]
metrics:
  - {name: sale, role: primary, delay: {lognormal: {median: 6h, p99: 3d}}, until_known: failure}
  - {name: revenue}
truth: {challenger: {sale: {relative_effect: 10%}}}
policies: [{name: ab, kind: ab, evidence: {kind: fixed_horizon, sample: 100000000}}]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log of a scenario: every request of eight days, as far as six of them are over."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "models.yaml").write_text(MODELS, encoding="utf-8")
    (folder / "shop.yaml").write_text(SCENARIO, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        assert main(["models", "register", "models.yaml"]) == 0
        trace = ["trace", "shop.yaml", "--policy", "ab", "--replication", "0", "--requests", "--until", "7d"]
        assert main([*trace, "--out", "log.parquet"]) == 0
    return folder


@pytest.fixture
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, beside the log and the store of the shop."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shop / 'mlflow.db'}")
    return shop


def calibrate(*arguments: str) -> int:
    return main(["calibrate", "--quiet", *arguments])


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[tuple[str, str], Any]:
    """What was found, by what it is about and what it is."""
    capsys.readouterr()
    assert calibrate(*arguments, "--json") == 0
    return {(each["about"], each["what"]): each for each in json.loads(capsys.readouterr().out)["found"]}


def test_a_log_of_known_truth_gives_it_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = found(capsys, str(here / "log.parquet"), "--columns", "outcome=sale,outcome=revenue")

    def estimate(about: str, what: str, number: str) -> tuple[float, float]:
        of = rows[about, what]["numbers"][number]
        return of["estimate"], of["error"]

    # Failed requests are told apart: a version's share is that of the requests that it answers.
    truth = {
        ("traffic", "rate", "rate"): 5 / 60,
        ("traffic", "daily cycle", "amplitude"): 0.5,
        ("traffic", "daily cycle", "peak_s"): 15 * 3600,
        ("traffic", "bursts", "factor"): 4,
        ("traffic", "bursts", "every_s"): 3 * 3600,
        ("traffic", "bursts", "duration_s"): 1800,
        ("champion", "sale", "mean"): 0.2,
        ("challenger", "sale", "mean"): 0.22,
        ("champion", "error_rate", "share"): 0.01,
        ("challenger", "error_rate", "share"): 0.02,
        ("champion", "revenue", "rate"): 0.3,
        ("champion", "revenue", "mean"): 9,
        ("champion", "latency", "median_s"): 0.045,
        ("champion", "latency", "p99_s"): 0.18,
        ("challenger", "relative effect", "effect"): 0.1,
        ("users", "users.count", "count"): 8000,
        ("users", "users.activity", "lognormal"): 0.8,
        ("users", "users.similarity", "similarity"): 0.2,
        ("sale", "delay", "mean_s"): float(np.exp(np.log(6 * 3600) + (np.log(12) / 2.3263479) ** 2 / 2)),
    }
    for (about, what, number), true in truth.items():
        value, error = estimate(about, what, number)
        assert abs(value - true) < 3.5 * error, (about, what, number, value, error, true)
        assert error < 0.35 * abs(true) or number == "effect", (about, what, number)
    assert rows["traffic", "weekly cycle"]["written"] is None
    assert rows["sale", "daily cycle of the outcome"]["written"] is None
    assert "lognormal" in rows["sale", "delay"]["written"]
    assert "gamma" in rows["challenger", "latency"]["written"]
    assert "only sale has times of its own" in rows["champion", "revenue"]["told"]
    # Of sales that have had no time yet, as many are foreseen as there will be.
    assert "once all are known" in rows["champion", "sale"]["told"]


def test_what_is_written_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(here / "log.parquet")
    assert calibrate(log, "--columns", "outcome=sale,outcome=revenue", "--name", "checkout", "--out", "new/checkout.yaml") == 0
    commands = capsys.readouterr().err.partition("next:")[2]
    assert "sim run new/checkout.yaml" in commands
    assert main(["models", "register", "new/models/checkout.yaml"]) == 0
    assert main(["check", "new/checkout.yaml"]) == 0
    run = ["run", "new/checkout.yaml", "--no-tracking", "--quiet", "--set", "replications=4", "--set", "horizon=12h"]
    assert main([*run, "--set", "sensitivity=off", "--set", "aa=false", "--set", "policies[4].steps[0].bake=1h"]) == 0
    written = yaml.safe_load(Path("new/checkout.yaml").read_text(encoding="utf-8"))
    assert written["users"]["activity"] == pytest.approx({"lognormal": 0.8}, abs=0.1)
    assert written["metrics"][0]["until_known"] == "failure"
    assert written["policies"][2]["evidence"]["adjust"] == {"kind": "cluster"}
    page = Path("new/calibration.html").read_text(encoding="utf-8")
    assert "users: Requests of a user" in page
    assert "users: How far apart users are" in page
    assert "Fits beside the data" in page
    assert page.count("<svg") == 9
    assert POLICY in page


def test_nothing_of_a_user_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = pd.read_parquet(here / "log.parquet")
    log["user"] = "customer-" + log["user"].astype(str)
    log.to_parquet("named.parquet")
    assert calibrate("named.parquet", "--columns", "outcome=sale", "--out", "new/named.yaml") == 0
    texts = [capsys.readouterr().out, *(file.read_text(encoding="utf-8") for file in Path("new").rglob("*.*"))]
    assert len(texts) == 4
    assert not any("customer-" in text for text in texts)


def test_csv_and_parts_say_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = pd.read_parquet(here / "log.parquet")
    log[:20000].to_csv("one.csv", index=False)
    log[20000:].to_csv("two.csv", index=False)
    columns = ("--columns", "outcome=sale,outcome=revenue")
    assert found(capsys, "one.csv", "two.csv", *columns) == found(capsys, str(here / "log.parquet"), *columns)
    assert calibrate("two.csv", "one.csv", *columns) == 2
    assert "one.csv time: row 1: must not be earlier than the row before" in capsys.readouterr().err


def test_only_aggregates_of_a_part_of_a_large_log(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ("--columns", "outcome=sale,outcome=revenue")
    whole = found(capsys, str(here / "log.parquet"), *columns)
    monkeypatch.setattr("sim.fitting.log.MOST_ROWS", 20_000)
    monkeypatch.setattr("sim.fitting.log_files._BATCH", 5_000)
    part = found(capsys, str(here / "log.parquet"), *columns)
    # All rows count for the traffic, and whole users for the rest.
    assert part["traffic", "rate"] == whole["traffic", "rate"]
    assert part["traffic", "bursts"] == whole["traffic", "bursts"]
    few, all_of = (each["champion", "sale"]["numbers"]["mean"] for each in (part, whole))
    assert few["error"] > 1.2 * all_of["error"]
    assert abs(few["estimate"] - all_of["estimate"]) < 3 * few["error"]
    similar = part["users", "users.similarity"]["numbers"]["similarity"]
    assert abs(similar["estimate"] - 0.2) < 3.5 * similar["error"]


def test_the_next_version_has_the_prior_of_past_experiments(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    errors = rng.uniform(0.004, 0.012, 60)
    past = pd.DataFrame(
        {"experiment": range(60), "estimate": rng.normal(0.01, 0.02, 60) + rng.normal(0, errors), "error": errors}
    )
    past.to_csv("past.csv", index=False)
    files = (str(here / "log.parquet"), "past.csv")
    assert calibrate(*files, "--columns", "outcome=sale", "--next", "--name", "shop2", "--out", "next.yaml") == 0
    capsys.readouterr()
    written = yaml.safe_load(Path("next.yaml").read_text(encoding="utf-8"))
    assert [each["arm"] for each in written["models"]] == ["champion", "challenger"]
    prior = written["truth"]["challenger"]["sale"]["relative_effect"]["normal"]
    assert abs(float(prior["mean"].rstrip("%")) - 1) < 1
    assert abs(float(prior["sd"].rstrip("%")) - 2) < 0.8
    assert len(written["sensitivity"]["truth.challenger.sale.relative_effect"]) >= 2
    assert main(["models", "register", "models/shop2.yaml"]) == 0
    assert main(["check", "next.yaml"]) == 0
    capsys.readouterr()
    assert calibrate("past.csv") == 0
    assert "60 experiments" in capsys.readouterr().out
    assert calibrate("past.csv", "--out", "alone.yaml") == 2
    assert "--out: needs a log of requests too" in capsys.readouterr().err
    assert not Path("alone.yaml").exists()


def threads() -> set[int]:
    """The numbers of threads of the libraries of linear algebra."""
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_fits_take_one_thread_of_linear_algebra_and_give_the_others_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    past = pd.DataFrame({"experiment": range(6), "estimate": [-0.03, -0.01, 0.0, 0.0, 0.01, 0.03], "error": 0.01})
    past.to_csv("past.csv", index=False)
    seen: list[set[int]] = []

    def fit(*given: Any, **named: Any) -> Prior:
        seen.append(threads())
        return fit_prior(*given, **named)

    monkeypatch.setattr("sim.fitting.calibrating.fit_prior", fit)
    with threadpool_limits(2, "blas"):
        assert calibrate("past.csv") == 0
        assert seen == [{1}]
        assert threads() == {2}


def rows(count: int = 600) -> pd.DataFrame:
    """A log of three days that nothing is wrong with."""
    rng = np.random.default_rng(0)
    time = pd.Timestamp("2026-01-05") + pd.to_timedelta(np.sort(rng.integers(0, 3 * 86_400, count)), unit="s")
    return pd.DataFrame(
        {
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "arm": rng.choice(["old", "new"], count),
            "converted": rng.integers(0, 2, count),
            "latency_ms": rng.lognormal(4, 0.3, count).round(2),
            "status": 200,
        }
    ).astype(object)


def at(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A log with one value changed; rows are counted from 1."""

    def changed(log: pd.DataFrame) -> pd.DataFrame:
        if column not in log:
            log[column] = None
        log.loc[row - 1, column] = value
        return log

    return changed


WRONG: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "backwards": (lambda log: log.assign(time=log["time"].to_numpy()[::-1]), "time: row 2: must not be earlier than the row"),
    "constant": (lambda log: log.assign(time="2026-01-05 00:00:00"), "time: is the same in every row"),
    "no time": (at("time", 6, ""), "time: row 6: must be seconds, or a time stamp"),
    "mixed zones": (at("time", 8, "2026-01-05 01:00:00+02:00"), "time: row 8: must be seconds, or a time stamp"),
    "no date": (at("time", 9, "yesterday"), "time: row 9: must be seconds, or a time stamp as"),
    "milliseconds": (lambda log: log.assign(time=np.arange(600) + 1.7e12), "time: row 1: must be seconds"),
    "broken clock": (at("time", 1, "0001-01-05 00:00:00"), "time: row 1: must lie from the year 1900 to 2199"),
    "ages": (lambda log: log.assign(time=np.arange(600) * 1e8), "time: row 33: must lie within 100 years of the first row"),
    "negative": (at("latency_ms", 4, -4), "latency_ms: row 4: must be a length of time of at least 0, got '-4'"),
    "no number": (at("converted", 12, "maybe"), "converted: row 12: must be a number, or true or false, got 'maybe'"),
    "too large": (at("converted", 3, 1e15), "converted: row 3: must lie within ±1e+12"),
    "no status": (at("status", 5, 42), "status: row 5: must be a status code from 100 to 599, got '42'"),
    "few of an arm": (
        lambda log: log.assign(arm=["old"] * 597 + ["new"] * 3),
        "arm: has 3 rows of 'new': at least 100 are needed to know it",
    ),
    "one side only": (
        lambda log: log.assign(converted=log["converted"].where(log["arm"] == "old", "")),
        "converted: has no value of 'new': nothing can be tested by it",
    ),
    "all alike": (lambda log: log.assign(converted=1), "converted: has 1 in every row of 'new'"),
    "two times": (lambda log: log.assign(ts=log["time"]), "which is the time? Say --columns time=time or --columns time=ts"),
    "no outcome": (lambda log: log.drop(columns="converted"), "which column is the outcome, what is to be improved?"),
    "no unit": (lambda log: log.rename(columns={"latency_ms": "latency"}), "--latency-unit: in which unit is 'latency'?"),
    "too early": (at("outcome_time", 5, "2025-01-01 00:00:00"), "outcome_time: row 5: must not be before its request"),
    "other clock": (at("outcome_time", 5, "17"), "outcome_time: row 5: must be a time as those of the requests"),
    "no rows": (lambda log: log[:0], "has no rows"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_log_that_is_wrong_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    change, said = WRONG[what]
    change(rows()).to_csv("log.csv", index=False)
    assert calibrate("log.csv", "--out", "log.yaml") == 2
    assert said in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log.csv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--columns", "outcome"), "--columns: must be ROLE=COLUMN"),
        (("--columns", "outcom=converted"), "did you mean 'outcome'?"),
        (("--columns", "outcome=convertd"), "no column 'convertd', which is to be the outcome; did you mean 'converted'?"),
        (("--columns", "outcome=converted,arm=converted"), "'converted' is given two roles"),
        (("--columns", "time=time,time=arm"), "time is given twice"),
        (("--champion", "odl"), "--champion: no arm 'odl' in the log; did you mean 'old'?"),
        (("--primary", "sale"), "--primary: no outcome 'sale'"),
        (("--horizon", "two weeks"), "--horizon: "),
        (("--name", "a b"), "--name: must be a name"),
    ],
)
def test_options_that_are_wrong_are_refused(
    options: tuple[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows().to_csv("log.csv", index=False)
    assert calibrate("log.csv", *options) == 2
    assert said in capsys.readouterr().err


def test_names_of_a_log_are_only_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = 'x"]\n- {boom: 1} <script>alert(1)</script> \x1b[2J'
    log = rows().rename(columns={"converted": "sold: {now}\n#"})
    log["arm"] = log["arm"].replace("new", evil)
    log["device"] = np.where(log["arm"] == "old", "a: b", evil)
    log.to_csv("log.csv", index=False)
    assert calibrate("log.csv", "--columns", "outcome=sold: {now}\n#", "--out", "log.yaml") == 0
    written = yaml.safe_load(Path("log.yaml").read_text(encoding="utf-8"))
    assert written["metrics"][0]["name"] == "sold-now"
    assert set(written["truth"]) == {each["arm"] for each in written["models"]} - {"champion"}
    assert "<script>alert" not in Path("calibration.html").read_text(encoding="utf-8")
    yaml.safe_load(Path("models/log.yaml").read_text(encoding="utf-8"))


def test_what_is_there_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows().to_csv("log.csv", index=False)
    Path("calibration.html").write_text("mine", encoding="utf-8")
    assert calibrate("log.csv", "--out", "log.yaml") == 2
    assert "calibration.html: is there already, and is not overwritten" in capsys.readouterr().err
    assert not Path("log.yaml").exists()
    assert not Path("models").exists()


def test_seconds_tell_no_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    rows().assign(time=np.arange(600) * 400.5).to_csv("log.csv", index=False)
    assert calibrate("log.csv") == 0
    assert "times are seconds: the log does not tell the hour" in capsys.readouterr().out


def test_three_arms_and_failures_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng, count = np.random.default_rng(5), 6000
    log = rows(count)
    log["arm"] = rng.choice(["a", "b", "c"], count)
    failed = rng.random(count) < 0.2
    log["status"] = np.where(failed, 500, 200)
    log["converted"] = np.where(failed, 0, rng.random(count) < 0.5).astype(int)
    log.to_csv("log.csv", index=False)
    assert calibrate("log.csv", "--out", "three.yaml") == 0
    written = yaml.safe_load(Path("models/log.yaml").read_text(encoding="utf-8"))
    assert len(written["versions"]) == 3
    for version in written["versions"]:
        # Failures are told apart, and not counted twice.
        assert abs(float(version["outcomes"]["converted"]["bernoulli"].rstrip("%")) - 50) < 5
        assert abs(float(str(version["error_rate"]).rstrip("%")) - 20) < 4
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert main(["models", "register", "models/log.yaml"]) == 0
    assert main(["check", "three.yaml"]) == 0
    capsys.readouterr()


def test_columns_of_experiments_may_have_any_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    effects = np.random.default_rng(1).normal(0, 0.02, 12)
    pd.DataFrame({"who": range(12), "rel": effects, "noise": 0.01}).to_csv("past.csv", index=False)
    assert calibrate("past.csv", "--experiment-columns", "experiment=who,estimate=rel,error=noise") == 0
    assert "12 experiments" in capsys.readouterr().out


def test_the_log_of_a_policy_that_decides_at_once_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = ["--set", "policies=[{name: hold, kind: hold}]"]
    trace = ["trace", str(here / "shop.yaml"), "--policy", "hold", "--replication", "0", "--requests", "--until", "6h", *change]
    assert main([*trace, "--out", "hold.parquet"]) == 0
    log = pd.read_parquet("hold.parquet")
    assert len(log) > 500
    assert set(log["arm"]) == {"champion"}
    assert set(log["propensity"]) == {1.0}
    capsys.readouterr()
    assert main([*trace, "--limit", "10"]) == 0
    assert "outcome_time" in capsys.readouterr().out


@pytest.mark.parametrize("zone", ["", "+00:00"])
def test_times_to_the_nanosecond_are_read_to_the_microsecond(zone: str) -> None:
    """As pandas writes them."""
    texts = pa.array([f"2026-01-01 00:35:06.256153832{zone}", f"2026-01-01 00:35:07{zone}"])
    found, zoned = moments(texts)
    assert found is not None
    assert (found - found[0]).tolist() == [0, 743_847]
    assert zoned == bool(zone)
