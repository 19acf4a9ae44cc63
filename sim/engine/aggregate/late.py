"""Which delays the pattern of a call's late feedback tells, bit by bit, for the aggregate engine.

A delayed metric has a bit that says whether its outcome is not known yet at the end of the tick in which the call ends. It has
a second one where an attribution window cuts an exponential delay off, and a third where failures are known at other times than
successes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sim.world.clock import to_ns
from sim.world.fates import Delay, Overtime
from sim.world.feedback import AT_ONCE, Feedback
from sim.world.latency import Constant, Exponential, Latency
from sim.world.world import World


@dataclass(frozen=True)
class Bits:
    """The places of a metric's bits in a pattern; None where it has no such bit.

    success: not known yet, if the call is a success, or whatever it is. over: once the window closes, were it not known before
    the tick in which it closes, it would be too late. failure: not known yet, if the call is a failure.
    """

    success: int
    over: int | None = None
    failure: int | None = None


def delayed(world: World) -> tuple[str, ...]:
    """The metrics whose feedback is delayed, in the order of their names."""
    return tuple(sorted(world.feedback))


def window_of(world: World, metric: str) -> int | None:
    """The ticks of a metric's attribution window; None without one, or if it closes after the horizon."""
    window_ns = world.feedback[metric].window_ns
    ticks = None if window_ns is None else window_ns // to_ns(world.tick_s)
    return None if ticks is None or ticks >= world.ticks else ticks


def bits_of(world: World) -> dict[str, Bits]:
    """The bits of every delayed metric."""
    found, place = {}, 0
    for name in delayed(world):
        told = world.feedback[name]
        cut = window_of(world, name) is not None and any(isinstance(law, Exponential) for law in told.success)
        over = place + 1 if cut else None
        failure = place + 1 + cut if told.by_outcome else None
        found[name] = Bits(place, over, failure)
        place += 1 + cut + told.by_outcome
    return found


def delays_of(world: World) -> list[list[Delay]]:
    """By arm, the delays that the bits of a pattern tell of, in their order; every delay must be exponential or constant."""
    return [[delay for name in delayed(world) for delay in _delays(world, name, arm)] for arm in range(len(world.arms))]


def failure_of(world: World, metric: str) -> tuple[Latency, ...]:
    """(K,) the delays of failures, which are known once the window closes at the latest."""
    told = world.feedback[metric]
    return tuple(_cut(law, told) for law in told.failure)


def _cut(law: Latency, told: Feedback) -> Latency:
    return Constant(min(law.mean_s, told.window_s)) if isinstance(law, Constant) and told.window_s is not None else law


def _delays(world: World, metric: str, arm: int) -> Iterator[Delay]:
    of, success = bits_of(world)[metric], world.feedback[metric].success[arm]
    assert isinstance(success, Exponential | Constant), success
    yield success
    if of.over is not None:
        yield Overtime(success.mean_s) if isinstance(success, Exponential) else AT_ONCE
    if of.failure is not None:
        failure = failure_of(world, metric)[arm]
        assert isinstance(failure, Exponential | Constant), failure
        yield failure
