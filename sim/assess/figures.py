"""What releases tell: shares, times and bad answers with their intervals, a row for each version that was tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats
from sim.assess.playing import Releases
from sim.assess.question import Worse
from sim.stats.intervals import Estimate, mean_interval, proportion_interval, quantile_interval

# Stands for never, which has its place among times but is no number.
_NEVER = 1e300


@dataclass(frozen=True)
class Row:
    """What becomes of releases of a version. Shares are of all releases.

    back: rolled back within the rollout. paused: ended in doubt. stopped: either. shipped: serves all. open: not over by the
    end of the simulation.
    half, most: seconds within which half and 95% of all releases are rolled back; without an estimate where fewer are.
    bad: bad answers beyond the champion's, of a release that is rolled back, until it is. missed_per_day: as many a day of one
    that is shipped.
    """

    worse: Worse
    back: Estimate
    paused: Estimate
    stopped: Estimate
    shipped: Estimate
    open: Estimate
    half: Estimate
    most: Estimate
    bad: Estimate
    missed_per_day: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The row as data, with estimates as mappings."""
        estimates = {name: as_dict(value) for name, value in vars(self).items() if isinstance(value, Estimate)}
        return {"version": self.worse.key, "errors": self.worse.errors, "slower": self.worse.slower, **estimates}


def row_of(worse: Worse, releases: Releases) -> Row:
    """The row of the releases of a version."""
    gone_s = np.where(releases.back, releases.end_s, _NEVER)
    stopped = releases.back | releases.paused
    return Row(
        worse,
        back=_share(releases.back),
        paused=_share(releases.paused),
        stopped=_share(stopped),
        shipped=_share(releases.shipped),
        open=_share(~(stopped | releases.shipped)),
        half=_time(gone_s, 0.5),
        most=_time(gone_s, 0.95),
        bad=mean_interval(releases.bad[releases.back]),
        missed_per_day=mean_interval(releases.bad_per_day[releases.shipped]),
    )


def gone_within(releases: Releases, seconds: float) -> Estimate:
    """The share of releases that are rolled back within a time."""
    return _share(releases.back & (releases.end_s <= seconds))


def times(estimate: Estimate, factor: float) -> Estimate:
    """An estimate of a multiple.

    >>> times(Estimate(0.25, 0.125, 0.5, 100), 2)
    Estimate(estimate=0.5, lower=0.25, upper=1.0, n=100)
    """
    values = (estimate.estimate, estimate.lower, estimate.upper)
    one, low, high = (None if value is None else value * factor for value in values)
    return Estimate(one, low, high, estimate.n)


def as_dict(estimate: Estimate) -> dict[str, Any]:
    """An estimate as data."""
    return dict(vars(estimate))


def _time(gone_s: Floats, q: float) -> Estimate:
    found = quantile_interval(gone_s, q)
    one, low, high = (None if (value or 0.0) >= _NEVER else value for value in (found.estimate, found.lower, found.upper))
    return Estimate(one, low, high, found.n)


def _share(marked: Bools) -> Estimate:
    return proportion_interval(int(marked.sum()), marked.size)
