"""What outcomes depend on besides the arm: segments, the hour of the day, and what was known before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.fitting.found import Chart, Found, Number, rounded, whole
from sim.units import format_clock

DAY_S = 86_400
_MOST_SEGMENTS = 12
_DAILY_DAYS = 1.98
_SURE = 0.001
_ERRORS = 3.0


def fit_segments(
    segment: Ints, names: Sequence[str], outcomes: Mapping[str, Floats], user: Ints | None, champions: Bools
) -> Found:  # fmt: skip
    """Shares of segments, of users where there are any, and how much more each earns than all, relatively.

    What they earn is that of requests of the champion, which are marked (n,).
    """
    size = np.bincount(segment, minlength=len(names))
    shown = np.argsort(-size, kind="stable")[:_MOST_SEGMENTS]
    if len(names) > len(shown):
        # The smaller ones together are one more.
        place = np.full(len(names), len(shown) - 1)
        place[shown[:-1]] = np.arange(len(shown) - 1)
        of = place[segment]
        called = [*(names[each] for each in shown[:-1]), "others"]
    else:
        of, called = segment, list(names)
    if len(called) < 2:
        return Found("segments", None, f"none: all requests are of {called[0]}")
    unique = of if user is None else of[np.unique(user, return_index=True)[1]]
    shares = np.bincount(unique, minlength=len(called)) / len(unique)
    written, told = [], []
    numbers: dict[str, Number] = {}
    percents = [round(100 * share, 4) for share in whole(shares)]
    for each, name in enumerate(called):
        relative = {}
        for metric, values in outcomes.items():
            there = np.isfinite(values) & champions
            own, all_of = values[there & (of == each)], values[there]
            if len(own) < 2 or not all_of.mean():
                continue
            effect = float(own.mean() / all_of.mean() - 1)
            error = float(own.std(ddof=1) / math.sqrt(len(own)) / abs(all_of.mean()))
            numbers[f"{name} {metric}"] = Number(effect, error)
            if abs(effect) > _ERRORS * error:
                relative[metric] = f"{100 * rounded(effect, 3):+.4g}%"
        written.append({"name": name[:64], "share": f"{percents[each]:.10g}%", **({"relative": relative} if relative else {})})
        told.append(
            f"{name} {percents[each]:.3g}%"
            + (f" ({', '.join(f'{key} {value}' for key, value in relative.items())})" if relative else "")
        )
    more = f"; {len(names) - len(called) + 1} small ones are together" if len(names) > len(called) else ""
    return Found("segments", written, f"{'; '.join(told)}{more}", numbers)


def fit_daily(values: Floats, time_us: Ints, offset_s: float, span_s: float) -> Found:
    """The cycle of an outcome (n,) over the day, by least squares. Requests of one day may depend on each other."""
    what = "daily cycle of the outcome"
    if span_s < _DAILY_DAYS * DAY_S:
        return Found(what, None, f"not told: needs {_DAILY_DAYS:.0f} days")
    time_s = offset_s + time_us / 1e6
    turn = 2 * np.pi * (time_s % DAY_S) / DAY_S
    design = np.stack([np.ones(len(turn)), np.cos(turn), np.sin(turn)], axis=1)
    inverse = np.linalg.pinv(design.T @ design)
    level, cosine, sine = inverse @ (design.T @ values)
    left = values - design @ np.array([level, cosine, sine])
    day = (time_s // DAY_S).astype(np.int64)
    day -= day.min()
    scores = np.stack([np.bincount(day, design[:, part] * left) for part in range(3)], axis=1)
    groups = len(scores)
    plain = inverse * float(left.var())
    grouped = inverse @ (scores.T @ scores) @ inverse * groups / max(groups - 1, 1)
    # Of few days their spread is hardly known: then no less than if requests did not depend on each other.
    variance = np.maximum(np.diag(plain), np.diag(grouped))[1:] / level**2
    swing = np.array([cosine, sine]) / level
    if not (variance > 0).all():
        return Found(what, None, "not told: the times are of one hour of the day")
    strength = float((swing**2 / variance).sum())
    amplitude, error = float(np.hypot(*swing)), float(math.sqrt(variance.mean()))
    if strength < -2 * math.log(_SURE):
        return Found(what, None, f"none that is sure: {100 * amplitude:.2g}% ± {100 * error:.2g}%")
    peak_s = float(np.arctan2(swing[1], swing[0]) / (2 * np.pi) * DAY_S % DAY_S)
    peak = format_clock(round(peak_s / 60) % 1440 * 60)
    peak_error = error / amplitude / (2 * np.pi) * DAY_S
    numbers = {"amplitude": Number(amplitude, error), "peak_s": Number(peak_s, peak_error)}
    half = (time_s % DAY_S // 3600).astype(np.int64)
    seen = np.unique(half)
    data = np.bincount(half, values, minlength=24)[seen] / np.bincount(half, minlength=24)[seen]
    hours = seen + 0.5
    fit = level * (1 + swing[0] * np.cos(2 * np.pi * hours / 24) + swing[1] * np.sin(2 * np.pi * hours / 24))
    chart = Chart(
        "The outcome over the day", "hour of the day", "mean", tuple(hours.tolist()), tuple(data.tolist()), tuple(fit.tolist())
    )
    written = {"peak": peak, "amplitude": f"{100 * rounded(min(amplitude, 1.0), 3):.4g}%"}
    return Found(
        what, written, f"{100 * amplitude:.2g}% ± {100 * error:.2g}% about the mean, highest at {peak}", numbers, chart
    )


def fit_covariate(covariate: Floats, values: Floats, segment: Ints | None, most: float) -> Found:
    """The correlation of what was known before with an outcome (n,), within segments; `most` can be said at most."""
    one, other = (each - (0.0 if segment is None else _means(each, segment)) for each in (covariate, values))
    if not one.std():
        return Found("covariate", None, "is the same in every request")
    correlation = float(np.corrcoef(one, other)[0, 1])
    error = (1 - correlation**2) / math.sqrt(len(one))
    told = f"{correlation:+.3f} ± {error:.2g}"
    numbers = {"correlation": Number(correlation, error)}
    # CUPED takes the slope's sign into account: only its size matters.
    size = abs(correlation)
    if size < _ERRORS * error:
        return Found("covariate", None, f"none that is sure: {told}", numbers)
    if size > most:
        told += f"; written as {most:.2g}, the highest that so alike users allow"
        size = most
    return Found("covariate", {"correlation": f"{100 * rounded(size, 3):.4g}%"} if size > 0 else None, told, numbers)


def _means(values: Floats, segment: Ints) -> Floats:
    """(n,) the mean of each value's segment."""
    return (np.bincount(segment, values) / np.maximum(np.bincount(segment), 1))[segment]
