"""A plan played in memory: the tables and the comparison that a run folder would have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sim.compare.comparison import compare, compare_trials
from sim.run.blocks import Task
from sim.run.plan import Plan
from sim.run.rehearse import rehearse
from sim.run.simulate import simulate
from tests.run.test_simulate import make_plan
from tests.run.test_sweep import EFFECT, make_sweep


@pytest.mark.parametrize("plan", [make_plan(), make_sweep({EFFECT: ["0%", "10%"]})], ids=["one point", "two points"])
def test_it_is_what_a_run_would_leave(plan: Plan, tmp_path: Path) -> None:
    folder = simulate(plan, tmp_path, workers=1).folder
    seen: list[Task] = []
    rehearsal = rehearse(plan, workers=2, watch=lambda task, again: seen.append(task))
    assert len(seen) == len(set(seen)) == sum(len(point.forms) for point in plan.points)
    for name, table in (("trials", rehearsal.trials), ("timeline", rehearsal.timeline)):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), table, check_exact=True)
    left, told = compare(folder), compare_trials(rehearsal.record, rehearsal.trials)
    assert told.points == left.points
    assert (told.verdict, told.baseline) == (left.verdict, left.baseline)
    assert rehearsal.record.completed == tuple(plan.points[0].forms)


def test_fewer_samples_leave_the_trials_as_they_are() -> None:
    plan = make_plan()
    short = rehearse(plan, workers=1, samples=2)
    assert short.timeline.groupby("policy")["tick"].agg(list).tolist() == [[0, 144]] * 4
    pd.testing.assert_frame_equal(short.trials, rehearse(plan, workers=1).trials, check_exact=True)
