"""`sim check`: what it reads besides the scenario, and what it says of models without running them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.cli import main
from tests.end_to_end.conftest import SMALL
from tests.end_to_end.test_command_line import DIGITS

TRACED = SMALL.replace("{rate: 2/s}", "{trace: TRACE}")
FALLING = "time\n0\n40000\n30000\n90000\n"


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.parametrize(
    ("trace", "says"),
    [
        ("{file: log.csv, time: time}", "times must not decrease"),
        ("{file: other.csv, time: time}", "no such file"),
        ("{file: log.csv, time: at}", "has no column 'at'"),
        ("{file: short.csv, count: n, interval: 1h}", "is shorter than the horizon"),
        ("{file: log.txt, time: time}", "must end in .csv or .parquet"),
    ],
)
def test_recorded_traffic_is_read(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, trace: str, says: str
) -> None:
    (tmp_path / "log.csv").write_text(FALLING)
    (tmp_path / "short.csv").write_text("n\n3\n4\n")
    file = tmp_path / "traced.yaml"
    file.write_text(TRACED.replace("TRACE", trace))
    more = ["--tracking-uri", store, "--reports", str(tmp_path / "reports")] if verb == "run" else []
    assert main([verb, str(file), *more]) == 2
    err = capsys.readouterr().err
    assert "traced.yaml:7:" in err
    assert says in err
    assert "1 problem in the input" in err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.parametrize(
    ("data", "reward", "line", "says"),
    [
        ("{file: none.csv}", "correct", 9, "no such file"),
        ("{file: rows.csv, target: label}", "correct", 9, "has no column 'label'"),
        ("{file: rows.csv}", "{column: worth}", 11, "has no column 'worth'"),
        ("{file: rows.csv}", "{column: word}", 11, "pay-offs must be numbers"),
        ("{file: rows.csv}", "{column: ctr}", 11, "say what they are. 'as: chance' earns 1"),
        ("{file: rows.csv}", "{column: a, as: chance}", 11, "chances must lie between 0 and 1; 'a' holds 3"),
        ("{file: rows.csv, shift: {weights: word}}", "correct", 9, "weights must be numbers"),
    ],
)
def test_data_sets_are_read(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, data: str, reward: str, line: int, says: str
) -> None:
    (tmp_path / "rows.csv").write_text("a,word,ctr,target\n1,x,.12,2\n3,y,.3,4\n")
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS.replace("DATA", data).replace("reward: correct", f"reward: {reward}"))
    more = ["--tracking-uri", store, "--reports", str(tmp_path / "reports")] if verb == "run" else []
    assert main([verb, str(file), *more]) == 2
    err = capsys.readouterr().err
    assert f"digits.yaml:{line}:" in err
    assert says in err


def test_a_sweep_over_files_says_at_which_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text(FALLING)
    (tmp_path / "good.csv").write_text("time\n0\n40000\n90000\n")
    file = tmp_path / "traced.yaml"
    sweep = "sweep: {traffic.trace.file: [good.csv, log.csv]}\n"
    file.write_text(TRACED.replace("TRACE", "{file: good.csv, time: time}") + sweep)
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    assert "traced.yaml:7:" in err
    assert "must not decrease" in err
    assert "in the sweep at log.csv" in err


def test_all_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "traced.yaml"
    text = TRACED.replace("TRACE", "{file: none.csv, time: time}").replace("baseline: ab", "baseline: abc")
    file.write_text(text.replace("tick: 30m", "tick: 7h"))
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    assert [f"traced.yaml:{line}:" in err for line in (5, 7, 21)] == [True] * 3


def test_models_are_resolved_where_a_registry_is_named(store: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(small), "--registry-uri", store]) == 0
    assert "small.yaml: ok" in capsys.readouterr().out
    small.write_text(SMALL.replace("ranker@challenger", "ranker@chalenger").replace("name: conversion", "name: conversions"))
    assert main(["check", str(small)]) == 0
    assert main(["check", str(small), "--tracking-uri", store]) == 2
    assert "small.yaml:10:" in (err := capsys.readouterr().err)
    assert "did you mean 'challenger'?" in err
    small.write_text(SMALL.replace("name: conversion", "name: conversions"))
    assert main(["check", str(small), "--tracking-uri", store]) == 2
    assert "small.yaml:12:" in (err := capsys.readouterr().err)
    assert "no model of champion, challenger produces 'conversions'" in err


def test_check_says_what_run_says(store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same problems, at the same places, at each point of a sweep."""
    small.write_text(SMALL + 'sweep: {"models[1].uri": ["models:/checkout-ranker@challenger", "models:/offers@bundle"]}\n')
    assert main(["check", str(small), "--registry-uri", store]) == 0
    small.write_text(SMALL + 'sweep: {"models[1].uri": ["models:/checkout-ranker@challenger", "models:/search-ranker@slow"]}\n')
    said = []
    for verb, *more in (("check",), ("run", "--quiet", "--reports", str(tmp_path / "reports"))):
        assert main([verb, str(small), "--registry-uri", store, *more]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert "in the sweep at models:/search-ranker@slow" in said[0]


def test_a_data_set_that_no_model_is_replayed_on_is_refused(
    small: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write_text(SMALL + "data: {sklearn: digits}\n")
    for verb, *more in (("check",), ("run", "--no-tracking", "--reports", str(tmp_path / "reports"))):
        assert main([verb, str(small), "--registry-uri", store, *more]) == 2
        assert f"{small}:22:7 data: is for real model versions" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_a_model_of_the_examples_is_registered_by_the_command_that_is_named(
    small: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_digits = f"sqlite:///{tmp_path / 'mlflow.db'}"
    own = tmp_path / "own.yaml"
    own.write_text("model: own\nversions: [{alias: a, outcomes: {m: {bernoulli: 5%}}, latency: {constant: 1ms}}]\n")
    assert main(["models", "register", str(own), "--tracking-uri", only_digits]) == 0
    capsys.readouterr()
    assert main(["check", str(small), "--registry-uri", only_digits]) == 2
    said = capsys.readouterr().err
    assert "no model 'checkout-ranker' in the registry: 'sim models register checkout' registers that of the examples" in said
    assert "; there is own" in said


def test_a_registry_that_is_not_there_is_not_made(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(small), "--registry-uri", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert "the registry is empty" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["small.yaml"]


def test_real_models_are_seen_and_not_run(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow.pyfunc.load_model", lambda *given, **named: pytest.fail("loaded"))
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS.replace("DATA", "{sklearn: digits}"))
    assert main(["check", str(file), "--registry-uri", store]) == 0
    assert "what they predict is seen by `sim run`" in capsys.readouterr().out
    (tmp_path / "other.csv").write_text("a,target\n1,2\n3,4\n")
    file.write_text(DIGITS.replace("DATA", "{file: other.csv}"))
    assert main(["check", str(file), "--registry-uri", store]) == 2
    assert "digits.yaml:9:" in (err := capsys.readouterr().err)
    assert "pixel" in err
    file.write_text(DIGITS.replace("data: DATA\n", "").replace(", reward: correct", ""))
    assert main(["check", str(file), "--registry-uri", store]) == 2
    assert "digits.yaml:1:1 data: is required: real model versions are replayed" in capsys.readouterr().err


def test_what_a_run_costs_is_told_by_policy(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    assert main(["check", str(small), "--cost", "--registry-uri", store, "--set", "replications=4000", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (total,) = (line for line in lines if "small: about" in line)
    assert re.fullmatch(r"  small: about \d+ s on 1 process, and up to \d+ MB of memory", total)
    row = re.compile(r"    (hold|ab|canary) +aggregate +\d+ s of one process of up to \d+ MB")
    assert [found[1] for line in lines if (found := row.fullmatch(line))] == ["hold", "ab", "canary"]
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_run_costs_on_an_engine_of_requests(store: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["check", str(small), "--cost", "--registry-uri", store, "--engine", "simpy", "--set", "replications=100000"]) == 0
    )
    out = capsys.readouterr().out
    assert re.search(r"^    ab +simpy +[\d.]+ (h|d) of one process", out, re.MULTILINE)


def test_bad_words_about_costs(store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(small), "--workers", "2"]) == 2
    assert "--workers: is for --cost" in capsys.readouterr().err
    assert main(["check", str(small), "--cost", "--tracking-uri", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert "no model 'checkout-ranker' in the registry" in capsys.readouterr().err
