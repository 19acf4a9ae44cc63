"""The same world with arms that are alike: every challenger is the champion once more."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sim.world.metric import OutcomeWorld
from sim.world.world import World

A = TypeVar("A", bound=NDArray[np.generic])


def alike(world: World) -> World:
    """A world in which no challenger differs from the champion, for an A/A test of a policy.

    Traffic, users, segments, cycles, delays, monitoring, the router and the champion's own drift stay, and so does the
    population of rows of each replication. So does capacity: who gives the arms different servers has arms that are not alike.
    """
    arms = len(world.arms)
    change = world.change
    if change is not None:
        change = replace(
            change,
            failing=_first(change.failing, 1),
            slowness=_first(change.slowness, 1),
            factors={name: _first(factor, 1) for name, factor in change.factors.items()},
            timed=(),
        )
    return replace(
        world,
        outcomes=tuple(_alike(outcome) for outcome in world.outcomes),
        error_rate=_first(world.error_rate, 0),
        latency=(world.latency[0],) * arms,
        agreement=None if world.agreement is None else np.ones(arms),
        answers_agree=None if world.answers_agree is None else np.ones_like(world.answers_agree),
        effects=(),
        gap=None,
        offline=replace(world.offline, gap=None),
        varied_latency={},
        usual=None,
        feedback={
            name: replace(told, success=told.success[:1] * arms, failure=told.failure[:1] * arms)
            for name, told in world.feedback.items()
        },
        change=change,
    )


def _alike(outcome: OutcomeWorld) -> OutcomeWorld:
    return replace(
        outcome,
        mean=_first(outcome.mean, 0),
        sd=_first(outcome.sd, 0),
        atoms=_first(outcome.atoms, 0),
        chance=_first(outcome.chance, 0),
        reward=None if outcome.reward is None else _first(outcome.reward, 1),
        log_chance=None if outcome.log_chance is None else _first(outcome.log_chance, 0),
        laws=outcome.laws[:1] * len(outcome.laws),
    )


def _first(values: A, axis: int) -> A:
    """An array in which the champion's part along the axis of the arms stands for every arm."""
    return np.repeat(values.take([0], axis=axis), values.shape[axis], axis=axis)  # type: ignore[return-value]
