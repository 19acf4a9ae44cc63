"""What the aggregate engine carries beyond a steady world, each against the compiled engine in distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import NEVER, refusals
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.lag import lagged
from sim.policy.base import Verdict
from sim.policy.columns import COUNTS, MOMENTS, Above, Count, Moment, mean_of
from tests.columns import counts, moments
from tests.engine.side_by_side import ARMS, apart, metrics, observed, play, spread_apart, three_families
from tests.thorough import plays
from tests.worlds import make_scenario

NEEDS = (
    *COUNTS, Above(0.7), Above(2.0), *mean_of("conversion"), *moments("score", *MOMENTS), *moments("revenue", *MOMENTS),
)  # fmt: skip
FACTORS = [
    {"kind": "drift", "arm": "champion", "metric": "conversion", "at": "20s", "to": "90%"},
    {"kind": "drift", "arm": "a", "metric": "conversion", "at": "10s", "duration": "30s", "to": "-40%"},
    {"kind": "novelty", "arm": "b", "metric": "score", "effect": "60%", "half_life": "20s"},
    {"kind": "drift", "arm": "champion", "metric": "revenue", "at": "0s", "duration": "40s", "to": "50%"},
]
INCIDENTS = [
    {"kind": "errors", "arm": "a", "at": "20s", "duration": "20s", "rate": "40%"},
    {"kind": "slowdown", "arm": "champion", "at": "10s", "duration": "10s", "factor": 1.3},
    {"kind": "leak", "arm": "b", "at": "10s", "per_hour": "3000%", "restart": "20s"},
]
SEGMENTS = [
    {"name": "mobile", "share": "60%", "relative": {"conversion": "-50%", "score": "40%", "revenue": "-20%"}},
    {"name": "desktop", "share": "30%"},
    {"name": "television", "share": "10%", "relative": {"revenue": "100%"}},
]
MISROUTED = {"misrouted": {"a": "20%", "b": "50%"}}
CROWD = [{"at": "10s", "factor": 2, "rise": "10s", "duration": "10s", "decay": "20s"}]
WORLDS: dict[str, dict[str, Any]] = {
    "a timeline, at a rate that changes": {
        "timeline": [*FACTORS, *INCIDENTS], "traffic": {"rate": "2/s", "flash_crowds": CROWD},
    },
    "segments, and a router that errs": {"segments": SEGMENTS, "router": MISROUTED},
    "segments of users, and calls that are not seen": {
        "segments": SEGMENTS, "telemetry": {"loss": "25%"},
        "users": {"count": 60, "activity": {"pareto": 1.2}, "assignment": "request"},
    },
    "bursts": {"traffic": {"rate": "2/s", "bursts": {"factor": 6, "every": "15s", "duration": "4s"}}},
    "exponential delays": {"metrics": metrics(conversion={"exponential": "12s"}, score={"exponential": "3s"})},
    "constant delays": {
        "metrics": metrics(conversion={"constant": "17s"}, score={"constant": "4s"}, revenue={"constant": "20s"}),
    },
    "all together": {
        "metrics": metrics(conversion={"exponential": "8s"}, score={"constant": "6s"}), "timeline": [*FACTORS, *INCIDENTS],
        "segments": SEGMENTS, "router": MISROUTED, "telemetry": {"loss": "20%", "lag": "10s"},
    },
}  # fmt: skip
ROWS = plays(2500, 6000)
MANY, OTHERS = np.arange(ROWS), np.arange(100_000, 100_000 + ROWS)


@pytest.mark.parametrize("said", WORLDS.values(), ids=WORLDS.keys())
def test_telemetry_and_ledgers_agree(said: dict[str, Any]) -> None:
    world = three_families(**said)
    assert not list(refusals(world))
    (one, ledger), (other, account) = (
        observed(lagged(make), world, replications, NEEDS)
        for make, replications in ((CompiledEngine, MANY), (AggregateEngine, OTHERS))
    )
    never = [place for place, column in enumerate(NEEDS) if column in NEVER]
    assert not any(shown.reshape(*shown.shape[:2], len(ARMS), -1)[..., never].any() for shown in (one, other))
    means = [
        apart(one[rows, ticks].reshape(len(one[rows]), -1), other[rows, ticks].reshape(len(one[rows]), -1))
        for rows, ticks in ((slice(None), slice(0, 4)), (slice(None, None, 2), slice(4, 6)))
    ]
    z = np.concatenate(means)
    # 288 means: the largest of as many normals exceeds 4.5 once in 500 runs.
    assert np.abs(z).max() < 4.5
    # Columns are correlated, most of all where bursts move all of them.
    assert z[z != 0].std() < 1.5
    # The second pair has a new stage in it, and the third only half of the rows.
    for ticks, rows in (([0, 1], slice(None)), ([2, 3], slice(None)), ([4, 5], slice(None, None, 2))):
        sides = (shown[rows][:, ticks].reshape(len(shown[rows]), -1) for shown in (one, other))
        assert np.abs(spread_apart(*sides)).max() < 5.2
    for half in (slice(None, None, 2), slice(1, None, 2)):
        assert np.abs(apart(ledger[half], account[half])).max() < 4
        assert np.abs(spread_apart(ledger[half], account[half])).max() < 4.5


def test_a_trace_that_bends_within_a_tick_agrees(tmp_path: Any) -> None:
    counts = np.tile([3, 0, 9, 1, 5, 20, 2, 2, 40], 7)[:60]
    (tmp_path / "trace.csv").write_text("requests\n" + "\n".join(str(count) for count in counts))
    trace = {"file": str(tmp_path / "trace.csv"), "count": "requests", "interval": "1s"}
    world = three_families(traffic={"rate": "3/s", "trace": trace})
    assert not list(refusals(world))
    one, other = observed(CompiledEngine, world, MANY, NEEDS)[0], observed(AggregateEngine, world, OTHERS, NEEDS)[0]
    assert np.abs(apart(one[:, :4].reshape(len(one), -1), other[:, :4].reshape(len(other), -1))).max() < 4.5
    assert np.abs(spread_apart(one[:, :2].reshape(len(one), -1), other[:, :2].reshape(len(other), -1))).max() < 5


@pytest.mark.parametrize("name", ["all together", "exponential delays", "segments of users, and calls that are not seen"])
def test_what_else_is_asked_and_who_else_is_played_changes_nothing(name: str) -> None:
    world = three_families(**WORLDS[name])
    asked = (*counts("requests", "errors"), Above(2.0), *mean_of("score"), Moment("conversion", "sum"))
    plain = observed(AggregateEngine, world, np.arange(8), asked)[0].reshape(8, 6, 3, -1)
    more = observed(AggregateEngine, world, np.arange(8), (*NEEDS[::-1], Count("errors", mirrored=True), Above(1.0)))[0]
    places = [[*NEEDS[::-1]].index(column) for column in asked if not isinstance(column, Above)]
    same = [place for place, column in enumerate(asked) if not isinstance(column, Above)]
    assert np.array_equal(more.reshape(8, 6, 3, -1)[..., places], plain[..., same])
    # Rows 4 and 6 are decided when rows 0 and 2 of the smaller block are.
    assert np.array_equal(observed(AggregateEngine, world, np.arange(4, 8), asked)[0].reshape(4, 6, 3, -1), plain[4:])


POLICIES: dict[str, dict[str, Any]] = {
    "ab": {"kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 120, "alpha": "20%"}},
    "bandit": {"kind": "bandit", "allocation": {"kind": "thompson"}, "evidence": {"kind": "posterior", "min_outcomes": 30}},
    "canary": {
        "kind": "canary",
        "steps": [{"weight": "10%", "bake": "40s"}, {"weight": "40%", "bake": "1m"}],
        "checks": [{"metric": "error_rate", "max": "25%", "trip": 3, "min_requests": 3}],
    },
    "chain": {"kind": "stages", "stages": ["canary", "ab"]},
}


@pytest.mark.parametrize("name", ["bandit", "chain"])
def test_verdicts_agree_where_the_world_changes_and_feedback_is_late(name: str) -> None:
    said = {
        **WORLDS["all together"], "horizon": "4m", "policies": [{"name": each, **policy} for each, policy in POLICIES.items()],
    }  # fmt: skip
    policies = {policy.name: policy for policy in make_scenario(arms=ARMS, **said).policies}
    world = three_families(**said)
    one, ledger = play(lagged(CompiledEngine), world, policies, name, np.arange(3000))
    other, account = play(lagged(AggregateEngine), world, policies, name, np.arange(10_000, 13_000))
    assert np.unique(other.verdict).size > 1
    for mine, theirs, values in ((one.verdict, other.verdict, Verdict), (one.arm, other.arm, range(3))):
        for value in values:
            share = np.concatenate([mine, theirs]) == value
            error = np.sqrt(max(share.mean() * (1 - share.mean()), 1 / 3000) * 2 / 3000)
            assert abs((mine == value).mean() - (theirs == value).mean()) < 4 * error
    figures = [
        np.stack(
            [verdicts.decided_tick, book.regret, book.errors, book.slo_violations, book.peak_exposure, book.cost_s], axis=1
        )
        for verdicts, book in ((one, ledger), (other, account))
    ]
    assert np.abs(apart(*figures)).max() < 4
