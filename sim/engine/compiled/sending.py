"""Which arm serves a request, and how long its first attempt takes there: what depends on no other event of the tick."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.jit import compiled, integer
from sim.world.potential import guest_of, route_of, service_of, user_of
from sim.world.sampling import EXPONENTIAL, SLOTS, TABLED, at, exponential, nanoseconds, parametric, unit


@compiled
def _home_of(rules: Any, row: Any, duties: Any, user: Any) -> Any:
    """The arm that serves a user who keeps their arm: see `sim.engine.routes`."""
    place = route_of(rules, row, 0, user) * (duties.size - 1)
    home = integer(place)
    within = place - home
    # No branch, as it could not be foreseen. Guests are few.
    arm = (1 + home) * integer(within >= duties[1 + home].own)
    if within < duties[1 + home].guests:
        u = guest_of(rules, row, user)
        arm = 1
        for k in range(1, duties.size - 1):
            arm += integer(u >= duties[k].threshold)
    return arm


@compiled
def arm_of(rules: Any, row: Any, duties: Any, i: Any, user: Any) -> Any:
    """The arm that serves a request, under the weights in force."""
    arm = 0
    if rules.sticky:
        arm = _home_of(rules, row, duties, user)
    else:
        u = route_of(rules, row, i, user)
        for k in range(duties.size - 1):
            arm += integer(u >= duties[k].threshold)
    if arm > 0 and duties[arm].misrouted > 0.0 and unit(at(row.misroute, i)) < duties[arm].misrouted:
        arm = 0
    return arm


@compiled
def kept_arm(rules: Any, row: Any, duties: Any, kept: Any, r: Any, i: Any, user: Any) -> Any:
    """The arm of a request whose user may have to stay with a challenger; one that it is sent to keeps the user from now on.

    `kept` (R, U) is asked and set, so call it once an attempt, in the order of events.
    """
    arm = integer(kept[r, user])
    if arm == 0:
        u = route_of(rules, row, i, user)
        for k in range(duties.size - 1):
            arm += integer(u >= duties[k].threshold)
        if arm <= rules.keepers:
            kept[r, user] = arm
    if arm > 0 and duties[arm].misrouted > 0.0 and unit(at(row.misroute, i)) < duties[arm].misrouted:
        arm = 0
    return arm


@compiled
def send(
    rules: Any, row: Any, laws: Any, duties: Any, floats: Any, ints: Any, first: Any, count: Any, chosen: Any, work: Any
) -> None:
    """Fill in the arm (`chosen`) and the service time (`work`) of each first attempt of a tick.

    They do not depend on other events. Drawing them in one loop is twice as fast as one by one between unpredictable branches.
    """
    arms = duties.size
    keys, kinds = np.empty(arms, np.uint64), np.empty(arms, np.int64)
    means, scales, thresholds = np.empty(arms), np.empty(arms), np.empty(arms)
    for k in range(arms):
        keys[k], kinds[k], means[k] = laws[k].service, laws[k].law, laws[k].a
        scales[k], thresholds[k] = duties[k].scale, duties[k].threshold
    users = rules.users
    if rules.sticky:
        for j in range(count):
            chosen[j] = _home_of(rules, row, duties, user_of(rules, row, floats, ints, first + j))
    for j in range(0 if rules.sticky else count):
        user = user_of(rules, row, floats, ints, first + j) if users > 0 else first + j
        u = route_of(rules, row, first + j, user)
        arm = 0
        for k in range(arms - 1):
            arm += integer(u >= thresholds[k])
        chosen[j] = arm
    for k in range(1, arms):
        if duties[k].misrouted > 0.0:
            for j in range(count):
                if chosen[j] == k and unit(at(row.misroute, first + j)) < duties[k].misrouted:
                    chosen[j] = 0
    for j in range(count):
        k = chosen[j]
        key = at(keys[k], (first + j) * SLOTS)
        if kinds[k] == EXPONENTIAL:
            seconds = means[k] * exponential(key)
        elif kinds[k] >= TABLED:
            seconds = service_of(laws[k], floats, first + j, 0)
        else:
            seconds = parametric(kinds[k], laws[k].a, laws[k].b, key)
        work[j] = nanoseconds(seconds * scales[k], 1)
