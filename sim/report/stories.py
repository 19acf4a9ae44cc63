"""The stories of single trials as charts: what was seen of the challengers, what was true, and what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from sim.arrays import Floats
from sim.compare.memo import unit_of
from sim.compare.result import Comparison
from sim.report.axes import at_times
from sim.report.figures import DASHES, HEIGHT, WIDTH, Chart
from sim.report.numbers import MISSING, number
from sim.report.parts import figure
from sim.report.source import Source
from sim.report.svg import QUIET, canvas, colour, drawing, inline, linear_time, name_axes, readable_y
from sim.run.story import Story

# The stories of so many policies are told; a page with more is too large, and nobody reads them.
MOST_POLICIES = 8
_ROWS, _FEW = 12, 5
_Z = 1.959963984540054


def stories(source: Source) -> str:
    """The section on single trials; empty where none are told."""
    if source.only is None or not source.stories:
        return ""
    places = {policy.policy: place for place, policy in enumerate(source.only.policies)}
    told = [name for name in places if any(story.policy == name for story in source.stories)]
    parts = []
    for name in told[:MOST_POLICIES]:
        own = [story for story in source.stories if story.policy == name]
        charts = "\n".join(_told(source.comparison, story, places[name], number) for number, story in enumerate(own))
        parts.append(f'<details><summary>{escape(name)}</summary>\n<div class="charts">\n{charts}\n</div></details>')
    if not parts:
        return ""
    left = f" Of {len(told)} policies, the first {MOST_POLICIES} are told." if len(told) > MOST_POLICIES else ""
    return (
        '<section class="figures"><h2>What happens in a single trial?</h2>\n<p>Of each policy the worst, a typical (the '
        "median) and the best trial, from its start to its verdict. The line is the effect seen since the stage began, "
        "with the 95% interval that a team would read at that moment if it looked only once; the dashes are the true effect. A "
        f"policy that does not look at the primary metric has its share of traffic instead.{left}</p>\n"
        + "\n".join(parts)
        + "</section>"
    )


def _told(comparison: Comparison, story: Story, place: int, number_of: int) -> str:
    unit = unit_of(comparison.run)
    value = (
        f"{comparison.measures[story.measure].label} {number(story.value, 'value', signed=story.measure == 'net_value')} {unit}"
    )
    truth = "" if story.effect is None else f" True effect over the horizon: {_percent(story.effect)}."
    events = "".join(f"<li><b>{escape(number(event.at_s, 's'))}</b> {escape(event.text)}</li>" for event in story.events)
    about = f"{escape(f'Replication {story.replication}: {value}.{truth}')}"
    drawn = figure(_chart(story, place, number_of))
    return drawn.replace("</figcaption>", f'</figcaption>\n<p class="note">{about}</p>', 1).replace(
        "<details>", f'<ol class="events">{events}</ol>\n<details>', 1
    )


def _chart(story: Story, place: int, number_of: int) -> Chart:
    time = np.array(story.time_s)
    seen = any(value is not None for arm in story.arms for value in arm.seen)
    with drawing():
        figure_, axes = canvas(WIDTH, HEIGHT, right=22, left=56)
        unit = linear_time(axes, story.end_s)
        if seen:
            _effects(axes, story, time, place)
            what = "effect, of the champion's mean"
        else:
            for order, arm in enumerate(story.arms):
                axes.step(time, _floats(arm.share), where="post", color=colour(place), linewidth=1.8, linestyle=_style(order))
            axes.set_ylim(0, 1)
            what = "share of live traffic"
        readable_y(axes, "share")
        for event in story.events[1:-1]:
            axes.axvline(event.at_s, color=QUIET, linewidth=0.7)
        name_axes(axes, f"simulated time, {unit}, linear", what)
        rows = np.unique(np.linspace(0, time.size - 1, _ROWS).round().astype(int))
        places = at_times(axes, time[rows])
        title = f"The {story.which} trial" if story.which != "typical" else "A typical trial"
        words = f"{title} of {story.policy}: " + "; ".join(f"{number(event.at_s, 's')} {event.text}" for event in story.events)
        svg = inline(figure_, f"story-{place}-{number_of}", f"{title} of {story.policy}", words + ".")
    columns = [
        (f"{arm.arm}, {text}", values)
        for arm in story.arms
        for text, values in (("share", arm.share), *((("seen", arm.seen), ("true", arm.true)) if seen else ()))
    ]
    body = tuple(
        (
            number(float(time[row]), "s"),
            *(MISSING if (value := values[row]) is None else _percent(value, text) for text, values in columns),
        )
        for row in rows
    )
    return Chart(title, svg, ("time", *(text for text, _ in columns)), body, places)


def _effects(axes: object, story: Story, time: Floats, place: int) -> None:
    """Lines of the effect that was seen, in their intervals, and dashes of the true one."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    heights = []
    for order, arm in enumerate(story.arms):
        seen, error, true = _floats(arm.seen), _floats(arm.error), _floats(arm.true)
        low, high = seen - _Z * error, seen + _Z * error
        if len(story.arms) == 1:
            axes.fill_between(time, low, high, color=colour(place), alpha=0.18, linewidth=0)
        few = "o" if np.isfinite(seen).sum() <= _FEW else ""
        axes.plot(time, seen, color=colour(place), linewidth=1.8, linestyle=_style(order), marker=few, markersize=4)
        if few and len(story.arms) == 1:
            axes.vlines(time, low, high, color=colour(place), linewidth=1.2)
        axes.plot(time, true, color=QUIET, linewidth=1.4, linestyle=(0, (4, 3)))
        # What is seen of the first few outcomes would flatten all that follows.
        settled = slice(seen.size // 8, None)
        heights += [values[settled] for values in ((low, high) if len(story.arms) == 1 else (seen,))]
        heights.append(true)
    every = np.concatenate(heights)
    every = every[np.isfinite(every)]
    top = 1.15 * max(float(np.abs(every).max(initial=0.0)), 1e-9)
    axes.set_ylim(-top, top)
    axes.axhline(0.0, color=QUIET, linewidth=0.7)


def _style(order: int) -> object:
    return "solid" if order == 0 else DASHES[(order - 1) % len(DASHES)]


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def _percent(value: float, text: str = "true") -> str:
    return number(value, "share", signed=not text.endswith("share")).replace(" pp", "%")
