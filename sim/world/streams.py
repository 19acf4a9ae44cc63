"""Streams of randomness that depend on (seed, replication, stream) and never on who asks, in which order, or for whom else.

Two kinds. `generator` gives a NumPy generator for what is drawn in sequence whatever the policy does: how many arrive, and when
bursts come. `keys` and `at` give a key to each of all other draws, by what it is for (a tick and a slot, a request and an arm),
so that a policy, a worker or a decided replication cannot shift the draws of any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_GOLDEN_INT, _ALL = 0x9E3779B97F4A7C15, 2**64 - 1
_GOLDEN = np.uint64(_GOLDEN_INT)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
_TO_UNIT = 2.0**-53
# The last of the 2^53 numbers would be rounded up to 1.
BELOW_ONE = 1.0 - 2.0**-53


def generator(seed: int, replication: int, stream: str) -> np.random.Generator:
    """A NumPy generator of its own for one stream of one replication.

    >>> bool(generator(7, 0, "arrivals").random() == generator(7, 0, "arrivals").random())
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, replication, number_of(stream)])))


def keys(seed: int, replications: Sequence[int] | NDArray[np.int64], stream: str) -> Keys:
    """(R,) one starting key a replication."""
    return mix(_starts(seed, (stream,))[0] + _GOLDEN * (np.asarray(replications).astype(np.uint64) + np.uint64(1)))


def keys_of(seed: int, replications: Sequence[int] | NDArray[np.int64], streams: Sequence[str]) -> Keys:
    """(S, R) the `keys` of several streams, in one pass.

    >>> bool((keys_of(7, [0, 1], ("x", "y"))[1] == keys(7, [0, 1], "y")).all())
    True
    """
    number = np.asarray(replications).astype(np.uint64)
    return mix(_starts(seed, tuple(streams))[:, None] + _GOLDEN * (number + np.uint64(1)))


@lru_cache(maxsize=1024)
def _starts(seed: int, streams: tuple[str, ...]) -> Keys:
    """(S,) where the keys of some streams start."""
    found = mix(np.array([seed + number_of(stream) & _ALL for stream in streams], np.uint64))
    found.flags.writeable = False
    return found


def at(key: Keys, counter: int | NDArray[np.uint64]) -> Keys:
    """The key number `counter` of the streams that start at `key`: SplitMix64 (Steele, Lea & Flood 2014) with random access."""
    if isinstance(counter, int):
        return mix(key + np.uint64(_GOLDEN_INT * counter & _ALL))
    return mix(key + _GOLDEN * counter.astype(np.uint64))


def mix(z: Keys) -> Keys:
    """SplitMix64's finaliser, variant 13 of Stafford: a bijection of 64 bits whose output bits look independent."""
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


def uniforms(key: Keys) -> NDArray[np.float64]:
    """Uniforms in the open interval (0, 1), one a key.

    >>> bool(0 < uniforms(keys(1, [0], "x"))[0] < 1)
    True
    """
    drawn: NDArray[np.float64] = np.minimum(((key >> _11).astype(np.float64) + 0.5) * _TO_UNIT, BELOW_ONE)
    return drawn


@dataclass(frozen=True)
class Chance:
    """What happens by chance and is no part of the world, such as how long people take: uniforms by replication and number.

    replications (R,) are the numbers of the replications of a block.

    >>> people = Chance(7, np.array([3, 4]))
    >>> which, number = np.array([0]), (np.array([2]),)
    >>> bool(people("approval", which + 1, number) == Chance(7, np.array([4]))("approval", which, number))
    True
    """

    seed: int
    replications: NDArray[np.int64]

    def __call__(self, stream: str, rows: NDArray[np.int64], numbers: tuple[NDArray[np.int64], ...]) -> NDArray[np.float64]:
        """(r,) uniforms of a stream: one for each of the rows (r,) of the block, and the numbers (r,) of what it is for."""
        key = keys(self.seed, self.replications[rows], stream)
        for number in numbers:
            key = at(key, number.astype(np.uint64))
        return uniforms(key)


@lru_cache(maxsize=1024)
def number_of(stream: str) -> int:
    """64 bits for a name: a counter that does not change when other names come or go."""
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")
