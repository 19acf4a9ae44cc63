"""A sweep as one run: each point is what it would be alone, and all of it the same bits however it is played."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.engine.catalogue import ENGINES
from sim.run.blocks import Player, Task, tasks_of, works_of
from sim.run.checkpoints import FOLDER as CHECKPOINTS
from sim.run.plan import Plan
from sim.run.simulate import simulate
from sim.scenario.loading import parse_yaml, validate
from sim.scenario.schema import Scenario
from sim.scenario.sweep import points
from sim.world.traffic import Arrivals
from tests.run.test_simulate import digest
from tests.worlds import behaves, make_scenario, make_swept_plan

POLICIES = [
    {"name": "hold", "kind": "hold"},
    {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 20_000}},
]
TRUTH = {"challenger": {"conversion": {"relative_effect": "0%"}}}
EFFECT = "truth.challenger.conversion.relative_effect"


def make_sweep(sweep: dict[str, list[Any]], **changes: Any) -> Plan:
    scenario = make_scenario(**{"policies": POLICIES, "replications": 30, "truth": TRUTH, **changes})
    return make_swept_plan(scenario, sweep, [behaves(), behaves(outcomes={"conversion": {"bernoulli": 0.055}})])


def alone_at(plan: Plan, at: int) -> Plan:
    """A point as a run of its own."""
    point = replace(plan.points[at], values=(), numbers=())
    return Plan(point.scenario, (point,))


def trials_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "trials.parquet")


def test_a_point_is_what_it_would_be_alone(tmp_path: Path) -> None:
    sweep = make_sweep({EFFECT: ["0%", "10%"]})
    folder = simulate(sweep, tmp_path / "sweep", workers=1).folder
    trials, timeline = trials_of(folder), pd.read_parquet(folder / "timeline.parquet")
    assert trials.columns[:3].tolist() == ["point", f"sweep.{EFFECT}", "policy"]
    for at, effect in enumerate((0.0, 0.1)):
        alone = simulate(alone_at(sweep, at), tmp_path / str(at), workers=1).folder
        own = trials[trials["point"] == at]
        assert (own[f"sweep.{EFFECT}"] == effect).all()
        pd.testing.assert_frame_equal(own.iloc[:, 2:].reset_index(drop=True), trials_of(alone))
        way = timeline[timeline["point"] == at].iloc[:, 2:].reset_index(drop=True)
        pd.testing.assert_frame_equal(way, pd.read_parquet(alone / "timeline.parquet"))


def test_points_that_share_a_seed_share_their_arrivals(tmp_path: Path) -> None:
    trials = trials_of(simulate(make_sweep({EFFECT: ["-20%", "20%"]}), tmp_path, workers=1).folder)
    hold = trials[trials["policy"] == "hold"]
    first, second = (hold[hold["point"] == at] for at in (0, 1))
    assert first["requests"].tolist() == second["requests"].tolist()
    assert first["errors"].tolist() == second["errors"].tolist()
    other = trials_of(simulate(make_sweep({"seed": [1, 2]}), tmp_path, workers=1).folder)
    assert len(other[other["policy"] == "hold"].groupby("point")["requests"].sum().unique()) == 2


@pytest.mark.parametrize(
    ("sweep", "drawn"),
    [
        ({EFFECT: ["-20%", "20%"]}, 1),
        ({"seed": [1, 2]}, 2),
        ({"traffic.rate": ["500/h", "700/h"]}, 2),
        (
            {
                "traffic": [
                    {"rate": "500/h", "bursts": {"factor": factor, "every": "6h", "duration": "1h"}} for factor in (2, 5)
                ]
            },
            2,
        ),
        ({"horizon": ["1d", "12h"]}, 2),
    ],
    ids=["truth", "seed", "rate", "bursts", "horizon"],
)
def test_the_arrivals_of_a_block_are_drawn_once_for_all_worlds_that_share_them(
    monkeypatch: pytest.MonkeyPatch, sweep: dict[str, list[Any]], drawn: int
) -> None:
    works = works_of(plan := make_sweep(sweep))
    # Point after point and back, policy by policy.
    todo = sorted(tasks_of(plan), key=lambda task: (task.place, task.point))
    alone = [Player(works).play(task) for task in todo]
    counts, asked = Arrivals.counts, list[int]()

    def counting(self: Arrivals, seed: int, replications: Any) -> Any:
        asked.append(seed)
        return counts(self, seed, replications)

    monkeypatch.setattr(Arrivals, "counts", counting)
    player = Player(works)
    for task, expected in zip(todo, alone, strict=True):
        found = player.play(task)
        assert found.columns.keys() == expected.columns.keys()
        for name, values in found.columns.items():
            np.testing.assert_array_equal(values, expected.columns[name], name)
        np.testing.assert_array_equal(found.regret, expected.regret)
    assert len(asked) == drawn


def test_the_same_bits_for_any_number_of_workers_and_any_size_of_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = make_sweep({EFFECT: ["0%", "10%"], "horizon": ["1d", "12h"]})
    found = {digest(simulate(sweep, tmp_path / "one", workers=1).folder)}
    monkeypatch.setitem(ENGINES, "aggregate", replace(ENGINES["aggregate"], most_rows=11))
    for workers in (1, 2):
        found.add(digest(simulate(sweep, tmp_path / str(workers), workers=workers).folder))
    assert len(found) == 1


def test_run_json_says_what_each_point_has_of_its_own(tmp_path: Path) -> None:
    sweep = make_sweep({"horizon": ["1d", "12h"]})
    folder = simulate(sweep, tmp_path, workers=1).folder
    about = json.loads((folder / "run.json").read_text())
    assert (about["horizon_s"], about["completed"], about["sweep"]["paths"]) == (86_400, ["hold", "ab"], ["horizon"])
    first, second = about["sweep"]["points"]
    for point in (first, second):
        assert list(point["run"].pop("played")) == ["hold", "ab"]
    assert first == {
        "values": ["1d"],
        "numbers": [86_400.0],
        "run": {"completed": ["hold", "ab"], "digest": sweep.points[0].digest},
    }
    assert second["run"]["horizon_s"] == 43_200
    assert second["run"]["requests_expected"] == about["requests_expected"] / 2
    assert set(second["run"]) == {"assumptions", "completed", "digest", "horizon_s", "requests_expected", "value"}


def test_values_that_are_no_numbers_are_texts_in_the_table(tmp_path: Path) -> None:
    values = ["5%", {"normal": {"mean": 0, "sd": "1%"}}]
    trials = trials_of(simulate(make_sweep({EFFECT: values}), tmp_path, workers=1).folder)
    assert trials[f"sweep.{EFFECT}"].unique().tolist() == ["5%", "{normal: {mean: 0, sd: 1%}}"]


def test_the_resolved_scenario_has_the_same_points(tmp_path: Path) -> None:
    sweep = make_sweep({"policies[1].evidence.sample": [1000, 2000], EFFECT: ["0%", "10%"]})
    folder = simulate(sweep, tmp_path, workers=1).folder
    document = parse_yaml((folder / "scenario.yaml").read_text(), "scenario.yaml")
    again = points(validate(document, Scenario), document)
    assert [point.texts for point in again] == [point.values for point in sweep.points]
    assert [point.scenario.policies for point in again] == [point.scenario.policies for point in sweep.points]
    assert again[3].scenario.truth == sweep.points[3].scenario.truth


def test_an_interrupt_keeps_what_is_finished_and_a_second_run_takes_up_there(tmp_path: Path) -> None:
    sweep = make_sweep({EFFECT: ["0%", "10%"]})
    whole = digest(simulate(sweep, tmp_path / "whole", workers=1).folder)
    seen: list[str] = []

    def stop(task: Task, seconds: float | None) -> None:
        seen.append(task.name)
        if len(seen) == 3:
            raise KeyboardInterrupt

    run = simulate(sweep, tmp_path / "cut", workers=1, watch=stop)
    assert run.interrupted
    # Cut while the third was noted: the second of the first point, and none of the second point.
    assert run.completed == ((0, "hold"), (0, "ab"))
    about = json.loads((run.folder / "run.json").read_text())
    assert [point["run"]["completed"] for point in about["sweep"]["points"]] == [["hold", "ab"], []]
    assert (about["status"], about["completed"]) == ("interrupted", [])
    resumed: list[bool] = []
    again = simulate(sweep, tmp_path / "cut", workers=1, watch=lambda task, seconds: resumed.append(seconds is None))
    assert sum(resumed) == 3
    assert digest(again.folder) == whole
    assert not (again.folder / CHECKPOINTS).exists()
