"""Adjusted comparisons end to end, on the compiled engine, against theory. Tolerances are 4 standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sim.arrays import Floats
from sim.engine.catalogue import make
from sim.policy.adjust import Cluster, Cuped, Ratio, Stratify, Winsorise
from sim.policy.base import Routing, View
from sim.policy.contrast import Contrasts
from sim.policy.forms import AB
from sim.policy.inference.comparison import Tally, compare, outcome_needs
from sim.run.trial import play
from sim.testing.paths import standard_error
from sim.world.world import World
from tests.thorough import plays
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

ROWS = plays(600, 1000)
AMOUNT = {"zero_inflated": {"rate": 0.3, "amount": {"lognormal": {"mean": 30.0, "sd": 90.0}}}}


def world_of(primary: dict[str, Any], **said: Any) -> World:
    """Two arms that are the same; three calls every two seconds, for an hour."""
    metrics = [{"role": "primary", **primary}]
    scenario = make_scenario(horizon="1h", traffic={"rate": "90/m"}, metrics=metrics, **said)
    return make_world(scenario, [behaves(outcomes={"conversion": {"bernoulli": 0.3}, "revenue": AMOUNT}, error_rate=0.0)] * 2)


def compared(
    world: World,
    *adjustments: Any,
    share: Callable[[int], float] = lambda tick: 0.5,
    tallies: tuple[Tally, ...] = ("within_ticks",),
) -> list[tuple[Floats, Floats]]:
    """(ROWS,) effect and standard error at the end of the horizon, by each adjustment and tally; None for no adjustment.

    `share` gives the challenger's share of a tick.
    """
    setting = world.setting(ROWS)
    each = [(adjust, tally) for adjust in adjustments for tally in tallies]
    needs = tuple(dict.fromkeys(column for adjust, tally in each for column in outcome_needs(setting, adjust, tally)))
    engine = make("compiled")(world.realise(np.arange(ROWS)), needs, False)
    total: Any = 0
    contrasts = Contrasts.empty(ROWS, 2, needs)
    for tick in range(world.ticks):
        live = np.broadcast_to([1 - share(tick), share(tick)], (ROWS, 2))
        counts = engine.step(Routing(np.arange(ROWS), live, np.zeros_like(live), np.zeros(ROWS, np.int64))).counts
        total = total + counts
        contrasts.add(np.arange(ROWS), counts, live, np.arange(counts.shape[2]))
    everyone = np.ones(ROWS, bool)
    columns = {column: place for place, column in enumerate(needs)}
    ages, arms_in = np.full(ROWS, world.ticks), np.ones((ROWS, 2), bool)
    view = View(setting, world.ticks, ages, arms_in, total, total, columns, False, {}, contrasts)
    tests = [compare(view, "auto", everyone, adjust=adjust, tally=tally) for adjust, tally in each]
    return [(test.effect[:, 0], test.standard_error[:, 0]) for test in tests]


def calibrated(effect: Floats, error: Floats, expected: float = 0.0) -> bool:
    """Whether effects lie around what is expected as their standard errors say."""
    z = (effect - expected) / error
    return bool(abs(z.mean()) < 4 / np.sqrt(ROWS) and abs(z.var() - 1) < 4 * np.sqrt(2 / ROWS) + 0.01)


def close_ratio(adjusted: Floats, plain: Floats, theory: float) -> bool:
    """Whether the variance left over is what theory says; log ratios of variances correlated by sqrt(theory)."""
    found = adjusted.var() / plain.var()
    return bool(abs(np.log(found / theory)) < 4 * 2 * np.sqrt((1 - theory) / ROWS))


@pytest.mark.parametrize("metric", ["conversion", "revenue"])
@pytest.mark.parametrize("correlation", [0.5, 0.8])
def test_cuped_leaves_one_minus_rho_squared_of_the_variance(metric: str, correlation: float) -> None:
    world = world_of({"name": metric, "covariate": {"correlation": correlation}})
    (plain, _), (adjusted, error) = compared(world, None, Cuped())
    assert close_ratio(adjusted, plain, 1 - correlation**2)
    if metric == "conversion":
        assert calibrated(adjusted, error)
    else:
        # So few amounts do not tell a variance to a tenth: the error is then rather too large than too small.
        assert 0.6 < (adjusted / error).var() < 1 + 4 * np.sqrt(2 / ROWS) + 0.01


@pytest.mark.parametrize("assignment", ["sticky", "request"])
def test_similar_users_fool_the_plain_test_where_they_keep_their_arm_and_never_the_clustered_one(assignment: str) -> None:
    users = {"count": 1000, "similarity": "50%", "assignment": assignment, "activity": {"lognormal": 0.5}}
    world = world_of({"name": "conversion"}, users=users)
    plain, clustered = compared(world, None, Cluster())
    assert calibrated(*clustered)
    assert calibrated(*plain) == (assignment == "request")
    wrong = (np.abs(plain[0] / plain[1]) > 1.96).mean()
    # A user sends n = 5.4 requests on average, and n exp(0.25) of its own kind beside each: variance times 1 + 6.9 / 2.
    assert (wrong > 0.3) == (assignment == "sticky")
    assert abs((np.abs(clustered[0] / clustered[1]) > 1.96).mean() - 0.05) < 4 * standard_error(0.05, ROWS) + 0.003


@pytest.mark.parametrize("assignment", ["sticky", "request"])
def test_under_weights_that_change_users_are_compared_at_the_same_times_only_within_ticks(assignment: str) -> None:
    """A/A: 10% of traffic for half an hour and then half, while both arms rise by a fifth."""
    users = {"count": 1000, "similarity": "50%", "assignment": assignment, "activity": {"lognormal": 0.5}}
    drift = [
        {"kind": "drift", "arm": arm, "metric": "conversion", "at": "30m", "to": "20%"} for arm in ("champion", "challenger")
    ]
    world = world_of({"name": "conversion"}, users=users, timeline=drift)
    within, pooled = compared(
        world, Cluster(), share=lambda tick: 0.1 if 2 * tick < world.ticks else 0.5, tallies=("within_ticks", "pooled")
    )
    assert calibrated(*within)
    assert abs((np.abs(within[0] / within[1]) > 1.96).mean() - 0.05) < 4 * standard_error(0.05, ROWS) + 0.003
    # The champion's mean is .3 times 1.06 or so, and the challenger's 1.17.
    assert pooled[0].mean() > 0.02
    assert (np.abs(pooled[0] / pooled[1]) > 1.96).mean() > 0.15


@pytest.mark.parametrize("assignment", ["sticky", "request"])
def test_under_constant_weights_both_tallies_by_user_say_the_same(assignment: str) -> None:
    users = {"count": 1000, "similarity": "50%", "assignment": assignment, "activity": {"lognormal": 0.5}}
    world = world_of({"name": "conversion"}, users=users)
    within, pooled = compared(world, Cluster(), share=lambda tick: 0.25, tallies=("within_ticks", "pooled"))
    for one, other in zip(within, pooled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize(("correlation", "right"), [(0.7, True), (0.3, False)])
def test_cuped_takes_out_what_users_have_in_common_as_far_as_their_past_tells(correlation: float, right: bool) -> None:
    users = {"count": 1000, "similarity": "49%"}
    world = world_of({"name": "conversion", "covariate": {"correlation": correlation}}, users=users)
    (adjusted,) = compared(world, Cuped())
    assert calibrated(*adjusted) == right


def test_stratification_takes_out_what_lies_between_segments() -> None:
    segments = [{"name": "few", "share": "30%", "relative": {"conversion": "400%"}}, {"name": "most", "share": "70%"}]
    world = world_of({"name": "conversion"}, segments=segments)
    (plain, _), (adjusted, error) = compared(world, None, Stratify())
    assert world.segments is not None
    rate = 0.3 * world.segments.factors["conversion"]
    within = (world.segments.share * rate * (1 - rate)).sum()
    assert close_ratio(adjusted, plain, within / (0.3 * 0.7))
    assert within / (0.3 * 0.7) < 0.75
    assert calibrated(adjusted, error)


def test_a_cap_tames_a_heavy_tail() -> None:
    world = world_of({"name": "revenue"})
    cap = Winsorise(at=0.99)
    (plain, _), (adjusted, error) = compared(world, None, cap)
    _, sd = cap.nominal(world.setting(1))
    theory = sd**2 / world.outcomes[0].sd[0] ** 2
    assert theory < 0.7
    # Heavy tails: the variance of the plain difference is known to 10% only.
    assert adjusted.var() / plain.var() == pytest.approx(theory, rel=0.25)
    assert error.mean() == pytest.approx(sd * np.sqrt(2 / 2700), rel=0.02)
    assert calibrated(adjusted, error)


def test_a_ratio_of_metrics_that_depend_on_each_other() -> None:
    clicks = np.arange(20) % 4 + 1.0
    revenue = clicks * 3 + (np.arange(20) * 7 % 5)
    rewards = {"revenue": np.stack([revenue, revenue + 2 * clicks], axis=1), "clicks": np.stack([clicks, clicks], axis=1)}
    metrics = [
        {"name": name, "role": role, "reward": {"column": name}}
        for name, role in (("revenue", "primary"), ("clicks", "secondary"))
    ]
    scenario = make_scenario(
        horizon="1h", traffic={"rate": "1/s"}, metrics=metrics, data={"sklearn": "digits", "population": "rows"}
    )
    world = make_replayed_world(scenario, rewards, np.ones((20, 2)))
    ((effect, error),) = compared(world, Ratio(over="clicks"))
    # Two more of revenue for every click.
    assert calibrated(effect, error, 2.0)
    assert error.std() / error.mean() < 0.1


def test_a_rollout_with_similar_users_declares_as_often_as_it_promises_only_by_user() -> None:
    users = {"count": 1000, "similarity": "50%"}
    wrong = {}
    for name, said in {"plain": {"sample": 2000}, "by_user": {"sample": 500, "adjust": {"kind": "cluster"}}}.items():
        policy = AB.model_validate({"name": name, "evidence": {"kind": "fixed_horizon", **said}})
        scenario = make_scenario(
            horizon="1h", tick="5m", traffic={"rate": "90/m"}, users=users, metrics=[{"name": "conversion", "role": "primary"}]
        )
        behaviours = [behaves(outcomes={"conversion": {"bernoulli": 0.3}}, error_rate=0.0)] * 2
        world = make_world(scenario, behaviours)
        agent = policy.build({name: policy}, world.arms)
        columns = play(world.realise(np.arange(ROWS)), agent, make("compiled"), 4).columns
        assert columns["decided"].mean() > 0.99
        wrong[name] = np.isfinite(columns["time_to_significance_s"]).mean()
    assert wrong["plain"] > 0.2
    assert abs(wrong["by_user"] - 0.05) < 4 * standard_error(0.05, ROWS)
