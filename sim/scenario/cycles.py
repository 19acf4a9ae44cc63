"""What an outcome's mean follows besides the arm that earns it: hours and days of the week, and random shocks.

The cycles themselves are those of traffic: `sim.scenario.traffic.Daily` and `Weekly`.
"""

from __future__ import annotations

from pydantic import Field

from sim.scenario.spec import Spec
from sim.units import Duration, Share


class ShocksSpec(Spec):
    """Chance moves the mean of all arms together: a factor that has a mean of 1 and a course of its own in every replication.

    Its logarithm is a stationary Gaussian process, cut off four standard deviations from its middle. Without shocks, designs
    that compare before with after look better than they are.
    """

    sd: Share = Field(gt=0, description="standard deviation of the factor")
    correlation_time: Duration = Field(
        description="time in which the correlation of the factor's logarithm with its past falls to 1/e; at least a tick"
    )
