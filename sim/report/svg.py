"""Small charts as inline SVG: one canvas, time axes, labels that do not overlap, alternative text."""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import Floats, Ints
from sim.report.numbers import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# After Okabe & Ito, Color Universal Design (2008); the pale ones are darker, so that each has a contrast of 3 on white.
COLOURS = ("#0072b2", "#d55e00", "#00805e", "#b0447f", "#8a6500", "#6a51a3", "#2b2b2b")
DARK_COLOURS = ("#56b4e9", "#ff9a57", "#2fc79a", "#f0a3cb", "#e6b800", "#b9a6ff", "#d0d5dd")
"""The same policies on a dark ground."""
INK, QUIET, GRID, FAINT, GROUND = "#1d2129", "#5a6270", "#e3e6ea", "#8b93a0", "#ffffff"
_NAMES = {INK: "ink", QUIET: "quiet", GRID: "line", FAINT: "faint", GROUND: "page"}
_NAMES |= {shade: f"c{place}" for place, shade in enumerate(COLOURS)}
"""Colours of a page that knows light from dark: a chart takes them by name."""
FONT = 12.0
LONGEST = 16
"""Letters of a name at the end of a curve."""
_LABEL = 44.0
"""Pixels that the label of a time takes."""
_DAY = 86_400.0
_DECADES = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3_600, 21_600, _DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY)
_STEPS = {
    ("milliseconds", 0.001): (1, 2, 5, 10, 20, 50, 100, 200, 500),
    ("seconds", 1.0): (1, 2, 5, 10, 15, 30),
    ("minutes", 60.0): (1, 2, 5, 10, 15, 30),
    ("hours", 3_600.0): (1, 2, 3, 4, 6, 12),
    ("days", _DAY): (1, 2, 5, 7, 14, 30, 60, 90, 180, 365),
}
_SHORT = {"milliseconds": "ms", "seconds": "s", "minutes": "min", "hours": "h", "days": "d"}


def colour(index: int) -> str:
    """The colour of policy `index`; after seven they come again, told apart by their labels."""
    return COLOURS[index % len(COLOURS)]


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's settings for charts whose bytes depend on the data alone, restored afterwards."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "svg.hashsalt": "sim",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": FONT,
        "axes.unicode_minus": True,
        "path.simplify": True,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The browser draws the text: that the font used to measure it lacks a glyph does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(width: float, height: float, *, right: float, left: float = 50.0) -> tuple[Figure, Axes]:
    """An empty chart of `width` × `height` CSS pixels with margins `left` and `right` for numbers and labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    figure.patch.set_alpha(0)
    bottom, top = 42.0, 24.0
    axes = figure.add_axes((left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height))
    axes.patch.set_alpha(0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=FONT - 1, length=3, pad=4)
    axes.tick_params(axis="y", length=0)
    return figure, axes


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Label both axes; y above its axis, where it can be read without turning the head."""
    axes.set_xlabel(x, color=QUIET, fontsize=FONT - 1, labelpad=5)
    axes.set_title(y, color=QUIET, fontsize=FONT - 1, loc="left", x=0, y=1.0, pad=8)


def log_time(axes: Axes, first_s: float, last_s: float) -> None:
    """A logarithmic time axis on x from `first_s` > 0 to `last_s`, in round minutes, hours and days."""
    axes.set_xscale("log")
    axes.set_xlim(first_s, last_s)
    # The end has a label, and what would run into it has none.
    room = last_s / (last_s / first_s) ** (_LABEL / max(axes.bbox.width, 1.0))
    stops = [*(stop for stop in round_times(first_s, last_s) if stop < room), last_s]
    if len(stops) < 2:
        stops = [first_s, last_s]
    axes.set_xticks(stops, [number(stop, "s") for stop in stops])
    axes.minorticks_off()


def round_times(first_s: float, last_s: float) -> list[float]:
    """Minutes, hours and days for a logarithmic axis, from `first_s` to `last_s`.

    >>> round_times(60.0, 86_400.0)
    [60, 600, 3600, 21600, 86400.0]
    """
    return [stop for stop in _DECADES if first_s * 0.999 <= stop <= last_s * 1.001]


def linear_time(axes: Axes, last_s: float) -> str:
    """A linear time axis on x from 0 to `last_s` with at most eight ticks; returns its unit, such as ``days``."""
    axes.set_xlim(0, last_s)
    unit, stops = _even_times(last_s, 7.5)
    length = _length(unit)
    if stops[-1][0] < 0.999 * last_s:
        # The axis ends with its last time, and not with the last round one.
        step = stops[1][0] if len(stops) > 1 else last_s
        stops = [stop for stop in stops if last_s - stop[0] > 0.7 * step or not stop[0]] + [(last_s, f"{last_s / length:.3g}")]
    axes.set_xticks([stop for stop, _ in stops], [text for _, text in stops])
    return unit


def _length(unit: str) -> float:
    return next(length for name, length in _STEPS if name == unit)


def time_y(axes: Axes, last_s: float) -> None:
    """Few ticks on y at round times up to `last_s`."""
    _, stops = _even_times(last_s, 5.5)
    axes.set_yticks([stop for stop, _ in stops], [number(stop, "s") if stop else "0" for stop, _ in stops])


def _even_times(last_s: float, most: float) -> tuple[str, list[tuple[float, str]]]:
    """A unit, and round times in seconds from 0 to `last_s` with their numbers in it."""
    unit, length, step = _even_step(last_s, most)
    stops = [step * place for place in range(math.floor(last_s / (length * step) * 1.001) + 1)]
    return unit, [(stop * length, f"{stop:g}") for stop in stops]


def _even_step(span_s: float, most: float) -> tuple[str, float, int]:
    """A unit, its seconds, and of how many of it a round step is, at most so many of which are in a span."""
    steps = [(unit, length, step) for (unit, length), sizes in _STEPS.items() for step in sizes]
    return next((each for each in steps if span_s / (each[1] * each[2]) < most), steps[-1])


def readable_y(axes: Axes, unit: str) -> None:
    """Few ticks on y, written as the rest of the report writes `unit`."""
    readable(axes.yaxis, unit)


def readable(axis: Axis, unit: str) -> None:
    """Few ticks at round numbers, written as the rest of the report writes `unit`.

    Of times, whose round numbers are those of minutes, hours and days, the limits of the axis must be set before.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if unit == "s":
        low, high = sorted(axis.get_view_interval())
        name, length, step = _even_step(high - low, 5.5)
        places = range(math.ceil(low / (length * step)), math.floor(high / (length * step)) + 1)
        texts = [f"{step * place:g} {_SHORT[name]}".replace("-", "−") if place else "0" for place in places]
        axis.set_ticks([length * step * place for place in places], texts)
        return
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, unit)))


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Label each curve (name, last value, colour) to the right of the axes, with a leader from its end."""
    width, height = axes.bbox.width, axes.bbox.height
    scale, inverse = axes.transData, axes.transAxes.inverted()
    left = axes.get_xlim()[0]
    points = [float(inverse.transform(scale.transform((left, value)))[1]) * height for _, value, _ in ends]
    for (name, _, shade), point, place in zip(ends, points, spread(points, FONT + 2, 0, height), strict=True):
        axes.plot(
            [1, 1 + 4 / width, 1 + 12 / width, 1 + 15 / width],
            [point / height, point / height, place / height, place / height],
            color=shade, linewidth=1.2, transform=axes.transAxes, clip_on=False, solid_capstyle="butt",
        )  # fmt: skip
        axes.text(
            1 + 18 / width, place / height, shortened(name, LONGEST), color=INK, fontsize=FONT - 1,
            va="center_baseline", transform=axes.transAxes,
        )  # fmt: skip


def room_for(names: Sequence[str]) -> float:
    """Pixels at the right of a chart for labels at the ends of its curves."""
    return 26.0 + 6.6 * max((min(len(name), LONGEST) for name in names), default=0)


def seen(times: Floats, first_s: float, last_s: float, *, log: bool, width: float) -> Ints:
    """The places of the times (T,) that are told apart in `width` pixels: the last of each half pixel, and the first of all.

    >>> seen(np.array([0.0, 1.0, 2.0, 9.0, 10.0]), 0.0, 10.0, log=False, width=2.0).tolist()
    [0, 1, 2, 4]
    """
    at = np.log(np.maximum(times, first_s) / first_s) / np.log(last_s / first_s) if log else times / last_s
    pixel = np.round(2 * width * np.clip(at, 0, 1))
    last = np.flatnonzero(np.append(pixel[1:] != pixel[:-1], True))
    return np.unique(np.append(0, last))


def spread(points: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move `points` apart to at least `gap`, in their order and inside [low, high], as far as there is room.

    >>> spread([5.0, 0.0, 5.0], 2.0, 0.0, 6.0)
    [4.0, 0.0, 6.0]
    """
    if len(points) > 1:
        gap = min(gap, (high - low) / (len(points) - 1))
    order = sorted(range(len(points)), key=points.__getitem__)
    placed = [min(max(points[index], low), high) for index in order]
    for place in range(1, len(placed)):
        placed[place] = max(placed[place], placed[place - 1] + gap)
    for place in range(len(placed) - 1, -1, -1):
        ceiling = high if place == len(placed) - 1 else placed[place + 1] - gap
        placed[place] = min(placed[place], ceiling)
    result = [0.0] * len(points)
    for index, value in zip(order, placed, strict=True):
        result[index] = value
    return result


def shortened(name: str, longest: int) -> str:
    """A name that fits a label, without its middle: names differ at their ends. The data table has all of it.

    >>> shortened("thompson-with-a-floor", 14)
    'thompson-…loor'
    """
    tail = (longest - 1) // 3
    return name if len(name) <= longest else f"{name[: longest - 1 - tail]}…{name[len(name) - tail :]}"


def inline(figure: Figure, key: str, title: str, description: str) -> str:
    """The chart as an `<svg>` element for an HTML page, with a title and a description for those who cannot see it.

    `key` (letters, digits and -) must be unique in the page: every id in the element starts with it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]*)"', text)
    start, end = text.index(">", text.index("<svg")) + 1, text.rindex("</svg>")
    body = text[start:end]
    body = re.sub(r'\bid="', f'id="{key}-', body)
    body = re.sub(r'\bxlink:href="#', f'href="#{key}-', body)
    body = re.sub(r"url\(#", f"url(#{key}-", body)
    # A hundredth of a pixel is finer than any screen or printer.
    body = re.sub(r"(?<= d=\")[^\"]*", lambda path: re.sub(r"\d+\.\d{3,}", _hundredth, path[0]), body)
    body = re.sub(r'(?<= style=")[^"]*', lambda style: re.sub(r"#[0-9a-f]{6}", _named, style[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    assert view is not None
    return (
        f'<svg viewBox="{view[1]}" role="img" aria-labelledby="{key}-title {key}-desc">\n'
        f'<title id="{key}-title">{html.escape(title)}</title>\n<desc id="{key}-desc">{html.escape(description)}</desc>\n'
        f"{body}\n</svg>"
    )


def _named(shade: re.Match[str]) -> str:
    return f"var(--{_NAMES[shade[0]]})" if shade[0] in _NAMES else shade[0]


def _hundredth(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
