"""The search for a number at which the share of trials with an error is what is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sim.stats.intervals import Estimate, proportion_interval

# The search ends within this part of a standard error: what is left is far below what chance leaves open.
_CLOSE = 0.1
# A share so many standard errors from what is asked for is not worth more trials.
FAR = 5.0
_MOST_LOOKS, _MOST_STEPS, _MOST_HALVES = 16, 6, 8
# A step of the log odds of a share, or of the logarithm of a number.
_STEP = 0.5


@dataclass(frozen=True)
class Look:
    """How often the error came at a number: in `events` of `n` trials; `whole` where all that are planned were played."""

    value: float
    events: int
    n: int
    whole: bool = True

    @property
    def share(self) -> float:
        """The share of trials with the error."""
        return self.events / self.n

    @property
    def score(self) -> float:
        """The normal score of the share: along a number on its scale it is nearly a line."""
        from scipy.special import ndtri

        return float(ndtri((self.events + 0.5) / (self.n + 1)))

    @property
    def estimate(self) -> Estimate:
        """The share with its 95% interval."""
        return proportion_interval(self.events, self.n)


@dataclass(frozen=True)
class Scale:
    """How numbers are spread: by the log odds of shares, the logarithm of positive numbers, or as they are.

    `step` is that of numbers that are not as fine as one likes, such as whole ones; 0 where four digits are kept.

    >>> share = Scale("odds")
    >>> share.round(0.0158329), share.round(0.98765432)
    (0.01583, 0.98765)
    """

    kind: str
    step: float = 0.0

    def of(self, value: float) -> float:
        """The place of a value on the scale."""
        if self.kind == "odds":
            kept = min(max(value, 1e-12), 1 - 1e-12)
            return math.log(kept / (1 - kept))
        return math.log(value) if self.kind == "log" else value

    def value(self, place: float) -> float:
        """The value at a place on the scale, rounded."""
        if self.kind == "odds":
            return self.round(1 / (1 + math.exp(-place)))
        return self.round(math.exp(place) if self.kind == "log" else place)

    def round(self, value: float) -> float:
        """A value with as many digits as are kept."""
        if self.step:
            return round(value / self.step) * self.step
        if self.kind == "odds" and value > 0.5:
            digits = max(4 - math.ceil(math.log10(max(1 - value, 1e-12))), 4)
            return round(value, digits)
        return float(f"{value:.4g}")


@dataclass(frozen=True)
class Found:
    """The number at which the error is what is asked for, and the numbers that chance leaves open, from `lower` to `upper`.

    `looks` are all that were taken. `lower` and `upper` are None where a neighbour of the number does not differ enough to say.
    """

    value: float
    lower: float | None
    upper: float | None
    looks: tuple[Look, ...]


class NotFound(Exception):
    """No number that was tried has the error on both sides of what is asked for. `looks` are all that were taken."""

    def __init__(self, looks: tuple[Look, ...]) -> None:
        super().__init__("not found")
        self.looks = looks


Judge = Callable[[float], Look | None]
"""How often the error comes at a number; None where the number cannot stand in its place."""


def find(judge: Judge, target: float, scale: Scale, start: float, between: tuple[float, float] | None = None) -> Found:
    """The number whose share of trials with the error is `target`, or the nearest one that has less.

    Raises `NotFound` where none is. The share must rise or fall along the numbers; which of the two is found out. First two
    numbers are sought with the share above and below: the ends of `between`, or else steps from `start` that double. Then the
    line through the normal scores of both is followed to the target, again and again, and every third time what lies between
    is halved (the rule of false position, safeguarded). As all numbers are judged by the same trials, the share is a function
    of the number, and chance only decides where it meets the target.

    >>> def test(alpha: float) -> Look:
    ...     return Look(alpha, round(20_000 * 2.7 * alpha), 20_000)
    >>> found = find(test, 0.05, Scale("odds"), 0.05)
    >>> abs(found.value / (0.05 / 2.7) - 1) < 0.01, len(found.looks) < 12
    (True, True)
    """
    looks: dict[float, Look | None] = {}

    def at(place: float) -> Look | None:
        value = scale.value(place)
        if value not in looks and sum(each is not None for each in looks.values()) < 2 * _MOST_LOOKS:
            looks[value] = judge(value)
        return looks.get(value)

    def taken() -> tuple[Look, ...]:
        return tuple(each for each in looks.values() if each is not None)

    ends = _straddling(at, target, scale, start, between)
    if ends is None:
        raise NotFound(taken())
    holds, breaks = ends
    goal = _score(target)
    for number in range(_MOST_LOOKS):
        if _close(holds, target) or _close(breaks, target):
            break
        low, high = scale.of(holds.value), scale.of(breaks.value)
        below, above = holds.score - goal, breaks.score - goal
        # Every third time the middle, so that what lies between shrinks whatever its shape.
        part = below / (below - above) if below < 0 < above and number % 3 < 2 else 0.5
        look = at(low + min(max(part, 0.05), 0.95) * (high - low))
        if look is None or look in (holds, breaks):
            look = at((low + high) / 2)
            if look is None or look in (holds, breaks):
                break
        holds, breaks = (look, breaks) if look.share <= target else (holds, look)
    near = [each for each in taken() if each.whole and _close(each, target)]
    best = min(near, key=lambda each: abs(each.share - target)) if near else holds
    return Found(best.value, *_open(best, taken(), target, scale), taken())


def _straddling(
    at: Callable[[float], Look | None], target: float, scale: Scale, start: float, between: tuple[float, float] | None
) -> tuple[Look, Look] | None:
    """A number at which the error is at most what is asked for, and one at which it is more; None where none are found."""
    if between is not None:
        return _sides([at(scale.of(end)) for end in between], target)
    middle = scale.of(start)
    ends = {-1: at(middle), 1: at(middle)}
    for step in range(_MOST_STEPS):
        for way in (-1, 1):
            last = ends[way]
            other = ends[-way]
            # Where one way leads towards the target, the other is not followed.
            if last is None or (other is not None and abs(other.share - target) < abs(last.share - target) - _error(last)):
                continue
            ends[way] = _beyond(at, scale.of(last.value), middle + way * _STEP * (2 ** (step + 1) - 1))
            found = _sides([*ends.values(), last], target)
            if found is not None:
                return found
    return None


def _beyond(at: Callable[[float], Look | None], last: float, place: float) -> Look | None:
    """The look at a place; where a number cannot stand there, at one nearer to the last that can."""
    for _ in range(_MOST_HALVES):
        look = at(place)
        if look is not None:
            return look
        place = (last + place) / 2
    return None


def _sides(looks: list[Look | None], target: float) -> tuple[Look, Look] | None:
    """Of some looks, the nearest to the target on either side of it."""
    known = [each for each in looks if each is not None]
    holds = [each for each in known if each.share <= target]
    breaks = [each for each in known if each.share > target]
    if not holds or not breaks:
        return None
    return max(holds, key=lambda each: each.share), min(breaks, key=lambda each: each.share)


def _close(look: Look, target: float) -> bool:
    return look.whole and abs(look.share - target) <= _CLOSE * math.sqrt(target * (1 - target) / look.n)


def _error(look: Look) -> float:
    share = (look.events + 1) / (look.n + 2)
    return 2 * math.sqrt(share * (1 - share) / look.n)


def _score(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def _open(best: Look, looks: tuple[Look, ...], target: float, scale: Scale) -> tuple[float | None, float | None]:
    """The numbers at which the share would be the ends of its own 95% interval, by the line to the nearest other look."""
    others = [each for each in looks if abs(each.share - best.share) > _error(best) / 2]
    if not others or best.share <= 0:
        return None, None
    other = min(others, key=lambda each: abs(each.share - best.share))
    slope = (scale.of(other.value) - scale.of(best.value)) / (other.score - best.score)
    interval = best.estimate
    if interval.lower is None or interval.upper is None or interval.lower <= 0:
        return None, None

    def place(share: float) -> float:
        return scale.of(best.value) + slope * (_score(share) - best.score)

    ends = sorted(scale.value(place(end)) for end in (interval.lower, interval.upper))
    return ends[0], ends[1]
