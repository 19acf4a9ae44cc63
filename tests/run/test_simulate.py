"""A run: the same bits however it is played, resumable, and a folder whose tables agree with each other."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.engine.catalogue import ENGINES
from sim.errors import InputError, SimError
from sim.run.blocks import Task, Work
from sim.run.checkpoints import FOLDER as CHECKPOINTS
from sim.run.execute import execute
from sim.run.plan import Plan
from sim.run.simulate import Run, folder_of, simulate
from tests import worlds
from tests.worlds import behaves, make_scenario

POLICIES = [
    {"name": "switch", "kind": "switch"},
    {"name": "hold", "kind": "hold"},
    {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 20_000}},
    {"name": "bandit", "kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"}},
]


def make_plan(**changes: Any) -> Plan:
    scenario = make_scenario(**{"policies": POLICIES, "replications": 30, **changes})
    return worlds.make_plan(scenario, [behaves(), behaves(outcomes={"conversion": {"bernoulli": 0.055}})])


def cut_after(tasks: int, plan: Plan, reports: Path) -> Run:
    """A run that is interrupted once so many tasks are there."""
    seen: list[str] = []

    def stop(task: Task, seconds: float | None) -> None:
        seen.append(task.name)
        if len(seen) == tasks:
            raise KeyboardInterrupt

    return simulate(plan, reports, workers=1, watch=stop)


def digest(folder: Path) -> str:
    """The bits of the trials and the timeline."""
    found = hashlib.sha256()
    for name in ("trials", "timeline"):
        frame = pd.read_parquet(folder / f"{name}.parquet")
        found.update(pd.util.hash_pandas_object(frame, index=True).to_numpy().tobytes())
    return found.hexdigest()


def test_the_same_bits_for_any_number_of_workers_and_any_size_of_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan()
    found = {digest(simulate(plan, tmp_path / "one", workers=1).folder)}
    for rows in (7, 11):
        monkeypatch.setitem(ENGINES, "aggregate", replace(ENGINES["aggregate"], most_rows=rows))
        for workers in (1, 2, 4):
            found.add(digest(simulate(plan, tmp_path / f"{rows}-{workers}", workers=workers).folder))
    assert len(found) == 1


def test_another_seed_gives_other_trials(tmp_path: Path) -> None:
    one, other = make_plan(seed=1), make_plan(seed=2)
    assert digest(simulate(one, tmp_path / "1", workers=1).folder) != digest(simulate(other, tmp_path / "2", workers=1).folder)


def test_the_tables_agree_with_each_other(tmp_path: Path) -> None:
    folder = simulate(make_plan(), tmp_path, workers=1).folder
    trials, timeline = pd.read_parquet(folder / "trials.parquet"), pd.read_parquet(folder / "timeline.parquet")
    about = json.loads((folder / "run.json").read_text())
    assert about["status"] == "finished"
    assert about["completed"] == ["switch", "hold", "ab", "bandit"]
    assert not (folder / CHECKPOINTS).exists()
    for policy, rows in trials.groupby("policy"):
        assert rows["replication"].tolist() == list(range(30))
        last = timeline[timeline["policy"] == policy].iloc[-1]
        assert last["regret_mean"] == pytest.approx(rows["regret"].mean())
        assert last["decided"] == pytest.approx(rows["decided"].mean())
        assert last["time_s"] == 86_400
        weights = timeline.loc[timeline["policy"] == policy, ["weight.champion.mean", "weight.challenger.mean"]]
        np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (trials["decided"] == trials["time_to_decision_s"].notna()).all()
    assert (trials["verdict"].eq("ship") == trials["shipped_arm"].notna()).all()


def test_baselines_cost_what_the_truth_says(tmp_path: Path) -> None:
    trials = pd.read_parquet(simulate(make_plan(), tmp_path, workers=1).folder / "trials.parquet").set_index("policy")
    # The challenger is better by .005, and 0.1% of the requests of either fail.
    hold, switch = trials.loc["hold"], trials.loc["switch"]
    np.testing.assert_allclose(hold["regret"], hold["requests"] * 0.005 * 0.999)
    assert (switch["regret"] == 0).all()
    assert (switch["peak_exposure"] == 1).all()
    assert (hold["peak_exposure"] == 0).all()
    assert (switch["requests"].to_numpy() == hold["requests"].to_numpy()).all(), "arrivals are common to all policies"
    expected = hold["requests"].sum() * 0.001
    assert abs(hold["errors"].sum() - expected) < 4 * np.sqrt(expected)


def test_fifty_fifty_costs_half_the_gap(tmp_path: Path) -> None:
    policies = [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 10**9}}]
    trials = pd.read_parquet(simulate(make_plan(policies=policies), tmp_path, workers=1).folder / "trials.parquet")
    assert (trials["verdict"] == "undecided").all()
    requests = trials["requests"].to_numpy()
    gap = 0.005 * 0.999
    # served by the champion is binomial(n, 1/2)
    assert abs(trials["regret"].sum() - gap * requests.sum() / 2) < 4 * gap * np.sqrt(requests.sum()) / 2


def test_an_interrupt_keeps_what_is_finished_and_a_second_run_takes_up_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan()
    whole = digest(simulate(plan, tmp_path / "whole", workers=1).folder)
    monkeypatch.setitem(ENGINES, "aggregate", replace(ENGINES["aggregate"], most_rows=10))
    run = cut_after(5, plan, tmp_path / "cut")
    assert run.interrupted
    assert run.completed == ((0, "switch"),)
    assert json.loads((run.folder / "run.json").read_text())["status"] == "interrupted"
    assert pd.read_parquet(run.folder / "trials.parquet")["policy"].unique().tolist() == ["switch"]
    resumed: list[bool] = []
    again = simulate(plan, tmp_path / "cut", workers=1, watch=lambda task, seconds: resumed.append(seconds is None))
    assert not again.interrupted
    assert sum(resumed) == 5
    assert digest(again.folder) == whole
    assert not (again.folder / CHECKPOINTS).exists()


def test_a_broken_checkpoint_is_played_again(tmp_path: Path) -> None:
    plan = make_plan()
    whole = digest(simulate(plan, tmp_path, workers=1).folder)
    cut_after(3, plan, tmp_path)
    first, second, _third = sorted((folder_of(plan, tmp_path) / CHECKPOINTS).glob("*.npz"))
    first.write_bytes(first.read_bytes()[:2000])
    second.write_bytes(b"")
    resumed: list[bool] = []
    assert (
        digest(simulate(plan, tmp_path, workers=1, watch=lambda task, seconds: resumed.append(seconds is None)).folder) == whole
    )
    assert sum(resumed) == 1


def test_checkpoints_of_another_program_are_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan()
    resumed: list[bool] = []
    cut_after(3, plan, tmp_path)
    with monkeypatch.context() as edited:
        edited.setattr("sim.run.checkpoints.sources", lambda *layers: "of a program that was edited")
        run = simulate(plan, tmp_path, workers=1, watch=lambda task, seconds: resumed.append(seconds is None))
    assert resumed == [False] * 4
    assert not run.interrupted


def test_of_two_runs_at_once_the_second_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    plan = make_plan()
    refused: list[str] = []

    def meanwhile(task: Task, seconds: float | None) -> None:
        with pytest.raises(InputError) as caught:
            simulate(plan, tmp_path, workers=1)
        refused.append(str(caught.value))

    folder = simulate(plan, tmp_path, workers=1, watch=meanwhile).folder
    assert len(refused) == 4
    assert all(f"{folder}: another run is writing to this folder" in message for message in refused)
    assert len(pd.read_parquet(folder / "trials.parquet")) == 4 * 30
    simulate(plan, tmp_path, workers=1)


def test_a_run_whose_checkpoints_are_removed_is_no_shorter_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "aggregate", replace(ENGINES["aggregate"], most_rows=10))

    plan = make_plan()
    folder = folder_of(plan, tmp_path)

    def remove(task: Task, seconds: float | None) -> None:
        if (task.policy, task.first) == ("ab", 0):
            shutil.rmtree(folder / CHECKPOINTS)

    with pytest.raises(SimError, match=r"checkpoints in .* were removed while it was running; run again"):
        simulate(plan, tmp_path, workers=1, watch=remove)
    about = json.loads((folder / "run.json").read_text())
    assert (about["status"], about["completed"]) == ("interrupted", ["switch", "hold"])
    assert pd.read_parquet(folder / "trials.parquet").groupby("policy").size().tolist() == [30, 30]


def test_closing_stops_the_workers_in_the_middle_of_their_work(tmp_path: Path) -> None:
    plan = make_plan(replications=1001, horizon="10m", tick="1m", traffic={"rate": "40/s"})
    short, long = Task("bandit", 0, 0, 1), Task("bandit", 1, 1, 1001)
    before = {process.pid for process in multiprocessing.active_children()}
    played = execute([Work(plan.points[0].world, plan.points[0].forms, "simpy", 20)], [short, long], 2)
    assert next(played)[0] == short
    played.close()
    # The long one takes minutes.
    deadline = time.monotonic() + 20
    while alive := {process.pid for process in multiprocessing.active_children()} - before:
        assert time.monotonic() < deadline, alive
        time.sleep(0.01)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the run folder"):
        simulate(make_plan(), tmp_path / "file", workers=1)


def test_users_until_the_verdict(tmp_path: Path) -> None:
    alone = pd.read_parquet(simulate(make_plan(), tmp_path / "alone", workers=1).folder / "trials.parquet")
    pd.testing.assert_series_equal(alone["users_to_decision"], alone["requests_to_decision"], check_names=False)
    assert (alone["users"] == alone["requests"]).all()
    policies = [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 500}}]
    plan = make_plan(policies=policies, users={"count": 400}, horizon="1h", traffic={"rate": "1/s"}, replications=5)
    trials = pd.read_parquet(simulate(plan, tmp_path / "users", workers=1).folder / "trials.parquet")
    assert trials["decided"].all()
    np.testing.assert_allclose(trials["users_to_decision"], 400 * (1 - (1 - 1 / 400) ** trials["requests_to_decision"]))
    np.testing.assert_allclose(trials["users"], 400 * (1 - (1 - 1 / 400) ** trials["requests"]))


def test_estimates_at_the_verdict_stand_in_the_trials(tmp_path: Path) -> None:
    trials = pd.read_parquet(simulate(make_plan(), tmp_path, workers=1).folder / "trials.parquet").set_index("policy")
    ab, hold = trials.loc["ab"], trials.loc["hold"]
    assert hold["effect_estimate"].isna().all()
    np.testing.assert_allclose(ab["effect_true"], 0.1)
    far = (ab["effect_estimate"] - 0.1) / ab["effect_se"]
    assert (far.abs() < 5).all()
    assert abs(far.mean()) < 4 / np.sqrt(len(far))
    assert ab["effect_unbiased"].isna().all(), "a fixed horizon needs no correction"
