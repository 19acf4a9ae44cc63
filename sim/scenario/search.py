"""The `search` part of a scenario file: among which policies `sim recommend` looks for one."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.spec import Spec
from sim.units import Duration, Share

Family = Literal["ab", "bandit", "canary", "chain", "risk_budget", "sqr", "staged"]
FAMILIES: tuple[Family, ...] = ("ab", "bandit", "canary", "chain", "risk_budget", "sqr", "staged")
Rule = Literal[
    "fixed_horizon", "group_sequential", "mixture_sprt", "posterior", "expected_loss", "sprt", "confidence_sequence", "betting",
    "bayes_factor", "rope",
]  # fmt: skip
RULES: tuple[Rule, ...] = ("fixed_horizon", "group_sequential", "mixture_sprt", "posterior", "expected_loss")
EVEN: tuple[Rule, ...] = ("fixed_horizon", "group_sequential")
"""Rules of a sample that is planned, which no bandit has."""

Shares = Annotated[tuple[Annotated[Share, Field(gt=0)], ...], Field(min_length=1, max_length=50)]
Parts = Annotated[tuple[Annotated[Share, Field(gt=0, lt=1)], ...], Field(min_length=1, max_length=50)]
Amounts = Annotated[tuple[Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)], ...], Field(min_length=1, max_length=50)]
Factors = Annotated[
    tuple[Annotated[float, Field(ge=1.1, le=100, allow_inf_nan=False)], ...], Field(min_length=1, max_length=50)
]
Numbers = Annotated[tuple[Annotated[int, Field(ge=2, le=100)], ...], Field(min_length=1, max_length=50)]
Durations = Annotated[tuple[Duration, ...], Field(min_length=1, max_length=50)]


class Choices(Spec):
    """The values that a setting may take, from the least to the largest; usual ones for what is left out."""

    alpha: Parts | None = Field(None, description="error rates of tests")
    mde: Shares | None = Field(
        None, description="effects that tests are sized for; from what the traffic can show, if left out"
    )
    looks: Numbers | None = Field(None, description="how often a group sequential test looks")
    threshold: Parts | None = Field(None, description="posterior chances at which a challenger is shipped")
    caring: Parts | None = Field(None, description="expected losses, relative to the champion's mean, that nobody cares about")
    share: Parts | None = Field(None, description="the challengers' share of the traffic of a test")
    floor: Parts | None = Field(None, description="the least share of an arm of a bandit, of an even share")
    first: Parts | None = Field(None, description="first weights of ramps")
    factor: Factors | None = Field(None, description="by what each weight of a ramp is larger than the one before")
    bake: Durations | None = Field(None, description="how long weights of ramps are held, whole numbers of ticks")
    ratio: Parts | None = Field(
        None, description="the least ratio of the primary metric that the checks of a ramp accept, or of an excess its inverse"
    )
    budget: Amounts | None = Field(None, description="accepted losses of `risk_budget`, in the primary metric's unit")
    chance: Annotated[
        tuple[Annotated[Share, Field(gt=0, lt=0.5)], ...], Field(min_length=1, max_length=50)
    ] | None = Field(None, description="accepted chances that the loss is larger, of `risk_budget` and `sqr`")  # fmt: skip
    tolerance: Shares | None = Field(None, description="losses of the whole service that `sqr` tolerates at each weight")

    @model_validator(mode="after")
    def _rise(self) -> Choices:
        for name in type(self).model_fields:
            values = getattr(self, name)
            if values and any(after <= before for before, after in itertools.pairwise(values)):
                raise ValueError(f"the values of {name} must rise")
        return self


class Search(Spec):
    """Among which policies `sim recommend` looks; `sim run` plays those of `policies` alone.

    >>> Search.model_validate({"families": ["ab"], "settings": {"alpha": ["5%", "10%"]}}).settings.alpha
    (0.05, 0.1)
    """

    families: tuple[Family, ...] = Field(FAMILIES, min_length=1, description="kinds of policies")
    rules: tuple[Rule, ...] = Field(
        RULES, min_length=1, description="rules of evidence of tests; bandits take those that plan no sample"
    )
    candidates: int = Field(60, ge=2, le=10_000, description="how many policies are tried")
    replications: int = Field(
        1000, ge=20, le=1_000_000, description="how often a policy is tried at most, of those not shown to be worse before"
    )
    frontier: tuple[str, ...] = Field(
        (),
        max_length=3,
        description="two or three measures, such as [net_value, wrong_ship]: searched for are the policies that no other beats "
        "in all of them. If left out, the one of the highest net value",
    )
    finalists: int | None = Field(
        None,
        ge=1,
        le=20,
        description="how many are played again, beside the policies of the file, on fresh seeds; if left out 3, or 8 of a "
        "frontier",
    )
    settings: Choices = Field(default_factory=Choices, description="values that settings may take")

    @model_validator(mode="after")
    def _of_bandits(self) -> Search:
        if {"bandit", "risk_budget"} & {*self.families} and not {*self.rules} - {*EVEN}:
            raise ValueError(f"rules need one for bandits: one beside {' and '.join(EVEN)}")
        return self

    @model_validator(mode="after")
    def _of_several(self) -> Search:
        if not self.frontier:
            return self
        if len(self.frontier) < 2 or len({*self.frontier}) < len(self.frontier):
            raise ValueError("frontier must name two or three measures, each once")
        if self.finalists is not None and self.finalists < len(self.frontier):
            raise ValueError("finalists must be at least as many as the measures of the frontier: each has a best policy")
        return self

    @property
    def finals(self) -> int:
        """How many candidates are played again."""
        return self.finalists or (8 if self.frontier else 3)
