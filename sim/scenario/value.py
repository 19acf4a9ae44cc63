"""The `value` and `programme` parts of a scenario file: what a decision is worth, for how long, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Discriminator, Field, Tag

from sim.arrays import Floats
from sim.errors import Problem, format_path
from sim.policy.hours import DAY_S
from sim.scenario.spec import Spec
from sim.units import Duration, Rate, format_duration, shown

if TYPE_CHECKING:
    from sim.scenario.schema import Scenario

MOST_PRICE = 1e12
Price = Annotated[float, Field(ge=0, le=MOST_PRICE, allow_inf_nan=False)]


def _kind_of_prices(value: Any) -> str:
    return "metrics" if isinstance(value, dict) else "primary"


Prices = Annotated[
    Annotated[Price, Tag("primary")] | Annotated[dict[str, Price], Tag("metrics")], Discriminator(_kind_of_prices)
]


class Value(Spec):
    """What a decision is worth to the team. Amounts are in `currency`, or in the primary metric's own unit without `per`."""

    lifetime: Duration | None = Field(
        None,
        description="how long the verdict lasts, from the start of the rollout: until the next version takes over. The horizon "
        "if left out. What a verdict leaves serving goes on from the horizon to here, and need not be simulated",
    )
    currency: str | None = Field(None, min_length=1, max_length=12, description="what amounts are in, such as EUR; needs `per`")
    per: Prices | None = Field(
        None,
        description="what one unit of the primary metric is worth, or by metric: of one that should decrease, what one unit "
        "less is worth. One of the primary metric if left out, and nothing of others",
    )
    per_error: Price = Field(0.0, description="what a live request that fails costs beside the outcome that it does not earn")
    per_slow: Price = Field(0.0, description="what a live request costs that is slower than the `max` of the latency guardrail")
    per_lost: Price = Field(0.0, description="what a request that is lost to a timeout or a rejection costs beside")
    per_duplicate: Price = Field(
        0.0, description="what it costs that a shadow does once more what a request writes, such as to cancel an order"
    )
    per_day: Price = Field(
        0.0, description="what a day of a running rollout costs, such as two versions in parallel and people who watch"
    )
    per_ship: Price = Field(0.0, description="what it costs to ship, so that shipping what is no better is not free")
    per_rollback: Price = Field(0.0, description="what it costs to take a challenger that had live traffic back")
    delay: Price = Field(0.0, description="what a day without a verdict costs beyond the value that is forgone")

    def lasts(self, horizon_s: float) -> float:
        """Seconds that a verdict lasts, from the start of the rollout."""
        return self.lifetime or horizon_s

    def prices(self, primary: str) -> dict[str, float]:
        """What a unit of each priced metric is worth."""
        if isinstance(self.per, dict):
            return dict(self.per)
        return {primary: 1.0 if self.per is None else self.per}


class PerRequest(Protocol):
    """The prices of what may happen to a request."""

    @property
    def per_error(self) -> float: ...
    @property
    def per_slow(self) -> float: ...


def priced(value: PerRequest, gain: Floats, failed: Floats, slow: Floats) -> Floats:
    """What requests are worth: what they gain, less what it costs that some fail or are slow; arrays of one shape.

    >>> import numpy as np
    >>> priced(Value(per_error=2.0), np.array([10.0]), np.array([1.5]), np.array([4.0])).tolist()
    [7.0]
    """
    worth: Floats = gain - value.per_error * failed - value.per_slow * slow
    return worth


def value_problems(scenario: Scenario, outcomes: list[str]) -> Iterator[Problem]:
    """Problems of `value` and `programme` with the rest of the scenario; `outcomes` are outcomes of the models."""
    competing = [key for key in ("capacity", "pools", "retries") if getattr(scenario, key)]
    for path in ("value", "programme"):
        if getattr(scenario, path) and competing and not any(policy.kind == "hold" for policy in scenario.policies):
            message = (
                f"needs a policy of kind hold: with {competing[0]}, what keeping the champion loses shows only where that is "
                "played"
            )
            yield Problem(message, path=path)
    value = scenario.value
    if value is None:
        return
    if value.lifetime is not None and value.lifetime < scenario.horizon:
        lifetime, horizon = format_duration(value.lifetime), format_duration(scenario.horizon)
        yield Problem(f"must be at least the horizon of {horizon}, got {lifetime}", path="value.lifetime")
    if value.currency is not None and value.per is None:
        message = f"needs `per`, what one unit of {scenario.primary.name} is worth in {value.currency}"
        yield Problem(message, path="value.currency")
    if value.currency is not None and not value.currency.isprintable():
        message = f"must be letters that can be printed on one line, such as EUR; got {shown(value.currency)}"
        yield Problem(message, path="value.currency")
    prices = value.prices(scenario.primary.name)
    if prices and not any((*prices.values(), value.per_error, value.per_slow, value.per_lost)):
        message = "must be above 0 for some metric: nothing that a request earns or costs would be worth anything; got 0"
        yield Problem(message, path="value.per")
    if isinstance(value.per, dict):
        if not value.per:
            yield Problem("must price at least one metric, got none", path="value.per")
        for name in value.per:
            if name not in outcomes:
                message = f"no outcome {name!r}; there are {', '.join(outcomes)}"
                yield Problem(message, path=format_path(("value", "per", name)))
    limits = [metric.name == "latency" and metric.max is not None for metric in scenario.metrics]
    if value.per_slow and not any(limits):
        yield Problem("needs a latency guardrail with `max`, which says what is slow", path="value.per_slow")
    if value.per_lost and not competing:
        yield Problem("needs capacity, pools or retries, without which no request is lost", path="value.per_lost")
    if value.per_duplicate and not scenario.traffic.writes:
        yield Problem("needs traffic.writes, without which no request writes", path="value.per_duplicate")


class Programme(Spec):
    """Releases that queue for the traffic, so that a slow policy costs those behind it.

    A release holds a slot from its start to the end of its rollout, or to the horizon where that does not end before.
    """

    candidates: Rate = Field(description="how many versions come up for release, such as 50/y; no more than these are released")
    at_once: int = Field(1, ge=1, le=1000, description="how many rollouts may run at the same time")

    def told(self) -> str:
        """The programme in words."""
        one = self.at_once == 1
        slots = "one rollout at a time" if one else f"{self.at_once} rollouts at a time"
        return f"{self.candidates * 365 * DAY_S:,.4g} candidates a year come up for release and wait for the traffic, {slots}"
