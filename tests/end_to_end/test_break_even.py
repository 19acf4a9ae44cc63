"""Where the choice would be another: break-even values are those at which a run with them changes hands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.cli import main
from sim.compare.comparison import Comparison, compare
from sim.report.flips import flips

RELEASE = """\
name: release
seed: 3
replications: 150
horizon: 7d
tick: 10m
aa: false
sensitivity: off
traffic: {{rate: 10/s}}
models:
  - {{arm: champion, uri: "models:/checkout-ranker@champion"}}
  - {{arm: challenger, uri: "models:/checkout-ranker@challenger"}}
metrics: [{{name: conversion, role: primary}}]
truth: {{challenger: {{conversion: {{relative_effect: {{normal: {{mean: 0%, sd: 3%}}}}}}}}}}
value: {{lifetime: {lifetime}, per_ship: {per_ship}, per_day: 3}}
policies:
  - {{name: ab, kind: ab, evidence: {{kind: fixed_horizon, mde: 2%}}}}
  - {{name: bandit, kind: bandit, allocation: {{kind: thompson, floor: 5%}}}}
"""


def played(store: str, folder: Path, lifetime: str, per_ship: float) -> Comparison:
    folder.mkdir()
    file = folder / "release.yaml"
    file.write_text(RELEASE.format(lifetime=lifetime, per_ship=per_ship))
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(folder)]
    assert main(["run", str(file), *options]) == 0
    (run,) = folder.glob("*/run.json")
    return compare(run.parent)


@pytest.fixture(scope="module")
def now(store: str, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A lifetime of 14 d, and 5 for a ship."""
    return played(store, tmp_path_factory.mktemp("release") / "now", "14d", 5.0)


def best(comparison: Comparison) -> str:
    """The policy with the highest mean net value."""
    means = {name: comparison.points[0].estimate(name, "net_value").estimate or 0.0 for name in ("ab", "bandit")}
    return max(means, key=lambda name: means[name])


@pytest.mark.parametrize("key", ["lifetime", "per_ship"])
def test_runs_on_both_sides_of_a_break_even_differ_in_the_best(store: str, now: Comparison, tmp_path: Path, key: str) -> None:
    found = next(each for each in now.points[0].sensitivity if each.key == key)
    turn = found.below or found.above
    assert turn is not None
    for factor, name in ((0.99, "less"), (1.01, "more")):
        value = turn.value * factor
        told = played(
            store, tmp_path / name,
            f"{value:.0f}s" if key == "lifetime" else "14d", value if key == "per_ship" else 5.0,
        )  # fmt: skip
        beyond = (factor > 1) == (turn is found.above)
        assert best(told) == (turn.policy if beyond else best(now))


def test_a_choice_at_half_and_twice_is_that_of_a_run_with_it(store: str, now: Comparison, tmp_path: Path) -> None:
    assert [each.key for each in now.points[0].sensitivity] == ["lifetime", "per_day", "per_ship"]
    lifetime, _, per_ship = now.points[0].sensitivity
    for number, varied in enumerate(lifetime.varied):
        told = played(store, tmp_path / f"lifetime{number}", f"{varied.value:.0f}s", 5.0)
        assert told.points[0].decision.chosen == varied.chosen
    for number, varied in enumerate(per_ship.varied):
        told = played(store, tmp_path / f"ship{number}", "14d", varied.value)
        assert told.points[0].decision.chosen == varied.chosen


def test_the_memo_says_what_would_change_it(now: Comparison) -> None:
    said = now.memo[-1]
    assert "lifetime of 14 d" in said
    found = re.search(r"above a lifetime of ([\d.]+ d) ab gives most on average", said)
    assert found is not None, said
    table = flips(now, now.points[0])
    assert "14 d</td><td>the same</td><td>the same</td><td>–</td>" in table
    assert f"<td>{found[1]}: ab</td>" in table
