"""The `users` and `segments` parts of a scenario file: who sends the requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

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


MOST_WITH_COOKIES = 500_000
_KEEPS = {
    "sticky": "keeps the arm",
    "request": "is assigned anew with every request",
    "canary": "is assigned anew with every request, and stays with the first challenger met",
}


class Users(Spec):
    """A population of users who come back; without it every request is a user of its own."""

    count: int = Field(ge=1, le=5_000_000, description="how many there are")
    activity: Activity = Field("even", description="how often they come, relative to each other")
    assignment: Literal["sticky", "request", "canary"] = Field(
        "sticky",
        description="sticky: a user keeps the arm, by hash; request: every request is assigned on its own; canary: so is "
        "every request until one goes to a challenger, whose cookie then keeps the user there",
    )
    similarity: Share = Field(0.0, description="correlation between the outcomes of two requests of one user, in every metric")

    @model_validator(mode="after")
    def _remembered(self) -> Users:
        if self.assignment == "canary" and self.count > MOST_WITH_COOKIES:
            rule = f"with assignment: canary, which remembers every user, count must be at most {MOST_WITH_COOKIES:,}"
            raise ValueError(f"{rule}, got {self.count:,}")
        return self

    def told(self) -> str:
        """The population in words."""
        often = "equally often" if isinstance(self.activity, str) else f"unequally often ({plain(self.activity.model_dump())})"
        keeps = _KEEPS[self.assignment]
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
