"""The `sensitivity` part of a scenario file: in which other worlds the policies are played again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from sim.scenario.spec import Spec

Values = Annotated[tuple[Any, ...], Field(min_length=1, max_length=50)]


class Sensitivity(Spec):
    """What is taken to be otherwise, one thing at a time, to see whether the choice of a policy stays.

    Beside `replications`, its keys are paths of the scenario as errors print them, such as `traffic.rate` or
    `policies[0].evidence.mde`, each with a list of values: every value is a world in which that key alone differs from the
    file. Without any, they are a third and three times the traffic, a wider, a narrower and a worse prior of effects, and
    feedback that is twice as late.

    >>> Sensitivity.model_validate({"replications": 200, "traffic.rate": ["10/s", "100/s"]}).keys
    {'traffic.rate': ('10/s', '100/s')}
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Values] = Field(init=False)

    replications: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="how many in each of these worlds: the first ones of the run, at most as many as it has. If left out, as "
        "many as add about half of the work of the run",
    )

    @property
    def keys(self) -> Mapping[str, tuple[Any, ...]]:
        """The values by path; empty where the usual things are varied."""
        return dict(self.__pydantic_extra__ or {})
