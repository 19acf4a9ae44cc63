"""A grid that is coarse against the amounts on it would change what is true: it is refused, at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.cli import main
from sim.errors import InputError
from sim.workflow import plan_scenario
from sim.world.rounding import MOST_OFF_MEAN, MOST_OFF_SD, Corners, misrounded
from tests.worlds import behaves, make_scenario, make_world

LIKE = "latency: {constant: 20ms}"
MODELS = f"""\
model: coarse
versions:
  - alias: champion
    outcomes:
      money: {{pareto: {{minimum: 5, tail: 1.5, maximum: 10000}}}}
      basket: {{quantiles: {{0%: 0, 60%: 0, 90%: 20, 100%: 900}}}}
      stars: {{categorical: {{1: 10%, 3: 20%, 5: 70%}}}}
      items: {{poisson: 1.3}}
    {LIKE}
  - alias: challenger
    outcomes:
      money: {{pareto: {{minimum: 5.5, tail: 1.5, maximum: 10000}}}}
      basket: {{quantiles: {{0%: 0, 60%: 0, 90%: 22, 100%: 900}}}}
      stars: {{categorical: {{1: 8%, 3: 20%, 5: 72%}}}}
      items: {{poisson: 1.4}}
    {LIKE}
"""
SCENARIO = """\
name: coarse
replications: 4
horizon: 1h
tick: 1m
traffic: {rate: 5/s}
models: [{arm: champion, uri: "models:/coarse@champion"}, {arm: challenger, uri: "models:/coarse@challenger"}]
metrics:
  - {name: METRIC, role: primary, grid: GRID}
policies: [{name: hold, kind: hold}, {name: ab, kind: ab, evidence: {kind: fixed_horizon, sample: 1000}}]
"""


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("coarse")
    (folder / "models.yaml").write_text(MODELS)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert main(["models", "register", str(folder / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


@pytest.mark.parametrize(
    ("metric", "grid", "says"),
    [
        ("money", "1000", "must be finer: it takes the mean of money of champion from 14.6"),
        ("money", "1e+6", "must be finer: it takes the mean of money of champion from 14.6"),
        ("basket", "1e+6", "must be finer: it takes the mean of basket of champion from"),
        ("stars", "1e+12", "must divide every value of stars, as 1 does, got 1e+12"),
        ("items", "1e+12", "must divide every value of items, as 1 does, got 1e+12"),
    ],
)
def test_it_is_refused_by_check_and_by_run(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, grid: str, says: str
) -> None:
    file = tmp_path / "coarse.yaml"
    file.write_text(SCENARIO.replace("METRIC", metric).replace("GRID", grid))
    for verb in (["check"], ["run", "--no-tracking", "--reports", str(tmp_path / "reports")]):
        assert main([*verb, str(file), "--registry-uri", registered]) == 2
        err = capsys.readouterr().err
        assert f"{file}:8:" in err
        assert f"metrics[0].grid: {says}" in err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(("metric", "grid"), [("money", "0.1"), ("basket", "0.5"), ("stars", "0.5"), ("items", "1")])
def test_what_is_accepted_leaves_the_truth_alone(metric: str, grid: str, tmp_path: Path) -> None:
    import yaml

    text = SCENARIO.replace("METRIC", metric)
    texts = text.replace(", grid: GRID", ""), text.replace("GRID", grid)
    worlds = [plan_scenario(each, yaml.safe_load(MODELS)).points[0].world for each in texts]
    means = [world.realise(np.arange(1)).outcomes[metric].mean[0] for world in worlds]
    np.testing.assert_allclose(means[1], means[0], rtol=2 * MOST_OFF_MEAN)


def world_of(said: list[dict[str, Any]], **changes: Any) -> Any:
    scenario = make_scenario(metrics=[{"name": "money", "role": "primary", **changes.pop("metric", {})}], **changes)
    return make_world(scenario, [behaves(outcomes={"money": each}) for each in said])


def test_an_arm_of_small_amounts_is_not_rounded_away_beside_one_of_large() -> None:
    """The finest grid that suits the largest sd is too coarse here; nobody asked for it."""
    small, large = {"gamma": {"mean": 0.2, "sd": 0.2}}, {"gamma": {"mean": 100, "sd": 100}}
    outcome = world_of([large, small]).realise(np.arange(1)).outcomes["money"]
    np.testing.assert_allclose(outcome.mean[0], [100, 0.2], rtol=MOST_OFF_MEAN)
    with pytest.raises(
        InputError, match=r"metrics\[0\].grid: must be finer: it takes the mean of money of challenger from 0.2"
    ):
        world_of([large, small], metric={"grid": 0.5})


def test_effects_and_changes_are_rounded_too() -> None:
    amount = {"gamma": {"mean": 10, "sd": 5}}
    drift = [{"kind": "drift", "arm": "challenger", "metric": "money", "at": "1h", "to": "+20%"}]
    effect = {"challenger": {"money": {"relative_effect": "1%"}}}
    with pytest.raises(InputError, match="must be finer"):
        world_of([amount] * 2, metric={"grid": 5.0}, truth=effect, timeline=drift)
    world = world_of([amount] * 2, metric={"grid": 0.05}, truth=effect, timeline=drift)
    mean = world.realise(np.arange(1)).outcomes["money"].mean[0]
    assert mean[1] / mean[0] == pytest.approx(1.01, abs=2 * MOST_OFF_MEAN)


def test_the_rule_is_what_rounding_does_to_mean_and_sd() -> None:
    """Against the moments of the rounded values, worked out here."""
    outcome = world_of([{"quantiles": {"0%": 0, "50%": 3, "100%": 9}}] * 2).outcomes[0]
    corners = Corners([0, 1], [[(1.0, 1.0)]] * 2)
    values, chance = outcome.atoms[0], outcome.chance[0]
    mean = (values * chance).sum()
    sd = np.sqrt((chance * (values - mean) ** 2).sum())
    refused = []
    for grid in (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 7.0, 20.0):
        rounded = np.rint(values / grid) * grid
        off = abs((rounded * chance).sum() / mean - 1)
        off_sd = abs(np.sqrt((chance * (rounded - (rounded * chance).sum()) ** 2).sum()) / sd - 1)
        refused.append(off > MOST_OFF_MEAN or off_sd > MOST_OFF_SD)
        assert (misrounded(outcome, grid, ("champion", "challenger"), corners) is not None) == refused[-1]
    assert not refused[0]
    assert refused[-1]
