"""Which rows of a log a replay accepts: compiled, as it asks each row in every replay."""

from __future__ import annotations

from sim.arrays import Floats, Ints
from sim.jit import compiled, integer
from sim.world.sampling import at, unit
from sim.world.streams import Keys

_NONE = 0.36787944117144233
"""exp(-1): how often a row is left out of a resample."""


@compiled
def accept(
    first: int, arm: Ints, chance: Floats, reward: Floats, units: Ints, shares: Floats, keys: Keys, plain: int, tallies: Ints,
    total: Floats,
) -> None:  # fmt: skip
    """Add a tick's accepted rows to `tallies` (R, K, 3), as number, sum and squares in units, and rewards to `total` (R,).

    first the place in the log of the first of the n rows; arm, chance, reward, units (n,); shares (R, K); keys (R,), one a
    replay. The luck of a row in a replay is a function of the replay's key and the row's place: the same of every policy.
    Replays from `plain` on resample.
    """
    for replay in range(shares.shape[0]):
        for row in range(arm.shape[0]):
            key, served = at(keys[replay], first + row), arm[row]
            if unit(key) >= shares[replay, served] * chance[row]:
                continue
            times = 1
            if replay >= plain:
                # By inversion: the number of terms of the Poisson distribution that are below a uniform.
                uniform, times = unit(at(key, 1)), 0
                term = cumulative = _NONE
                while uniform >= cumulative and times < 30:
                    times += 1
                    term /= times
                    cumulative += term
            value = units[row]
            tallies[replay, served, 0] += integer(times)
            tallies[replay, served, 1] += times * value
            tallies[replay, served, 2] += times * value * value
            total[replay] += times * reward[row]
