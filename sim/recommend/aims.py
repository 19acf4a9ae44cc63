"""What a search is for: the highest of one measure, or the frontier of two or three."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.compare.frontier import dominates
from sim.compare.measure import Measure
from sim.compare.measures import MEASURES
from sim.recommend.race import SURE, Look


class Aim(Protocol):
    """Who leads a race, and who has lost it."""

    @property
    def directions(self) -> tuple[str, ...]:
        """For the sampler, `maximize` or `minimize` by measure."""

    def names(self, look: Look) -> tuple[str, ...]:
        """The measures that candidates are compared by."""

    def worth(self, look: Look, name: str) -> tuple[float, ...] | None:
        """The estimates of a candidate by measure; None where one is not known."""

    def ranked(self, look: Look) -> list[str]:
        """Those that may be fit, the best first."""

    def beaten(self, look: Look, ranked: Sequence[str]) -> Mapping[str, str]:
        """Why candidates are shown to be of no use."""

    def chosen(self, look: Look, most: int) -> list[str]:
        """At most so many of those that are left, for the finals."""

    def leads(self, found: Mapping[str, tuple[float, ...]]) -> str:
        """Who leads by these estimates, as the end of a sentence."""


@dataclass(frozen=True)
class Highest:
    """The highest net value, or the least regret where that is not known."""

    directions: tuple[str, ...] = ("maximize",)

    def names(self, look: Look) -> tuple[str, ...]:
        return (look.aim.name,)

    def worth(self, look: Look, name: str) -> tuple[float, ...] | None:
        found = look.aim.estimate(look.trials[name]).estimate
        # As the sampler takes it: the more the better.
        return None if found is None else (found if look.aim.better == "higher" else -found,)

    def ranked(self, look: Look) -> list[str]:
        worths = {name: self.worth(look, name) or (-math.inf,) for name in look.able()}
        return sorted(worths, key=lambda name: (-worths[name][0], name))

    def beaten(self, look: Look, ranked: Sequence[str]) -> Mapping[str, str]:
        leader = ranked[0]
        return {name: f"shown to be worse than {leader}" for name in ranked if look.behind(name, leader)}

    def chosen(self, look: Look, most: int) -> list[str]:
        """The best of each kind, best first; then others, as long as there is room."""
        ranked = self.ranked(look)
        kinds = [name.rpartition("-")[0] for name in ranked]
        firsts = [name for place, name in enumerate(ranked) if kinds[place] not in kinds[:place]]
        others = [name for name in ranked if name not in firsts]
        kept = set((firsts + others)[:most])
        return [name for name in ranked if name in kept]

    def leads(self, found: Mapping[str, tuple[float, ...]]) -> str:
        best = max(found, key=lambda name: found[name], default=None)
        return f"{best} leads with {found[best][0]:.4g}" if best else ""


@dataclass(frozen=True)
class Frontier:
    """The policies that no other beats in all of two or three measures.

    Candidates are sorted into fronts, and within a front by how far neighbours are, as in NSGA-II (Deb, Pratap, Agarwal &
    Meyarivan 2002, III). One leaves the race where another is shown to be no worse in every measure and better in one.
    """

    measures: tuple[Measure, ...]

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple("maximize" if each.better == "higher" else "minimize" for each in self.measures)

    def names(self, look: Look) -> tuple[str, ...]:
        return tuple(each.name for each in self.measures)

    def worth(self, look: Look, name: str) -> tuple[float, ...] | None:
        found = [each.estimate(look.trials[name]).estimate for each in self.measures]
        known = tuple(each for each in found if each is not None)
        return known if len(known) == len(found) else None

    def _points(self, found: Mapping[str, tuple[float, ...]]) -> tuple[list[str], Floats]:
        """Names, and (n, m) their estimates, the less the better."""
        signs = np.array([-1.0 if each.better == "higher" else 1.0 for each in self.measures])
        names = sorted(found)
        return names, np.array([found[name] for name in names]).reshape(len(names), len(signs)) * signs

    def _known(self, look: Look) -> dict[str, tuple[float, ...]]:
        return {name: worth for name in look.able() if (worth := self.worth(look, name)) is not None}

    def ranked(self, look: Look) -> list[str]:
        names, points = self._points(self._known(look))
        front, apart = fronts(points), np.zeros(len(names))
        for number in np.unique(front):
            rows = np.flatnonzero(front == number)
            apart[rows] = crowding(points[rows])
        return [names[row] for row in sorted(range(len(names)), key=lambda row: (front[row], -apart[row], names[row]))]

    def beaten(self, look: Look, ranked: Sequence[str]) -> Mapping[str, str]:
        names, points = self._points({name: worth for name, worth in self._known(look).items() if name in ranked})
        front = fronts(points)
        found = {}
        for row in np.flatnonzero(front > 0):
            # Whoever is beaten by anybody is beaten by somebody on the frontier.
            for by in np.flatnonzero(front == 0):
                own, other = look.trials[names[row]], look.trials[names[by]]
                if (points[by] <= points[row]).all() and dominates(self.measures, other, own, SURE):
                    found[names[row]] = f"shown to be beaten by {names[by]} in {' and '.join(self.names(look))}"
                    break
        return found

    def chosen(self, look: Look, most: int) -> list[str]:
        """The frontier, thinned where it is dense; then the next fronts, as long as there is room. By the first measure."""
        names, points = self._points(self._known(look))
        front = fronts(points)
        kept: list[int] = []
        for number in np.unique(front):
            rows = np.flatnonzero(front == number)
            while len(rows) > most - len(kept):
                apart = crowding(points[rows])
                rows = np.delete(rows, int(np.argmin(apart)))
            kept += rows.tolist()
        return [names[row] for row in sorted(kept, key=lambda row: (*points[row].tolist(), names[row]))]

    def leads(self, found: Mapping[str, tuple[float, ...]]) -> str:
        _, points = self._points(found)
        return f"{int((fronts(points) == 0).sum())} on the frontier" if found else ""


def aim_of(names: Sequence[str]) -> Aim:
    """What the `frontier` of a search asks for; the highest net value where it names none."""
    return Frontier(tuple(MEASURES[name] for name in names)) if names else Highest()


def fronts(points: Floats) -> Ints:
    """(n,) the front of each point (n, m), the less the better: 0 of those that no other beats, 1 without these, and so on.

    A point is beaten by another that is no worse in all and better in one.

    >>> fronts(np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 3.0], [2.0, 2.0]])).tolist()
    [0, 0, 1, 0]
    """
    front = np.zeros(len(points), np.int64)
    left = np.arange(len(points))
    number = 0
    while left.size:
        own = points[left]
        beaten = np.zeros(left.size, np.bool_)
        for point in own:
            beaten |= (point <= own).all(axis=1) & (point < own).any(axis=1)
        front[left[~beaten]] = number
        left, number = left[beaten], number + 1
    return front


def crowding(points: Floats) -> Floats:
    """(n,) how far apart the neighbours of each point (n, m) are, added up over the axes, each in parts of its range.

    Infinite at the ends of each axis (Deb et al. 2002, III B).

    >>> crowding(np.array([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]])).tolist()
    [inf, 2.0, inf]
    """
    apart = np.zeros(len(points))
    for axis in points.T:
        order = np.argsort(axis, kind="stable")
        width = axis[order[-1]] - axis[order[0]]
        apart[order[[0, -1]]] = np.inf
        if width > 0:
            apart[order[1:-1]] += (axis[order[2:]] - axis[order[:-2]]) / width
    return apart
