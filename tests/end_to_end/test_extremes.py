"""Numbers at the far ends of what a file can say: refused where they stand, or played, and never a failure in between."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from sim.cli import main

MODELS = """\
model: extremes
versions:
  - alias: champion
    outcomes:
      sale: {bernoulli: 20%}
      score: {normal: {mean: 10, sd: 2}}
      rare: {poisson: 1e-12}
    latency: {constant: 20ms}
  - alias: challenger
    outcomes:
      sale: {bernoulli: 24%}
      score: {normal: {mean: 11, sd: 2}}
      rare: {poisson: 1e-12}
    latency: {constant: 20ms}
"""
SCENARIO = """\
name: extremes
replications: 4
horizon: 1h
tick: 1m
traffic: {rate: 5/s}
models: [{arm: champion, uri: "models:/extremes@champion"}, {arm: challenger, uri: "models:/extremes@challenger"}]
metrics: [{name: METRIC, role: primary}]
policies:
  - POLICY
"""
TEST = "{name: test, kind: ab, evidence: {EVIDENCE}}"
BANDIT = "{name: bandit, kind: bandit, allocation: {ALLOCATION}}"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("extremes")
    (folder / "models.yaml").write_text(MODELS)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert main(["models", "register", str(folder / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


def written(folder: Path, metric: str, policy: str) -> Path:
    file = folder / "extremes.yaml"
    file.write_text(SCENARIO.replace("METRIC", metric).replace("POLICY", policy))
    return file


def bandit(allocation: str) -> str:
    return BANDIT.replace("ALLOCATION", allocation)


def judged_by(evidence: str) -> str:
    return TEST.replace("EVIDENCE", evidence)


@pytest.mark.parametrize(
    ("metric", "policy", "says"),
    [
        (
            "sale",
            bandit("kind: thompson, prior: {champion: [5]}"),
            "prior.champion: must be a list of exactly 2 items, or a mapping",
        ),
        (
            "sale",
            bandit("kind: thompson, prior: {champion: [5, 6, 7]}"),
            "prior.champion: must be a list of exactly 2 items, or",
        ),
        ("sale", bandit("kind: thompson, prior: {champion: [0.005, 0.5]}"), "prior.champion[0]: must be at least 0.01"),
        ("sale", bandit("kind: thompson, prior: {champion: [1e12, 1]}"), "prior.champion[0]: must be at most 1"),
        ("score", bandit("kind: thompson, prior: {champion: {mean: 1e+308, sd: 1, outcomes: 2}}"), "mean: must be at most 1"),
        ("score", bandit("kind: thompson, prior: {champion: {mean: 1, sd: 1e+308, outcomes: 2}}"), "sd: must be at most 1"),
        ("score", bandit("kind: ucb1, lowest: -1e+308, highest: 1e+308"), "highest: must be at most 1"),
        ("score", judged_by("kind: betting, lowest: -1e+308, highest: 1"), "lowest: must be at least -1"),
        ("score", judged_by("kind: betting, method: empirical_bernstein, highest: 1e+300"), "highest: must be at most 1"),
        (
            "score",
            judged_by("kind: fixed_horizon, sample: 99, adjust: {kind: winsorise, limit: 1e+300}"),
            "limit: must be at most 1",
        ),
        ("sale", judged_by("kind: fixed_horizon, mde: 1e-300"), "mde: must be at least 1e-09"),
        ("sale", judged_by("kind: confidence_sequence, mde: 1e-300"), "mde: must be at least 1e-09"),
        ("sale", judged_by("kind: confidence_sequence, mde: 1%, alpha: 1e-300"), "alpha: must be at least 1e-12"),
        ("sale", judged_by("kind: best_arm, alpha: 1e-320"), "alpha: must be at least 1e-12"),
    ],
)
def test_they_are_refused_at_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, policy: str, says: str
) -> None:
    file = written(tmp_path, metric, policy)
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    assert f"{file}:9:" in err
    assert says in err


@pytest.mark.parametrize("engine", ["aggregate", "compiled"])
@pytest.mark.parametrize(
    ("metric", "policy"),
    [
        ("sale", bandit("kind: thompson, prior: {champion: [0.01, 1e+11], challenger: [1e+11, 0.01]}")),
        ("sale", bandit("kind: thompson, prior: {champion: [0.01, 0.01]}")),
        ("score", bandit("kind: thompson, prior: {champion: {mean: 1e+12, sd: 1e+12, outcomes: 2}}")),
        ("score", bandit("kind: ucb1, lowest: -1e+12, highest: 1e+12")),
        ("score", judged_by("kind: betting, lowest: -1e+12, highest: 1e+12")),
        ("score", judged_by("kind: betting, method: empirical_bernstein, lowest: -1e+12, highest: 1e+12")),
        ("sale", judged_by("kind: fixed_horizon, mde: 1e-9")),
        ("sale", judged_by("kind: confidence_sequence, mde: 1e-9, alpha: 1e-12")),
        ("sale", judged_by("kind: best_arm, alpha: 1e-12")),
        ("score", judged_by("kind: mixture_sprt, mixing_sd: 1e-12")),
        ("score", judged_by("kind: bayes_factor, scale: 1e-12")),
        ("score", judged_by("kind: rope, width: 1e-12")),
        ("rare", judged_by("kind: fixed_horizon, sample: 99")),
    ],
)
def test_the_last_that_is_accepted_is_played(registered: str, tmp_path: Path, metric: str, policy: str, engine: str) -> None:
    file = written(tmp_path, metric, policy)
    file.write_text(file.read_text() + f"engine: {engine}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert main(["check", str(file), "--registry-uri", registered]) == 0
        ran = main(
            ["run", str(file), "--registry-uri", registered, "--no-tracking", "--quiet", "--reports", str(tmp_path / "r")]
        )
    assert ran == 0


@pytest.mark.parametrize("limit", ["1e-3", "1e+12"])
def test_a_cap_of_any_size_is_played_by_the_engine_that_tells_requests(registered: str, tmp_path: Path, limit: str) -> None:
    policy = judged_by(f"kind: fixed_horizon, sample: 99, adjust: {{kind: winsorise, limit: {limit}}}")
    file = written(tmp_path, "score", policy)
    assert (
        main(["run", str(file), "--registry-uri", registered, "--no-tracking", "--quiet", "--reports", str(tmp_path / "r")])
        == 0
    )
