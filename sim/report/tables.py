"""The cells of a report's tables, for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sim.compare.decision import Because
from sim.compare.elsewhere import unplayed
from sim.compare.memo import unit_of
from sim.compare.result import Comparison, MeasureLabel, PointComparison, PolicySummary
from sim.compare.trials import ESTIMATORS
from sim.compare.wording import where_missing
from sim.report.many import warned
from sim.report.numbers import MISSING, in_line, number, value_and_interval
from sim.report.source import Source
from sim.run.record import Record
from sim.scenario.labels import JOINT
from sim.stats.intervals import Estimate

MAIN = (
    "ship",
    "keep",
    "inconclusive",
    "undecided",
    "correct",
    "wrong_ship",
    "no_better_if_shipped",
    "missed_win",
    "time_to_decision_p50",
    "time_to_decision",
    "net_value",
    "net_value_worst",
    "value_per_year",
    "releases_per_year",
    "regret",
    "harmed_requests",
    "harm",
    "slo_violation_rate",
    "lost_requests",
    "duplicated_writes",
    "budget_burned",
    "peak_exposure",
)
"""The measures that a reader needs first, in order; the others follow in a table of all."""

RELEASE = (
    "ship",
    "keep",
    "inconclusive",
    "undecided",
    "correct",
    "false_rollback",
    "missed_regression",
    "bad_ship_effect",
    "time_to_keep_if_worse",
    "time_to_decision_p50",
    "alarms_per_week",
    "net_value",
    "net_value_worst",
    "harmed_requests",
    "slo_violation_rate",
    "lost_requests",
    "duplicated_writes",
    "budget_burned",
    "peak_exposure",
)
"""The same where a challenger only must not be worse: what becomes of healthy releases, and of bad ones."""

ESTIMATES = (
    "winner_bias", "winner_bias_unbiased", "exaggeration", "wrong_sign", "effect_coverage", "effect_coverage_unbiased",
    *(f"{measure}_{name}" for name in ESTIMATORS for measure in ("bias", "coverage")),
)  # fmt: skip
"""What the estimates at the verdict are worth."""

OFFLINE = (
    "offline_ship", "offline_wrong_ship", "offline_missed_win", "offline_gain", "offline_gain_true", "offline_bias",
)  # fmt: skip
"""What an offline stage would have done alone, beside what is true."""

ALONG = (
    "ship", "wrong_ship", "missed_win", "undecided", "time_to_decision_p20", "time_to_decision_p50", "time_to_decision_p80",
    "time_to_decision", "net_value", "net_value_worst", "value_per_year", "regret", "harmed_requests", *ESTIMATES,
)  # fmt: skip
"""Where keys are swept, the measures that have a table of their own, point by policy."""

TOLD_BY: Mapping[Because, str] = {
    "only": "the only one fit",
    "best": "shown to be best",
    "harmed_requests": "tied; harms fewest",
    "slo_violation_rate": "tied; fewest fail or are slow",
    "correct": "tied; right most often",
    "time_to_decision": "tied; soonest",
    "first": "tied; nothing tells it",
}
"""Why a policy is taken, in a cell."""


@dataclass(frozen=True)
class Winner:
    """A point of a sweep: its label, which policy to take (a dash for none), how it and the runner-up do, and what tells them.

    `changes`: whether another policy was taken at the point before.
    """

    point: str
    policy: str
    value: str
    runner_up: str
    its_value: str
    told_by: str
    changes: bool


def winners(comparison: Comparison) -> tuple[str, list[Winner]]:
    """What policies are chosen by, and the winner of every point with trials, in order."""
    points = [point for point in comparison.points if point.policies]
    aims = list(dict.fromkeys(point.decision.aim for point in points))
    found: list[Winner] = []
    before: str | None = None
    for point in points:
        decision = point.decision
        measure = comparison.measures[decision.aim]
        texts = [
            "" if name is None else in_line(point.estimate(name, decision.aim), measure.unit)
            for name in (decision.chosen, decision.runner_up)
        ]
        if len(aims) > 1:
            texts = [text and f"{measure.label} {text}" for text in texts]
        taken = decision.chosen or MISSING
        told_by = TOLD_BY[decision.because] if decision.chosen else "none is fit"
        changes = bool(found) and taken != before
        found.append(Winner(point.label, taken, texts[0], decision.runner_up or "", texts[1], told_by, changes))
        before = taken
    return f"{' or '.join(comparison.measures[aim].label for aim in aims)}, {unit_of(comparison.run)}", found


STATED = ("value_per_year", "releases_per_year", "budget_burned", "duplicated_writes")
"""Measures of what a scenario may state, such as an error budget; left out where no policy has any estimate."""
RARE = (
    "inconclusive", "undecided", "alarms_per_week", "slo_violation_rate", "lost_requests", "duplicated_writes", "budget_burned",
)  # fmt: skip
"""Measures that are left out where no policy ever has any."""


@dataclass(frozen=True)
class Cell:
    """An estimate, its interval, and the difference to the baseline where that is beyond chance.

    `tone` is "better", "worse" or "" (no difference beyond chance, or no better direction).
    """

    value: str
    interval: str
    gap: str = ""
    tone: str = ""


def columns(comparison: Comparison, point: PointComparison, wanted: Sequence[str] | None = None) -> list[str]:
    """The names among `wanted` that a run has measured, without outcomes that no policy ever had at this point.

    By default what a reader needs first, by the goal of the run.
    """
    wanted = wanted or (RELEASE if comparison.run.goal == "not_worse" else MAIN)
    having = [name for name in wanted if name in comparison.measures and not (name in RARE and _never(point.policies, name))]
    stated = known(point.policies, STATED)
    return [name for name in having if name not in STATED or name in stated]


def known(policies: Iterable[PolicySummary], wanted: Sequence[str]) -> list[str]:
    """The names among `wanted` of which some policy has an estimate."""
    having = {name for policy in policies for name, estimate in policy.measures.items() if estimate.estimate is not None}
    return [name for name in wanted if name in having]


def along(comparison: Comparison) -> list[str]:
    """The names among `ALONG` with an estimate at some point that says something; none where nothing is swept."""
    if not comparison.paths:
        return []
    points = comparison.points
    return [name for name in ALONG if any(columns(comparison, each, known(each.policies, (name,))) for each in points)]


def cell(policy: PolicySummary, name: str, measure: MeasureLabel) -> Cell:
    """The cell of one policy and one measure.

    >>> from sim.compare.result import Curve, Incidence
    >>> nothing = Incidence((), *[Curve((), (), ())] * 4)
    >>> found, gap = Estimate(5.0, 4.0, 6.0, 9), Estimate(-2.0, -3.0, -1.0, 9)
    >>> policy = PolicySummary("ab", "ab", {"regret": found}, {"regret": gap}, nothing)
    >>> cell(policy, "regret", MeasureLabel("regret", "value", "lower", ""))
    Cell(value='5', interval='4–6', gap='−2', tone='better')
    """
    value, interval = value_and_interval(policy.measures.get(name), measure.unit)
    difference = policy.differences.get(name)
    if difference is None or difference.estimate is None or not _beyond_chance(difference):
        return Cell(value, interval)
    gap, _ = value_and_interval(difference, measure.unit, signed=True)
    falls = difference.estimate < 0
    tone = {"lower": "better" if falls else "worse", "higher": "worse" if falls else "better"}.get(measure.better, "")
    return Cell(value, interval, gap, tone)


def difference(policy: PolicySummary, name: str, measure: MeasureLabel) -> str:
    """The paired difference to the baseline with its interval, in one text."""
    return in_line(policy.differences.get(name), measure.unit, signed=True)


def facts(source: Source) -> str:
    """One sentence on what was simulated: replications, policies, horizon, engine, seed."""
    run, count = source.run, source.run.replications
    points = run.points
    spans = dict.fromkeys(number(each.run.horizon_s, "s") for each in points)
    engines = dict.fromkeys(each.run.engine for each in points)
    seeds = {each.run.seed for each in points}
    # The section on what was simulated lists several seeds.
    seeded = f" with seed {run.seed}" if len(seeds) == 1 else ""
    where = f" at each of {len(points)} points of {JOINT.join(run.paths)}," if run.paths else ""
    return (
        f"{count:,} replication{'s' if count != 1 else ''} of each of {len(run.policies)} policies{where} over "
        f"{' or '.join(spans)} of simulated time, on the {' and '.join(engines)} engine{seeded}. "
        + ("One replication has no interval." if count == 1 else "Intervals are 95%.")
    )


def missing(source: Source) -> str:
    """A sentence about what an interrupted run has not finished; empty for a finished one."""
    run = source.run
    if run.status == "finished":
        return ""
    left = where_missing([policy.name for policy in run.policies], [each.run.finished for each in run.points])
    missing = [*filter(None, [left]), *unplayed(run)]
    return f"The run was interrupted. Not finished, and not in this report: {', '.join(missing) or 'none'}."


def warnings(run: Record) -> tuple[str, ...]:
    """What the run warned of before it played, at any point, each once; of very many, the first and how many there are."""
    return tuple(warned(list(dict.fromkeys(warning for point in run.points for warning in point.run.warnings))))


def _never(policies: Iterable[PolicySummary], name: str) -> bool:
    estimates = [policy.measures.get(name) for policy in policies]
    return all(estimate is not None and estimate.estimate == 0 for estimate in estimates)


def _beyond_chance(difference: Estimate) -> bool:
    lower, upper = difference.lower, difference.upper
    return lower is not None and upper is not None and (lower > 0 or upper < 0)
