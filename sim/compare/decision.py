"""Which policy to take, and why the others are not: a choice that claims no more than the intervals show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sim.compare.frontier import aim, in_time, keeps_promise, leaders
from sim.compare.measure import Measure
from sim.compare.measures import MEASURES
from sim.compare.requirements import unmet
from sim.compare.trials import Trials
from sim.compare.wording import share, with_interval
from sim.run.record import Record

Because = Literal["only", "best", "harmed_requests", "slo_violation_rate", "correct", "time_to_decision", "first"]
"""Why a policy is taken: it is the only one fit; it is shown to be best; else the measure that told it from those tied with it,
or it is the first of those that nothing tells apart.
"""

_TIES: tuple[Because, ...] = ("harmed_requests", "slo_violation_rate", "correct", "time_to_decision")
"""In order: the least harm (net value sees no broken limit), fewest slow and failed requests, right most often, quickest."""


@dataclass(frozen=True)
class Decision:
    """A recommendation at one point.

    `chosen` is None where no policy is fit to be taken. `aim` is the measure that policies are chosen by. `pool` are those fit
    to be taken, `tied` those of them that are not shown to be worse than the best by `aim`, `left` those of `tied` that the
    measure in `because` did not tell apart. `passed_over` says of every other policy, baselines aside, why it is not fit.
    """

    chosen: str | None
    aim: str
    because: Because
    pool: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    runner_up: str | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)


def decide(
    run: Record, trials: Mapping[str, Trials], by: Measure | None = None, *, in_doubt: bool = False
) -> Decision:  # fmt: skip
    """The policy to take at a point: among those that are fit, the one of the highest net value.

    Fit are policies that ship or keep in at least half of their trials by the horizon, are not shown to ship wrongly more often
    than their rule promises nor, with `goal: not_worse`, to roll healthy releases back more often than not, and are shown to
    meet what the scenario requires. Where net value is not known it is the one of the lowest regret. Those not shown to be
    worse are tied, and told apart by the measures of `_TIES`, in order. Baselines are compared with, never taken. `by` is
    another measure to choose by. With `in_doubt`, for few trials, what is required is only not shown to be broken.
    """
    others = [each for each in trials.values() if not each.is_baseline]
    passed_over = {each.policy: reason for each in others if (reason := _unfit(run, each, in_doubt))}
    pool = [each for each in others if each.policy not in passed_over]
    if not pool:
        return Decision(None, aim(others).name, "only", passed_over=passed_over)
    goal = by or aim(pool)
    names = tuple(each.policy for each in pool)
    if len(pool) == 1:
        return Decision(names[0], goal.name, "only", names, names, names, passed_over=passed_over)
    tied = leaders(goal, pool)
    chosen, because, left = _told_apart(pool, tied)
    behind = leaders(goal, [each for each in pool if each.policy != chosen])
    return Decision(chosen, goal.name, because, names, tied, left, behind[0] if behind else None, passed_over)


def _told_apart(pool: Sequence[Trials], tied: tuple[str, ...]) -> tuple[str, Because, tuple[str, ...]]:
    """The one to take of those that are tied, what told it from the others, and those that are left."""
    if len(tied) == 1:
        return tied[0], "best", tied
    left = tied
    for name in _TIES:
        found = leaders(MEASURES[name], [each for each in pool if each.policy in left])
        if len(found) == 1:
            return found[0], name, found
        left = found or left
    return left[0], "first", left


def _unfit(run: Record, trials: Trials, in_doubt: bool) -> str:
    """Why a policy is not fit to be taken, as the end of a sentence that begins with its name; empty if it is."""
    if not in_time(trials):
        gives_up, runs_on = (bool((trials["verdict"] == how).any()) for how in ("inconclusive", "undecided"))
        ends = [f"gives up in {_text('inconclusive', trials)}"] if gives_up else []
        ends += [f"leaves {_text('undecided', trials)} undecided"] if runs_on or not ends else []
        return f"does not decide half of its trials: it {' and '.join(ends)}"
    missing = unmet(run.require, trials, in_doubt=in_doubt)
    if missing:
        return f"is {'shown not' if in_doubt else 'not shown'} to meet {' and '.join(missing)}"
    bad = "no better" if run.goal == "better" else "worse"
    if not keeps_promise(trials):
        wrong = _text("wrong_ship", trials)
        if trials.promised is None:
            return f"ships what is {bad} more often than not: wrong ship {wrong}"
        return f"ships what is {bad} more often than the {share(trials.promised)} it promises: wrong ship {wrong}"
    # To roll back whatever comes does no harm, and is not what a release is made for.
    back = MEASURES["false_rollback"].estimate(trials)
    if run.goal == "not_worse" and back.lower is not None and back.lower > 0.5:
        return f"rolls healthy releases back more often than not: false rollback {_text('false_rollback', trials)}"
    return ""


def _text(measure: str, trials: Trials) -> str:
    return with_interval(MEASURES[measure].estimate(trials), MEASURES[measure].unit)
