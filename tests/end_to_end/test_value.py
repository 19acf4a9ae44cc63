"""What a decision is worth, from a file: against sums by hand, and what of it is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.cli import main
from sim.compare.comparison import Comparison, compare
from sim.compare.wording import quantity

WORLD = """\
name: worth
seed: 5
replications: 40
horizon: 2d
tick: 30m
aa: false
traffic: {{rate: 20/s, arrivals: regular, daily: {{peak: "12:00", amplitude: 50%}}, start: "00:00"}}
models:
  - {{arm: champion, uri: "models:/checkout-ranker@champion"}}
  - {{arm: challenger, uri: "models:/checkout-ranker@challenger"}}
metrics:
  - {{name: conversion, role: primary, daily: {{peak: "12:00", amplitude: 20%}}}}
truth: {{challenger: {{conversion: {{relative_effect: 4%}}}}}}
timeline:
  - {{kind: novelty, arm: challenger, metric: conversion, effect: 30%, half_life: 6h}}
  - {{kind: drift, arm: challenger, metric: conversion, at: 1d, duration: 6h, to: "-1%"}}
  - {{kind: errors, arm: challenger, at: 6h, duration: 6h, rate: 10%}}
value: {value}
{more}
policies:
  - {{name: hold, kind: hold}}
  - {{name: switch, kind: switch}}
  - {{name: canary, kind: canary, steps: [{{weight: 10%, bake: 2h}}], checks: [{{metric: conversion, kind: non_inferior, margin: 50%}}]}}
"""  # noqa: E501


CROWDED = """\
name: crowded
seed: 5
replications: 4
horizon: 20m
tick: 1m
aa: false
traffic: {rate: 20/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
capacity: {champion: {replicas: 2, queue: 1}, challenger: {replicas: 1, queue: 1}}
value: {per_lost: 2, per_error: 1}
policies:
  - {name: hold, kind: hold}
  - {name: switch, kind: switch}
"""


def rehearsed(store: str, tmp_path: Path, value: str, more: str = "") -> tuple[pd.DataFrame, Comparison]:
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "worth.yaml"
    file.write_text(WORLD.format(value=value, more=more))
    assert main(["check", str(file)]) == 0
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path / "reports")]
    assert main(["run", str(file), *options]) == 0
    (run,) = (tmp_path / "reports").glob("*/trials.parquet")
    return pd.read_parquet(run), compare(run.parent)


def by_hand() -> tuple[float, float, float]:
    """What switching gives more by the horizon, how many more requests fail, and what each usual day gives more.

    Minute by minute from the file, with requests of every tick shared evenly: rates and cycles are constant within a tick.
    """
    gain = failed = usual = 0.0
    for tick in range(96):
        start_h = tick / 2
        requests = 20 * 1800 * cycle(start_h, 0.5)
        mean = 0.05 * cycle(start_h, 0.2)
        novelty = 1 + 0.3 * 2 ** (-start_h / 6) * (1 - 2 ** (-0.5 / 6)) / (math.log(2) * 0.5 / 6)
        drift = 1 - 0.01 * min(max((start_h + 0.25 - 24) / 6, 0), 1)
        failing = 1 - (1 - 0.001) * (0.9 if 6 <= start_h < 12 else 1)
        gain += requests * (mean * 1.04 * novelty * drift * (1 - failing) - mean * 0.999)
        failed += requests * (failing - 0.001)
        if tick < 48:
            usual += requests * mean * (1.04 * 0.99 - 1) * 0.999
    return gain, failed, usual


def cycle(start_h: float, amplitude: float) -> float:
    """The mean of a daily cosine with its peak at noon over half an hour."""
    edges = [2 * math.pi * (start_h + after - 12) / 24 for after in (0, 0.5)]
    return 1 + amplitude * (math.sin(edges[1]) - math.sin(edges[0])) / (edges[1] - edges[0])


def test_switching_is_worth_what_sums_by_hand_say(store: str, tmp_path: Path) -> None:
    trials, comparison = rehearsed(store, tmp_path, "{lifetime: 30d, currency: EUR, per: 3, per_error: 0.5, per_ship: 7}")
    gain, failed, usual = by_hand()
    switch = trials[trials["policy"] == "switch"]
    # Regular arrivals are a whole number in every tick.
    assert switch["gain"].mean() == pytest.approx(3 * gain, rel=1e-3)
    assert switch["failed_more"].mean() == pytest.approx(failed, rel=1e-3)
    # The usual week is told by the hour, over which cycles of traffic and of the metric are averaged on their own.
    assert switch["gain_per_day"].to_numpy() == pytest.approx(3 * usual, rel=1e-3)
    assert (switch["failed_more_per_day"] == 0).all()
    worth = 3 * gain - 0.5 * failed + 28 * 3 * usual - 7
    point = comparison.points[0]
    assert point.estimate("switch", "net_value").estimate == pytest.approx(worth, rel=2e-3)
    assert point.estimate("hold", "net_value").estimate == 0
    assert point.estimate("switch", "value_lost").estimate == pytest.approx(0, abs=1e-6 * worth)
    assert point.estimate("hold", "value_lost").estimate == pytest.approx(worth, rel=2e-3)
    canary = trials[trials["policy"] == "canary"]
    assert (canary["gain"] < switch["gain"].to_numpy()).all()
    assert "EUR" in comparison.verdict


def test_the_rollout_itself_costs_days_and_rollbacks(store: str, tmp_path: Path) -> None:
    _, free = rehearsed(store, tmp_path / "free", "{lifetime: 2d}")
    trials, dear = rehearsed(store, tmp_path / "dear", "{lifetime: 2d, per_day: 100, delay: 10, per_ship: 5, per_rollback: 2}")
    canary = trials[trials["policy"] == "canary"]
    days = canary["time_to_end_s"].fillna(2 * 86_400) / 86_400
    waits = canary["time_to_decision_s"].fillna(2 * 86_400) / 86_400
    shipped = canary["verdict"] == "ship"
    costs = 100 * days + 10 * waits + 5 * shipped + 2 * ~shipped
    told = [each.points[0].estimate("canary", "net_value").estimate for each in (free, dear)]
    assert None not in told
    assert told[0] - told[1] == pytest.approx(costs.mean())  # type: ignore[operator]


def test_what_is_not_shown_to_meet_a_requirement_is_not_taken(store: str, tmp_path: Path) -> None:
    _, comparison = rehearsed(store, tmp_path, "{lifetime: 2d}", more='require: {peak_exposure: "<= 5%"}')
    decision = comparison.points[0].decision
    assert decision.chosen is None
    assert decision.passed_over["canary"].startswith("is not shown to meet peak_exposure <= 5%: ")
    assert comparison.memo[0] == "Take none: the one policy is not fit to be recommended."


@pytest.mark.parametrize(
    ("value", "more", "said"),
    [
        ("{lifetime: 1d}", "", "value.lifetime: must be at least the horizon of 2d, got 1d"),
        ("{lifetime: 90}", "", "value.lifetime: must be a duration above zero: write a unit"),
        ("{currency: EUR}", "", "value.currency: needs 'per', what one unit of conversion is worth in EUR"),
        ("{per: {conversions: 3}}", "", "value.per.conversions: no outcome 'conversions'; there are conversion"),
        ("{per: -3}", "", "value.per: "),
        ("{per: 0}", "", "value.per: must be above 0 for some metric"),
        ("{per: {conversion: 0}, per_ship: 3}", "", "value.per: must be above 0 for some metric"),
        ('{per: 1, currency: "E\\nR"}', "", "value.currency: must be letters that can be printed on one line"),
        ("{per_slow: 1}", "", "value.per_slow: needs a latency guardrail with 'max', which says what is slow"),
        ("{per_lost: 1}", "", "value.per_lost: needs capacity, pools or retries"),
        ("{}", 'require: {wrong_shipp: "< 5%"}', "require.wrong_shipp: no measure 'wrong_shipp'; did you mean wrong_ship?"),
        ("{}", 'require: {cannary.regret: "< 5"}', "no policy 'cannary'; did you mean canary?"),
        ("{}", "margin: 2%", "margin: is for 'goal: not_worse'"),
    ],
)
def test_what_cannot_be_is_refused_at_its_line(
    value: str, more: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "worth.yaml"
    file.write_text(WORLD.format(value=value, more=more))
    assert main(["check", str(file)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "worth.yaml:" in error


def test_where_requests_compete_keeping_the_champion_must_be_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = WORLD.format(value="{per_lost: 1}", more="capacity: {champion: {replicas: 9}, challenger: {replicas: 9}}")
    file = tmp_path / "worth.yaml"
    file.write_text(text.replace("  - {name: hold, kind: hold}\n", ""))
    assert main(["check", str(file)]) == 2
    assert "value: needs a policy of kind hold: with capacity, what keeping the champion loses" in capsys.readouterr().err


def test_where_requests_compete_losses_are_the_difference_to_keeping(store: str, tmp_path: Path) -> None:
    file = tmp_path / "crowded.yaml"
    file.write_text(CROWDED)
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path / "reports")]
    assert main(["run", str(file), *options]) == 0
    (run,) = (tmp_path / "reports").glob("*/trials.parquet")
    trials = pd.read_parquet(run).set_index(["policy", "replication"])
    keys = ["gain", "errors", "lost_requests"]
    more: Any = trials.loc["switch", keys].to_numpy(float) - trials.loc["hold", keys].to_numpy(float)
    worth = more[:, 0] - (more[:, 1] - more[:, 2]) - 2 * more[:, 2]
    found = compare(run.parent).points[0].estimate("switch", "net_value").estimate
    assert found == pytest.approx(np.mean(worth))
    assert (trials.loc["switch", "lost_requests"] > 0).any()


RELEASES = """\
name: releases
seed: 5
replications: 60
horizon: 1d
tick: 1h
aa: false
goal: not_worse
margin: 2%
traffic: {rate: 20/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: release, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}, {name: error_rate, role: guardrail}]
truth: {release: {conversion: {relative_effect: {choice: {values: [0%, -10%], weights: [70%, 30%]}}}}}
policies:
  - {name: hold, kind: hold}
  - {name: timid, kind: canary, steps: [{weight: 50%, bake: 2h}], checks: [{metric: error_rate, max: 0%}]}
  - {name: bold, kind: canary, steps: [{weight: 50%, bake: 2h}], checks: [{metric: error_rate, max: 50%}]}
  - name: careful
    kind: canary
    steps: [{weight: 50%, bake: 8h}]
    checks: [{metric: conversion, kind: non_inferior, margin: 5%}]
"""


def test_of_releases_neither_what_stops_all_nor_what_ships_all_is_taken(store: str, tmp_path: Path) -> None:
    file = tmp_path / "releases.yaml"
    file.write_text(RELEASES)
    assert main(["check", str(file)]) == 0
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path / "reports")]
    assert main(["run", str(file), *options]) == 0
    (run,) = (tmp_path / "reports").glob("*/run.json")
    comparison = compare(run.parent)
    point = comparison.points[0]
    assert point.decision.chosen == "careful"
    assert point.decision.passed_over["timid"].startswith(
        "rolls healthy releases back more often than not: false rollback 100%"
    )
    assert point.decision.passed_over["bold"].startswith("ships what is worse more often than not: wrong ship 100%")
    assert (point.estimate("bold", "false_rollback").estimate, point.estimate("timid", "missed_regression").estimate) == (0, 0)
    # What a release is for is no part of the primary metric, so keeping the champion is not said to do better.
    assert comparison.memo[0] == "Take careful: it is the only policy that is fit to be recommended."
    assert any(sentence.startswith("It rolls a healthy release back in ") for sentence in comparison.memo)
    # How bad: all that are worse lose a tenth, and only what ships them has an answer.
    assert point.estimate("bold", "bad_ship_effect").estimate == pytest.approx(-0.1)
    assert point.estimate("timid", "bad_ship_effect").estimate is None


def test_a_release_is_told_in_words_of_releases(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "releases.yaml"
    file.write_text(RELEASES)
    assert main(["run", str(file), "--registry-uri", store, "--no-tracking", "--out", str(tmp_path / "run")]) == 0
    table = capsys.readouterr().out
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert all(heading in table for heading in ("rolled back", "how bad,", "bad, until"))
    for heading in ("healthy, rolled back", "missed regression", "how bad, if bad is shipped", "time to roll a bad one back"):
        assert f'<th scope="col">{heading}</th>' in page
    for other in ("no better", "missed win", "declares in A/A"):
        assert other not in table
        assert f'<th scope="col">{other}' not in page


def test_amounts_name_their_currency_and_a_sweep_says_what_is_given(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "worth.yaml"
    file.write_text(WORLD.format(value="{currency: EUR, per: 3}", more="sweep: {value.per: [3, 30]}"))
    assert main(["run", str(file), "--registry-uri", store, "--no-tracking", "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "net value" in told
    assert re.search(r"^policy .*\bEUR\b", told, re.MULTILINE)
    least = compare(tmp_path / "run").points[0].estimate("canary", "net_value").estimate
    assert least is not None
    assert least > 0
    words = " ".join(told.split())
    assert re.search(
        rf"What is taken gives \+{re.escape(quantity(least))}( \(.*\))? EUR against keeping the champion at 3, and", words
    )
