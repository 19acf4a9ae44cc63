"""What every allocation and every rule of evidence must keep. A test class inherits one of these and supplies `part`."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

from sim.arrays import Floats, Ints
from sim.policy.base import Allocation, Evidence, Finding, Part, View
from sim.policy.catalogue import family_of
from sim.policy.columns import Column, Count, Moment, SegmentMoment, user_moments
from sim.policy.contrast import Contrasts
from sim.policy.setting import Setting
from sim.testing.paths import alike_ticks, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import contrasted, fresh_memory, make_setting, realised, shares_of
from sim.testing.users import in_one_arm, turned
from sim.units import AS_WRITTEN

ROWS = 40
PATHS = 4000


def counts_of(part: Part, setting: Setting, rng: np.random.Generator, outcome: str = "varied") -> Ints:
    """(ROWS, K, C) plausible totals. A few replications have no outcomes; `outcome`: varied, none, all zero or all alike."""
    shape = (ROWS, len(setting.arms))
    known = np.where(rng.random(shape) < 0.1, rng.integers(0, 3, shape), rng.integers(50, 4000, shape))
    known[:3] = 0
    if outcome == "none":
        known[:] = 0
    requests = known + rng.integers(0, 20, shape)
    known_of: dict[Column, Ints] = {
        Count("requests"): requests, Count("responses"): requests, Count("errors"): rng.binomial(requests, 0.02),
    }  # fmt: skip
    for metric in setting.metrics.values():
        chance = rng.uniform(0.15, 0.25, shape)
        if metric.binary:
            total = {"zero": 0 * known, "alike": known}.get(outcome, rng.binomial(known, chance))
            square = total
        else:
            value = {"zero": 0, "alike": 1000}.get(outcome, 1000)
            noise = rng.normal(0, 500 * np.sqrt(known)) if outcome == "varied" else 0 * known
            total = np.rint(value * known + noise).astype(np.int64)
            spread = 500**2 * known if outcome == "varied" else 0 * known
            square = np.rint(spread + total / np.maximum(known, 1) * total).astype(np.int64)
        known_of |= {
            Moment(metric.name, "count"): known, Moment(metric.name, "sum"): total, Moment(metric.name, "square"): square,
        }  # fmt: skip
    needs = part.needs(setting)
    for name in {name for column in needs if column.by_user for name in column.metrics}:
        # Every request is of a user of its own.
        total, square = (known_of[Moment(name, moment)] for moment in ("sum", "square"))
        known_of |= dict(zip(user_moments(name), (known, square, total, known), strict=True))
        known_of |= in_one_arm(name, square, total, known, shares_of(known))
    segments = list(setting.segments)
    for column in needs:
        if isinstance(column, SegmentMoment):
            # The totals of another replication: its count, sum and sum of squares belong together.
            whole = known_of[Moment(column.metric, column.moment)]
            known_of[column] = np.roll(whole, 1 + segments.index(column.segment), axis=0)
    columns = [known_of.get(column, rng.binomial(requests, 0.01)) for column in needs]
    return np.stack(columns, axis=2) if columns else np.zeros((*shape, 0), np.int64)


def view_of(part: Part, setting: Setting, total: Ints, arms_in: np.ndarray, age: int = 5) -> View:
    """A view of totals, all of them seen in the last tick."""
    columns = {column: at for at, column in enumerate(part.needs(setting))}
    rows = len(total)
    memory = fresh_memory(part, setting, rows)
    wanted, places = contrasted(part, setting, columns)
    contrasts = Contrasts.of_one_tick(total[..., places], realised(total, columns), wanted)
    return View(setting, age, np.full(rows, age), arms_in, total.copy(), total.copy(), columns, False, memory, contrasts)


def worlds(part: Part) -> Iterator[tuple[Setting, np.random.Generator]]:
    """Settings that suit the part, of two and of four arms, with a primary metric of each kind."""
    for seed, (arms, primary) in enumerate(product((2, 4), ("conversion", "revenue", "cost"))):
        setting = make_setting(arms, ROWS, primary=primary)
        if not part.problems(setting):
            yield setting, np.random.default_rng(seed)


def some_removed(setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """(ROWS, K) arms still in: the champion, and at least one challenger."""
    arms_in = rng.random((ROWS, len(setting.arms))) < 0.6
    arms_in[np.arange(ROWS), rng.integers(1, len(setting.arms), ROWS)] = True
    arms_in[:, 0] = True
    return arms_in


class PartContract:
    """The contract of every part. `part` is the part that is tested."""

    @pytest.fixture
    def part(self) -> Part:
        raise NotImplementedError("a contract needs the fixture `part`: the part that is to keep it")

    def test_its_class_is_a_part_that_files_can_name(self, part: Part) -> None:
        family = family_of(type(part))
        assert family is not None
        assert list(family.faults(type(part))) == []

    def test_it_is_read_as_it_is_written(self, part: Part) -> None:
        written = json.loads(part.model_dump_json(by_alias=True, exclude_none=True))
        assert type(part).model_validate(written, context=AS_WRITTEN) == part

    def test_it_tells_what_it_does_in_a_line(self, part: Part) -> None:
        for setting, _ in worlds(part):
            told = part.told(setting)
            assert told == " ".join(told.split())
            assert told
            assert not told.endswith(".")

    def test_some_setting_suits_it(self, part: Part) -> None:
        """Other tests run only in settings that suit the part, and would pass if there were none."""
        assert any(True for _ in worlds(part)), part.problems(make_setting(2, ROWS))


class AllocationContract(PartContract):
    """`part` must treat challengers alike. `start`: the champion's share before anything is known; None for an even split."""

    start: ClassVar[float | None] = None

    def test_shares_are_a_distribution_over_the_arms_still_in(self, part: Allocation) -> None:
        for setting, rng in worlds(part):
            total = counts_of(part, setting, rng)
            whole = part.live(view_of(part, setting, total, np.ones(total.shape[:2], bool)))
            np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-12)
            arms_in = some_removed(setting, rng)
            live = np.where(arms_in, part.live(view_of(part, setting, total, arms_in)), 0)
            assert np.isfinite(live).all()
            assert (live >= 0).all()
            assert (live.sum(axis=1) > 0).all()
            assert (live.sum(axis=1) <= 1 + 1e-12).all()

    def test_no_arm_still_in_is_below_the_floor(self, part: Allocation) -> None:
        for setting, rng in worlds(part):
            arms_in = some_removed(setting, rng)
            live = part.live(view_of(part, setting, counts_of(part, setting, rng), arms_in))
            assert (live[arms_in] >= getattr(part, "floor", 0.0) - 1e-12).all()

    def test_the_order_of_challengers_does_not_matter(self, part: Allocation) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            order = np.concatenate([[0], 1 + rng.permutation(len(setting.arms) - 1)])
            live = part.live(view_of(part, setting, total, arms_in))
            other = part.live(view_of(part, setting, total[:, order], arms_in[:, order]))
            np.testing.assert_allclose(other, live[:, order], atol=1e-9)

    def test_before_anything_is_known(self, part: Allocation) -> None:
        for setting, rng in worlds(part):
            total = 0 * counts_of(part, setting, rng)
            live = part.live(view_of(part, setting, total, np.ones(total.shape[:2], bool), age=0))
            arms = len(setting.arms)
            champion = 1 / arms if self.start is None else self.start
            expected = [champion, *[(1 - champion) / (arms - 1)] * (arms - 1)]
            np.testing.assert_allclose(live, np.broadcast_to(expected, live.shape), atol=1e-9)

    def test_a_replication_is_routed_alone_as_in_a_block(self, part: Allocation) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            live = part.live(view_of(part, setting, total, arms_in))
            for row in range(0, ROWS, 7):
                one = slice(row, row + 1)
                assert (part.live(view_of(part, setting, total[one], arms_in[one])) == live[one]).all()

    def test_only_challengers_still_in_are_mirrored(self, part: Allocation) -> None:
        for setting, rng in worlds(part):
            arms_in = some_removed(setting, rng)
            mirror = part.mirror(view_of(part, setting, counts_of(part, setting, rng), arms_in))
            assert ((mirror >= 0) & (mirror <= 1)).all()
            assert (mirror[:, 0] == 0).all()
            assert part.mirrors == bool(mirror.any())


class EvidenceContract(PartContract):
    """`part` must treat arms alike, and declare no more than it says where there is nothing to declare.

    by_time: it decides by the clock and not by what was seen. symmetric: champion and challenger swapped, PASS is FAIL.
    error: the least and the most often that it is wrong, which is to find what `wrong` holds of a challenger whose effect is
    `null`: what the rule promises, or, of a rule that promises nothing, what was measured. family_error: the most often that it
    is wrong of one of three such challengers, if not the same. power: the least and the most often that one of `effect`
    passes. Tolerances are 4 standard errors of PATHS paths. Effects are in the unit of `paths`, here standard deviations.
    """

    by_time: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True
    primary: ClassVar[str] = "revenue"
    null: ClassVar[float] = 0.0
    wrong: ClassVar[tuple[Finding, ...]] = (Finding.PASS, Finding.FAIL)
    error: ClassVar[tuple[float, float]] = (0.05, 0.05)
    family_error: ClassVar[float | None] = None
    effect: ClassVar[float] = 0.2
    power: ClassVar[tuple[float, float]] = (0.8, 1.0)

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        """Telemetry of the ticks of a stage, for the champion and one challenger an effect."""
        return gaussian_ticks(rows, [125] * 16, effects)

    def findings(self, part: Evidence, effects: tuple[float, ...]) -> np.ndarray:
        """(PATHS, K - 1) the first finding for every challenger."""
        return first_findings(part, self.paths(PATHS, effects), self.primary)[0]

    @pytest.mark.parametrize("challengers", [1, 3])
    def test_error_is_what_it_says(self, part: Evidence, challengers: int) -> None:
        if not part.declares:
            pytest.skip("it declares nothing")
        findings = self.findings(part, (self.null,) * challengers)
        wrong = float(np.isin(findings, self.wrong).any(axis=1).mean())
        # A family may be judged more strictly than one challenger; without a promise also less so.
        least, most = self.error if challengers == 1 else (0.0, self.family_error or self.error[1])
        assert wrong > least - 4 * standard_error(least, PATHS) - 1e-9
        assert wrong < most + 4 * standard_error(most, PATHS)

    def test_power_is_as_designed(self, part: Evidence) -> None:
        if not part.declares:
            pytest.skip("it declares nothing")
        passed = float((self.findings(part, (self.effect,)) == Finding.PASS).mean())
        least, most = self.power
        assert least - 4 * standard_error(least, PATHS) < passed < most + 4 * standard_error(most, PATHS) + 1e-9

    def wrong_where_alike(
        self, part: Evidence, weigh: Callable[[int, Floats], Floats | float], shift: list[float]
    ) -> tuple[float, float]:
        """How often it is wrong of two arms that are alike, at weights as in `alike_ticks`; and how often it may be."""
        setting = make_setting(2, 1, primary=self.primary)
        promised = part.promised(setting)
        if not part.declares or not promised or self.error[1] > promised:
            pytest.skip("it keeps no promise under constant weights either")
        if part.pools(setting):
            pytest.skip("it says that it pools: a run warns of it where weights and the world change")
        ticks, live = self.alike(weigh, shift)
        if self.by_time or not set(part.needs(setting)) <= set(ticks[0]):
            pytest.skip("it reads more than the outcomes of one metric")
        found, _ = first_findings(part, ticks, self.primary, live)
        most = self.error[1]
        return float(np.isin(found, self.wrong).any(axis=1).mean()), most + 4 * standard_error(most, PATHS)

    def alike(
        self, weigh: Callable[[int, Floats], Floats | float], shift: list[float]
    ) -> tuple[list[dict[Column, Ints]], list[Floats]]:
        """Telemetry of the ticks of two arms that are alike, and the shares of every tick, as in `alike_ticks`."""
        return alike_ticks(PATHS, self.primary, weigh, shift)

    def test_a_common_drift_at_a_change_of_weights_changes_nothing(self, part: Evidence) -> None:
        wrong, most = self.wrong_where_alike(part, lambda tick, means: 0.1 if tick < 24 else 0.5, [0.0] * 24 + [0.3] * 12)
        assert wrong < most

    def test_an_adaptive_allocation_that_chases_the_winner_changes_nothing(self, part: Evidence) -> None:
        wrong, most = self.wrong_where_alike(
            part, lambda tick, means: np.where(means[:, 1] > means[:, 0], 0.9, 0.1), [0.0] * 48
        )
        assert wrong < most

    def test_swapping_champion_and_challenger_swaps_the_findings(self, part: Evidence) -> None:
        if not (part.declares and self.symmetric):
            pytest.skip("it does not treat champion and challenger alike")
        swapped = np.arange(len(Finding), dtype=np.int8)
        swapped[[Finding.PASS, Finding.FAIL]] = Finding.FAIL, Finding.PASS
        for setting, rng in worlds(part):
            total = counts_of(part, setting, rng)[:, :2]
            two = replace(setting, arms=setting.arms[:2])
            everyone = np.ones(total.shape[:2], bool)
            findings = part.judge(view_of(part, two, total, everyone))[:, 1]
            other = part.judge(view_of(part, two, turned(total, part.needs(two)), everyone))[:, 1]
            assert (other == swapped[findings]).all()

    def test_relabelling_the_arms_relabels_what_is_found_of_a_stage(self, part: Evidence) -> None:
        if not part.declares:
            pytest.skip("it declares nothing")
        order = [0, 3, 1, 2]
        ticks = self.paths(200, (self.effect, self.null, self.effect / 2))
        moved = [{column: counts[:, order] for column, counts in tick.items()} for tick in ticks]
        findings, at = first_findings(part, ticks, self.primary)
        other, other_at = first_findings(part, moved, self.primary)
        places = np.array(order[1:]) - 1
        assert (other == findings[:, places]).all()
        assert (other_at == at[:, places]).all()
        if self.symmetric:
            swapped = np.arange(len(Finding), dtype=np.int8)
            swapped[[Finding.PASS, Finding.FAIL]] = Finding.FAIL, Finding.PASS
            two = [{column: counts[:, :2] for column, counts in tick.items()} for tick in ticks]
            other_two = [
                dict(zip(tick, np.moveaxis(turned(np.stack(list(tick.values()), axis=-1), list(tick)), -1, 0), strict=True))
                for tick in two
            ]
            assert (
                first_findings(part, other_two, self.primary)[0] == swapped[first_findings(part, two, self.primary)[0]]
            ).all()

    def test_it_says_what_it_controls(self, part: Evidence) -> None:
        docstring = type(part).__doc__ or ""
        assert re.search(r"[Cc]ontrol", docstring), "what it controls, or that it controls nothing"
        if part.declares:
            assert re.search(r"[Aa]ssum", docstring), "what it assumes"
            assert re.search(r"(19|20)\d\d", docstring), "its source"

    def test_nothing_is_decided_on_no_data(self, part: Evidence) -> None:
        for setting, rng in worlds(part):
            total = counts_of(part, setting, rng, "none")
            view = view_of(part, setting, total, np.ones(total.shape[:2], bool), age=0 if self.by_time else 50)
            assert (part.judge(view)[:, 1:] == Finding.UNDECIDED).all()

    @pytest.mark.parametrize("outcome", ["varied", "none", "zero", "alike"])
    def test_findings_are_findings_and_no_arithmetic_fails(self, part: Evidence, outcome: str) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng, outcome), some_removed(setting, rng)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                findings = part.judge(view_of(part, setting, total, arms_in))
            assert findings.shape == arms_in.shape
            assert findings.dtype == np.int8
            assert set(np.unique(findings)) <= set(Finding)
            null = (findings[:, 1:] == Finding.NULL) & arms_in[:, 1:]
            assert part.can_be_null or not null.any()

    def test_the_order_of_challengers_does_not_matter(self, part: Evidence) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            order = np.concatenate([[0], 1 + rng.permutation(len(setting.arms) - 1)])
            findings = np.where(arms_in, part.judge(view_of(part, setting, total, arms_in)), 0)
            other = part.judge(view_of(part, setting, total[:, order], arms_in[:, order]))
            assert (np.where(arms_in[:, order], other, 0)[:, 1:] == findings[:, order][:, 1:]).all()

    def test_a_replication_is_judged_alone_as_in_a_block(self, part: Evidence) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            findings = part.judge(view_of(part, setting, total, arms_in))
            for row in range(0, ROWS, 7):
                one = slice(row, row + 1)
                assert (part.judge(view_of(part, setting, total[one], arms_in[one])) == findings[one]).all()

    def test_it_decides_sometimes(self, part: Evidence) -> None:
        """The other tests would pass for evidence that never decides."""
        assert (part.declares and self.findings(part, (self.effect,)).any()) or any(
            (
                part.judge(view_of(part, setting, counts_of(part, setting, rng), np.ones((ROWS, len(setting.arms)), bool))) > 0
            ).any()
            for setting, rng in worlds(part)
        )

    def test_what_it_needs_is_named_once(self, part: Evidence) -> None:
        for setting, _ in worlds(part):
            needs = part.needs(setting)
            assert len(set(needs)) == len(needs)
            assert not part.reads_reward or any(setting.primary in column.metrics for column in needs)
