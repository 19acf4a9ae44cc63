"""Arms that take turns: how turns are drawn, and what a period's observation is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.policy.allocation.switchback import Switchback
from sim.policy.base import Finding
from sim.policy.evidence.by_period import ByPeriod
from sim.policy.setting import Setting
from sim.testing.contract import view_of
from sim.testing.settings import fresh_memory, make_setting
from tests.worlds import make_scenario, make_world

ROWS, BLOCKS = 400, 12


def turns(part: Switchback, arms: tuple[str, ...] = ("champion", "a")) -> np.ndarray:
    """(R, periods) the arm of every period, of two ticks each."""
    world = make_world(make_scenario(arms=arms, tick="10m", horizon="12h"))
    setting, everyone = world.setting(ROWS, np.arange(ROWS)), np.ones((ROWS, len(arms)), bool)
    nothing = np.zeros((ROWS, len(arms), 0), np.int64)
    found = []
    for age in range(2 * BLOCKS * len(arms)):
        view = replace(view_of(part, setting, nothing, everyone, age), rows=np.arange(ROWS), entry=np.zeros(ROWS, np.int64))
        live = part.live(view)
        assert np.array_equal(np.sort(live, axis=1), np.tile(np.eye(len(arms))[-1], (ROWS, 1)))
        found.append(live.argmax(axis=1))
    by_tick = np.stack(found, axis=1)
    assert np.array_equal(by_tick[:, ::2], by_tick[:, 1::2]), "an arm keeps its turn for the whole period"
    return by_tick[:, ::2]


@pytest.mark.parametrize("arms", [("champion", "a"), ("champion", "a", "b")])
def test_paired_turns_have_each_arm_once_in_a_block_in_any_order(arms: tuple[str, ...]) -> None:
    blocks = turns(Switchback(period="20m"), arms).reshape(ROWS, BLOCKS, len(arms))
    assert np.array_equal(np.sort(blocks, axis=2), np.broadcast_to(np.arange(len(arms)), blocks.shape))
    for arm in range(len(arms)):
        # How often it comes first, of so many blocks that are drawn on their own.
        first, share = (blocks[:, :, 0] == arm).mean(), 1 / len(arms)
        assert abs(first - share) < 4 * np.sqrt(share * (1 - share) / (ROWS * BLOCKS))
    assert len(np.unique(blocks.reshape(ROWS, -1), axis=0)) > 0.8 * ROWS, "a sequence of its own in every replication"


def test_random_turns_are_drawn_on_their_own() -> None:
    arm = turns(Switchback(period="20m", design="random"))
    n = arm.size
    assert abs(arm.mean() - 0.5) < 4 * 0.5 / np.sqrt(n)
    again = (arm[:, 1:] == arm[:, :-1]).mean()
    assert abs(again - 0.5) < 4 * 0.5 / np.sqrt(ROWS * (arm.shape[1] - 1))


def judged(part: ByPeriod, ticks: list[list[list[int]]], setting: Setting) -> tuple[list[list[int]], dict[str, np.ndarray]]:
    """Findings after every tick of one replication, of ticks of [known outcomes, their sum] of each arm."""
    memory, found = fresh_memory(part, setting, 1), []
    for age, tick in enumerate(ticks, start=1):
        last = np.array([tick])
        view = replace(view_of(part, setting, last, np.ones((1, 2), bool), age), last=last, memory=memory)
        found.append(part.judge(view)[0].tolist())
    return found, memory


def test_a_period_counts_its_own_arm_after_the_washout() -> None:
    """Two ticks a period, of which the first is washed out; what is in flight of the other arm is left out."""
    part = ByPeriod(periods=4, period="20m", design="paired", washout="10m")
    # [champion, a]: a period of each, with a leftover of the other arm.
    champion, challenger = [[[50, 50], [9, 9]], [[100, 20], [1, 1]]], [[[9, 0], [50, 0]], [[2, 2], [100, 40]]]
    found, memory = judged(part, [*champion, *challenger, *challenger, *champion], make_setting())
    assert all(each[1] == Finding.UNDECIDED for each in found[:-1])
    assert memory["with"][0, :, 1] == pytest.approx([2, 0.4, 0.8, 0.08])
    assert memory["joint"][0, :, 1] == pytest.approx([0.32, 0.16])
    # Nothing varies between the two blocks, so that nothing is declared.
    assert found[-1][1] == Finding.NULL


def test_it_passes_and_fails_what_differs_in_every_block() -> None:
    part, setting = ByPeriod(periods=8, period="10m", design="paired"), make_setting()
    for lead, expected in ((20, Finding.PASS), (-15, Finding.FAIL)):
        ticks = []
        for good in (0, 30, 5, 12):
            ticks += [[[100, 20 + good], [0, 0]], [[0, 0], [100, 20 + good + lead + good % 2]]]
        found, _ = judged(part, ticks, setting)
        assert found[-1][1] == expected


def test_a_delayed_metric_is_refused() -> None:
    setting = make_setting()
    late = {**setting.metrics, "conversion": replace(setting.metrics["conversion"], delayed=True)}
    part = ByPeriod(periods=8, period="10m", design="paired")
    assert part.problems(replace(setting, metrics=late))[0][1].startswith("counts what becomes known in a period")
    assert not part.problems(setting)
