"""Copies of requests that write: how many there are, what a filter leaves of them, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.arrays import Ints
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing
from sim.policy.columns import Column, Count
from tests.worlds import behaves, make_scenario, make_world

ENGINES = pytest.mark.parametrize(("make", "rows"), [(AggregateEngine, 4000), (CompiledEngine, 4000), (SimpyEngine, 300)])
NEEDS: tuple[Column, ...] = (Count("requests"), Count("requests", mirrored=True), Count("errors", mirrored=True))
# 0.5/s for a minute: 30 requests in all, of which 40% write; 80% are copied, and of those that write half as many.
MEAN, WRITES, FRACTION, COPIED = 30.0, 0.4, 0.8, 0.5
ARMS = ("champion", "a", "b")


def played(make: Any, rows: int, writes: float = WRITES, copied: float = COPIED, seed: int = 11) -> tuple[Any, Ints]:
    """The ledger, and telemetry (T, R, K, C), where the champion serves all and two challengers get copies."""
    said = {"tick": "10s", "horizon": "1m", "traffic": {"rate": "0.5/s", "writes": f"{writes:.0%}"}, "seed": seed}
    behaviours = [behaves(latency={"constant": "1ms"}, error_rate=0.2) for _ in ARMS]
    truth = make_world(make_scenario(arms=ARMS, **said), behaviours).realise(np.arange(rows))
    engine = make(truth, NEEDS, True)
    everyone, mirror = np.arange(rows), np.tile([0.0, FRACTION, FRACTION], (rows, 1))
    live = np.tile([1.0, 0.0, 0.0], (rows, 1))
    shown = [
        engine.step(Routing(everyone, live, mirror, np.zeros(rows, np.int64), copied * mirror)).counts
        for _ in range(truth.world.ticks)
    ]
    return engine.ledger, np.stack(shown)


@ENGINES
def test_duplicates_are_poisson_with_the_mean_that_thinning_gives(make: Any, rows: int) -> None:
    """Poisson requests that are kept with chance p are Poisson; two arms share the requests that both get."""
    ledger, _ = played(make, rows)
    duplicated = ledger.duplicated
    assert not duplicated[:, 0].any()
    copy = FRACTION * COPIED
    mean, both = MEAN * WRITES * copy, MEAN * WRITES * copy**2
    error = np.sqrt(mean / rows)
    assert np.abs(duplicated[:, 1:].mean(axis=0) - mean).max() < 4 * error
    # The variance of a Poisson variance estimate is (mean + 2 mean²) / n, that of a covariance below it.
    spread = np.cov(duplicated[:, 1:], rowvar=False)
    assert np.abs(spread - np.array([[mean, both], [both, mean]])).max() < 4 * np.sqrt((mean + 2 * mean**2) / rows)
    # What is copied at all: reads in full, writes as far as the filter lets them through.
    copies = MEAN * FRACTION * (1 - WRITES + WRITES * COPIED)
    assert np.abs(ledger.mirrored[:, 1:].mean(axis=0) - copies).max() < 4 * np.sqrt(copies / rows)


@ENGINES
def test_monitoring_sees_what_was_copied_and_nothing_of_what_was_filtered(make: Any, rows: int) -> None:
    ledger, shown = played(make, rows, copied=0.0)
    assert not ledger.duplicated.any()
    assert np.array_equal(shown[..., 1].sum(axis=0), ledger.mirrored)
    # Errors are 20% of what was copied, as they would be of all: the filter takes evidence away and does not bend it.
    share = shown[..., 2].sum() / ledger.mirrored.sum()
    assert abs(share - 0.2) < 4 * np.sqrt(0.16 / ledger.mirrored.sum())


@ENGINES
def test_without_a_filter_a_write_is_copied_like_a_read(make: Any, rows: int) -> None:
    ledger, _ = played(make, rows, writes=1.0, copied=1.0)
    assert np.array_equal(ledger.duplicated, ledger.mirrored)


@pytest.mark.parametrize("make", [CompiledEngine, SimpyEngine])
def test_writes_shift_no_other_draw(make: Any) -> None:
    none, plain = played(make, 20, writes=0.0)
    some, written = played(make, 20, copied=1.0)
    assert np.array_equal(plain, written)
    assert not none.duplicated.any()
    assert some.duplicated.any()
    assert np.array_equal(none.mirrored, some.mirrored)


def test_both_event_engines_duplicate_the_same_requests() -> None:
    one, other = (played(make, 20) for make in (CompiledEngine, SimpyEngine))
    assert np.array_equal(one[0].duplicated, other[0].duplicated)
    assert np.array_equal(one[1], other[1])
