"""The effect as a policy would report it at its verdict: which arm, from which outcomes, and how far the stop misleads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.arrays import Ints
from sim.policy.base import Evidence, Telemetry, Verdict
from sim.policy.columns import Column, Moment, moments_of
from sim.policy.estimates import Aipw, EffectEstimates
from sim.policy.evidence import FixedHorizon, GroupSequential
from sim.policy.machine import StagedPolicy
from sim.policy.stages import Stage
from sim.testing.paths import MEAN, SD, binary_ticks, gaussian_ticks
from sim.testing.settings import METRICS, make_setting
from tests.policy import adjusted_paths as paths
from tests.policy.scripted import GUARD, TOLD, Guard, make_stage

ROWS = 20_000


def played(
    stages: list[Stage], ticks: list[dict[Column, Ints]], primary: str = "revenue"
) -> tuple[StagedPolicy, EffectEstimates]:
    """The policy after telemetry (R, K) a tick, with zeros for the columns that a tick does not have."""
    rows, arms = next(iter(ticks[0].values())).shape
    setting = make_setting(arms, rows, primary=primary)
    policy = StagedPolicy(stages)
    routing = policy.start(setting)
    for number, tick in enumerate(ticks):
        if not routing.rows.size:
            break
        counts = np.zeros((routing.rows.size, arms, len(policy.columns)), np.int64)
        for column, place in policy.columns.items():
            if column in tick:
                counts[..., place] = tick[column][routing.rows]
        routing = policy.step(Telemetry(number, counts, policy.columns, routing.live))
    return policy, policy.estimates()


def one_stage(evidence: Evidence, **said: Any) -> list[Stage]:
    return [make_stage(evidence=evidence, **said)]


def test_one_look_reports_the_difference_without_bias_and_its_interval_holds() -> None:
    true = 0.1 * SD / MEAN
    policy, found = played(one_stage(FixedHorizon(sample=400)), gaussian_ticks(ROWS, [400], (0.1,)))
    assert (policy.verdicts.decided_tick == 1).all()
    assert (found.arm == 1).all()
    assert found.effect.mean() == pytest.approx(true, abs=4 * found.effect.std() / np.sqrt(ROWS))
    assert found.error.mean() == pytest.approx(found.effect.std(), rel=0.02)
    covered = np.abs(found.effect - true) <= 1.96 * found.error
    assert covered.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / ROWS))
    assert np.isnan(found.unbiased).all(), "one look needs no correction"


def test_a_decrease_that_is_better_is_positive() -> None:
    ticks = [
        {Moment("cost", column.moment): values for column, values in tick.items() if isinstance(column, Moment)}
        for tick in gaussian_ticks(50, [400], (-1.0,))
    ]
    _, found = played(one_stage(FixedHorizon(sample=400)), ticks, primary="cost")
    assert (found.effect > 0).all()


@pytest.mark.parametrize("kind", ["pocock", "obrien_fleming"])
@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_early_stops_exaggerate_and_the_adjusted_estimate_does_not(kind: Any, scale: Any) -> None:
    effect = 0.1
    true = effect * SD / MEAN
    policy, found = played(
        one_stage(GroupSequential(design=kind, sample=1000, effect=scale)), gaussian_ticks(ROWS, [200] * 5, (effect,))
    )
    assert (policy.verdicts.verdict != Verdict.UNDECIDED).all()
    spread = 4 / np.sqrt(ROWS)
    assert found.effect.mean() > true + spread * found.effect.std(), "the naive one is biased"
    assert abs(np.mean(found.unbiased > true) - 0.5) < spread * 0.5
    covered = np.mean((found.lower <= true) & (true <= found.upper))
    assert abs(covered - 0.95) < spread * np.sqrt(0.95 * 0.05)
    first = policy.verdicts.decided_tick == 1
    # Whoever stops at the first look has looked once.
    np.testing.assert_allclose(found.unbiased[first], found.effect[first], rtol=0.02)


def test_binary_outcomes_too() -> None:
    _, found = played(
        one_stage(GroupSequential(design="pocock", sample=2000)), binary_ticks(ROWS, [400] * 5, (0.03,)), primary="conversion"
    )
    true = 0.03 / 0.2
    assert abs(np.mean(found.unbiased > true) - 0.5) < 4 * 0.5 / np.sqrt(ROWS) + 0.01, "a rate is not quite normal"
    assert np.mean((found.lower <= true) & (true <= found.upper)) == pytest.approx(0.95, abs=0.01)


def test_looks_that_a_busy_tick_skips_are_not_counted() -> None:
    _, found = played(one_stage(GroupSequential(design="pocock", sample=1000)), gaussian_ticks(ROWS, [500, 500], (0.1,)))
    true = 0.1 * SD / MEAN
    assert abs(np.mean(found.unbiased > true) - 0.5) < 4 * 0.5 / np.sqrt(ROWS)


def test_the_shipped_arm_is_reported_and_else_the_best() -> None:
    policy, found = played(one_stage(FixedHorizon(sample=4000)), gaussian_ticks(200, [4000], (0.3, 0.1)))
    assert (policy.verdicts.arm == 1).all()
    assert (found.arm == 1).all()
    policy, found = played(one_stage(FixedHorizon(sample=4000)), gaussian_ticks(200, [4000], (-0.3, -0.1)))
    assert (policy.verdicts.verdict == Verdict.KEEP).all()
    assert (found.arm == 2).mean() > 0.99


def test_a_guardrail_that_ends_the_stage_leaves_no_adjusted_estimate() -> None:
    ticks = gaussian_ticks(50, [200, 50])
    ticks[1] = {**ticks[1], GUARD: np.full((50, 2), 2)}
    policy, found = played(one_stage(GroupSequential(sample=1000), checks=(Guard(),)), ticks)
    assert (policy.verdicts.verdict == Verdict.KEEP).all()
    assert np.isfinite(found.effect).all()
    assert np.isnan(found.unbiased).all()


def test_only_outcomes_since_the_stage_began_count() -> None:
    before = {column: values * 5 for column, values in gaussian_ticks(50, [100])[0].items()}
    ticks = [{**before, TOLD: np.ones((50, 2), np.int64)}, *gaussian_ticks(50, [400], (0.5,))]
    stages = [make_stage("first"), make_stage("second", evidence=FixedHorizon(sample=400))]
    _, two = played(stages, ticks)
    _, one = played(one_stage(FixedHorizon(sample=400)), ticks[1:])
    np.testing.assert_array_equal(two.effect, one.effect)


def test_no_verdict_and_no_reward_have_no_estimate() -> None:
    _, undecided = played(one_stage(FixedHorizon(sample=4000)), gaussian_ticks(10, [400]))
    _, told = played([make_stage()], [{**gaussian_ticks(10, [400])[0], TOLD: np.ones((10, 2), np.int64)}])
    _, constant = played(
        one_stage(FixedHorizon(sample=2)),
        [{column: np.full((10, 2), 2) for column in moments_of(METRICS["revenue"])}],
    )
    for found in (undecided, told, constant):
        assert (found.arm == -1).all()
        for values in (found.effect, found.error, found.unbiased, found.lower, found.upper):
            assert np.isnan(values).all()


def test_the_estimate_is_that_of_the_test_with_its_adjustment() -> None:
    rows = 4000
    ticks = paths.covariate_ticks(rows, [400], (0.1,))
    _, found = played(one_stage(FixedHorizon(sample=200, adjust={"kind": "cuped"})), ticks)
    left = np.sqrt(1 - paths.CORRELATION**2)
    assert found.effect.std() / found.naive.std() == pytest.approx(left, abs=4 * np.sqrt(1 / rows))
    assert found.error.mean() == pytest.approx(found.effect.std(), rel=4 / np.sqrt(2 * rows))
    assert found.naive_error.mean() == pytest.approx(found.naive.std(), rel=4 / np.sqrt(2 * rows))
    # At an even split of one tick, all estimators of the plain difference are the same.
    np.testing.assert_allclose(found.contrast, found.naive, rtol=1e-9)
    np.testing.assert_allclose(found.aipw, found.naive, atol=0.2 * found.naive.std())


def test_the_adaptively_weighted_estimate_is_right_where_shares_chase_the_winner() -> None:
    """The naive one is not: an arm that looked bad early is hardly seen again, so that its bad luck stays."""
    rows, rate, better = 20_000, 0.2, 0.25
    rng = np.random.default_rng(4)
    sums, seen = Aipw(rows, 1), np.zeros((rows, 2, 2), np.int64)
    for _ in range(40):
        mean = (seen[..., 1] + 1) / (seen[..., 0] + 2)
        share = np.where(mean[:, 1] > mean[:, 0], 0.9, 0.1)
        live = np.stack([1 - share, share], axis=1)
        first = rng.binomial(20, share)
        n = np.stack([20 - first, first], axis=1)
        y = rng.binomial(n, [rate, better])
        last = np.stack([n, y], axis=2)
        sums.add(np.arange(rows), last, seen, np.array([0, 1, 1]), live, rate, grid=1.0)
        seen += last
    effect, error = sums.estimate(np.arange(rows), np.ones(rows, int), 1)
    absolute = sums.sums[1, :, 0] / sums.sums[0, :, 0]
    assert absolute.mean() == pytest.approx(better - rate, abs=4 * absolute.std() / np.sqrt(rows))
    naive = seen[..., 1] / np.maximum(seen[..., 0], 1)
    apart = naive[:, 1] - naive[:, 0]
    assert apart.mean() > better - rate + 8 * apart.std() / np.sqrt(rows)
    covered = np.abs(effect - (better / rate - 1)) <= 1.96 * error
    assert covered.mean() == pytest.approx(0.95, abs=0.015)
