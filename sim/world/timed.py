"""An effect that is another one at some hours or on some days: its draws, and its factor in a tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.scenario.priors import Prior
from sim.scenario.schema import TimedEffect
from sim.world.cycles import held
from sim.world.priors import effects


@dataclass(frozen=True)
class Timed:
    """An arm's effect on a metric by time. share (T, J): of each tick, how much lies in each of J windows; their priors (J)."""

    arm: int
    metric: str
    share: Floats
    priors: tuple[Prior, ...]

    @classmethod
    def of(
        cls, arm: int, metric: str, windows: Sequence[TimedEffect], start_s: float, ticks: int, tick_s: float
    ) -> Timed:  # fmt: skip
        """From the windows of a scenario, of a run that starts at a time of day."""
        share = np.stack([held(window.spans, start_s, ticks, tick_s) for window in windows], axis=1)
        return cls(arm, metric, share, tuple(window.relative_effect for window in windows))

    def draw(self, seed: int, replications: Ints, arm: str) -> Floats:
        """(R, J) the effect in each window in some replications."""
        names = [f"{arm}.{self.metric}.when[{place}]" for place in range(len(self.priors))]
        drawn = [effects(prior, seed, replications, name) for prior, name in zip(self.priors, names, strict=True)]
        return np.stack(drawn, axis=1)

    def factor(self, usual: Floats, then: Floats, tick: int) -> Floats:
        """(R,) what the mean with the usual effect (R,) is multiplied by in a tick; then (R, J): the effects in the windows."""
        return _over_usual(usual, then, self.share[tick])

    def mean(self, usual: Floats, then: Floats, weight: Floats) -> Floats:
        """(R,) the mean of `factor` over ticks, by their weights (T,)."""
        return _over_usual(usual, then, (self.share * weight[:, None]).sum(axis=0) / weight.sum())

    def patterns(self) -> tuple[Floats, Ints]:
        """(C, J) the different shares that ticks have, and (T,) which of them a tick has."""
        found, place = np.unique(self.share, axis=0, return_inverse=True)
        return found, place.reshape(-1)

    def extremes(self, usual: Floats, then: Floats, by_tick: Floats) -> tuple[Floats, Floats]:
        """(R,) each: the smallest and the largest of `factor` times by_tick (T,) in any tick."""
        patterns, place = self.patterns()
        least, most = np.full(usual.size, np.inf), np.full(usual.size, -np.inf)
        for number, share in enumerate(patterns):
            factor, ticks = _over_usual(usual, then, share), by_tick[place == number]
            least, most = np.minimum(least, factor * ticks.min()), np.maximum(most, factor * ticks.max())
        return least, most


def _over_usual(usual: Floats, then: Floats, share: Floats) -> Floats:
    if not share.any():
        return np.ones(usual.size)
    rest = 1 - float(share.sum())
    # Summed row by row, as a matrix product's last digit depends on how many rows there are.
    now: Floats = (1 + usual) * rest + ((1 + then) * share).sum(axis=1)
    return now / (1 + usual)


def timed_of(
    truth: Mapping[str, Mapping[str, Sequence[TimedEffect]]], arms: Sequence[str], start_s: float, ticks: int, tick_s: float
) -> tuple[Timed, ...]:
    """The effects by time of a scenario; truth {arm: {metric: windows}}."""
    return tuple(
        Timed.of(arms.index(arm), metric, windows, start_s, ticks, tick_s)
        for arm, metrics in truth.items()
        for metric, windows in metrics.items()
        if windows
    )
