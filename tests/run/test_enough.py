"""As many replications as estimates need: the same trials as with that number from the start, however they come about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sim
from sim.compare.comparison import compare
from sim.compare.enough import half_width, targets
from sim.compare.saved import read_saved
from sim.errors import InputError
from sim.run.blocks import Task
from sim.run.plan import Plan
from sim.run.record import read_run
from sim.run.simulate import Run, simulate
from sim.scenario.enough import rounds
from tests import worlds
from tests.worlds import behaves, make_scenario

POLICIES = [
    {"name": "hold", "kind": "hold"},
    {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 20_000}},
    {"name": "bandit", "kind": "bandit", "evidence": {"kind": "posterior"}},
]
ARMS = [behaves(), behaves(outcomes={"conversion": {"bernoulli": 0.053}})]
# Of the 20 replications of the first round times are not told that well; of 200 they are.
ASKED = {"target": {"time_to_decision": 0.2}, "min": 20}


def make_plan(most: int = 200, enough: Mapping[str, Any] | None = ASKED, **changes: Any) -> Plan:
    said = {"policies": POLICIES, "tick": "30m", "replications": most, "enough": enough, "aa": True, **changes}
    return worlds.make_plan(make_scenario(**said), ARMS)


def trials(run: Run) -> pd.DataFrame:
    return pd.read_parquet(run.folder / "trials.parquet")


def test_rounds_grow_until_the_targets_are_met_and_are_the_trials_of_that_number(tmp_path: Path) -> None:
    run = simulate(make_plan(), tmp_path / "rounds", judge=targets)
    record = read_run(run.folder)
    assert record.enough is not None
    assert record.enough.met
    count = record.replications
    assert count == record.enough.replications
    assert count in list(rounds(20, 200))[1:-1]
    fixed = simulate(make_plan(count, None), tmp_path / "fixed")
    pd.testing.assert_frame_equal(trials(run), trials(fixed), check_exact=True)
    pd.testing.assert_frame_equal(
        pd.read_parquet(run.folder / "timeline.parquet"), pd.read_parquet(fixed.folder / "timeline.parquet"), check_exact=True
    )
    # It is the first round at whose end every interval is that narrow.
    for end in rounds(20, count):
        narrow = all(
            half_width(policy.measures["time_to_decision"], share=False) <= 0.2
            for policy in compare(simulate(make_plan(end, None), tmp_path / f"{end}").folder).points[0].policies
            if policy.kind != "hold"
        )
        assert narrow == (end == count)


def test_the_number_of_processes_and_an_interrupt_change_nothing(tmp_path: Path) -> None:
    whole = simulate(make_plan(), tmp_path / "whole", judge=targets)
    several = simulate(make_plan(), tmp_path / "several", judge=targets, workers=2)
    pd.testing.assert_frame_equal(trials(whole), trials(several), check_exact=True)
    seen: list[Task] = []

    def stop(task: Task, seconds: float | None) -> None:
        seen.append(task)
        if len(seen) == 7:
            raise KeyboardInterrupt

    # The third task of the third round: two rounds are complete.
    cut = simulate(make_plan(), tmp_path / "cut", judge=targets, watch=stop)
    record = read_run(cut.folder)
    assert cut.interrupted
    assert (record.status, record.replications) == ("interrupted", list(rounds(20, 200))[1])
    assert len(trials(cut)) == 3 * record.replications
    loaded: list[float | None] = []
    again = simulate(make_plan(), tmp_path / "cut", judge=targets, watch=lambda task, seconds: loaded.append(seconds))
    assert again.folder == cut.folder
    assert loaded.count(None) == 7
    pd.testing.assert_frame_equal(trials(whole), trials(again), check_exact=True)
    assert read_run(again.folder).enough == read_run(whole.folder).enough


def test_without_an_end_all_are_played_and_it_is_said_what_is_missing(tmp_path: Path) -> None:
    run = simulate(make_plan(60, {"target": {"ship": 0.001, "best": 0.95}, "min": 20}), tmp_path, judge=targets)
    record = read_run(run.folder)
    assert record.enough is not None
    assert (record.replications, record.enough.met) == (60, False)
    compared = compare(run.folder)
    assert "60 replications, of at most 60, were not enough" in compared.verdict


def test_targets_are_those_of_the_policy_and_the_point_that_is_farthest(tmp_path: Path) -> None:
    plan = worlds.make_swept_plan(
        make_scenario(policies=POLICIES, tick="30m", replications=100, enough=ASKED), {"traffic.rate": ["1/s", "2/s"]}, ARMS
    )
    run = simulate(plan, tmp_path, judge=targets)
    record, compared = read_run(run.folder), compare(run.folder)
    assert record.enough is not None
    (target,) = record.enough.targets
    widths = {
        (half_width(policy.measures["time_to_decision"], share=False), policy.policy, point.label)
        for point in compared.points
        for policy in point.policies
        if policy.kind != "hold"
    }
    assert (target.reached, target.policy, target.point) == max(widths)
    assert {point.run.replications for point in record.points} == {record.replications}


def test_of_what_no_trial_is_a_case_nothing_is_waited_for(tmp_path: Path) -> None:
    truth = {"challenger": {"conversion": {"relative_effect": "6%"}}}
    run = simulate(make_plan(100, {"target": {"wrong_ship": 0.001}, "min": 20}, truth=truth), tmp_path, judge=targets)
    record = read_run(run.folder)
    assert record.replications == 20
    assert record.enough is not None
    assert record.enough.told() == "20 replications, of at most 100, were enough: no trial is a case of wrong_ship."


SCENARIO: dict[str, Any] = {
    "name": "asked", "horizon": "1d", "tick": "1h", "traffic": {"rate": "1000/h"},
    "replications": {"target": {"time_to_decision": "9%", "best": "90%"}, "max": 400, "min": 20},
    "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    "metrics": [{"name": "sale", "role": "primary"}],
    "policies": [
        {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}},
        {"name": "posterior", "kind": "ab", "evidence": {"kind": "posterior"}},
    ],
}  # fmt: skip
MODELS = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.058)]


def test_in_memory_as_from_a_file(tmp_path: Path) -> None:
    played = sim.rehearse(SCENARIO, MODELS)
    outcome = sim.run_scenario(SCENARIO, models=MODELS, out=tmp_path / "out", log=False)
    record = read_run(outcome.folder)
    assert record.enough is not None
    assert record.enough == played.comparison.run.enough
    assert record.enough.met
    pd.testing.assert_frame_equal(played.trials, pd.read_parquet(outcome.folder / "trials.parquet"), check_exact=True)
    # What is kept in the folder says the same again, and a run that is finished is not played again.
    assert read_saved(outcome.folder).verdict == played.comparison.verdict
    assert record.enough.told() in played.comparison.verdict
    assert not sim.run_scenario(SCENARIO, models=MODELS, out=tmp_path / "out", log=False).played


@pytest.mark.parametrize(
    ("replications", "place", "says"),
    [
        ({"target": {"wrong_shp": "1%"}}, "replications.target.wrong_shp", "no measure 'wrong_shp'; did you mean wrong_ship?"),
        ({"target": {"abb.wrong_ship": "1%"}}, 'replications.target["abb.wrong_ship"]', "no policy 'abb'; did you mean ab?"),
        ({"target": {"best": "30%"}}, "replications.target.best", "must be a confidence of at least 50%, got 30%"),
        ({"target": {"wrong_ship": "0%"}}, "replications.target.wrong_ship", "must be above 0"),
        (
            {"target": {"wrong_ship": "1%"}, "max": 100},
            "replications.max",
            "must be more than the first round, 200 unless min says so, got 100",
        ),
        (
            {"target": {"wrong_ship": "1%"}, "min": 300, "max": 100},
            "replications.min",
            "must be less than the most, got 300 and 100",
        ),
        ({"target": {"wrong_ship": "1%"}, "max": 2_000_000}, "replications.max", "must be at most 1000000"),
        ({"target": {}}, "replications.target", "must have 1 or more keys"),
        ({"max": 1000}, "replications.target", "is required"),
        ({"target": {"wrong_ship": "1%"}, "most": 1000}, "replications.most", "unknown key 'most'"),
        ({"target": {"wrong_ship": "much"}}, "replications.target.wrong_ship", "must be a share"),
        ([1000], "replications", "must be"),
    ],
)
def test_what_is_not_asked_as_it_must_be_is_refused(replications: Any, place: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        sim.rehearse({**SCENARIO, "replications": replications}, MODELS)
    (problem,) = caught.value.problems
    assert problem.path == place
    assert says in problem.message
