"""What a run will take is ordered rightly: by its size, by how early its policies decide, and by what is left of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.report.progress import by_policy
from sim.run import effort, glance, growing
from sim.run.blocks import Player, tasks_of, works_of
from sim.run.checkpoints import Checkpoints
from sim.run.cost import costs_of
from sim.run.glance import glanced
from sim.run.plan import Plan
from sim.workflow import plan_scenario
from tests.run.test_enough import MODELS, SCENARIO
from tests.worlds import behaves, make_plan, make_scenario

CHECKS = [{"metric": "error_rate", "max": "50%"}]
SOON = {"name": "soon", "kind": "canary", "steps": [{"weight": "50%", "bake": "10m"}], "checks": CHECKS}
LATE = {"name": "late", "kind": "canary", "steps": [{"weight": "50%", "bake": "20h"}], "checks": CHECKS}


def planned(arms: int = 2, **changes: Any) -> Plan:
    models = [{"arm": f"arm{number}" if number else "champion", "uri": f"models:/m/{number + 1}"} for number in range(arms)]
    said = {"replications": 50, "horizon": "1d", "tick": "10m", "models": models, "policies": [LATE], "aa": False, **changes}
    return make_plan(make_scenario(**said), [behaves()] * arms)


def seconds(**changes: Any) -> float:
    return effort.effort_of(planned(**changes), 1).seconds


@pytest.mark.parametrize("engine", ["aggregate", "compiled", "simpy"])
@pytest.mark.parametrize(
    "more", [{"replications": 2000}, {"horizon": "3d"}, {"arms": 4}, {"aa": True}, {"policies": [LATE, SOON]}], ids=str
)
def test_more_takes_longer(engine: str, more: dict[str, Any]) -> None:
    assert seconds(engine=engine, **more) > seconds(engine=engine)


def test_requests_cost_where_they_are_played_one_by_one() -> None:
    quiet, busy = {"traffic": {"rate": "1/s"}}, {"traffic": {"rate": "500/s"}}
    assert seconds(engine="aggregate", **quiet) == seconds(engine="aggregate", **busy)
    for engine in ("compiled", "simpy"):
        assert seconds(engine=engine, **busy) > 2 * seconds(engine=engine, **quiet)
    assert seconds(engine="aggregate", **busy) < seconds(engine="compiled", **busy) < seconds(engine="simpy", **busy)


def test_a_glance_tells_what_decides_early() -> None:
    plan = planned(policies=[SOON, LATE], replications=200, engine="aggregate", traffic={"rate": "1/s"})
    before = effort.effort_of(plan, 1)
    found = glanced(plan, before)
    assert found.expected.keys() == before.expected.keys()

    def of(policy: str, told: effort.Effort) -> float:
        return sum(took for task, took in told.expected.items() if task.policy == policy)

    assert of("soon", before) == pytest.approx(of("late", before))
    # 1 tick of 144, and 120.
    assert of("soon", found) < of("late", found) / 5


def test_what_an_interrupted_run_finished_takes_no_time(tmp_path: Path) -> None:
    plan = planned(replications=2500, horizon="1h", policies=[SOON])
    todo = tasks_of(plan)
    assert len(todo) == 3
    whole = effort.effort_of(plan, 1, folder=tmp_path).seconds
    kept = Checkpoints(tmp_path, plan.digest)
    for task in todo[:2]:
        kept.save(task, Player(works_of(plan)).play(task))
    left = effort.effort_of(plan, 1, folder=tmp_path)
    assert left.before == frozenset(todo[:2])
    assert left.seconds == left.expected[todo[2]] < whole / 3
    # What another scenario left is not taken for finished.
    assert not Checkpoints(tmp_path, "another").finished(todo)


def test_kinds_of_blocks_are_weighed_and_not_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    weigh = effort.block_bytes
    monkeypatch.setattr(effort, "block_bytes", lambda work, rows: asked.append(rows) or weigh(work, rows))
    plan = planned(replications=100_300, horizon="1h", policies=[SOON, LATE])
    assert len(tasks_of(plan)) == 202
    effort.effort_of(plan, 1)
    assert sorted(asked) == [300, 1000]


def test_what_a_glance_does_not_see_is_told_by_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ticks of 144 are seen, and the canary bakes for 120."""
    times = itertools.count(step=0.02)
    monkeypatch.setattr(glance.time, "thread_time", lambda: next(times))
    plan = planned(policies=[SOON, LATE], engine="aggregate", traffic={"rate": "1/s"})
    (work,) = works_of(plan)
    seen = glance._look(work, work.world, "late", 50, 0.05)
    assert seen.last < 10
    assert (seen.ended == 120).all()
    assert seen.longest == 120
    seen = glance._look(work, work.world, "soon", 50, 0.05)
    assert (seen.ended == 1).all()
    # The settings bound the last of many, too.
    few = glance.Glance(1.0, np.array([10.0, 120.0]), 120, 1, 2)
    many = glance.Glance(1.0, np.array([10.0, 120.0]), 144, 1, 2)
    assert few.block_s(work, work.world, 1000, settles=False) < many.block_s(work, work.world, 1000, settles=False)


def test_a_glance_is_put_down_to_what_most_of_it_was_expected_of() -> None:
    plan = planned(policies=[LATE], engine="aggregate", traffic={"rate": "1/s"})
    (work,) = works_of(plan)
    of, ticks, rows = work.entry, 100, 2

    def block_s(times: float) -> float:
        seconds = times * of.cost_s(ticks, 2 * rows * ticks, 0)
        return glance.Glance(seconds, np.full(rows, 100.0), 100, ticks, rows * ticks).block_s(
            work, work.world, 1000, settles=True
        )

    expected = of.cost_s(100, 2 * 1000 * 100, 0)
    assert block_s(1) == pytest.approx(expected)
    # Ticks are most of what was seen, and replications most of the block: how dear these are was hardly seen.
    assert block_s(3) == pytest.approx(expected + 2 * of.cost_s(100, 0, 0), rel=0.05)
    assert 0 < block_s(0.01) < expected


def test_costs_are_by_policy_and_engine_and_add_up(tmp_path: Path) -> None:
    plan = planned(policies=[SOON, LATE, {"name": "hold", "kind": "hold"}], replications=1500, engine="aggregate", aa=True)
    told = glanced(plan, effort.effort_of(plan, 1))
    costs = costs_of(plan, told)
    assert [(cost.policy, cost.engine) for cost in costs] == [(name, "aggregate") for name in ("soon", "late", "hold")]
    assert sum(cost.seconds for cost in costs) == pytest.approx(told.seconds)
    assert costs[0].seconds < costs[1].seconds / 5
    assert [cost.seen for cost in costs] == [True, True, False]
    (work,) = works_of(plan)
    largest = effort.block_bytes(work, max(task.end - task.first for task in tasks_of(plan)))
    assert all(cost.memory == effort.PROCESS_BYTES + largest for cost in costs)
    # What an interrupted run finished costs nothing any more.
    kept = Checkpoints(tmp_path, plan.digest)
    for task in tasks_of(plan):
        if task.policy == "soon":
            kept.save(task, Player(works_of(plan)).play(task))
    left = costs_of(plan, effort.effort_of(plan, 1, folder=tmp_path))
    assert [cost.seconds > 0 for cost in left] == [False, True, True]


def test_long_runs_are_told_by_policy_and_short_ones_in_a_line() -> None:
    plan = planned(policies=[SOON, LATE], engine="aggregate")
    short = effort.effort_of(plan, 1)
    assert list(by_policy(plan, short)) == []
    long = replace(short, expected={task: 30.0 if task.policy == "late" else 3.0 for task in short.expected})
    assert [line.split(" of one")[0].split() for line in by_policy(plan, long)] == [
        ["soon", "aggregate", "3", "s"], ["late", "aggregate", "30", "s"],
    ]  # fmt: skip
    assert all(line.endswith("by the figures of the engine, not measured here") for line in by_policy(plan, long))
    seen = replace(long, seen=frozenset({"soon", "late"}))
    assert not any("figures" in line for line in by_policy(plan, seen))


def test_of_many_policies_the_dearest_are_told() -> None:
    plan = planned(policies=[{**SOON, "name": f"p{number}"} for number in range(20)], engine="aggregate")
    told = effort.effort_of(plan, 1)
    told = replace(told, expected={task: float(1 + task.place) for task in told.expected})
    *lines, last = by_policy(plan, told)
    assert [line.split()[0] for line in lines] == [f"p{number}" for number in range(8, 20)]
    assert last == "  and 8 more that take less, 36 s in all"


def test_a_long_sweep_keeps_no_more_trials_in_memory_than_a_short_one() -> None:
    def kept(points: int) -> float:
        sweep = {"traffic.rate": [f"{1000 + number}/h" for number in range(points)]}
        said = {key: value for key, value in SCENARIO.items() if key != "replications"} | {"replications": 50_000}
        plan = plan_scenario({**said, "sweep": sweep}, MODELS)
        return effort._kept_bytes(plan, works_of(plan), in_memory=False)

    # Of each point there are 100,000 trials of two policies; what is told of them is little.
    assert kept(12) - kept(4) == pytest.approx(8 * 2 * effort._SUMMARY_BYTES)
    assert kept(4) > (growing.GROUP_ROWS + 100_000) * effort._TRIAL_BYTES
