"""A test of arms that take turns: each period is one observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Floats, Ints
from sim.policy.base import Allocation, Evidence, Finding, View
from sim.policy.columns import Column, mean_of
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, Share, format_duration, format_share

if TYPE_CHECKING:
    from sim.stats.periods import Periods


class ByPeriod(Evidence):
    """One test of the mean outcomes of periods, after a planned number of them, for an allocation that takes turns.

    A period's mean outcome is one observation, however many requests it has: so what the requests of a period have in common,
    and what hits both arms for a while, is in the standard error. With design `paired` it is Student's test of the differences
    within blocks, with `random` Welch's of the two arms. Periods count alike: the effect is that on a mean period. What becomes
    known in the period of another arm is left out, as the calls that are in flight at its start; so is the `washout`, for what
    one arm leaves behind to the next. Several challengers share `alpha` by Holm's rule.

    Controls the error of declaring any difference where none is, two-sided at `alpha`, with periods whose means are near to
    normal, or many of them. An arm without two periods waits for more.

    Source: Bojinov, Simchi-Levi & Zhao, Management Science 69(7) (2023); Welch, Biometrika 34 (1947); Tin, JASA 60 (1965).

    >>> ByPeriod(periods=48, period="1h", design="paired").promised(None)
    0.05
    """

    reads_reward: ClassVar[bool] = True
    can_be_null: ClassVar[bool] = True
    of_turns: ClassVar[bool] = True

    kind: Literal["by_period"] = "by_period"
    periods: int = Field(ge=4, le=100_000, description="periods of all arms together, after which the test is taken")
    alpha: Share = Field(0.05, ge=1e-12, lt=1, description="error rate over all challengers, two-sided")
    washout: Duration | None = Field(
        None, description="how much of the start of every period is left out, a whole number of ticks; nothing if left out"
    )
    period: Duration | None = Field(None, description="how long a period is; that of the allocation, and left out as a rule")
    design: Literal["random", "paired"] | None = Field(
        None, description="whether periods are compared in blocks; that of the allocation, and left out as a rule"
    )

    def told(self, setting: Setting) -> str:
        how = "in blocks of one an arm" if self.design == "paired" else "arm by arm"
        less = f", each without its first {format_duration(self.washout)}" if self.washout else ""
        test = (
            f"that the mean outcomes of {self.periods:,} periods, compared {how}{less}, show to be better in {setting.primary}"
        )
        return f"passes a challenger {test} (alpha {format_share(self.alpha)}, two-sided)"

    def completed(self, allocation: Allocation, setting: DeclaredSetting) -> Evidence:
        turns = allocation.turns()
        if turns is None:
            return self
        return self.model_copy(update={"period": self.period or turns[0], "design": self.design or turns[1]})

    def promised(self, setting: DeclaredSetting) -> float | None:
        return self.alpha

    def pools(self, setting: DeclaredSetting) -> bool:
        return False

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return mean_of(setting.primary)

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        arms = len(setting.arms)
        return {
            "now": np.zeros((2, arms)),  # of the period that is on: known outcomes, and their sum
            "block": np.zeros((2, arms)),  # of the block that is on: periods, and the sum of their means
            "kept": np.zeros((3, arms)),  # periods that are over, or blocks: how many, sum and sum of squares
            "with": np.zeros((4, arms)),  # of blocks with both the champion and an arm: how many, the two sums, the champion's
            "joint": np.zeros((2, arms)),  # squares; and the sum of squares of the arm, and of products
        }

    def judge(self, view: View) -> NDArray[np.int8]:
        length = view.setting.ticks_of(self.period or view.setting.tick_s)
        memory, within = view.memory, (view.age - 1) % length
        washed = view.setting.ticks_of(self.washout) if self.washout else 0
        counted = within >= washed
        for place, column in enumerate(self.needs(view.setting)):
            memory["now"][counted, place] += view.of_last(column)[counted]
        ends = within == length - 1
        if ends.any():
            self._close(view, ends, (view.age - 1) // length)
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        ready = ends & (view.age >= self.periods * length)
        if ready.any():
            findings[ready, 1:] = self._decide(view, ready)
        return findings

    def _close(self, view: View, ends: NDArray[np.bool_], number: Ints) -> None:
        """Book the period that is over as an observation of the arm that had it, and the block if that is over too."""
        now, block = view.memory["now"], view.memory["block"]
        metric, arms = view.setting.metrics[view.setting.primary], len(view.setting.arms)
        # It is the arm with the most outcomes: others have what was in flight at the start.
        arm = now[:, 0].argmax(axis=1)
        rows = np.flatnonzero(ends & (now[:, 0].max(axis=1) > 0))
        mean = metric.grid * now[rows, 1, arm[rows]] / now[rows, 0, arm[rows]]
        block[rows, 0, arm[rows]] += 1
        block[rows, 1, arm[rows]] += mean
        now[ends] = 0.0
        over = ends if self.design == "random" else ends & (number % arms == arms - 1)
        there = block[over, 0] > 0
        means = np.where(there, block[over, 1] / np.maximum(block[over, 0], 1), 0.0)
        view.memory["kept"][over] += np.stack([there, means, means**2], axis=1)
        both = there & there[:, :1]
        first = np.where(both, means[:, :1], 0.0)
        own = np.where(both, means, 0.0)
        view.memory["with"][over] += np.stack([both, first, own, first**2], axis=1)
        view.memory["joint"][over] += np.stack([own**2, first * own], axis=1)
        block[over] = 0.0

    def _periods(self, view: View, rows: NDArray[Any], arm: Ints | int) -> Periods:
        """The periods of champion and an arm, of some replications."""
        from sim.stats.periods import Periods

        if self.design == "random":
            kept = view.memory["kept"][rows]
            of = kept[np.arange(len(kept)), :, arm]
            return Periods(*kept[:, :, 0].T, *of.T)
        sums, joint = (view.memory[name][rows] for name in ("with", "joint"))
        each = np.arange(len(sums))
        count, total0, total1, square0 = sums[each, :, arm].T
        square1, products = joint[each, :, arm].T
        return Periods(count, total0, square0, count, total1, square1, products)

    def _decide(self, view: View, rows: NDArray[np.bool_]) -> NDArray[np.int8]:
        """(rows, K - 1) findings; NULL where nothing is declared, UNDECIDED where an arm still lacks periods."""
        from sim.stats.multiplicity import holm_adjust
        from sim.stats.periods import compare_periods

        of = [self._periods(view, rows, np.full(int(rows.sum()), arm)) for arm in range(1, len(view.setting.arms))]
        found = [compare_periods(each) for each in of]
        known = np.stack([each.known for each in of], axis=1)
        tested = view.arms_in[rows][:, 1:] & known
        p_value: Floats = np.where(tested, np.stack([each.p_value for each in found], axis=1), np.nan)
        declared = holm_adjust(p_value) <= self.alpha
        better = np.stack([each.difference for each in found], axis=1) * view.setting.metrics[view.setting.primary].sign > 0
        decided = np.select([declared & better, declared & ~better], [Finding.PASS, Finding.FAIL], Finding.NULL)
        return np.where(known, decided, Finding.UNDECIDED).astype(np.int8)

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        from sim.policy.estimates import known
        from sim.stats.periods import compare_periods

        found = compare_periods(self._periods(view, np.ones(arm.size, bool), arm))
        return known(view.setting.metrics[view.setting.primary].sign * found.relative, found.relative_error)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.period is None or self.design is None:
            return [("kind", "compares periods, in which arms take turns: it is for an allocation of kind switchback")]
        problems = whole_ticks("period", self.period, setting)
        if self.washout is not None:
            problems += whole_ticks("washout", self.washout, setting)
            if self.washout >= self.period:
                rule = f"must be shorter than a period of {format_duration(self.period)}, of which nothing is left"
                problems.append(("washout", f"{rule}; got {format_duration(self.washout)}"))
        if self.periods * self.period > setting.ticks * setting.tick_s * (1 + 1e-9):
            rule = f"must fit into the horizon of {format_duration(setting.ticks * setting.tick_s)}"
            problems.append(("periods", f"{rule}: {self.periods:,} periods last {format_duration(self.periods * self.period)}"))
        return problems

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if not setting.metrics[setting.primary].delayed:
            return []
        rule = f"counts what becomes known in a period, and {setting.primary} is known later, in periods of other arms"
        return [("kind", f"{rule}: it needs a metric without a delay")]
