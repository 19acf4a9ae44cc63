"""Which rows of a log a replay accepts: compiled, as it asks each row in every replay."""

from __future__ import annotations

from sim.arrays import Floats, Ints
from sim.world.jit import compiled, integer, word

_ALL = word(0xFFFFFFFFFFFFFFFF)
_STEP, _FIRST, _SECOND = word(0x9E3779B97F4A7C15), word(0xBF58476D1CE4E5B9), word(0x94D049BB133111EB)
_R30, _R27, _R31, _R11 = word(30), word(27), word(31), word(11)
_ONE_EACH = 2.0**-53
_NONE = 0.36787944117144233
"""exp(-1): how often a row is left out of a resample."""


@compiled
def _mixed(number: int) -> int:
    """A 64-bit word of a 64-bit number: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    number = (number + _STEP) & _ALL
    number = ((number ^ (number >> _R30)) * _FIRST) & _ALL
    number = ((number ^ (number >> _R27)) * _SECOND) & _ALL
    mixed: int = number ^ (number >> _R31)
    return mixed


@compiled
def accept(
    first: int, arm: Ints, chance: Floats, reward: Floats, units: Ints, shares: Floats, seed: int, plain: int, tallies: Ints,
    total: Floats,
) -> None:  # fmt: skip
    """Add a tick's accepted rows to `tallies` (R, K, 3), as number, sum and squares in units, and rewards to `total` (R,).

    first the place in the log of the first of the n rows; arm, chance, reward, units (n,); shares (R, K). The luck of a row in
    a replay is a function of seed, replay and the row's place: the same of every policy. Replays from `plain` on resample.
    """
    for replay in range(shares.shape[0]):
        stream = _mixed(word(seed) ^ _mixed(word(replay + 1)))
        for row in range(arm.shape[0]):
            of_row = _mixed(stream ^ word(first + row + 1))
            at = arm[row]
            if (of_row >> _R11) * _ONE_EACH >= shares[replay, at] * chance[row]:
                continue
            times = 1
            if replay >= plain:
                # By inversion: the number of terms of the Poisson distribution that are below a uniform.
                uniform, times = (_mixed(of_row) >> _R11) * _ONE_EACH, 0
                term = cumulative = _NONE
                while uniform >= cumulative and times < 30:
                    times += 1
                    term /= times
                    cumulative += term
            value = units[row]
            tallies[replay, at, 0] += integer(times)
            tallies[replay, at, 1] += times * value
            tallies[replay, at, 2] += times * value * value
            total[replay] += times * reward[row]
