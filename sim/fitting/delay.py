"""How late outcomes become known, where those that had no time yet are not known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize

from sim.arrays import Floats, Ints
from sim.fitting.errors_of import errors_of
from sim.fitting.families import Z99
from sim.fitting.found import Chart, Found, Number, in_time, length, rounded

_MOST = 100_000
_AGES = 4_000
_LEAST = 50
_MICRO = 1e6
# Laws that differ by no more in log-likelihood are about as likely.
_ALIKE = 4.0


def _stats() -> Any:
    """`scipy.stats`, which takes long to load."""
    from scipy import stats

    return stats


@dataclass(frozen=True)
class _Law:
    """A family of delays: where a search begins, log-density and distribution by two free numbers, and how it is written."""

    name: str
    start: Callable[[Floats], list[float]]
    log_density: Callable[[Floats, Floats], Floats]
    below: Callable[[Floats, Floats], Floats]
    written: Callable[[Floats], Any]
    mean: Callable[[Floats], float]
    size: int = 2
    """How many numbers are fitted."""


def _lognormal_mean(of: Floats) -> float:
    return math.exp(of[0] + math.exp(2 * of[1]) / 2)


_LAWS = (
    _Law("exponential", lambda x: [math.log(x.mean())], lambda x, of: _stats().expon.logpdf(x, scale=math.exp(of[0])),
         lambda x, of: _stats().expon.cdf(x, scale=math.exp(of[0])), lambda of: {"exponential": length(math.exp(of[0]))},
         lambda of: math.exp(of[0]), size=1),
    _Law("log-normal", lambda x: [float(np.log(x).mean()), math.log(float(np.log(x).std()) + 1e-3)],
         lambda x, of: _stats().norm.logpdf(np.log(x), of[0], math.exp(of[1])) - np.log(x),
         lambda x, of: _stats().norm.cdf(np.log(x), of[0], math.exp(of[1])),
         lambda of: {"lognormal": {"median": length(math.exp(of[0])), "p99": length(math.exp(of[0] + Z99 * math.exp(of[1])))}},
         _lognormal_mean),
    _Law("gamma", lambda x: [0.0, math.log(x.mean())],
         lambda x, of: _stats().gamma.logpdf(x, math.exp(of[0]), scale=math.exp(of[1])),
         lambda x, of: _stats().gamma.cdf(x, math.exp(of[0]), scale=math.exp(of[1])),
         lambda of: {"gamma": {"mean": length(math.exp(of[0] + of[1])), "sd": length(math.exp(of[0] / 2 + of[1]))}},
         lambda of: math.exp(of[0] + of[1])),
    _Law("Weibull", lambda x: [0.0, math.log(x.mean())],
         lambda x, of: _stats().weibull_min.logpdf(x, math.exp(of[0]), scale=math.exp(of[1])),
         lambda x, of: _stats().weibull_min.cdf(x, math.exp(of[0]), scale=math.exp(of[1])),
         lambda of: {"weibull": {"scale": length(math.exp(of[1])), "shape": rounded(math.exp(of[0]))}},
         lambda of: math.exp(of[1]) * math.gamma(1 + math.exp(-of[0]))),
)  # fmt: skip


@dataclass(frozen=True)
class Delay:
    """A law of delays, or why there is none. `counts_as_failure`: an outcome counts as 0 until it is known; else it is left out
    until then, or nothing is late.
    """

    found: Found
    counts_as_failure: bool = False
    _below: Callable[[Floats], Floats] = np.zeros_like

    def rate(self, outcome: Floats, delay_us: Ints, age_us: Ints) -> Number:
        """The share of requests (n,) that will have an outcome other than 0, and its standard error."""
        known = (delay_us >= 0) & (outcome != 0)
        if not self.counts_as_failure:
            there = np.isfinite(outcome)
            share = float((outcome[there] != 0).mean())
            return Number(share, math.sqrt(share * (1 - share) / there.sum()))
        reached, weight = _by_age(age_us[~known] / _MICRO)
        below = self._below(reached)
        succeeded = int(known.sum())

        def slope(share: float) -> float:
            return succeeded / share - float((weight * below / (1 - share * below)).sum())

        share = brentq(slope, 1e-9, 1 - 1e-9) if slope(1 - 1e-9) < 0 else 1 - 1e-9
        info = succeeded / share**2 + float((weight * (below / (1 - share * below)) ** 2).sum())
        return Number(float(share), 1 / math.sqrt(info))


def fit_delay(outcome: Floats, delay_us: Ints, age_us: Ints) -> Delay:
    """The delay of outcomes of requests (n,), whose age is the time from each to the end of the log, or why it is not told.

    Where an outcome of 0 has no time, it is 0 for now: the model is then that of Chapelle (KDD 2014), in which a request
    succeeds with a chance, and its success is seen by an age with the chance that the delay is shorter. Where what is not known
    is empty, delays are censored at the age.
    """
    known = delay_us >= 0
    zeros_late = bool(((outcome == 0) & ~known).any())
    seen = known & (outcome != 0) if zeros_late else known
    waiting = ~seen if zeros_late else ~np.isfinite(outcome)
    delays = np.maximum(delay_us[seen] / _MICRO, 1e-3)
    if len(delays) < _LEAST:
        return Delay(Found("delay", None, f"not told: {len(delays)} outcomes have a time, and {_LEAST} are needed"))
    if delays.max() <= 1e-3:
        return Delay(Found("delay", None, "none: outcomes are known at once"))
    every = max(len(delays) // _MOST, 1)
    fits = [(law, *_fit(law, delays[::every], age_us[waiting] / _MICRO, every, zeros_late)) for law in _LAWS]
    # By Schwarz's criterion (1978), half of it.
    fits.sort(key=lambda fit: fit[2](fit[1]) + fit[0].size * math.log(len(delays)) / 2)
    (law, at, loss), *others = fits
    gains = [other_loss(other_at) - loss(at) for _, other_at, other_loss in others]
    errors = errors_of(loss, at)
    if errors is None:
        return Delay(Found("delay", None, "not told: the log is too short to tell how late an outcome may become known"))
    own = at[1:] if zeros_late else at
    mean = law.mean(own)
    # Laws that are about as likely may have other means, of what takes longer than the log is.
    apart = [other.mean(other_at[1:] if zeros_late else other_at) - mean
             for (other, other_at, _), gain in zip(others, gains, strict=True) if gain < _ALIKE]  # fmt: skip
    spread = max([abs(each) for each in apart], default=0.0)
    numbers = {"mean_s": Number(mean, math.hypot(_mean_error(law, own, errors[1:] if zeros_late else errors), spread))}
    told = f"{law.name} rather than {others[0][0].name} (log-likelihood {gains[0]:+.1f}): mean "
    by_now = in_time(Number(float(delays.mean()), float(delays.std()) / math.sqrt(len(delays))))
    told += f"{in_time(numbers['mean_s'])}, of {len(delays):,} outcomes; that of those that are known is {by_now}"
    if zeros_late:
        share = 1 / (1 + math.exp(-at[0]))
        numbers["rate"] = Number(share, share * (1 - share) * float(errors[0]))
    longest = float(age_us.max()) / _MICRO
    missing = 1 - float(law.below(np.array([longest]), own)[0])
    if missing > 0.01:
        told += f". By the law {100 * missing:.0f}% take longer than the log is, which no data can tell"
    found = Found("delay", law.written(own), told, numbers, _chart(law, own, delays, age_us[seen] / _MICRO))
    return Delay(found, zeros_late, lambda ages: law.below(ages, own))


def _by_age(ages: Floats) -> tuple[Floats, Floats]:
    """Ages in groups of nearly the same, their means, and how many each has: a law hardly differs within a group."""
    ordered = np.sort(ages)
    if len(ordered) <= _AGES:
        return ordered, np.ones(len(ordered))
    edges = np.linspace(0, len(ordered), _AGES + 1).astype(np.int64)
    size = np.diff(edges)
    return np.add.reduceat(ordered, edges[:-1]) / size, size.astype(np.float64)


def _loss(law: _Law, delays: Floats, ages: Floats, every: int, zeros_late: bool) -> Callable[[Floats], float]:
    """Minus the log-likelihood. Of delays one in `every` is there, and each stands for as many."""
    reached, weight = _by_age(ages)
    count = len(delays) * every

    def loss(at: Floats) -> float:
        with np.errstate(all="ignore"):
            if not zeros_late:
                late = np.maximum(1 - law.below(reached, at), 1e-300)
                value = every * float(law.log_density(delays, at).sum()) + float((weight * np.log(late)).sum())
            else:
                share = 1 / (1 + math.exp(-min(max(at[0], -30), 30)))
                density = every * float(law.log_density(delays, at[1:]).sum()) + count * math.log(share)
                value = density + float((weight * np.log1p(-share * law.below(reached, at[1:]))).sum())
        return -value if math.isfinite(value) else 1e300

    return loss


def _fit(law: _Law, delays: Floats, ages: Floats, every: int, zeros_late: bool) -> tuple[Floats, Callable[[Floats], float]]:
    loss = _loss(law, delays, ages, every, zeros_late)
    start = law.start(delays)
    if zeros_late:
        share = min(max(len(delays) * every / (len(delays) * every + len(ages)), 1e-6), 1 - 1e-6)
        start = [math.log(share / (1 - share)), *start]
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-5, "maxiter": 2000})
    return np.asarray(best.x), loss


def _mean_error(law: _Law, at: Floats, errors: Floats) -> float:
    """The standard error of the mean, its numbers taken as if they did not depend on each other."""
    total = 0.0
    for place, error in enumerate(errors):
        step = np.eye(len(at))[place] * error / 2
        total += (law.mean(at + step) - law.mean(at - step)) ** 2
    return math.sqrt(total)


def _chart(law: _Law, at: Floats, delays: Floats, ages: Floats) -> Chart:
    """The share of delays up to each time, of those up to the last one that all requests here had time for.

    Delays are those of requests that are old enough for it.
    """
    # Of younger requests only the shorter delays can be seen.
    most = min(float(np.quantile(delays, 0.99)), float(np.quantile(ages, 0.5)))
    x = np.linspace(most / 60, most, 60)
    enough = law.below(x, at) / law.below(np.array([most]), at)
    within = np.sort(delays[(delays <= most) & (ages >= most)])
    data = np.searchsorted(within, x, side="right") / max(len(within), 1)
    return Chart(
        f"delay: {law.name}", "time since the request", "share of those within the last time", tuple(x.tolist()),
        tuple(data.tolist()), tuple(enough.tolist()), seconds=True,
    )  # fmt: skip
