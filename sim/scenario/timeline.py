"""The `timeline`, `telemetry` and `router` parts of a scenario file: what changes and what goes wrong on the way.

All of it is constant within a tick: what varies within one takes its mean over the tick.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.policy.telling import counted
from sim.scenario.spec import Span, Spec
from sim.units import Duration, Effect, Share, format_duration, format_effect, format_share


def _since(at_s: float) -> str:
    return f"from {format_duration(at_s)} on" if at_s else "from the start"


class Drift(Spec):
    """A metric of an arm moves in a straight line to a new value, and stays there until another drift of it begins.

    That one moves on from where the first has come to. So `to: -30%` at once and later `to: 0%` is a dip and its end.
    """

    kind: Literal["drift"] = "drift"
    arm: str = Field(description="whose metric")
    metric: str = Field(description="an outcome of the models, latency or error_rate")
    at: Span = Field(0.0, description="when it begins")
    duration: Duration | None = Field(None, description="how long it takes; at once if left out")
    to: Effect = Field(
        description="the new value, relative to the registered mean or latency, whatever drifts came before; for error_rate "
        "the share of calls that fail in addition"
    )

    def told(self) -> str:
        """What happens, in words."""
        over = f" over {format_duration(self.duration)}" if self.duration else ""
        change = f"{format_effect(self.to)} relative to what was registered"
        if self.metric == "error_rate":
            change = f"{format_effect(self.to)} more of its calls"
        return f"{_since(self.at)} {self.metric} of {self.arm} moves to {change}{over}"


class Novelty(Spec):
    """Users' first reaction to an arm, which wears off: a factor of 1 + effect * 2^(-time / half_life)."""

    kind: Literal["novelty"] = "novelty"
    arm: str = Field(description="whose metric")
    metric: str = Field(description="an outcome of the models")
    effect: Effect = Field(description="relative change of the metric's mean at the start of the run")
    half_life: Duration = Field(description="time in which half of it wears off")

    def told(self) -> str:
        """What happens, in words."""
        change = f"is changed by {format_effect(self.effect)} at the start"
        return f"{self.metric} of {self.arm} {change}, half of which wears off in {format_duration(self.half_life)}"


class ErrorSpike(Spec):
    """Some calls of an arm fail that would not have."""

    kind: Literal["errors"] = "errors"
    arm: str = Field(description="whose calls")
    at: Span = Field(description="when it begins")
    duration: Duration = Field(description="how long it lasts")
    rate: Share = Field(gt=0, description="share of calls that fail in addition")

    def told(self) -> str:
        """What happens, in words."""
        more = f"{format_share(self.rate)} of the calls of {self.arm} fail in addition"
        return f"{_since(self.at)} {more}, for {format_duration(self.duration)}"


class Slowdown(Spec):
    """Calls of an arm take longer."""

    kind: Literal["slowdown"] = "slowdown"
    arm: str = Field(description="whose calls")
    at: Span = Field(description="when it begins")
    duration: Duration = Field(description="how long it lasts")
    factor: float = Field(ge=1e-6, le=1_000_000, description="what latencies are multiplied by")

    def told(self) -> str:
        """What happens, in words."""
        longer = f"calls of {self.arm} take {self.factor:g} times as long"
        return f"{_since(self.at)} {longer}, for {format_duration(self.duration)}"


class Leak(Spec):
    """An arm gets slower and slower, until it is restarted and the leak begins again."""

    kind: Literal["leak"] = "leak"
    arm: str = Field(description="whose calls")
    at: Span = Field(0.0, description="when it begins")
    per_hour: Effect = Field(gt=0, description="by how much of the latency without a leak it grows in an hour")
    restart: Duration | None = Field(None, description="time between restarts; never if left out")

    def told(self) -> str:
        """What happens, in words."""
        again = f", and it is restarted every {format_duration(self.restart)}" if self.restart is not None else ""
        return f"{_since(self.at)} calls of {self.arm} get slower by {format_effect(self.per_hour)} an hour{again}"


class Outage(Spec):
    """Replicas of a pool are down."""

    kind: Literal["outage"] = "outage"
    pool: str = Field(description="a pool, or an arm that has `capacity`")
    at: Span = Field(description="when it begins")
    duration: Duration = Field(description="how long it lasts")
    replicas: int = Field(1, ge=1, description="how many are down")

    def told(self) -> str:
        """What happens, in words."""
        down = f"{counted(self.replicas, 'replica')} of {self.pool} {'is' if self.replicas == 1 else 'are'} down"
        return f"{_since(self.at)} {down}, for {format_duration(self.duration)}"


Event = Annotated[Drift | Novelty | ErrorSpike | Slowdown | Leak | Outage, Field(discriminator="kind")]


class TelemetrySpec(Spec):
    """How well monitoring sees."""

    lag: Span = Field(0.0, description="how far it is behind; a whole number of ticks")
    loss: Share = Field(0.0, lt=1, description="share of calls that it never sees")


class RouterSpec(Spec):
    """What is wrong with the router."""

    misrouted: dict[str, Share] = Field(
        default_factory=dict, description="by challenger: share of the requests meant for it that go to the champion instead"
    )
