"""How many calls a version's server serves at once, and how long a call holds it, as stored in the version's tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from sim.distributions.latency import Quantiles

SERVED = "sim.served"


@dataclass(frozen=True)
class Served:
    """What was measured of a version behind a server, and on which machine.

    `concurrency` calls are served at once by the whole server (its `workers` together; None where they are not known); what
    the measurement does not rule out goes from `least` to `most`. `values_s` are seconds at `levels` from 0 to 1, for which a
    call holds a server; `held_s` is their mean with 95% bounds, and `beside_s` of a response pass beside the server. `rates`
    are calls per second with the mean response in seconds; `held_out` is the rate that the fit had not seen: per second,
    measured, predicted, and its 99% bounds. `of` is what was measured, `machine` says where.

    >>> served = Served(2, 2, 2, (0.0, 1.0), (0.01, 0.03), (0.02, 0.019, 0.021), 0.001, ((30.0, 0.022),),
    ...                 (60.0, 0.03, 0.031, 0.028, 0.034), "mlflow models serve", 1, 1500, "2026-01-01T00:00:00+00:00", "iris")
    >>> Served.from_tags(served.to_tags()) == served
    True
    """

    concurrency: int
    least: int
    most: int
    levels: tuple[float, ...]
    values_s: tuple[float, ...]
    held_s: tuple[float, float, float]
    beside_s: float
    rates: tuple[tuple[float, float], ...]
    held_out: tuple[float, float, float, float, float]
    of: str
    workers: int | None
    calls: int
    measured: str
    data: str
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> Quantiles:
        """How long a call holds a server, as a distribution."""
        return Quantiles.of(self.levels, self.values_s)

    def to_tags(self) -> dict[str, str]:
        """The measurement as a tag of a model version."""
        return {SERVED: json.dumps(asdict(self), separators=(",", ":"))}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Served | None:
        """The measurement in the tags, or None if there is none. Raises `ValueError` if it cannot be read."""
        if SERVED not in tags:
            return None
        try:
            kept = json.loads(tags[SERVED])
            served = cls(**{
                **kept,
                **{name: tuple(kept[name]) for name in ("levels", "values_s", "held_s", "held_out")},
                "rates": tuple(tuple(each) for each in kept["rates"]),
            })  # fmt: skip
            counts = (served.least, served.concurrency, served.most)
            if not all(isinstance(count, int) for count in counts) or not 1 <= counts[0] <= counts[1] <= counts[2]:
                raise ValueError(f"{SERVED} must hold a concurrency of at least 1, within least and most; got {counts}")
            _ = served.service
        except ValidationError as error:
            raise ValueError(str(error.errors()[0]["msg"])) from error
        except (KeyError, TypeError) as error:
            raise ValueError(f"{SERVED} holds no measurement; got {tags[SERVED][:60]!r}") from error
        return served
