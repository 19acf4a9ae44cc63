"""A z test of two estimates against the plain tests, and where there is nothing to test."""

from __future__ import annotations

import numpy as np
import pytest

from sim.errors import InputError
from sim.stats.contrast import z_test
from sim.stats.moments import Estimates
from sim.stats.two_sample import Scale, two_sample

N, TOTAL, SQUARE = np.array([400.0, 500.0]), np.array([-800.0, -900.0]), np.array([2500.0, 2600.0])


def means() -> list[Estimates]:
    mean, variance = TOTAL / N, (SQUARE - TOTAL**2 / N) / N**2
    return [Estimates(mean[k], np.sqrt(variance[k])) for k in range(2)]


@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_of_plain_means_it_is_the_unpooled_z_test(scale: Scale) -> None:
    found = z_test(*means(), scale=scale)
    plain = two_sample("z_unpooled", N[0], TOTAL[0], SQUARE[0], N[1], TOTAL[1], SQUARE[1], scale=scale)
    for name in ("effect", "standard_error", "statistic", "p_value", "champion_share"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name)), name
    assert np.isinf(found.degrees_of_freedom)


@pytest.mark.parametrize("champion", [2.0, -2.0])
def test_a_relative_effect_of_estimates_that_depend_on_each_other(champion: float) -> None:
    """Against simulation, 4 standard errors of a standard deviation from 200,000 draws, and 1% for the linearisation."""
    rng = np.random.default_rng(3)
    covariance = np.array([[0.02, 0.015], [0.015, 0.03]])
    drawn = rng.multivariate_normal([champion, 1.2 * champion], covariance, 200_000)
    effect = (drawn[:, 1] - drawn[:, 0]) / np.abs(drawn[:, 0])
    before, after = (Estimates(np.array(m), np.sqrt(v)) for m, v in zip((champion, 1.2 * champion), (0.02, 0.03), strict=True))
    found = z_test(before, after, 0.015, "relative")
    assert found.effect == pytest.approx(0.2 * np.sign(champion))
    assert found.standard_error == pytest.approx(effect.std(), rel=4 / np.sqrt(2 * 200_000) + 0.01)


def test_nothing_is_tested_where_nothing_is_known() -> None:
    unknown, constant, known = (Estimates(np.array(1.0), np.array(error)) for error in (np.inf, 0.0, 0.1))
    for pair in ((unknown, known), (known, unknown), (constant, constant)):
        found = z_test(*pair)
        assert (found.statistic, found.p_value) == (0, 1)
    nothing = z_test(Estimates(np.array(0.0), np.array(0.1)), known, scale="relative")
    assert (nothing.effect, nothing.p_value, nothing.standard_error) == (0, 1, np.inf)


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(InputError, match="scale: must be one of absolute, relative, got odd"):
        z_test(*means(), scale="odd")  # type: ignore[arg-type]
