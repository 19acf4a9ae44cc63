"""Users who come back: how many there are, how unequal they are, and how alike the outcomes of one user are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammainc, gammaincinv, gammaln, roots_hermitenorm, roots_laguerre

from sim.arrays import Floats, Ints
from sim.fitting.errors_of import errors_of
from sim.fitting.found import Chart, Found, Number, rounded

_MOST_USERS = 5_000_000
_FEW = 50
_SURE = 3.0
# The most points of a chart, and from which x on it has a logarithmic axis.
_POINTS, _WIDE = 30, 30


def fit_users(user: Ints, arm: Ints) -> list[Found]:
    """The number of users, their activity and their assignment, of each request's user and arm (N,), both from 0.

    Requests a user are Poisson about an activity, and users who did not come are not seen: zero-truncated Poisson, or its
    mixture over a log-normal, gamma or Pareto activity, by the likelihood of how many users came how often (Johnson, Kemp &
    Kotz 2005, ch. 8).
    """
    often = np.bincount(user)
    times, users = np.unique(often, return_counts=True)
    seen = int(users.sum())
    if times.max() == 1:
        return [Found("users", None, f"none who come back: {seen:,} users, one request each")]
    fits = {name: _fitted(law, times, users) for name, law in _LAWS.items()}
    # The simplest that is as likely, by Akaike's criterion (1974).
    name = min(fits, key=lambda each: fits[each][1] + len(fits[each][0]))
    at, _, none = fits[name]
    errors = errors_of(_loss(_LAWS[name], times, users), at)
    count = seen / max(1 - none, 1e-12)
    spread = math.sqrt(seen * none / max(1 - none, 1e-12) ** 2)
    if errors is not None:
        low, high = (_none(_LAWS[name], at + np.eye(len(at))[0] * sign * errors[0]) for sign in (-1, 1))
        spread = math.hypot(spread, abs(seen / (1 - low) - seen / (1 - high)) / 2)
    written = max(min(round(rounded(count, 3)), _MOST_USERS), seen if seen <= _MOST_USERS else _MOST_USERS)
    numbers = {"count": Number(count, spread)}
    told = f"{count:,.0f} ± {spread:,.0f} users, of whom {seen:,} came, {often.mean():.3g} times on average"
    if count > _MOST_USERS:
        told += f"; a scenario has at most {_MOST_USERS:,}"
    found = [Found("users.count", written, told, numbers)]
    activity = _activity(name, at, errors, fits)
    found.append(replace(activity, chart=_often_chart(activity, at, count, written, times, users)))
    found.append(_assignment(user, arm, often))
    return found


def fit_similarity(user: Ints, values: Floats) -> Found:
    """The intra-class correlation of outcomes (n,) of one user: by analysis of variance (Donner 1986), with a jackknife."""
    _, place = np.unique(user, return_inverse=True)
    size = np.bincount(place)
    if int((size > 1).sum()) < _FEW:
        return Found("users.similarity", None, f"not told: {int((size > 1).sum())} users have two outcomes, {_FEW} are needed")
    total: Floats = np.bincount(place, values).astype(np.float64)
    square: Floats = np.bincount(place, values**2).astype(np.float64)
    whole = _icc(size, total, square)
    fold = np.arange(len(size)) % 20
    left_out = np.array([_icc(size[fold != each], total[fold != each], square[fold != each]) for each in range(20)])
    error = float(np.sqrt(19 * ((left_out - left_out.mean()) ** 2).mean()))
    told = f"{100 * whole:.1f}% ± {100 * error:.1f}%, of {int((size > 1).sum()):,} users with more than one outcome"
    numbers = {"similarity": Number(whole, error)}
    if whole < _SURE * error:
        chart = _alike_chart(size, total, square, 0.0)
        return Found("users.similarity", None, f"none that is sure: {told}", numbers, chart)
    share = rounded(min(whole, 1.0), 3)
    return Found("users.similarity", f"{100 * share:.4g}%", told, numbers, _alike_chart(size, total, square, share))


def _icc(size: Ints, total: Floats, square: Floats) -> float:
    groups, count = len(size), int(size.sum())
    mean = total.sum() / count
    between = float((size * (total / size - mean) ** 2).sum()) / max(groups - 1, 1)
    within = float((square - total**2 / size).sum()) / max(count - groups, 1)
    typical = (count - float((size.astype(np.float64) ** 2).sum()) / count) / max(groups - 1, 1)
    over = between + (typical - 1) * within
    return (between - within) / over if over > 0 else 0.0


_Z, _Z_WEIGHT = roots_hermitenorm(80)
_E, _E_WEIGHT = roots_laguerre(80)
_Z_WEIGHT = _Z_WEIGHT / _Z_WEIGHT.sum()


def _even(at: Floats) -> tuple[Floats, Floats]:
    """Rates of users and their weights: all alike."""
    return np.exp(at[:1]), np.ones(1)


def _log_normal(at: Floats) -> tuple[Floats, Floats]:
    """Rates of users and their weights: log-normal, by Gauss and Hermite."""
    spread = math.exp(min(at[1], 3))
    return np.exp(at[0] + spread * _Z - spread**2 / 2), _Z_WEIGHT


def _pareto(at: Floats) -> tuple[Floats, Floats]:
    """Rates of users and their weights: Pareto, whose logarithm is exponential, by Gauss and Laguerre."""
    tail = 1.02 + math.exp(min(at[1], 5))
    return np.exp(at[0] + _E / tail) * (tail - 1) / tail, _E_WEIGHT


_LEVELS = (np.arange(400) + 0.5) / 400


def _gamma(at: Floats) -> tuple[Floats, Floats]:
    """Rates of users and their weights: gamma, at the middles of 400 equal parts."""
    shape = math.exp(min(max(at[1], -4), 6))
    return np.maximum(np.exp(at[0]) * gammaincinv(shape, _LEVELS) / shape, 1e-12), np.full(400, 1 / 400)


Law = Callable[[Floats], tuple[Floats, Floats]]
_LAWS: dict[str, Law] = {"even": _even, "lognormal": _log_normal, "pareto": _pareto, "gamma": _gamma}


def _none(law: Law, at: Floats) -> float:
    """The chance that a user does not come at all."""
    rate, weight = law(at)
    return float((weight * np.exp(-rate)).sum())


def _loss(law: Law, times: Ints, users: Ints) -> Callable[[Floats], float]:
    log_factorial = gammaln(times + 1)

    def loss(at: Floats) -> float:
        with np.errstate(all="ignore"):
            rate, weight = law(at)
            logs = times[:, None] * np.log(rate) - rate - log_factorial[:, None]
            top = logs.max(axis=1)
            log_chance = top + np.log((weight * np.exp(logs - top[:, None])).sum(axis=1))
            value = float((users * log_chance).sum()) - users.sum() * math.log(max(1 - _none(law, at), 1e-300))
        return -value if math.isfinite(value) else 1e300

    return loss


def _fitted(law: Law, times: Ints, users: Ints) -> tuple[Floats, float, float]:
    """The numbers of a law, minus its log-likelihood, and the chance that a user does not come."""
    mean = math.log(float((times * users).sum() / users.sum()))
    loss = _loss(law, times, users)
    starts = [[mean]] if law is _even else [[mean, second] for second in (-1.0, 0.3)]
    fits = [
        minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-4, "maxiter": 500}) for start in starts
    ]
    best = min(fits, key=lambda fit: fit.fun)
    return np.asarray(best.x), float(best.fun), _none(law, np.asarray(best.x))


def _activity(name: str, at: Floats, errors: Floats | None, fits: dict[str, tuple[Floats, float, float]]) -> Found:
    others = sorted((each for each in fits if each != name), key=lambda each: fits[each][1])
    told = f"{name} rather than {others[0]} (log-likelihood {fits[others[0]][1] - fits[name][1]:+.1f})"
    if name == "even":
        return Found("users.activity", None, told)
    if name == "gamma":
        # Of the same coefficient of variation.
        spread = math.sqrt(math.log1p(math.exp(-at[1])))
        told += f"; a scenario has no gamma law: a log-normal one that varies as much, {spread:.3g}"
        return Found("users.activity", {"lognormal": rounded(spread, 3)}, told)
    size = math.exp(at[1])
    value = size + (1.02 if name == "pareto" else 0.0)
    number = Number(value, size * float(errors[1]) if errors is not None else math.inf)
    what = {"lognormal": "sd of the logarithm", "pareto": "tail index"}[name]
    return Found(
        "users.activity", {name: rounded(value, 3)}, f"{told}: {what} {value:.3g} ± {number.error:.2g}", {name: number}
    )


def _often_chart(activity: Found, at: Floats, count: float, written: int, times: Ints, users: Ints) -> Chart:
    """How many users came so often or oftener, and how many do in the scenario, in which there are `written` of them."""
    # The law that a file writes, with its number as it is written there.
    ((name, value),) = (activity.written or {"even": 0.0}).items()
    second = {"even": [], "lognormal": [value], "pareto": [value - 1.02]}[name]
    rate, weight = _LAWS[name](np.array([at[0], *np.log(second)]))
    rate = rate * (count / written)
    # Few points of many, evenly apart on the logarithm.
    wanted = np.unique(np.geomspace(1, times[-1], _POINTS).round().astype(np.int64))
    data = [float(users[times >= each].sum()) for each in wanted]
    fit = [written * float((weight * gammainc(each, rate)).sum()) for each in wanted]
    wide = bool(times[-1] >= _WIDE)
    x = tuple(float(each) for each in wanted)
    return Chart("Requests of a user", "requests", "users with so many or more", x, tuple(data), tuple(fit), wide, log_y=True)


def _alike_chart(size: Ints, total: Floats, square: Floats, similarity: float) -> Chart:
    """How far users' means are apart, by how many outcomes they have, and how far they are at a similarity.

    Of n outcomes it is the variance of one times s + (1 - s) / n: however many there are, what users have in common stays.
    """
    whole = total.sum() / size.sum()
    variance = float(square.sum() / size.sum() - whole**2)
    apart, expected = (total / size - whole) ** 2, variance * (similarity + (1 - similarity) / size)
    order = np.argsort(size, kind="stable")
    # Users with as many outcomes stay together; a point is of enough of them for its variance to be known.
    groups: list[Ints] = []
    for each in np.split(order, np.flatnonzero(np.diff(size[order])) + 1):
        if groups and len(groups[-1]) < max(_FEW, len(order) // _POINTS):
            groups[-1] = np.concatenate([groups[-1], each])
        else:
            groups.append(each)
    if len(groups) > 1 and len(groups[-1]) < _FEW:
        last = groups.pop()
        groups[-1] = np.concatenate([groups[-1], last])
    x, data, fit = (tuple(float(values[rows].mean()) for rows in groups) for values in (size, apart, expected))
    return Chart("How far apart users are", "outcomes of a user", "variance of users' means", x, data, fit, x[-1] >= _WIDE)


def _assignment(user: Ints, arm: Ints, often: Ints) -> Found:
    if arm.max(initial=0) == 0:
        return Found("users.assignment", None, "not told: there is one arm; users keep theirs")
    first = np.zeros(len(often), np.int64)
    first[user[::-1]] = arm[::-1]
    mixed = np.bincount(user, arm != first[user], minlength=len(often)) > 0
    share = float(mixed[often > 1].mean())
    written = "request" if share > 0.05 else "sticky"
    return Found("users.assignment", written, f"{100 * share:.2g}% of users who came back saw more than one arm")
