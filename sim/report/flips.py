"""What would change the choice: tables of other worlds, and of other values, at half, at twice, and from which value on."""

from __future__ import annotations

from html import escape

from sim.compare.memo import LABELS, amount_of
from sim.compare.result import Comparison, PointComparison
from sim.compare.sensitivity import Sensitivity, Turn
from sim.report import elsewhere
from sim.report.parts import scrolling_table, table_row
from sim.run.record import Record

TITLE = "What would change the choice?"


def flips(comparison: Comparison, point: PointComparison) -> str:
    """The section about a point; empty where there is nothing to choose from, or nothing was varied."""
    parts = [part for part in (_played_again(comparison.run, point), _exact(comparison, point)) if part]
    return "\n".join([f"<h2>{TITLE}</h2>", *parts]) if parts else ""


def _played_again(run: Record, point: PointComparison) -> str:
    """The table of the other worlds, and what was left out of them."""
    parts = []
    if point.elsewhere:
        body = (
            table_row(row.what, (f"<td>{escape(text)}</td>" for text in (row.told, row.choice, row.lead)))
            for row in elsewhere.rows(point)
        )
        parts.append(f"<p>{escape(elsewhere.about(point))}</p>")
        parts.append(scrolling_table("The choice in other worlds", elsewhere.HEADER, body, style="text"))
    if left_out := elsewhere.left_out(run):
        parts.append(f"<p>Not varied: {escape('; '.join(left_out))}.</p>")
    return "\n".join(parts)


def _exact(comparison: Comparison, point: PointComparison) -> str:
    """The table of the lifetime and the prices; empty where net value is not known."""
    if not point.sensitivity:
        return ""
    header = ("value", "in the scenario", "at half of it", "at twice", "another gives most below", "above")
    body = (_row(comparison.run, point.decision.chosen, each) for each in point.sensitivity)
    return (
        "<p>Net value is linear in each of these, so this is exact, and no trial was "
        "played for it. The first columns are whole choices, the last two where another policy comes to have the highest "
        "mean.</p>\n" + scrolling_table("The choice at other values", header, body, style="text")
    )


def _row(run: Record, chosen: str | None, each: Sensitivity) -> str:
    cells = [amount_of(run, each.key, each.now)]
    for half in (True, False):
        found = [varied for varied in each.varied if (varied.value < each.now) == half]
        cells += [_choice(chosen, varied.chosen) for varied in found] or ["–"]
    cells += [_turn(run, each, each.below), _turn(run, each, each.above)]
    return table_row(LABELS[each.key], (f"<td>{escape(text)}</td>" for text in cells))


def _choice(chosen: str | None, other: str | None) -> str:
    return "the same" if other == chosen else other or "none is fit"


def _turn(run: Record, each: Sensitivity, turn: Turn | None) -> str:
    return f"{amount_of(run, each.key, turn.value)}: {turn.policy}" if turn else "–"
