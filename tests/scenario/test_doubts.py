"""What is warned of before a run, at its key and with its cure."""

from __future__ import annotations

from typing import Any

import pytest

from sim.scenario.check import check
from sim.scenario.doubts import doubts
from tests.worlds import make_scenario

RAMP = {"kind": "ramp", "steps": [{"weight": "10%", "bake": "6h"}, {"weight": "50%", "bake": "18h"}]}
DRIFT = [{"kind": "drift", "arm": "champion", "metric": "conversion", "at": "6h", "to": "5%"}]
THOMPSON = {"kind": "thompson", "floor": "5%"}


def warned(evidence: dict[str, Any], allocation: dict[str, Any] | None = None, **changes: Any) -> list[tuple[str, str]]:
    policy = {"name": "p", "kind": "bandit", "allocation": allocation or {"kind": "fixed"}, "evidence": evidence}
    scenario = make_scenario(policies=[policy], **changes)
    assert check(scenario) == []
    return [(doubt.path, doubt.message) for doubt in doubts(scenario)]


WITHIN = "tally: within_ticks"
TEST = {"kind": "fixed_horizon", "sample": 1000}
POOLED = TEST | {"tally": "pooled"}
BY_USER = {"adjust": {"kind": "cluster"}}
USERS = {"users": {"count": 100, "similarity": "30%"}}


DELAYED = [{"name": "conversion", "role": "primary", "delay": {"constant": "2h"}}]
LATE = [DELAYED[0] | {"until_known": "failure"}]
APART = [DELAYED[0] | {"delay": {"by_outcome": {"success": {"constant": "2h"}}}}]


def by_arm(champion: Any, challenger: Any) -> dict[str, Any]:
    """The primary metric with a delay of each arm's own."""
    delay = {"by_arm": {"champion": champion, "challenger": challenger}}
    return {"metrics": [{"name": "conversion", "role": "primary", "delay": delay, "attribution_window": "4h"}]}


def sold(after: str) -> dict[str, Any]:
    return {"by_outcome": {"success": {"exponential": after}, "failure": "window"}}


NO_FLOOR = {"kind": "thompson"}
STARVED = ["can leave an arm next to no traffic", "floor: 5%"]
UNLIKE = ["unlike shares of successes", "takes for an effect", "as long as the window (4h) after its call"]
OLDER = ["older in one arm than in the other", "timeline[0]", "one constant delay for all"]


@pytest.mark.parametrize(
    ("evidence", "allocation", "changes", "key", "words"),
    [
        (POOLED, RAMP, {"timeline": DRIFT}, "tally", ["pools outcomes over weights that change", "timeline[0]", WITHIN]),
        (POOLED, THOMPSON, {}, "tally", ["only under weights that do not depend on them", "thompson", WITHIN]),
        ({"kind": "posterior"}, THOMPSON, {"timeline": DRIFT}, "kind", ["posterior pools", "a rule that compares"]),
        ({"kind": "peeking", "every": "1h", "sample": 1000}, THOMPSON, {}, "every", ["looks at planned times", "information"]),
        (POOLED, RAMP, {"metrics": LATE}, "tally", ["of conversion successes come at other times", WITHIN]),
        (POOLED, RAMP, {"metrics": APART}, "tally", ["visits of another age", WITHIN]),
        (TEST, None, by_arm(sold("1h"), sold("2h")), "kind", UNLIKE),
        ({"kind": "posterior"}, None, by_arm(sold("1h"), {"constant": "1h"}), "kind", UNLIKE),
        (TEST, None, by_arm({"constant": "1h"}, {"constant": "2h"}) | {"timeline": DRIFT}, "kind", OLDER),
        (TEST, None, USERS, "kind", ["users.similarity", "adjust: {kind: cluster}"]),
        (POOLED | BY_USER, RAMP, {"timeline": DRIFT, **USERS}, "tally", ["pools outcomes over weights that change", WITHIN]),
    ],
)  # fmt: skip
def test_a_promise_that_does_not_hold_is_warned_of(
    evidence: dict[str, Any], allocation: dict[str, Any] | None, changes: dict[str, Any], key: str, words: list[str]
) -> None:
    ((path, message),) = warned(evidence, allocation, **changes)
    assert path == f"policies[0].evidence.{key}"
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("evidence", "allocation", "changes"),
    [
        (TEST, RAMP, {"timeline": DRIFT}),
        (TEST, THOMPSON, {}),
        (TEST, None, by_arm(sold("1h"), sold("1h"))),
        (TEST, None, by_arm({"constant": "1h"}, {"constant": "2h"})),
        (TEST, {"kind": "epsilon_greedy"}, {}),
        ({"kind": "posterior"}, NO_FLOOR, {}),
        ({"kind": "mixture_sprt", "mde": "2%"}, NO_FLOOR, {}),
        ({"kind": "confidence_sequence", "mde": "2%"}, NO_FLOOR, {}),
        (TEST, None, {"metrics": LATE, "timeline": DRIFT}),
        (TEST, RAMP, {"metrics": LATE, "timeline": DRIFT}),
        (TEST, RAMP, {"metrics": DELAYED, "timeline": DRIFT}),
        (TEST, RAMP, {"metrics": APART, "timeline": DRIFT}),
        (POOLED, None, {"metrics": APART}),
        (POOLED, None, {"timeline": DRIFT}),
        (POOLED, RAMP, {}),
        ({"kind": "posterior"}, THOMPSON, {}),
        ({"kind": "betting"}, THOMPSON, {"timeline": DRIFT}),
        (TEST | BY_USER, None, USERS),
        (TEST | BY_USER, RAMP, {"timeline": DRIFT, **USERS}),
        (TEST | BY_USER | {"tally": "within_ticks"}, RAMP, {"timeline": DRIFT, **USERS}),
        ({"kind": "survive", "duration": "2h"}, RAMP, {"timeline": DRIFT}),
    ],
)
def test_what_holds_is_not_warned_of(
    evidence: dict[str, Any], allocation: dict[str, Any] | None, changes: dict[str, Any]
) -> None:
    assert warned(evidence, allocation, **changes) == []


@pytest.mark.parametrize("kind", ["thompson", "ucb1", "kl_ucb", "track_and_stop"])
def test_an_arm_that_may_be_starved_under_a_planned_test_is_warned_of(kind: str) -> None:
    for evidence in (TEST, {"kind": "group_sequential", "sample": 1000}):
        ((path, message),) = warned(evidence, {"kind": kind})
        assert path == "policies[0].allocation.kind"
        for word in STARVED:
            assert word in message
        assert warned(evidence, {"kind": kind, "floor": "5%"}) == []
    ((path, _),) = warned(TEST, {"kind": "epsilon_greedy", "epsilon": 0})
    assert path == "policies[0].allocation.kind"
