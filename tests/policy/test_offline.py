"""An offline stage: what it passes, when, and where it may stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.policy.base import Verdict
from sim.policy.forms import AB, Chain, Form, Offline, declared_problems
from sim.policy.machine import StagedPolicy
from sim.policy.offline import Evaluation, Scores
from sim.policy.setting import Setting
from sim.testing.settings import make_setting
from tests.policy.scripted import make_stage, play

ROWS = 100


def offline(**said: Any) -> Offline:
    return Offline.model_validate({"name": "offline", "rows": ROWS, **said})


def policy(form: Form, *others: Form, arms: tuple[str, ...] = ("champion", "a", "b")) -> StagedPolicy:
    return form.build({each.name: each for each in (form, *others)}, arms)


def told(machine: StagedPolicy, setting: Setting, scores: list[list[float]]) -> Scores:
    (asked,) = machine.evaluations(setting)
    return {asked: np.array(scores, np.float64)}


def verdicts(form: Offline, scores: list[list[float]], primary: str = "conversion") -> list[tuple[Verdict, int, int]]:
    """Verdict, arm and tick in each replication of a policy that is one offline stage."""
    setting = make_setting(len(scores[0]), len(scores), primary=primary)
    machine = policy(form, arms=setting.arms)
    assert machine.start(setting, told(machine, setting, scores)).rows.size == 0
    ended = machine.verdicts
    return [
        (Verdict(int(verdict)), int(arm), int(tick))
        for verdict, arm, tick in zip(ended.verdict, ended.arm, ended.decided_tick, strict=True)
    ]


def test_what_scores_better_ships_before_any_request_and_a_tie_does_not() -> None:
    found = verdicts(offline(), [[0.5, 0.51], [0.5, 0.5], [0.5, 0.49]])
    assert found == [(Verdict.SHIP, 1, 0), (Verdict.KEEP, 0, 0), (Verdict.KEEP, 0, 0)]


def test_the_gain_is_relative_to_the_champion_and_must_be_exceeded() -> None:
    found = verdicts(offline(min_gain="10%"), [[0.5, 0.56], [0.5, 0.54], [0.0, 0.01]])
    assert [verdict for verdict, *_ in found] == [Verdict.SHIP, Verdict.KEEP, Verdict.SHIP]
    assert verdicts(offline(min_gain="-10%"), [[0.5, 0.46], [0.5, 0.44]])[0][0] == Verdict.SHIP


def test_of_several_that_pass_the_best_ships() -> None:
    assert [arm for _, arm, _ in verdicts(offline(), [[0.5, 0.6, 0.7], [0.5, 0.7, 0.6], [0.5, 0.4, 0.6]])] == [2, 1, 2]


def test_less_is_better_where_the_metric_says_so() -> None:
    found = verdicts(offline(metric="cost"), [[10.0, 9.0, 8.0], [10.0, 11.0, 12.0]])
    assert [(verdict, arm) for verdict, arm, _ in found] == [(Verdict.SHIP, 2), (Verdict.KEEP, 0)]


def test_what_passes_goes_on_and_the_rest_are_decided() -> None:
    setting = make_setting(3, 3)
    stage, after = offline().own_stages()[0], make_stage("after")
    machine = StagedPolicy((stage, after))
    routing = machine.start(setting, told(machine, setting, [[0.5, 0.4, 0.3], [0.5, 0.4, 0.6], [0.5, 0.6, 0.6]]))
    assert routing.rows.tolist() == [1, 2]
    np.testing.assert_allclose(routing.live, [[1 / 2, 0, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])
    assert machine.verdicts.verdict.tolist() == [Verdict.KEEP, Verdict.UNDECIDED, Verdict.UNDECIDED]


def test_an_evaluation_that_takes_a_while_leaves_the_traffic_to_the_champion() -> None:
    setting = make_setting(2, 1)
    machine = policy(offline(takes="30m"), arms=setting.arms)
    scores = told(machine, setting, [[0.5, 0.6]])
    start = machine.start
    machine.start = lambda setting: start(setting, scores)  # type: ignore[method-assign, misc, assignment]
    routings = play(machine, setting, [{}, {}, {}])
    assert [routing.live.tolist() for routing in routings] == [[[1.0, 0.0]]] * 3 + [[]]
    assert machine.verdicts.decided_tick.tolist() == [3]
    assert machine.verdicts.verdict.tolist() == [Verdict.SHIP]


def test_it_reports_what_scores_best_whether_it_passes_or_not() -> None:
    setting = make_setting(3, 3)
    machine = policy(offline(min_gain="10%"), arms=setting.arms)
    machine.start(setting, told(machine, setting, [[0.5, 0.4, 0.6], [0.5, 0.51, 0.5], [0.0, 0.1, 0.2]]))
    choice = machine.offline_choice()
    assert choice is not None
    assert choice.arm.tolist() == [2, 1, 2]
    assert choice.picked.tolist() == [2, 0, 2]
    np.testing.assert_allclose(choice.estimate, [0.2, 0.02, np.nan])


def test_a_policy_is_not_started_without_its_scores() -> None:
    setting = make_setting(2, 1)
    with pytest.raises(ValueError, match="needs the scores of Evaluation"):
        policy(offline(), arms=setting.arms).start(setting)


def test_two_policies_that_ask_for_the_same_are_told_the_same() -> None:
    setting = make_setting(2, 1)
    asked = [policy(form).evaluations(setting) for form in (offline(), offline(metric="conversion", min_gain="5%"))]
    assert asked[0] == asked[1] == (Evaluation("conversion", ROWS),)
    assert policy(offline(method="kfold")).evaluations(setting) == (Evaluation("conversion", ROWS, "kfold", 5),)


AFTER = AB.model_validate({"name": "ab", "evidence": {"kind": "fixed_horizon", "sample": 100}})


@pytest.mark.parametrize(
    ("stages", "path"),
    [
        (["ab", "offline"], "stages[1]"),
        (["ab", {"kind": "offline", "name": "x", "rows": 9}], "stages[1]"),
        (["offline", {"kind": "offline", "name": "x", "rows": 9}], "stages[1]"),
        (
            ["offline", {**AFTER.model_dump(mode="json"), "name": "c", "on": {"inconclusive": "offline"}}],
            "stages[1].on.inconclusive",
        ),
    ],
)
def test_it_is_the_first_stage_or_none(stages: list[Any], path: str) -> None:
    chain = Chain.model_validate({"name": "chain", "stages": stages})
    others = {each.name: each for each in (offline(), AFTER, chain)}
    found = declared_problems(chain, others, make_setting(2))
    assert [(place.strip("."), "before any traffic" in message) for place, message in found] == [(path, True)]


@pytest.mark.parametrize(
    ("said", "key", "rule"),
    [
        ({"metric": "clickz"}, "metric", "no metric 'clickz'"),
        ({"metric": "latency"}, "metric", "live traffic only"),
        ({"rows": None}, "rows", "is required"),
        ({"method": "bootstrap"}, "method", "behaviour models do not have"),
        ({"folds": 5}, "folds", "is for kfold"),
        ({"method": "kfold", "folds": 101}, "folds", "at most the 100 rows, got 101"),
        ({"takes": "15m"}, "takes", "whole number of ticks"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(said: dict[str, Any], key: str, rule: str) -> None:
    form = offline(**said)
    ((place, message),) = declared_problems(form, {form.name: form}, make_setting(2))
    assert place == key
    assert rule in message
