"""The `warm_up` of a model in a scenario file: how a deployment behaves until its caches are filled."""

from __future__ import annotations

from pydantic import Field, model_validator

from sim.scenario.spec import Spec
from sim.units import Duration, Share, format_duration, format_share


class WarmUp(Spec):
    """A deployment is slow, or fails, until it is warm: as it first gets traffic, and in what is added as its weight rises."""

    errors: Share = Field(0.0, lt=1, description="share of calls that fail in addition while all of it is cold")
    slowdown: float = Field(
        1.0, ge=1, le=1000, allow_inf_nan=False, description="what latencies are multiplied by while all of it is cold"
    )
    half_life: Duration | None = Field(None, description="time in which half of the coldness goes")
    half_calls: int | None = Field(
        None, ge=1, le=10**12, description="calls, live and mirrored, after which half of the coldness is gone"
    )

    @model_validator(mode="after")
    def _says_something(self) -> WarmUp:
        if self.half_life is None and self.half_calls is None:
            raise ValueError("needs half_life, half_calls or both: without them nothing warms up")
        if self.errors == 0 and self.slowdown == 1:
            raise ValueError("needs errors, slowdown or both: without them cold is as good as warm")
        return self

    def told(self) -> str:
        """How it is while cold, and how it warms up, in words."""
        bad = []
        if self.slowdown > 1:
            bad.append(f"its latency is {self.slowdown:g} times as long")
        if self.errors:
            bad.append(f"{format_share(self.errors)} of its calls fail in addition")
        by = [] if self.half_life is None else [format_duration(self.half_life)]
        by += [] if self.half_calls is None else [f"{self.half_calls:,} calls"]
        return f"while it is cold {' and '.join(bad)}; half of that goes with every {' and with every '.join(by)}"
