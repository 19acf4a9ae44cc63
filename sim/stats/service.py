"""Service time and concurrency of a server, from response times at several rates: queueing told apart from service."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats
from sim.stats.queues import first_come_waits
from sim.stats.validation import require, require_positive

STEADY = 0.02
"""How much the speed of a machine is taken to vary, at least, from minute to minute: the relative sd of a mean service time."""
_REPLAYED = 100
_GRID = 11
_WITHIN = 3.841  # the 95% point of chi-square with one degree of freedom
_REFUSED = 0.001
_MOST = 128


@dataclass(frozen=True, eq=False)
class Load:
    """Calls that came at `at_s` (n,), in order and in seconds, and were answered `took_s` (n,) later."""

    at_s: Floats
    took_s: Floats

    @property
    def rate_per_s(self) -> float:
        """Calls per second."""
        return float((self.at_s.size - 1) / (self.at_s[-1] - self.at_s[0]))

    @property
    def mean_s(self) -> float:
        """Mean response, seconds."""
        return float(self.took_s.mean())


@dataclass(frozen=True)
class Predicted:
    """A rate that the fit has not seen: what it predicts of the mean response (with 99% bounds), and what was measured."""

    rate_per_s: float
    measured_s: float
    predicted_s: float
    lower_s: float
    upper_s: float

    @property
    def holds(self) -> bool:
        """Whether the prediction is right within its error."""
        return self.lower_s <= self.measured_s <= self.upper_s


@dataclass(frozen=True)
class Service:
    """`concurrency` calls are served at once, with those that the data do not rule out (95%) from `least` to `most`. A call
    holds a server for `held_s` on average (95% bounds); `beside_s` of its response pass beside it, on the way or in the
    client (negative where a server is held after it has answered). `p_value` is of the misfit at the rates fitted. `speed_sd`
    is the relative sd of the machine's speed that was allowed for.
    """

    concurrency: int
    least: int
    most: int
    held_s: float
    lower_s: float
    upper_s: float
    beside_s: float
    p_value: float
    speed_sd: float
    held_out: Predicted

    @property
    def holds(self) -> bool:
        """Whether the server is one queue before so many servers, as far as these data can tell."""
        return self.p_value >= _REFUSED and self.held_out.holds


def fit_service(alone: Sequence[Floats], loads: Sequence[Load], held_out: Load, full_per_s: float, *, seed: int = 0) -> Service:
    """Service and concurrency of a server: one queue, first come first served, before c servers (G/G/c).

    alone: responses in seconds, (m,) each, of calls sent one after another, in blocks that were taken at different times; as
    nothing waits, they are the service with what is beside it. loads: at least three rates. held_out: another rate, for the
    check alone. full_per_s: calls per second that the server answers when it always has more to do.

    The response to a call is its wait and its response alone, T; a server is held for T less a constant, at most half of it.
    Each candidate (c and the constant) replays the arrivals as they were sent, with T drawn anew from `alone`, by the recursion
    of Kiefer & Wolfowitz (1955). So no formula for M/G/c has to be approximate, and no run long enough to be stationary. The
    logarithms of mean responses are compared by generalised least squares, with the covariances of these replays. They hold
    the sampling of `alone`, that of the run, and the drift between blocks (at least `STEADY`). Bounds are profiles at a rise
    of 3.84, with the error of the mean of `alone`. Of concurrencies that the data do not tell apart, that is taken
    whose calls spend least beside the server.

    Raises `InputError` for fewer than two blocks of two, fewer than three loads, and a rate that is not positive.
    """
    require(len(alone) >= 2 and all(block.size >= 2 for block in alone), "alone", "needs two blocks of two calls", len(alone))
    require(len(loads) >= 3, "loads", "needs three rates", len(loads))
    require_positive("full_per_s", full_per_s)
    speed_sd = drift(alone)
    replays = _Replays(np.concatenate(alone), speed_sd, [*loads, held_out], seed, len(alone))
    observed = np.log([load.mean_s for load in loads])
    tried: list[tuple[float, int, float]] = []
    for servers in _candidates(replays.mean_s, full_per_s):
        about = servers / full_per_s
        grid = _usable(np.geomspace(0.7 * about, 1.4 * about, _GRID), replays)
        if not grid.size:
            continue
        coarse = replays.misfit(observed, servers, grid)
        best = grid[coarse.argmin()]
        step = 2.0 ** (1.2 / _GRID)
        fine = _usable(np.geomspace(best / step, best * step, _GRID), replays)
        for held, found in ((grid, coarse), (fine, replays.misfit(observed, servers, fine))):
            tried += [(float(misfit), servers, float(each)) for misfit, each in zip(found, held, strict=True)]
    least_misfit = min(misfit for misfit, _, _ in tried)
    within = sorted({(servers, held) for misfit, servers, held in tried if misfit <= least_misfit + _WITHIN})
    # The best of each concurrency that is not ruled out; of these, the one that leaves least to be explained beside the server.
    best = {servers: min((misfit, held) for misfit, other, held in tried if other == servers) for servers, _ in within}
    concurrency = min(best, key=lambda servers: abs(replays.mean_s - best[servers][1]))
    misfit, held_s = best[concurrency]
    profile = [held for servers, held in within if servers == concurrency]
    # The profile is of what is beside the server, given the mean alone, which has an error of its own.
    error_s = 1.96 * replays.mean_error_s
    return Service(
        concurrency=concurrency,
        least=within[0][0],
        most=within[-1][0],
        held_s=held_s,
        lower_s=held_s - math.hypot(held_s - min(profile), error_s),
        upper_s=held_s + math.hypot(max(profile) - held_s, error_s),
        beside_s=replays.mean_s - held_s,
        p_value=_chance(misfit, len(loads) - 2),
        speed_sd=speed_sd,
        held_out=_predicted(replays, held_out, (concurrency, held_s), within),
    )


class _Replays:
    """Every load replayed many times, with the same draws whatever the candidate."""

    def __init__(self, alone: Floats, speed_sd: float, loads: Sequence[Load], seed: int, blocks: int) -> None:
        draws = np.random.default_rng(seed)
        self.mean_s, self.least_s = float(alone.mean()), float(np.quantile(alone, 0.01))
        self.mean_error_s = math.hypot(
            float(alone.std(ddof=1)) / math.sqrt(alone.size), speed_sd * self.mean_s / math.sqrt(blocks)
        )
        self.loads = loads
        self._took: list[Floats] = []
        again = draws.integers(alone.size, size=(_REPLAYED, alone.size))
        for load in loads:
            speed = np.exp(speed_sd * draws.standard_normal((_REPLAYED, 1)))
            which = draws.integers(alone.size, size=(_REPLAYED, load.at_s.size))
            self._took.append(alone[np.take_along_axis(again, which, axis=1)] * speed)

    def logs(self, load: int, servers: int, held_s: Floats) -> Floats:
        """Logarithms of mean responses, (D, R), where a call holds a server for `held_s` (D,) on average."""
        took = self._took[load]
        held = np.maximum(took - (self.mean_s - held_s)[:, None, None], 0.0)
        waits = first_come_waits(self.loads[load].at_s, held, servers)
        logs: Floats = np.log((took + waits).mean(axis=2))
        return logs

    def misfit(self, observed: Floats, servers: int, held_s: Floats) -> Floats:
        """Chi-square of the fitted loads (all but the last), (D,)."""
        if not held_s.size:
            return np.empty(0)
        logs = np.stack([self.logs(load, servers, held_s) for load in range(len(self.loads) - 1)], axis=1)
        found = np.empty(held_s.size)
        for at, each in enumerate(logs):
            apart = observed - each.mean(axis=1)
            found[at] = apart @ np.linalg.solve(np.cov(each), apart)
        return found


def _usable(held_s: Floats, replays: _Replays) -> Floats:
    """What a call may hold a server for: half to 1.6 of what it takes alone, and no call less than nothing."""
    beside_s = replays.mean_s - held_s
    return held_s[(beside_s <= replays.least_s) & (held_s >= 0.5 * replays.mean_s) & (held_s <= 1.6 * replays.mean_s)]


def _candidates(mean_s: float, full_per_s: float) -> range:
    """The concurrencies that so many calls per second allow, with half to 1.6 of a response alone spent in a server.

    What is measured of `full_per_s` may be wrong by a fifth.
    """
    busy = mean_s * full_per_s
    most = max(1, math.ceil(1.6 * 1.2 * busy))
    require(most <= _MOST, "full_per_s", f"must be of at most {_MOST / 1.92:.0f} calls at once", f"{busy:.3g} calls at once")
    return range(max(1, math.floor(0.5 * 0.8 * busy)), most + 1)


def drift(blocks: Sequence[Floats]) -> float:
    """Relative sd of the machine's speed between blocks of calls, beyond their sampling (one-way analysis of variance).

    At least `STEADY`.
    """
    means = np.array([block.mean() for block in blocks])
    sampling = float(np.mean([block.var(ddof=1) / block.size for block in blocks]))
    return max(STEADY, math.sqrt(max(0.0, float(means.var(ddof=1)) - sampling)) / float(means.mean()))


def _chance(misfit: float, degrees: int) -> float:
    from scipy.special import gammaincc

    return float(gammaincc(degrees / 2, misfit / 2))


def _predicted(replays: _Replays, load: Load, best: tuple[int, float], within: Sequence[tuple[int, float]]) -> Predicted:
    """What the candidates that are not ruled out predict of a load that no candidate has seen."""
    last = len(replays.loads) - 1
    lower, upper = np.inf, -np.inf
    for servers in sorted({servers for servers, _ in within}):
        held = np.array([held for other, held in within if other == servers])
        logs = replays.logs(last, servers, held[[0, held.size // 2, -1]])
        lower = min(lower, float(np.quantile(logs, 0.005, axis=1).min()))
        upper = max(upper, float(np.quantile(logs, 0.995, axis=1).max()))
    at_best = replays.logs(last, best[0], np.array([best[1]])).mean()
    return Predicted(load.rate_per_s, load.mean_s, float(np.exp(at_best)), float(np.exp(lower)), float(np.exp(upper)))
