"""As many replications as estimates need: how a file asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from sim.scenario.spec import Spec
from sim.units import Share

BEST = "best"
"""The target that is no measure: that the best policy is told from the others."""

_GROWTH, _WHOLE = 1.5, 50

Target = Annotated[
    dict[str, Annotated[Share, Field(gt=0, lt=1)]],
    Field(
        min_length=1,
        description="by measure, or by policy.measure, how wide half of its 95% interval may be: in percentage points for a "
        "share (wrong_ship: 0.5%), and in percent of the estimate for a time or an amount (time_to_decision: 2%), for every "
        "policy that is no baseline, at every point of a sweep. best: the confidence at which the policy that is best by net "
        "value (regret where that is not known), of those that are fit to be recommended, is told from each of the others, "
        "over all rounds together",
    ),
]


class Enough(Spec):
    """As many replications as estimates need, and no more.

    Rounds of replications are added, each half as many again as there are, until every target is met after a round, or there
    are as many as `replications` says. They are the same trials as those of a run with that number from the start. As chance
    has a part in when they are enough, intervals are a little too narrow then: docs/methods.md says by how much.
    """

    target: Target
    min: int = Field(200, ge=2, description="replications of the first round")


class UpTo(Enough):
    """`replications` as a mapping: as many as are needed, up to `max`."""

    max: int = Field(20_000, ge=2, le=1_000_000, description="the most replications")


def rounds(least: int, most: int) -> Iterator[int]:
    """The numbers of replications after which it is asked whether there are enough.

    >>> list(rounds(200, 1000))
    [200, 300, 450, 700, 1000]
    """
    count = min(least, most)
    while count < most:
        yield count
        count = -int(-count * _GROWTH // _WHOLE) * _WHOLE
    yield most


def split(replications: Any) -> tuple[Any, dict[str, Any]]:
    """Of `replications` as a mapping that was found to be right: the most, and what is asked for.

    >>> split({"target": {"best": "95%"}, "max": 5000})
    (5000, {'target': {'best': '95%'}})
    """
    most = replications.get("max", UpTo.model_fields["max"].default)
    return most, {key: value for key, value in replications.items() if key != "max"}
