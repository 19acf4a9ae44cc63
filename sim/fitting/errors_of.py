"""Standard errors of a fit by maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.arrays import Floats


def errors_of(loss: Callable[[Floats], float], at: Floats, step: float = 1e-3) -> Floats | None:
    """(P,) standard errors of the parameters that make minus the log-likelihood least, None where they cannot be told.

    From the observed information: the inverse of the matrix of second differences of `loss`.

    >>> errors_of(lambda of: float(of @ of), np.zeros(1)).round(3).tolist()
    [0.707]
    """
    size = len(at)
    steps = step * np.maximum(np.abs(at), 1.0)
    info = np.zeros((size, size))
    for one in range(size):
        for other in range(one + 1):
            e, f = np.eye(size)[one] * steps[one], np.eye(size)[other] * steps[other]
            value = loss(at + e + f) - loss(at + e - f) - loss(at - e + f) + loss(at - e - f)
            info[one, other] = info[other, one] = value / (4 * steps[one] * steps[other])
    try:
        variance = np.diag(np.linalg.inv(info))
    except np.linalg.LinAlgError:
        return None
    return None if not np.isfinite(variance).all() or (variance <= 0).any() else np.asarray(np.sqrt(variance))
