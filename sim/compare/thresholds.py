"""Thresholds: rules that a run's measures must meet, or the run fails."""

from __future__ import annotations

from collections.abc import Sequence

from sim.compare.result import Judgement, PointComparison
from sim.compare.rules import parse, problems
from sim.compare.trials import BASELINES
from sim.errors import InputError
from sim.run.record import Record


def judge(run: Record, points: Sequence[PointComparison]) -> tuple[Judgement, ...]:
    """The judgements of each threshold of a run, by the point estimate, for each policy that it is about, at every point.

    An estimate without data (no trial meets the condition, or the policy has no trials) breaches no rule; it is left out if
    another point has data. A time that is not reached by the horizon counts as later than the horizon: otherwise a policy that
    never decides would pass. Raises `InputError` for thresholds with `problems`.
    """
    kinds = {policy.name: policy.kind for policy in run.policies}
    wrong = problems(run.thresholds, kinds)
    if wrong:
        raise InputError(wrong)
    candidates = [name for name, kind in kinds.items() if kind not in BASELINES]
    judgements = []
    for own, point in zip(run.points, points, strict=True):
        for key, rule in run.thresholds.items():
            threshold = parse(key, rule)
            for policy in [threshold.policy] if threshold.policy else candidates:
                estimate = point.estimate(policy, threshold.measure)
                breached = threshold.breached_by(estimate, own.run.horizon_s)
                judgements.append(
                    Judgement(policy, threshold.measure, " ".join(rule.split()), estimate, breached, point.label)
                )  # fmt: skip
    judged = {(row.policy, row.measure, row.rule) for row in judgements if row.estimate.n}
    return tuple(row for row in judgements if row.estimate.n or (row.policy, row.measure, row.rule) not in judged)
