"""The figures of a report over time: decisions, traffic, regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats, Ints
from sim.compare.result import Curve, PointComparison
from sim.compare.trials import BASELINES
from sim.report.axes import at_times, symlog_ticks, time_axis
from sim.report.marks import fan, live_share, regret_levels, stairs
from sim.report.numbers import MISSING, in_line, number
from sim.report.source import Source
from sim.report.svg import (
    FAINT,
    QUIET,
    canvas,
    colour,
    drawing,
    inline,
    label_ends,
    linear_time,
    name_axes,
    readable_y,
    room_for,
    seen,
    shortened,
)
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTCOMES = {"ship": "Shipped a challenger", "keep": "Kept the champion", "inconclusive": "Ended inconclusive"}
WIDTH, HEIGHT = 350.0, 236.0
ROWS = 25
ALL, MIRRORED = "all challengers", "mirrored"
DASHES = ((0, (6, 2)), (0, (6, 2, 1, 2)), (0, (3, 2)), (0, (8, 2, 3, 2)))
DOTS = (0, (1, 1.5))


@dataclass(frozen=True)
class Chart:
    """One chart: its title, the `<svg>` element, and the data behind it as a table of texts.

    `places`: where each row stands in the chart, (x, y) from its upper left corner in the units of its view box; y is None of a
    row that stands for a time.
    """

    title: str
    svg: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    places: tuple[tuple[float, float | None], ...] = ()


def incidence(source: Source) -> list[Chart]:
    """Share of trials that ended in each outcome by each time: one chart an outcome, one curve a policy."""
    if source.only is None:
        return []
    first, last = span(source)
    charts = []
    for outcome, title in OUTCOMES.items():
        shown = ending(source.only, outcome)
        ever = [curve for curve in shown if np.nanmax(curve[3]["estimate"]) > 0]
        if not ever:
            continue
        never = [policy for _, policy, *_ in shown if policy not in {policy for _, policy, *_ in ever}]
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=room_for([policy for _, policy, *_ in ever]))
            scale = time_axis(axes, first, last)
            axes.set_ylim(0, 1)
            for place, _, own, bands in ever:
                stairs(axes, own, bands, last, colour(place))
            readable_y(axes, "share")
            bands_too = any(np.isfinite(bands["lower"]).any() for *_, bands in ever)
            name_axes(axes, scale, f"share of trials{', with 95% bands' if bands_too else ''}")
            label_ends(axes, [(policy, bands["estimate"][-1], colour(place)) for place, policy, _, bands in ever])
            ends = [f"{policy} {_band(bands, -1)}" for _, policy, _, bands in ever]
            description = f"{title} by the horizon of {number(last, 's')}: {'; '.join(ends)}."
            if never:
                description += f" Never: {', '.join(never)}."
            times = _thinned(np.unique(np.concatenate([[last], *(time for _, _, time, _ in shown)])))
            places = at_times(axes, times)
            svg = inline(figure, f"incidence-{outcome}", f"{title}, share of trials over time", description)
        rows = tuple((number(time, "s"), *(_band(bands, _step(own, time)) for _, _, own, bands in shown)) for time in times)
        charts.append(Chart(title, svg, ("time", *(policy for _, policy, *_ in shown)), rows, places))
    return charts


def ending(point: PointComparison, outcome: str) -> list[tuple[int, str, Floats, dict[str, Floats]]]:
    """Place (which gives the colour), name, times and share with its bounds, (T,) each, of every policy that ever ends."""
    return [
        (place, policy.policy, _numbers(policy.incidence.time_s), _bands(getattr(policy.incidence, outcome)))
        for place, policy in enumerate(point.policies)
        if policy.incidence.time_s
    ]


def traffic(source: Source) -> list[Chart]:
    """The challengers' share of live traffic: one chart a policy that decides on something, the mean in a fan."""
    _, *challengers = source.run.arms
    first, last = span(source)
    charts = []
    for place, policy, line in deciding(source):
        live = live_share(source.run, line)
        parts = {arm: line[f"weight.{arm}.mean"] for arm in challengers} if len(challengers) > 1 else {}
        mirrored = np.mean([line[f"mirror.{arm}.mean"] for arm in challengers], axis=0)
        time, mean, ended = line["time_s"], live["mean"], line["decided"] + line["inconclusive"]
        ends = [(ALL if parts else challengers[0], float(mean[-1]), colour(place))]
        ends += [(arm, float(share[-1]), QUIET) for arm, share in parts.items()]
        ends += [(MIRRORED, float(mirrored[-1]), QUIET)] if mirrored.any() else []
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=room_for([name for name, *_ in ends]))
            scale = time_axis(axes, first, last)
            axes.set_ylim(0, 1)
            kept = seen(time, first, last, log=axes.get_xscale() == "log", width=WIDTH)
            fan(axes, time, live, colour(place), kept, ended=ended)
            axes.step(time[kept], mean[kept], where="post", color=colour(place), linewidth=2)
            for order, share in enumerate(parts.values()):
                axes.step(
                    time[kept], share[kept], where="post", color=QUIET, linewidth=1.2, linestyle=DASHES[order % len(DASHES)]
                )
            if mirrored.any():
                axes.step(time[kept], mirrored[kept], where="post", color=QUIET, linewidth=1.4, linestyle=DOTS)
            readable_y(axes, "share")
            name_axes(axes, scale, "share of live traffic")
            label_ends(axes, ends)
            text = f"Challengers' share of live traffic under {policy}, mean over trials: {_words(time, mean, 'share')}."
            if mirrored.any():
                text += f" Traffic is mirrored to challengers up to a mean share of {number(float(mirrored.max()), 'share')}."
            columns = {"live, mean": mean, "5%": live["q05"], "25%": live["q25"], "75%": live["q75"], "95%": live["q95"]}
            columns |= {f"{arm}, mean": share for arm, share in parts.items()}
            if mirrored.any():
                columns[MIRRORED] = mirrored
            places = at_times(axes, time[_rows_of(time)])
            svg = inline(figure, f"traffic-{place}", f"Challengers' share of traffic under {policy}", text)
        charts.append(_tabled(policy, svg, time, columns, "share", places))
    return charts


def regret(source: Source) -> list[Chart]:
    """Regret so far: one chart a policy that decides on something, on a common scale, and all other means behind it."""
    lines, fans = timelines(source), deciding(source)
    if not lines:
        return []
    _, last = span(source)
    charts = []
    for place, policy, line in fans:
        time = line["time_s"]
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=22, left=56)
            unit = linear_time(axes, last)
            scale = regret_axis(axes, lines, fans)
            kept = seen(time, 0.0, last, log=False, width=WIDTH)
            for _, other, behind in lines:
                if other != policy:
                    some = seen(behind["time_s"], 0.0, last, log=False, width=WIDTH / 4)
                    axes.plot(behind["time_s"][some], behind["regret_mean"][some], color=FAINT, linewidth=0.8)
            fan(axes, time, regret_levels(line), colour(place), kept)
            axes.plot(time[kept], line["regret_mean"][kept], color=colour(place), linewidth=2)
            name_axes(axes, f"simulated time, {unit}, linear", f"{shortened(source.run.primary.name, 24)} lost, {scale}")
            description = f"Regret under {policy}, mean over trials: {_words(time, line['regret_mean'], 'value')}."
            ends = f" At the end 5% of the trials lost at most {number(float(line['regret_q05'][-1]), 'value')}"
            ends += f" and 5% more than {number(float(line['regret_q95'][-1]), 'value')}."
            places = at_times(axes, time[_rows_of(time)])
            svg = inline(figure, f"regret-{place}", f"Regret so far under {policy}", description + ends)
        columns = {"mean": "mean", "5%": "q05", "25%": "q25", "median": "q50", "75%": "q75", "95%": "q95"}
        shown = {name: line[f"regret_{key}"] for name, key in columns.items()}
        charts.append(_tabled(policy, svg, time, shown, "value", places))
    return charts


Lines = list[tuple[int, str, dict[str, Floats]]]


def regret_axis(axes: Axes, lines: Lines, fans: Lines, level: str = "q95") -> str:
    """An axis on y for the means of some policies and the fans of others up to `level`. Returns its scale."""
    highest = [*(line[f"regret_{level}"] for _, _, line in fans), *(line["regret_mean"] for _, _, line in lines)]
    tops = sorted(float(values.max()) for values in highest)
    bottom = min(0.0, *(float(line[key].min()) for _, _, line in lines for key in ("regret_q05", "regret_mean")))
    # One disastrous policy would flatten the curves of all others.
    flat = [top for top in tops if 0 < top < tops[-1] / 20]
    knee = flat[0] if len(flat) > len(tops) / 3 else None
    if knee:
        axes.set_yscale("symlog", linthresh=knee)
    axes.set_ylim(bottom, tops[-1] * 1.04 or 1.0)
    if knee:
        symlog_ticks(axes, knee, tops[-1])
        return "logarithmic"
    readable_y(axes, "value")
    return "linear"


def span(source: Source) -> tuple[float, float]:
    """The first tick and the horizon, seconds."""
    return source.run.tick_s, source.run.horizon_s


def timelines(source: Source) -> Lines:
    """Place (which gives the colour), name and timeline of every policy that has one."""
    names = [policy.policy for policy in source.only.policies] if source.only else []
    return [(place, name, source.timeline[name]) for place, name in enumerate(names) if name in source.timeline]


def deciding(source: Source) -> Lines:
    """The lines of policies that decide on what they see: baselines decide at once, and always the same."""
    kinds = {policy.policy: policy.kind for policy in source.only.policies} if source.only else {}
    return [line for line in timelines(source) if kinds[line[1]] not in BASELINES]


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def _bands(curve: Curve) -> dict[str, Floats]:
    return {"estimate": _numbers(curve.estimate), "lower": _numbers(curve.lower), "upper": _numbers(curve.upper)}


def _step(times: Floats, at: float) -> int | None:
    """The index of the step of a curve that holds at a time; None before its first."""
    index = int(np.searchsorted(times, at, side="right")) - 1
    return index if index >= 0 else None


def _band(bands: Mapping[str, Floats], index: int | None) -> str:
    if index is None:
        return MISSING
    values = {key: None if np.isnan(column[index]) else float(column[index]) for key, column in bands.items()}
    return in_line(Estimate(**values, n=1), "share")


def _thinned(values: Floats) -> Floats:
    if values.size <= ROWS:
        return values
    places = np.unique(np.linspace(0, values.size - 1, ROWS).round().astype(int))
    return np.asarray(values[places])


def _words(times: Floats, values: Floats, unit: str) -> str:
    """A curve in words: a few of its points."""
    places = sorted({0, len(times) // 4, len(times) // 2, len(times) - 1})
    return ", ".join(f"{number(float(values[place]), unit)} at {number(float(times[place]), 's')}" for place in places)


def _rows_of(times: Floats) -> Ints:
    """The ticks that a table has a row of."""
    return _thinned(np.arange(times.size, dtype=np.float64)).astype(np.int64)


def _tabled(
    title: str,
    svg: str,
    times: Floats,
    columns: Mapping[str, Floats],
    unit: str,
    places: tuple[tuple[float, float | None], ...],
) -> Chart:
    rows = tuple(
        (number(float(times[at]), "s"), *(number(float(column[at]), unit) for column in columns.values()))
        for at in _rows_of(times)
    )
    return Chart(title, svg, ("time", *columns), rows, places)
