"""A fixed-horizon test: one look, at a sample size chosen beforehand."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim.policy.base import Finding, View
from sim.policy.evidence.comparison import compare, primary
from sim.policy.evidence.planned import PlannedTest


class FixedHorizon(PlannedTest):
    """One test of every challenger against the champion, when the planned sample has *arrived*.

    The plan is the usual power calculation at the scenario's nominal values (Casella & Berger 2002, 8.3; with several
    challengers at alpha / challengers, which Holm's step-down test at the look then improves on). Samples are counted in
    information, 1 / (1/n0 + 1/nk), by known outcomes, so that an uneven split waits for as much evidence as an even one.
    A challenger significantly better passes, significantly worse fails; otherwise nothing is declared.

    Controls: the family-wise error of declaring any difference where none is, at `alpha`, at one look. Assumes independent
    requests and samples that are large enough for the normal limit.

    >>> from sim.policy.base import Setting
    >>> FixedHorizon(sample=1000).planned_sample(Setting(("a", "b"), 1, 10, 600.0, "m", {}))
    1000
    """

    kind: Literal["fixed_horizon"] = "fixed_horizon"

    def judge(self, view: View) -> NDArray[np.int8]:
        from sim.stats.multiplicity import holm

        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        ready = self.complete(view)
        if not ready.any():
            return findings
        result = compare(view, self.test, ready)
        declared = holm(np.where(view.arms_in[ready][:, 1:], result.p_value, np.nan), self.alpha)
        better = result.effect * primary(view).sign > 0
        findings[ready, 1:] = np.where(declared, np.where(better, Finding.PASS, Finding.FAIL), Finding.NULL)
        return findings
