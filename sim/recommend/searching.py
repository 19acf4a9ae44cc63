"""The search: batches of proposals, a race of those that may be fit, and who is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.compare.measures import MEASURES
from sim.errors import InputError
from sim.recommend.aims import Aim, aim_of
from sim.recommend.proposing import RANDOM, Asked, Proposals
from sim.recommend.race import Look, Race
from sim.recommend.space import Policy, Space
from sim.scenario.search import Search

BATCH = 10
# A race has two looks, the first of a ninth of the replications, after which at most a part of the field is left. What a
# candidate takes is mostly its ticks, whatever its replications: so those that go on are played to the end at once.
_PART, _LEFT = 9, 0.25
_LEAST = 20


@dataclass(frozen=True)
class Candidate:
    """A policy that was tried, and what became of it: `fate` in words.

    `worth` are its estimates by measure, over `replications`; None where one is not known.
    """

    name: str
    policy: Policy
    fate: str
    replications: int = 0
    worth: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Searched:
    """What a search found. `finalists` are the best first; `measures` are those that candidates were compared by.

    `frontier` says that it was for several.
    """

    candidates: tuple[Candidate, ...]
    finalists: Mapping[str, Policy]
    measures: tuple[str, ...]
    frontier: bool = False


@dataclass
class _Field:
    """All candidates so far, by name."""

    aim: Aim
    policies: dict[str, Policy] = field(default_factory=dict)
    known: dict[str, Candidate] = field(default_factory=dict)

    def named(self, what: str, policy: Policy, taken: Sequence[str]) -> str:
        """The name of a proposal: that of the same policy, if it was proposed before."""
        for name, other in self.policies.items():
            if other == policy:
                return name
        number = 1 + len(self.policies)
        while f"{what}-{number}" in taken:
            number += 1
        self.policies[f"{what}-{number}"] = policy
        return f"{what}-{number}"

    def settle(self, name: str, fate: str, look: Look | None = None, replications: int = 0) -> None:
        worth = None if look is None else self.aim.worth(look, name)
        self.known[name] = Candidate(name, self.policies[name], fate, replications, worth)


def search(
    race: Race, space: Space, asked: Search, taken: Sequence[str], proposals: Proposals,
    told: Callable[[str], None] | None = None,
) -> Searched:  # fmt: skip
    """Try candidates, and race those that may be fit against each other.

    `taken` are the names of the scenario's own policies, which take no part. The result depends on the scenario and the search
    alone: not on workers, nor on an interrupt.
    """
    say = told or (lambda line: None)
    levels = _levels(asked.replications)
    tried = _Field(aim_of(asked.frontier))
    done = 0
    while done < asked.candidates:
        # Proposals at random need not wait for each other.
        count = min(BATCH if done else max(BATCH, RANDOM), asked.candidates - done)
        proposals.next_batch()
        batch: list[tuple[Asked, str]] = []
        for _ in range(count):
            trial = proposals.ask()
            what, policy = space.propose(trial)
            batch.append((trial, tried.named(what, policy, taken)))
        new = [name for name in dict.fromkeys(name for _, name in batch) if name not in tried.known]
        _screen(race, tried, new, levels[0])
        for trial, name in batch:
            _tell(proposals, trial, tried.known[name])
        done += count
        leads = tried.aim.leads({each.name: each.worth for each in _fit(tried) if each.worth is not None})
        say(f"tried {done} of {asked.candidates} candidates, {levels[0]} replications each{'; ' if leads else ''}{leads}")
    look = _raced(race, tried, levels, asked.finals, say)
    if look is None:
        return Searched(tuple(tried.known.values()), {}, asked.frontier or ("net_value",), bool(asked.frontier))
    finalists = tried.aim.chosen(look, asked.finals)
    for name in finalists:
        tried.settle(name, "finalist", look, levels[-1])
    policies = {name: tried.policies[name] for name in finalists}
    return Searched(tuple(tried.known.values()), policies, tried.aim.names(look), bool(asked.frontier))


def _levels(most: int) -> tuple[int, ...]:
    """How many replications candidates have at each look.

    >>> _levels(1000), _levels(20)
    ((111, 1000), (20,))
    """
    return tuple(sorted({max(most // _PART, min(_LEAST, most)), most}))


def _screen(race: Race, tried: _Field, names: Sequence[str], replications: int) -> None:
    """Play new candidates for the first time. What the scenario cannot have is refused, with its reason."""
    able = {name: tried.policies[name] for name in names}
    try:
        race.planned(able, replications)
    except InputError:
        # Somebody cannot be had: who, and why, is asked of each alone.
        for name in names:
            try:
                race.planned({name: tried.policies[name]}, replications)
            except InputError as error:
                problem = error.problems[0]
                tried.settle(name, f"refused: {problem.path.partition('.')[2]}: {problem.message}")
                del able[name]
    if not able:
        return
    look = race.look(able, replications)
    unfit = look.unfit()
    for name in able:
        known = tried.aim.worth(look, name) is not None
        tried.settle(name, unfit.get(name, _OPEN if known else _unknown(tried, look, name)), look, replications)


def _unknown(tried: _Field, look: Look, name: str) -> str:
    missing = [each for each in tried.aim.names(look) if MEASURES[each].estimate(look.trials[name]).estimate is None]
    return f"has no {' and no '.join(missing)}: no trial is a case of it, or half do not reach it"


_OPEN = "may be fit"


def _fit(tried: _Field) -> list[Candidate]:
    return [each for each in tried.known.values() if each.fate == _OPEN and each.worth is not None]


def _tell(proposals: Proposals, trial: Asked, found: Candidate) -> None:
    about: dict[str, Any] = {"name": found.name, "fate": found.fate, "replications": found.replications}
    if found.worth is None:
        proposals.refuse(trial, about=about)
    else:
        proposals.tell(trial, found.worth, fit=found.fate == _OPEN, about=about)


def _raced(
    race: Race, tried: _Field, levels: Sequence[int], finalists: int, say: Callable[[str], None]
) -> Look | None:  # fmt: skip
    """The last look at those that are left, None where nobody is fit."""
    names = [each.name for each in _fit(tried)]
    look: Look | None = None
    before = 0
    for place, level in enumerate(levels):
        if not names:
            return None
        look = race.look({name: tried.policies[name] for name in names}, level, before)
        unfit, ranked = look.unfit(), tried.aim.ranked(look)
        for name in names:
            if name in unfit:
                tried.settle(name, unfit[name], look, level)
        if not ranked:
            return None
        beaten = tried.aim.beaten(look, ranked)
        last = place == len(levels) - 1
        most = len(ranked) if last else max(2 * finalists, round(_LEFT * len(ranked)))
        for rank, name in enumerate(ranked):
            if name in beaten:
                tried.settle(name, beaten[name], look, level)
            elif rank >= most:
                tried.settle(name, "not among the best quarter", look, level)
            else:
                tried.settle(name, _OPEN, look, level)
        names = [name for name in ranked if tried.known[name].fate == _OPEN]
        look = look.first(names)
        leads = tried.aim.leads({name: worth for name in names if (worth := tried.known[name].worth) is not None})
        say(f"{len(names)} left after {level} replications each; {leads}")
        before = level
    return look
