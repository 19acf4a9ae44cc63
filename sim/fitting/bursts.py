"""Bursts of a log: a hidden Markov model of two states, calm and burst, whose counts are Poisson."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from sim.arrays import Floats
from sim.fitting.counts import Counts
from sim.fitting.errors_of import errors_of
from sim.fitting.found import Chart, Number, in_time, length, rounded
from sim.jit import compiled

_FEW_BINS, _MOST_BINS, _LEAST_BINS = 10_000, 40_000, 200
# Bursts are written down where two states say so much more of the counts than one: 2 log L, of three numbers more.
_SURE = 25.0
# Counts vary more than by chance where the index of dispersion is so many standard errors above 1.
_ERRORS = 4.0


@dataclass(frozen=True)
class Bursts:
    """Calm of mean length `every` and bursts of mean length `duration`, seconds, with `factor` times the rate of calm."""

    factor: Number
    every: Number
    duration: Number
    width_s: int
    chart: Chart
    course: Floats
    """(B,) what the rate is expected to be multiplied by in each interval, given all counts."""

    def written(self) -> dict[str, object]:
        """As a scenario writes them."""
        lengths = {"every": self.every, "duration": self.duration}
        return {"factor": rounded(self.factor.estimate, 3), **{key: length(each.estimate) for key, each in lengths.items()}}

    def told(self) -> str:
        """What was found, in words."""
        rate = f"{self.factor.estimate:.3g} ± {self.factor.error:.2g} times the calm rate"
        lengths = f"for {in_time(self.duration)}, about every {in_time(self.every)}"
        return f"{rate} {lengths} (a hidden Markov model of counts of {length(self.width_s)})"

    def numbers(self) -> dict[str, Number]:
        """The estimates, lengths in seconds."""
        return {"factor": self.factor, "every_s": self.every, "duration_s": self.duration}


def fit_bursts(
    counts: Counts, rate: Callable[[Floats], Floats], offset_s: float, before: Bursts | None = None
) -> Bursts | str:  # fmt: skip
    """The bursts of counts about a rate that is a function of time; in words why there are none.

    `before` is a fit about nearly the same rate, which is begun at.

    By maximum likelihood (Zucchini, MacDonald & Langrock 2016, ch. 1-3). Bursts that are shorter than an interval of the
    counts cannot be told.
    """
    least = counts.width_s
    seconds = len(counts.by(least)) * least
    if seconds < _LEAST_BINS * least:
        return "not told: the log is too short"
    # Long intervals find about where the best fit is, short ones where exactly: a burst begins and ends within an interval.
    coarse, fine = (_binned(counts, rate, offset_s, least * -(-seconds // (least * most))) for most in (_FEW_BINS, _MOST_BINS))
    scales, index, error = _dispersion(fine)
    top = int(np.argmax((index - 1) / error))
    plainly = f"counts of {length(scales[top])} vary {index[top]:.2f} ± {error[top]:.2f} times as much as by chance"
    if index[top] - 1 < _ERRORS * error[top]:
        return f"none: {plainly}"
    if before is None:
        tried = sorted((coarse.loss(np.array(start)), start) for start in coarse.starts())[:3]
        near = min((_least(coarse, start) for _, start in tried), key=lambda fit: fit[1])[0]
    else:
        near = np.log([before.factor.estimate - 1, before.every.estimate, before.duration.estimate])
    best, loss = _least(fine, near)
    if 2 * (fine.alone() - loss) < _SURE:
        return f"none that is sure, though {plainly}"
    factor, every, duration = 1 + np.exp(best[0]), np.exp(best[1]), np.exp(best[2])
    errors = errors_of(fine.loss, best)
    if errors is None or seconds / (every + duration) < 3:
        return f"not told as bursts, though {plainly}: the log has too few of them"
    fitted = _index_of(scales, float(fine.expected.mean()) / fine.width, factor, every, duration)
    chart = Chart(
        "How counts vary, by scale", "length of an interval", "variance over mean", tuple(scales.tolist()),
        tuple(index.tolist()), tuple(fitted.tolist()), log_x=True, log_y=True, seconds=True,
    )  # fmt: skip
    sizes = (factor - 1, every, duration)
    factor_error, *of_lengths = (float(size * of) for size, of in zip(sizes, errors, strict=True))
    # A burst begins and ends within an interval, which blurs its height.
    blurred = (factor - 1) * fine.width / (2 * duration)
    numbers = (
        Number(float(factor), float(np.hypot(factor_error, blurred))), Number(float(every), of_lengths[0]),
        Number(float(duration), of_lengths[1]),
    )  # fmt: skip
    return Bursts(*numbers, fine.width, chart, fine.course(best))


@dataclass(frozen=True)
class _Binned:
    """Counts (B,) in intervals of `width` seconds, and what is expected of them."""

    counts: Floats
    expected: Floats
    width: int

    def starts(self) -> list[tuple[float, float, float]]:
        """Logarithms of the factor less 1, and of the mean lengths, to begin a search at."""
        lengths = [(20, 5), (200, 20), (60, 60), (1000, 100)]
        return [
            (float(np.log(factor - 1)), float(np.log(every * self.width)), float(np.log(duration * self.width)))
            for factor in (1.5, 4.0) for every, duration in lengths
        ]  # fmt: skip

    def alone(self) -> float:
        """Minus the log-likelihood without bursts."""
        return float(self.expected.sum() - self.counts @ np.log(self.expected))

    def loss(self, of: Floats) -> float:
        """Minus the log-likelihood of bursts, by the logarithms of the factor less 1, `every` and `duration`."""
        factor, every, duration = 1 + np.exp(of[0]), np.exp(of[1]) / self.width, np.exp(of[2]) / self.width
        most = 20 * len(self.counts)
        if not (0.2 < every < most and 0.2 < duration < most and factor < 1e4):
            return 1e300
        calm, given = self._chain(of)
        base = self.counts @ np.log(self.expected * calm) - calm * self.expected.sum()
        return -float(base + _forward(*given, np.empty(0)))

    def course(self, of: Floats) -> Floats:
        """(B,) what the rate is expected to be multiplied by, given all counts: by the forward-backward algorithm."""
        calm, given = self._chain(of)
        burst = np.empty(len(self.counts))
        _forward(*given, burst)
        _backward(*given, burst)
        course: Floats = calm * (1 + np.exp(of[0]) * burst)
        return course

    def _chain(self, of: Floats) -> tuple[float, tuple[Floats, float, float, float]]:
        """The rate of calm over the mean; log P(count | burst) / P(count | calm) (B,); chances to enter, to leave, to be in."""
        factor, every, duration = 1 + np.exp(of[0]), np.exp(of[1]) / self.width, np.exp(of[2]) / self.width
        share = duration / (every + duration)
        calm = 1 / (1 + (factor - 1) * share)
        # Of a chain in continuous time, from one interval to the next.
        stays = np.exp(-(1 / every + 1 / duration))
        ratio = self.counts * np.log(factor) - self.expected * calm * (factor - 1)
        return float(calm), (ratio, float(share * (1 - stays)), float((1 - share) * (1 - stays)), float(share))


def _binned(counts: Counts, rate: Callable[[Floats], Floats], offset_s: float, width: int) -> _Binned:
    seen: Floats = counts.by(width).astype(np.float64)
    middle: Floats = offset_s + (np.arange(len(seen), dtype=np.float64) + 0.5) * width
    expected = np.maximum(rate(middle) * width, 1e-9)
    return _Binned(seen, expected * (seen.sum() / expected.sum()), width)


def _least(binned: _Binned, start: Sequence[float] | Floats) -> tuple[Floats, float]:
    fit = minimize(binned.loss, list(start), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-3, "maxiter": 400})
    return np.asarray(fit.x), float(fit.fun)


def _dispersion(binned: _Binned) -> tuple[Floats, Floats, Floats]:
    """By scale (S,), in seconds: the index of dispersion about the expected counts, and its error if it were 1."""
    scales, index, error = [], [], []
    scale = 1
    while len(binned.counts) // scale >= 50:
        end = len(binned.counts) // scale * scale
        seen = binned.counts[:end].reshape(-1, scale).sum(axis=1)
        mean = binned.expected[:end].reshape(-1, scale).sum(axis=1)
        scales.append(scale * binned.width)
        index.append(float(((seen - mean) ** 2 / mean).mean()))
        error.append(float(np.sqrt((2 + 1 / mean.mean()) / len(seen))))
        scale *= 3
    return np.array(scales, np.float64), np.array(index), np.array(error)


def _index_of(lengths: Floats, rate: float, factor: float, every: float, duration: float) -> Floats:
    """The index of dispersion of bursts over intervals, (S,) seconds (Fischer & Meier-Hellstern 1993, section 3)."""
    share = duration / (every + duration)
    calm = 1 / (1 + (factor - 1) * share)
    variance = share * (1 - share) * (rate * calm * (factor - 1)) ** 2
    speed = 1 / every + 1 / duration
    index: Floats = 1 + 2 * variance / (rate * speed) * (1 - (1 - np.exp(-speed * lengths)) / (speed * lengths))
    return index


@compiled
def _forward(ratio: Floats, to_burst: float, to_calm: float, share: float, filtered: Floats) -> float:
    """The log-likelihood of two states beyond that of calm alone. ratio (B,): log P(count | burst) / P(count | calm).

    Fills `filtered` (B,), or (0,), with the chance of a burst given the counts up to each interval.
    """
    burst = share
    total = 0.0
    for place in range(ratio.shape[0]):
        # So that no exponential is too large.
        top = max(ratio[place], 0.0)
        in_burst = burst * np.exp(ratio[place] - top)
        in_calm = (1.0 - burst) * np.exp(-top)
        both = in_burst + in_calm
        total += np.log(both) + top
        burst = in_burst / both
        if filtered.shape[0]:
            filtered[place] = burst
        burst = burst * (1.0 - to_calm) + (1.0 - burst) * to_burst
    return total


@compiled
def _backward(ratio: Floats, to_burst: float, to_calm: float, share: float, filtered: Floats) -> None:
    """Change `filtered` (B,) into the chance of a burst given all counts."""
    for place in range(ratio.shape[0] - 2, -1, -1):
        ahead = filtered[place] * (1.0 - to_calm) + (1.0 - filtered[place]) * to_burst
        after = filtered[place + 1]
        stayed = filtered[place] * (1.0 - to_calm) / max(ahead, 1e-300)
        left = filtered[place] * to_calm / max(1.0 - ahead, 1e-300)
        filtered[place] = after * stayed + (1.0 - after) * left
