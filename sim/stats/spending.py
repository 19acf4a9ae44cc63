"""Error spending functions: the error that may be spent up to a fraction of the information."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from sim.errors import InputError, Problem

Family = Literal["obrien_fleming", "pocock", "power", "kim_demets", "hwang_shih_decani"]


def spent(
    family: Family,
    time: ArrayLike,
    error: float,
    *,
    rho: float | None = None,
    gamma: float | None = None,
) -> NDArray[np.float64]:
    """Error that may be spent up to each information fraction in `time`, in the same shape.

    All of `error` is spent at fraction 1 and later.

    | family | spent at fraction t | source |
    | --- | --- | --- |
    | `obrien_fleming` | 2 − 2Φ(z₁₋ₑ⸝₂ / √t) | Lan & DeMets (1983), Biometrika 70 |
    | `pocock` | e ln(1 + (exp(1) − 1) t) | same |
    | `power` or `kim_demets` | e t^ρ, `rho` > 0 | Kim & DeMets (1987), Biometrika 74 |
    | `hwang_shih_decani` | e (1 − exp(−γt)) / (1 − exp(−γ)), `gamma` | Hwang, Shih & De Cani (1990), Stat. Med. 9 |

    The error e is that of one bound. The first two imitate the bounds of the same name, without equally spaced
    looks. ρ = 3 and γ = −4 are similar to O'Brien–Fleming, ρ = 1 and γ = 1 to Pocock.

    Raises `InputError`, naming every argument that breaks its rule.

    >>> [float(share) for share in spent("obrien_fleming", [0.5, 1.0], 0.025).round(5)]
    [0.00153, 0.025]
    >>> [float(share) for share in spent("kim_demets", [0.5, 1.0], 0.025, rho=2).round(5)]
    [0.00625, 0.025]
    """
    problems = family_problems(family, rho, gamma)
    fraction = np.asarray(time, dtype=np.float64)
    if not (fraction >= 0).all():
        problems.append(Problem(f"must be 0 or more, got {fraction.tolist()}", path="time"))
    if not 0 < error < 1:
        problems.append(Problem(f"must lie strictly between 0 and 1, got {error}", path="error"))
    if problems:
        raise InputError(problems)
    fraction = np.minimum(fraction, 1.0)
    share: NDArray[np.float64]
    if family == "obrien_fleming":
        with np.errstate(divide="ignore"):
            share = 2 * ndtr(ndtri(error / 2) / np.sqrt(fraction))
    elif family == "pocock":
        share = error * np.log1p(math.expm1(1) * fraction)
    elif rho is not None:
        share = error * fraction**rho
    elif gamma:
        # The same formula with decaying exponentials only, because a very negative gamma would overflow.
        delay = np.exp(gamma * (1 - fraction)) if gamma < 0 else 1.0
        share = error * delay * np.expm1(-abs(gamma) * fraction) / math.expm1(-abs(gamma))
    else:
        share = error * fraction
    return np.where(fraction == 1, error, share)


def family_problems(family: object, rho: float | None, gamma: float | None, prefix: str = "") -> list[Problem]:
    """The problems of a family and its parameter; `prefix` goes before the names of the parameters."""
    if family not in get_args(Family):
        return [Problem(f"must be one of {', '.join(get_args(Family))}, got {family}", path=prefix.rstrip("_") or "family")]
    problems = []
    needs_rho, needs_gamma = family in ("power", "kim_demets"), family == "hwang_shih_decani"
    if needs_rho and not (rho is not None and 0 < rho < math.inf):
        problems.append(Problem(f"must be positive and finite for {family}, got {rho}", path=f"{prefix}rho"))
    if needs_gamma and not (gamma is not None and math.isfinite(gamma)):
        problems.append(Problem(f"must be finite for {family}, got {gamma}", path=f"{prefix}gamma"))
    for name, value, needed in (("rho", rho, needs_rho), ("gamma", gamma, needs_gamma)):
        if value is not None and not needed:
            problems.append(Problem(f"must not be given for {family}, got {value}", path=f"{prefix}{name}"))
    return problems
