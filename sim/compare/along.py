"""The answer over the points of a run: which policy to take where, and how often each ships and wrongly ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.compare.memo import balance
from sim.compare.result import PointComparison
from sim.compare.trials import BASELINES
from sim.compare.wording import listed, share
from sim.run.record import Record

# The text names at most so many policies; the figures show all.
MOST_NAMED = 4
MANY = 12
"""More points than this that follow each other are told by the first and the last."""


def memo_along(run: Record, points: Sequence[PointComparison]) -> tuple[str, ...]:
    """Sentences on which policy to take at which points, and on what each ships at both ends (in a grid: least and most).

    In an interrupted run only the points with trials count.
    """
    candidates = [policy.name for policy in run.policies if policy.kind not in BASELINES]
    played = [point for point in points if point.policies]
    opening = "" if run.status == "finished" else "Interrupted: not every policy was run at every point. "
    of_all = f"{len(points)}" if len(played) == len(points) else f"{len(played)} of {len(points)}"
    over = f"{of_all} {f'values of {run.paths[0]}' if len(run.paths) == 1 else 'points'}"
    compared = [point for point in played if any(point.policy(name) is not None for name in candidates)]
    if not compared:
        return (f"{opening}Over {over} there is nothing to choose from.",)
    # Those that are taken somewhere are told of before others.
    taken = {point.decision.chosen for point in compared}
    told = sorted(candidates, key=lambda name: name not in taken)[:MOST_NAMED]
    clauses = filter(None, (_ships(played, name, grid=len(run.paths) > 1) for name in candidates if name in told))
    ships = f"Over {over}, the share of trials that ship a challenger: {'; '.join(clauses)}."
    return (opening + _taken(compared, whole=len(compared) == len(points)), *_gives(run, compared), ships)


def _gives(run: Record, points: Sequence[PointComparison]) -> Iterator[str]:
    """What the policies taken give, where least and where most; nothing where net value is not what they are chosen by."""
    given = [
        (point.label, point.estimate(point.decision.chosen, "net_value"))
        for point in points
        if point.decision.chosen and point.decision.aim == "net_value"
    ]
    known = [(label, found) for label, found in given if found.estimate is not None]
    if not known:
        return
    (least, low), (most, high) = (pick(known, key=lambda one: one[1].estimate or 0.0) for pick in (min, max))
    text = f"What is taken {balance(run, low)} against keeping the champion at {least}"
    yield f"{text}{f', and {balance(run, high)} at {most}' if most != least else ''}."


def _taken(points: Sequence[PointComparison], *, whole: bool) -> str:
    """Which policy to take at which points; `whole` where these are all points of the run."""
    where: dict[str | None, list[int]] = {}
    for number, point in enumerate(points):
        where.setdefault(point.decision.chosen, []).append(number)
    untold = sum(len(point.decision.tied) > 1 for point in points)
    open_at = "every point" if untold == len(points) else f"{untold} of {len(points)} points"
    doubt = (
        f" At {open_at} the replications cannot tell which of several is best, and the one of them is taken that does the "
        "least harm, or else is quickest."
        if untold
        else ""
    )
    if len(where) == 1 and whole:
        only = next(iter(where))
        return f"{f'Take {only}' if only else 'No policy is fit to be taken'} at every point.{doubt}"
    clauses = [
        f"{f'take {name}' if name else 'none is fit to be taken'} at {_points_told(points, numbers)}"
        for name, numbers in where.items()
    ]
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}.{doubt}"


def _points_told(points: Sequence[PointComparison], numbers: Sequence[int]) -> str:
    """Some of the points in a sentence: of many values of one key that follow each other, the first and the last."""
    labels = [points[number].label for number in numbers]
    follow = numbers[-1] - numbers[0] == len(numbers) - 1 and len(points[numbers[0]].values) == 1
    return f"{labels[0]} to {labels[-1]}" if follow and len(labels) > MANY else listed(labels, MOST_NAMED)


def _ships(points: Sequence[PointComparison], policy: str, *, grid: bool) -> str:
    """How often a policy ships, at two points, or once if it is the same; empty if the policy has no trials."""
    ships, wrong = _along(points, policy, "ship"), _along(points, policy, "wrong_ship")
    if not ships:
        return ""
    first, last = (min(ships, key=_value), max(ships, key=_value)) if grid else (ships[0], ships[-1])
    if _alike(ships):
        text = f"{share(first[1])} throughout"
    else:
        text = " and ".join(f"{share(value)} at {label}" for label, value in dict.fromkeys((first, last)))
    return f"{policy} {text}{_wrongly(wrong)}"


def _wrongly(wrong: Sequence[tuple[str, float]]) -> str:
    """How often it ships wrongly, at the end of a clause; empty where no point has a challenger that is no better."""
    if not wrong:
        return ""
    worst = max(wrong, key=_value)
    if worst[1] == 0:
        return ", never wrongly"
    return f", wrongly {share(worst[1])}" if _alike(wrong) else f", wrongly at most {share(worst[1])} at {worst[0]}"


def _alike(labelled: Sequence[tuple[str, float]]) -> bool:
    """Whether several points have the same value."""
    return len(labelled) > 1 and len({value for _, value in labelled}) == 1


def _value(labelled: tuple[str, float]) -> float:
    return labelled[1]


def _along(points: Sequence[PointComparison], policy: str, measure: str) -> list[tuple[str, float]]:
    """(label, estimate) of every point where the policy has an estimate of the measure."""
    estimates = [(point.label, point.estimate(policy, measure).estimate) for point in points]
    return [(label, value) for label, value in estimates if value is not None]
