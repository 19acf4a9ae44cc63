"""Two or three measures of policies as one picture: a chart of each two of them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sim.report.svg import FAINT, GRID, drawing, readable_y
from sim.report.tradeoffs import Spot, Tradeoff, label_points, marked, padded, readable_x
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT, _DPI = 6.4, 4.8, 110
"""Inches of a chart; pixels an inch."""
_POINTS = 72
"""Points an inch, which labels are laid out in."""


def picture(
    estimates: Mapping[str, Mapping[str, Estimate]], labels: Mapping[str, str], units: Mapping[str, str], best: frozenset[str]
) -> bytes:  # fmt: skip
    """A PNG file of the estimates by policy and measure, with their 95% intervals; the same bytes for the same estimates.

    `labels` and `units` are by measure. Policies that are not among `best` are hollow; a line joins the others.
    """
    from matplotlib.figure import Figure

    pairs = list(itertools.combinations(labels, 2))
    with drawing():
        figure = Figure(figsize=(_WIDTH * len(pairs), _HEIGHT), dpi=_POINTS, layout="constrained", facecolor="white")
        every = [(figure.add_subplot(1, len(pairs), place), pair) for place, pair in enumerate(pairs, start=1)]
        drawn = [(axes, _drawn(axes, pair, estimates, labels, units, best)) for axes, pair in every]
        # Labels stand where no other is, so the layout must be known.
        figure.draw_without_rendering()
        for axes, spots in drawn:
            label_points(axes, spots)
        held = io.BytesIO()
        # Without the version of Matplotlib, which is no part of the result.
        figure.savefig(held, format="png", dpi=_DPI, metadata={"Software": None})
    return held.getvalue()


def _drawn(
    axes: Axes, pair: tuple[str, str], estimates: Mapping[str, Mapping[str, Estimate]], labels: Mapping[str, str],
    units: Mapping[str, str], best: frozenset[str],
) -> tuple[Spot, ...]:  # fmt: skip
    """Draw one chart; the policies that are on it."""
    across, up = pair
    spots = tuple(
        Spot(place, policy, own[across], own[up])
        for place, (policy, own) in enumerate(estimates.items())
        if own[across].estimate is not None and own[up].estimate is not None
    )
    if not spots:
        axes.text(0.5, 0.5, "No policy has both.", ha="center", va="center")
        return ()
    padded(axes, spots)
    readable_x(axes, units[across])
    readable_y(axes, units[up])
    # Of three measures a frontier is a surface: no line goes through two of them.
    found = Tradeoff(
        "", "", spots, best, (units[across], units[up]), (labels[across], labels[up]), lambda _: (labels[across], labels[up]),
        joined=len(labels) == 2,
    )  # fmt: skip
    marked(axes, found, beaten=FAINT, ground="white")
    axes.grid(color=GRID, linewidth=0.8)
    for text in (axes.set_xlabel(labels[across]), axes.set_ylabel(labels[up])):
        # A label is text, and no mathematics.
        text.set_parse_math(False)
    return spots
