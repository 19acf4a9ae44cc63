"""`lowest` and `highest` are held against every outcome that can be, before anything is played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sim
from sim.cli import main
from sim.world.extent import Z_RARE
from tests.worlds import behaves, make_scenario, make_world

MODELS = """\
model: bounded
versions:
  - alias: champion
    outcomes:
      stars: {categorical: {1: 10%, 3: 20%, 5: 70%}}
      items: {poisson: 1.3}
      spent: {quantiles: {0%: 2, 60%: 3, 100%: 90}}
      score: {normal: {mean: 10, sd: 2}}
    latency: {constant: 20ms}
  - alias: challenger
    outcomes:
      stars: {categorical: {1: 8%, 3: 20%, 5: 72%}}
      items: {poisson: 1.4}
      spent: {quantiles: {0%: 2, 60%: 3, 100%: 100}}
      score: {normal: {mean: 11, sd: 2}}
    latency: {constant: 20ms}
"""
SCENARIO = """\
name: bounded
replications: 4
horizon: 1h
tick: 1m
traffic: {rate: 5/s}
models: [{arm: champion, uri: "models:/bounded@champion"}, {arm: challenger, uri: "models:/bounded@challenger"}]
metrics: [{name: METRIC, role: primary}]
policies:
  - POLICY
"""
CAPITAL = "{name: it, kind: ab, evidence: {kind: betting, BOUNDS}}"
BERNSTEIN = "{name: it, kind: ab, evidence: {kind: betting, method: empirical_bernstein, BOUNDS}}"
UCB1 = "{name: it, kind: bandit, allocation: {kind: ucb1, BOUNDS}}"
KL_UCB = "{name: it, kind: bandit, allocation: {kind: kl_ucb, BOUNDS}}"
CHAIN = "{name: it, kind: stages, stages: [{allocation: {kind: fixed}, evidence: {kind: betting, BOUNDS}}]}"


def written(folder: Path, metric: str, policy: str, bounds: str, more: str = "") -> Path:
    file = folder / "bounded.yaml"
    text = SCENARIO.replace("METRIC", metric).replace("POLICY", policy).replace("BOUNDS", bounds)
    file.write_text(text + more, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bounded")
    (folder / "models.yaml").write_text(MODELS)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert main(["models", "register", str(folder / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


@pytest.mark.parametrize(
    ("metric", "policy", "bounds", "says"),
    [
        (
            "stars",
            CAPITAL,
            "highest: 4.9",
            "evidence.highest: must be at least 5, the largest stars that a request can have; got 4.9",
        ),
        ("stars", BERNSTEIN, "highest: 4.9", "evidence.highest: must be at least 5"),
        (
            "stars",
            CAPITAL,
            "lowest: 2, highest: 5",
            "evidence.lowest: must be at most 1, the least stars that a request can have",
        ),
        ("stars", UCB1, "highest: 1", "allocation.highest: must be at least 5"),
        ("stars", KL_UCB, "highest: 2", "allocation.highest: must be at least 5"),
        ("stars", CHAIN, "highest: 2", "stages[0].evidence.highest: must be at least 5"),
        ("items", BERNSTEIN, "highest: 3", "evidence.highest: must be at least 17"),
        ("spent", CAPITAL, "highest: 90", "evidence.highest: must be at least 9"),
        ("score", CAPITAL, "lowest: -10, highest: 20", "evidence.highest: must be at least 22.2"),
    ],
)
def test_bounds_that_an_outcome_can_leave_are_refused_before_play(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, policy: str, bounds: str, says: str
) -> None:
    file = written(tmp_path, metric, policy, bounds)
    for verb in (["check"], ["run", "--no-tracking", "--reports", str(tmp_path / "reports")]):
        assert main([*verb, str(file), "--registry-uri", registered]) == 2
        err = capsys.readouterr().err
        assert f"{file}:9:" in err
        assert f"policies[0].{says}" in err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("engine", ["aggregate", "compiled"])
@pytest.mark.parametrize("policy", [CAPITAL, BERNSTEIN, UCB1, KL_UCB])
@pytest.mark.parametrize(
    ("metric", "bounds"), [("stars", "lowest: 1, highest: 5"), ("items", "highest: 17"), ("spent", "lowest: 2, highest: 100")]
)
def test_bounds_that_hold_are_played(tmp_path: Path, metric: str, policy: str, bounds: str, engine: str) -> None:
    import yaml

    file = written(tmp_path, metric, policy, bounds, f"engine: {engine}\n")
    assert len(sim.rehearse(file, yaml.safe_load(MODELS)).trials) == 4


def between(outcome: dict[str, object], **changes: object) -> tuple[float, float]:
    scenario = make_scenario(metrics=[{"name": "money", "role": "primary"}], **changes)
    low, high = make_world(scenario, [behaves(outcomes={"money": outcome})] * 2).outcomes[0].between
    return low, high


def test_effects_segments_and_the_timeline_are_counted() -> None:
    measured = {"quantiles": {"0%": 1, "100%": 1.0001}}
    assert between(measured) == pytest.approx((1, 1), rel=1e-3)
    effect = {"challenger": {"money": {"relative_effect": {"choice": {"values": ["-50%", "100%"]}}}}}
    assert between(measured, truth=effect) == pytest.approx((0.5, 2), rel=1e-3)
    drift = [{"kind": "drift", "arm": "challenger", "metric": "money", "at": "1h", "to": "+50%"}]
    assert between(measured, truth=effect, timeline=drift) == pytest.approx((0.5, 3), rel=1e-3)
    segments = [
        {"name": "few", "share": "50%", "relative": {"money": "-50%"}}, {"name": "many", "share": "50%"},
    ]  # fmt: skip
    assert between(measured, segments=segments) == pytest.approx((2 / 3, 4 / 3), rel=1e-3)


def test_values_of_stars_stay_whatever_moves_their_mean() -> None:
    stars = {"categorical": {1: "10%", 3: "20%", 5: "70%"}}
    assert between(stars, truth={"challenger": {"money": {"relative_effect": "10%"}}}) == (1, 5)


def test_a_normal_amount_goes_as_far_as_one_in_a_hundred_million() -> None:
    low, high = between({"normal": {"mean": 10, "sd": 2}})
    assert (low, high) == pytest.approx((10 - 2 * Z_RARE, 10 + 2 * Z_RARE), abs=0.01)


@pytest.mark.parametrize("name", ["items", "stars", "spent"])
def test_no_draw_leaves_what_was_found(name: str) -> None:
    import yaml

    said = {each["alias"]: each["outcomes"][name] for each in yaml.safe_load(MODELS)["versions"]}
    drift = [{"kind": "drift", "arm": "challenger", "metric": "money", "at": "10m", "to": "-20%"}]
    scenario = make_scenario(metrics=[{"name": "money", "role": "primary"}], timeline=drift, horizon="1h", replications=4)
    world = make_world(scenario, [behaves(outcomes={"money": said[arm]}) for arm in ("champion", "challenger")])
    outcome = world.outcomes[0]
    truth = world.realise(np.arange(4))
    marginal = truth.outcomes["money"]
    atoms = np.concatenate([marginal.atoms.ravel() * outcome.grid, 0.8 * marginal.atoms[..., 1, :].ravel() * outcome.grid])
    there = atoms[atoms > 0] if name == "spent" else atoms
    assert outcome.between[1] >= there.max() - outcome.grid
    assert outcome.between[0] <= there.min() + outcome.grid
