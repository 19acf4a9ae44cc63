"""A margin relative to the champion's mean, without a ratio of estimates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.errors import InputError
from sim.stats.margin import above_margin
from sim.stats.two_sample import two_sample


def test_without_a_margin_it_is_the_unpooled_test() -> None:
    moments = (500, 100, 100), (800, 200, 200)
    found = above_margin(*moments[0], *moments[1], margin=0)
    expected = two_sample("z_unpooled", *moments[0], *moments[1])
    assert float(found.estimate) == pytest.approx(float(expected.effect))
    assert float(found.standard_error) == pytest.approx(float(expected.standard_error))


@pytest.mark.parametrize(("mean", "sign", "edge"), [(10.0, 1, 9.0), (10.0, -1, 11.0), (-10.0, 1, -11.0), (-10.0, -1, -9.0)])
def test_it_is_zero_at_the_edge_and_normal_around_it(mean: float, sign: int, edge: float) -> None:
    rng = np.random.default_rng(4)
    rows, n, sd = 20_000, 400, 3.0
    total = [rng.normal(n * each, sd * math.sqrt(n), rows) for each in (mean, edge)]
    square = [each**2 / n + sd**2 * rng.chisquare(n - 1, rows) for each in total]
    found = above_margin(n, total[0], square[0], n, total[1], square[1], margin=0.1, sign=sign)
    z = found.estimate / found.standard_error
    assert abs(z.mean()) < 4 / math.sqrt(rows)
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * rows)


def test_less_than_nothing_known_has_no_standard_error() -> None:
    found = above_margin([0, 10], [0, 1], [0, 1], [10, 0], [5, 0], [5, 0], margin=0.1)
    assert found.estimate.tolist() == [0, 0]
    assert np.isinf(found.standard_error).all()


@pytest.mark.parametrize(
    ("said", "words"),
    [({"margin": -0.1}, "margin: must be finite and not negative, got -0.1"), ({"margin": 0.1, "sign": 0}, "sign: must be 1")],
)
def test_a_margin_of_the_wrong_sign_is_refused(said: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        above_margin(10, 1, 1, 10, 1, 1, **said)  # type: ignore[arg-type]
