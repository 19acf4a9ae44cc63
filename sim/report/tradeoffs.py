"""What a policy gives against what it risks: two numbers of each policy, and who is beaten in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.compare.frontier import frontier as unbeaten
from sim.compare.memo import unit_of
from sim.report.axes import at_points, mean_time_axis, symlog_ticks
from sim.report.figures import Chart, span
from sim.report.numbers import in_line
from sim.report.source import Source
from sim.report.svg import (
    FAINT,
    FONT,
    GRID,
    GROUND,
    INK,
    QUIET,
    canvas,
    colour,
    drawing,
    inline,
    name_axes,
    readable,
    readable_y,
    shortened,
)
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 420.0, 320.0


@dataclass(frozen=True)
class Spot:
    """A policy in a chart of two measures; `place` gives its colour."""

    place: int
    policy: str
    across: Estimate
    up: Estimate

    @property
    def x(self) -> float:
        return self.across.estimate or 0.0

    @property
    def y(self) -> float:
        return self.up.estimate or 0.0


@dataclass(frozen=True)
class Tradeoff:
    """Two measures of every policy; `best` are the policies that no other beats in both.

    `frame` sets the scales of axes and returns the names of x and y. `units` and `names` are of x and y, in the chart's table.
    `joined` says that a line goes through the best.
    """

    key: str
    title: str
    spots: tuple[Spot, ...]
    best: frozenset[str]
    units: tuple[str, str]
    names: tuple[str, str]
    frame: Callable[[Axes], tuple[str, str]]
    joined: bool = True


def tradeoffs(source: Source) -> list[Chart]:
    """Value against risk, where value is known; and time against regret."""
    charts = []
    for found in filter(None, (value_and_risk(source), time_and_regret(source))):
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=26, left=56)
            x, y = found.frame(axes)
            marked(axes, found, beaten=FAINT, ground=GROUND)
            axes.grid(axis="x", color=GRID, linewidth=0.8)
            name_axes(axes, x, y)
            label_points(axes, found.spots)
            charts.append(_chart(figure, axes, found))
    return charts


def value_and_risk(source: Source) -> Tradeoff | None:
    """Mean net value against that of the worst 5% of trials: the more of both the better."""
    spots = _spots(source, "net_value_worst", "net_value")
    if not spots:
        return None
    unit = unit_of(source.run)

    def frame(axes: Axes) -> tuple[str, str]:
        padded(axes, spots)
        readable_x(axes, "value")
        readable_y(axes, "value")
        return f"net value in the worst 5% of trials, {unit}, linear", f"net value, mean, {unit}, linear"

    return Tradeoff(
        "value-and-risk", "Value against risk: upper right is better", spots,
        frozenset(unbeaten({spot.policy: (-spot.x, -spot.y) for spot in spots})),
        ("value", "value"), ("net value in the worst 5%", "mean net value"), frame,
    )  # fmt: skip


def time_and_regret(source: Source) -> Tradeoff | None:
    """Restricted mean time to a decision against mean regret: the less of both the better."""
    spots = _spots(source, "time_to_decision", "regret")
    if not spots or source.only is None:
        return None
    first, last = span(source)

    def frame(axes: Axes) -> tuple[str, str]:
        positive = [spot.x for spot in spots if spot.x > 0]
        highest = max(_bounds(spot.up)[1] for spot in spots)
        losses = [spot.y for spot in spots if spot.y > 0]
        knee = min(losses) if losses and highest / min(losses) > 50 else None
        if knee:
            axes.set_yscale("symlog", linthresh=knee)
        lowest = min(0.0, *(_bounds(spot.up)[0] for spot in spots))
        axes.set_ylim(lowest - (0 if knee else 0.03 * (highest - lowest)), highest * (1.6 if knee else 1.12) or 1.0)
        x_name = mean_time_axis(axes, first, last, log=bool(positive) and last / min(positive) > 20)
        if knee:
            symlog_ticks(axes, knee, highest)
        else:
            readable_y(axes, "value")
        scale = "logarithmic" if knee else "linear"
        return x_name, f"{shortened(source.run.primary.name, 24)} lost, mean, {scale}"

    return Tradeoff(
        "frontier", "Time against regret: lower left is better", spots, frozenset(source.only.frontier), ("s", "value"),
        ("mean time to a decision", "mean regret"), frame,
    )  # fmt: skip


def _spots(source: Source, across: str, up: str) -> tuple[Spot, ...]:
    """The policies of which both measures are known."""
    return tuple(
        Spot(place, policy.policy, x, y)
        for place, policy in enumerate(source.only.policies if source.only else ())
        for x, y in [(policy.measures.get(across), policy.measures.get(up))]
        if x and y and x.estimate is not None and y.estimate is not None
    )


def marked(axes: Axes, found: Tradeoff, *, beaten: str | None, ground: str, shades: Callable[[int], str] = colour) -> None:
    """The points with their intervals: those that another beats in both hollow, and a line through the others.

    `beaten` is the colour of the hollow ones; None for each policy's own, by its place in `shades`.
    """
    best = found.best
    joined = sorted((spot.x, spot.y) for spot in found.spots if spot.policy in best and found.joined)
    axes.plot(*zip(*joined, strict=True) if joined else ((), ()), color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for spot in found.spots:
        (left, right), (low, high) = _bounds(spot.across), _bounds(spot.up)
        shade = shades(spot.place) if spot.policy in best or beaten is None else beaten
        axes.errorbar(
            spot.x, spot.y, color=shade, marker="o", markersize=7, capsize=2.5, elinewidth=1.2, zorder=2,
            markerfacecolor=shade if spot.policy in best else ground, markeredgewidth=1.6,
            xerr=[[spot.x - left], [right - spot.x]], yerr=[[spot.y - low], [high - spot.y]],
        )  # fmt: skip


def padded(axes: Axes, spots: Sequence[Spot]) -> None:
    """Room around all intervals, for labels."""
    for bounds, limit in (
        ([_bounds(spot.across) for spot in spots], axes.set_xlim),
        ([_bounds(spot.up) for spot in spots], axes.set_ylim),
    ):
        low, high = min(each[0] for each in bounds), max(each[1] for each in bounds)
        room = 0.1 * (high - low) or abs(high) or 1.0
        limit(low - room, high + room)


def readable_x(axes: Axes, unit: str) -> None:
    """Few ticks on x, written as the rest of the report writes `unit`."""
    readable(axes.xaxis, unit)


def _chart(figure: Figure, axes: Axes, found: Tradeoff) -> Chart:
    spots, best, units, names = found.spots, found.best, found.units, found.names
    texts = [(spot.policy, in_line(spot.across, units[0]), in_line(spot.up, units[1]), spot.policy in best) for spot in spots]
    told = "; ".join(
        f"{policy}: {names[0]} {x}, {names[1]} {y}{', on the frontier' if good else ''}" for policy, x, y, good in texts
    )
    svg = inline(figure, found.key, found.title, f"{told}.")
    rows = tuple((policy, x, y, "yes" if good else "no") for policy, x, y, good in texts)
    places = at_points(axes, [(spot.x, spot.y) for spot in spots])
    return Chart(found.title, svg, ("policy", *names, "on the frontier"), rows, places)


def _bounds(estimate: Estimate) -> tuple[float, float]:
    """The interval; where there is none, the estimate."""
    middle = estimate.estimate or 0.0
    return (middle if estimate.lower is None else estimate.lower), (middle if estimate.upper is None else estimate.upper)


def label_points(axes: Axes, labelled: Sequence[Spot]) -> None:
    """Label each point at a place where its label hides no other point, no interval and no other label."""
    points = [(spot.policy, spot.x, spot.y) for spot in labelled]
    scale = axes.transData
    spots = [tuple(float(each) for each in scale.transform((x, y))) for _, x, y in points]
    intervals = []
    for spot in labelled:
        (left, right), (low, high) = _bounds(spot.across), _bounds(spot.up)
        for first, last in (((left, spot.y), (right, spot.y)), ((spot.x, low), (spot.x, high))):
            (x0, y0), (x1, y1) = scale.transform([first, last])
            intervals.append((float(x0) - 2, float(y0) - 2, float(x1) + 2, float(y1) + 2))
    inside = axes.get_window_extent()
    taken = [*intervals, *((x - 6, y - 6, x + 6, y + 6) for x, y in spots)]
    high = FONT + 2
    for (name, x, y), (left, base) in zip(points, spots, strict=True):
        text = shortened(name, 22)
        wide = 7.0 * len(text)
        places = [
            (left + 9 if side > 0 else left - 9 - wide if side < 0 else left - wide / 2, base + lift - high / 2, side)
            for lift in (0, 12, -12, 20, -20, 32, -32, 44, -44)
            for side in ((1, -1) if abs(lift) < 20 else (1, -1, 0))
        ]
        boxes = [(at, low, at + wide, low + high) for at, low, _ in places]
        costs = [
            sum(_overlap(box, other) for other in taken)
            + 3 * high * max(0.0, inside.x0 - box[0], box[2] - inside.x1 - 20)
            + 3 * wide * max(0.0, inside.y0 - box[1], box[3] - inside.y1)
            for box in boxes
        ]
        chosen = boxes[costs.index(min(costs))]
        taken.append(chosen)
        axes.annotate(
            text, (x, y), xytext=(chosen[0] - left, chosen[1] + high / 2 - base), textcoords="offset points",
            va="center_baseline", color=INK, fontsize=FONT - 0.5, zorder=3,
        )  # fmt: skip


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
