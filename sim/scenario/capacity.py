"""The `capacity`, `pools` and `retries` parts of a scenario file: what calls compete for, and clients that try again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sim.policy.telling import counted, listed
from sim.scenario.spec import Span, Spec
from sim.units import Duration, Share, format_duration

MOST_SERVERS = 1_000_000
"""Calls that all replicas together can serve at once, at most."""


class Scaling(Spec):
    """Replicas that follow the load: at the edge of a tick ceil(replicas * busy / target) are wanted, from least to most."""

    least: int = Field(1, ge=1, description="never fewer replicas")
    most: int = Field(ge=1, le=100_000, description="never more replicas")
    target: Share = Field(0.7, gt=0, description="share of the servers' time in use that is aimed at")
    cold_start: Span = Field(0.0, description="how long a new replica takes to be ready")
    cool_down: Span = Field(0.0, description="how long after a change none is taken away; a whole number of ticks")


class Servers(Spec):
    """Servers with one queue in front of them, first come first served."""

    replicas: int = Field(ge=1, le=100_000, description="how many there are, to begin with")
    concurrency: Annotated[int, Field(ge=1, le=100_000)] | Literal["measured"] = Field(
        1,
        description="calls that one replica serves at once; `measured` takes what `sim models measure --serve` found of the "
        "arm's version, and for how long a call holds a server",
    )
    queue: int | None = Field(
        None, ge=0, le=1_000_000, description="calls that may wait, others are rejected; any number if left out"
    )
    timeout: Duration | None = Field(None, description="a client gives up this long after its call came; never if left out")
    patience: Duration | None = Field(
        None,
        description="a client leaves the queue after waiting this long, which counts as a timeout; who is served stays; "
        "never if left out",
    )
    scaling: Scaling | None = Field(None, description="replicas that follow the load; always as many if left out")

    def told(self, served: int | None = None) -> str:
        """The servers in words; `served` is how many calls one replica serves at once, where that was measured."""
        concurrency = served if self.concurrency == "measured" else self.concurrency
        calls = "as many calls" if concurrency is None else counted(concurrency, "call")
        text = f"{counted(self.replicas, 'replica')} of {calls} at once"
        if self.concurrency == "measured":
            text += ", as measured"
        if self.queue is not None:
            text += f", a queue of {self.queue:,}"
        if self.timeout is not None:
            text += f", a timeout of {format_duration(self.timeout)}"
        if self.patience is not None:
            text += f", clients who leave the queue after {format_duration(self.patience)}"
        if self.scaling is not None:
            text += f", scaled between {self.scaling.least} and {self.scaling.most} replicas"
        return text


MEASURED: dict[str, Any] = {"replicas": 1, "concurrency": "measured"}
"""What `capacity: measured` says of each arm: one server like the one that was measured."""


class PoolSpec(Servers):
    """Servers that several arms share, for live and mirrored calls."""

    arms: tuple[str, ...] = Field(min_length=1, description="whose calls they serve; an arm is in one pool at most")


End = Literal["error", "timeout", "rejection"]


class Retries(Spec):
    """Clients that try again; the n-th back-off is backoff * factor^(n - 1), at most `longest`, times 1 - jitter * uniform."""

    attempts: int = Field(3, ge=2, le=10, description="calls that a request makes at most, the first included")
    on: tuple[End, ...] | None = Field(None, min_length=1, description="after which ends of a call; all if left out")
    backoff: Duration = Field("100ms", validate_default=True, description="how long a client waits before the second attempt")
    factor: float = Field(2.0, ge=1, le=100, description="by which each wait is longer than the one before")
    longest: Duration | None = Field(None, description="no wait is longer; no limit if left out")
    jitter: Share = Field(0.5, description="share of a wait that is random")

    def told(self) -> str:
        """The retries in words."""
        ends = f" after {listed(self.on, 'or')}" if self.on else ""
        waits = f"first after {format_duration(self.backoff)}, then {self.factor:g} times as long each time"
        return f"up to {self.attempts} calls a request{ends}; {waits}"
