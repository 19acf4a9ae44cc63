"""`sim trace`, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main
from sim.engine.events import COLUMNS
from sim.jit import missing

BUSY = """\
name: busy
seed: 3
replications: 4
horizon: 5m
tick: 30s
engine: simpy
traffic: {rate: 4/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics:
  - {name: conversion, role: primary, delay: {exponential: 30s}}
capacity:
  champion: {replicas: 2, concurrency: 1, queue: 1, timeout: 80ms}
retries: {attempts: 3, on: [error, timeout, rejection], backoff: 100ms, factor: 2, longest: 10s, jitter: 50%}
timeline:
  - {kind: outage, pool: champion, at: 2m, duration: 1m, replicas: 1}
policies:
  - {name: ab, kind: ab, split: [50%, 50%], evidence: {kind: fixed_horizon, sample: 300}}
  - {name: shadow, kind: shadow, mirror: 50%, duration: 2m, checks: [{metric: error_rate, max: 90%}]}
"""


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    file = tmp_path / "busy.yaml"
    file.write_text(BUSY)
    return file


def trace(store: str, file: Path, *more: str) -> int:
    return main(["trace", str(file), "--tracking-uri", store, "--reports", str(file.parent), *more])


def test_both_engines_write_the_same_events(store: str, busy: Path, tmp_path: Path) -> None:
    logs = []
    for engine in ("simpy", "compiled") if not missing else ("simpy", "simpy"):
        for policy in ("ab", "shadow"):
            out = tmp_path / f"{engine}-{policy}.parquet"
            assert trace(store, busy, "--policy", policy, "--replication", "2", "--engine", engine, "--out", str(out)) == 0
            logs.append(pd.read_parquet(out))
    for one, other in zip(logs[:2], logs[2:], strict=True):
        pd.testing.assert_frame_equal(one, other)
    ab, shadow = logs[:2]
    assert tuple(ab.columns) == COLUMNS
    assert ab["time_s"].is_monotonic_increasing
    assert {"arrive", "start", "finish", "timeout", "reject", "retry", "feedback", "tick", "verdict"} <= set(ab["event"])
    assert not ab["mirrored"].fillna(False).any()
    assert shadow["mirrored"].fillna(False).any()
    # Every request arrives once, and is heard of again only after.
    came = ab[ab["event"] == "arrive"]
    assert came["request"].tolist() == list(range(len(came)))
    ended = ab[ab["event"].isin(["finish", "error", "timeout", "reject"])]
    assert len(ended) == len(came) + (ab["event"] == "retry").sum()
    assert (shadow["event"] == "verdict").sum() == 1


def test_a_trace_is_of_the_replication_that_a_run_plays(store: str, busy: Path, tmp_path: Path) -> None:
    assert (
        main(["run", str(busy), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--quiet", "--no-tracking"])
        == 0
    )
    (folder,) = (each for each in (tmp_path / "reports").iterdir() if not each.name.startswith("."))
    trials = pd.read_parquet(folder / "trials.parquet").set_index(["policy", "replication"])
    for policy, replication in (("ab", 1), ("shadow", 3)):
        out = tmp_path / "log.parquet"
        assert trace(store, busy, "--policy", policy, "--replication", str(replication), "--out", str(out)) == 0
        log, trial = pd.read_parquet(out), trials.loc[policy, replication]
        verdict = log[log["event"] == "verdict"].iloc[0]
        assert verdict["detail"].split()[0] == trial["verdict"]
        assert verdict["time_s"] == trial["time_to_decision_s"]
        assert (log["event"] == "arrive").sum() - log["mirrored"].eq(True)[log["event"] == "arrive"].sum() == trial["requests"]
        assert log["mirrored"].eq(True)[log["event"] == "arrive"].sum() == trial["mirrored_requests"]
        ends = log[log["event"].isin(["error", "timeout", "reject"]) & ~log["mirrored"].eq(True)]
        assert (~ends["detail"].str.contains("again")).sum() == trial["errors"]


def test_a_long_log_is_shown_by_its_ends(store: str, busy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(store, busy, "--policy", "ab", "--replication", "0", "--limit", "9") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(COLUMNS)
    assert lines[1].split() == ["0.000000000", "tick", "champion", "50%,", "challenger", "50%"]
    assert len(lines) == 1 + 9 + 1
    assert lines[6].startswith("... ")
    assert lines[6].endswith(" more ...")


def test_a_csv_up_to_a_time(store: str, busy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "log.csv"
    assert trace(store, busy, "--policy", "ab", "--replication", "1", "--until", "50s", "--out", str(out)) == 0
    log = pd.read_csv(out)
    assert capsys.readouterr().out == f"{out}: {len(log):,} events\n"
    assert (log["event"] == "tick").sum() == 2
    assert 45 < log["time_s"].max() < 50
    assert "verdict" not in set(log["event"])


def test_a_run_by_statistics_is_traced_by_events_and_says_so(
    store: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace(store, small, "--policy", "ab", "--replication", "1", "--until", "30m", "--limit", "5") == 0
    assert "aggregate engine, which has no events" in capsys.readouterr().err


def test_every_wrong_argument_is_named_with_its_rule(store: str, busy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = ["--policy", "shadw", "--replication", "4", "--engine", "aggregate", "--out", "log.txt"]
    assert trace(store, busy, *said) == 2
    err = capsys.readouterr().err
    assert "--policy: no policy 'shadw'; there are ab, shadow; did you mean shadow?" in err
    assert "--replication: must be one of the replications 0 to 3, got 4" in err
    assert "--engine: aggregate has no events: it draws the counts of a tick" in err
    assert "--out: must end in .parquet or .csv, got 'log.txt'" in err


def test_too_many_requests_are_refused_with_a_way_out(store: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_text(small.read_text().replace("rate: 2/s", "rate: 2000/s"))
    assert trace(store, small, "--policy", "ab", "--replication", "0") == 2
    assert (
        "--until: a trace has at most 2,000,000 requests, got 172,800,000 in 1d: trace a shorter time"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("--replication", "-1", "whole number of at least 0"),
        ("--until", "3", "write a unit"),
        ("--limit", "0", "whole number of at least 1"),
    ],
)
def test_a_malformed_argument_is_refused(
    store: str, busy: Path, capsys: pytest.CaptureFixture[str], argument: str, value: str, rule: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        trace(store, busy, "--policy", "ab", "--replication", "0", f"{argument}={value}")
    assert rule in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_said_before_anything_is_played(
    store: str, busy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.run.trace.trace", lambda *said: pytest.fail("played"))
    out = busy / "log.csv"
    assert trace(store, busy, "--policy", "ab", "--replication", "0", "--until", "30s", "--out", str(out)) == 2
    assert f"--out: must be a file that can be written, got {out}" in capsys.readouterr().err
