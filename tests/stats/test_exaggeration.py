"""Type S and type M errors: the published example and simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.stats.exaggeration import exaggeration


def test_the_published_example() -> None:
    found = exaggeration(2, 8.1)
    assert found.power == pytest.approx(0.057, abs=5e-4)
    assert found.type_s == pytest.approx(0.24, abs=5e-3)
    assert found.type_m == pytest.approx(9.5, abs=0.05)


def test_simulation_agrees() -> None:
    effect, error, draws = -1.0, 0.8, 400_000
    estimates = np.random.default_rng(13).normal(effect, error, draws)
    declared = estimates[np.abs(estimates) > 1.6448536269514722 * error]
    found = exaggeration(effect, error, alpha=0.1)
    power, wrong = declared.size / draws, (declared > 0).mean()
    assert abs(power - found.power) < 4 * math.sqrt(power * (1 - power) / draws)
    assert abs(wrong - found.type_s) < 4 * math.sqrt(wrong / declared.size)
    assert abs(np.abs(declared).mean() - found.type_m) < 4 * declared.std() / math.sqrt(declared.size)


@given(st.floats(1e-6, 50), st.floats(0.001, 0.5))
def test_more_power_means_less_error(z: float, alpha: float) -> None:
    found = exaggeration([z, 1.1 * z, -z], 1.0, alpha=alpha)
    assert found.power[0] >= alpha - 1e-12
    assert found.power[1] >= found.power[0] - 1e-12
    assert found.type_s[1] <= found.type_s[0] + 1e-12 <= 0.5 + 1e-9
    assert 1 - 1e-12 <= found.type_m[1] <= found.type_m[0] + 1e-12
    assert (found.power[2], found.type_m[2]) == (found.power[0], found.type_m[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effect": [1, 0]}, "effect: must not be 0"),
        ({"standard_error": 0}, "standard_error: must be finite and positive, got 0"),
        ({"alpha": 1.5}, "alpha: must lie strictly between 0 and 1, got 1.5"),
    ],
)
def test_wrong_input_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        exaggeration(**({"effect": 1, "standard_error": 1} | arguments))
