"""Where keys are swept: a measure against the swept value, one line a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.compare.result import Comparison, PointComparison
from sim.compare.trials import BASELINES
from sim.report.axes import at_times, symlog_ticks
from sim.report.figures import HEIGHT, WIDTH, Chart
from sim.report.many import thinned
from sim.report.marks import dotted
from sim.report.numbers import in_line
from sim.report.source import Source
from sim.report.svg import canvas, colour, drawing, inline, label_ends, name_axes, readable_y, room_for, shortened, time_y
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


CURVES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "How often does each policy ship, and how often wrongly?",
        "Where the challenger is better, the share that ships is the power of the policy; where it is no better, its error.",
        ("ship", "wrong_ship"),
    ),
    (
        "How long does a decision take?",
        "The time by which 20, 50 and 80% of all trials have a verdict, with a gap where that is not reached by the horizon; "
        "and the mean, in which a trial without a verdict counts as the horizon.",
        ("time_to_decision_p20", "time_to_decision_p50", "time_to_decision_p80", "time_to_decision"),
    ),
    (
        "What does it give, and what does it cost?",
        "Net value against keeping the champion, regret by the horizon, and requests that were served by an arm that is worse.",
        ("net_value", "net_value_worst", "value_per_year", "regret", "harmed_requests"),
    ),
    (
        "What are the estimates worth?",
        "What a team would report at the verdict against what is true: the bias of shipped challengers, type M error, and how "
        "often the usual 95% interval holds the truth.",
        ("winner_bias", "exaggeration", "effect_coverage"),
    ),
)
"""Title, explanation, and the measures that are drawn."""
LEGEND = (("dotted", "estimate at a point, a colour a policy"), ("band", "95% interval"))

# Measures whose charts leave out baselines, which always decide the same, at once.
_WITHOUT_BASELINES = ("ship", *CURVES[1][2])
MOST_ROWS = 100
"""Of up to so many points, the data of a chart has a row for each."""
# The axis is logarithmic from this ratio of the largest swept number to the smallest.
_LOG = 20.0
# So is the axis of amounts from this ratio on.
_LOG_Y = 50.0


def curves(source: Source, measures: Sequence[str]) -> list[Chart]:
    """The charts of some measures: one a measure, or with two keys one a measure and value of the second key.

    None where nothing is swept.
    """
    comparison = source.comparison
    if not comparison.paths:
        return []
    charts = []
    for name in measures:
        for at, second in enumerate(dict.fromkeys(point.values[1:] for point in comparison.points)):
            shown = [point for point in comparison.points if point.values[1:] == second]
            title = comparison.measures[name].label
            if second:
                title += f" at {second[0]}"
            charts.append(_chart(comparison, name, shown, f"sweep-{name.replace('_', '-')}-{at}", title))
    return [chart for chart in charts if chart is not None]


@dataclass(frozen=True)
class Along:
    """A measure against a swept key: `texts` and `x` (P,) are of the points, `lines` are (place, policy, P estimates).

    `log`: whether x is logarithmic.
    """

    comparison: Comparison
    name: str
    texts: tuple[str, ...]
    x: Floats
    log: bool
    lines: tuple[tuple[int, str, tuple[Estimate | None, ...]], ...]

    @property
    def unit(self) -> str:
        return self.comparison.measures[self.name].unit

    @property
    def says_something(self) -> bool:
        """Whether there is more to draw than nothing, or a zero at every point."""
        lines = [line[np.isfinite(line)] for *_, found in self.lines for line in [_values(found, "estimate")]]
        return any(line.size and (self.unit == "share" or line.any()) for line in lines)

    def draw(self, axes: Axes, shades: Callable[[int], str] = colour) -> tuple[str, str]:
        """Lines with their intervals, and the scales of the axes. Returns the name of x, and what to say of the scale of y."""
        for place, _, found in self.lines:
            line, low, high = (_values(found, side) for side in ("estimate", "lower", "upper"))
            dotted(axes, self.x, line, low, high, shades(place))
        _x_axis(axes, self.x, self.texts, self.log)
        scale = _y_axis(axes, [found for *_, found in self.lines], self.unit)
        return f"{shortened(self.comparison.paths[0], 40)}{', logarithmic' if self.log else ''}", scale


def along(comparison: Comparison, name: str, points: Sequence[PointComparison]) -> Along:
    """A measure at some points, which differ in the first swept key. Baselines are left out where they say nothing."""
    x, log = _positions([point.numbers[0] for point in points])
    order = np.argsort(x, kind="stable")
    points, x = [points[at] for at in order], x[order]
    lines = []
    for place, policy in enumerate(comparison.run.policies):
        if policy.kind in BASELINES and name in _WITHOUT_BASELINES:
            continue
        summaries = [point.policy(policy.name) for point in points]
        found = tuple(None if each is None else each.measures.get(name) for each in summaries)
        if any(each and each.n for each in found):
            lines.append((place, policy.name, found))
    return Along(comparison, name, tuple(point.values[0] for point in points), x, log, tuple(lines))


def _chart(comparison: Comparison, name: str, points: Sequence[PointComparison], key: str, title: str) -> Chart | None:
    shown = along(comparison, name, points)
    if not shown.says_something:
        return None
    path, unit, lines, texts = comparison.paths[0], shown.unit, shown.lines, shown.texts
    ends = [(policy, line[np.isfinite(line)], place) for place, policy, found in lines for line in [_values(found, "estimate")]]
    with drawing():
        figure, axes = canvas(WIDTH, HEIGHT, right=room_for([policy for _, policy, _ in lines]), left=56)
        x_name, scale = shown.draw(axes)
        name_axes(axes, x_name, f"{comparison.measures[name].label}{scale}")
        label_ends(axes, [(policy, float(line[-1]), colour(place)) for policy, line, place in ends if line.size])
        # Of many points, a few are told in words and have a row.
        rows_at = list(range(len(texts))) if len(texts) <= MOST_ROWS else thinned(range(len(texts)))
        told = "; ".join(
            f"{policy}: {', '.join(f'{in_line(found[at], unit)} at {texts[at]}' for at in rows_at)}"
            for _, policy, found in lines
        )
        places = at_times(axes, shown.x[rows_at])
        svg = inline(figure, key, f"{title}, against {path}", f"{told}.")
    rows = tuple((texts[at], *(in_line(found[at], unit) for *_, found in lines)) for at in rows_at)
    return Chart(title, svg, (path, *(policy for _, policy, _ in lines)), rows, places)


def _y_axis(axes: Axes, lines: Sequence[Sequence[Estimate | None]], unit: str) -> str:
    """The axis of a measure, logarithmic where an amount goes over many powers of ten. Returns what to say of its scale."""
    estimates = np.concatenate([_values(found, "estimate") for found in lines])
    bounds = np.concatenate([_values(found, side) for found in lines for side in ("lower", "upper")])
    known = np.append(np.concatenate([estimates, bounds]), 0.0)
    top, bottom = float(np.nanmax(known)), float(np.nanmin(known))
    if unit == "share":
        axes.set_ylim(0, 1 if top > 0.5 else top * 1.08 or 0.01)
        readable_y(axes, unit)
        return ""
    if unit == "s":
        axes.set_ylim(0, top * 1.05 or 1)
        time_y(axes, top)
        return ", linear"
    sizes = np.abs(estimates[np.isfinite(estimates) & (estimates != 0)])
    if sizes.size and sizes.max() / sizes.min() >= _LOG_Y:
        knee = max(float(sizes.min()), float(sizes.max()) / 1e5)
        axes.set_yscale("symlog", linthresh=knee)
        axes.set_ylim(bottom * 1.3, top * 1.3 or knee)
        symlog_ticks(axes, knee, top, bottom, unit)
        return ", logarithmic"
    axes.set_ylim(bottom * 1.05, top * 1.05 or 1)
    readable_y(axes, unit)
    return ", linear"


def _positions(numbers: Sequence[float | None]) -> tuple[Floats, bool]:
    """Positions on the axis, and whether it is logarithmic. Values that are no distinct numbers are evenly spaced."""
    if any(number is None for number in numbers) or len(set(numbers)) < len(numbers):
        return np.arange(len(numbers), dtype=np.float64), False
    x = np.array(numbers, dtype=np.float64)
    return x, bool(x.min() > 0 and x.max() / x.min() >= _LOG)


def _x_axis(axes: Axes, x: Floats, texts: Sequence[str], log: bool) -> None:
    """A tick at every value, as the file writes it, as far as there is room for its text."""
    if log:
        axes.set_xscale("log")
        axes.minorticks_off()
    margin = 0.03 * (x[-1] - x[0]) or 1.0
    axes.set_xlim((x[0] * 0.93, x[-1] * 1.07) if log else (x[0] - margin, x[-1] + margin))
    short = [shortened(text, 16) for text in texts]
    pixels = axes.transData.transform(np.column_stack([x, np.zeros(x.size)]))[:, 0]
    kept: list[int] = []
    # Place the two ends first, then the ticks that fit between them.
    for at in dict.fromkeys((0, x.size - 1, *range(x.size))):
        if all(abs(pixels[at] - pixels[other]) > 3.4 * (len(short[at]) + len(short[other])) + 6 for other in kept):
            kept.append(at)
    axes.set_xticks(x[sorted(kept)], [short[at] for at in sorted(kept)])


def _values(found: Sequence[Estimate | None], side: str) -> Floats:
    return np.array([None if each is None else getattr(each, side) for each in found], dtype=np.float64)
