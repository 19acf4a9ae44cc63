"""Rejection replay: a policy is played along a log, and sees the rows in which the log did what it would have done.

Li, Chu, Langford & Wang, Unbiased Offline Evaluation of Contextual-bandit-based News Article Recommendation Algorithms, WSDM
(2011), for even logs. Of uneven ones, a row is accepted with probability π(a) c / p(a), where c is the least propensity of the
log (rejection sampling; Dudík, Erhan, Langford & Li, UAI 2012): what is accepted is then spread as the policy's own traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.errors import InputError, Problem
from sim.offpolicy.accepting import accept
from sim.offpolicy.log import Log
from sim.offpolicy.policies import Candidate, Candidates
from sim.policy.base import Telemetry, Verdict
from sim.policy.columns import Column, Count, Moment
from sim.policy.setting import Metric, Setting
from sim.units import format_duration
from sim.world.streams import keys

MOST_TICKS = 20_000
# Amounts are told to policies in whole units of this share of the largest; squares of a million million fit a 64-bit sum.
_UNITS = 2**20


@dataclass(frozen=True)
class Replayed:
    """What came of a policy, of R replays. All arrays are (R,): mean the mean reward of what was accepted (NaN of nothing),
    accepted how many rows those were. shares (K,): of what was accepted, over all replays."""

    mean: Floats
    accepted: Floats
    shares: Floats


def ticks_of(log: Log, tick_s: float) -> Ints:
    """(N,) the tick of each row. Raises `InputError` where there are too many."""
    ticks = log.seconds // tick_s
    if ticks[-1] >= MOST_TICKS:
        rule = f"must cut the log into at most {MOST_TICKS:,} ticks"
        raise InputError(
            [Problem(f"{rule}, got {ticks[-1] + 1:,.6g} of {format_duration(tick_s)}: give a longer one", "--tick")]
        )
    whole: Ints = ticks.astype(np.int64)
    return whole


def setting_of(log: Log, candidates: Candidates, tick_s: float, replays: int) -> Setting:
    """What the policies know: the arms, the ticks of the log, and the mean and spread of its first arm's rewards."""
    of_champion = log.reward[log.arm == 0]
    known = of_champion if of_champion.size else log.reward
    largest = float(np.abs(log.reward).max())
    metric = Metric(
        candidates.primary, candidates.sign, binary=log.binary, grid=1.0 if log.binary else (largest or 1.0) / _UNITS,
        nominal_mean=float(known.mean()), nominal_sd=float(known.std()),
    )  # fmt: skip
    ticks = int(ticks_of(log, tick_s)[-1]) + 1
    return Setting(log.arms, replays, ticks, tick_s, metric.name, {metric.name: metric})


def bound_problems(log: Log, candidate: Candidate, setting: Setting) -> list[Problem]:
    """Where a part of the policy takes rewards to lie between bounds, and the log's do not."""
    least, most = float(log.reward.min()), float(log.reward.max())
    problems = []
    for stage in candidate.build().stages:
        for part in stage.parts():
            bounds = part.bounds(setting)
            if bounds is not None and not bounds[0] <= least <= most <= bounds[1]:
                rule = f"takes rewards to lie between {bounds[0]:g} and {bounds[1]:g}"
                problems.append(Problem(f"{rule}, the log's lie between {least:g} and {most:g}", candidate.name))
    return problems


def replay(log: Log, candidate: Candidate, setting: Setting, *, seed: int, resampled: int) -> Replayed:
    """The policy along the log, `setting.replications` times; in the last `resampled` of them, rows are resampled too.

    In these each row is there 0, 1, 2, … times, by a Poisson distribution of mean 1 (Chamandy and others 2012; of replay, Mary,
    Preux & Nicol, ICML 2014). The same rows are accepted by the same luck of every policy, so differences are paired.
    """
    policy = candidate.build()
    metric = setting.metrics[setting.primary]
    replays, arms = setting.replications, len(setting.arms)
    chance = log.propensity.min() / log.propensity
    units = np.rint(log.reward / metric.grid).astype(np.int64)
    ends = np.searchsorted(ticks_of(log, setting.tick_s), np.arange(setting.ticks), side="right")
    luck = keys(seed, np.arange(replays), "replay of a log")
    count, total = np.zeros((replays, arms)), np.zeros(replays)
    routing = policy.start(setting)
    first = 0
    for tick, end in enumerate(ends.tolist()):
        shares = np.zeros((replays, arms))
        decided = np.flatnonzero(policy.verdicts.verdict != Verdict.UNDECIDED)
        shares[decided, policy.verdicts.arm[decided]] = 1.0
        shares[routing.rows] = routing.live
        tallies = np.zeros((replays, arms, 3), np.int64)
        if end > first:
            here = slice(first, end)
            accept(
                first, log.arm[here], chance[here], log.reward[here], units[here], shares, luck, replays - resampled, tallies,
                total,
            )  # fmt: skip
        count += tallies[:, :, 0]
        if routing.rows.size:
            routing = policy.step(_telemetry(policy.columns, tallies[routing.rows], tick, routing.live))
        first = end
    accepted = count.sum(axis=1)
    mean = np.divide(total, accepted, out=np.full(replays, np.nan), where=accepted > 0)
    return Replayed(mean, accepted, count.sum(axis=0) / max(float(accepted.sum()), 1.0))


def replay_rows(log: Log, shares: Floats, setting: Setting, *, seed: int, resampled: int) -> Replayed:
    """`replay` of a policy whose weights shares (N, K) are a matter of the row alone: it learns nothing, and needs no ticks."""
    replays, arms = setting.replications, len(setting.arms)
    served = shares[np.arange(log.rows), log.arm]
    tallies, total = np.zeros((replays, arms, 3), np.int64), np.zeros(replays)
    accept(
        0, log.arm, served * (log.propensity.min() / log.propensity), log.reward, np.zeros(log.rows, np.int64),
        np.ones((replays, arms)), keys(seed, np.arange(replays), "replay of a log"), replays - resampled, tallies, total,
    )  # fmt: skip
    count = tallies[:, :, 0].astype(np.float64)
    accepted = count.sum(axis=1)
    mean = np.divide(total, accepted, out=np.full(replays, np.nan), where=accepted > 0)
    return Replayed(mean, accepted, count.sum(axis=0) / max(float(accepted.sum()), 1.0))


def _telemetry(columns: dict[Column, int], tallies: Ints, tick: int, live: Floats) -> Telemetry:
    """The tallies (r, K, 3) of accepted rows as the monitoring of a tick shows them."""
    places = {"count": 0, "sum": 1, "square": 2}
    counts = np.zeros((*tallies.shape[:2], len(columns)), np.int64)
    for column, at in columns.items():
        assert isinstance(column, Count | Moment)
        counts[:, :, at] = tallies[:, :, places[column.moment] if isinstance(column, Moment) else 0]
    return Telemetry(tick, counts, columns, live)
