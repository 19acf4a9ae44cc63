"""What becomes of the choice in other worlds, in which the policies were played again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sim.compare.decision import Decision, decide
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials
from sim.run.record import Record
from sim.stats.intervals import Estimate

_UNKNOWN = Estimate(None, None, None, 0)

Then = Literal["stays", "flips", "open", "unplayed"]
"""`stays`: the same policy is taken. `flips`: another is, and the one taken in the run is shown to be worse or not fit there.
`open`: the replications cannot tell. `unplayed`: the run was interrupted before.
"""


@dataclass(frozen=True)
class Elsewhere:
    """The choice in one other world, on the first n replications of the run.

    `what` and `told` say what is otherwise; `chosen` is the policy to take there, None where none is fit, `tied` are those that
    are not shown to be worse than the best. `why` says of the policy taken in the run why it is not fit there, as the end of a
    sentence; empty if it is. `lead` is how much more of `aim` that policy gives there than the best of the others, `rival`, by
    paired differences; without a number where there is no such pair.
    """

    what: str
    told: str
    then: Then
    chosen: str | None = None
    tied: tuple[str, ...] = ()
    why: str = ""
    aim: str = "net_value"
    rival: str | None = None
    lead: Estimate = _UNKNOWN
    n: int = 0


def elsewhere(
    run: Record, trials: Mapping[str, Trials], decision: Decision, varied: Sequence[Mapping[str, Trials]]
) -> tuple[Elsewhere, ...]:
    """The choice in each of the other worlds of a run; `varied` are their trials, `decision` is the choice in the run.

    A choice flips only where the same replications of the run itself do not show what they show there: fewer of them leave
    more policies tied. What is required is held against a policy only where they show that it is broken.
    """
    if run.sensitivity is None:
        return ()
    found = []
    for record, other, own in zip(run.sensitivity.variants, run.variants, varied, strict=True):
        if not trials or set(own) != {policy.name for policy in run.policies}:
            found.append(Elsewhere(record.what, record.told, "unplayed"))
            continue
        there = decide(other, own, in_doubt=True)
        n = next(iter(own.values())).n
        here = decide(run, {name: each.first(n) for name, each in trials.items()}, in_doubt=True)
        found.append(
            Elsewhere(
                record.what, record.told, _then(decision.chosen, there, here), there.chosen, there.tied,
                there.passed_over.get(decision.chosen or "", ""), there.aim, *_lead(decision.chosen, there, own), n,
            )
        )  # fmt: skip
    return tuple(found)


def _then(chosen: str | None, there: Decision, here: Decision) -> Then:
    if there.chosen == chosen:
        return "stays"
    return "flips" if _refuted(chosen, there) and not _refuted(chosen, here) else "open"


def _refuted(chosen: str | None, decision: Decision) -> bool:
    """Whether a policy, or to take none, is shown not to be the choice."""
    return decision.chosen is not None if chosen is None else chosen not in decision.tied


def _lead(chosen: str | None, there: Decision, own: Mapping[str, Trials]) -> tuple[str | None, Estimate]:
    """The best of the other policies that are fit, and how much more the chosen one gives than it."""
    aim = MEASURES[there.aim]
    sign = 1 if aim.better == "higher" else -1
    means = {name: aim.estimate(own[name]).estimate for name in there.pool if name != chosen}
    known = {name: sign * mean for name, mean in means.items() if mean is not None}
    if chosen is None or chosen not in there.pool or not known:
        return None, _UNKNOWN
    rival = max(known, key=lambda name: known[name])
    difference = aim.difference(own[chosen], own[rival])
    return rival, difference or _UNKNOWN


def unplayed(run: Record) -> list[str]:
    """The other worlds that an interrupted run has not played whole, in words."""
    variants = run.sensitivity.variants if run.sensitivity else ()
    return [
        str(each) for each, other in zip(variants, run.variants, strict=True) if len(other.completed) < len(run.policies)
    ]  # fmt: skip


def counted(places: Sequence[Elsewhere], then: Then) -> list[Elsewhere]:
    """The worlds in which the choice does so."""
    return [each for each in places if each.then == then]


def summed(places: Sequence[Elsewhere]) -> str:
    """All of it in one text, for a tag."""
    said = {"stays": "stays", "open": "cannot tell", "unplayed": "not played"}
    return "; ".join(f"{each.what} ({each.told}): {said.get(each.then, f'take {each.chosen}')}" for each in places)
