"""What every kind of outcome can say of itself: its moments, and the values that it takes."""

from __future__ import annotations

from typing import ClassVar, Literal

from sim.arrays import Floats
from sim.distributions.base import Frozen

Family = Literal["binary", "normal", "scaled", "tilted"]
"""What a factor on the mean does: of a *scaled* outcome it multiplies every value; of a *tilted* one values stay, and how often
each of them comes changes; of a *binary* one the rate changes; a *normal* one is shifted."""


class OutcomeKind(Frozen):
    """What a request earns, as it stands in a models file."""

    family: ClassVar[Family]

    @property
    def mean(self) -> float:
        """The expectation."""
        raise NotImplementedError(f"{type(self).__name__} does not say its mean")

    @property
    def sd(self) -> float:
        """The standard deviation; infinite where there is none."""
        raise NotImplementedError(f"{type(self).__name__} does not say its sd")

    def atoms(self) -> tuple[Floats, Floats]:
        """(values (G,), chances (G,)) of a scaled or binary outcome."""
        raise TypeError(f"{type(self).__name__} has no atoms")

    def levels(self, least: float = 1.0, most: float = 1.0) -> tuple[Floats, Floats]:
        """(values (G,), logarithms of their chances (G,)) of a tilted or binary outcome, increasing, each with a chance.

        Good for any factor on the mean from `least` to `most`. Raises `ValueError` if there are too many values.
        """
        raise TypeError(f"{type(self).__name__} has no levels")

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which a factor may move the mean of a tilted or binary outcome, both excluded."""
        values, _ = self.levels()
        return float(values[0]), float(values[-1])

    def incomparable(self) -> str | None:
        """Why no comparison of means can be played with it; None where nothing stands in the way."""
        return None
