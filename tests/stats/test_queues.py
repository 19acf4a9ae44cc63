"""Queueing formulas against those of the tests, which were written apart, and against tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.stats.queues import erlang_b, erlang_c, mg1_wait, mm1_reneging, mmc_wait, offered_load
from tests.analytic import formulas


@given(st.integers(1, 60), st.floats(0.05, 0.95))
def test_they_are_those_of_a_birth_death_process(servers: int, use: float) -> None:
    load = servers * use
    assert erlang_b(servers, load) == pytest.approx(formulas.mmck(servers, 0, load)[-1], rel=1e-9)
    assert erlang_c(servers, load) == pytest.approx(formulas.erlang_c(servers, load), rel=1e-9)
    assert mmc_wait(servers, load) == pytest.approx(formulas.mmc_wait(servers, load), rel=1e-9)


@given(st.integers(1, 500), st.floats(0.001, 0.99))
def test_a_load_loses_what_it_was_sought_for(servers: int, lost: float) -> None:
    assert erlang_b(servers, offered_load(servers, lost)) == pytest.approx(lost, rel=1e-6)


def test_one_server_with_exponential_service_is_a_special_case() -> None:
    assert mg1_wait(0.8, 1.0, 1.0) == pytest.approx(mmc_wait(1, 0.8))
    assert mg1_wait(4.0, 0.2, 0.04) == pytest.approx(0.2 * mmc_wait(1, 0.8))


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: erlang_b(0, 1.0), "servers: must be at least 1, got 0"),
        (lambda: erlang_b(1, -1.0), "load: must be positive"),
        (lambda: erlang_c(2, 2.0), "load: must be below the number of servers"),
        (lambda: offered_load(2, 1.0), "lost: must lie strictly"),
        (lambda: mg1_wait(1.0, 1.0, 1.0), "rate: must be below 1 / mean"),
        (lambda: mg1_wait(0.5, 1.0, -1.0), "variance: must not be negative"),
    ],
)
def test_queues_that_cannot_be_are_refused(call: object, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("load", [0.3, 0.9, 1.0, 1.0 + 1e-9, 2.5])
@pytest.mark.parametrize("limit", [0.01, 2.0, 30.0])
def test_who_leaves_the_queue_of_one_server(load: float, limit: float) -> None:
    assert mm1_reneging(load, limit) == pytest.approx(formulas.patience(load, limit)[0], rel=1e-6, abs=1e-12)
    # The server does the rest of the work, and is idle with the chance that a call does not wait.
    assert mm1_reneging(load, 1e-12) == pytest.approx(erlang_b(1, load))


def test_a_server_with_too_much_to_do_serves_as_much_as_it_can() -> None:
    assert mm1_reneging(2.0, 1e6) == pytest.approx(0.5)
    with pytest.raises(InputError, match="patience"):
        mm1_reneging(0.9, 0.0)
