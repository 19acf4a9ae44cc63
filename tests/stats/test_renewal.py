"""What a programme of releases yields: against a queue that is played, and the errors against repetition."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from sim.errors import InputError
from sim.stats.intervals import mean_interval, paired_difference
from sim.stats.renewal import programme_yield


def draw(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and times of n releases: times are skewed, and a long release gives more."""
    time = np.minimum(random.lognormal(-4.0, 0.6, n), 0.08)
    return 100.0 + 4000.0 * time + random.normal(0, 50, n), time


def played(random: np.random.Generator, candidates: float, slots: int, releases: int = 40_000) -> float:
    """What a unit of time yields in a queue that is played: candidates come at random times, the first one first."""
    reward, time = draw(random, releases)
    arrival = np.cumsum(random.exponential(1 / candidates, releases))
    free = [0.0] * slots
    ended = np.empty(releases)
    for each in range(releases):
        start = max(arrival[each], heapq.heappop(free))
        ended[each] = start + time[each]
        heapq.heappush(free, ended[each])
    # Without the start, in which the queue is empty, and counted by the clock, not by the candidates.
    first, last = ended[releases // 10], np.sort(ended)[-slots - 1]
    within = (ended > first) & (ended <= last)
    return float(reward[within].sum() / (last - first))


@pytest.mark.parametrize(
    ("candidates", "slots", "limited_by"),
    [(20.0, 1, "candidates"), (90.0, 1, "slots"), (90.0, 3, "candidates"), (300.0, 3, "slots")],
)
def test_it_is_what_a_queue_yields(candidates: float, slots: int, limited_by: str) -> None:
    found = programme_yield(*draw(np.random.default_rng(1), 200_000), candidates, slots)
    assert found.limited_by == limited_by
    queues = [played(np.random.default_rng(seed), candidates, slots) for seed in range(8)]
    error = float(np.std(queues, ddof=1)) / np.sqrt(len(queues))
    assert abs(np.mean(queues) - found.rewards.mean()) < 4 * error + 2e-3 * found.rewards.mean()
    assert found.releases.mean() <= candidates


def test_the_closed_form() -> None:
    # Releases that take 0.1 or 0.3 in equal shares, and give 10: five a unit of time in one slot, never more than come up.
    reward, time = np.full(10, 10.0), np.array([0.1, 0.3] * 5)
    for candidates, slots, releases in ((100.0, 1, 5.0), (100.0, 2, 10.0), (4.0, 1, 4.0), (7.0, 2, 7.0)):
        found = programme_yield(reward, time, candidates, slots)
        assert found.releases.mean() == pytest.approx(releases)
        assert found.rewards.mean() == pytest.approx(10 * releases)
    # What decides at once is limited by candidates alone, and what loses by a release loses by more of them.
    assert programme_yield([5.0, -7.0], [0.0, 0.0], 50.0, 1).rewards.mean() == -50.0


# On the edge both limit alike: 1 / E[T].
EDGE = 1 / float(draw(np.random.default_rng(0), 4_000_000)[1].mean())


@pytest.mark.parametrize("candidates", [400.0, EDGE, 20.0])
def test_intervals_hold_the_truth_as_often_as_they_say(candidates: float) -> None:
    truth = programme_yield(*draw(np.random.default_rng(2), 4_000_000), candidates, 1).rewards.mean()
    repeats, held = 2000, 0
    for seed in range(repeats):
        found = mean_interval(programme_yield(*draw(np.random.default_rng((3, seed)), 200), candidates, 1).rewards)
        assert found.lower is not None
        assert found.upper is not None
        held += found.lower <= truth <= found.upper
    # Within 3.3 standard errors, at the edge too, where the estimate is the lesser of two.
    assert abs(held / repeats - 0.95) < 3.3 * np.sqrt(0.05 * 0.95 / repeats)


def test_a_paired_difference_has_the_error_of_repetition() -> None:
    def difference(seed: int) -> tuple[float, float]:
        random = np.random.default_rng((4, seed))
        reward, time = draw(random, 300)
        slow = programme_yield(reward + 30, time * 1.5, 400.0, 1)
        found = paired_difference(programme_yield(reward, time, 400.0, 1).rewards, slow.rewards)
        assert found.estimate is not None
        assert found.lower is not None
        assert found.upper is not None
        return found.estimate, (found.upper - found.lower) / (2 * 1.96)

    estimates, errors = np.array([difference(seed) for seed in range(600)]).T
    # The relative error of a standard deviation of 600 is 3%.
    assert errors.mean() == pytest.approx(estimates.std(ddof=1), rel=0.1)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="occupied: must have as many trials as reward, got 2 and 1"):
        programme_yield([1.0], [1.0, 2.0], 1.0, 1)
