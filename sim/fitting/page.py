"""What was found, as a page: the fits beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.fitting import found
from sim.fitting.fitting import LogFit
from sim.fitting.priors import Prior
from sim.report.figures import HEIGHT, WIDTH, Chart
from sim.report.numbers import number
from sim.report.parts import figure
from sim.report.sections import Section, html_page
from sim.report.svg import INK, canvas, colour, drawing, inline, log_time, name_axes, readable

_LEFT_OUT = "left out"


def page(title: str, fit: LogFit | None, sentences: Sequence[str], sections: Sequence[Section] = ()) -> str:
    """One offline file: what was found, what it rests on, and a chart of each fit beside its data."""
    rows = tuple(
        (about, each.what, in_short(each.written), each.told) for about, each in (fit.all() if fit is not None else ())
    )
    all_of = (
        *((Section("What was found", (), ("about", "what", "in the scenario", "rests on"), rows, "text"),) if rows else ()),
        *sections,
    )
    # Of several arms each chart says whose it is.
    charts = [
        replace(each.chart, title=f"{about}: {each.chart.title}") if about != "traffic" else each.chart
        for about, each in (fit.all() if fit is not None else ()) if each.chart is not None
    ]  # fmt: skip
    drawn = "\n".join(figure(draw(chart, f"fit-{place}")) for place, chart in enumerate(charts))
    legend = (
        '<section class="figures"><h2>Fits beside the data</h2><p>Dots are the data, the line is what the scenario says.</p>'
        f'<div class="charts">{drawn}</div></section>'
    )
    return html_page(title, sentences, all_of, legend if charts else "", heading_of_answer="In short")


def prior_section(prior: Prior, told: Sequence[str]) -> Section:
    """The prior of effects, and others that fit about as well."""
    rows = tuple((name, in_short(effect)) for name, effect in prior.plausible().items())
    return Section("How much new versions change it", tuple(told), ("prior", "in the scenario"), rows, "text")


def in_short(written: object) -> str:
    """A value as a file writes it, without quotes; what is left out is said to be."""
    if written is None:
        return _LEFT_OUT
    if isinstance(written, dict):
        return "{" + ", ".join(f"{key}: {in_short(value)}" for key, value in written.items()) + "}"
    if isinstance(written, list):
        return "[" + ", ".join(map(in_short, written)) + "]"
    return f"{written:g}" if isinstance(written, float) else str(written)


def draw(chart: found.Chart, key: str) -> Chart:
    """A chart of data and a fit over the same x."""
    x, data, fit = (np.array(each) for each in (chart.x, chart.data, chart.fit))
    with drawing():
        figure_of, axes = canvas(WIDTH, HEIGHT, right=16, left=56)
        axes.plot(x, data, linestyle="none", marker="o", markersize=3.5, color=INK, alpha=0.7)
        axes.plot(x, fit, color=colour(0), linewidth=2)
        top = float(max(data.max(), fit.max()))
        if chart.log_y:
            axes.set_yscale("log")
            stops = 10.0 ** np.arange(0, np.ceil(np.log10(max(top, 10))) + 1)
            axes.set_ylim(0.8 * float(min(data.min(), fit.min())), 1.3 * top)
            axes.set_yticks(
                [stop for stop in stops if stop < 1.3 * top],
                [number(float(stop), "value") for stop in stops if stop < 1.3 * top],
            )
            axes.minorticks_off()
        else:
            axes.set_ylim(0, 1.08 * top or 1)
        x_name = chart.x_name
        if chart.log_x and chart.seconds:
            log_time(axes, float(x[0]), float(x[-1]))
            x_name += ", logarithmic"
        elif chart.log_x:
            axes.set_xscale("log")
            low, high = np.log10(x[0]), np.log10(x[-1])
            stops = 10.0 ** np.arange(np.ceil(low), np.floor(high) + 1)
            axes.set_xticks(stops, [number(float(stop), "value") for stop in stops])
            axes.minorticks_off()
            x_name += ", logarithmic"
        elif chart.seconds:
            readable(axes.xaxis, "s")
        name_axes(axes, x_name, f"{chart.y_name}, logarithmic" if chart.log_y else chart.y_name)
        svg = inline(figure_of, key, chart.title, f"{chart.y_name} against {chart.x_name}: data as dots, the fit as a line.")
    unit = "s" if chart.seconds else "value"
    rows = tuple(
        (number(each, unit), number(of_data, "value"), number(of_fit, "value"))
        for each, of_data, of_fit in zip(chart.x, chart.data, chart.fit, strict=True)
    )
    return Chart(chart.title, svg, (chart.x_name, "data", "fit"), rows)
