"""Checks that people run and wrote down, from files through the command line, against closed forms and own simulations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from sim.cli import main
from sim.stats.queues import mm1_reneging
from sim.stats.reliability import run_of

CASES = Path(__file__).parents[3] / "shared" / "cases"
REGISTERED = ("04-ratio-with-floor", "07-rolling-window", "09-inconclusive-band", "19-reneging")
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the cases are kept beside the repository, not in it")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with the models of the cases; cases 23, 25 and 28 have those of case 09."""
    store = f"sqlite:///{tmp_path_factory.mktemp('cases') / 'mlflow.db'}"
    files = [str(CASES / case / "models.yaml") for case in REGISTERED]
    assert main(["models", "register", *files, "--tracking-uri", store]) == 0
    return store


def played(case: str, checks: Mapping[str, str], folder: Path, store: str, rows: int, ramp: str | None = None) -> pd.DataFrame:
    """The trials of a case whose policies are canaries of its steps, each with the checks of its name, or stages of `ramp`."""
    (file,) = CASES.glob(f"{case}-*/scenario.yaml")
    head, line = file.read_text().split("policies:\n")[0], file.read_text().split("steps: ")[1]
    steps = line[: line.index("]") + 1]
    form = "{{name: {}, kind: canary, steps: {}, checks: [{}]}}" if ramp is None else ramp
    policies = [form.format(name, steps, check) for name, check in checks.items()]
    text = head + "policies:\n" + "".join(f"  - {policy}\n" for policy in policies)
    (folder / "scenario.yaml").write_text(text)
    said = ["--set", f"replications={rows}", "--set", "sensitivity=off"]
    assert main(["check", str(folder / "scenario.yaml")]) == 0
    where = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(folder)]
    assert main(["run", str(folder / "scenario.yaml"), *said, *where]) == 0
    (trials,) = folder.glob("*/trials.parquet")
    return pd.read_parquet(trials)


def share(trials: pd.DataFrame, policy: str, verdict: str) -> float:
    of = trials[trials["policy"] == policy]
    return float((of["verdict"] == verdict).mean())


def alike(found: float, expected: float, rows: int) -> bool:
    """Within 4 standard errors, with one trial more or less where next to none is expected."""
    return abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / rows) + 1 / rows


def test_a_ratio_with_a_floor_and_a_difference_in_points(tmp_path: Path, store: str) -> None:
    """Case 04: with 0.02% of errors, 1.2 times the champion's is one error."""
    rows = 2000
    checks = {
        "ratio": "{metric: error_rate, max_ratio: 1.2, every: 5m}",
        "floored": "{metric: error_rate, max_ratio: 1.2, floor: 0.5%, every: 5m}",
        "low-floor": "{metric: error_rate, max_ratio: 1.2, floor: 0.1%, every: 5m}",
        "points": "{metric: error_rate, max_difference: 0.1%, every: 5m}",
        "many-points": "{metric: error_rate, max_difference: 0.5%, every: 5m}",
    }
    trials = played("04", checks, tmp_path, store, rows)
    rng = np.random.default_rng(4)
    # Twelve looks of five minutes at 50/s: errors and all answers of the canary at 10%, and of the champion.
    canary, champion = (rng.poisson(50 * 300 * weight, (200_000, 12)) for weight in (0.1, 0.9))
    value, base = (rng.binomial(answers, 0.0002) / answers for answers in (canary, champion))
    above = value > 1.2 * base
    expected = {
        "ratio": above,
        "floored": above & (value > 0.005),
        "low-floor": above & (value > 0.001),
        "points": value - base > 0.001,
        "many-points": value - base > 0.005,
    }
    for name, bad in expected.items():
        assert alike(share(trials, name, "keep"), bad.any(axis=1).mean(), rows), name
    assert share(trials, "ratio", "keep") > 0.96
    assert share(trials, "floored", "keep") == 0 == share(trials, "many-points", "keep")


def rolled(limit: float, trip: int, window: int, every: int) -> float:
    """The share rolled back of canaries of 40 ticks with 60 requests each, 0.5% errors and 80% in one tick, by a window."""
    rng = np.random.default_rng(7)
    answers = rng.poisson(60, (50_000, 40))
    rate = np.full(40, 0.005)
    rate[16] = 0.8
    errors = rng.binomial(answers, rate)
    failed = np.zeros(len(answers), int)
    for end in range(every, 41, every):
        seen = slice(max(0, end - window), end)
        failed += errors[:, seen].sum(axis=1) > limit * answers[:, seen].sum(axis=1)
    return float((failed >= trip).mean())


def test_a_window_longer_than_the_interval_rolls(tmp_path: Path, store: str) -> None:
    """Case 07: a blip of 30 s stands in ten windows of five minutes, asked every 30 s."""
    rows = 1000
    asked = {  # limit, trip, ticks of the window, ticks of the interval
        "case": (0.05, 4, 10, 1),
        "tight": (0.08, 6, 10, 1),
        "odd": (0.10, 3, 7, 2),
        "wide": (0.025, 5, 39, 5),
    }
    checks = {
        name: f"{{metric: error_rate, max: {limit}, trip: {trip}, every: {every * 30}s, over: {window * 30}s}}"
        for name, (limit, trip, window, every) in asked.items()
    }
    trials = played("07", checks, tmp_path, store, rows)
    expected = {name: rolled(*said) for name, said in asked.items()}
    assert expected["case"] > 0.999
    assert all(0.05 < expected[name] < 0.95 for name in ("tight", "odd", "wide")), expected
    for name in checks:
        assert alike(share(trials, name, "keep"), expected[name], rows), (name, expected[name])


def outcomes(worst: float, doubtful: float, doubt_trip: int, means: list[float]) -> tuple[float, float]:
    """The shares that fail and that end in doubt, of looks at Poisson numbers of answers, 0.2% of which are errors."""
    state = np.eye(1, doubt_trip)[0]
    failed = doubted = 0.0
    for mean in means:
        errors, good = np.arange(60)[:, None], np.arange(3000)
        chance = poisson.pmf(errors, 0.002 * mean) * poisson.pmf(good, 0.998 * mean)
        rate = errors / np.maximum(errors + good, 1)
        bad = chance[rate > worst].sum()
        doubt = chance[(rate > doubtful) & (rate <= worst)].sum()
        failed += state.sum() * bad
        doubted += state[-1] * doubt
        state = state * (1 - bad - doubt) + np.r_[0, state[:-1]] * doubt
    return failed, doubted


def test_a_look_between_two_limits_is_in_doubt(tmp_path: Path, store: str) -> None:
    """Case 09: success below 3%, failure above 4%; and limits at which either happens."""
    rows = 2000
    checks = {
        "case": "{metric: error_rate, max: 4%, doubt_above: 3%}",
        "band": "{metric: error_rate, max: 2%, doubt_above: 0.5%, doubt_trip: 3}",
    }
    trials = played("09", checks, tmp_path, store, rows)
    # A look a minute: 120 answers on average, then 600.
    means = [120.0] * 15 + [600.0] * 15
    for name, said in {"case": (0.04, 0.03, 1), "band": (0.02, 0.005, 3)}.items():
        failed, doubted = outcomes(*said, means)
        assert alike(share(trials, name, "keep"), failed, rows), (name, failed)
        assert alike(share(trials, name, "inconclusive"), doubted, rows), (name, doubted)
    assert failed > 0.02
    assert doubted > 0.5


def test_a_stage_ends_after_good_looks_in_a_row(tmp_path: Path, store: str) -> None:
    """Case 23: the fifth good look in a row ends it. A look is good without an error among Poisson(120) answers."""
    rows = 2000
    stage = "{{name: {0}, kind: stages, stages: [{{allocation: {{kind: ramp, steps: [{{weight: 10%, bake: 1m}}]}}, " \
        "evidence: {{kind: survive}}, checks: [{2}]}}]}}"  # fmt: skip
    checks = {"row": "{metric: error_rate, max: 0%, trip: 1000, pass_after: 5}"}
    trials = played("23", checks, tmp_path, store, rows, stage)
    minutes = trials["time_to_decision_s"] / 60
    assert (trials["verdict"][minutes.notna()] == "ship").all()
    for minute in (4, 5, 6, 10, 20, 40):
        assert alike((minutes <= minute).mean(), run_of(5, minute, np.exp(-0.24)), rows), minute


def test_looks_begin_where_they_should(tmp_path: Path, store: str) -> None:
    """Case 25: the first look is five minutes into the stage. A check that always fails tells when it looks."""
    checks = {
        "at-once": "{metric: error_rate, min: 99%}",
        "delayed": "{metric: error_rate, min: 99%, start: 5m}",
        "third": "{metric: error_rate, min: 99%, start: 5m, every: 2m, trip: 3}",
        "few": "{metric: error_rate, min: 99%, start: 5m, every: 2m, trip: 3, looks: 2}",
        "case": "{metric: error_rate, max: 1%, start: 5m, trip: 40}",
        "told-only": "{metric: error_rate, min: 99%, report_only: true}",
    }
    trials = played("25", checks, tmp_path, store, 20)
    decided = trials.groupby("policy")["time_to_decision_s"].unique().map(list).to_dict()
    assert decided == {
        "at-once": [60], "delayed": [300], "third": [540], "few": [1800], "case": [1800], "told-only": [1800],
    }  # fmt: skip
    # What only reports is told in a story, at the first look.
    (stories,) = tmp_path.glob("*/stories.json")
    of = next(each for each in json.loads(stories.read_text()) if each["policy"] == "told-only")
    assert [event["text"] for event in of["events"] if "fails" in event["text"]] == [
        "the check of error_rate fails challenger, and stops nothing"
    ]
    verdicts = trials.groupby("policy")["verdict"].unique().map(list).to_dict()
    assert {name for name, verdict in verdicts.items() if verdict == ["ship"]} == {"few", "case", "told-only"}


def test_the_mean_of_latencies(tmp_path: Path, store: str) -> None:
    """Case 28: every call takes 21 ms, the champion's 20 ms; the limit itself holds."""
    checks = {
        "case": "{metric: mean_latency, max: 500ms}",
        "at": "{metric: mean_latency, max: 21ms, max_difference: 1.001ms, max_ratio: 1.051}",
        "above": "{metric: mean_latency, max: 20.999ms}",
        "slower": "{metric: mean_latency, max_difference: 0.999ms}",
        "ratio": "{metric: mean_latency, max_ratio: 1.049}",
    }
    trials = played("28", checks, tmp_path, store, 3)
    verdicts = trials.groupby("policy")["verdict"].unique().map(list).to_dict()
    assert verdicts == {"case": ["ship"], "at": ["ship"], "above": ["keep"], "slower": ["keep"], "ratio": ["keep"]}


def test_at_least_so_many_requests(tmp_path: Path, store: str) -> None:
    """Case 28: looks of a minute at 2/s, then at 10/s."""
    rows = 2000
    checks = {
        "case": "{metric: requests, min: 1/s}",
        "near": "{metric: requests, min: 108/m}",
        "above": "{metric: requests, min: 3/s}",
    }
    trials = played("28", checks, tmp_path, store, rows)
    bad = poisson.cdf(107, 120)
    assert share(trials, "case", "ship") == 1
    assert alike(share(trials, "near", "keep"), 1 - (1 - bad) ** 15, rows)
    assert share(trials, "above", "keep") == 1
    assert (trials[trials["policy"] == "above"]["time_to_decision_s"] == 60).all()


def test_clients_who_leave_the_queue_but_not_the_server(tmp_path: Path, store: str) -> None:
    """Case 19: .9 calls a service time on one server, two service times of patience."""
    text = (CASES / "19-reneging" / "scenario.yaml").read_text()
    file = tmp_path / "scenario.yaml"
    file.write_text(text.replace("timeout: 2s", "patience: 2s") + "sensitivity: off\n")
    assert main(["check", str(file)]) == 0
    assert main(["run", str(file), "--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path)]) == 0
    (trials,) = (pd.read_parquet(found) for found in tmp_path.glob("*/trials.parquet"))
    left = trials["lost_requests"] / trials["requests"]
    assert len(left) == 40
    assert abs(left.mean() - mm1_reneging(0.9, 2.0)) < 4 * left.std(ddof=1) / np.sqrt(len(left))
    assert left.std(ddof=1) < 0.02
