"""The other worlds of a plan: which there are, how many replications they have, and that they are kept as everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sim.compare.comparison import compare
from sim.errors import InputError
from sim.run.blocks import Task, tasks_of, works_of
from sim.run.effort import expected_of
from sim.run.plan import Plan
from sim.run.record import read_run
from sim.run.rehearse import rehearse
from sim.run.simulate import simulate
from sim.workflow import plan_scenario

BEHAVIOURS: list[dict[str, Any]] = [
    {"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.05, 0.06)
]


def plan_of(behaviours: list[dict[str, Any]] = BEHAVIOURS, **keys: Any) -> Plan:
    """A small plan, in memory, with other keys."""
    scenario: dict[str, Any] = {
        "name": "small", "seed": 3, "horizon": "1d", "tick": "1h", "replications": 40, "traffic": {"rate": "10/m"},
        "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
        "metrics": [{"name": "sale", "role": "primary"}],
        "truth": {"challenger": {"sale": {"relative_effect": {"normal": {"mean": "1%", "sd": "6%"}}}}},
        "policies": [
            {"name": "hold", "kind": "hold"},
            {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 4000}},
            {"name": "bandit", "kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"}},
        ],
        "sensitivity": {"replications": 10},
    } | keys  # fmt: skip
    return plan_scenario(scenario, behaviours[: len(scenario["models"])])


def told(plan: Plan) -> dict[str, str]:
    return {variant.change.what: variant.change.told for variant in plan.variants}


def prior(effect: Any) -> dict[str, Any]:
    return {"challenger": {"sale": {"relative_effect": effect}}}


@pytest.mark.parametrize(
    ("effect", "wider", "narrower", "worse"),
    [
        ({"normal": {"mean": "1%", "sd": "6%"}}, "sd 9% instead of 6%", "sd 4% instead of 6%", "mean -2% instead of +1%"),
        (
            {"student_t": {"mean": "1%", "scale": "2%", "df": 3}},
            "scale 3% instead of 2%",
            "scale 1.33% instead of 2%",
            "mean 0% instead of +1%",
        ),
        (
            {"spike_slab": {"zero": "75%", "mean": "0%", "sd": "4%"}},
            "sd 6% instead of 4%",
            "sd 2.67% instead of 4%",
            "mean -1% instead of 0%",
        ),
        (
            {"uniform": {"low": "-6%", "high": "+6%"}},
            "uniform from -9% to +9% instead of uniform from -6% to +6%",
            "uniform from -4% to +4% instead of uniform from -6% to +6%",
            "uniform from -7.73205081% to +4.26794919% instead of uniform from -6% to +6%",
        ),
        (
            {"choice": {"values": ["0%", "-10%"], "weights": ["90%", "10%"]}},
            "+0.5%, -14.5% instead of 0% in 90% or -10% in 10%",
            "-0.333333333%, -7% instead of 0% in 90% or -10% in 10%",
            "-1.5%, -11.5% instead of 0% in 90% or -10% in 10%",
        ),
    ],
)
def test_priors_are_wider_narrower_and_worse(effect: Any, wider: str, narrower: str, worse: str) -> None:
    found = told(plan_of(truth=prior(effect)))
    assert found == {
        "a third of the traffic": "3.33/m instead of 10/m",
        "three times the traffic": "30/m instead of 10/m",
        "a wider prior of sale": wider,
        "a narrower prior of sale": narrower,
        "a worse prior of sale": worse,
    }


def test_worse_is_more_of_what_should_decrease() -> None:
    found = told(plan_of(metrics=[{"name": "sale", "role": "primary", "direction": "decrease"}]))
    assert found["a worse prior of sale"] == "mean +4% instead of +1%"


def test_priors_of_all_challengers_are_varied_together() -> None:
    arms = ("champion", "one", "two")
    truth = {"one": {"sale": {"relative_effect": {"normal": {"mean": "0%", "sd": "6%"}}}},
             "two": {"sale": {"relative_effect": {"normal": {"mean": "0%", "sd": "3%"}}}}}  # fmt: skip
    plan = plan_of(models=[{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in arms], truth=truth)
    wider = next(variant.change for variant in plan.variants if variant.change.what == "a wider prior of sale")
    assert wider.told == "sd 9% instead of 6%; sd 4.5% instead of 3%"
    assert list(wider.values) == [f"truth.{arm}.sale.relative_effect" for arm in ("one", "two")]


@pytest.mark.parametrize(
    ("keys", "what", "why"),
    [
        ({}, "feedback", "it is known as a call ends"),
        ({"truth": {}}, "prior of sale", "the scenario states none"),
        ({"truth": prior("2%")}, "prior of sale", "it is a constant, which has no spread"),
        ({"truth": prior({"normal": {"mean": "0%", "sd": "38%"}})}, "a wider prior of sale", "it must stay above -100%"),
        ({"truth": prior({"choice": {"values": ["-99%", "0%"]}})}, "a worse prior of sale", "must be a relative change above"),
    ],
)
def test_what_cannot_be_varied_is_said_with_its_reason(keys: dict[str, Any], what: str, why: str) -> None:
    plan = plan_of(**keys)
    assert why in plan.left_out[what]
    assert what not in told(plan)
    assert "three times the traffic" in told(plan)


def test_an_engine_that_refuses_another_world_leaves_it_out_with_its_reason() -> None:
    # Of three times the requests more than one in a million runs is expected to have a call that outlasts a tick.
    slow = [{**behaviour, "latency": {"exponential": "150s"}} for behaviour in BEHAVIOURS[:2]]
    plan = plan_of(slow, engine="aggregate")
    assert "three times the traffic" not in told(plan)
    assert "calls of champion outlast a tick" in plan.left_out["three times the traffic"]
    # What the file names must be played.
    with pytest.raises(InputError, match="calls of champion outlast a tick"):
        plan_of(slow, engine="aggregate", sensitivity={"traffic.rate": ["30/m"]})
    # Another engine plays it.
    auto = {variant.change.what: variant.point.engine.name for variant in plan_of(slow).variants}
    assert (auto["three times the traffic"], auto["a third of the traffic"]) == ("compiled", "aggregate")


@pytest.mark.parametrize("keys", [{"sensitivity": "off"}, {"policies": [{"name": "hold", "kind": "hold"}]}])
def test_nothing_is_varied_where_it_is_off_or_there_is_nothing_to_choose(keys: dict[str, Any]) -> None:
    plan = plan_of(**keys)
    assert (plan.variants, plan.left_out) == ((), {})


def work(plan: Plan) -> tuple[float, float]:
    """The seconds that the points of a plan are expected to take, and its other worlds."""
    expected = expected_of(works_of(plan), tasks_of(plan))
    points = sum(seconds for task, seconds in expected.items() if task.point < len(plan.points))
    return points, sum(expected.values()) - points


@pytest.mark.parametrize("replications", [1_000, 5_000, 100_000])
def test_other_worlds_add_half_of_the_work_or_few_replications(replications: int) -> None:
    plan = plan_of(replications=replications, sensitivity=None)
    (count,) = {variant.point.scenario.replications for variant in plan.variants}
    points, others = work(plan)
    assert 50 <= count < replications
    assert others <= (0.5 if count > 100 else 1.0) * points
    if count > 100:
        assert others > 0.4 * points


def test_a_short_run_says_why_it_plays_none() -> None:
    plan = plan_of(sensitivity=None)
    assert plan.variants == ()
    assert plan.left_out["other worlds"].startswith("40 replications of each of 5 would take longer than the run itself; ")
    asked = plan_of(sensitivity={"replications": 1000})
    assert {variant.point.scenario.replications for variant in asked.variants} == {40}


def test_any_number_of_workers_and_an_interrupt_leave_the_same(tmp_path: Path) -> None:
    plan = plan_of()
    memory = rehearse(plan, workers=1)
    whole = simulate(plan, tmp_path / "whole", workers=2)
    assert memory.sensitivity is not None
    pd.testing.assert_frame_equal(pd.read_parquet(whole.folder / "sensitivity.parquet"), memory.sensitivity, check_exact=True)

    todo = tasks_of(plan)
    assert [task.point for task in todo] == sorted(task.point for task in todo)
    stop = next(at for at, task in enumerate(todo) if task.point == 2)

    def interrupt(task: Task, seconds: float | None) -> None:
        if seconds is not None and task == todo[stop]:
            raise KeyboardInterrupt

    cut = simulate(plan, tmp_path / "cut", workers=1, watch=interrupt)
    assert cut.interrupted
    assert cut.kept
    comparison = compare(cut.folder)
    assert comparison.verdict.startswith("Interrupted, with 4 of 5 other worlds not played. Take")
    assert [each.then == "unplayed" for each in comparison.points[0].elsewhere] == [False, True, True, True, True]
    assert [len(run.completed) for run in read_run(cut.folder).variants] == [3, 0, 0, 0, 0]
    before: list[Task] = []
    again = simulate(plan, tmp_path / "cut", workers=1, watch=lambda task, took: before.append(task) if took is None else None)
    assert before == todo[: stop + 1]
    for name in ("trials.parquet", "timeline.parquet", "sensitivity.parquet"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert compare(again.folder).points == compare(whole.folder).points


def test_a_table_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = simulate(plan_of(), tmp_path, workers=1).folder
    file = folder / "sensitivity.parquet"
    pd.read_parquet(file).iloc[:-1].to_parquet(file)
    with pytest.raises(InputError, match=r"sensitivity\.parquet: is corrupt"):
        compare(folder)
