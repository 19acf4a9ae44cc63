"""Post-stratification against regression (statsmodels) and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from sim.errors import InputError
from sim.stats.stratify import difference
from sim.stats.two_sample import two_sample


def sums(y: np.ndarray, arm: np.ndarray, segment: np.ndarray, segments: int) -> tuple[np.ndarray, ...]:
    """Counts, sums and sums of squares per segment, of arm 0 then of arm 1; rows are replications."""
    inside = [[(arm == k) & (segment == s) for s in range(segments)] for k in range(2)]
    return tuple(np.stack([(y**power * m).sum(-1) for m in inside[k]], -1) for k in range(2) for power in range(3))


def test_the_estimate_is_the_weighted_contrast_of_the_saturated_regression() -> None:
    rng = np.random.default_rng(7)
    segment, arm = rng.integers(0, 3, 300), rng.integers(0, 2, 300)
    y = rng.normal(segment + 0.5 * arm * segment, 1 + segment)
    cells = np.column_stack([(segment == s) & (arm == k) for k in range(2) for s in range(3)]).astype(float)
    fit = sm.OLS(y, cells).fit(cov_type="HC2")
    shares = np.array([0.2, 0.3, 0.5])
    contrast = fit.t_test(np.concatenate([-shares, shares]))
    found = difference(*sums(y, arm, segment, 3), shares=shares)
    assert found.estimate == pytest.approx(contrast.effect[0])
    assert found.standard_error == pytest.approx(contrast.sd.item())


def test_one_segment_is_no_stratification() -> None:
    inputs = [np.array([v]) for v in (10.0, 25.0, 80.0, 12.0, 31.0, 99.0)]
    plain = two_sample("welch", *inputs)
    found = difference(*inputs, shares=[1])
    assert found.estimate == pytest.approx(plain.effect[0])
    assert found.standard_error == pytest.approx(plain.standard_error[0])


@pytest.mark.parametrize("known", [True, False])
def test_errors_are_calibrated_also_when_effects_differ(known: bool) -> None:
    rng = np.random.default_rng(10)
    shape, shares = (3000, 200), np.array([0.3, 0.7])
    segment, arm = (rng.random(shape) < 0.7).astype(int), rng.integers(0, 2, shape)
    y = rng.normal(4.0 * segment + arm * np.array([-1.0, 2.0])[segment], 1)
    found = difference(*sums(y, arm, segment, 2), shares=shares if known else None)
    z = (found.estimate - (0.7 * 2 - 0.3)) / found.standard_error
    assert abs(z.mean()) < 4 / math.sqrt(shape[0]) + 0.02
    # 4 standard errors of a variance, and 4% for about 30 outcomes a cell.
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / shape[0]) + 0.04
    # The segments explain most of the variance.
    assert found.estimate.std() < 0.5 * 2 * y.std() / math.sqrt(200)


def test_segments_without_outcomes_are_unknown_and_never_nan() -> None:
    zero, some = np.zeros((2, 2)), np.array([[5.0, 5], [5, 1]])
    nothing = difference(zero, zero, zero, zero, zero, zero)
    assert np.array_equal(nothing.estimate, [0, 0])
    assert np.array_equal(nothing.standard_error, [np.inf, np.inf])
    single = difference(some, some, some, 5, 5, 5)
    assert np.array_equal(single.standard_error, [0, np.inf])
    unused = difference([5, 0], [2, 0], [2, 0], [5, 0], [3, 0], [3, 0])
    assert unused.estimate == pytest.approx(0.2)
    assert np.isfinite(unused.standard_error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n0": [-1, 2]}, "n0: must be finite and not negative, got -1"),
        ({"sum1": [np.nan, 1]}, "sum1: must be finite, got nan"),
        ({"shares": [0.5, 0.6]}, "shares: must sum to 1, got 1.1"),
        ({"shares": [1]}, r"shares: must have one share for each of 2 segments, got shape \(1,\)"),
        ({"shares": [1.5, -0.5]}, "shares: must be finite and not negative, got -0.5"),
    ],
)
def test_wrong_input_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    inputs: dict[str, Any] = {name: [5, 5] for name in ("n0", "sum0", "square0", "n1", "sum1", "square1")}
    with pytest.raises(InputError, match=message):
        difference(**(inputs | change))


def test_counts_without_an_axis_of_segments_are_refused() -> None:
    with pytest.raises(InputError, match="n0: must have an axis of segments"):
        difference(5, 1, 1, 5, 1, 1)
