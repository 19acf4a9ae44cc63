"""What charts are drawn with, on whatever axes: stairs with their bands, fans of quantiles, lines with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats, Ints
from sim.run.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAN = (("q05", "q95", 0.9, 0.16), ("q25", "q75", 0.5, 0.3))
"""Two quantiles, the share of trials that is between them, and how dark the fan is there."""
BAND = 0.18
"""How dark a 95% interval is."""
_TURNED = {"q05": "q95", "q25": "q75", "q75": "q25", "q95": "q05"}
_LEVELS = ("mean", *_TURNED)
_MOST_DOTS = 100


def stairs(axes: Axes, time: Floats, bands: Mapping[str, Floats], last: float, shade: str) -> None:
    """A share over time with its 95% band: `time` and each of `bands` are (T,); the last step goes on to `last`."""
    until = np.append(time, last)
    drawn = {side: np.append(values, values[-1]) for side, values in bands.items()}
    axes.fill_between(until, drawn["lower"], drawn["upper"], step="post", color=shade, alpha=BAND, linewidth=0)
    axes.step(until, drawn["estimate"], where="post", color=shade, linewidth=1.8)


def fan(
    axes: Axes, time: Floats, levels: Mapping[str, Floats], shade: str, kept: Ints, *, ended: Floats | None = None,
    quantiles: tuple[tuple[str, str, float, float], ...] = FAN,
) -> None:  # fmt: skip
    """Where half and 90% of the trials are, over time: `time` and each of `levels` are (T,), of which `kept` are drawn.

    `ended` is the share of trials that have ended, for steps that a verdict changes: once more have ended than lie outside a
    fan, it would show only who shipped and who kept.
    """
    for low, high, inside, dark in quantiles:
        at = kept if ended is None else kept[ended[kept] <= 1 - inside]
        axes.fill_between(
            time[at], levels[low][at], levels[high][at], step=None if ended is None else "post", color=shade, alpha=dark,
            linewidth=0,
        )  # fmt: skip


def dotted(axes: Axes, x: Floats, line: Floats, low: Floats, high: Floats, shade: str) -> None:
    """Estimates at points on x, (P,) each, with their intervals."""
    axes.fill_between(x, low, high, color=shade, alpha=BAND, linewidth=0)
    # Marks of more points would run into each other.
    if x.size > _MOST_DOTS:
        axes.plot(x, line, color=shade, linewidth=1.2)
    else:
        axes.plot(x, line, color=shade, linewidth=1.8, marker="o", markersize=4)


def live_share(run: Record, line: Mapping[str, Floats]) -> dict[str, Floats]:
    """The challengers' share of live traffic in a policy's timeline: mean and quantiles over trials, (T,) each.

    Live weights sum to one: a quantile q of the challengers' share is 1 less the champion's quantile 1 - q.
    """
    champion = run.arms[0]
    return {key: 1 - line[f"weight.{champion}.{of}"] for key, of in {"mean": "mean", **_TURNED}.items()}


def regret_levels(line: Mapping[str, Floats]) -> dict[str, Floats]:
    """The regret so far in a policy's timeline: mean and quantiles over trials, (T,) each."""
    return {level: line[f"regret_{level}"] for level in _LEVELS}
