"""A scenario of the facts of a rollout, by flags and by answers on a terminal: it checks, registers and runs as it is."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sim.cli import main
from sim.units import parse_duration
from tests.end_to_end.conftest import ROOT

FACTS = ("--model", "ranker", "--baseline", "4%", "--traffic", "30/s")


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--primary", "sale", "--smallest-effect", "0.02", "--spread", "5%", "--horizon", "36h", "--lifetime", "30d"),
        # Names that YAML could take for something else, and a horizon that few ticks divide.
        ("--model", "null", "--primary", "on", "--horizon", "61m"),
    ],
)
def test_what_is_written_runs_as_it_is(
    more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine", *FACTS, *more]) == 0
    out = capsys.readouterr().out
    commands = [line.split() for line in out.partition("next:\n")[2].splitlines()]
    assert [words[1] for words in commands] == ["models", "check", "run"]
    store = ["--tracking-uri", "sqlite:///here.db"]
    few = ["--set", "replications=4", "--no-tracking", "--quiet", "--display", "none"]
    for (_, *words), extra in zip(commands, (store, store, [*few, *store]), strict=True):
        assert main([*words, *extra]) == 0, capsys.readouterr().err
    # Nothing that is written is doubtful: check and run have no warning.
    assert "warning" not in capsys.readouterr().err
    (folder,) = (each for each in Path("reports").iterdir() if each.is_dir() and not each.name.startswith("."))
    run = json.loads((folder / "run.json").read_text())
    asked = {flag: value for flag, value in zip([*FACTS, *more][::2], [*FACTS, *more][1::2], strict=True)}
    assert run["name"] == asked["--model"]
    assert run["primary"]["name"] == asked.get("--primary", "conversion")
    assert run["primary"]["mean"] == pytest.approx(0.04, rel=1e-3)
    resolved = yaml.safe_load((folder / "scenario.yaml").read_text())
    assert resolved["traffic"]["rate"] == asked["--traffic"]
    assert parse_duration(resolved["value"]["lifetime"]) == parse_duration(asked.get("--lifetime", "90d"))
    assert [policy["name"] for policy in resolved["policies"]] == ["switch", "hold", "ab", "bandit", "canary", "careful"]


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ranker.yaml").write_text("mine")
    assert main(["init", str(tmp_path), *FACTS]) == 2
    assert "ranker.yaml: is there already, and is not overwritten" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["models", "ranker.yaml"]
    assert (tmp_path / "models" / "ranker.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--baseline", "5"), "--baseline: must be a share from 0% to 100%, such as 10% or 0.1; got '5'"),
        (("--baseline", "0%"), "--baseline: must be above 0% and below 100%; got '0%'"),
        (("--traffic", "40"), "--traffic: must be a rate above zero"),
        (("--horizon", "2 weeks"), "--horizon: must be a duration"),
        (("--lifetime", "1d"), "--lifetime: must be at least the horizon of 14d, got 1d"),
        (("--model", "a/b"), "--model: must be a name of at most 64 letters"),
        (("--model", "x\ny: 1"), "--model: must be a name of at most 64 letters"),
        (("--primary", "latency"), "--primary: must be an outcome; latency is built in"),
        (("--spread", "1%}}, x: {y: 1%"), "--spread: must be a share"),
        (("--example", "three-offers"), "--model: is a fact of a rollout, and does not go with --example or --list"),
        (("--horizon", "100ms"), "--horizon: must be at least 1s; got '100ms'"),
        (("--horizon", "1ns"), "--horizon: must be at least 1s; got '1ns'"),
        (("--horizon", "100000w"), "--horizon: must be at most 9 years"),
        (("--smallest-effect", "1e-9%"), "--smallest-effect: must be at least 1e-09; got '1e-9%'"),
        (("--traffic", "1e12/s"), "--traffic: a replication must have fewer than"),
        (("--lifetime", "1e9w"), "--lifetime: must be at most 9 years"),
        (("--spread", "30%"), "--spread: must be at most 20%, so that 5 standard deviations leave the outcome between"),
        (("--baseline", "95%"), "--spread: must be at most 1.05%, so that 5 standard deviations"),
    ],
)
def test_a_fact_that_cannot_be_is_told_at_its_flag(
    more: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "mine"), *FACTS, *more]) == 2
    said = capsys.readouterr().err
    assert says in said
    # A flag is told once, and nothing by a key of the file that is not written.
    lines = [line.partition(":")[0] for line in said.splitlines()[:-1]]
    assert all(line.startswith("--") for line in lines)
    assert len(set(lines)) == len(lines)
    assert not (tmp_path / "mine").exists()


def test_what_is_missing_is_told_where_nobody_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "sim", "init", str(tmp_path / "mine"), "--model", "ranker"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--baseline: is required, such as 5%" in done.stderr
    assert "--traffic: is required, such as 40/s" in done.stderr
    assert not (tmp_path / "mine").exists()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_it_asks_on_a_terminal_until_the_answer_can_be_one(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sim", "init", str(tmp_path / "mine"), "--horizon", "7d"]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as asking:
        os.write(ours, b"ranker\n\nfive\n\n6%\n2%\n\n50/s\n60d\n")
        assert asking.wait(60) == 0
        os.set_blocking(ours, False)
        said = os.read(ours, 100_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "What is the model called? (such as checkout-ranker)" in said
    assert "must be a share from 0% to 100%, such as 10% or 0.1; got 'five'" in said
    assert "is needed, such as 5%" in said
    scenario = yaml.safe_load((tmp_path / "mine" / "ranker.yaml").read_text())
    assert (scenario["horizon"], scenario["traffic"]["rate"], scenario["value"]["lifetime"]) == ("7d", "50/s", "60d")
    assert scenario["metrics"][0] == {"name": "conversion", "role": "primary", "smallest_effect": "2%"}
    assert "bernoulli: 6%" in (tmp_path / "mine" / "models" / "ranker.yaml").read_text()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_the_end_of_the_answers_writes_nothing(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sim", "init", str(tmp_path / "mine")]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as asking:
        os.write(ours, b"ranker\n\x04")
        assert asking.wait(60) == 130
    os.close(theirs)
    os.close(ours)
    assert not (tmp_path / "mine").exists()
