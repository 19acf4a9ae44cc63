"""Comparing every challenger with the champion on the primary metric, shared by the tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.policy.adjust import AnyAdjust
from sim.policy.base import Finding, View
from sim.policy.columns import Column, Moment, moments_of
from sim.policy.setting import DeclaredSetting, Metric, Setting

if TYPE_CHECKING:
    from sim.stats.moments import Estimates
    from sim.stats.two_sample import TestResult

Tally = Literal["within_ticks", "pooled"]
TALLY_RULE = (
    "within_ticks compares what was sent in the same tick, at the shares of that tick, and adds it up; pooled compares totals, "
    "which is wrong where weights and the world both change; within_ticks, unless the adjustment can only pool"
)
Scale = Literal["absolute", "relative"]
TestKind = Literal["auto", "z_pooled", "z_unpooled", "welch"]
TEST_RULE = "z_pooled for a binary metric (z_unpooled of a relative effect or a margin), welch for any other, unless named"
SCALE_RULE = "what is tested: the difference of the means, or that over the champion's mean"


SURE = 0.1
"""The relative standard error with which a variance is known well enough for a test to end on it."""

LEAST, RARE = 100, 20
LEAST_RULE = (
    "known outcomes that champion and challenger must have before a look; if left out 100, and as many as hold "
    "20 that are not the commonest, at the champion's registered distribution"
)


def least_outcomes(metric: Metric, given: int | None) -> int:
    """Known outcomes that an arm must have before a look: as given, or enough for the normal limit and for the variance.

    Left out, 100 and as many as hold 20 outcomes that are not the commonest one: of a rare conversion, or of a purchase among
    visits, a variance is known no sooner.

    >>> from sim.policy.setting import Metric
    >>> rare = Metric("m", 1, True, 1.0, 0.005, 0.07)
    >>> sale = Metric("m", 1, False, 1.0, 1.0, 9.0, values=(0, 50), chances=(0.98, 0.02))
    >>> least_outcomes(rare, None), least_outcomes(sale, None), least_outcomes(rare, 50)
    (4000, 1000, 50)
    """
    if given is not None:
        return given
    commonest = max(metric.nominal_mean, 1 - metric.nominal_mean) if metric.binary else max(metric.chances, default=0.0)
    return max(LEAST, math.ceil(round(RARE / (1 - commonest), 6))) if 0 <= commonest < 1 else LEAST


def primary(view: View) -> Metric:
    """The metric that the tests judge."""
    return view.setting.metrics[view.setting.primary]


def outcome_needs(setting: Setting, adjust: AnyAdjust | None, tally: Tally | None) -> tuple[Column, ...]:
    """The columns that a comparison on the primary metric reads."""
    metric = setting.metrics[setting.primary]
    if adjust is None:
        return moments_of(metric)
    within = resolved(tally, adjust) == "within_ticks"
    return adjust.needs_within_ticks(setting) if within else adjust.needs(setting)


def resolved(tally: Tally | None, adjust: AnyAdjust | None = None) -> Tally:
    """The tally of a rule: as named, or the one that suits its adjustment."""
    return tally or ("pooled" if adjust is not None and adjust.pools else "within_ticks")


def tally_problems(tally: Tally | None, adjust: AnyAdjust | None) -> list[tuple[str, str]]:
    """The rule that what can only be pooled is not compared within ticks: (key, message) pairs, none or one."""
    if tally != "within_ticks" or adjust is None or not adjust.pools:
        return []
    rule = f"must be pooled, or left out, with adjust: {adjust.kind}, which compares totals only"
    return [("tally", f"{rule}; got {tally}")]


def contrast_needs(setting: Setting, adjust: AnyAdjust | None, tally: Tally | None) -> tuple[Column, ...]:
    """The columns whose sums within ticks a comparison on the primary metric reads."""
    metric = setting.metrics[setting.primary]
    if resolved(tally, adjust) == "pooled":
        return ()
    return moments_of(metric) if adjust is None else adjust.contrasts(setting)


def nominal(setting: Setting, adjust: AnyAdjust | None) -> tuple[float, float]:
    """Mean and standard deviation of what is compared, at the champion's registered values."""
    metric = setting.metrics[setting.primary]
    return (metric.nominal_mean, metric.nominal_sd) if adjust is None else adjust.nominal(setting)


def adjust_problems(
    setting: DeclaredSetting, adjust: AnyAdjust | None, test: TestKind = "auto", tally: Tally | None = None
) -> list[tuple[str, str]]:
    """Problems of an adjustment and a tally beside a test that show in the scenario file alone: (key, message) pairs."""
    tallied = tally_problems(tally, adjust)
    if adjust is None or tallied:
        return tallied
    problems = [(f"adjust.{key}", message) for key, message in adjust.declared_problems(setting)]
    if test != "auto":
        problems.append(("test", f"must be left out with `adjust`, which has a standard error of its own; got {test}"))
    return problems


def adjusted_problems(setting: Setting, adjust: AnyAdjust | None) -> list[tuple[str, str]]:
    """Problems of an adjustment that show only with what the models registered: (key, message) pairs."""
    return [] if adjust is None else [(f"adjust.{key}", message) for key, message in adjust.registered_problems(setting)]


def margin_problems(setting: Setting, adjust: AnyAdjust | None) -> list[tuple[str, str]]:
    """The rule that a relative margin is of a mean that is not 0: (key, message) pairs, none or one."""
    if nominal(setting, adjust)[0] != 0:
        return []
    return [("margin", f"is relative, and the champion's registered mean of {setting.primary} is 0")]


def enough_known(view: View, least: int, adjust: AnyAdjust | None) -> Bools:
    """(r, K - 1) whether champion and challenger both have `least` known outcomes, and enough for the adjustment."""
    enough = view.of_total(Moment(view.setting.primary, "count")) >= least
    if adjust is not None:
        enough = enough & adjust.ready(view)
    return np.asarray(enough[:, :1] & enough[:, 1:])


def findings_where_known(
    view: View, least: int, adjust: AnyAdjust | None, look: Callable[[View, Bools, Bools], NDArray[np.int8]]
) -> NDArray[np.int8]:
    """(r, K) findings. Calls `look` only where champion and challenger both have `least` outcomes; all else is UNDECIDED.

    `look(view, rows, enough)` returns findings (rows, K - 1). `rows` (r,) marks the replications in which any challenger has
    enough; `enough` (rows, K - 1) says which.
    """
    findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
    enough = enough_known(view, least, adjust)
    rows = np.asarray(enough.any(axis=1))
    if rows.any():
        findings[rows, 1:] = np.where(enough[rows], look(view, rows, enough[rows]), Finding.UNDECIDED)
    return findings


def information(view: View, metric: str | None = None, adjust: AnyAdjust | None = None, tally: Tally | None = None) -> Floats:
    """(r, K) effective sample size of champion and arm: n / 2 at n outcomes an arm, n0 nk / (n0 + nk) at constant weights.

    It counts known outcomes of the primary metric, or of `metric`, and is 0 while either arm has none; within ticks it is the
    sum of a^2 of `sim.stats.within_ticks`. The champion's own column has no meaning. An adjustment multiplies it by what it
    gains: the variance that the plain difference has in the same data over that of the adjusted one. The gain is a ratio of
    two variances of the same outcomes, known sooner than either of them; until it is, no more is counted than it promises.
    """
    name = metric or view.setting.primary
    known = view.of_total(Moment(name, "count"))
    within = resolved(tally, adjust) == "within_ticks"
    if within:
        from sim.stats.within_ticks import SECOND

        sizes = np.zeros(known.shape)
        champion, challenger = view.contrasts.of(Moment(name, "count"))
        sides = champion[..., SECOND], challenger[..., SECOND]
        sizes[:, 1:] = np.where((sides[0] > 0) & (sides[1] > 0), sides[0] + sides[1], 0.0)
    else:
        sizes = known[:, :1] * (known / np.maximum(known[:, :1] + known, 1))
    if adjust is None:
        return sizes
    enough = adjust.ready(view)
    enough = enough & enough[:, :1]
    sizes = np.where(enough, sizes, 0.0)
    rows = np.asarray(enough[:, 1:].any(axis=1))
    if rows.any():
        gain = adjust.within_ticks(view, rows)[1] if within else adjust.gain(view, rows)
        sizes[rows, 1:] *= np.where(enough[rows, 1:], gain / overstated(view, rows, adjust, gain), 1.0)
    return sizes


def overstated(view: View, rows: Bools, adjust: AnyAdjust, gain: Floats) -> Floats:
    """(rows, K - 1) by how much a gain exceeds what may be trusted of it: 1 where it does not.

    What an adjustment promises may be trusted, and more only once a variance is known to `SURE` from the outcomes of each arm,
    at the champion's registered kurtosis. Before, chance alone can make an adjusted variance look much too small.
    """
    known = adjust.independent(view)[rows]
    sure = np.minimum(known[:, :1], known[:, 1:]) * SURE**2 >= adjust.kurtosis(view.setting) - 1
    return np.where(sure, 1.0, np.maximum(gain / adjust.promised_gain(view.setting), 1.0))


def compare(
    view: View,
    kind: TestKind,
    rows: Bools,
    scale: Scale = "absolute",
    pooled: bool = True,
    adjust: AnyAdjust | None = None,
    tally: Tally | None = None,
    metric: Metric | None = None,
) -> TestResult:
    """Two-sided tests of the challengers against the champion, (rows, K - 1), in the replications that `rows` (r,) marks.

    Of the primary metric, or of `metric`. `auto` takes the pooled variance of a binary metric only where `pooled`, and never
    on the relative scale. With `adjust` it is a z test of the adjusted estimates, which are of the primary metric.
    """
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.two_sample import two_sample
    from sim.stats.within_ticks import difference, difference_test

    metric = metric or primary(view)
    within = resolved(tally, adjust) == "within_ticks"
    if adjust is not None:
        from sim.stats.contrast import z_test

        if within:
            found, gain = adjust.within_ticks(view, rows)
            return difference_test(found.widened(overstated(view, rows, adjust, gain)), "z_unpooled", scale)
        pair = adjust.estimates(view, rows).widened(overstated(view, rows, adjust, adjust.gain(view, rows)))
        return z_test(pair.champion, pair.challenger, pair.covariance, scale)
    if kind == "auto":
        kind = "welch" if not metric.binary else "z_pooled" if pooled and scale == "absolute" else "z_unpooled"
    if within:
        return difference_test(difference(*view.contrasts.part(rows).outcomes(metric)), kind, scale)
    count, total, square = (moment[rows] for moment in view.moments(metric))
    champion = (count[:, :1], total[:, :1], square[:, :1])
    return two_sample(kind, *champion, count[:, 1:], total[:, 1:], square[:, 1:], scale=scale)


def relative_effect(
    view: View, arm: Ints, adjust: AnyAdjust | None = None, tally: Tally | None = None
) -> tuple[Floats, Floats] | None:
    """(r,) each: the relative effect of an arm (r,) as a test estimates it, positive where better, and its standard error.

    None with an adjustment that asks another question than that of the means.
    """
    if adjust is not None and not adjust.same_question:
        return None
    from sim.policy.estimates import known

    result = compare(view, "auto", np.ones(arm.size, bool), "relative", pooled=False, adjust=adjust, tally=tally)
    picked = np.arange(arm.size), arm - 1
    return known(primary(view).sign * result.effect[picked], result.standard_error[picked])


def above_margin(view: View, metric: Metric, rows: Bools, margin: float, tally: Tally | None = None) -> Estimates:
    """(rows, K - 1) how far every challenger stays above a margin relative to the champion's mean, and the standard error.

    Positive where a challenger is better than the champion less the margin, as in `sim.stats.margin`.
    """
    from sim.stats import margin as margins
    from sim.stats.moments import Estimates
    from sim.stats.within_ticks import difference, difference_test

    if resolved(tally) == "pooled":
        count, total, square = (moment[rows] for moment in view.moments(metric))
        champion, others = (count[:, :1], total[:, :1], square[:, :1]), (count[:, 1:], total[:, 1:], square[:, 1:])
        return margins.above_margin(*champion, *others, margin=margin, sign=metric.sign)
    before, after = view.contrasts.part(rows).outcomes(metric)
    # At the margin, a challenger's mean is this multiple of the champion's in every tick.
    result = difference_test(difference(before.scaled(1 - metric.sign * margin * np.sign(before.mean)), after))
    return Estimates(metric.sign * result.effect, result.standard_error)
