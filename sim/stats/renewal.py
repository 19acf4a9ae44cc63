"""Renewal reward: what a programme of releases yields in the long run, one behind the other in a limited number of slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.errors import InputError, Problem
from sim.stats.validation import sample


@dataclass(frozen=True)
class Yield:
    """What a unit of time yields: `rewards` and `releases` (n,), whose means over the trials are the estimates.

    They are linear in each trial (the delta method), so that their spread over the trials is that of the estimates, and that
    of paired differences of two programmes the differences'. `limited_by` says what holds the programme back.
    """

    rewards: Floats
    releases: Floats
    limited_by: str


def programme_yield(reward: ArrayLike, occupied: ArrayLike, candidates: float, slots: int) -> Yield:
    """What a programme yields whose releases give `reward` (n,) and hold a slot for a time of `occupied` (n,), of n trials.

    `candidates` come up in a unit of time and wait for one of `slots` slots. As a slot that never idles renews with each
    release, c slots finish c / E[T] releases in a unit of time (renewal theorem); they cannot finish more than come up, and
    finish all of these if candidates < c / E[T], whatever the order of arrivals and whatever the spread of T (a stable queue).
    So the yield is E[reward] min(candidates, c / E[T]).

    Where slots limit it that is a ratio of means, with the delta method's error: reward - ratio * T over E[T]. Within the
    error of E[T] around the point where both limit alike it is taken from the side on which the estimate lies.

    Source: Ross, Stochastic Processes (1996), theorem 3.6.1 (renewal reward) and section 3.3; ratio: Cochran, Sampling
    Techniques (1977), section 6.3.

    >>> slow = programme_yield([40.0, 60.0], [0.5, 1.5], candidates=10.0, slots=2)
    >>> float(slow.rewards.mean()), float(slow.releases.mean()), slow.limited_by
    (100.0, 2.0, 'slots')
    >>> float(programme_yield([40.0, 60.0], [0.05, 0.15], candidates=10.0, slots=2).rewards.mean())
    500.0
    """
    gained, held = sample("reward", reward), sample("occupied", occupied)
    if gained.size != held.size:
        raise InputError([Problem(f"must have as many trials as reward, got {held.size} and {gained.size}", path="occupied")])
    mean = float(held.mean()) if held.size else 0.0
    if not candidates * mean > slots:
        return Yield(candidates * gained, np.full(gained.size, float(candidates)), "candidates")
    each = float(gained.mean()) / mean
    return Yield(
        slots * (each + (gained - each * held) / mean), slots * (1 / mean + (1 - held / mean) / mean), "slots"
    )  # fmt: skip
