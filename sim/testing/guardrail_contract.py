"""What every guardrail must keep. A test class inherits this and supplies `part`, and ticks in which all is well or is not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from sim.policy.base import Finding, Guardrail
from sim.policy.columns import Column
from sim.testing.contract import ROWS, PartContract, counts_of, some_removed, view_of, worlds
from sim.testing.paths import standard_error
from sim.testing.settings import look_at, make_setting

PATHS = 4000
Ticks = list[Mapping[Column, Any]]


def ever(part: Guardrail, ticks: Ticks, arms: int = 2, finding: Finding = Finding.FAIL) -> float:
    """Share of replications in which some challenger ever gets a finding."""
    findings = np.stack(look_at(part, make_setting(arms), ticks))[:, :, 1:]
    return float((findings == finding).any(axis=(0, 2)).mean())


class GuardrailContract(PartContract):
    """`part` must treat challengers alike, and trip no more often than it says where all is well.

    trips: the finding of `part` when it trips. error: the least and the most often that it ever trips where all is well, as
    promised, or, of a rule that promises nothing, as measured. power: how often at least it trips where all is not.
    Tolerances are 4 standard errors.
    """

    trips: ClassVar[Finding] = Finding.FAIL
    error: ClassVar[tuple[float, float]]
    power: ClassVar[float] = 0.8

    def well(self, arms: int) -> Ticks:
        """The ticks of so many arms in which all is well."""
        raise NotImplementedError(f"{type(self).__name__} must say in well(arms) what a part sees where all is well")

    def unwell(self) -> Ticks:
        """The ticks of two arms in which the challenger is not well."""
        raise NotImplementedError(f"{type(self).__name__} must say in unwell() what a part sees where all is not")

    @pytest.mark.parametrize("arms", [2, 4])
    def test_it_rarely_trips_where_all_is_well(self, part: Guardrail, arms: int) -> None:
        tripped = ever(part, self.well(arms), arms, self.trips)
        least, most = self.error
        assert tripped < most + 4 * standard_error(most, PATHS)
        assert arms > 2 or tripped > least - 4 * standard_error(least, PATHS) - 1e-9

    def test_it_trips_where_all_is_not_well(self, part: Guardrail) -> None:
        assert ever(part, self.unwell(), 2, self.trips) > self.power

    def test_it_says_what_it_controls(self, part: Guardrail) -> None:
        docstring = type(part).__doc__ or ""
        assert re.search(r"[Cc]ontrol", docstring)
        assert re.search(r"[Aa]ssum", docstring)
        assert re.search(r"(19|20)\d\d", docstring)

    def test_nothing_is_said_on_no_data(self, part: Guardrail) -> None:
        for setting, rng in worlds(part):
            total = counts_of(part, setting, rng, "none") * 0
            findings = part.judge(view_of(part, setting, total, np.ones(total.shape[:2], bool), age=6))
            assert (findings[:, 1:] == Finding.UNDECIDED).all()

    @pytest.mark.parametrize("outcome", ["varied", "none", "zero", "alike"])
    def test_findings_are_findings_and_no_arithmetic_fails(self, part: Guardrail, outcome: str) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng, outcome), some_removed(setting, rng)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                findings = part.judge(view_of(part, setting, total, arms_in, age=6))
            assert findings.shape == arms_in.shape
            assert findings.dtype == np.int8
            assert set(np.unique(findings)) <= {*Finding} - {Finding.NULL}

    def test_the_order_of_challengers_does_not_matter(self, part: Guardrail) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            order = np.concatenate([[0], 1 + rng.permutation(len(setting.arms) - 1)])
            findings = part.judge(view_of(part, setting, total, arms_in, age=6))
            other = part.judge(view_of(part, setting, total[:, order], arms_in[:, order], age=6))
            same = (other == findings[:, order]) | ~arms_in[:, order]
            assert same[:, 1:].all()

    def test_a_replication_is_judged_alone_as_in_a_block(self, part: Guardrail) -> None:
        for setting, rng in worlds(part):
            total, arms_in = counts_of(part, setting, rng), some_removed(setting, rng)
            findings = part.judge(view_of(part, setting, total, arms_in, age=6))
            for row in range(0, ROWS, 7):
                one = slice(row, row + 1)
                assert (part.judge(view_of(part, setting, total[one], arms_in[one], age=6)) == findings[one]).all()

    def test_what_it_needs_is_named_once(self, part: Guardrail) -> None:
        for setting, _ in worlds(part):
            needs = part.needs(setting)
            assert needs
            assert len(set(needs)) == len(needs)
