"""Median-unbiased estimates after a group sequential test: against bivariate normals, and as promised over simulated tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from sim.errors import InputError
from sim.stats.group_sequential import design
from sim.stats.stopping import median_unbiased


def test_a_test_of_one_look_has_the_usual_estimate_and_interval() -> None:
    found = median_unbiased([1.0], [-1.96], [1.96], [1, 1, 1], [2.5, -0.3, -4.0])
    np.testing.assert_allclose(found.estimate, [2.5, -0.3, -4.0], atol=1e-9)
    np.testing.assert_allclose(found.lower, found.estimate - norm.ppf(0.975), atol=1e-9)
    np.testing.assert_allclose(found.upper, found.estimate + norm.ppf(0.975), atol=1e-9)


@pytest.mark.parametrize("z", [-3.1, -0.5, 1.0, 2.5])
def test_two_looks_agree_with_the_bivariate_normal(z: float) -> None:
    """Stage-wise ordering, Jennison & Turnbull (2000), §8.4: crossing above at the first look, or going on and exceeding z."""
    bound, root = 2.178, np.sqrt(0.5)

    def chance(drift: float) -> float:
        below = multivariate_normal([drift * root, drift], [[1, root], [root, 1]]).cdf
        going = below([bound, 40.0]) - below([-bound, 40.0]) - (below([bound, z]) - below([-bound, z]))
        return float(norm.sf(bound - drift * root) + going)

    found = median_unbiased([0.5, 1.0], [-bound] * 2, [bound] * 2, [2], [z])
    for value, share in ((found.estimate, 0.5), (found.lower, 0.025), (found.upper, 0.975)):
        exact = brentq(lambda drift, share=share: chance(drift) - share, -12, 12)
        assert value[0] == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize(
    ("first", "lower", "upper", "z"),
    [
        (0.01, (-2.178, -2.178), (2.178, 2.178), 2.0),
        (0.001, (-2.178, -2.178), (2.178, 2.178), 0.3),
        (0.0001, (-197.7, -1.977), (197.7, 1.977), 1.5),
        (0.01, (2.0, -2.0), (np.inf, 2.0), 3.0),
        (0.5, (-2.178, -2.178), (2.178, 2.178), 25.0),
        (0.5, (-2.178, -2.178), (2.178, 2.178), -37.0),
    ],
)
def test_it_holds_for_early_looks_and_far_statistics(
    first: float, lower: tuple[float, float], upper: tuple[float, float], z: float
) -> None:
    """By integration over the first look's Z, from root to root, whatever the program takes for its range."""
    sign = -1.0 if z < lower[1] else 1.0
    low, high = (lower[0], upper[0]) if sign > 0 else (-upper[0], -lower[0])
    root, rest = np.sqrt(first), np.sqrt(1 - first)

    def chance(drift: float) -> float:
        grid = drift * root + np.linspace(-9, 9, 20_001)
        going = (grid > low) & (grid < high)
        after = norm.sf((sign * z - grid * root - drift * (1 - first)) / rest)
        density = np.where(going, norm.pdf(grid - drift * root), 0.0)
        return float(norm.sf(high - drift * root) + np.trapezoid(density * after, grid))

    found = median_unbiased([first, 1.0], lower, upper, [2], [z])
    ends = (found.lower, found.upper) if sign > 0 else (found.upper, found.lower)
    for value, share in ((found.estimate, 0.5), (ends[0], 0.025), (ends[1], 0.975)):
        exact = sign * brentq(lambda drift, share=share: chance(drift) - share, -60, 60)
        assert value[0] == pytest.approx(exact, abs=3e-3)


@pytest.mark.parametrize("kind", ["pocock", "obrien_fleming"])
@pytest.mark.parametrize("drift", [0.0, 1.5, 3.0])
def test_it_exceeds_the_truth_as_often_as_not_and_its_interval_holds_it(kind: str, drift: float) -> None:
    tests, looks = 20_000, 5
    plan = design(kind, looks)  # type: ignore[arg-type]
    steps = np.diff(plan.information, prepend=0.0)
    scores = np.cumsum(np.random.default_rng(5).normal(drift * steps, np.sqrt(steps), (tests, looks)), axis=1)
    z = scores / np.sqrt(plan.information)
    ended = np.abs(z) >= plan.bounds
    ended[:, -1] = True
    look = ended.argmax(axis=1)
    stopped = z[np.arange(tests), look]
    found = median_unbiased(plan.information, -plan.bounds, plan.bounds, look + 1, stopped)
    # Four standard errors of a share of 20,000.
    assert (found.estimate > drift).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(tests))
    covered = (found.lower <= drift) & (drift <= found.upper)
    assert covered.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / tests))
    if drift:
        naive = stopped / np.sqrt(plan.information[look])
        assert abs(found.estimate.mean() - drift) < abs(naive.mean() - drift)


def test_futility_bounds_and_bounds_that_are_never_crossed() -> None:
    found = median_unbiased([0.5, 1.0], [0.0, -np.inf], [np.inf, 1.96], [1, 2, 2], [-0.5, 2.2, 1.0])
    assert (found.lower < found.estimate).all()
    assert (found.estimate < found.upper).all()
    # Whoever gave up at once is below whoever went on.
    assert found.estimate[0] < found.estimate[2] < found.estimate[1]


@given(st.floats(-5, 5), st.integers(1, 3))
def test_the_mirrored_outcome_has_the_mirrored_estimate(z: float, look: int) -> None:
    plan = design("obrien_fleming", 3)
    if look < 3 and abs(z) < plan.bounds[look - 1]:
        return
    one, other = (median_unbiased(plan.information, -plan.bounds, plan.bounds, [look], [each]) for each in (z, -z))
    np.testing.assert_allclose(one.estimate, -other.estimate, atol=1e-3)
    np.testing.assert_allclose(one.lower, -other.upper, atol=1e-3)


def test_looks_that_did_not_take_place_do_not_matter() -> None:
    early = median_unbiased([0.3, 0.6], [-3.0, -2.0], [3.0, 2.0], [2], [2.4])
    late = median_unbiased([0.15, 0.3, 0.5], [-3.0, -2.0, -1.0], [3.0, 2.0, 1.0], [2], [2.4])
    # The drift is that of the last look's statistic, which lies at another fraction.
    np.testing.assert_allclose(late.estimate, early.estimate * np.sqrt(0.5 / 0.3), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"information": [0.5, 0.5]}, "information: must rise from above 0"),
        ({"information": [0.0, 0.5]}, "information: must rise from above 0"),
        ({"upper": [2.0]}, "upper: must have a bound for each look"),
        ({"lower": [3.0, 3.0]}, "lower: must not exceed upper"),
        ({"look": [3]}, "look: must be from 1 to 2"),
        ({"look": [1]}, "z: must lie beyond a bound of its look"),
        ({"confidence": 1.0}, "confidence"),
        ({"information": [0.5, np.inf]}, "information: must be finite, got inf"),
        ({"z": [np.nan]}, "z: must be finite, got nan"),
        ({"z": [1.0, 2.0]}, "z: must have one value for each test"),
        ({"lower": [np.inf, 2.0], "upper": [np.inf, 2.0]}, "lower: must be below infinity"),
    ],
)
def test_what_is_no_test_is_refused(changes: dict[str, object], message: str) -> None:
    said: dict[str, object] = {"information": [0.5, 1.0], "lower": [-2.0, -2.0], "upper": [2.0, 2.0], "look": [2], "z": [1.0]}
    with pytest.raises(InputError, match=message):
        median_unbiased(**{**said, **changes})  # type: ignore[arg-type]
