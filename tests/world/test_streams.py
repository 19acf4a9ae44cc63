"""Streams depend on (seed, replication, name) alone, and look random."""

from __future__ import annotations

import numpy as np
import pytest

from sim.world.sampling import unit
from sim.world.streams import at, generator, keys, number_of, uniforms


def test_a_key_belongs_to_its_replication_and_not_to_its_place() -> None:
    together = keys(7, np.arange(100), "aggregate")
    assert np.array_equal(together[[3, 50]], keys(7, [3, 50], "aggregate"))
    assert np.unique(together).size == 100


@pytest.mark.parametrize("other", [(8, 3, "a"), (7, 4, "a"), (7, 3, "b")])
def test_seed_replication_and_stream_each_make_another_stream(other: tuple[int, int, str]) -> None:
    seed, replication, stream = other
    assert keys(7, [3], "a")[0] != keys(seed, [replication], stream)[0]
    assert generator(7, 3, "a").random() != generator(seed, replication, stream).random()


def test_the_largest_seed_is_a_seed() -> None:
    assert keys(2**63 - 1, [0], "a").shape == (1,)


def test_keyed_uniforms_are_uniform_and_uncorrelated_over_counters_and_replications() -> None:
    import scipy.stats

    drawn = uniforms(at(keys(1, np.arange(300), "x")[:, None], np.arange(300, dtype=np.uint64)))
    assert scipy.stats.kstest(drawn.ravel(), "uniform").pvalue > 1e-3
    # Neighbours along either axis: a correlation of 90,000 pairs has a standard error of 1/300.
    for left, right in ((drawn[:, 1:], drawn[:, :-1]), (drawn[1:], drawn[:-1])):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 4 / 299


def test_a_name_has_a_number_that_does_not_change_between_runs() -> None:
    assert number_of("conversion") == number_of("conversion") != number_of("revenue")
    assert 0 <= number_of("conversion") < 2**64


def test_the_last_of_all_keys_is_drawn_below_one_compiled_or_not() -> None:
    last = np.array([2**64 - 1, 2**64 - 2**11, 2**64 - 2**12, 0], np.uint64)
    assert uniforms(last).tolist() == [1 - 2**-53, 1 - 2**-53, 1 - 2**-52, 2**-54]
    assert [float(unit(key)) for key in last] == uniforms(last).tolist()
