"""Comparing every challenger with the champion on the primary metric, shared by the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from sim.policy.base import Bools, Floats, Metric, View

if TYPE_CHECKING:
    from sim.stats.tests import TestResult

TestKind = Literal["auto", "z_pooled", "z_unpooled", "welch"]
TEST_RULE = "z_pooled for a binary metric and welch for any other, unless named"


def primary(view: View) -> Metric:
    """The metric that the tests judge."""
    return view.setting.metrics[view.setting.primary]


def information(view: View) -> Floats:
    """(r, K) outcomes known of each pair of champion and arm, as 1 / (1/n0 + 1/nk): half an arm's outcomes at an even split.

    0 while either has none; the champion's own column means nothing.
    """
    known = view.of_total(f"{view.setting.primary}.count")
    pair: Floats = known[:, :1] * (known / np.maximum(known[:, :1] + known, 1))
    return pair


def compare(view: View, kind: TestKind, rows: Bools) -> TestResult:
    """Two-sided tests of the challengers against the champion, (rows, K - 1), in the replications that `rows` (r,) marks."""
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.tests import two_sample

    metric = primary(view)
    count, total, square = (moment[rows] for moment in view.moments(metric))
    test = kind if kind != "auto" else "z_pooled" if metric.binary else "welch"
    return two_sample(test, count[:, :1], total[:, :1], square[:, :1], count[:, 1:], total[:, 1:], square[:, 1:])
