"""Which delays the pattern of a call's late feedback tells, bit by bit, for the aggregate engine.

A metric whose delays are all exponential or constant has a bit that says whether its outcome is not known yet at the end of
the tick in which the call ends. It has a second one where an attribution window cuts an exponential delay off, and a third
where failures are known at other times than successes. A metric with any other delay is *aged*, and has none: its calls are
drawn tick by tick (see `by_age`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def aged(told: Feedback) -> bool:
    """Whether what is left of some delay depends on its age: it is neither exponential nor constant."""
    return any(not isinstance(law, Exponential | Constant) for law in laws_of(told))


def laws_of(told: Feedback) -> tuple[Latency, ...]:
    """The delays that matter to when something becomes known."""
    return (*told.success, *(told.failure if told.by_outcome else ()))


def window_of(told: Feedback, tick_s: float, ticks: int) -> int | None:
    """The ticks of the attribution window of a feedback; None without one, or if it closes after the horizon."""
    window = None if told.window_ns is None else told.window_ns // to_ns(tick_s)
    return None if window is None or window >= ticks else window


def bits_of(feedback: Mapping[str, Feedback], tick_s: float, ticks: int) -> dict[str, Bits]:
    """The bits of every delayed metric that is not aged, in the order of their names."""
    found, place = {}, 0
    for name in sorted(feedback):
        told = feedback[name]
        if aged(told):
            continue
        cut = window_of(told, tick_s, ticks) is not None and any(isinstance(law, Exponential) for law in told.success)
        over = place + 1 if cut else None
        failure = place + 1 + cut if told.by_outcome else None
        found[name] = Bits(place, over, failure)
        place += 1 + cut + told.by_outcome
    return found


def delays_of(world: World) -> list[list[Delay]]:
    """By arm, the delays that the bits of a pattern tell of, in their order."""
    bits = bits_of(world.feedback, world.tick_s, world.ticks)
    return [[delay for name, of in bits.items() for delay in _delays(world, name, of, arm)] for arm in range(len(world.arms))]


def failure_of(world: World, metric: str) -> tuple[Latency, ...]:
    """(K,) the delays of failures, which are known once the window closes at the latest."""
    told = world.feedback[metric]
    return tuple(_cut(law, told) for law in told.failure)


def _cut(law: Latency, told: Feedback) -> Latency:
    return Constant(min(law.mean_s, told.window_s)) if isinstance(law, Constant) and told.window_s is not None else law


def _delays(world: World, metric: str, of: Bits, arm: int) -> Iterator[Delay]:
    success = world.feedback[metric].success[arm]
    assert isinstance(success, Exponential | Constant), success
    yield success
    if of.over is not None:
        yield Overtime(success.mean_s) if isinstance(success, Exponential) else AT_ONCE
    if of.failure is not None:
        failure = failure_of(world, metric)[arm]
        assert isinstance(failure, Exponential | Constant), failure
        yield failure
