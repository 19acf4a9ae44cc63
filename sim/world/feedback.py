"""When monitoring learns of an outcome, and what it takes it for until then: the feedback of one metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sim.distributions import latency as written
from sim.scenario.delays import OutcomeDelays, delay_of
from sim.scenario.schema import MetricSpec
from sim.world import latency as latencies
from sim.world.clock import to_ns
from sim.world.latency import Constant, Latency

AT_ONCE = Constant(0.0)
"""No delay."""


@dataclass(frozen=True)
class Feedback:
    """How late the outcomes of a metric are, in each of K arms.

    success, failure (K,): the delay after a call's end of an outcome that is not 0, and of one that is 0. window_s: the
    attribution window; an outcome that would become known later is 0 to monitoring, known when the window closes. provisional:
    until an outcome is known it counts as 0; else it does not count at all.
    """

    success: tuple[Latency, ...]
    failure: tuple[Latency, ...]
    window_s: float | None = None
    provisional: bool = False

    @classmethod
    def of(cls, spec: MetricSpec, arms: Sequence[str]) -> Feedback:
        """From a metric that has a delay."""
        window_s = spec.attribution_window

        def law(said: written.Latency | Literal["window"] | None) -> Latency:
            if said is None:
                return AT_ONCE
            return Constant(window_s or 0.0) if said == "window" else latencies.of(said)

        of_arms = [delay_of(spec.delay, arm) for arm in arms]
        success = [law(said.success if isinstance(said, OutcomeDelays) else said) for said in of_arms]
        failure = [law(said.failure if isinstance(said, OutcomeDelays) else said) for said in of_arms]
        return cls(tuple(success), tuple(failure), window_s, spec.until_known == "failure")

    @classmethod
    def same(cls, delay: Latency, arms: int) -> Feedback:
        """One delay for all arms and outcomes, no window, and outcomes that do not count until they are known."""
        return cls((delay,) * arms, (delay,) * arms)

    @property
    def by_outcome(self) -> bool:
        """Whether successes and failures become known apart; where failures count as the call ends, they do not matter."""
        return not self.provisional and self.success != self.failure

    @property
    def window_ns(self) -> int | None:
        """The attribution window in nanoseconds."""
        return None if self.window_s is None else to_ns(self.window_s)

    def told(self, value: int, delay_ns: int) -> list[tuple[int, int, int]]:
        """What monitoring is told of an outcome whose delay is `delay_ns`: [(nanoseconds after the call's end, outcomes, sum)].

        >>> late = Feedback.same(Constant(90.0), 1)
        >>> late.told(1, 90)
        [(90, 1, 1)]
        >>> Feedback(late.success, late.failure, window_s=60e-9, provisional=True).told(1, 50)
        [(0, 1, 0), (50, 0, 1)]
        """
        window_ns = self.window_ns
        known_ns = delay_ns if window_ns is None else min(delay_ns, window_ns)
        counted = value if known_ns == delay_ns else 0
        if not self.provisional:
            return [(known_ns, 1, counted)]
        return [(0, 1, 0), *([(known_ns, 0, counted)] if counted else [])]
