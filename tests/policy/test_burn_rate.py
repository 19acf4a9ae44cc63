"""Burn-rate alerts: the workbook's detection times, resets, what a window sees, and a naive second opinion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.policy.base import Finding, Guardrail, View
from sim.policy.guardrails import BurnRate
from sim.testing.guardrail_contract import PATHS, GuardrailContract, Ticks
from sim.testing.settings import ANSWERS, ERRORS, fresh_memory, make_setting

TICK_S = 600.0


def alert(**said: Any) -> BurnRate:
    return BurnRate.model_validate({"slo": 0.9, "windows": [{"long": 3600.0, "short": 1200.0, "burn": 3.0}], **said})


def errors(*shares: float) -> Ticks:
    """Twelve ticks of twenty answers, of which so many fail in each arm."""
    rng = np.random.default_rng(5)
    shape = (PATHS, len(shares))
    return [{ANSWERS: np.full(shape, 20), ERRORS: rng.binomial(20, shares, shape)} for _ in range(12)]


class TestContract(GuardrailContract):
    # As measured; a stage of a tick is a window of one tick.
    error = 0.002, 0.005

    @pytest.fixture
    def part(self) -> Guardrail:
        return alert()

    def well(self, arms: int) -> Ticks:
        return errors(0.1, 0.1) if arms == 2 else errors(0.1, *[0.02] * (arms - 1))

    def unwell(self) -> Ticks:
        return errors(0.1, 0.4)


def findings(part: BurnRate, errors: list[int], answers: list[int]) -> tuple[list[int], list[bool]]:
    """Tick by tick, what a challenger's errors are found to be, and whether an alarm rings."""
    setting = make_setting()
    columns = {ANSWERS: 0, ERRORS: 1}
    memory, total = fresh_memory(part, setting, 1), np.zeros((1, 2, 2), np.int64)
    found, rang = [], []
    for age, (failed, answered) in enumerate(zip(errors, answers, strict=True), start=1):
        last = np.array([[[answered, 0], [answered, failed]]])
        total = total + last
        view = View(setting, age, np.array([age]), np.ones((1, 2), bool), last, total, columns, False, memory)
        judged = part.judge(view)
        found.append(int(judged[0, 1]))
        rang.append(bool(part.rings(view, judged)[0, 1]))
        memory = view.memory
    return found, rang


def test_it_fires_while_both_windows_burn_and_rings_once() -> None:
    """Errors at ten times the budget in ticks 7 and 8: 30% of an hour's answers need more than 1.8 ticks of them."""
    found, rang = findings(alert(), [0] * 6 + [100, 100] + [0] * 4, [100] * 12)
    assert [tick for tick, each in enumerate(found, start=1) if each == Finding.FAIL] == [8, 9]
    assert [tick for tick, each in enumerate(rang, start=1) if each] == [8]


def test_a_young_stage_sees_itself() -> None:
    found, _ = findings(alert(), [40, 0, 0], [100, 100, 100])
    assert found[0] == Finding.FAIL
    assert found[2] == Finding.PASS


def test_few_answers_do_not_fire() -> None:
    found, _ = findings(alert(min_requests=50), [10] * 6, [10] * 6)
    # A short window of two ticks never has fifty answers.
    assert Finding.FAIL not in found
    assert found[:5] == [Finding.UNDECIDED] * 4 + [Finding.PASS]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=30), st.integers(1, 3), st.integers(1, 30)
)  # fmt: skip
def test_it_finds_what_sums_over_its_windows_say(counts: list[tuple[int, int]], every: int, least: int) -> None:
    answers, errors = [n for _, n in counts], [min(e, n) for e, n in counts]
    pairs = [(6 * every, every, 2.0), (4 * every, 2 * every, 3.0)]
    windows = [{"long": a * TICK_S, "short": b * TICK_S, "burn": burn} for a, b, burn in pairs]
    found, _ = findings(alert(windows=windows, every=every * TICK_S, min_requests=least), errors, answers)

    def burns(end: int, window: int, burn: float) -> bool:
        seen, failed = (sum(each[max(0, end - window) : end]) for each in (answers, errors))
        return seen >= least and 10 * failed > burn * seen

    fires = False
    for tick, each in enumerate(found, start=1):
        if tick % every == 0:
            fires = any(burns(tick, a, burn) and burns(tick, b, burn) for a, b, burn in pairs)
        assert (each == Finding.FAIL) == fires


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"windows": [{"long": 3600.0, "short": 300.0, "burn": 3}]}, "windows[0].short"),
        ({"windows": [{"long": 3000 * TICK_S, "short": 600.0, "burn": 3}]}, "windows[0].long"),
        ({"windows": [{"long": 3600.0, "short": 600.0, "burn": 10}]}, "windows[0].burn"),
        ({"every": 700.0}, "every"),
        ({"every": 1800.0}, "windows[0].short"),
    ],
)
def test_what_could_never_fire_is_refused(said: dict[str, Any], key: str) -> None:
    assert [place for place, _ in alert(**said).problems(make_setting())] == [key]
