"""The `users` and `segments` parts of a scenario file: who sends the requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from sim.distributions.base import single_key
from sim.policy.telling import listed, plain
from sim.scenario.spec import Spec
from sim.units import Effect, Share, format_effect, format_share


class ParetoActivity(Spec):
    """Few users send most requests: how often a user comes is Pareto distributed."""

    pareto: float = Field(ge=0.1, le=100, description="the tail index; the smaller, the more unequal")


class LogNormalActivity(Spec):
    """How often a user comes is log-normally distributed."""

    lognormal: float = Field(gt=0, le=10, description="standard deviation of the logarithm; the larger, the more unequal")


_KEY = single_key(("pareto", "lognormal"))
Activity = Annotated[
    Annotated[Literal["even"], Tag("even")]
    | Annotated[ParetoActivity, Tag("pareto")]
    | Annotated[LogNormalActivity, Tag("lognormal")],
    Discriminator(lambda value: "even" if isinstance(value, str) else _KEY(value)),
]
"""How often users come, relative to each other."""


class Users(Spec):
    """A population of users who come back; without it every request is a user of its own."""

    count: int = Field(ge=1, le=5_000_000, description="how many there are")
    activity: Activity = Field("even", description="how often they come, relative to each other")
    assignment: Literal["sticky", "request"] = Field(
        "sticky", description="sticky: a user keeps the arm, by hash; request: every request is assigned on its own"
    )
    similarity: Share = Field(0.0, description="correlation between the outcomes of two requests of one user, in every metric")

    def told(self) -> str:
        """The population in words."""
        often = "equally often" if isinstance(self.activity, str) else f"unequally often ({plain(self.activity.model_dump())})"
        keeps = "keeps the arm" if self.assignment == "sticky" else "is assigned anew with every request"
        alike = f"; outcomes of a user correlate at {format_share(self.similarity)}" if self.similarity else ""
        return f"{self.count:,} who come back, {often}; each {keeps}{alike}"


class SegmentSpec(Spec):
    """A kind of users, or of requests where there are no users."""

    name: str = Field(min_length=1, max_length=64, description="what it is called")
    share: Share = Field(gt=0, description="share of users; all shares sum to 100%")
    relative: dict[str, Effect] = Field(
        default_factory=dict,
        description="by metric: its mean here, relative to where nothing is said; the mean over all segments stays what the "
        "models registered",
    )

    def told(self) -> str:
        """The segment in words."""
        differs = [f"{metric} {format_effect(effect)}" for metric, effect in self.relative.items()]
        return f"{self.name}, {format_share(self.share)}{f' ({listed(differs)})' if differs else ''}"
