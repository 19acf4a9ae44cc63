"""Ticks of the aggregate engine in one compiled call: the draws of `engine`, with the same keys and the same bits.

Read `AggregateEngine` first, whose methods draw the same one array after the other. `fused` says for which worlds this plays;
`tests/engine/test_fused.py` holds the two together. Only `fused` imports this module, when there is enough to draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.slots import ERROR, ERROR_SLOW, LATE, MIRROR, OUTCOME, SLOW, SPLIT
from sim.jit import compiled
from sim.policy.kernels import add_contrasts, add_scores
from sim.stats.within_ticks import SECOND
from sim.world.kernels import OUTCOMES, binomial
from sim.world.sampling import at
from sim.world.streams import Keys

# What a column of telemetry holds.
REQUESTS, RESPONSES, ERRORS, ABOVE, COUNT, TOTAL, SQUARE = range(7)
ELSEWHERE = -1


@compiled
def play(
    first: Any, most: Any, rows: Ints, arrivals: Ints, weights: Floats, mirror: Floats, base: Keys, rate: Floats,
    late: Floats, bands: Floats, error_bands: Floats, times_errors: Any, objective: Any, good: Ints, bad: Ints, slowly: Ints,
    means: Floats, metrics: Keys, failed: Ints, plan: Ints, counts: Ints, live: Ints, mirrored: Ints, fails: Ints,
    violates: Ints, known: Ints, ended: Ints, before: Ints, errors: Ints, adds: Any, shares: Floats, total: Ints,
    contrasts: Floats, contrasted: Ints, counted: Any, scores: Floats, moments: Ints, expected: Any, grid: Any,
    within: Floats, pooled: Floats,
) -> Any:  # fmt: skip
    """Play ticks from `first` on of replications rows (r,), `most` or fewer, and return how many.

    Fill counts (r, K, C) of the last of them, and what the ledger and other metrics need. A policy that `adds` nothing but sums
    has several ticks played: it is asked again after the first tick in which it may have to be.

    Given: arrivals (R, T); weights, mirror (r, K) as routed; base (R,) keys; rate (R, K); late (A, L); bands, error_bands
    (2, A, T, B) the chance of each latency band among those left, of calls that end in the tick and after it; objective the
    place of the objective among the limits, or -1. means (M, R, K), metrics (M,) and failed (M,) of the binary metrics: their
    chances, the counters of their keys and what a failure is worth. plan (C, 3): what a column holds, its first lane, and its
    metric or limit.

    Carried: good, bad (R, L) and slowly (R, T, B - 1), of the calls that end in the next tick.

    Made: counts; live (most, r, K) calls by tick; mirrored (r, K); fails, violates (r,) of live calls; known, ended, before
    (r, L) good answers, of those the calls of this tick, and of the tick before; errors (r, L). All but `live` are of the last
    tick, fails and violates of all.

    Added to, and when to stop: what follows `adds`, as in `sim.policy.stretch.Stretch`; shares (r, K) of the policy.
    """
    arms, lanes, limits = weights.shape[1], late.shape[1], slowly.shape[2]
    timed, metric_count = slowly.shape[1], metrics.size
    calls, slow = np.empty(lanes, np.int64), np.zeros((lanes, max(limits, 1)), np.int64)
    totals = np.empty((max(metric_count, 1), lanes), np.int64)
    for place in range(rows.size):
        fails[place], violates[place] = 0, 0
    played = 0
    while played < most:
        number = first + played
        for place in range(rows.size):
            row = rows[place]
            key = at(base[row], number + 1)
            own, arrived = (place if late.shape[0] > 1 else 0), arrivals[row, number]
            _split(arrived, weights, place, key, calls)
            if lanes > arms:
                for arm in range(arms):
                    others = arrived - calls[arm]
                    calls[arms + arm] = binomial(float(others), mirror[place, arm], at(key, MIRROR + arm))
            for lane in range(lanes):
                arm = lane % arms
                is_live = lane < arms
                chance = rate[row, arm]
                after = binomial(float(calls[lane]), late[own, lane], at(key, LATE + lane))
                errors[place, lane], ended[place, lane], before[place, lane] = bad[row, lane], 0, good[row, lane]
                if lane < timed:
                    for limit in range(limits):
                        slow[lane, limit] = slowly[row, lane, limit]
                        slowly[row, lane, limit] = 0
                for when in range(2):
                    these = after if when else calls[lane] - after
                    failures = binomial(float(these), chance, at(key, ERROR[when] + lane))
                    answers = these - failures
                    if is_live:
                        fails[place] += failures
                    if lane < timed and limits > 0:
                        broke = _slower(answers, bands, own, at(key, SLOW[when] + lane), when, row, lane, slow,
                                        slowly, objective)  # fmt: skip
                        if is_live:
                            violates[place] += broke
                        if times_errors:
                            _slower(failures, error_bands, own, at(key, ERROR_SLOW[when] + lane), when, row, lane,
                                    slow, slowly, objective)  # fmt: skip
                    if when:
                        good[row, lane], bad[row, lane] = answers, failures
                    else:
                        ended[place, lane] = answers
                        errors[place, lane] += failures
                known[place, lane] = ended[place, lane] + before[place, lane]
                keyed = at(key, OUTCOME + lane)
                for metric in range(metric_count):
                    earned = binomial(float(known[place, lane]), means[metric, row, arm], at(keyed, metrics[metric]))
                    totals[metric, lane] = earned
                if is_live:
                    live[played, place, arm] = calls[lane]
                else:
                    mirrored[place, arm] = calls[lane]
            for column in range(plan.shape[0]):
                what, start, of = plan[column, 0], plan[column, 1], plan[column, 2]
                if what == ELSEWHERE:
                    continue
                for arm in range(arms):
                    lane = start + arm
                    if what == REQUESTS:
                        found = calls[lane]
                    elif what == RESPONSES:
                        found = known[place, lane] + errors[place, lane]
                    elif what == ERRORS:
                        found = errors[place, lane]
                    elif what == ABOVE:
                        found = slow[lane, of]
                    elif what == COUNT:
                        found = known[place, lane] + (errors[place, lane] if failed[of, 0] else 0)
                    elif what == TOTAL:
                        found = totals[of, lane] + failed[of, 1] * errors[place, lane]
                    else:
                        found = totals[of, lane] + failed[of, 1] * failed[of, 1] * errors[place, lane]
                    counts[place, arm, column] = found
        played += 1
        if adds:
            add_contrasts(contrasts, rows, counts, shares, contrasted)
            add_scores(scores, rows, counts, total, moments, shares, expected, grid)
            for place in range(rows.size):
                row = rows[place]
                for arm in range(counts.shape[1]):
                    for column in range(counts.shape[2]):
                        total[row, arm, column] += counts[place, arm, column]
            if _reached(rows, contrasts, counted, total, moments[0], within, pooled):
                break
    return played


@compiled
def _reached(rows: Ints, contrasts: Floats, counted: Any, total: Ints, known: Any, within: Floats, pooled: Floats) -> Any:
    """Whether the information of some challenger has come, as `sim.policy.inference.comparison.information` counts it."""
    for place in range(rows.size):
        row = rows[place]
        for challenger in range(within.shape[1]):
            own, other = contrasts[0, SECOND, counted, challenger, row], contrasts[1, SECOND, counted, challenger, row]
            if own > 0 and other > 0 and own + other >= within[place, challenger]:
                return True
            of_champion, of_arm = float(total[row, 0, known]), float(total[row, challenger + 1, known])
            if of_champion * (of_arm / max(of_champion + of_arm, 1.0)) >= pooled[place, challenger]:
                return True
    return False


@compiled
def _split(arrivals: Any, weights: Floats, place: Any, key: Any, calls: Ints) -> None:
    """`calls`: the arrivals over arms, by conditional binomials with the weights of a place."""
    arms = weights.shape[1]
    left = arrivals
    for arm in range(arms - 1):
        rest = 0.0
        for other in range(arms - 1, arm - 1, -1):
            rest += weights[place, other]
        share = weights[place, arm] / (rest if rest > 0 else 1.0)
        calls[arm] = binomial(float(left), share, at(key, SPLIT + arm))
        left -= calls[arm]
    calls[arms - 1] = left


@compiled
def _slower(
    ended: Any, shares: Floats, own: Any, key: Any, when: Any, row: Any, lane: Any, slow: Ints, slowly: Ints, objective: Any
) -> Any:
    """Of `ended` calls, count those slower than each limit in `slow` or, for the next tick, in `slowly`.

    shares (2, A, T, B), of which `own` is the row: a view of a part of it would cost more than the draw.

    Returns how many are slower than the objective.
    """
    left, broke = ended, 0
    for band in range(shares.shape[3] - 1):
        if left == 0:
            break
        left -= binomial(float(left), shares[when, own, lane, band], at(key, OUTCOMES + np.uint64(band)))
        if band == objective:
            broke = left
        if when:
            slowly[row, lane, band] += left
        else:
            slow[lane, band] += left
    return broke
