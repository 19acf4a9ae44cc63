"""Comparing every challenger with the champion on the primary metric, shared by the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats
from sim.policy.adjust import AnyAdjust
from sim.policy.base import DeclaredSetting, Finding, Metric, Setting, View
from sim.policy.columns import Column, Moment, moments_of

if TYPE_CHECKING:
    from sim.stats.two_sample import TestResult

Scale = Literal["absolute", "relative"]
TestKind = Literal["auto", "z_pooled", "z_unpooled", "welch"]
TEST_RULE = "z_pooled for a binary metric (z_unpooled of a relative effect or a margin), welch for any other, unless named"
SCALE_RULE = "what is tested: the difference of the means, or that over the champion's mean"


def primary(view: View) -> Metric:
    """The metric that the tests judge."""
    return view.setting.metrics[view.setting.primary]


def outcome_needs(setting: Setting, adjust: AnyAdjust | None) -> tuple[Column, ...]:
    """The columns that a comparison on the primary metric reads."""
    return moments_of(setting.metrics[setting.primary]) if adjust is None else adjust.needs(setting)


def nominal(setting: Setting, adjust: AnyAdjust | None) -> tuple[float, float]:
    """Mean and standard deviation of what is compared, at the champion's registered values."""
    metric = setting.metrics[setting.primary]
    return (metric.nominal_mean, metric.nominal_sd) if adjust is None else adjust.nominal(setting)


def adjust_problems(setting: DeclaredSetting, adjust: AnyAdjust | None, test: TestKind = "auto") -> list[tuple[str, str]]:
    """Problems of an adjustment beside a test that show in the scenario file alone: (key, message) pairs."""
    if adjust is None:
        return []
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


def information(view: View, metric: str | None = None, adjust: AnyAdjust | None = None) -> Floats:
    """(r, K) effective sample size of champion and arm, n0 nk / (n0 + nk): n / 2 at n outcomes an arm.

    It counts known outcomes of the primary metric, or of `metric`, and is 0 while either arm has none. The champion's own
    column has no meaning. With `adjust` it is the unadjusted size that has the same standard error: the registered variance
    over that of the difference.
    """
    known = view.of_total(Moment(metric or view.setting.primary, "count"))
    if adjust is None:
        pair: Floats = known[:, :1] * (known / np.maximum(known[:, :1] + known, 1))
        return pair
    enough = adjust.ready(view)
    enough = enough & enough[:, :1]
    sizes = np.zeros(known.shape)
    rows = np.asarray(enough[:, 1:].any(axis=1))
    if rows.any():
        error = compare(view, "auto", rows, adjust=adjust).standard_error
        sure = enough[rows, 1:] & (error > 0)
        sizes[rows, 1:] = np.where(sure, (nominal(view.setting, adjust)[1] / np.where(sure, error, 1.0)) ** 2, 0.0)
    return sizes


def compare(
    view: View,
    kind: TestKind,
    rows: Bools,
    scale: Scale = "absolute",
    pooled: bool = True,
    adjust: AnyAdjust | None = None,
) -> TestResult:
    """Two-sided tests of the challengers against the champion, (rows, K - 1), in the replications that `rows` (r,) marks.

    `auto` takes the pooled variance of a binary metric only where `pooled`, and never on the relative scale. With `adjust` it
    is a z test of the adjusted estimates.
    """
    if adjust is not None:
        from sim.stats.contrast import z_test

        pair = adjust.estimates(view, rows)
        return z_test(pair.champion, pair.challenger, pair.covariance, scale)
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.two_sample import two_sample

    metric = primary(view)
    count, total, square = (moment[rows] for moment in view.moments(metric))
    if kind == "auto":
        kind = "welch" if not metric.binary else "z_pooled" if pooled and scale == "absolute" else "z_unpooled"
    champion = (count[:, :1], total[:, :1], square[:, :1])
    return two_sample(kind, *champion, count[:, 1:], total[:, 1:], square[:, 1:], scale=scale)
