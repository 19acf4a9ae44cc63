"""Compiled draws are those of NumPy, bit for bit, whatever is drawn and however much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim import ways
from sim.arrays import Floats, Ints
from sim.jit import missing
from sim.scenario.traffic import MOST_REQUESTS
from sim.workflow import rehearse
from sim.world.draws import binomial, binomial_at, multinomial
from sim.world.streams import Keys, at, keys

pytestmark = pytest.mark.skipif(missing is not None, reason=f"nothing is compiled: {missing}")

N = 200_000
KEY = keys(3, np.arange(N), "kernels")
RANDOM = np.random.default_rng(3)
COUNTS = {
    "few": RANDOM.integers(0, 60, N).astype(np.float64),
    "some": RANDOM.integers(0, 5_000, N).astype(np.float64),
    "many": np.floor(10 ** RANDOM.uniform(0, 12, N)),
}
CHANCES = {"any": RANDOM.random(N), "rare": 10 ** RANDOM.uniform(-16, 0, N), "frequent": 1 - 10 ** RANDOM.uniform(-16, 0, N)}


def both(n: Ints | Floats, p: Floats | float, key: Keys) -> tuple[Ints, Ints]:
    with ways.only("numpy"):
        readable = binomial(n, p, key)
    with ways.only("compiled"):
        return readable, binomial(n, p, key)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("chance", CHANCES)
def test_binomials_are_the_same(count: str, chance: str) -> None:
    readable, compiled = both(COUNTS[count], CHANCES[chance], KEY)
    assert readable.any()
    assert np.array_equal(readable, compiled)


def test_binomials_at_the_ends_are_the_same() -> None:
    n = np.array([0, 1, 2, 9, 10, 11, 19, 20, 21, 10**6, MOST_REQUESTS, 2**53])
    p = np.array([0.0, 5e-324, 1e-300, 1e-12, 0.25, 0.5, np.nextafter(0.5, 1), 0.75, 1 - 2**-53, 1.0])
    # Both sides of where inversion ends: a mean of 10.
    p = np.concatenate([p, np.nextafter(10 / n[3:], 0), 10 / n[4:]]).clip(0, 1)
    readable, compiled = both(n[:, None, None], p[:, None], KEY[:500])
    assert readable.shape == (n.size, p.size, 500)
    assert np.array_equal(readable, compiled)


@given(st.integers(0, 2**53), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_any_binomial_is_the_same(n: int, p: float, key: int) -> None:
    readable, compiled = both(np.array([n]), p, np.array([key], np.uint64))
    assert readable[0] == compiled[0]


@pytest.mark.parametrize(
    "p",
    [np.array([0.2, 0.0, 0.5, 0.3, 0.0]), RANDOM.dirichlet(np.ones(5), 400)[:, None], RANDOM.dirichlet(np.ones(5), (400, 3))],
    ids=["shared", "by row", "each"],
)
def test_multinomials_are_the_same(p: NDArray[np.float64]) -> None:
    n, key = RANDOM.integers(0, 10_000, (400, 3)), KEY[:1200].reshape(400, 3)
    n[RANDOM.random(n.shape) < 0.2] = 0
    with ways.only("numpy"):
        readable = multinomial(n, p, key)
    with ways.only("compiled"):
        compiled = multinomial(n, p, key)
    assert (compiled.sum(axis=-1) == n).all()
    assert np.array_equal(readable, compiled)


@pytest.mark.parametrize("n", [COUNTS["some"][:300].reshape(100, 3), COUNTS["few"][:100, None]], ids=["each", "by row"])
@pytest.mark.parametrize("p", [0.3, CHANCES["any"][:3], CHANCES["rare"][:300].reshape(100, 3)], ids=["one", "by lane", "each"])
def test_binomials_of_lanes_are_those_of_their_keys(n: Floats, p: Floats | float) -> None:
    lanes = np.array([7, 2**16, 2**40], np.uint64)
    with ways.only("numpy"):
        readable = binomial(n, p, at(KEY[:100, None], lanes))
    with ways.only("compiled"):
        assert np.array_equal(readable, binomial_at(n, p, KEY[:100, None], lanes))


def test_nothing_is_drawn_for_nobody() -> None:
    with ways.only("compiled"):
        assert binomial(np.zeros((0, 3), np.int64), 0.5, np.zeros((0, 1), np.uint64)).shape == (0, 3)
        assert multinomial(np.zeros(0, np.int64), np.array([0.5, 0.5]), np.zeros(0, np.uint64)).shape == (0, 2)


def test_read_only_and_broadcast_arrays_compile_nothing_more() -> None:
    from sim.world import kernels

    with ways.only("compiled"):
        binomial(np.array([30]), np.array([0.4]), KEY[:1])
        multinomial(np.array([30]), np.array([0.4, 0.6]), KEY[:1])
        binomial_at(np.array([[30]]), 0.4, KEY[:1, None], KEY[:2])
        before = [len(kernel.signatures) for kernel in (kernels.binomials, kernels.multinomials, kernels.binomials_at)]  # type: ignore[attr-defined]
        fixed = KEY[:1].copy()
        fixed.flags.writeable = False
        binomial(np.broadcast_to([30], (1, 1)), np.broadcast_to(0.4, (1, 1)), fixed)
        multinomial(np.array([30]), np.broadcast_to([0.4, 0.6], (1, 2)), fixed)
        binomial_at(np.array([[30]]), 0.4, fixed[:, None], fixed)
        after = [len(kernel.signatures) for kernel in (kernels.binomials, kernels.multinomials, kernels.binomials_at)]  # type: ignore[attr-defined]
    assert before == after


def test_a_small_run_loads_no_compiler_and_a_large_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "_way", "auto")
    monkeypatch.setattr(ways, "_drawn", 0)
    assert not ways.compiles(100_000)
    assert ways.compiles(100_000_000)


def test_numpy_draws_where_nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.jit.missing", "no compiler")
    with ways.only("compiled"):
        assert not ways.compiles(10**9)


SCENARIO = """\
name: both-ways
horizon: 2d
tick: 1h
replications: 60
engine: aggregate
traffic: {rate: 3000/h, daily: {peak: "14:00", amplitude: 60%}}
models: [{arm: champion, uri: "models:/ranker@old"}, {arm: challenger, uri: "models:/ranker/2"}]
metrics: [{name: sale, role: primary, delay: {exponential: 2h}}, {name: basket}]
telemetry: {loss: 5%}
policies:
  - {name: ab, kind: ab, evidence: {kind: group_sequential, sample: 40000}}
  - {name: bandit, kind: bandit}
  - {name: shadow, kind: shadow, mirror: 50%, duration: 6h, checks: [{metric: error_rate, max: 5%}]}
"""
MODELS = [
    {
        "outcomes": {"sale": {"bernoulli": rate}, "basket": {"lognormal": {"mean": 20, "sd": 9}}},
        "error_rate": "1%",
        "latency": {"exponential": "50ms"},
    }
    for rate in (0.05, 0.06)
]


def test_a_scenario_plays_to_the_same_tables_either_way(tmp_path: Path) -> None:
    file = tmp_path / "both-ways.yaml"
    file.write_text(SCENARIO)
    with ways.only("numpy"):
        readable = rehearse(file, MODELS)
    with ways.only("compiled"):
        compiled = rehearse(file, MODELS)
    assert readable.trials["errors"].sum() > 0
    pd.testing.assert_frame_equal(readable.trials, compiled.trials, check_exact=True)
    pd.testing.assert_frame_equal(readable.timeline, compiled.timeline, check_exact=True)
