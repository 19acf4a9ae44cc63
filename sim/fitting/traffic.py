"""How many requests come, and when: the rate, its cycles over day and week, a trend, and bursts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy.special import fdtrc

from sim.arrays import Bools, Floats
from sim.fitting.bursts import Bursts, fit_bursts
from sim.fitting.counts import Counts
from sim.fitting.found import Chart, Found, Number, length, rounded
from sim.units import format_clock, rounded_rate

DAY_S = 86_400
# Whole days, but for the minutes before the first request and after the last.
_DAILY_DAYS, _WEEKLY_DAYS = 1.98, 13.98
# A cycle is written down where chance would show one as strong in one log of a thousand.
_SURE = 0.001
_BIN_S = 600


@dataclass(frozen=True)
class Cycles:
    """A mean (per second), times a cosine over the day and a factor of each weekday, (7,) from Monday or the first day."""

    mean: float
    cosine: float = 0.0
    sine: float = 0.0
    weekdays: Floats | None = None
    slope: float = 0.0
    """The trend: the relative change a second, from `centre_s` on."""
    centre_s: float = 0.0

    @property
    def amplitude(self) -> float:
        """How far the daily cycle swings, as a share of the mean."""
        return float(np.hypot(self.cosine, self.sine))

    @property
    def peak_s(self) -> float:
        """The time of day at which it is highest."""
        return float(np.arctan2(self.sine, self.cosine) / (2 * np.pi) * DAY_S % DAY_S)

    def at(self, middle_s: Floats) -> Floats:
        """The rate (B,) at times since midnight of the first weekday."""
        turn = 2 * np.pi * middle_s / DAY_S
        rate: Floats = self.mean * (1 + self.cosine * np.cos(turn) + self.sine * np.sin(turn))
        if self.weekdays is not None:
            rate = rate * self.weekdays[(middle_s // DAY_S).astype(np.int64) % 7]
        return np.asarray(rate * np.maximum(1 + self.slope * (middle_s - self.centre_s), 0.01), np.float64)


def fit_traffic(counts: Counts, span_s: float, start: datetime | None) -> list[Found]:
    """The rate, the cycles over day and week, the trend and the bursts of a log."""
    offset = since_midnight(start)
    days = span_s / DAY_S
    width = max(_BIN_S, counts.width_s)
    binned = counts.by(width)
    mean = float(counts.by(counts.width_s).sum()) / span_s
    cycles = Cycles(mean)
    found: list[Found] = []
    daily = weekly = trend = None
    # The last interval may not be whole.
    middle: Floats = offset + (np.arange(len(binned), dtype=np.float64) + 0.5) * width
    bursts = _bursts_about(counts, cycles, offset)
    if days >= _DAILY_DAYS and len(binned) >= 2 * DAY_S // width:
        calm: Floats = binned.astype(np.float64)
        # Bursts hide the cycles, and cycles look like bursts: each is fitted again, about what the other is by then.
        for last in (False, False, True):
            of_week = _weekday_factors(calm, width, offset) if days >= _WEEKLY_DAYS else None
            cycles, error = _fitted(calm, width, middle, of_week, jackknife=last)
            bursts = _bursts_about(counts, cycles, offset, bursts)
            course = np.ones(len(binned)) if isinstance(bursts, str) else _averaged(bursts, width, len(binned))
            calm = np.asarray(binned / course, np.float64)
        cycles, daily = _daily(cycles, error, calm, width, middle)
        if cycles.weekdays is not None:
            factors = [rounded(float(each), 3) for each in cycles.weekdays]
            weekly = Found(
                "weekly cycle", factors, f"from Monday, of {int(days)} days: {', '.join(f'{each:g}' for each in factors)}"
            )
        trend = _trend(calm, width, middle, replace(cycles, slope=0.0))
    if daily is None:
        daily = Found("daily cycle", None, f"not told: needs {_DAILY_DAYS:.0f} days, the log has {_days(days)}")
    if weekly is None:
        why = (
            "none that is sure"
            if days >= _WEEKLY_DAYS
            else f"not told: needs {_WEEKLY_DAYS:.0f} days, the log has {_days(days)}"
        )
        weekly = Found("weekly cycle", None, why)
    rate_error = _rate_error(counts, cycles, offset, span_s, bursts)
    rate = Found("rate", rounded_rate(mean), f"{rounded_rate(mean)} ± {100 * rate_error / mean:.2g}%, of {_days(days)}",
                 {"rate": Number(mean, rate_error)})  # fmt: skip
    found += [rate, daily, weekly, trend or Found("trend", None, f"not told: needs {_WEEKLY_DAYS:.0f} days"), _bursts(bursts)]
    return found


def since_midnight(start: datetime | None) -> float:
    """Seconds from midnight of the Monday before to the first request; 0 where no clock is known."""
    if start is None:
        return 0.0
    return start.weekday() * DAY_S + (start - start.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def _days(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else length(days * DAY_S)


def _bursts_about(counts: Counts, cycles: Cycles, offset: float, before: Bursts | str | None = None) -> Bursts | str:
    return fit_bursts(counts, cycles.at, offset, None if isinstance(before, str) else before)


def _averaged(bursts: Bursts, width: int, count: int) -> Floats:
    """(count,) the mean course of bursts in each interval of so many seconds."""
    edges = np.arange(count + 1) * width / bursts.width_s
    summed = np.interp(edges, np.arange(len(bursts.course) + 1), np.concatenate([[0.0], np.cumsum(bursts.course)]))
    course: Floats = np.diff(summed) * bursts.width_s / width
    # Past the last whole interval of the bursts nothing is known.
    return np.where(course > 0, course, 1.0)


def _daily(cycles: Cycles, error: float, calm: Floats, width: int, middle: Floats) -> tuple[Cycles, Found]:
    """The cycles, without a daily one where none is sure, and what is told of it."""
    strength = (cycles.amplitude / error) ** 2 if error else np.inf
    if strength < -2 * np.log(_SURE):
        told = f"none that is sure: {100 * cycles.amplitude:.1f}% ± {100 * error:.1f}%"
        return replace(cycles, cosine=0.0, sine=0.0), Found("daily cycle", None, told)
    amplitude = min(cycles.amplitude, 1.0)
    peak = format_clock(round(cycles.peak_s / 60) % 1440 * 60)
    peak_error = error / cycles.amplitude / (2 * np.pi) * DAY_S
    told = (
        f"{100 * amplitude:.1f}% ± {100 * error:.1f}% about the mean, highest at {peak} ± {max(peak_error / 60, 1):.0f} minutes"
    )
    written = {"peak": peak, "amplitude": f"{100 * rounded(amplitude, 3):.4g}%"}
    numbers = {"amplitude": Number(amplitude, error), "peak_s": Number(cycles.peak_s, peak_error)}
    return cycles, Found("daily cycle", written, told, numbers, _day_chart(calm, width, middle, cycles))


def _fitted(
    binned: Floats, width: int, middle: Floats, of_week: Floats | None, *, jackknife: bool
) -> tuple[Cycles, float]:  # fmt: skip
    """The cycles of counts (B,), and the standard error of the daily amplitude, from how days differ."""
    whole = _cycles(binned, width, middle, of_week, np.ones(len(binned), np.bool_))
    if not jackknife:
        return whole, 0.0
    day = (middle // DAY_S).astype(np.int64)
    if len(np.unique(day)) < 4:
        # Parts of days, where there are hardly any whole ones.
        day = (middle // (DAY_S / 6)).astype(np.int64)
    days = np.unique(day)
    used = days[:: max(len(days) // 120, 1)]
    left_out = [_cycles(binned, width, middle, of_week, day != each) for each in used]
    parts = np.array([[each.cosine, each.sine] for each in left_out])
    # The jackknife over days (Efron & Tibshirani 1993, ch. 11): requests of one day may depend on each other.
    spread = (len(days) - 1) * ((parts - parts.mean(axis=0)) ** 2).mean(axis=0)
    return whole, float(np.sqrt(spread.mean()))


def _cycles(binned: Floats, width: int, middle: Floats, of_week: Floats | None, used: Bools) -> Cycles:
    """Weighted least squares of counts on a cosine over the day, given factors of weekdays."""
    turn = 2 * np.pi * middle[used] / DAY_S
    factor = np.ones(used.sum()) if of_week is None else of_week[(middle[used] // DAY_S).astype(np.int64) % 7]
    design = np.stack([np.ones(len(turn)), np.cos(turn), np.sin(turn)], axis=1) * factor[:, None]
    # A bin's mean of a cosine is that at its middle, times sin(x) / x.
    design[:, 1:] *= np.sinc(width / DAY_S)
    # A trend, which a cosine over the day would take a part of.
    centre, span = float(middle.mean()), float(middle[-1] - middle[0])
    since = (middle[used] - centre) / span
    design = np.column_stack([design, since * factor])
    weight = 1 / np.sqrt(np.maximum(factor, 1e-9))
    (level, cosine, sine, slope), *_ = np.linalg.lstsq(design * weight[:, None], binned[used] / width * weight, rcond=None)
    return Cycles(float(level), float(cosine / level), float(sine / level), of_week, float(slope / level / span), centre)


def _weekday_factors(binned: Floats, width: int, offset: float) -> Floats | None:
    """(7,) mean counts of whole days by weekday, over their mean; None where weekdays do not differ for sure."""
    per_day = DAY_S // width
    skip = int(np.ceil((-offset % DAY_S) / width))
    whole = binned[skip : skip + (len(binned) - skip) // per_day * per_day].reshape(-1, per_day).sum(axis=1)
    weekday = (int(np.ceil(offset / DAY_S)) + np.arange(len(whole))) % 7
    count = np.bincount(weekday, minlength=7)
    if len(whole) < 13 or (count == 0).any():
        return None
    mean = np.bincount(weekday, whole, minlength=7) / count
    # A trend makes the later days of a week look busier: it is taken out, about the weekdays by then.
    since = np.arange(len(whole)) - (len(whole) - 1) / 2
    level = whole
    for _ in range(5):
        slope = float(np.polyfit(since, whole / np.maximum(mean[weekday], 1e-12), 1)[0])
        level = whole / np.maximum(1 + slope * since, 0.1)
        mean = np.bincount(weekday, level, minlength=7) / count
    whole = level
    within = float(((whole - mean[weekday]) ** 2).sum()) / max(len(whole) - 7, 1)
    # Counts vary by at least the root of their mean, however alike so few days are.
    within = max(within, float(whole.mean()))
    between = float((count * (mean - whole.mean()) ** 2).sum()) / 6
    if fdtrc(6, max(len(whole) - 7, 1), between / within) > _SURE:
        return None
    factors: Floats = mean / mean.mean()
    return factors


def _trend(binned: Floats, width: int, middle: Floats, cycles: Cycles) -> Found:
    """The relative change a week, by a line through whole days."""
    day = (middle // DAY_S).astype(np.int64)
    days, place, size = np.unique(day, return_inverse=True, return_counts=True)
    whole = size == DAY_S // width
    expected = np.bincount(place, cycles.at(middle) * width)
    ratio = (np.bincount(place, binned) / np.maximum(expected, 1e-12))[whole]
    from scipy.stats import linregress

    if whole.sum() < 12:
        return Found("trend", None, f"not told: needs {_WEEKLY_DAYS:.0f} days")
    line = linregress(days[whole], ratio)
    change, error = 7 * line.slope / ratio.mean(), 7 * line.stderr / ratio.mean()
    numbers = {"a_week": Number(float(change), float(error))}
    if line.pvalue > _SURE:
        return Found("trend", None, f"none that is sure: {100 * change:+.1f}% ± {100 * error:.1f}% a week", numbers)
    told = f"{100 * change:+.1f}% ± {100 * error:.1f}% a week, which a scenario does not have: the rate is the mean of the log"
    return Found("trend", None, told, numbers)


def _rate_error(counts: Counts, cycles: Cycles, offset: float, span_s: float, bursts: Bursts | str) -> float:
    """The standard error of the mean rate, from how much whole stretches of the log differ from the cycles."""
    width = counts.width_s * max(int(span_s / counts.width_s / 24), 1)
    binned = counts.by(width)
    if len(binned) < 8:
        return float(np.sqrt(cycles.mean / span_s))
    middle: Floats = offset + (np.arange(len(binned), dtype=np.float64) + 0.5) * width
    fine = np.stack([cycles.at(middle + (part - 0.5) * width) for part in (1 / 6, 0.5, 5 / 6)]).mean(axis=0)
    left = binned / width - fine
    poisson = cycles.mean / span_s
    return float(np.sqrt(max(left.var(ddof=1) / len(binned), poisson)))


def _day_chart(binned: Floats, width: int, middle: Floats, cycles: Cycles) -> Chart:
    place = (middle % DAY_S // 1800).astype(np.int64)
    seen = np.unique(place)
    size = np.bincount(place, minlength=48)[seen]
    data = np.bincount(place, binned / width, minlength=48)[seen] / size
    fit = np.bincount(place, cycles.at(middle), minlength=48)[seen] / size
    hours = (seen + 0.5) / 2
    return Chart("Requests over the day", "hour of the day", "requests a second", _listed(hours), _listed(data), _listed(fit))


def _bursts(bursts: Bursts | str) -> Found:
    if isinstance(bursts, str):
        return Found("bursts", None, bursts)
    return Found("bursts", bursts.written(), bursts.told(), bursts.numbers(), bursts.chart)


def _listed(values: Floats) -> tuple[float, ...]:
    return tuple(float(each) for each in values)
