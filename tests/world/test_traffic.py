"""How many requests arrive, tick by tick."""

from __future__ import annotations

import numpy as np
import pytest

from sim.scenario.schema import Traffic
from sim.world.traffic import arrivals, expected


def test_a_day_swings_around_its_mean_and_peaks_at_its_peak() -> None:
    traffic = Traffic.model_validate({"rate": "40/s", "daily": {"peak": "20:00", "amplitude": "60%"}})
    mean = expected(traffic, 144, 600.0)
    assert mean.sum() == pytest.approx(40 * 86_400)
    assert mean.argmax() in (119, 120)
    assert mean.max() == pytest.approx(40 * 600 * 1.6, rel=1e-3)
    assert mean.min() == pytest.approx(40 * 600 * 0.4, rel=1e-3)


def test_a_run_that_starts_at_noon_sees_the_same_day_shifted() -> None:
    said = {"rate": "1/s", "daily": {"peak": "20:00", "amplitude": "50%"}}
    midnight = expected(Traffic.model_validate(said), 144, 600.0)
    noon = expected(Traffic.model_validate({**said, "start": "12:00"}), 144, 600.0)
    assert noon == pytest.approx(np.roll(midnight, -72))


def test_factors_of_the_week_repeat() -> None:
    traffic = Traffic.model_validate({"rate": "1/s", "weekly": [1, 2, 3, 4, 5, 0, 0.5]})
    mean = expected(traffic, 8 * 24, 3600.0).reshape(8, 24)
    assert mean[:, 0].tolist() == [3600.0 * factor for factor in (1, 2, 3, 4, 5, 0, 0.5, 1)]


def test_arrivals_are_poisson_and_belong_to_their_replication() -> None:
    mean = np.array([0.0, 0.5, 30.0, 24_000.0])
    drawn = arrivals(mean, 7, np.arange(4000))
    assert not drawn[:, 0].any()
    error = np.sqrt(mean / 4000)
    assert (np.abs(drawn.mean(axis=0) - mean) <= 4 * error).all()
    # Var of a Poisson's sample variance: (m + 2 m^2) / n.
    assert (np.abs(drawn.var(axis=0) - mean) <= 4 * np.sqrt((mean + 2 * mean**2) / 4000)).all()
    assert np.array_equal(drawn[[17, 3000]], arrivals(mean, 7, [17, 3000]))
