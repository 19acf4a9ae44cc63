"""The `traffic` part of a scenario file: how many requests arrive, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.errors import Problem
from sim.policy.telling import listed
from sim.scenario.spec import Span, Spec
from sim.units import Clock, Duration, Rate, Share, format_clock, format_duration, format_rate, format_share

MOST_BURSTS = 50_000
SHORTEST_S = 0.001
MOST_REQUESTS = 1e12
"""The most requests of a replication: up to here the draws of `sim.world.draws` are exact, and counts far from overflowing."""

Factor = Annotated[float, Field(gt=1, allow_inf_nan=False)]


Weekly = Annotated[
    tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...],
    Field(min_length=7, max_length=7, description="one factor a day of the week; day 1 is the first day of the run"),
]
"""Seven factors, the first that of the day on which the run starts."""


class Daily(Spec):
    """A cosine over the day: a rate or a mean times 1 + amplitude * cos(2 pi (time - peak) / day)."""

    peak: Clock = Field(description="time of day at which it is highest")
    amplitude: Share = Field(description="how far above and below its mean it swings, as a share of the mean")

    def told(self) -> str:
        """The cycle in words."""
        swing = format_share(self.amplitude)
        return f"highest at {format_clock(self.peak)}, {swing} above its mean, and as far below twelve hours later"


class BurstsSpec(Spec):
    """Calm and bursts in turn, at random times of their own in every replication: a Markov-modulated process.

    Both last exponentially long, and a run may start in either. `rate` is the mean over both.
    """

    factor: Factor = Field(description="how many times the rate of calm a burst has")
    every: Duration = Field(description="mean length of calm")
    duration: Duration = Field(description="mean length of a burst")

    def told(self) -> str:
        """The bursts in words."""
        lengths = f"about every {format_duration(self.every)}, for {format_duration(self.duration)}"
        return f"bursts of {self.factor:g} times the calm rate {lengths}"


class FlashCrowd(Spec):
    """Many requests at a known time, on top of `rate`: it rises in a line, stays, and falls in a line.

    What several of them add is summed.
    """

    at: Span = Field(description="when it starts, from the start of the run")
    factor: Factor = Field(description="how many times the usual rate there is at its height")
    rise: Span = Field(0.0, description="how long it rises")
    duration: Span = Field(description="how long it stays at its height")
    decay: Span = Field(0.0, description="how long it falls")

    def told(self) -> str:
        """The crowd in words."""
        spans = {"rises for": self.rise, "stays for": self.duration, "falls for": self.decay}
        course = listed([f"{verb} {format_duration(span)}" for verb, span in spans.items() if span])
        return f"a crowd of {self.factor:g} times the usual rate at {format_duration(self.at)}, which {course}"


class TraceSpec(Spec):
    """Recorded traffic: the times of requests, or how many there were in each interval.

    Between two recorded times the intensity is even. Timestamps with `arrivals: regular` and without `rate` are played as they
    were recorded, to the nanosecond, in every replication.
    """

    file: str = Field(min_length=1, description="a CSV or Parquet file, relative to the scenario file")
    time: str | None = Field(
        None,
        min_length=1,
        description="column of the requests' times, which must not decrease: ISO datetimes, of which the first is the start "
        "of the run, or seconds since the start of the run",
    )
    count: str | None = Field(None, min_length=1, description="column of how many requests there were in each interval")
    interval: Duration | None = Field(None, description="for `count`: how long the interval of a row is")
    repeat: bool = Field(False, description="whether to start again where the horizon is longer")

    @model_validator(mode="after")
    def _one_kind(self) -> TraceSpec:
        if (self.time is None) == (self.count is None):
            got = "neither" if self.time is None else "both"
            raise ValueError(f"needs exactly one of time and count; got {got}")
        if self.count is not None and self.interval is None:
            raise ValueError(f"needs the interval of a row with count; got count {self.count!r} alone")
        if self.time is not None and self.interval is not None:
            raise ValueError(f"interval is for count; got it with time {self.time!r}")
        return self


class Traffic(Spec):
    """How many requests arrive, and when. The rate is constant within a tick but for bursts and traces."""

    rate: Rate | None = Field(
        None, description="mean rate of live requests; required without a trace, and what a trace is scaled to"
    )
    arrivals: Literal["poisson", "regular"] = Field(
        "poisson",
        description="regular: evenly spaced, closer where the rate is higher, and shifted by a random part of the spacing "
        "in every replication",
    )
    daily: Daily | None = Field(None, description="variation over the day")
    weekly: Weekly | None = Field(None, description="variation over the week")
    start: Clock = Field(0.0, validate_default=False, description="time of day at which the run starts")
    bursts: BurstsSpec | None = Field(None, description="random bursts")
    flash_crowds: tuple[FlashCrowd, ...] = Field((), description="crowds at known times")
    writes: Share = Field(
        0.0,
        description="share of requests that write, such as orders and payments: a copy of one does what it does a second time",
    )
    trace: TraceSpec | None = Field(None, description="recorded traffic, in place of daily, weekly, bursts and flash_crowds")

    def told(self) -> str:
        """How many requests arrive, and when, in words."""
        parts = [f"{format_rate(self.rate)} on average" if self.rate is not None else "as recorded"]
        if self.trace is not None:
            parts.append(f"in the course of the recorded {PurePath(self.trace.file).name}")
        if self.arrivals == "regular":
            parts.append("evenly spaced")
        if self.daily is not None:
            parts.append(self.daily.told())
        if self.weekly is not None:
            parts.append(f"by day of the week times {', '.join(f'{factor:g}' for factor in self.weekly)}")
        if self.bursts is not None:
            parts.append(self.bursts.told())
        parts += [crowd.told() for crowd in self.flash_crowds]
        if self.writes:
            parts.append(f"{format_share(self.writes)} of requests write")
        if self.start:
            parts.append(f"starting at {format_clock(self.start)}")
        return "; ".join(parts)

    @model_validator(mode="after")
    def _some_traffic(self) -> Traffic:
        if self.rate is None and self.trace is None:
            raise ValueError("needs a rate, such as 40/s, or a trace; got neither")
        return self


def too_many(requests: float) -> str:
    """What is wrong with so many requests in a replication."""
    return f"a replication must have fewer than 10^12 requests, up to which draws are exact; got {requests:.3g}"


def traffic_problems(traffic: Traffic, horizon_s: float) -> Iterator[Problem]:
    """Problems between the keys of `traffic`, or between them and the horizon."""
    if traffic.weekly is not None and sum(traffic.weekly) == 0:
        yield Problem("at least one day must have traffic, got seven zeros", path="traffic.weekly")
    for index, crowd in enumerate(traffic.flash_crowds):
        path = f"traffic.flash_crowds[{index}]"
        if crowd.at >= horizon_s:
            at, horizon = format_duration(crowd.at), format_duration(horizon_s)
            yield Problem(f"must lie within the horizon of {horizon}, got {at}", path=f"{path}.at")
        if crowd.rise + crowd.duration + crowd.decay == 0:
            yield Problem("a crowd must last for some time, got a rise, duration and decay of 0s", path=f"{path}.duration")
    if traffic.bursts is not None:
        yield from _burst_problems(traffic.bursts, horizon_s)
    if traffic.trace is not None:
        for key in ("daily", "weekly", "bursts", "flash_crowds"):
            if getattr(traffic, key):
                yield Problem("cannot be given with a trace, which says when requests arrive", path=f"traffic.{key}")


def _burst_problems(bursts: BurstsSpec, horizon_s: float) -> Iterator[Problem]:
    for key in ("every", "duration"):
        length_s = getattr(bursts, key)
        if length_s < SHORTEST_S:
            yield Problem(f"must be at least 1ms, got {format_duration(length_s)}", path=f"traffic.bursts.{key}")
    count = horizon_s / (bursts.every + bursts.duration)
    if count > MOST_BURSTS:
        got = f"got {format_duration(bursts.every)}, which makes {count:,.0f}"
        yield Problem(f"must leave at most {MOST_BURSTS:,} bursts in the horizon, {got}", path="traffic.bursts.every")
