"""Policies on a log: every estimate with its intervals, and their differences; or why the log can say nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sim.arrays import Floats
from sim.errors import InputError, Problem
from sim.offpolicy.estimators import (
    Bootstrap,
    Estimate,
    doubly_robust,
    effective_size,
    ips,
    snips,
    standard_error,
    switch_dr,
)
from sim.offpolicy.log import Log
from sim.offpolicy.models import fitted
from sim.offpolicy.policies import ByContext, Candidate, Candidates
from sim.offpolicy.replaying import bound_problems, replay, replay_rows, setting_of
from sim.policy.setting import Setting

Z95 = 1.959963984540054
ESTIMATORS = ("replay", "ips", "snips", "dr", "switch-dr")
# How far 1/p may add up from the rows of the log before it is told, in standard errors.
_FAR = 4.0


@dataclass(frozen=True)
class Options:
    """How it is evaluated. least_size: the effective sample size below which nothing is said; switch_at: the largest weight
    with which switch-DR believes a row; replays and samples: of the rejection replay, and of the bootstrap; model: the
    kind of the model of rewards."""

    tick_s: float = 3600.0
    least_size: float = 100.0
    switch_at: float = 10.0
    replays: int = 100
    samples: int = 1_000
    seed: int = 1
    model: str = "cells"


@dataclass(frozen=True)
class Value:
    """An estimate, its standard error, and 95% intervals: value ± 1.96 standard errors, and percentiles of the bootstrap."""

    value: float
    standard_error: float
    normal: tuple[float, float]
    bootstrap: tuple[float, float]

    @classmethod
    def of(cls, value: float, error: float, resampled: Floats) -> Value:
        """The value with its intervals; resampled (samples,) are the same of resamples."""
        low, high = np.nanpercentile(resampled, (2.5, 97.5)).tolist()
        return cls(value, error, (value - Z95 * error, value + Z95 * error), (low, high))


@dataclass(frozen=True)
class Evaluated:
    """A policy: its estimates by estimator, and the same less those of the first policy (empty of that one).

    effective_size: of its weights, or, of a policy that adapts, the rows that a replay accepts on average (`accepted`).
    largest_weight None of a policy that adapts. shares (K,) of traffic in the replays.
    """

    name: str
    adapts: bool
    effective_size: float
    largest_weight: float | None
    accepted: float
    shares: tuple[float, ...]
    values: dict[str, Value]
    differences: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What a log says of policies. logged: the mean reward of the log itself; notes: what makes one doubt it."""

    arms: tuple[str, ...]
    rows: int
    logged: Value
    each: tuple[Evaluated, ...]
    notes: tuple[str, ...]
    options: Options

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        from dataclasses import asdict

        return asdict(self)


@dataclass(frozen=True)
class _Kept:
    """The estimates of a policy, and what their differences are made of: influences (N,) and resamples by estimator."""

    result: Evaluated
    influence: dict[str, Floats]
    resampled: dict[str, Floats]


def evaluate(log: Log, candidates: Candidates, options: Options, watch: Callable[[], None] = lambda: None) -> Evaluation:
    """The policies on the log. Raises `InputError` with every policy of which the log can say nothing, and why.

    A policy with fixed weights has all estimators. One that adapts has replay only: its weights depend on what it would have
    seen, which is not what the log's policy saw. `watch` is called between policies.
    """
    setting = setting_of(log, candidates, options.tick_s, 2 * options.replays)
    staged = [each for each in candidates.each if isinstance(each, Candidate)]
    problems = [problem for each in staged for problem in each.problems(setting)]
    problems += [problem for each in candidates.each if isinstance(each, ByContext) for problem in each.problems(log)]
    if options.model == "logistic" and not log.binary:
        problems.append(Problem("is for rewards of 0 and 1, and the log has others: ridge is for any", "--model logistic"))
    if not problems:
        problems = [problem for candidate in staged for problem in bound_problems(log, candidate, setting)]
    if problems:
        raise InputError(problems)
    model = fitted(log, options.model, options.seed)
    for candidate in candidates.each:
        shares = weights_of(candidate, setting, log, model)
        problems += _overlap_problems(log, candidate, shares, options)
    if problems:
        raise InputError(problems)
    bootstrap = Bootstrap(log.rows, options.samples, options.seed)
    kept: list[_Kept] = []
    for candidate in candidates.each:
        watch()
        one = _evaluated(log, candidate, setting, options, bootstrap, model)
        if one.result.adapts and one.result.accepted < options.least_size:
            problems.append(_too_small(candidate, one.result.accepted, options))
        # Only the first one's rows are needed again.
        kept.append(_against(kept[0], one) if kept else one)
    if problems:
        raise InputError(problems)
    logged = Estimate(log.reward, np.ones(log.rows))
    value = Value.of(logged.value, logged.standard_error, bootstrap.values(logged))
    return Evaluation(log.arms, log.rows, value, tuple(one.result for one in kept), tuple(_doubts(log)), options)


def weights_of(candidate: Candidate | ByContext, setting: Setting, log: Log, model: Floats) -> Floats | None:
    """(K,) the shares of traffic of the whole log, or (N, K) of each row; None of a policy that adapts, ramps or ends.

    model (N, K) is what each row is expected to earn.
    """
    if isinstance(candidate, ByContext):
        return candidate.shares(log, model)
    policy = candidate.build()
    if policy.immediate is not None:
        served: Floats = np.eye(len(setting.arms))[setting.arms.index(policy.immediate[1])]
        return served
    return policy.stages[0].allocation.constant_weights(setting) if candidate.lasting else None


def _weight(log: Log, shares: Floats) -> Floats:
    own = shares[log.arm] if shares.ndim == 1 else shares[np.arange(log.rows), log.arm]
    weight: Floats = own / log.propensity
    return weight


def _overlap_problems(
    log: Log, candidate: Candidate | ByContext, shares: Floats | None, options: Options
) -> list[Problem]:  # fmt: skip
    """Why the log says too little of a policy: arms that it lacks, or too small an effective size."""
    seen = np.bincount(log.arm, minlength=len(log.arms)) > 0
    # A policy that adapts may give any arm traffic.
    lacking = ~seen if shares is None else (shares.reshape(-1, len(log.arms)) > 0).any(axis=0) & ~seen
    if lacking.any():
        names = ", ".join(log.arms[arm] for arm in np.flatnonzero(lacking))
        return [
            replace(
                candidate.where, message=f"{candidate.name}: may serve {names}, which the log never did: nothing is known of it"
            )
        ]
    if shares is None:
        return []
    size = effective_size(_weight(log, shares))
    return [_too_small(candidate, size, options)] if not size >= options.least_size else []


def _too_small(candidate: Candidate | ByContext, size: float, options: Options) -> Problem:
    rule = f"the effective sample size must be at least {options.least_size:g} (--least-size)"
    return replace(
        candidate.where, message=f"{candidate.name}: {rule}, got {size:.1f}: the log did too rarely what this policy does"
    )


def _evaluated(
    log: Log, candidate: Candidate | ByContext, setting: Setting, options: Options, bootstrap: Bootstrap, model: Floats
) -> _Kept:
    shares = weights_of(candidate, setting, log, model)
    if isinstance(candidate, ByContext):
        assert shares is not None
        played = replay_rows(log, shares, setting, seed=options.seed, resampled=options.replays)
    else:
        played = replay(log, candidate, setting, seed=options.seed, resampled=options.replays)
    plain, resampled = played.mean[: options.replays], played.mean[options.replays :]
    accepted = float(played.accepted[: options.replays].mean())
    values: dict[str, Value] = {}
    influence: dict[str, Floats] = {}
    of_resamples: dict[str, Floats] = {"replay": np.concatenate([plain, resampled])}
    if np.isfinite(plain).all() and np.isfinite(resampled).all():
        values["replay"] = Value.of(float(plain.mean()), float(resampled.std(ddof=1)), resampled)
    size, largest = accepted, None
    if shares is not None:
        weight = _weight(log, shares)
        size, largest = effective_size(weight), float(weight.max())
        estimates = {
            "ips": ips(weight, log.reward),
            "snips": snips(weight, log.reward),
            "dr": doubly_robust(weight, log.reward, shares, log.arm, model),
            "switch-dr": switch_dr(weight, log.reward, shares, log.arm, model, options.switch_at),
        }
        for name, estimate in estimates.items():
            influence[name], of_resamples[name] = estimate.influence, bootstrap.values(estimate)
            values[name] = Value.of(estimate.value, estimate.standard_error, of_resamples[name])
    told = tuple(played.shares.tolist())
    result = Evaluated(candidate.name, shares is None, size, largest, accepted, told, values)
    return _Kept(result, influence, of_resamples)


def _against(first: _Kept, one: _Kept) -> _Kept:
    """The policy with its differences to the first one, row by row and resample by resample; without its rows."""
    differences = {}
    for name in one.result.values:
        if name not in first.result.values:
            continue
        gap = one.result.values[name].value - first.result.values[name].value
        resampled = one.resampled[name] - first.resampled[name]
        if name == "replay":
            resampled = resampled[len(resampled) // 2 :]
            error = float(resampled.std(ddof=1))
        else:
            error = standard_error(one.influence[name] - first.influence[name])
        differences[name] = Value.of(gap, error, resampled)
    return _Kept(replace(one.result, differences=differences), {}, {})


def _doubts(log: Log) -> Sequence[str]:
    """Arms whose propensities do not fit how often they were shown: the mean of 1/p over an arm's rows of N must be 1."""
    notes = []
    for place, arm in enumerate(log.arms):
        terms = np.where(log.arm == place, 1 / log.propensity, 0.0)
        error = standard_error(terms)
        if terms.any() and abs(terms.mean() - 1) > _FAR * error + 1e-9:
            notes.append(
                f"the propensities of {arm} do not fit how often it was shown: 1/p adds up to {terms.mean():.3f} a row, and "
                f"should to 1 ± {error:.3f}; a wrong propensity makes every estimate here wrong"
            )
    return notes
