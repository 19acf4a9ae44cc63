"""Whether the choice stays in other worlds: from a file, by the command line, to everything that tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main
from sim.compare.comparison import compare
from sim.workflow import rehearse

# At a third of the traffic the long test does not end within the horizon. Its prior makes it worth the wait in the file.
LONG_OR_SHORT = """\
name: long-or-short
seed: 3
replications: 120
horizon: 2d
tick: 1h
aa: false
traffic: {rate: 20/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics:
  - {name: conversion, role: primary, delay: {exponential: 30m}}
  - {name: error_rate, role: guardrail}
truth: {challenger: {conversion: {relative_effect: {normal: {mean: 0%, sd: 3%}}}}}
value: {lifetime: 365d}
policies:
  - {name: hold, kind: hold}
  - {name: long, kind: ab, evidence: {kind: fixed_horizon, sample: 1200000}}
  - {name: short, kind: ab, evidence: {kind: fixed_horizon, sample: 20000}}
"""
ASKED = LONG_OR_SHORT + "sensitivity: {replications: 60}\n"
BEHAVIOURS = [
    {"outcomes": {"conversion": {"bernoulli": rate}}, "latency": {"constant": "45ms"}, "error_rate": 0.001}
    for rate in (0.05, 0.051)
]


def run(store: str, tmp_path: Path, text: str, *options: str) -> tuple[int, Path]:
    """The exit code of `sim run` for a file with this text, and the run folder."""
    (tmp_path / "scenario.yaml").write_text(text)
    folder = tmp_path / "out"
    given = ["--tracking-uri", store, "--no-tracking", "--quiet", "--out", str(folder), *options]
    return main(["run", str(tmp_path / "scenario.yaml"), *given]), folder


def test_where_the_choice_flips_is_told_everywhere(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, folder = run(store, tmp_path, ASKED)
    assert code == 0
    (point,) = compare(folder).points
    assert point.decision.chosen == "long"
    then = {each.what: each for each in point.elsewhere}
    assert list(then) == [
        "a third of the traffic", "three times the traffic", "a wider prior of conversion", "a narrower prior of conversion",
        "a worse prior of conversion", "feedback twice as late",
    ]  # fmt: skip
    third = then.pop("a third of the traffic")
    assert (third.then, third.chosen, third.n) == ("flips", "short", 60)
    assert third.told == "6.67/s instead of 20/s"
    assert third.why.startswith("does not decide half of its trials")
    assert third.lead.estimate is None
    assert {each.then for each in then.values()} <= {"stays", "open"}
    # Where the policy is fit, it is compared with the best of the others.
    assert all(each.rival == "short" and each.lead.n == 60 for each in then.values())
    shown = capsys.readouterr().out
    assert main(["show", str(folder)]) == 0
    texts = {"run": shown, "show": capsys.readouterr().out}
    texts |= {name: (folder / name).read_text() for name in ("report.html", "report.md")}
    for name, text in texts.items():
        assert "Played again with one thing otherwise: take short with a third of the traffic" in " ".join(text.split()), name
        assert "6.67/s instead of 20/s" in text, name
        assert "flips, take short" in text, name
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["points"][0]["elsewhere"][0]["then"] == "flips"


def test_another_world_has_the_trials_of_a_run_of_it(store: str, tmp_path: Path) -> None:
    code, folder = run(store, tmp_path, ASKED)
    assert code == 0
    found = pd.read_parquet(folder / "sensitivity.parquet")
    asked = json.loads((folder / "run.json").read_text())["sensitivity"]["variants"]
    assert asked[0]["values"] == {"traffic.rate": "6.67/s"}
    assert asked[4]["values"] == {"truth.challenger.conversion.relative_effect": {"normal": {"mean": "-1.5%", "sd": "3%"}}}
    assert asked[5]["values"] == {"metrics[0].delay": {"exponential": "1h"}}
    for number in (0, 4, 5):
        changes = [part for path, value in asked[number]["values"].items() for part in ("--set", f"{path}={json.dumps(value)}")]
        alone = tmp_path / str(number)
        options = ["--set", "replications=60", "--set", "sensitivity=off", *changes, "--out", str(alone)]
        assert (
            main(["run", str(tmp_path / "scenario.yaml"), "--tracking-uri", store, "--no-tracking", "--quiet", *options]) == 0
        )
        own = found[found["variant"] == number].drop(columns="variant").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, pd.read_parquet(alone / "trials.parquet"), check_exact=True)
        assert not (alone / "sensitivity.parquet").exists()


def test_own_keys_are_played_one_at_a_time(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = 'sensitivity: {replications: 30, traffic.rate: [5/s, 40/s], "policies[1].evidence.sample": [20000]}\n'
    code, folder = run(store, tmp_path, LONG_OR_SHORT + keys)
    assert code == 0
    (point,) = compare(folder).points
    assert [(each.what, each.told) for each in point.elsewhere] == [
        ("traffic.rate", "5/s instead of 20/s"),
        ("traffic.rate", "40/s instead of 20/s"),
        ("policies[1].evidence.sample", "20000 instead of 1200000"),
    ]
    assert point.elsewhere[0].then == "flips"
    assert "take short with traffic.rate 5/s instead of 20/s" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("sensitivity", "says"),
    [
        ("on", "sensitivity: must be off, or a mapping (key: value); got 'on'"),
        ("{replications: 0}", "sensitivity.replications: must be at least 1; got 0"),
        ("{horizon: []}", "sensitivity.horizon: must have 1 or more items; got 0"),
        ("{traffic.rate: 5/s}", "sensitivity[\"traffic.rate\"]: must be a list; got '5/s'"),
        ("{traffic.rate: [20/s]}", 'sensitivity["traffic.rate"][0]: must differ from what the file has, got 20/s'),
        (
            "{traffic.rate: [fast]}",
            "traffic.rate: must be a rate above zero per ms, s, m, h, d, w or y, such as 40/s; got 'fast'",
        ),
        ("{trafic.rate: [5/s]}", "trafic: unknown key 'trafic'; did you mean 'traffic'?"),
        ("{'policies[9].name': [a]}", "there is no policies[9]: policies is a list of 3, numbered from [0]"),
        ("{'policies[1].name': [a]}", "policies: must keep its names and kinds in all worlds of a run"),
        ("{replications: 9, name: [a]}", "sensitivity.name: cannot be varied"),
        ("{horizon: [90m]}", "horizon"),
        ("{seed: [4]}\nsweep: {traffic.rate: [5/s, 6/s]}", "sensitivity: cannot be given beside a sweep"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], sensitivity: str, says: str
) -> None:
    code, folder = run(store, tmp_path, f"{LONG_OR_SHORT}sensitivity: {sensitivity}\n")
    assert code == 2
    error = capsys.readouterr().err
    assert says in error
    # At the value, or where the file has what does not go with it.
    assert "scenario.yaml:20" in error or "in sensitivity with policies[1].name a" in error
    assert not folder.exists()


def test_check_says_what_will_be_varied_and_what_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(ASKED.replace(", delay: {exponential: 30m}", ""))
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "with a worse prior of conversion (mean -1.5% instead of 0%)" in out
    assert out.count("not varied: feedback: it is known as a call ends") == 1
    assert main(["check", str(file), "--set", "sensitivity=off"]) == 0
    assert "varied" not in capsys.readouterr().out


def test_in_memory_it_is_the_same_with_any_number_of_workers() -> None:
    one, two = (rehearse(ASKED, BEHAVIOURS, workers=workers) for workers in (1, 2))
    assert one.sensitivity is not None
    assert two.sensitivity is not None
    pd.testing.assert_frame_equal(one.sensitivity, two.sensitivity, check_exact=True)
    assert one.comparison.points == two.comparison.points
    assert len(one.sensitivity) == 6 * 3 * 60


def test_few_replications_are_not_held_against_what_is_required(store: str, tmp_path: Path) -> None:
    """Sixty trials cannot show less than 8%, though none errs; the policy is refuted only by what they show."""
    more = 'require: {wrong_ship: "< 8%"}\nsensitivity: {replications: 60, traffic.rate: [40/s]}\n'
    code, folder = run(store, tmp_path, LONG_OR_SHORT + more)
    assert code == 0
    (point,) = compare(folder).points
    (there,) = point.elsewhere
    assert point.decision.chosen is not None
    assert (there.then, there.chosen, there.why) == ("stays", point.decision.chosen, "")
