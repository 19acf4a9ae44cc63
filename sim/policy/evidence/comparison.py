"""Comparing every challenger with the champion on the primary metric, shared by the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from sim.policy.base import Bools, Floats, Metric, View

if TYPE_CHECKING:
    from sim.stats.tests import TestResult

Scale = Literal["absolute", "relative"]
TestKind = Literal["auto", "z_pooled", "z_unpooled", "welch"]
TEST_RULE = "z_pooled for a binary metric (z_unpooled of a relative effect or a margin), welch for any other, unless named"
SCALE_RULE = "what is tested: the difference of the means, or that over the champion's mean"


def primary(view: View) -> Metric:
    """The metric that the tests judge."""
    return view.setting.metrics[view.setting.primary]


def information(view: View, metric: str | None = None) -> Floats:
    """(r, K) outcomes known of each pair of champion and arm, as 1 / (1/n0 + 1/nk): half an arm's outcomes at an even split.

    Of the primary metric, unless another is named. 0 while either has none; the champion's own column means nothing.
    """
    known = view.of_total(f"{metric or view.setting.primary}.count")
    pair: Floats = known[:, :1] * (known / np.maximum(known[:, :1] + known, 1))
    return pair


def compare(view: View, kind: TestKind, rows: Bools, scale: Scale = "absolute", pooled: bool = True) -> TestResult:
    """Two-sided tests of the challengers against the champion, (rows, K - 1), in the replications that `rows` (r,) marks.

    `auto` takes the pooled variance of a binary metric only where `pooled`, and never on the relative scale.
    """
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.tests import two_sample

    metric = primary(view)
    count, total, square = (moment[rows] for moment in view.moments(metric))
    if kind == "auto":
        kind = "welch" if not metric.binary else "z_pooled" if pooled and scale == "absolute" else "z_unpooled"
    champion = (count[:, :1], total[:, :1], square[:, :1])
    return two_sample(kind, *champion, count[:, 1:], total[:, 1:], square[:, 1:], scale=scale)
