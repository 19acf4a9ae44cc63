"""Models of rewards by features, and policies that choose by what is known of a row, against known truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.arrays import Floats, Ints
from sim.cli import main
from sim.errors import EXIT_INPUT, EXIT_OK
from sim.offpolicy.estimators import doubly_robust, ips
from sim.offpolicy.models import linear

# The chance of a reward of arm a at x is that of the log odds LEVEL + SLOPE x; x is normal.
LEVEL, SLOPE = np.array([-1.0, -0.5]), np.array([1.0, -2.0])
LOGGED = np.array([0.7, 0.3])
LOGS, ROWS = 300, 1_000


def chances(x: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-(LEVEL + SLOPE * x[:, None])))
    return chance


def drawn(rng: np.random.Generator, rows: int) -> tuple[Floats, Ints, Floats]:
    """A log's feature, arms and rewards."""
    x, arm = rng.normal(size=rows), rng.choice(2, rows, p=LOGGED)
    return x, arm, (rng.random(rows) < chances(x)[np.arange(rows), arm]).astype(np.float64)


def by_sign(x: Floats) -> Floats:
    """(N, 2) the shares of a policy: the second arm below 0, the first above."""
    return np.column_stack([x > 0, x <= 0]).astype(np.float64)


def worth() -> float:
    """The mean reward of `by_sign`, by the quadrature of a fine grid."""
    x = np.linspace(-8, 8, 200_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return float(((by_sign(x) * chances(x)).sum(axis=1) * density).sum() * (x[1] - x[0]))


TRUE = worth()


@pytest.mark.parametrize("good", [True, False])
def test_a_model_takes_variance_away_if_it_is_good_and_is_unbiased_if_it_is_wrong(good: bool) -> None:
    values: dict[str, list[float]] = {"ips": [], "dr": []}
    covered = []
    for seed in range(LOGS):
        rng = np.random.default_rng([3, seed])
        x, arm, reward = drawn(rng, ROWS)
        shares = by_sign(x)
        weight = shares[np.arange(ROWS), arm] / LOGGED[arm]
        # A feature that says nothing, and a model of rewards of the wrong sign.
        model = linear(reward, arm, x[:, None], 2, seed, logistic=True) if good else 1 - chances(x)
        found = doubly_robust(weight, reward, shares, arm, model)
        values["dr"].append(found.value)
        values["ips"].append(ips(weight, reward).value)
        covered.append(abs(found.value - TRUE) <= 1.96 * found.standard_error)
    for each in values.values():
        assert abs(np.mean(each) - TRUE) < 4 * np.std(each, ddof=1) / np.sqrt(LOGS)
    # 95%, within four standard errors of a share of 300 logs.
    assert abs(np.mean(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / LOGS)
    assert (np.var(values["dr"]) < 0.6 * np.var(values["ips"])) == good


def test_a_line_is_that_of_the_normal_equations() -> None:
    rng = np.random.default_rng(4)
    x, arm = rng.normal(size=(500, 2)), rng.integers(0, 2, 500)
    reward = 3 + x @ np.array([2.0, -1.0]) * np.where(arm == 1, 2.0, 1.0)
    model = linear(reward, arm, x, 2, seed=1)
    # Without noise a line is found but for the penalty, which is as of one row in 200; far out it is bounded by what was seen.
    near = np.abs(x).max(axis=1) < 1
    for place, times in enumerate((1.0, 2.0)):
        assert np.abs(model[near, place] - 3 - times * (x[near] @ np.array([2.0, -1.0]))).max() < 0.05


def test_the_log_odds_are_those_of_maximum_likelihood() -> None:
    x, arm, reward = drawn(np.random.default_rng(6), 200_000)
    model = linear(reward, arm, x[:, None], 2, seed=1, logistic=True)
    # An arm's log odds at x = 0 and 1 are known within about 0.015.
    for at in (0.0, 1.0):
        near = int(np.abs(x - at).argmin())
        odds = np.log(model[near] / (1 - model[near]))
        assert np.abs(odds - (LEVEL + SLOPE * x[near])).max() < 0.1


def test_no_row_predicts_itself() -> None:
    rng = np.random.default_rng(2)
    x, arm, reward = rng.normal(size=(100, 1)), rng.integers(0, 2, 100), rng.random(100)
    before = linear(reward, arm, x, 2, seed=1)
    reward[17] += 100
    after = linear(reward, arm, x, 2, seed=1)
    assert np.array_equal(before[17], after[17])
    assert not np.array_equal(before, after)


def test_classes_that_are_apart_and_features_that_are_constant_have_a_model() -> None:
    x = np.column_stack([np.linspace(-1, 1, 300), np.ones(300)])
    model = linear((x[:, 0] > 0).astype(np.float64), np.arange(300) % 2, x, 3, seed=1, logistic=True)
    assert np.isfinite(model).all()
    assert (model[x[:, 0] < -0.4, :2] < 0.2).all()
    # Nobody was in the third arm: it is the mean of all.
    assert np.abs(model[:, 2] - 0.5).max() < 0.1


POLICIES = """\
arms: [old, new]
policies:
  - {name: all-old, by: country, choose: {DE: old, FR: old}}
  - {name: split, by: country, choose: {FR: new}, otherwise: old}
  - {name: mixed, by: country, choose: {DE: [75%, 25%]}, otherwise: [20%, 80%]}
  - {name: guess, greedy: 90%}
  - {name: fixed, allocation: {kind: fixed}}
"""
MEANS = {"DE": (0.4, 0.2), "FR": (0.3, 0.6)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    rows = 4_000
    arm, country = rng.choice(2, rows, p=LOGGED), rng.choice(["DE", "FR"], rows)
    mean = np.array([MEANS[word][chosen] for word, chosen in zip(country, arm, strict=True)])
    frame = pd.DataFrame(
        {
            "time": np.arange(rows), "arm": np.array(["old", "new"])[arm], "reward": (rng.random(rows) < mean).astype(int),
            "propensity": LOGGED[arm], "country": country, "age": rng.integers(18, 80, rows),
        }
    )  # fmt: skip
    frame.to_csv("log.csv", index=False)
    Path("policies.yaml").write_text(POLICIES)
    return tmp_path


QUICK = ("--policies", "policies.yaml", "--replays", "20", "--samples", "50")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["replay", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "model", [("--context", "country"), ("--feature", "country", "--feature", "age", "--model", "logistic")]
)
def test_policies_that_choose_by_a_row_earn_what_they_must(capsys: pytest.CaptureFixture[str], model: tuple[str, ...]) -> None:
    code, text, _ = told(capsys, "log.csv", *QUICK, *model, "--json")
    assert code == EXIT_OK
    true = {
        "all-old": 0.35, "split": 0.5, "mixed": (0.75 * 0.4 + 0.25 * 0.2 + 0.2 * 0.3 + 0.8 * 0.6) / 2,
        "guess": 0.95 * 0.5 + 0.05 * 0.25, "fixed": 0.375,
    }  # fmt: skip
    for policy in json.loads(text)["each"]:
        assert set(policy["values"]) == {"replay", "ips", "snips", "dr", "switch-dr"}
        for value in policy["values"].values():
            assert abs(value["value"] - true[policy["name"]]) < 4 * value["standard_error"], policy["name"]
    assert told(capsys, "log.csv", *QUICK, *model, "--json")[1] == text


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("old", "new", "words", "rule"),
    [
        ("DE: old", "ED: old", (), "no row has country 'ED'; did you mean 'DE'?"),
        ("{DE: old, FR: old}", "{FR: old}", (), "says nothing of rows with country 'DE': add 'otherwise'"),
        (
            "by: country, choose: {DE: old",
            "by: contry, choose: {DE: old",
            (),
            "has no column 'contry'; did you mean 'country'?",
        ),
        ("FR: new", "FR: nwe", (), "policies[1].choose.FR: no arm 'nwe'; did you mean 'new'?"),
        ("[75%, 25%]", "[75%, 35%]", (), "weights must add up to 100%, got 110%"),
        ("[75%, 25%]", "[75%, 20%, 5%]", (), "must be a weight for each of 2 arms, got 3"),
        ("greedy: 90%", "greedy: 0%", (), "policies[3].greedy"),
        (
            "greedy: 90%",
            "greedy: 90%, by: country",
            (),
            "policies[3].by: is the column that choose chooses by: give both or neither",
        ),
        ("greedy: 90%", "otherwise: old", (), "needs one of allocation, choose and greedy, got none"),
        ("", "", ("--model", "ridge"), "--model ridge: needs columns to fit: give --feature"),
        ("", "", ("--feature", "age", "--context", "country"), "--context: is for --model cells"),
        ("", "", ("--feature", "age", "--model", "cells"), "--model cells: has no features"),
        ("", "", ("--feature", "agee"), "has no column 'agee'; did you mean 'age'?"),
        ("", "", ("--feature", "reward"), "is named as two columns: 'reward'"),
    ],
)
def test_what_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], old: str, new: str, words: tuple[str, ...], rule: str
) -> None:
    Path("policies.yaml").write_text(POLICIES.replace(old, new, 1))
    code, text, said = told(capsys, "log.csv", *QUICK, *words)
    assert (code, text) == (EXIT_INPUT, "")
    assert rule in said


@pytest.mark.usefixtures("place")
def test_features_must_be_numbers_or_few_classes(capsys: pytest.CaptureFixture[str]) -> None:
    log = pd.read_csv("log.csv")
    log["name"] = [f"user {row}" for row in range(len(log))]
    log.loc[6, "age"] = None
    log["amount"] = log["reward"] * 2.5
    log.to_csv("log.csv", index=False)
    code, _, said = told(capsys, "log.csv", *QUICK, "--feature", "age", "--feature", "name")
    assert code == EXIT_INPUT
    assert "age: row 7: must be a number, as a feature has one in every row" in said
    assert "name: row 1: a feature that is not a number must have at most 50 classes, got 4,000" in said
    code, _, said = told(capsys, "log.csv", *QUICK, "--reward", "amount", "--feature", "country", "--model", "logistic")
    assert code == EXIT_INPUT
    assert "--model logistic: is for rewards of 0 and 1, and the log has others: ridge is for any" in said
