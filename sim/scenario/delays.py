"""How late feedback is, in a scenario file: one delay, or one by arm, or one for successes and one for failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from sim.distributions.base import single_key
from sim.distributions.latency import LATENCIES, Distribution, Latency
from sim.errors import Place
from sim.policy.telling import listed, plain
from sim.scenario.spec import Spec
from sim.units import UnitError, format_duration, parse_duration


class OutcomeDelays(Spec):
    """How late successes (1) and failures (0) of a binary metric are; those that are left out are known as a call ends.

    A purchase comes hours later. That there will be none, nobody is told: it is known once the window closes.
    """

    success: Latency | None = Field(None, description="time from a call's end until a success is known")
    failure: Latency | Literal["window"] | None = Field(
        None, description="time from a call's end until a failure is known; `window`: once the attribution window closes"
    )

    @model_validator(mode="after")
    def _some(self) -> OutcomeDelays:
        if self.success is None and self.failure is None:
            raise ValueError("needs success, failure or both: without a delay an outcome is known as a call ends")
        return self


class DelayByOutcome(Spec):
    """Successes are known at another time than failures."""

    by_outcome: OutcomeDelays


OfArm = Annotated[
    Distribution | Annotated[DelayByOutcome, Tag("by_outcome")], Discriminator(single_key((*LATENCIES, "by_outcome")))
]


class DelayByArm(Spec):
    """The feedback of one arm takes longer than that of another."""

    by_arm: dict[str, OfArm] = Field(
        min_length=1, description="by arm: its delay; the feedback of an arm that is left out is known as a call ends"
    )


Delay = Annotated[
    Distribution | Annotated[DelayByOutcome, Tag("by_outcome")] | Annotated[DelayByArm, Tag("by_arm")],
    Discriminator(single_key((*LATENCIES, "by_outcome", "by_arm"))),
]
"""Time from a call's end to its feedback."""


def delay_told(delay: Delay) -> str:
    """When feedback is known after a call's end, in words.

    >>> delay_told(DelayByOutcome(by_outcome={"success": {"exponential": "2h"}, "failure": "window"}))
    'exponential 2h of a success and as the window closes of a failure'
    """
    if isinstance(delay, DelayByArm):
        return listed([f"{delay_told(each)} of {arm}" for arm, each in delay.by_arm.items()])
    if isinstance(delay, DelayByOutcome):
        ends = {"success": delay.by_outcome.success, "failure": delay.by_outcome.failure}
        return listed([f"{_late(late)} of a {end}" for end, late in ends.items()])
    return _late(delay)


def _late(late: Latency | Literal["window"] | None) -> str:
    if late is None:
        return "at once"
    if isinstance(late, str):
        return "as the window closes"
    return plain(late.model_dump(mode="json", exclude_none=True))


def times(delay: Delay, factor: float) -> Any:
    """The delay as in a file, so many times as long: every duration in it is a scale.

    >>> times(DelayByOutcome(by_outcome={"success": {"lognormal": {"median": "2h", "p99": "1d"}}, "failure": "window"}), 2.0)
    {'by_outcome': {'success': {'lognormal': {'median': '4h', 'p99': '2d'}}, 'failure': 'window'}}
    """

    def longer(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: longer(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [longer(inner) for inner in value]
        try:
            return format_duration(factor * parse_duration(value))
        except UnitError:
            # A share, a number without a unit, or a word.
            return value

    return longer(delay.model_dump(mode="json", exclude_none=True))


def by_outcome(delay: Delay | None) -> list[tuple[Place, OutcomeDelays]]:
    """The delays by outcome, each with its place below the metric."""
    if isinstance(delay, DelayByArm):
        of_arms = delay.by_arm.items()
        return [
            (("delay", "by_arm", arm, "by_outcome"), each.by_outcome)
            for arm, each in of_arms
            if isinstance(each, DelayByOutcome)
        ]
    return [(("delay", "by_outcome"), delay.by_outcome)] if isinstance(delay, DelayByOutcome) else []


def unlike(delay: Delay | None, arms: Sequence[str]) -> bool:
    """Whether the feedback of one arm takes longer than that of another."""
    return any(delay_of(delay, arm) != delay_of(delay, arms[0]) for arm in arms)


def delay_of(delay: Delay | None, arm: str) -> Latency | OutcomeDelays | None:
    """What a metric's delay says of one arm; None if its feedback is known as a call ends."""
    of_arm = delay.by_arm.get(arm) if isinstance(delay, DelayByArm) else delay
    return of_arm.by_outcome if isinstance(of_arm, DelayByOutcome) else of_arm
