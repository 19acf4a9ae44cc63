"""What of the stated value would change the choice: exact, and without new trials, as net value is linear in each of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.compare.decision import decide
from sim.compare.trials import Trials, with_net_value
from sim.run.record import Record, ValueRecord
from sim.scenario.value import MOST_PRICE
from sim.units import LONGEST_S

PRICES = ("per_error", "per_slow", "per_lost", "per_duplicate", "per_day", "per_ship", "per_rollback", "delay")
FACTORS = (0.5, 2.0)


@dataclass(frozen=True)
class Varied:
    """The policy to take if one value were another; None where none is fit."""

    value: float
    chosen: str | None


@dataclass(frozen=True)
class Turn:
    """From this value on, `policy` has the highest mean net value of those fit to be taken."""

    value: float
    policy: str


@dataclass(frozen=True)
class Sensitivity:
    """What depends on one key of `value`: seconds for `lifetime`, else a price.

    `now` is its value in the scenario, `varied` are the choices at half of it and twice it. `below` and `above` are the nearest
    values on both sides at which another policy comes to have the highest mean net value than the one that `leads` now; None
    where there is none that a scenario may have.
    """

    key: str
    now: float
    varied: tuple[Varied, ...]
    leads: str
    below: Turn | None
    above: Turn | None

    def changes(self, chosen: str | None) -> bool:
        """Whether half of it or twice it leads to another choice than `chosen`."""
        return any(each.chosen != chosen for each in self.varied)


def sensitivity(run: Record, trials: Mapping[str, Trials], pool: Sequence[str]) -> tuple[Sensitivity, ...]:
    """What the choice of a policy owes to each stated price and to the lifetime; `pool` are those fit to be taken.

    Empty where net value is not known, and where there is nothing to choose from.
    """
    value = run.value
    if value is None or len(pool) < 2 or any(np.isnan(trials[name]["net_value"]).any() for name in pool):
        return ()
    return tuple(_along(run, value, trials, pool))


def _along(run: Record, value: ValueRecord, trials: Mapping[str, Trials], pool: Sequence[str]) -> Iterator[Sensitivity]:
    for key in ("lifetime_s", *PRICES):
        now, (least, most) = getattr(value, key), (run.horizon_s, LONGEST_S) if key == "lifetime_s" else (0.0, MOST_PRICE)
        if now <= 0:
            continue

        def valued(at: float, key: str = key) -> Mapping[str, Trials]:
            return with_net_value(trials, value.model_copy(update={key: at}), run.horizon_s)

        values = [now * factor for factor in FACTORS if now * factor >= least]
        varied = tuple(Varied(at, decide(run, valued(at)).chosen) for at in values)
        height, twice = (np.array([by[name]["net_value"].mean() for name in pool]) for by in (trials, valued(2 * now)))
        slope = (twice - height) / now
        yield Sensitivity(
            key.removesuffix("_s"), now, varied, pool[int(np.argmax(height))],
            _turn(pool, now, height, slope, -1, least), _turn(pool, now, height, slope, 1, most),
        )  # fmt: skip


def _turn(pool: Sequence[str], now: float, height: np.ndarray, slope: np.ndarray, way: int, end: float) -> Turn | None:
    """The nearest value, above (`way` 1) or below (-1), at which the line of another policy crosses that of the highest.

    None beyond the `end`.

    >>> _turn(["a", "b"], 10.0, np.array([4.0, 3.0]), np.array([0.0, 0.5]), 1, 100.0)
    Turn(value=12.0, policy='b')
    """
    best = int(np.argmax(height))
    ahead, gains = height[best] - height, way * (slope - slope[best])
    # Differences in the last digits are no gain.
    crossing = np.flatnonzero(gains > 1e-12 * (np.abs(slope) + np.abs(slope[best])))
    if not crossing.size:
        return None
    away = ahead[crossing] / gains[crossing]
    nearest = int(np.argmin(away))
    at = now + way * float(away[nearest])
    return Turn(at, pool[int(crossing[nearest])]) if way * at <= way * end else None
