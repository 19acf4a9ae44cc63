"""The frontier of two or three measures on fresh seeds: who is on it, who is shown not to be, and whom the memo takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.compare.decision import decide
from sim.compare.frontier import dominates, frontier
from sim.compare.measures import MEASURES, label_of
from sim.compare.trials import read_trials
from sim.compare.wording import with_interval
from sim.files import write_bytes, write_json, write_text
from sim.run.record import Record, read_run
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    from sim.compare.trials import Trials

_SURE = 0.95
FRONTIER = ("frontier.json", "frontier.csv", "frontier.png")
"""The files of a frontier: for programs, as a table, as a figure."""


@dataclass(frozen=True)
class Place:
    """Where a policy is. `why_not` says why it is not fit to be recommended; empty if it is.

    `on_frontier` is by the estimates: no other that is fit beats it in all measures. `beaten_by` are those that are shown to.
    """

    policy: str
    measures: Mapping[str, Estimate]
    on_frontier: bool
    beaten_by: tuple[str, ...]
    why_not: str = ""


@dataclass(frozen=True)
class Frontier:
    """The policies of a run by two or three measures, the best by the first measure first; baselines aside.

    `taken` is the policy that the memo takes, None where none is fit.
    """

    run: Record
    measures: tuple[str, ...]
    places: tuple[Place, ...]
    taken: str | None

    @property
    def names(self) -> list[str]:
        """The policies on the frontier."""
        return [each.policy for each in self.places if each.on_frontier]

    def label(self, measure: str) -> str:
        """What a measure is called."""
        return label_of(measure, self.run.goal)

    def lines(self) -> Iterator[str]:
        """A table for a terminal, and what follows."""
        rows = [["policy", *map(self.label, self.measures), ""]]
        rows += [
            [
                each.policy,
                *(with_interval(each.measures[name], MEASURES[name].unit) for name in self.measures),
                self._told(each),
            ]
            for each in self.places
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        yield f"The frontier of {self._listed()} on fresh seeds, with 95% intervals:"
        for row in rows:
            yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for each in self.places:
            if each.why_not:
                yield f"  {each.policy} {each.why_not}"

    def _listed(self) -> str:
        *first, last = map(self.label, self.measures)
        return f"{', '.join(first)} and {last}"

    def _told(self, place: Place) -> str:
        if place.why_not:
            return "not fit to be recommended"
        if place.beaten_by:
            return f"beaten by {', '.join(place.beaten_by)}"
        where = "on the frontier" if place.on_frontier else "not shown to be beaten"
        return f"{where}; the memo takes it" if place.policy == self.taken else where

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        about = [
            {"name": name, "label": self.label(name), "unit": MEASURES[name].unit, "better": MEASURES[name].better}
            for name in self.measures
        ]
        return {"measures": about, "policies": [asdict(each) for each in self.places], "taken": self.taken}

    def to_csv(self) -> str:
        """A row a policy: each measure with its interval, and where it is."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        bounds = [f"{name}{end}" for name in self.measures for end in ("", "_lower", "_upper")]
        lines.writerow(["policy", *bounds, "on_frontier", "beaten_by", "taken", "why_not"])
        for each in self.places:
            numbers = [
                "" if number is None else repr(number)
                for name in self.measures
                for number in (each.measures[name].estimate, each.measures[name].lower, each.measures[name].upper)
            ]
            taken = str(each.policy == self.taken).lower()
            row = [each.policy, *numbers, str(each.on_frontier).lower(), " ".join(each.beaten_by), taken, each.why_not]
            lines.writerow(row)
        return text.getvalue()

    def picture(self) -> bytes:
        """A PNG file: a chart of each two of the measures."""
        from sim.report.between import picture

        texts = {name: f"{self.label(name)} ({MEASURES[name].better} is better)" for name in self.measures}
        return picture(
            {each.policy: each.measures for each in self.places}, texts, {name: MEASURES[name].unit for name in self.measures},
            frozenset(self.names),
        )  # fmt: skip


def write_frontier(folder: Path, found: Frontier) -> None:
    """Write the files of a frontier into a folder."""
    write_json(folder / FRONTIER[0], found.to_dict())
    write_text(folder / FRONTIER[1], found.to_csv())
    write_bytes(folder / FRONTIER[2], found.picture())


def frontier_of(folder: Path, measures: Sequence[str]) -> Frontier:
    """The frontier of a run folder without a sweep, of those that are fit to be recommended."""
    run = read_run(folder)
    (trials,) = read_trials(folder, run)
    return placed(run, trials, measures)


def placed(run: Record, trials: Mapping[str, Trials], measures: Sequence[str]) -> Frontier:
    """`frontier_of` for trials in memory."""
    rows = [MEASURES[name] for name in measures]
    decision = decide(run, trials)
    pool = [trials[name] for name in decision.pool]
    estimates = {
        each.policy: {row.name: row.estimate(each) for row in rows} for each in trials.values() if not each.is_baseline
    }

    def point(name: str) -> tuple[float, ...]:
        """The estimates, the less the better; worst where there is none."""
        signs = [-1.0 if row.better == "higher" else 1.0 for row in rows]
        found = [each.estimate for each in estimates[name].values()]
        return tuple(
            float("inf") if value is None else sign * value for sign, value in zip(signs, found, strict=True)
        )  # fmt: skip

    known = {each.policy: point(each.policy) for each in pool if float("inf") not in point(each.policy)}
    best = frontier(known)
    places = [
        Place(
            name,
            estimates[name],
            name in best,
            tuple(each.policy for each in pool if name in known and dominates(rows, each, trials[name], _SURE)),
            decision.passed_over.get(name, ""),
        )
        for name in sorted(estimates, key=lambda name: (point(name), name))
    ]
    return Frontier(run, tuple(measures), tuple(places), decision.chosen)
