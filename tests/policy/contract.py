"""What every allocation and every rule of evidence must keep. A test class inherits one of these and supplies `part`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

from sim.policy.base import Allocation, Evidence, Finding, Ints, Part, Setting, View
from tests.policy.scripted import fresh_memory, make_setting

ROWS = 40


def counts_of(part: Part, setting: Setting, rng: np.random.Generator, outcome: str = "varied") -> Ints:
    """(ROWS, K, C) plausible totals: a few replications without any, `outcome` varied, none, all zero or all alike."""
    shape = (ROWS, len(setting.arms))
    known = np.where(rng.random(shape) < 0.1, rng.integers(0, 3, shape), rng.integers(50, 4000, shape))
    known[:3] = 0
    if outcome == "none":
        known[:] = 0
    requests = known + rng.integers(0, 20, shape)
    by_name = {"requests": requests, "responses": requests, "errors": rng.binomial(requests, 0.02)}
    for metric in setting.metrics.values():
        chance = rng.uniform(0.15, 0.25, shape)
        if metric.binary:
            total = {"zero": 0 * known, "alike": known}.get(outcome, rng.binomial(known, chance))
            square = total
        else:
            each = {"zero": 0, "alike": 1000}.get(outcome, 1000)
            noise = rng.normal(0, 500 * np.sqrt(known)) if outcome == "varied" else 0 * known
            total = np.rint(each * known + noise).astype(np.int64)
            spread = 500**2 * known if outcome == "varied" else 0 * known
            square = np.rint(spread + total / np.maximum(known, 1) * total).astype(np.int64)
        by_name |= {f"{metric.name}.count": known, f"{metric.name}.sum": total, f"{metric.name}.square": square}
    names = part.needs(setting)
    columns = [by_name.get(name, rng.binomial(requests, 0.01)) for name in names]
    return np.stack(columns, axis=2) if columns else np.zeros((*shape, 0), np.int64)


def view_of(part: Part, setting: Setting, total: Ints, arms_in: np.ndarray, age: int = 5) -> View:
    """A view of totals, as if all of it had been seen in the last tick."""
    columns = {name: at for at, name in enumerate(part.needs(setting))}
    rows = len(total)
    memory = fresh_memory(part, setting, rows)
    return View(setting, age, np.full(rows, age), arms_in, total.copy(), total.copy(), columns, False, memory)


def worlds(part: Part) -> Iterator[tuple[Setting, np.random.Generator]]:
    """Settings of two and of four arms, of a metric of each kind."""
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


class AllocationContract:
    """`part` must treat challengers alike. `start`: the champion's share before anything is known; None for an even split."""

    start: ClassVar[float | None] = None

    @pytest.fixture
    def part(self) -> Allocation:
        raise NotImplementedError

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


class EvidenceContract:
    """`part` must treat challengers alike; `by_time` where it decides by the clock and not by what was seen."""

    by_time: ClassVar[bool] = False

    @pytest.fixture
    def part(self) -> Evidence:
        raise NotImplementedError

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
                found = part.judge(view_of(part, setting, total, arms_in))
            assert found.shape == arms_in.shape
            assert found.dtype == np.int8
            assert set(np.unique(found)) <= set(Finding)
            null = (found[:, 1:] == Finding.NULL) & arms_in[:, 1:]
            assert part.can_be_null or not null.any()

    def test_the_order_of_challengers_does_not_matter(self, part: Evidence) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            order = np.concatenate([[0], 1 + rng.permutation(len(setting.arms) - 1)])
            found = np.where(arms_in, part.judge(view_of(part, setting, total, arms_in)), 0)
            other = part.judge(view_of(part, setting, total[:, order], arms_in[:, order]))
            assert (np.where(arms_in[:, order], other, 0)[:, 1:] == found[:, order][:, 1:]).all()

    def test_a_replication_is_judged_alone_as_in_a_block(self, part: Evidence) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            found = part.judge(view_of(part, setting, total, arms_in))
            for row in range(0, ROWS, 7):
                one = slice(row, row + 1)
                assert (part.judge(view_of(part, setting, total[one], arms_in[one])) == found[one]).all()

    def test_it_decides_sometimes(self, part: Evidence) -> None:
        """The contract would hold for evidence that never says anything."""
        assert any(
            (
                part.judge(view_of(part, setting, counts_of(part, setting, rng), np.ones((ROWS, len(setting.arms)), bool))) > 0
            ).any()
            for setting, rng in worlds(part)
        )

    def test_what_it_needs_is_named_once(self, part: Evidence) -> None:
        for setting, _ in worlds(part):
            names = part.needs(setting)
            assert len(set(names)) == len(names)
            assert not part.reads_reward or any(name.startswith(setting.primary) for name in names)
