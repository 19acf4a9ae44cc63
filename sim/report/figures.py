"""The figures of a report: decisions over time, traffic, regret, and the frontier of time against risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.compare.result import Curve
from sim.report.numbers import MISSING, in_line, number
from sim.report.source import Source
from sim.report.svg import (
    FONT,
    GRID,
    INK,
    QUIET,
    canvas,
    colour,
    drawing,
    inline,
    label_ends,
    linear_time,
    log_time,
    name_axes,
    readable_y,
    round_times,
    shortened,
)
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


OUTCOMES = {"ship": "Shipped a challenger", "keep": "Kept the champion", "inconclusive": "Ended inconclusive"}
WIDTH, HEIGHT = 350.0, 236.0
ROWS = 25


@dataclass(frozen=True)
class Chart:
    """One chart: its title, the `<svg>` element, and the data behind it as a table of texts."""

    title: str
    svg: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def incidence(source: Source) -> list[Chart]:
    """Share of trials that ended in each outcome by each time: one chart an outcome, one curve a policy."""
    if source.only is None:
        return []
    first, last = _span(source)
    curves = [(place, policy.policy, policy.incidence) for place, policy in enumerate(source.only.policies)]
    charts = []
    for outcome, title in OUTCOMES.items():
        shown = [
            (place, policy, _numbers(over_time.time_s), _bands(getattr(over_time, outcome)))
            for place, policy, over_time in curves
            if over_time.time_s
        ]
        ever = [curve for curve in shown if np.nanmax(curve[3]["estimate"]) > 0]
        if not ever:
            continue
        never = [policy for _, policy, *_ in shown if policy not in {policy for _, policy, *_ in ever}]
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=96)
            _time_axis(axes, first, last)
            axes.set_ylim(0, 1)
            for place, _, time, bands in ever:
                axes.fill_between(
                    time, bands["lower"], bands["upper"], step="post", color=colour(place), alpha=0.18, linewidth=0
                )
                axes.step(time, bands["estimate"], where="post", color=colour(place), linewidth=1.8)
            readable_y(axes, "share")
            bands_too = any(np.isfinite(bands["lower"]).any() for *_, bands in ever)
            name_axes(axes, "simulated time since the start", f"share of trials{', with 95% bands' if bands_too else ''}")
            label_ends(axes, [(policy, bands["estimate"][-1], colour(place)) for place, policy, _, bands in ever])
            ends = [f"{policy} {_band(bands, -1)}" for _, policy, _, bands in ever]
            description = f"{title} by the horizon of {number(last, 's')}: {'; '.join(ends)}."
            if never:
                description += f" Never: {', '.join(never)}."
            svg = inline(figure, f"incidence-{outcome}", f"{title}, share of trials over time", description)
        times = _thinned(np.unique(np.concatenate([time for _, _, time, _ in shown])))
        rows = tuple((number(time, "s"), *(_band(bands, _step(own, time)) for _, _, own, bands in shown)) for time in times)
        charts.append(Chart(title, svg, ("time", *(policy for _, policy, *_ in shown)), rows))
    return charts


def traffic(source: Source) -> list[Chart]:
    """The challengers' share of live traffic: one chart a policy, mean and 5–95% band over replications."""
    champion, *challengers = source.run.arms
    first, last = _span(source)
    charts = []
    for place, policy, line in _lines(source):
        # Live weights sum to one: a quantile q of the challengers' share is 1 less the champion's quantile 1 - q.
        mean, low, high = (1 - line[f"weight.{champion}.{key}"] for key in ("mean", "q95", "q05"))
        parts = {arm: line[f"weight.{arm}.mean"] for arm in challengers} if len(challengers) > 1 else {}
        mirrored = np.mean([line[f"mirror.{arm}.mean"] for arm in challengers], axis=0)
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=96)
            _time_axis(axes, first, last)
            axes.set_ylim(0, 1)
            axes.fill_between(line["time_s"], low, high, step="post", color=colour(place), alpha=0.18, linewidth=0)
            axes.step(line["time_s"], mean, where="post", color=colour(place), linewidth=2)
            ends = [("all" if parts else challengers[0], float(mean[-1]), colour(place))]
            for arm, share in parts.items():
                axes.step(line["time_s"], share, where="post", color=QUIET, linewidth=1)
                ends.append((arm, float(share[-1]), QUIET))
            if mirrored.any():
                axes.step(line["time_s"], mirrored, where="post", color=QUIET, linewidth=1.4, linestyle=(0, (1, 1.5)))
                ends.append(("mirrored", float(mirrored[-1]), QUIET))
            readable_y(axes, "share")
            name_axes(axes, "simulated time since the start", "share of traffic, mean and 5–95% of trials")
            label_ends(axes, ends)
            text = (
                f"Challengers' share of live traffic under {policy}, mean over trials: {_words(line['time_s'], mean, 'share')}."
            )
            if mirrored.any():
                text += f" Traffic is mirrored to challengers up to a mean share of {number(float(mirrored.max()), 'share')}."
            svg = inline(figure, f"traffic-{place}", f"Challengers' share of traffic under {policy}", text)
        columns = {"live, mean": mean, "5%": low, "95%": high, **{f"{arm}, mean": share for arm, share in parts.items()}}
        if mirrored.any():
            columns["mirrored"] = mirrored
        charts.append(_tabled(policy, svg, line["time_s"], columns, "share"))
    return charts


def regret(source: Source) -> list[Chart]:
    """Regret so far: one chart a policy on a common scale, the others' means behind it in grey."""
    lines = _lines(source)
    if not lines:
        return []
    _, last = _span(source)
    tops = sorted(max(float(line[key].max()) for key in ("regret_q95", "regret_mean")) for _, _, line in lines)
    bottom = min(0.0, *(float(line["regret_q05"].min()) for _, _, line in lines))
    # One disastrous policy would flatten the curves of all others.
    flat = [top for top in tops if 0 < top < tops[-1] / 20]
    knee = flat[0] if len(flat) > len(tops) / 3 else None
    charts = []
    for place, policy, line in lines:
        with drawing():
            figure, axes = canvas(WIDTH, HEIGHT, right=16, left=56)
            unit = linear_time(axes, last)
            if knee:
                axes.set_yscale("symlog", linthresh=knee)
            axes.set_ylim(bottom, tops[-1] * 1.04 or 1.0)
            for _, other, behind in lines:
                if other != policy:
                    axes.plot(behind["time_s"], behind["regret_mean"], color="#b9bfc8", linewidth=1)
            axes.fill_between(
                line["time_s"], line["regret_q05"], line["regret_q95"], color=colour(place), alpha=0.18, linewidth=0
            )
            axes.plot(line["time_s"], line["regret_mean"], color=colour(place), linewidth=2)
            if knee:
                _symlog_ticks(axes, knee, tops[-1])
            else:
                readable_y(axes, "value")
            scale = ", log scale" if knee else ""
            name_axes(axes, f"simulated time, {unit}", f"{source.run.primary.name} lost, mean and 5–95%{scale}")
            description = f"Regret under {policy}, mean over trials: {_words(line['time_s'], line['regret_mean'], 'value')}."
            ends = f" At the end 5% of the trials lost at most {number(float(line['regret_q05'][-1]), 'value')}"
            ends += f" and 5% more than {number(float(line['regret_q95'][-1]), 'value')}."
            svg = inline(figure, f"regret-{place}", f"Regret so far under {policy}", description + ends)
        columns = {"mean": "mean", "5%": "q05", "median": "q50", "95%": "q95"}
        shown = {name: line[f"regret_{key}"] for name, key in columns.items()}
        charts.append(_tabled(policy, svg, line["time_s"], shown, "value"))
    return charts


def frontier(source: Source) -> list[Chart]:
    """Restricted mean time to a decision against mean regret. A line joins the policies that no other beats in both."""
    if source.only is None:
        return []
    points = [
        _Spot(place, policy.policy, time, lost)
        for place, policy in enumerate(source.only.policies)
        for time, lost in [(policy.measures.get("time_to_decision"), policy.measures.get("regret"))]
        if time and lost and time.estimate is not None and lost.estimate is not None
    ]
    if not points:
        return []
    best = set(source.only.frontier)
    first, last = _span(source)
    with drawing():
        figure, axes = canvas(400, 300, right=22, left=50)
        positive = [spot.x for spot in points if spot.x > 0]
        if positive and last / min(positive) > 20:
            axes.set_xscale("symlog", linthresh=first, linscale=0.5)
        highest = max(_bounds(spot.regret)[1] for spot in points)
        losses = [spot.y for spot in points if spot.y > 0]
        knee = min(losses) if losses and highest / min(losses) > 50 else None
        if knee:
            axes.set_yscale("symlog", linthresh=knee)
        lowest = min(0.0, *(_bounds(spot.regret)[0] for spot in points))
        axes.set_ylim(lowest - (0 if knee else 0.03 * (highest - lowest)), highest * (1.6 if knee else 1.12) or 1.0)
        joined = sorted((spot.x, spot.y) for spot in points if spot.policy in best)
        axes.plot(*zip(*joined, strict=True) if joined else ((), ()), color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        for spot in points:
            (left, right), (low, high) = _bounds(spot.time), _bounds(spot.regret)
            axes.errorbar(
                spot.x, spot.y, color=colour(spot.place), marker="o", markersize=7, capsize=2.5, elinewidth=1.2, zorder=2,
                markerfacecolor=colour(spot.place) if spot.policy in best else "white", markeredgewidth=1.6,
                xerr=[[spot.x - left], [right - spot.x]], yerr=[[spot.y - low], [high - spot.y]],
            )  # fmt: skip
        _mean_time_axis(axes, first, last)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        if knee:
            _symlog_ticks(axes, knee, highest)
        else:
            readable_y(axes, "value")
        scale = ", log scale" if knee else ""
        name_axes(axes, "mean time to a decision", f"{source.run.primary.name} lost, mean{scale}")
        _label_points(axes, [(spot.policy, spot.x, spot.y) for spot in points])
        description = "; ".join(
            f"{spot.policy}: {in_line(spot.time, 's')}, regret {in_line(spot.regret, 'value')}"
            f"{', on the frontier' if spot.policy in best else ''}"
            for spot in points
        )
        svg = inline(figure, "frontier", "Mean time to a decision against mean regret", f"{description}.")
    rows = tuple(
        (spot.policy, in_line(spot.time, "s"), in_line(spot.regret, "value"), "yes" if spot.policy in best else "no")
        for spot in points
    )
    header = ("policy", "mean time to a decision", "mean regret", "on the frontier")
    return [Chart("Lower left is better; filled points are beaten by none in both", svg, header, rows)]


@dataclass(frozen=True)
class _Spot:
    """The position of a policy in the chart of time against regret."""

    place: int
    policy: str
    time: Estimate
    regret: Estimate

    @property
    def x(self) -> float:
        return self.time.estimate or 0.0

    @property
    def y(self) -> float:
        return self.regret.estimate or 0.0


def _span(source: Source) -> tuple[float, float]:
    """The first tick and the horizon, seconds."""
    return source.run.tick_s, source.run.horizon_s


def _lines(source: Source) -> list[tuple[int, str, dict[str, Floats]]]:
    """Place (which gives the colour), name and timeline of every policy that has one."""
    names = [policy.policy for policy in source.only.policies] if source.only else []
    return [(place, name, source.timeline[name]) for place, name in enumerate(names) if name in source.timeline]


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def _time_axis(axes: Axes, first: float, last: float) -> None:
    if last / first >= 50:
        log_time(axes, first, last)
    else:
        linear_time(axes, last)
        axes.set_xticks(axes.get_xticks(), [number(tick, "s") for tick in axes.get_xticks()])


def _mean_time_axis(axes: Axes, first: float, last: float) -> None:
    if axes.get_xscale() == "symlog":
        stops = [0.0, first, *(stop for stop in round_times(first, last) if stop > 2 * first)]
        axes.set_xticks(stops, [number(stop, "s") if stop else "0" for stop in stops])
        axes.set_xlim(-first * 0.2, last * 1.25)
        axes.minorticks_off()
    else:
        _time_axis(axes, last, last)
        axes.set_xlim(-0.04 * last, 1.06 * last)


def _symlog_ticks(axes: Axes, knee: float, highest: float) -> None:
    power = int(np.floor(np.log10(knee)))
    stops = [0.0, *(10.0**each for each in range(power, power + 15) if knee * 0.3 < 10.0**each <= highest)]
    axes.set_yticks(stops, [number(stop, "value") for stop in stops])
    axes.minorticks_off()


def _bounds(estimate: Estimate) -> tuple[float, float]:
    """The interval; where there is none, the estimate."""
    middle = estimate.estimate or 0.0
    return (middle if estimate.lower is None else estimate.lower), (middle if estimate.upper is None else estimate.upper)


def _bands(curve: Curve) -> dict[str, Floats]:
    return {"estimate": _numbers(curve.estimate), "lower": _numbers(curve.lower), "upper": _numbers(curve.upper)}


def _label_points(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Label each point at a place where its label hides no other point and no other label."""
    scale = axes.transData
    spots = [tuple(float(each) for each in scale.transform((x, y))) for _, x, y in points]
    inside = axes.get_window_extent()
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
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


def _tabled(title: str, svg: str, times: Floats, columns: Mapping[str, Floats], unit: str) -> Chart:
    places = _thinned(np.arange(times.size, dtype=np.float64)).astype(int)
    rows = tuple(
        (number(float(times[place]), "s"), *(number(float(column[place]), unit) for column in columns.values()))
        for place in places
    )
    return Chart(title, svg, ("time", *columns), rows)
