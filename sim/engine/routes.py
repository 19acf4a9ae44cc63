"""Where a tick's weights send requests, in both event engines: by cumulated weights, or where users keep their arm by homes.

*Cumulated weights* compare a request's uniform with the sums of the weights. Any change of a weight shifts all arms behind it,
which harms nobody where every request is assigned on its own. It would move users from challenger to challenger.

*Homes* are for users who keep their arm. Each of the C challengers has a home, 1 / C of all users, in a fixed order. Its weight
is filled up from there first, so that a rise only adds users and a fall takes away those who came last. What it has above 1 / C
are *guests* of the other homes. They come in from the other end, in all homes up to the same level, so that whoever is at home
meets them as late as can be. The users in between are the champion's. So every share is exact, and the rule depends on nothing
but the weights in force.

*Cookies* are of users who are assigned by request until one goes to a challenger, and then stay: after n requests at a weight w
a user is there with chance 1 - (1 - w)^n. Both event engines ask and set them in the order of events.

With one or two challengers, the users of each are a function of its own weight, and a smaller weight has some of the users of a
larger one. With three or more that holds for users at home: for all, up to a weight of 1 / C. Without a memory of who was where
it cannot hold for everyone: see docs/decisions/0020-users-keep-their-arm.md.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.population import Population


class Router(Protocol):
    """Where the weights of one replication and tick send requests."""

    def arm(self, route: float, guest: float) -> int:
        """The arm of a request, by its uniform numbers."""


@dataclass(frozen=True)
class ByWeight:
    """By cumulated weights: `thresholds` (K)."""

    thresholds: list[float]

    def arm(self, route: float, guest: float) -> int:
        """The arm of a request; `guest` is not looked at."""
        return bisect_right(self.thresholds, route)


@dataclass(frozen=True)
class ByHome:
    """By homes: `own`, `guests` and `thresholds` (C), as in `Homes`."""

    own: list[float]
    guests: list[float]
    thresholds: list[float]

    def arm(self, route: float, guest: float) -> int:
        """The arm of a user: of their home, the champion, or the arm whose guest they are."""
        home, within = divmod(route * len(self.own), 1)
        number = int(home)
        if within >= self.own[number]:
            return 1 + number
        return 0 if within >= self.guests[number] else 1 + bisect_right(self.thresholds, guest)


class Homes(NamedTuple):
    """(r, C) arrays, by challenger. A user is at a place 0 ≤ x < 1 of a home.

    Its challenger serves x ≥ `own`, the champion `guests` ≤ x < `own`; of those below, `thresholds` for a second uniform tell
    whose guest one is.
    """

    own: Floats
    guests: Floats
    thresholds: Floats


def thresholds(live: Floats) -> Floats:
    """(r, K) thresholds for a uniform number: cumulative weights; infinite from the last arm with any weight on.

    >>> thresholds(np.array([[0.25, 0.75, 0.0]])).tolist()
    [[0.25, inf, inf]]
    """
    limits = np.cumsum(live, axis=1)
    last = live.shape[1] - 1 - np.argmax(live[:, ::-1] > 0, axis=1)
    limits[np.arange(live.shape[1]) >= last[:, None]] = np.inf
    return limits


def homes(live: Floats) -> Homes:
    """The homes of C = K − 1 challengers under the weights (r, K).

    Half of all users are at home with each of two challengers. One of them has 10% too many for that, who are guests in a
    fifth of the other home.

    >>> homes(np.array([[0.3, 0.6, 0.1]])).own.round(3).tolist()
    [[0.0, 0.8]]
    >>> homes(np.array([[0.3, 0.6, 0.1]])).guests.round(3).tolist()
    [[0.0, 0.2]]
    """
    challengers = live[:, 1:]
    wanted = challengers * challengers.shape[1]
    own, more = 1 - np.minimum(wanted, 1), np.maximum(wanted - 1, 0)
    total = more.sum(axis=1, keepdims=True)
    # An arm without weight gets nobody, also where weights sum to 100% but for rounding.
    guests = np.where(live[:, :1] > 0, np.minimum(own, _level(own, total)), own)
    shares = np.where(total > 0, more / np.where(total > 0, total, 1), challengers)
    return Homes(own, guests, thresholds(shares))


def routers(live: Floats, sticky: bool) -> list[Router]:
    """The routers of r replications under the weights (r, K); `sticky` says that users keep their arm.

    >>> before, after = routers(np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2]]), sticky=True)
    >>> [(before.arm(u, 0), after.arm(u, 0)) for u in (0.28, 0.35, 0.48, 0.78, 0.85, 0.98)]
    [(0, 0), (0, 1), (1, 1), (0, 0), (0, 2), (2, 2)]
    """
    if sticky:
        return [ByHome(*row) for row in zip(*(limits.tolist() for limits in homes(live)), strict=True)]
    return [ByWeight(row) for row in thresholds(live).tolist()]


class Cookies:
    """Who was sent to a challenger, and stays there: the arm that each of U users keeps, in R replications; 0 of none.

    A challenger that has no weight in a tick keeps nobody: a canary that is taken away and comes back is another one.
    """

    def __init__(self, replications: int, users: int, arms: int) -> None:
        self.kept = np.zeros((replications, users), np.int8)
        self._served = np.zeros((replications, arms), bool)

    @classmethod
    def of(cls, population: Population | None, replications: int, arms: int) -> Cookies:
        """Those of a world's users, none of whom has met a challenger; of nobody where users do not stay that way."""
        return cls(replications, population.users if population is not None and population.ratchets else 0, arms)

    def begin(self, rows: Ints, live: Floats) -> None:
        """Forget the users of those arms that had weight in replications (r,), and have none by the shares (r, K) of now."""
        if self.kept.size == 0:
            return
        served = live > 0
        for place, arm in np.argwhere(self._served[rows] & ~served):
            kept = self.kept[rows[place]]
            kept[kept == arm] = 0
        self._served[rows] = served


def _level(rooms: Floats, needed: Floats) -> Floats:
    """(r, 1) the level up to which rooms (r, C) are filled where (r, 1) is needed in all: the sum of min(room, level)."""
    count = rooms.shape[1]
    rising = np.sort(rooms, axis=1)
    before = np.cumsum(rising, axis=1) - rising
    left = count - np.arange(count)
    # The first room that need not be full; the largest, if all must be.
    first = np.minimum((before + left * rising < needed).sum(axis=1, keepdims=True), count - 1)
    level: Floats = (needed - np.take_along_axis(before, first, axis=1)) / left[first]
    return level
