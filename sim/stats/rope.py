"""Probabilities of a posterior below, inside and above a region of practical equivalence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from sim.arrays import Floats
from sim.stats.moments import finite, standard_errors
from sim.stats.validation import broadcast, require_positive


@dataclass(frozen=True)
class Masses:
    """Posterior probability that the effect is below, inside and above the region; the fields share a shape and sum to 1."""

    below: Floats
    inside: Floats
    above: Floats


def masses(estimate: ArrayLike, standard_error: ArrayLike, *, width: float) -> Masses:
    """Masses of a normal posterior of an effect around the region from −`width` to `width`; inputs broadcast together.

    `width` is in the unit of the estimate. With an infinite standard error, half of the mass is below and half above the
    region. With a standard error of 0, all mass is at the estimate. The bounds belong to the region.

    Raises `InputError` for an estimate that is not finite, a negative standard error, or a width that is not positive.

    Source: Kruschke, Advances in Methods and Practices in Psychological Science 1 (2018); the mass in the region of the whole
    posterior as in Makowski, Ben-Shachar, Chen & Lüdecke, Frontiers in Psychology 10 (2019).

    >>> posterior = masses([0.0, 0.3], [0.1, 0.1], width=0.2)
    >>> posterior.below.round(3), posterior.inside.round(3), posterior.above.round(3)
    (array([0.023, 0.   ]), array([0.954, 0.159]), array([0.023, 0.841]))
    """
    require_positive("width", width)
    centre, error = broadcast(
        estimate=finite("estimate", estimate), standard_error=standard_errors("standard_error", standard_error)
    )
    certain = error == 0
    safe = np.where(certain, 1.0, error)
    below = np.where(certain, centre < -width, ndtr((-width - centre) / safe))
    above = np.where(certain, centre > width, ndtr((centre - width) / safe))
    return Masses(below, np.maximum(1 - below - above, 0.0), above)
