"""The charts of a report on Matplotlib axes that a program passes or gets: same data, same colours, with a legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import Floats, Ints
from sim.compare.amounts import measured_in
from sim.errors import InputError, Problem
from sim.report.axes import time_axis
from sim.report.curves import along
from sim.report.figures import OUTCOMES, Lines, deciding, ending, regret_axis, span, timelines
from sim.report.marks import FAN, fan, live_share, regret_levels, stairs
from sim.report.source import Source
from sim.report.svg import COLOURS, DARK_COLOURS, FAINT, linear_time, readable_y
from sim.report.tradeoffs import Tradeoff, marked, time_and_regret, value_and_risk
from sim.spelling import did_you_mean, there_are
from sim.units import shown

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

ENDINGS = ("decided", *OUTCOMES)
"""What a trial can have done by a time."""
_HALF = FAN[1:]
_TITLES = {"decided": "Decided", **OUTCOMES}


@dataclass(frozen=True)
class Plots:
    """Charts of results, each drawn on `ax`, or on the axes of a new pyplot figure where that is left out.

    Every method returns the Matplotlib Axes, with labels and a legend, and shows nothing. A colour is a policy's, as in the
    report; on axes with a dark face it is that of the report in the dark. With `ax`, pyplot is not used. Raises `InputError`,
    and draws nothing, where the results do not have what a chart shows.
    """

    source: Source

    def incidence(self, outcome: str = "decided", *, ax: Axes | None = None) -> Axes:
        """Cumulative incidence: the share of all trials that have ended so by each time, with 95% bands, a curve a policy.

        `outcome` is decided (to ship or to keep), ship, keep or inconclusive. x is simulated time in seconds, with ticks in
        days, hours and minutes; y is a share of 1.

        Source: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data (2002), §8.2.
        """
        if outcome not in ENDINGS:
            hint = did_you_mean(outcome, ENDINGS) or there_are(ENDINGS)
            raise InputError([Problem(f"no outcome {shown(outcome)}; {hint}", "outcome")])
        point = self._one_point("incidence")
        first, last = span(self.source)
        curves = ending(point, outcome)
        if not curves:
            raise InputError([Problem("nothing to draw: no policy has any trials", "plot.incidence")])
        axes, shade = _started(ax)
        scale = time_axis(axes, first, last)
        axes.set_ylim(0, 1)
        for place, _, time, bands in curves:
            stairs(axes, time, bands, last, shade(place))
        readable_y(axes, "share")
        bands_too = any(np.isfinite(bands["lower"]).any() for *_, bands in curves)
        _named(axes, _TITLES[outcome], scale, f"share of trials{', with 95% bands' if bands_too else ''}")
        return _told(axes, [(policy, _line(shade(place))) for place, policy, *_ in curves])

    def regret(self, policy: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Regret so far, in units of the primary metric, against simulated time in seconds: means over trials.

        Without `policy`, every policy in its colour, with a fan of half of the trials for those that decide on what they see.
        With it, that policy with fans of half and of 90% of its trials, and the means of the others in grey.
        """
        lines, fans = self._lines("regret", timelines(self.source), policy)
        _, last = span(self.source)
        axes, shade = _started(ax)
        unit = linear_time(axes, last)
        # On one scale whichever policy is picked, so that charts can be compared.
        scale = regret_axis(axes, timelines(self.source), deciding(self.source), "q95" if policy else "q75")
        drawn = {name for _, name, _ in lines}
        others = [line for line in timelines(self.source) if line[1] not in drawn]
        for _, _, line in others:
            axes.plot(line["time_s"], line["regret_mean"], color=FAINT, linewidth=0.8)
        for place, name, line in lines:
            if name in fans:
                quantiles = FAN if policy else _HALF
                fan(axes, line["time_s"], regret_levels(line), shade(place), _all(line["time_s"]), quantiles=quantiles)
            axes.plot(line["time_s"], line["regret_mean"], color=shade(place), linewidth=2)
        metric = self.source.run.primary.name
        _named(axes, "Regret so far", f"simulated time, {unit}, linear", f"{metric} lost, {scale}")
        grey = [("mean of another policy", _line(FAINT, 0.8))] if others else []
        return _told(axes, [*_means(lines, shade), *_fans(policy, bool(fans)), *grey])

    def exposure(self, policy: str | None = None, *, ax: Axes | None = None) -> Axes:
        """The challengers' share of live traffic, of 1, against simulated time in seconds: means over trials.

        Without `policy`, every policy that decides on what it sees, with a fan of half of its trials. With it, that policy with
        fans of half and of 90%. A fan ends once more trials have ended than lie outside of it.
        """
        chosen = deciding(self.source) if policy is None else timelines(self.source)
        lines, fans = self._lines("exposure", chosen, policy)
        first, last = span(self.source)
        axes, shade = _started(ax)
        scale = time_axis(axes, first, last)
        axes.set_ylim(0, 1)
        for place, name, line in lines:
            time, live = line["time_s"], live_share(self.source.run, line)
            if name in fans:
                ended = line["decided"] + line["inconclusive"]
                fan(axes, time, live, shade(place), _all(time), ended=ended, quantiles=FAN if policy else _HALF)
            axes.step(time, live["mean"], where="post", color=shade(place), linewidth=2)
        readable_y(axes, "share")
        _named(axes, "Who gets the challengers", scale, "share of live traffic")
        return _told(axes, [*_means(lines, shade), *_fans(policy, bool(fans))])

    def frontier(self, *, ax: Axes | None = None) -> Axes:
        """Mean time to a decision (x, seconds) against mean regret (y, the primary metric), a point a policy; less is better.

        Points have the 95% intervals of both. Hollow ones are beaten by another in both, or are baselines, which decide at once
        and on nothing; a line joins the others.
        """
        self._one_point("frontier")
        return self._tradeoff("frontier", time_and_regret(self.source), ax)

    def value(self, *, ax: Axes | None = None) -> Axes:
        """Net value in the worst 5% of trials (x) against its mean (y), in the currency, a point a policy; more is better.

        Points are drawn as in `frontier`. Without prices, values are in units of the primary metric.
        """
        self._one_point("value")
        return self._tradeoff("value", value_and_risk(self.source), ax)

    def along(self, measure: str, *, second: Any = None, ax: Axes | None = None) -> Axes:
        """A measure (y, with 95% intervals) against the first swept key (x), a line a policy.

        `second` is the value of the second key, as the file writes it, where two are swept. Baselines are left out where they
        always decide the same, at once.
        """
        comparison = self.source.comparison
        if not comparison.paths:
            raise InputError([Problem("nothing is swept in these results", "plot.along")])
        if not isinstance(measure, str) or measure not in comparison.measures:
            hint = did_you_mean(measure, comparison.measures) or "to_pandas().measure has all"
            raise InputError([Problem(f"no measure {shown(measure)}; {hint}", "measure")])
        points = comparison.points
        title = comparison.measures[measure].label
        if len(comparison.paths) > 1:
            values = list(dict.fromkeys(point.values[1] for point in points))
            if second is None or str(second) not in values:
                rule = f"must be a value of {comparison.paths[1]}: {', '.join(values)}; got {shown(second)}"
                raise InputError([Problem(rule, "second")])
            points = tuple(point for point in points if point.values[1] == str(second))
            title += f", {comparison.paths[1]} {second}"
        elif second is not None:
            raise InputError([Problem(f"must be left out, where one key is swept; got {shown(second)}", "second")])
        found = along(comparison, measure, points)
        if not found.lines:
            raise InputError([Problem(f"nothing to draw: {measure} has no estimate at any of these points", "plot.along")])
        axes, shade = _started(ax)
        x_name, scale = found.draw(axes, shade)
        label = comparison.measures[measure].label
        unit = measured_in(measure, comparison.measures[measure], self.source.run)
        # Shares have their % at the ticks, and times their hours or days.
        y_name = label if unit in ("share", "s") or label.endswith(unit) else f"{label}, {unit}"
        _named(axes, title[:1].upper() + title[1:], x_name, y_name + scale)
        return _told(axes, [(policy, _line(shade(place), marker="o")) for place, policy, _ in found.lines])

    def _one_point(self, name: str) -> Any:
        if self.source.only is None:
            points = self.source.comparison.points
            rule = f"is of one point, and these results have {len(points)}: draw that of at(0), or along(measure)"
            raise InputError([Problem(rule, f"plot.{name}")])
        return self.source.only

    def _lines(self, name: str, lines: Lines, policy: str | None) -> tuple[Lines, set[str]]:
        """The timelines to draw, and the names of those with a fan."""
        self._one_point(name)
        if policy is not None:
            known = [each for _, each, _ in lines]
            if policy not in known:
                hint = did_you_mean(policy, known) or there_are(known)
                raise InputError([Problem(f"no policy {shown(policy)}; {hint}", "policy")])
            lines = [line for line in lines if line[1] == policy]
        if not lines:
            raise InputError(
                [Problem("nothing to draw: no policy that decides on what it sees has a timeline", f"plot.{name}")]
            )
        return lines, {each for _, each, _ in deciding(self.source)} & {each for _, each, _ in lines}

    def _tradeoff(self, name: str, found: Tradeoff | None, ax: Axes | None) -> Axes:
        if found is None:
            raise InputError([Problem("nothing to draw: no policy has an estimate of both measures", f"plot.{name}")])
        axes, shade = _started(ax)
        x, y = found.frame(axes)
        marked(axes, found, beaten=None, ground="none", shades=shade)
        _named(axes, found.title, x, y)
        full = [
            (spot.policy, _line(shade(spot.place), 0, marker="o", hollow=spot.policy not in found.best)) for spot in found.spots
        ]
        return _told(axes, full)


def _started(ax: Axes | None) -> tuple[Axes, Callable[[int], str]]:
    """The axes to draw on, and the colour of each policy on them."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(7, 4.2), layout="constrained")[1]
    from matplotlib.colors import to_rgb

    figure = ax.get_figure()
    face = ax.get_facecolor() if ax.patch.get_visible() or figure is None else figure.get_facecolor()
    light = float(np.dot(to_rgb(face), (0.299, 0.587, 0.114)))
    shades = COLOURS if light > 0.5 else DARK_COLOURS
    return ax, lambda place: shades[place % len(shades)]


def _all(times: Floats) -> Ints:
    return np.arange(times.size)


def _named(axes: Axes, title: str, x: str, y: str) -> None:
    """The title and the names of both axes. They are texts: a name of the user's is no mathematics."""
    for text in (axes.set_title(title), axes.set_xlabel(x), axes.set_ylabel(y)):
        text.set_parse_math(False)


def _line(shade: str, width: float = 2.0, *, marker: str = "", hollow: bool = False) -> Artist:
    from matplotlib.lines import Line2D

    face = "none" if hollow else shade
    return Line2D([], [], color=shade, linewidth=width, marker=marker, markerfacecolor=face, markeredgecolor=shade)


def _means(lines: Lines, shade: Callable[[int], str]) -> list[tuple[str, Artist]]:
    return [(f"{policy}, mean", _line(shade(place))) for place, policy, _ in lines]


def _fans(policy: str | None, having: bool) -> list[tuple[str, Artist]]:
    from matplotlib.patches import Patch

    told = {_HALF[0]: "half of its trials", FAN[0]: "90% of them"}
    quantiles = (FAN[::-1] if policy else _HALF) if having else ()
    return [(told[each], Patch(color=FAINT, alpha=each[3] + 0.15, linewidth=0)) for each in quantiles]


def _told(axes: Axes, entries: Sequence[tuple[str, Artist]]) -> Axes:
    """The legend of a chart. Texts are set last: Matplotlib leaves out labels that begin with _."""
    legend = axes.legend([artist for _, artist in entries], [str(at) for at in range(len(entries))], fontsize="small")
    for (name, _), text in zip(entries, legend.get_texts(), strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    return axes
