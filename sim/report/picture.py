"""The comparison as one picture, for pages that show images but no report."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.files import write_bytes
from sim.report.plots import Plots
from sim.report.source import Source, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "policies.png"

_WIDTH, _HEIGHT, _DPI, _FONT = 3.6, 3.4, 100, 7.5
"""Inches of a chart, pixels an inch, points of a letter: three charts fill the width of MLflow's page of a run."""
_MOST_NAMED = 12
"""Policies in a legend."""
_NOTHING = "No policy has anything to draw."
_SWEPT = ("net_value", "wrong_ship", "missed_win", "time_to_decision")

Draw = Callable[["Axes"], Any]


def write(folder: Path, into: Path | None = None, drawn: bytes | None = None) -> Path:
    """Write `policies.png` to a run folder, whole or not at all, and return its path.

    It has up to three charts: net value and risk, time and regret, and how soon trials are decided; of a sweep, measures
    along the first key. With `into`, `summary.json` is read from that folder, and the file is written to it. `drawn` is the
    picture, where another process has drawn it. Raises `InputError` as `sim.report.html.write`.

    >>> write(Path("no-such-run"))
    Traceback (most recent call last):
    sim.errors.InputError: no-such-run: no such folder
    """
    file = (into or folder) / NAME
    write_bytes(file, picture(read(folder, into)) if drawn is None else drawn)
    return file


def picture(source: Source) -> bytes:
    """The picture as a PNG file; the same bytes for the same results and the same Matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    from sim.report.svg import drawing

    with drawing(), matplotlib.rc_context({"font.size": _FONT}):
        draws = [draw for draw in _charts(source) if _drawn(draw)]
        figure = Figure(figsize=(_WIDTH * max(len(draws), 1), _HEIGHT), layout="constrained", facecolor="white")
        for number, draw in enumerate(draws, start=1):
            draw(figure.add_subplot(1, len(draws), number))
        if not draws:
            figure.text(0.5, 0.5, _NOTHING, ha="center", va="center")
        if len(source.run.policies) > _MOST_NAMED:
            # There is no room for the names; the report has them.
            for legend in (axes.get_legend() for axes in figure.axes):
                if legend is not None:
                    legend.remove()
        held = io.BytesIO()
        # Without the version of Matplotlib, which is no part of the result.
        figure.savefig(held, format="png", dpi=_DPI, metadata={"Software": None})
    return held.getvalue()


def _charts(source: Source) -> Sequence[Draw]:
    """What may be drawn, in order; some results lack what a chart shows."""
    plots = Plots(source)
    if source.only is not None:
        return [lambda ax: plots.value(ax=ax), lambda ax: plots.frontier(ax=ax), lambda ax: plots.incidence(ax=ax)]
    comparison = source.comparison
    second = comparison.points[0].values[1] if len(comparison.paths) > 1 else None
    having = [measure for measure in _SWEPT if measure in comparison.measures]
    return [partial(_along, plots, measure, second) for measure in having][:3]


def _along(plots: Plots, measure: str, second: str | None, ax: Axes) -> Axes:
    return plots.along(measure, second=second, ax=ax)


def _drawn(draw: Draw) -> bool:
    """Whether the results have what a chart shows, tried on a figure of its own."""
    from matplotlib.figure import Figure

    try:
        draw(Figure().add_subplot())
    except InputError:
        return False
    return True
