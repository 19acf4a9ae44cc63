"""Which arm serves a request, and how long its first attempt takes there: what depends on no other event of the tick."""

from __future__ import annotations

from typing import Any

from sim.jit import compiled, integer
from sim.world.potential import guest_of, route_of, service_of, user_of
from sim.world.sampling import BLOCK, EXPONENTIAL, SLOTS, TABLED, at, log, nanoseconds, parametric, unit


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
    rules: Any, row: Any, laws: Any, duties: Any, floats: Any, ints: Any, first: Any, count: Any, chosen: Any, work: Any,
    room: Any,
) -> None:  # fmt: skip
    """Fill in the arm (`chosen`) and the service time (`work`) of each first attempt of a tick. room (count,) is to work in.

    They do not depend on other events. In passes over blocks that have no branches, a processor draws several at once.
    """
    plain = True
    for k in range(laws.size):
        plain = plain and laws[k].law == EXPONENTIAL
    for start in range(0, count, BLOCK):
        end = min(start + BLOCK, count)
        # Loops over a whole array are vectorised, as its places are known to be within it.
        arm, time, u = chosen[start:end], work[start:end], room[start:end]
        _choose(rules, row, duties, floats, ints, first + start, arm, u)
        if plain:
            _exponential_work(laws, duties, first + start, arm, time, u)
        else:
            for j in range(time.size):
                k, i = arm[j], first + start + j
                if laws[k].law >= TABLED:
                    seconds = service_of(laws[k], floats, i, 0)
                else:
                    seconds = parametric(laws[k].law, laws[k].a, laws[k].b, at(laws[k].service, i * SLOTS))
                time[j] = nanoseconds(seconds * duties[k].scale, 1)


@compiled
def _choose(rules: Any, row: Any, duties: Any, floats: Any, ints: Any, first: Any, chosen: Any, room: Any) -> None:
    """Fill in the arms of a block of requests, of which the first is number `first`."""
    if rules.sticky:
        for j in range(chosen.size):
            chosen[j] = _home_of(rules, row, duties, user_of(rules, row, floats, ints, first + j))
    else:
        # Without homes, the uniform is the request's own.
        key, threshold = row.route, duties[0].threshold
        for j in range(chosen.size):
            room[j] = unit(at(key, first + j))
        for j in range(chosen.size):
            chosen[j] = integer(room[j] >= threshold)
        for k in range(1, duties.size - 1):
            threshold = duties[k].threshold
            for j in range(chosen.size):
                chosen[j] += integer(room[j] >= threshold)
    for k in range(1, duties.size):
        misrouted = duties[k].misrouted
        if misrouted > 0.0:
            for j in range(chosen.size):
                if chosen[j] == k and unit(at(row.misroute, first + j)) < misrouted:
                    chosen[j] = 0


@compiled
def copy_to(laws: Any, duties: Any, first: Any, chosen: Any, copied: Any) -> None:
    """Fill in which requests, sent to the arms `chosen` (n,), may have a copy: 1, or 0 where none of their arms gets one."""
    for start in range(0, chosen.size, BLOCK):
        arm, flags = chosen[start : start + BLOCK], copied[start : min(start + BLOCK, chosen.size)]
        flags[:] = 0
        for k in range(duties.size):
            key, share = laws[k].mirror, max(duties[k].mirror, duties[k].mirror_writes)
            if share > 0.0:
                for j in range(flags.size):
                    flags[j] |= integer((unit(at(key, first + start + j)) < share) & (arm[j] != k))


@compiled
def pick(chosen: Any, arm: Any, value: Any, into: Any) -> None:
    """Set `into` (n,) to a value where the chosen arm (n,) is this one; for arm 0 everywhere, so ask for arms in order."""
    if arm == 0:
        into[:] = value
    else:
        for j in range(chosen.size):
            into[j] = value if chosen[j] == arm else into[j]


@compiled
def _exponential_work(laws: Any, duties: Any, first: Any, chosen: Any, work: Any, room: Any) -> None:
    """Fill in the service times of a block of requests, where those of all arms are exponential."""
    for k in range(laws.size):
        pick(chosen, k, integer(laws[k].service), work)
    for j in range(room.size):
        room[j] = unit(at(work[j], (first + j) * SLOTS))
    for j in range(room.size):
        room[j] = -log(room[j])
    for k in range(laws.size):
        mean, scale = laws[k].a, duties[k].scale
        for j in range(work.size):
            work[j] = nanoseconds(mean * room[j] * scale, 1) if chosen[j] == k else work[j]
