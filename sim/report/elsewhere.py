"""What becomes of the choice in other worlds, as the rows of a small table, and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sim.compare.elsewhere import Elsewhere
from sim.compare.measures import MEASURES
from sim.compare.result import PointComparison
from sim.compare.wording import listed, with_interval
from sim.run.record import Record

HEADER = ("with", "", "the choice", "how much more it gives than the best other")


@dataclass(frozen=True)
class Row:
    """A world: what is otherwise, in words and by its values, what becomes of the choice, and by how much the policy leads."""

    what: str
    told: str
    choice: str
    lead: str


def rows(point: PointComparison) -> list[Row]:
    """A row a world, in the order of the run."""
    return [Row(each.what, each.told, _choice(point, each), _lead(each)) for each in point.elsewhere]


def left_out(run: Record) -> list[str]:
    """What is usually varied and was not, each with its reason."""
    return [f"{what}: {why}" for what, why in run.sensitivity.left_out.items()] if run.sensitivity else []


def about(point: PointComparison) -> str:
    """A sentence on how the table was made."""
    counts = sorted({each.n for each in point.elsewhere if each.n})
    replications = " or ".join(f"{count:,}" for count in counts) or "no"
    return (
        f"The policies were played again with one thing otherwise, on the first {replications} replications. A choice flips "
        "where the policy is shown to give less than another there, or not to be fit, and not so in the same replications of "
        "the run."
    )


def lines(run: Record, point: PointComparison) -> Iterator[str]:
    """The table as lines of text in columns; nothing where there are no worlds and nothing is left out."""
    found = rows(point)
    if found:
        counts = sorted({each.n for each in point.elsewhere if each.n})
        yield f"what would change it ({' or '.join(f'{count:,}' for count in counts) or 'no'} replications each):"
        names = [f"{row.what}: {row.told}" for row in found]
        width = max(map(len, names))
        yield from (f"  {name.ljust(width)}  {row.choice}" for name, row in zip(names, found, strict=True))
    yield from (f"not varied: {text}" for text in left_out(run))


def _choice(point: PointComparison, each: Elsewhere) -> str:
    if each.then == "unplayed":
        return "not played yet"
    taken = f"take {each.chosen}" if each.chosen else "none is fit there"
    if each.then == "stays":
        others = [name for name in each.tied if name != each.chosen]
        return f"stays, not told from {listed(others)} by value" if others else "stays"
    if each.then == "open":
        others = [name for name in dict.fromkeys((each.chosen or "none", *each.tied))]
        return f"cannot tell: {listed(others)}" if len(others) > 1 else f"cannot tell: {taken}"
    why = f": {point.decision.chosen} {each.why}" if each.why else ""
    return f"flips, {taken}{why}"


def _lead(each: Elsewhere) -> str:
    if each.lead.estimate is None or each.rival is None:
        return "–"
    return f"{with_interval(each.lead, MEASURES[each.aim].unit, signed=True)} against {each.rival}"
