"""Waits against the closed forms of queueing theory, and fits against servers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from sim.arrays import Floats
from sim.errors import InputError
from sim.stats.queues import first_come_waits, mg1_wait, mmc_wait
from sim.stats.service import Load, fit_service

MEAN_S, BESIDE_S = 0.02, 0.002
SHARES = (0.3, 0.55, 0.8, 0.95, 0.7)


def drawn(law: str, draws: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Service times of mean `MEAN_S`."""
    if law == "constant":
        return np.full(shape, MEAN_S)
    return draws.exponential(MEAN_S, shape) if law == "exponential" else draws.gamma(4, MEAN_S / 4, shape)


def measured(servers: int, law: str, seed: int, *, shared: bool = False, calls: int = 150) -> tuple[list[Floats], list[Load]]:
    """What would be measured of one queue before servers; `shared` doubles the service time of the last rate."""
    draws = np.random.default_rng(seed)
    alone = [drawn(law, draws, (40,)) + BESIDE_S for _ in range(6)]
    loads = []
    for share in SHARES:
        at_s = np.cumsum(draws.exponential(MEAN_S / servers / share, calls))
        held = drawn(law, draws, (calls,)) * (2 if shared and share == SHARES[-1] else 1)
        loads.append(Load(at_s, held + BESIDE_S + first_come_waits(at_s, held, servers)))
    return alone, loads


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (2, 1.4), (5, 4.0)])
def test_waits_are_those_of_the_closed_form(servers: int, load: float) -> None:
    draws = np.random.default_rng(servers)
    waits = [
        first_come_waits(np.cumsum(draws.exponential(1 / load, 2_500)), draws.exponential(1, (1, 2_500)), servers)[:, 500:]
        for _ in range(40)
    ]
    means = np.array([each.mean() for each in waits])
    error = means.std(ddof=1) / np.sqrt(means.size)
    assert abs(means.mean() - mmc_wait(servers, load)) < 4 * error


def test_waits_before_one_server_of_constant_service_are_those_of_pollaczek_and_khinchine() -> None:
    draws = np.random.default_rng(3)
    means = np.array([
        first_come_waits(np.cumsum(draws.exponential(1 / 0.7, 2_500)), np.ones(2_500), 1)[500:].mean() for _ in range(40)
    ])  # fmt: skip
    assert abs(means.mean() - mg1_wait(0.7, 1.0, 0.0)) < 4 * means.std(ddof=1) / np.sqrt(means.size)


@pytest.mark.parametrize(("servers", "law"), [(1, "exponential"), (2, "gamma"), (4, "constant")])
def test_a_known_server_is_found_within_the_error(servers: int, law: str) -> None:
    found = [fit_service(*_given(measured(servers, law, seed), servers)) for seed in range(6)]
    # Each interval is of 95%, each check of 99%: more than one of six outside has a chance below 4%.
    assert sum(fit.least <= servers <= fit.most for fit in found) >= 5
    assert sum(fit.concurrency == servers for fit in found) >= 4
    right = [fit for fit in found if fit.concurrency == servers]
    assert sum(fit.lower_s <= MEAN_S <= fit.upper_s for fit in right) >= len(right) - 1
    assert sum(fit.holds for fit in found) >= 5


def test_queueing_is_not_taken_for_service() -> None:
    alone, loads = measured(1, "exponential", 11)
    fit = fit_service(*_given((alone, loads), 1))
    assert loads[3].mean_s > 2 * MEAN_S
    assert fit.upper_s < 1.3 * MEAN_S


def test_a_rate_at_which_the_server_was_another_is_not_predicted() -> None:
    fits = [fit_service(*_given(measured(2, "gamma", seed, shared=True), 2)) for seed in range(3)]
    assert not any(fit.held_out.holds for fit in fits)


def test_the_same_measurement_gives_the_same_fit() -> None:
    given = _given(measured(2, "gamma", 5), 2)
    assert fit_service(*given) == fit_service(*given)


@pytest.mark.parametrize("given", [([np.ones(5)], 4), ([np.ones(5)] * 2, 2)])
def test_too_little_is_refused(given: tuple[list[Floats], int]) -> None:
    alone, count = given
    loads = [Load(np.arange(3.0), np.ones(3))] * count
    with pytest.raises(InputError, match="needs"):
        fit_service(alone, loads, loads[0], 1.0)


def _given(found: tuple[list[Floats], list[Load]], servers: int) -> tuple[list[Floats], list[Load], Load, float]:
    alone, loads = found
    return alone, loads[:-1], loads[-1], servers / MEAN_S
