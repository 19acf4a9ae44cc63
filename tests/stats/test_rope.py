"""Posterior masses around a region of practical equivalence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.stats.rope import masses


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_masses_are_those_of_the_normal_posterior(estimate: float, error: float, width: float) -> None:
    found, posterior = masses(estimate, error, width=width), stats.norm(estimate, error)
    assert float(found.below) == pytest.approx(posterior.cdf(-width), abs=1e-12)
    assert float(found.above) == pytest.approx(posterior.sf(width), abs=1e-12)
    assert float(found.below + found.inside + found.above) == pytest.approx(1)


def test_without_spread_or_without_information() -> None:
    found = masses([0.5, 1.0, -2.0, 0.0], [0.0, 0.0, 0.0, np.inf], width=1.0)
    assert found.below.tolist() == [0, 0, 1, 0.5]
    assert found.inside.tolist() == [1, 1, 0, 0]
    assert found.above.tolist() == [0, 0, 0, 0.5]


def test_a_region_without_width_is_refused() -> None:
    with pytest.raises(InputError, match="width: must be positive and finite, got 0"):
        masses(0.0, 1.0, width=0)
