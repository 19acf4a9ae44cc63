"""From the users and segments of a scenario to a population."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from sim.arrays import Floats
from sim.scenario.users import ParetoActivity, SegmentSpec, Users
from sim.world.population import Population, Segments


def population(users: Users | None) -> Population | None:
    """The users of a scenario, the most active ones last.

    User n of N has the activity of the (n + 1/2) / N quantile of the distribution.

    >>> population(Users(count=4, activity={"pareto": 1.0})).activity.round(3).tolist()
    [0.085, 0.119, 0.199, 0.597]
    """
    if users is None:
        return None
    level = (np.arange(users.count) + 0.5) / users.count
    if users.activity == "even":
        log_activity = np.zeros(users.count)
    elif isinstance(users.activity, ParetoActivity):
        log_activity = -np.log1p(-level) / users.activity.pareto
    else:
        log_activity = users.activity.lognormal * ndtri(level)
    activity: Floats = np.exp(log_activity - log_activity.max())
    how = users.assignment
    return Population(activity / activity.sum(), how == "sticky", users.similarity, ratchets=how == "canary")


def segments(said: Sequence[SegmentSpec]) -> Segments | None:
    """Segments whose factors leave the mean over all of them as it is.

    >>> mobile = SegmentSpec(name="mobile", share="60%", relative={"conversion": "-50%"})
    >>> found = segments([mobile, SegmentSpec(name="desktop", share="40%")])
    >>> found.factors["conversion"].round(4).tolist()
    [0.7143, 1.4286]
    """
    if not said:
        return None
    share = np.array([each.share for each in said])
    factors: dict[str, Floats] = {}
    for metric in dict.fromkeys(name for each in said for name in each.relative):
        relative = np.array([1 + each.relative.get(metric, 0.0) for each in said])
        factors[metric] = relative / (share * relative).sum()
    return Segments(tuple(each.name for each in said), share, factors)
