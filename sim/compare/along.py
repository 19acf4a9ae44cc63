"""The verdict over the points of a run: how often each policy ships and wrongly ships, and the policy of lowest regret."""

from __future__ import annotations

from collections.abc import Sequence

from sim.compare.result import PointComparison
from sim.compare.trials import BASELINES
from sim.compare.wording import listed, share
from sim.run.record import Record

# The text names at most so many policies; the figures show all.
MOST_NAMED = 4


def verdict_along(run: Record, points: Sequence[PointComparison]) -> str:
    """Sentences on the share of trials that ship, at both ends (in a grid, the least and the greatest), and on regret.

    In an interrupted run only the points with trials count.
    """
    candidates = [policy.name for policy in run.policies if policy.kind not in BASELINES]
    played = [point for point in points if point.policies]
    clauses = [_ships(played, name, grid=len(run.paths) > 1) for name in candidates[:MOST_NAMED]]
    opening = "" if run.status == "finished" else "Interrupted: not every policy was run at every point. "
    of_all = f"{len(points)}" if len(played) == len(points) else f"{len(played)} of {len(points)}"
    over = f"Over {of_all} {f'values of {run.paths[0]}' if len(run.paths) == 1 else 'points'}"
    if not any(clauses):
        return f"{opening}{over} there is nothing to choose from."
    ships = f"{over}, the share of trials that ship a challenger: {'; '.join(filter(None, clauses))}"
    return f"{opening}{'. '.join([ships, *_least_regret(points, candidates)])}."


def _ships(points: Sequence[PointComparison], policy: str, *, grid: bool) -> str:
    """How often a policy ships, at two points, or once if it is the same; empty if the policy has no trials."""
    ships, wrong = _along(points, policy, "ship"), _along(points, policy, "wrong_ship")
    if not ships:
        return ""
    first, last = (min(ships, key=_value), max(ships, key=_value)) if grid else (ships[0], ships[-1])
    text = f"{share(first[1])} at {first[0]}"
    if first is not last:
        text += f" and {share(last[1])} at {last[0]}"
    elif len(ships) > 1:
        # In a grid with equal shares everywhere, the least is also the greatest.
        text = f"{share(first[1])} throughout"
    worst = max(wrong, key=_value, default=None)
    return f"{policy} {text}{f', wrongly at most {share(worst[1])} at {worst[0]}' if worst else ''}"


def _value(labelled: tuple[str, float]) -> float:
    return labelled[1]


def _along(points: Sequence[PointComparison], policy: str, measure: str) -> list[tuple[str, float]]:
    """(label, estimate) of every point where the policy has an estimate of the measure."""
    estimates = [(point.label, point.estimate(policy, measure).estimate) for point in points]
    return [(label, value) for label, value in estimates if value is not None]


def _least_regret(points: Sequence[PointComparison], candidates: Sequence[str]) -> list[str]:
    """A sentence on which policy has the lowest regret at which points; empty if no point has two candidates."""
    compared = [point for point in points if sum(point.policy(name) is not None for name in candidates) > 1]
    if not compared:
        return []
    where: dict[str, list[str]] = {}
    for point in compared:
        best = point.best["regret"]
        if len(best) == 1:
            where.setdefault(best[0], []).append(point.label)
    everywhere = "every point" if len(compared) == len(points) else "every point with trials of several policies"
    if not where:
        return [f"The replications cannot tell at {everywhere.replace('every', 'any')} which policy has the lowest regret"]
    clear = sum(map(len, where.values()))
    if clear == len(compared) and len(where) == 1:
        return [f"The lowest regret: {next(iter(where))} at {everywhere}"]
    clauses = "; ".join(f"{policy} at {listed(labels, MOST_NAMED)}" for policy, labels in where.items())
    rest = "" if clear == len(compared) else "; at the other points the replications cannot tell"
    return [f"The lowest regret: {clauses}{rest}"]
