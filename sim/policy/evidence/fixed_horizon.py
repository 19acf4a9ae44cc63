"""A fixed-horizon test: one look, at a sample size chosen beforehand."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sim.policy.base import Finding, View
from sim.policy.inference.comparison import resolved
from sim.policy.inference.one_look import OneLook
from sim.policy.setting import Setting
from sim.policy.stretch import Quiet


class FixedHorizon(OneLook):
    """One test of every challenger against the champion, when the planned sample has *arrived*.

    The plan is the usual power calculation at the scenario's nominal values (Casella & Berger 2002, 8.3; with several
    challengers at alpha / challengers or Dunnett's bound). Samples are counted in information, 1 / (1/n0 + 1/nk), by known
    outcomes, so that an uneven split waits for as much evidence as an even one. What is tested, passed and failed is the
    `hypothesis`: superiority, non_inferiority (Blackwelder 1982) or equivalence (Schuirmann 1987), of an absolute or, by the
    delta method, a relative `effect` (Deng, Knoblich & Lu 2018); otherwise nothing is declared.

    Controls, at one look and over all challengers (Holm 1979, Bonferroni, or Dunnett 1955, who counts in what the tests have in
    common): with superiority the error of declaring any difference where none is, two-sided at `alpha`; with a margin the error
    of passing a challenger that is worse by the margin (equivalence: different by it), at `alpha`, and that of failing one that
    is not, at `alpha`. Assumes independent requests and samples that are large enough for the normal limit.

    >>> from sim.policy.setting import Setting
    >>> FixedHorizon(sample=1000).planned_sample(Setting(("a", "b"), 1, 10, 600.0, "m", {}))
    1000
    """

    rests: ClassVar[bool] = True

    kind: Literal["fixed_horizon"] = "fixed_horizon"

    def told(self, setting: Setting) -> str:
        return f"passes a challenger that one test shows {self.shows(setting)}, {self.sized(setting)}"

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        ready = self.complete(view)
        if ready.any():
            findings[ready, 1:] = self.decide(view, ready)
        return findings

    def quiet(self, view: View) -> Quiet | None:
        # What an adjustment gains is known only when it is worked out.
        if self.adjust is not None:
            return None
        awaited = np.where(view.arms_in[:, 1:], self.planned_sample(view.setting) / 2, np.inf)
        return Quiet(awaited, resolved(self.tally) == "pooled")
