"""How a stage splits live traffic. A new allocation is one file with one class, listed here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.policy.allocation.epsilon_greedy import EpsilonGreedy
from sim.policy.allocation.fixed import Fixed
from sim.policy.allocation.mirror import Mirror
from sim.policy.allocation.ramp import Ramp, Step
from sim.policy.allocation.thompson import Thompson

AnyAllocation = Annotated[Fixed | Ramp | Mirror | Thompson | EpsilonGreedy, Field(discriminator="kind")]

__all__ = ["AnyAllocation", "EpsilonGreedy", "Fixed", "Mirror", "Ramp", "Step", "Thompson"]
