"""The smallest change of a rollout that meets a wanted risk, by search; and the traffic that it needs as it is.

Few releases first: what is shown to break a wish is dropped, and what is left is played longer. What is chosen is confirmed on
seeds that the search has not seen: the whole 95% interval of every wish must keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sim.assess.around import playable
from sim.assess.editing import patch
from sim.assess.figures import as_dict, gone_within, row_of
from sim.assess.playing import Case, Releases, Watch, play
from sim.assess.question import SAME, Question, Wanted
from sim.assess.rollout import Rollout
from sim.assess.settings import Role, Value, settings_of
from sim.stats.intervals import Estimate
from sim.units import format_rate, format_share

# Seeds of the confirmation are so far from those of the search.
_FRESH = 1_000_003
_FIRST, _SECOND, _ROUND = 300, 3_000, 12
# The most settings that are changed at once, the most steps in all, and the most changes that are tried.
_MOST_STEPS, _MOST_TRIED = 6, 240
_FACTORS = tuple(2.0**power for power in range(-6, 7))


@dataclass(frozen=True)
class Wish:
    """A wish at some traffic, and what was found. `met`: the whole interval keeps it. `broken`: all of it breaks it."""

    text: str
    found: Estimate
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        if self.at_most is not None:
            return self.found.upper is not None and self.found.upper <= self.at_most
        return self.found.lower is not None and self.found.lower >= (self.at_least or 0.0)

    @property
    def broken(self) -> bool:
        if self.at_most is not None:
            return self.found.lower is not None and self.found.lower > self.at_most
        return self.found.upper is not None and self.found.upper < (self.at_least or 0.0)

    @property
    def kept(self) -> bool:
        """Whether the estimate keeps it."""
        value = self.found.estimate or 0.0
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The same as data."""
        return {"wish": self.text, "found": as_dict(self.found), "met": self.met}


@dataclass(frozen=True)
class Change:
    """Settings that are turned: (where, what it was, what it is) of each, and the rollout that comes of it."""

    turned: tuple[tuple[str, str, str], ...]
    steps: int
    rollout: Rollout


@dataclass(frozen=True)
class Mend:
    """The answer to what is wanted. `change` is empty where the rollout meets it as it is, and None where none was found.

    `wishes` are of the confirmation: those of the change, or of the rollout as it is. `tried` changes were played.
    """

    change: Change | None
    wishes: tuple[Wish, ...]
    replications: int
    tried: int
    patch: str

    def to_dict(self) -> dict[str, Any]:
        """The same as data."""
        turned = None
        if self.change is not None:
            turned = [dict(zip(("setting", "now", "value"), each, strict=True)) for each in self.change.turned]
        return {
            "change": turned, "wishes": [wish.to_dict() for wish in self.wishes], "replications": self.replications,
            "tried": self.tried, "patch": self.patch,
        }  # fmt: skip


def mended(
    rollout: Rollout, question: Question, replications: int, workers: int | None = None, watch: Watch | None = None
) -> Mend:
    """The smallest change with which all wishes are met, at every traffic that is asked about.

    Smallest is the fewest settings, then the fewest steps from their present values.
    """
    fresh = question.seed + _FRESH

    def wishes(changes: Sequence[Change], count: int, seed: int) -> list[tuple[Wish, ...]]:
        return _wishes([each.rollout for each in changes], question, count, seed, workers, watch)

    present = Change((), 0, rollout)
    (as_is,) = wishes([present], replications, fresh)
    if all(wish.met for wish in as_is):
        return Mend(present, as_is, replications, 0, "")
    tried = 0
    candidates = islice(_changes(rollout, question.seed), _MOST_TRIED)
    while some := list(islice(candidates, _ROUND)):
        tried += len(some)
        few = wishes(some, min(_FIRST, replications), question.seed)
        some = [change for change, own in zip(some, few, strict=True) if not any(wish.broken for wish in own)]
        more = wishes(some, min(_SECOND, replications), question.seed) if some else []
        for change, own in zip(some, more, strict=True):
            if all(wish.kept for wish in own):
                (confirmed,) = wishes([change], replications, fresh)
                if all(wish.met for wish in confirmed):
                    return Mend(change, confirmed, replications, tried, patch(rollout.texts, change.rollout.texts))
    return Mend(None, as_is, replications, tried, "")


def _changes(rollout: Rollout, seed: int) -> Iterator[Change]:
    """Changes that can be played, the smallest first: of one setting, then of two."""
    ones = [
        (setting, value)
        for setting in settings_of(rollout)
        for value in setting.values
        if value.steps <= _MOST_STEPS and playable(value.rollout, seed)
    ]
    ones.sort(key=lambda each: each[1].steps)
    for setting, value in ones:
        yield Change(((setting.label, setting.now, value.text),), value.steps, value.rollout)
    for total in range(2, _MOST_STEPS + 1):
        for setting, value in ones:
            if value.steps >= total:
                continue
            for second in settings_of(value.rollout):
                for other in second.values:
                    together = second.number > setting.number and value.steps + other.steps == total
                    if together and playable(other.rollout, seed):
                        turned = ((setting.label, setting.now, value.text), (second.label, second.now, other.text))
                        yield Change(turned, total, other.rollout)


def _wishes(
    rollouts: Sequence[Rollout], question: Question, replications: int, seed: int, workers: int | None, watch: Watch | None
) -> list[tuple[Wish, ...]]:
    """The wishes of each rollout, at every traffic that is asked about."""
    rates = [question.rate_per_s, *([question.night_per_s] if question.night_per_s is not None else [])]
    worlds = sorted({SAME, *(each.worse for each in question.wanted.catch)})
    cases = [Case(rollout, worse, rate) for rollout in rollouts for rate in rates for worse in worlds]
    played = iter(play(cases, replications, seed, workers, watch))
    found = []
    for _ in rollouts:
        own: list[Wish] = []
        for number, _ in enumerate(rates):
            releases = {worse: next(played) for worse in worlds}
            own += _judged(releases, question.wanted, " at night" if number else "")
        found.append(tuple(own))
    return found


def _judged(releases: dict[Any, Releases], wanted: Wanted, where: str) -> Iterator[Wish]:
    if wanted.false_abort is not None:
        text = f"a release that is no worse is rolled back in at most {format_share(wanted.false_abort)}{where}"
        yield Wish(text, row_of(SAME, releases[SAME]).back, at_most=wanted.false_abort)
    for each in wanted.catch:
        text = f"{each.label} in at least {format_share(wanted.sure)}{where}"
        yield Wish(text, gone_within(releases[each.worse], each.within_s), at_least=wanted.sure)


@dataclass(frozen=True)
class Needed:
    """What the rollout needs to meet the wishes. `rate`: the least of those tried from which on all tried meet them, or None.

    `alone`: (setting, its present value, the least value tried with which false aborts are as few as wanted, or None) of each
    number of failures or of requests, when it alone is turned.
    """

    rates: tuple[tuple[str, bool], ...]
    rate: str | None
    alone: tuple[tuple[str, str, str | None], ...]
    replications: int

    def to_dict(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "rates": [{"rate": rate, "met": met} for rate, met in self.rates], "least_rate": self.rate,
            "alone": [dict(zip(("setting", "now", "least"), each, strict=True)) for each in self.alone],
            "replications": self.replications,
        }  # fmt: skip


def needed(
    rollout: Rollout, question: Question, replications: int, workers: int | None = None, watch: Watch | None = None
) -> Needed:
    """The least traffic at which the rollout as it is meets the wishes, and the counts that its traffic needs."""
    count = min(_SECOND, replications)
    own = question.rate_per_s or rollout.rate_per_s
    rates = [own * factor for factor in _FACTORS] if own else []
    worlds = sorted({SAME, *(each.worse for each in question.wanted.catch)})
    cases = [Case(rollout, worse, rate) for rate in rates for worse in worlds]
    played = iter(play(cases, count, question.seed, workers, watch)) if cases else iter(())
    met = []
    for rate in rates:
        releases = {worse: next(played) for worse in worlds}
        met.append((format_rate(rate), all(wish.met for wish in _judged(releases, question.wanted, ""))))
    least: str | None = None
    for told, shown in reversed(met):
        if not shown:
            break
        least = told
    return Needed(tuple(met), least, tuple(_alone(rollout, question, count, workers, watch)), count)


def _alone(
    rollout: Rollout, question: Question, replications: int, workers: int | None, watch: Watch | None
) -> Iterator[tuple[str, str, str | None]]:
    most = question.wanted.false_abort
    if most is None:
        return
    for setting in settings_of(rollout):
        if setting.role in (Role.COUNT, Role.LEAST):
            above = [each for each in setting.values if int(each.text) > int(setting.now)]
            ways = [Value(setting.now, 0, rollout), *(each for each in above if playable(each.rollout, question.seed))]
            cases = [Case(each.rollout, SAME, question.rate_per_s) for each in ways]
            played = play(cases, replications, question.seed, workers, watch)
            rows = [row_of(SAME, releases) for releases in played]
            good = (each.text for each, row in zip(ways, rows, strict=True) if (row.back.upper or 0.0) <= most)
            yield setting.label, setting.now, next(good, None)
