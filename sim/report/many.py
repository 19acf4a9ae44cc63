"""What is shown of a run of many points: stretches of points with the same choice, and a few of the points by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sim.compare.memo import unit_of
from sim.compare.result import Comparison, Judgement, PointComparison
from sim.compare.wording import number
from sim.report.listed import NAME
from sim.report.numbers import MISSING

T = TypeVar("T")

MOST_POINTS = 100
"""Of up to so many points, each has its rows in every table, and a section of its own."""
FEW, ROWS = 12, 25
"""Of more points, how many have a section, and how many have a row where there is a file with all of them."""
MOST_STRETCHES = 40
MOST_WARNED, MOST_JUDGED = 20, 100
"""Warnings, and thresholds, that are shown one by one."""


@dataclass(frozen=True)
class Stretch:
    """Points one after another at which the same policy is taken.

    `where` names the first and the last, `values` is what the policy gives, from the least to the greatest estimate;
    `policy` is a dash where none is fit.
    """

    where: str
    points: int
    policy: str
    values: str


def is_many(comparison: Comparison) -> bool:
    """Whether a run has more points than are shown one by one."""
    return len(comparison.points) > MOST_POINTS


def thinned(values: Sequence[T], most: int = ROWS) -> list[T]:
    """At most so many of some values, evenly spread, with both ends.

    >>> thinned("abcdefg", 4), thinned("ab", 4)
    (['a', 'c', 'e', 'g'], ['a', 'b'])
    """
    if len(values) <= most:
        return list(values)
    return [values[at] for at in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int)).tolist()]


def few(comparison: Comparison) -> list[PointComparison]:
    """The points that have a section of their own: all with trials or, of many, a few from the first to the last."""
    played = [point for point in comparison.points if point.policies]
    return thinned(played, FEW) if is_many(comparison) else played


def stretches(comparison: Comparison) -> tuple[str, list[Stretch]]:
    """What policies are chosen by, and the stretches of points with trials at which the choice is the same, in order.

    With two swept keys, a stretch has one value of the first.
    """
    played = [point for point in comparison.points if point.policies]
    aims = list(dict.fromkeys(point.decision.aim for point in played))
    groups: list[list[PointComparison]] = []
    for point in played:
        before = groups[-1][-1] if groups else None
        if before is not None and _alike(before, point):
            groups[-1].append(point)
        else:
            groups.append([point])
    told = f"{' or '.join(comparison.measures[aim].label for aim in aims)}, {unit_of(comparison.run)}"
    return told, [_stretch(comparison, group) for group in groups]


def _alike(one: PointComparison, other: PointComparison) -> bool:
    return (one.decision.chosen, one.decision.aim, one.values[:-1]) == (
        other.decision.chosen, other.decision.aim, other.values[:-1],
    )  # fmt: skip


def _stretch(comparison: Comparison, points: Sequence[PointComparison]) -> Stretch:
    first, last, chosen = points[0], points[-1], points[0].decision.chosen
    where = first.label if first is last else f"{first.label} to {last.label}"
    aim = first.decision.aim
    found = [] if chosen is None else [point.estimate(chosen, aim).estimate for point in points]
    known = sorted(value for value in found if value is not None)
    unit = comparison.measures[aim].unit
    ends = dict.fromkeys(number(value, unit) for value in (known[0], known[-1])) if known else {}
    return Stretch(where, len(points), chosen or MISSING, " to ".join(ends) or MISSING)


def more_stretches(found: Sequence[Stretch]) -> str:
    """A sentence on the stretches that are not shown; empty where all are."""
    left = len(found) - MOST_STRETCHES
    if left <= 0:
        return ""
    changes = f" The choice changes {len(found) - 1:,} times"
    return f"{changes}; these are the first {MOST_STRETCHES} stretches, and {NAME} has all points."


def judged(comparison: Comparison) -> tuple[Sequence[Judgement], str]:
    """The thresholds that are shown one by one, and a sentence on the others; all, where there are not very many."""
    every = comparison.thresholds
    if not is_many(comparison) or len(every) <= MOST_JUDGED:
        return every, ""
    breached = [each for each in every if each.breached]
    count = f"{len(every):,} thresholds were judged, of which {len(breached):,} are breached."
    if len(breached) > MOST_JUDGED:
        return breached[:MOST_JUDGED], f"{count} These are the first {MOST_JUDGED}; summary.json has all."
    return breached, f"{count} Those are shown; summary.json has all."


def warned(warnings: Sequence[str]) -> list[str]:
    """Warnings that are shown one by one, and a line about the others."""
    left = len(warnings) - MOST_WARNED
    return [*warnings[:MOST_WARNED], *([f"{left:,} more warnings are in run.json"] if left > 0 else [])]
