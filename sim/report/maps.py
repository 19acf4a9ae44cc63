"""Where two keys are swept over many points: a measure as a map of both, one map a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats, Ints
from sim.compare.result import Comparison
from sim.report.curves import CURVES
from sim.report.figures import HEIGHT, WIDTH, Chart
from sim.report.many import thinned
from sim.report.numbers import MISSING, in_line, number
from sim.report.source import Source
from sim.report.svg import COLOURS, FONT, INK, QUIET, canvas, colour, drawing, inline, name_axes, room_for, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

_SHOWN = ("ship", "wrong_ship", "time_to_decision", "net_value", "regret")
MAPS = tuple(
    (title, f"{about} A map a policy, unless it is the same everywhere; no colour where there is no estimate.", shown)
    for title, about, measures in CURVES
    if (shown := tuple(name for name in measures if name in _SHOWN))
)
"""Title, explanation, and the measures that are drawn."""
MOST_POLICIES = 6
"""So many policies have maps: those that are taken at most points, and then those that stand first in the scenario."""
_ROWS, _COLUMNS = 12, 8
_LETTERS = 10
_COLOURS = "cividis"
_RIGHT = 66.0


@dataclass(frozen=True)
class Grid:
    """The points of two swept keys, rising where they are numbers.

    `places` (A, B) are the numbers of the points: the first key has the A values `down`, the second the B values `across`.
    """

    down: tuple[str, ...]
    across: tuple[str, ...]
    places: Ints


def grid(comparison: Comparison) -> Grid:
    """The grid of a comparison of two swept keys."""
    number_of = {point.values: at for at, point in enumerate(comparison.points)}
    down, across = (_values(comparison, key) for key in (0, 1))
    return Grid(down, across, np.array([[number_of[one, other] for other in across] for one in down]))


def _values(comparison: Comparison, key: int) -> tuple[str, ...]:
    by_text = {point.values[key]: point.numbers[key] for point in comparison.points}
    known = [value for value in by_text.values() if value is not None]
    if len(set(known)) < len(by_text):
        return tuple(by_text)
    return tuple(sorted(by_text, key=lambda text: by_text[text] or 0.0))


def maps(source: Source, measures: Sequence[str]) -> list[Chart]:
    """The maps of some measures: one a measure and policy whose estimates differ between points."""
    comparison = source.comparison
    found = grid(comparison)
    charts = []
    for name in measures:
        for place, policy in shown_policies(comparison):
            values = np.array([[_estimate(comparison, at, policy, name) for at in row] for row in found.places], np.float64)
            known = values[np.isfinite(values)]
            if known.size and known.min() < known.max():
                charts.append(_map(comparison, found, values, name, policy, f"map-{name.replace('_', '-')}-{place}"))
    return charts


def shown_policies(comparison: Comparison) -> list[tuple[int, str]]:
    """Place and name of the policies that have maps."""
    taken = [point.decision.chosen for point in comparison.points]
    places = [(place, policy.name) for place, policy in enumerate(comparison.run.policies)]
    return sorted(sorted(places, key=lambda each: -taken.count(each[1]))[:MOST_POLICIES])


def chosen(source: Source) -> list[Chart]:
    """The map of the policies to take; none where the same is taken everywhere."""
    comparison = source.comparison
    found = grid(comparison)
    taken = [point.decision.chosen if point.policies else None for point in comparison.points]
    names = [policy.name for policy in comparison.run.policies if policy.name in taken]
    if len(set(taken)) < 2:
        return []
    places = [policy.name for policy in comparison.run.policies]
    numbers = np.array([np.nan if each is None else places.index(each) % len(COLOURS) for each in taken])
    title = "Policy to take"
    with drawing():
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        figure, axes = canvas(WIDTH, HEIGHT, right=room_for(names) + 10, left=64)
        _image(axes, found, numbers[found.places], ListedColormap(COLOURS), (0, len(COLOURS) - 1))
        name_axes(axes, shortened(comparison.paths[1], 40), shortened(comparison.paths[0], 40))
        key = axes.legend(
            [Patch(color=colour(places.index(name))) for name in names],
            [str(at) for at in range(len(names))],
            loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, handlelength=0.8, borderpad=0, fontsize=FONT - 1,
        )  # fmt: skip
        # Texts are set last: Matplotlib leaves out labels that begin with _.
        for name, text in zip(names, key.get_texts(), strict=True):
            text.set_text(shortened(name, 16))
            text.set_color(INK)
        told = "; ".join(f"{name or 'none'} at {taken.count(name):,} points" for name in dict.fromkeys(taken))
        svg = inline(figure, "map-taken", title, f"{told}.")
    return [_chart(comparison, found, title, svg, [each or MISSING for each in taken])]


def _map(comparison: Comparison, found: Grid, values: Floats, name: str, policy: str, key: str) -> Chart:
    measure = comparison.measures[name]
    known = values[np.isfinite(values)]
    low, high = float(known.min()), float(known.max())
    if measure.unit == "share":
        low, high = 0.0, (1.0 if high > 0.5 else high or 0.01)
    title = f"{measure.label}, {policy}"
    with drawing():
        from matplotlib import colormaps

        figure, axes = canvas(WIDTH, HEIGHT, right=_RIGHT, left=64)
        image = _image(axes, found, values, colormaps[_COLOURS], (low, high if high > low else low + 1.0))
        beside = axes.inset_axes((1.03, 0.0, 0.04, 1.0))
        bar = figure.colorbar(image, cax=beside)
        bar.outline.set_visible(False)
        stops = np.linspace(low, high, 5) if high > low else np.array([low])
        bar.set_ticks(stops.tolist(), labels=[number(float(stop), measure.unit) for stop in stops])
        beside.tick_params(colors=QUIET, labelsize=FONT - 2, length=0, pad=3)
        name_axes(axes, shortened(comparison.paths[1], 40), shortened(comparison.paths[0], 40))
        where = [int(np.nanargmin(values)), int(np.nanargmax(values))]
        least, most = (comparison.points[found.places.flat[at]].label for at in where)
        below, above = (number(float(value), measure.unit) for value in (known.min(), known.max()))
        told = f"{title}: from {below} at {least} to {above} at {most}."
        svg = inline(figure, key, f"{title}, against {comparison.paths[0]} and {comparison.paths[1]}", told)
    estimates = [point.policy(policy) for point in comparison.points]
    texts = [MISSING if each is None else in_line(each.measures.get(name), measure.unit) for each in estimates]
    return _chart(comparison, found, title, svg, texts)


def _image(axes: Axes, found: Grid, values: Floats, colours: Colormap, limits: tuple[float, float]) -> AxesImage:
    """A cell of its colour for each point, and a few of the values of the keys on the axes."""
    axes.grid(visible=False)
    image = axes.imshow(
        values, origin="lower", aspect="auto", interpolation="none", cmap=colours, vmin=limits[0], vmax=limits[1],
    )  # fmt: skip
    for axis, texts, most in ((axes.xaxis, found.across, 4), (axes.yaxis, found.down, 6)):
        at = thinned(range(len(texts)), most)
        axis.set_ticks(at, labels=[shortened(texts[each], _LETTERS) for each in at])
    return image


def _chart(comparison: Comparison, found: Grid, title: str, svg: str, texts: Sequence[str]) -> Chart:
    """The chart with some of its cells as a table: the values of the first key downwards."""
    rows, columns = thinned(range(len(found.down)), _ROWS), thinned(range(len(found.across)), _COLUMNS)
    header = (" × ".join(path.rpartition(".")[2] for path in comparison.paths), *(found.across[at] for at in columns))
    data = tuple((found.down[row], *(texts[found.places[row, column]] for column in columns)) for row in rows)
    return Chart(title, svg, header, data)


def _estimate(comparison: Comparison, at: int, policy: str, name: str) -> float:
    estimate = comparison.points[at].estimate(policy, name).estimate
    return np.nan if estimate is None else estimate
