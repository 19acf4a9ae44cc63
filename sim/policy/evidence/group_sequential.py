"""Group sequential tests: a planned number of looks that share out the error."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError
from sim.policy.base import Finding, View
from sim.policy.inference.comparison import compare, enough_known, least_outcomes, primary, resolved
from sim.policy.inference.planned import PlannedTest
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.policy.stretch import Quiet
from sim.policy.telling import counted
from sim.units import Duration, Share, format_duration, format_share

if TYPE_CHECKING:
    from sim.stats.group_sequential import Design
    from sim.stats.running_bounds import Plan

Families = Literal["obrien_fleming", "pocock", "power", "kim_demets", "hwang_shih_decani"]
# By key: the setting that the key belongs to, the values of the setting that use the key, and whether they require it.
OWNERS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "shape": ("design", ("wang_tsiatis",), True),
    "interim": ("design", ("haybittle_peto",), False),
    "spending": ("design", ("spending",), True),
    "ends": ("design", ("spending",), False),
    "rho": ("spending", ("kim_demets", "power"), True),
    "gamma": ("spending", ("hwang_shih_decani",), True),
    "futility_rho": ("futility", ("kim_demets", "power"), True),
    "futility_gamma": ("futility", ("hwang_shih_decani",), True),
}
DESIGN_KEYS = ("shape", "interim", "spending", "rho", "gamma", "futility", "futility_rho", "futility_gamma", "binding")


class GroupSequential(PlannedTest):
    """Looks at planned steps of information up to the planned maximum, each with the bound that a design gives it.

    The maximum is the sample of one look times the design's inflation, so that `mde` is found with `power` at the end; `sample`
    sets it outright. Information is 1 / (1/n0 + 1/nk) in known outcomes, for each challenger by itself. A challenger beyond the
    bound of a look passes if better, fails if worse (with one side it cannot fail); one below the futility bound, or without a
    declaration after the last look, ends with nothing declared. Several challengers: each a design at alpha / challengers.

    A look falls on the first tick at which its information has arrived, and a tick that crosses several looks takes the latest
    only. With `spending`, bounds are those of the information that really arrived (Lan & DeMets 1983): a look spends what its
    fraction allows, the last one, late or at `ends`, all that is left. The other designs keep the bounds of the planned
    fractions: leaving a look out can only lower the error, and coming late by less than a tick changes it little
    (docs/methods.md has the figures). No look but the last is taken before champion and challenger have `min_outcomes`: left
    out, 100, and as many as hold 20 outcomes that are not the commonest one, at the champion's registered distribution.

    Controls: the family-wise error of declaring any difference where none is, at `alpha`, over all looks. With one side, of
    declaring a challenger better that is not; with `binding` only if those that cross the futility bound do end. Assumes
    independent requests and samples large enough for the normal limit at the first look; weights may change, and follow what
    was seen, unless `tally` is pooled or a look comes by time (`ends`).

    Source: Jennison & Turnbull, Group Sequential Methods (2000), ch. 2, 7; Pampallona, Tsiatis & Kim (2001), for futility;
    `sim.stats.group_sequential`, `sim.stats.running_bounds`.

    >>> from sim.policy.setting import Metric
    >>> setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, False, 0.01, 10.0, 5.0)})
    >>> [GroupSequential(design=design, mde="5%").planned_sample(setting) for design in ("pocock", "obrien_fleming")]
    [1929, 1615]
    """

    rests: ClassVar[bool] = True

    kind: Literal["group_sequential"] = "group_sequential"
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="error rate over all challengers and looks, of all `sides` together")
    design: Literal["pocock", "obrien_fleming", "wang_tsiatis", "haybittle_peto", "spending"] = Field(
        "obrien_fleming", description="the family of bounds"
    )
    looks: int | None = Field(
        None, ge=1, le=100, description="planned looks, equally spaced, the last at the planned maximum; 5"
    )
    information: tuple[Share, ...] | None = Field(
        None, min_length=1, max_length=100, description="fractions of the planned maximum to look at, instead of `looks`"
    )
    sides: Literal[1, 2] = Field(2, description="1 declares a challenger better only, 2 better or worse")
    shape: float | None = Field(None, ge=-10, le=10, description="for wang_tsiatis: 0 is O'Brien-Fleming, 0.5 Pocock")
    interim: float | None = Field(
        None, gt=0, le=37, description="for haybittle_peto: the bound before the last look; 3 if left out"
    )
    spending: Families | None = Field(None, description="for spending: how much of alpha is spent by when")
    rho: float | None = Field(None, gt=0, allow_inf_nan=False, description="for kim_demets and power: the exponent")
    gamma: float | None = Field(None, allow_inf_nan=False, description="for hwang_shih_decani: negative spends late")
    ends: Duration | None = Field(
        None, description="for spending: the last look is at this age of the stage at the latest, whatever has arrived"
    )
    futility: Families | None = Field(
        None, description="with one side: give up on a challenger, and how much of 1 - power is spent on that by when"
    )
    futility_rho: float | None = Field(None, gt=0, allow_inf_nan=False, description="as `rho`, of futility")
    futility_gamma: float | None = Field(None, allow_inf_nan=False, description="as `gamma`, of futility")
    min_outcomes: int | None = Field(
        None,
        ge=2,
        description="known outcomes that champion and challenger must have before a look other than the last; 100 if left out, "
        "more where most outcomes are alike",
    )
    binding: bool = Field(False, description="whether the bounds of `spending` rely on stopping for futility")

    def goal(self, setting: Setting) -> dict[str, Any]:
        return super().goal(setting) | {"sides": self.sides}

    def fractions(self) -> Floats:
        """(looks,) fractions of the planned maximum."""
        if self.information is not None:
            return np.array(self.information)
        looks = self.looks or 5
        return np.arange(1, looks + 1) / looks

    def plan(self, setting: DeclaredSetting) -> Design:
        """The design for each challenger, with power where it is needed: if sized by `mde`, or with futility."""
        power = self.power if self.sample is None or self.futility else None
        keys = tuple((key, getattr(self, key)) for key in DESIGN_KEYS)
        fractions = tuple(self.fractions().tolist())
        return _design(self.design, self.alpha / (len(setting.arms) - 1), power, self.sides, fractions, keys)

    def planned_sample(self, setting: Setting) -> int:
        """Outcomes an arm of an even split, at the last look."""
        if self.sample is not None:
            return self.sample
        return math.ceil(self.one_look_sample(setting) * self.plan(setting).maximum_information)

    def least(self, setting: Setting) -> int:
        """Known outcomes that champion and challenger must have before a look other than the last."""
        return least_outcomes(setting.metrics[setting.primary], self.min_outcomes)

    def told(self, setting: Setting) -> str:
        sides = "two-sided" if self.sides == 2 else "one-sided"
        design = self.design + (f" by {self.spending}" if self.spending else "")
        rule = f"{design} bounds, alpha {format_share(self.alpha)} over all looks, {sides}"
        last = f", or at {format_duration(self.ends)}" if self.ends is not None else ""
        weak = "; gives up early on one that is unlikely to be" if self.futility else ""
        found = (
            f"passes a challenger that is found better in {setting.primary} at one of {counted(self.fractions().size, 'look')}"
        )
        return f"{found} ({rule}){self.compared()}, the last {self.sized(setting)}{last}{weak}"

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        """The last look of each arm; of a test that spends, also the distribution of the scores of tests that go on.

        Of any other, what an estimate needs: the information at each look that was taken; of the last one the score, and the
        relative effect with its standard error.
        """
        arms = len(setting.arms)
        memory: dict[str, NDArray[Any]] = {"look": np.zeros(arms, np.int64)}
        if self.design != "spending":
            memory["arrived"] = np.zeros((arms, self.fractions().size))
            memory |= {"score": np.zeros(arms), "effect": np.zeros(arms), "error": np.full(arms, np.nan)}
        else:
            from sim.stats.running_bounds import Running, node_count

            plan = self.plan(setting)
            challengers = len(setting.arms) - 1
            start = Running.start(challengers, node_count(plan.information, plan.bounds, self.sides))
            for name in ("null", "effective") if self.futility else ("null",):
                memory |= {f"{name}_{key}": getattr(start, key) for key in ("low", "high", "time", "mass")}
        return memory

    def looks_by_time(self) -> str:
        return "ends" if self.ends is not None else ""

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        fractions = self.fractions()
        arrived = self.arrived(view)[:, 1:] / (self.planned_sample(view.setting) / 2)
        # A look that is exactly reached must not be missed by the rounding of a product.
        look = np.searchsorted(fractions, arrived + 1e-9, side="right")
        last = look == fractions.size
        enough = last | enough_known(view, self.least(view.setting), self.adjust)
        due = (look > view.memory["look"][:, 1:]) & view.arms_in[:, 1:] & enough
        if self.design == "spending":
            due, last, findings[:, 1:] = self._spending_looks(view, arrived, due, last, enough)
        rows = np.asarray(due.any(axis=1))
        if not rows.any():
            return findings
        view.memory["look"][:, 1:][due] = np.where(last, fractions.size, look)[due]
        z = self._scores(view, rows)[due[rows]]
        if self.design == "spending":
            upper, lower = self._spend(view, due, arrived[due], last[due])
        else:
            upper, lower = self._planned_bounds(view.setting, look[due])
            self._remember(view, rows, due, look[due], arrived[due], z)
        # With one side the lower bound is futility's, which declares nothing.
        below = Finding.FAIL if self.sides == 2 else Finding.NULL
        otherwise = np.where(last[due], Finding.NULL, Finding.UNDECIDED)
        findings[:, 1:][due] = np.select([z >= upper, z <= lower], [Finding.PASS, below], otherwise)
        return findings

    def quiet(self, view: View) -> Quiet | None:
        # What an adjustment gains is known only when it is worked out.
        if self.adjust is not None:
            return None
        fractions, look = self.fractions(), view.memory["look"][:, 1:]
        # A look is taken a little early by the rounding of `judge`: this is earlier still.
        share = np.append(fractions, np.inf)[look] - 2e-9
        awaited = np.where(view.arms_in[:, 1:], share * (self.planned_sample(view.setting) / 2), np.inf)
        ends = None if self.ends is None else view.setting.ticks_of(self.ends) - int(view.age.max())
        return Quiet(awaited, resolved(self.tally) == "pooled", ends)

    def _scores(self, view: View, rows: Bools) -> Floats:
        """(rows, K - 1) normal scores, positive where the challenger is better; Welch's through their p-values."""
        from scipy.special import ndtri

        result = compare(view, self.test, rows, self.effect, adjust=self.adjust, tally=self.tally)
        return -ndtri(np.maximum(result.p_value, 1e-300) / 2) * np.sign(result.effect) * primary(view).sign

    def _remember(self, view: View, rows: Bools, due: Bools, look: Ints, arrived: Floats, z: Floats) -> None:
        """Note a look of the challengers that are `due` (r, K - 1): its number, information and score."""
        row, arm = np.nonzero(due)
        relative = compare(view, "auto", rows, "relative", pooled=False, adjust=self.adjust, tally=self.tally)
        view.memory["arrived"][row, arm + 1, look - 1] = arrived
        view.memory["score"][row, arm + 1] = z
        view.memory["effect"][row, arm + 1] = primary(view).sign * relative.effect[due[rows]]
        view.memory["error"][row, arm + 1] = relative.standard_error[due[rows]]

    def unbiased(self, view: View, arm: Ints) -> tuple[Floats, Floats, Floats]:
        from sim.stats.stopping import median_unbiased

        estimates = np.full((3, arm.size), np.nan)
        if self.design == "spending":
            return estimates[0], estimates[1], estimates[2]
        replications, size = np.arange(arm.size), self.fractions().size
        look, z, effect, error = (view.memory[key][replications, arm] for key in ("look", "score", "effect", "error"))
        arrived = view.memory["arrived"][replications, arm]
        upper, lower = self._planned_bounds(view.setting, np.arange(1, size + 1))
        at = np.maximum(look, 1) - 1
        # A guardrail, or the horizon, may end a stage where the test would have gone on.
        ended = (look > 0) & np.isfinite(error) & ((z >= upper[at]) | (z <= lower[at]) | (look == size))
        kinds, which = np.unique(arrived > 0, axis=0, return_inverse=True)
        for number, taken in enumerate(kinds):
            rows = np.flatnonzero(ended & (which.reshape(-1) == number))
            if rows.size:
                # The looks that were taken, at the information that had arrived, which hardly differs between replications.
                times = arrived[rows][:, taken].mean(axis=0)
                stopped = median_unbiased(times, lower[taken], upper[taken], np.full(rows.size, times.size), z[rows])
                # At the last look that was taken, the drift is the mean of the score.
                means = np.stack([stopped.estimate, stopped.lower, stopped.upper])
                estimates[:, rows] = effect[rows] + (means - z[rows]) * error[rows]
        return estimates[0], estimates[1], estimates[2]

    def _planned_bounds(self, setting: Setting, look: Ints) -> tuple[Floats, Floats]:
        plan, at = self.plan(setting), look - 1
        upper = plan.bounds[at]
        if self.sides == 2:
            return upper, -upper
        return upper, np.full(upper.shape, -np.inf) if plan.futility is None else plan.futility[at]

    def _spending_looks(
        self, view: View, arrived: Floats, due: Bools, last: Bools, enough: Bools
    ) -> tuple[Bools, Bools, NDArray[np.int8]]:
        """(r, K - 1) each: looks far enough from the one before, those that are the last, and what ends without one."""
        from sim.stats.running_bounds import CLOSEST

        step = CLOSEST * float(np.diff(self.fractions(), prepend=0.0).min())
        before = view.memory["null_time"]
        over = np.zeros(due.shape, bool)
        if self.ends is not None:
            going = view.arms_in[:, 1:] & (view.memory["look"][:, 1:] < self.fractions().size)
            over |= (view.age >= view.setting.ticks_of(self.ends))[:, None] & going
        risen = (arrived >= before + step) & enough
        without = np.where(before > 0, Finding.NULL, Finding.INCONCLUSIVE)
        ended = np.where(over & ~risen, without, Finding.UNDECIDED).astype(np.int8)
        return (due | over) & risen, last | over, ended

    def _spend(self, view: View, due: Bools, time: Floats, last: Bools) -> tuple[Floats, Floats]:
        from sim.stats.running_bounds import Running

        plan = self._running_plan(view.setting)
        keys = ("low", "high", "time", "mass")
        memory = view.memory

        def under_way(name: str, drift: float) -> Running:
            low, high, at, mass = (memory[f"{name}_{key}"][due] for key in keys)
            return Running(low, high, at, mass, drift)

        null = under_way("null", 0.0)
        effective = under_way("effective", plan.drift) if self.futility else None
        upper, lower, null, effective = plan.look(null, effective, time, last)
        for name, tests in (("null", null), ("effective", effective)):
            for key in keys if tests is not None else ():
                memory[f"{name}_{key}"][due] = getattr(tests, key)
        return upper, lower

    def _running_plan(self, setting: Setting) -> Plan:
        from sim.stats.running_bounds import Plan, Spending

        assert self.spending is not None
        design = self.plan(setting)
        alpha = Spending(self.spending, design.alpha / self.sides, self.rho, self.gamma)
        if self.futility is None:
            return Plan(alpha, self.sides)
        assert design.drift is not None
        beta = Spending(self.futility, 1 - self.power, self.futility_rho, self.futility_gamma)
        return Plan(alpha, self.sides, beta, self.binding, design.drift)

    def test_problems(self) -> list[tuple[str, str]]:
        problems = super().test_problems()
        for key, (by, owners, required) in OWNERS.items():
            value, owned = getattr(self, key), getattr(self, by) in owners
            if owned and required and value is None:
                problems.append((key, f"is required for {by} {getattr(self, by)}"))
            elif value is not None and not owned:
                shown = format_duration(value) if key == "ends" else value if isinstance(value, str) else f"{value:g}"
                problems.append((key, f"is for {by} {' or '.join(owners)} only, got {shown}"))
        if self.futility is not None and self.sides != 1:
            problems.append(("sides", f"must be 1 with futility, got {self.sides}"))
        if self.binding and (self.futility is None or self.design != "spending"):
            problems.append(("binding", f"is for design spending with futility only, got design {self.design}"))
        return problems + self._information_problems()

    def _information_problems(self) -> list[tuple[str, str]]:
        if self.information is None:
            return []
        if self.looks is not None:
            return [
                ("information", f"and looks say the same in two ways: give one, got {len(self.information)} and {self.looks}")
            ]
        shown = ", ".join(f"{fraction:g}" for fraction in self.information)
        if np.diff(self.information, prepend=0.0).min() < 1e-4 or self.information[-1] != 1:
            return [("information", f"must rise from above 0 to 100%, by at least 0.01% a look, got {shown}")]
        return []

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = super().declared_problems(setting)
        if self.futility is not None and self.sample is not None and self.power <= self.alpha:
            problems.append(("power", f"must exceed alpha, got power {self.power:g} and alpha {self.alpha:g}"))
        if self.ends is not None:
            problems += whole_ticks("ends", self.ends, setting)
        return problems or self._interim_problems(setting)

    def _interim_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        alpha, interim = self.alpha / (len(setting.arms) - 1), 3.0 if self.interim is None else self.interim
        spent_before = (self.fractions().size - 1) * math.erfc(interim / math.sqrt(2)) * self.sides / 2
        if self.design != "haybittle_peto" or spent_before < alpha:
            return []
        # The sum over looks bounds what they spend; where it leaves nothing, only the design itself can tell.
        try:
            self.plan(setting)
        except InputError as error:
            return [(problem.path, problem.message) for problem in error.problems]
        return []


@lru_cache(maxsize=64)
def _design(
    kind: Any, alpha: float, power: float | None, sides: int, fractions: tuple[float, ...], keys: tuple[tuple[str, Any], ...]
) -> Design:
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.group_sequential import design

    return design(kind, len(fractions), alpha, power, sides, fractions, **dict(keys))
