"""Comparisons within ticks: equal to the plain test where nothing changes, and right where weights and means do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.errors import InputError
from sim.policy.columns import Moment
from sim.policy.contrast import Contrasts
from sim.stats.two_sample import TestResult, two_sample
from sim.stats.within_ticks import WeightedMoments, difference, difference_test, moments
from sim.testing.paths import standard_error

COUNT, TOTAL = Moment("m", "count"), Moment("m", "sum")
Floats = NDArray[np.float64]


def played(
    rows: int, requests: list[int], weight: list[float], rate: list[float], effect: float = 0.0, seed: int = 1
) -> tuple[Contrasts, NDArray[np.int64]]:
    """Binary outcomes of two arms: Poisson requests of a tick, split at its weight. The sums within ticks, and the totals."""
    rng = np.random.default_rng(seed)
    contrasts, totals = Contrasts.empty(rows, 2, [COUNT, TOTAL]), np.zeros((rows, 2, 2), np.int64)
    for expected, w, p in zip(requests, weight, rate, strict=True):
        n = rng.poisson(expected, rows)
        challenger = rng.binomial(n, w)
        known = np.stack([n - challenger, challenger], axis=1)
        counts = np.stack([known, rng.binomial(known, np.array([p, p * (1 + effect)]))], axis=2)
        contrasts.add(np.arange(rows), counts, np.tile([1 - w, w], (rows, 1)), np.arange(counts.shape[2]))
        totals += counts
    return contrasts, totals


def both(contrasts: Contrasts, totals: NDArray[np.int64]) -> tuple[TestResult, TestResult]:
    """The test within ticks and the pooled one."""
    champion, challenger = (totals[:, arm : arm + 1] for arm in range(2))
    plain = two_sample(
        "z_pooled", champion[..., 0], champion[..., 1], champion[..., 1], challenger[..., 0], challenger[..., 1],
        challenger[..., 1],
    )  # fmt: skip
    return difference_test(difference(*contrasts.moments(COUNT, TOTAL, TOTAL)), "z_pooled"), plain


@pytest.mark.parametrize("kind", ["z_pooled", "z_unpooled", "welch"])
@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_at_the_shares_that_were_seen_it_is_the_plain_test(kind: str, scale: str) -> None:
    if (kind, scale) == ("z_pooled", "relative"):
        pytest.skip("the relative scale has unpooled variances")
    rng = np.random.default_rng(3)
    n = rng.integers(50, 5000, (2, 40))
    y = n * rng.normal(10, 1, n.shape)
    yy = y**2 / n + 25 * n
    plain = two_sample(kind, n[0], y[0], yy[0], n[1], y[1], yy[1], scale=scale)  # type: ignore[arg-type]
    w = n[1] / n.sum(axis=0)
    sides = (moments(n[0], y[0], yy[0], w, champion=True), moments(n[1], y[1], yy[1], w, champion=False))
    found = difference(*sides)
    np.testing.assert_allclose(found.information, n[0] * n[1] / n.sum(axis=0))
    result = difference_test(found, kind, scale)  # type: ignore[arg-type]
    for name in ("effect", "standard_error", "statistic", "p_value", "champion_share"):
        np.testing.assert_allclose(getattr(result, name), getattr(plain, name), rtol=1e-9, err_msg=name)
    if kind == "welch":
        np.testing.assert_allclose(result.degrees_of_freedom, plain.degrees_of_freedom, rtol=1e-9)


@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_under_constant_weights_it_is_the_plain_test_to_first_order(weight: float) -> None:
    within, pooled = both(*played(2000, [2000] * 20, [weight] * 20, [0.05] * 20))
    assert np.abs(within.statistic - pooled.statistic).max() < 0.01
    assert np.abs(within.standard_error / pooled.standard_error - 1).max() < 0.05


@pytest.mark.parametrize("drift", [0.02, 0.05, 0.2])
def test_a_common_drift_at_a_change_of_weights_changes_nothing_but_the_pooled_test(drift: float) -> None:
    """The ramp of a canary: 10% for a day, then half. The pooled effect is the drift times the difference of the arms' ages."""
    rows, hours = 20_000, [36_000] * 58
    weight, rate = [0.1] * 24 + [0.5] * 34, [0.05] * 24 + [0.05 * (1 + drift)] * 34
    within, pooled = both(*played(rows, hours, weight, rate))
    wrong = float((within.p_value < 0.05).mean())
    assert wrong == pytest.approx(0.05, abs=4 * standard_error(0.05, rows))
    late = np.array([17.0 / (17 + 2.4), 17.0 / (17 + 21.6)])
    expected = 0.05 * drift * (late[0] - late[1])
    assert pooled.effect.mean() == pytest.approx(expected, abs=4 * pooled.effect.std() / np.sqrt(rows))
    assert within.effect.mean() == pytest.approx(0, abs=4 * within.effect.std() / np.sqrt(rows))
    assert within.standard_error.mean() == pytest.approx(within.effect.std(), rel=0.03)


def test_the_effect_is_estimated_without_bias_under_a_ramp_and_a_drift() -> None:
    rows, ticks = 20_000, 60
    weight, rate = [0.05] * 20 + [0.2] * 20 + [0.5] * 20, [0.05] * 20 + [0.08] * 20 + [0.06] * 20
    contrasts, totals = played(rows, [500] * ticks, weight, rate, effect=0.1)
    within, _ = both(contrasts, totals)
    n = 500 * np.array(weight) * (1 - np.array(weight))
    true = float((n * np.array(rate)).sum() / n.sum() * 0.1)
    assert within.effect.mean() == pytest.approx(true, abs=4 * within.effect.std() / np.sqrt(rows))


@pytest.mark.parametrize("requests", [1, 5, 100])
@pytest.mark.parametrize("cycle", [0.0, 0.5])
def test_shares_that_chase_the_winner_change_nothing_where_it_looks_by_information(requests: int, cycle: float) -> None:
    """All traffic but a tenth goes to the arm that is ahead; the test is at the first tick with the planned information."""
    rows, planned = 6000, 150.0
    rng = np.random.default_rng(7)
    contrasts = Contrasts.empty(rows, 2, [COUNT, TOTAL])
    seen = np.zeros((rows, 2, 2), np.int64)
    z, open_rows, tick = np.zeros(rows), np.ones(rows, bool), 0
    while open_rows.any():
        rate = 0.2 * (1 + cycle * np.sin(2 * np.pi * tick / (2000 / requests)))
        mean = (seen[..., 1] + 1) / (seen[..., 0] + 2)
        weight = np.where(mean[:, 1] > mean[:, 0], 0.9, 0.1)
        n = rng.binomial(requests, weight)
        known = np.stack([requests - n, n], axis=1)
        counts = np.stack([known, rng.binomial(known, rate)], axis=2)
        contrasts.add(np.arange(rows), counts, np.stack([1 - weight, weight], axis=1), np.arange(counts.shape[2]))
        seen += counts
        found = difference(*contrasts.moments(COUNT, TOTAL, TOTAL))
        due = open_rows & (found.information[:, 0] >= planned)
        z[due] = difference_test(found, "z_pooled").statistic[due, 0]
        open_rows &= ~due
        tick += 1
    assert float((np.abs(z) > 1.96).mean()) == pytest.approx(0.05, abs=0.005 + 4 * standard_error(0.05, rows))


def test_an_arm_that_was_never_served_beside_the_champion_says_nothing() -> None:
    alone = moments(100, 10, 10, 0.0, champion=True)
    nobody = moments(0, 0, 0, 0.0, champion=False)
    result = difference_test(difference(alone, nobody), "welch")
    assert (result.effect, result.p_value, result.standard_error) == (0, 1, np.inf)


def test_it_refuses_what_it_cannot_do() -> None:
    one = moments(10, 5, 5, 0.5, champion=True)
    with pytest.raises(InputError, match="z_unpooled or welch on the relative scale"):
        difference_test(difference(one, one), "z_pooled", "relative")
    with pytest.raises(InputError, match="kind"):
        difference_test(difference(one, one), "nonsense")  # type: ignore[arg-type]


def test_a_linear_combination_has_the_moments_of_its_values() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 50))
    of = {name: moments(50, v.sum(), (v**2).sum(), 0.3, champion=False) for name, v in (("x", x), ("y", y), ("e", y - 2 * x))}
    product = moments(50, (x * y).sum(), 0, 0.3, champion=False).total
    found = of["y"].less(np.array(2.0), of["x"], product)
    for name in ("count", "total", "square"):
        np.testing.assert_allclose(getattr(found, name), getattr(of["e"], name))
    np.testing.assert_allclose(WeightedMoments.scaled(of["x"], 3.0).total, 3 * of["x"].total)
