"""Group sequential tests: a planned number of looks that share out the error."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.errors import InputError
from sim.policy.base import Finding, Setting, View
from sim.policy.evidence.comparison import compare, information, primary
from sim.policy.evidence.planned import PlannedTest

if TYPE_CHECKING:
    from sim.stats.group_sequential import Design

# Whose a key is: given for this alone, and, but for `interim`, required there.
OWNERS = {
    "shape": ("design", ("wang_tsiatis",)),
    "interim": ("design", ("haybittle_peto",)),
    "spending": ("design", ("spending",)),
    "rho": ("spending", ("kim_demets",)),
    "gamma": ("spending", ("hwang_shih_decani",)),
}


class GroupSequential(PlannedTest):
    """Looks at equal steps of information up to the planned maximum, each with the bound that a design gives it.

    The maximum is the sample of one look times the design's inflation, so that `mde` is found with `power` at the end; `sample`
    sets it outright. Information is 1 / (1/n0 + 1/nk) in known outcomes, for each challenger by itself. A challenger beyond the
    bound of a look passes if better, fails if worse; after the last look without that, nothing is declared. Several
    challengers: each a design at alpha / challengers (Bonferroni).

    A look falls on the first tick at which its information has arrived, and a tick that crosses several looks takes the latest
    only, with that look's own bound. Bounds are those of the planned fractions, for `spending` too: leaving a look out
    can only lower the error, and coming late by less than a tick changes it little (docs/methods.md has the figures).

    Controls: the family-wise error of declaring any difference where none is, at `alpha`, over all looks. Assumes independent
    requests, samples large enough for the normal limit at the first look, and weights that do not depend on what was seen.

    Source: Jennison & Turnbull, Group Sequential Methods (2000), ch. 2, 7; `sim.stats.group_sequential`.

    >>> from sim.policy.base import Metric
    >>> setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, False, 0.01, 10.0, 5.0)})
    >>> [GroupSequential(design=design, mde="5%").planned_sample(setting) for design in ("pocock", "obrien_fleming")]
    [1929, 1615]
    """

    kind: Literal["group_sequential"] = "group_sequential"
    design: Literal["pocock", "obrien_fleming", "wang_tsiatis", "haybittle_peto", "spending"] = Field(
        "obrien_fleming", description="the family of bounds"
    )
    looks: int = Field(5, ge=1, le=100, description="planned looks, the last at the planned maximum")
    shape: float | None = Field(None, ge=-10, le=10, description="for wang_tsiatis: 0 is O'Brien-Fleming, 0.5 Pocock")
    interim: float | None = Field(
        None, gt=0, le=37, description="for haybittle_peto: the bound before the last look; 3 if left out"
    )
    spending: Literal["obrien_fleming", "pocock", "kim_demets", "hwang_shih_decani"] | None = Field(
        None, description="for spending: how much of alpha is spent by when"
    )
    rho: float | None = Field(None, gt=0, allow_inf_nan=False, description="for kim_demets: the exponent")
    gamma: float | None = Field(None, allow_inf_nan=False, description="for hwang_shih_decani: negative spends late")

    def plan(self, setting: Setting) -> Design:
        """The design for each challenger, with power where the test is sized by `mde`."""
        power = self.power if self.sample is None else None
        keys = tuple((key, getattr(self, key)) for key in OWNERS)
        return _design(self.design, self.looks, self.alpha / (len(setting.arms) - 1), power, keys)

    def planned_sample(self, setting: Setting) -> int:
        """Outcomes an arm of an even split, at the last look."""
        if self.sample is not None:
            return self.sample
        return math.ceil(self.one_look_sample(setting) * self.plan(setting).maximum_information)

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        return {"look": np.zeros(len(setting.arms), np.int64)}

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        # A look that is exactly reached must not be missed by the rounding of a product.
        reached = information(view) / (self.planned_sample(view.setting) / 2) * self.looks + 1e-9
        look = np.minimum(reached, self.looks).astype(np.int64)
        due = (look > view.memory["look"]) & view.arms_in
        due[:, 0] = False
        rows = np.asarray(due.any(axis=1))
        if not rows.any():
            return findings
        view.memory["look"][due] = look[due]
        result = compare(view, self.test, rows)
        now, arms = look[rows][:, 1:], due[rows][:, 1:]
        declared = result.p_value <= self.plan(view.setting).nominal_p[np.maximum(now, 1) - 1]
        better = result.effect * primary(view).sign > 0
        otherwise = np.where(now == self.looks, Finding.NULL, Finding.UNDECIDED)
        found = np.where(declared, np.where(better, Finding.PASS, Finding.FAIL), otherwise)
        findings[rows, 1:] = np.where(arms, found, Finding.UNDECIDED)
        return findings

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        found = super().problems(setting)
        for key, (by, owners) in OWNERS.items():
            value, owned = getattr(self, key), getattr(self, by) in owners
            if owned and value is None and key != "interim":
                found.append((key, f"is required for {by} {owners[0]}"))
            elif value is not None and not owned:
                found.append((key, f"is for {by} {owners[0]} only, got {value}"))
        return found or self._interim_problems(setting)

    def _interim_problems(self, setting: Setting) -> list[tuple[str, str]]:
        alpha, interim = self.alpha / (len(setting.arms) - 1), 3.0 if self.interim is None else self.interim
        if self.design != "haybittle_peto" or (self.looks - 1) * math.erfc(interim / math.sqrt(2)) < alpha:
            return []
        # The sum over looks bounds what they spend; where it leaves nothing, only the design itself can tell.
        try:
            self.plan(setting)
        except InputError as error:
            return [(problem.path, problem.message) for problem in error.problems]
        return []


@lru_cache(maxsize=64)
def _design(kind: Any, looks: int, alpha: float, power: float | None, keys: tuple[tuple[str, Any], ...]) -> Design:
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.group_sequential import design

    return design(kind, looks, alpha, power, **dict(keys))
