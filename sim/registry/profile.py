"""The measured latency of a real version, as stored in its tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from sim.distributions.latency import Quantiles

LATENCY = "sim.latency"
ERROR_RATE = "sim.error_rate"
CALLS = "sim.measured_calls"
MEASURED = "sim.measured"


@dataclass(frozen=True)
class Profile:
    """The measured latency and error share of one version.

    `values_s` are seconds, with six significant digits, at `levels` from 0 to 1; `measured` is an ISO
    8601 time.

    >>> profile = Profile((0.0, 0.5, 1.0), (0.001, 0.0012, 0.002), 0.0, 300, "2025-01-01T00:00:00+00:00")
    >>> Profile.from_tags(profile.to_tags()) == profile
    True
    """

    levels: tuple[float, ...]
    values_s: tuple[float, ...]
    error_rate: float
    calls: int
    measured: str

    @property
    def latency(self) -> Quantiles:
        """The latency distribution for a `Behaviour`."""
        return Quantiles.of(self.levels, self.values_s)

    def to_tags(self) -> dict[str, str]:
        """The profile as tags of a model version."""
        text = json.dumps({"levels": self.levels, "values_s": self.values_s}, separators=(",", ":"))
        return {
            LATENCY: text,
            ERROR_RATE: repr(self.error_rate),
            CALLS: str(self.calls),
            MEASURED: self.measured,
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Profile | None:
        """The profile in the tags, or None if there is none. Raises `ValueError` if it cannot be read."""
        if LATENCY not in tags:
            return None
        try:
            kept = json.loads(tags[LATENCY])
            profile = cls(
                tuple(map(float, kept["levels"])),
                tuple(map(float, kept["values_s"])),
                float(tags.get(ERROR_RATE, "0")),
                int(tags.get(CALLS, "0")),
                tags.get(MEASURED, ""),
            )
            if not 0 <= profile.error_rate <= 1:
                raise ValueError(f"{ERROR_RATE} must be from 0 to 1, got {profile.error_rate}")
            _ = profile.latency
        except ValidationError as error:
            raise ValueError(str(error.errors()[0]["msg"])) from error
        except (KeyError, TypeError) as error:
            raise ValueError(f"{LATENCY} must hold levels and values_s; got {tags[LATENCY][:60]!r}") from error
        return profile
