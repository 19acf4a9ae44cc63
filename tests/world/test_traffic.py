"""How many requests arrive, tick by tick."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.scenario.traffic import Traffic
from sim.world.clock import NS
from sim.world.trace import of_counts, of_times
from sim.world.traffic import Arrivals, arrivals_of, expected
from tests.world.placing import placed, within

BURSTS = {"factor": 5, "every": "10m", "duration": "2m"}
DAILY = {"peak": "20:00", "amplitude": "60%"}
CROWD = {"at": "25m", "factor": 8, "rise": "5m", "duration": "20m", "decay": "1h"}


def process(ticks: int = 12, tick_s: float = 600.0, **said: Any) -> Arrivals:
    return arrivals_of(Traffic.model_validate({"rate": "0.5/s", **said}), ticks, tick_s)


def of_a_trace(arrivals: str, scaled: bool) -> Arrivals:
    times = np.sort(np.random.default_rng(5).integers(0, 7200 * NS, 3000))
    said = {"trace": {"file": "a.csv", "time": "t"}, "arrivals": arrivals, **({"rate": "1/s"} if scaled else {})}
    return arrivals_of(Traffic.model_validate(said), 12, 600.0, of_times(times))


PROCESSES = {
    "plain": process(),
    "regular": process(arrivals="regular"),
    "regular by day": process(arrivals="regular", daily=DAILY),
    "bursts": process(bursts=BURSTS, flash_crowds=[CROWD]),
    "regular bursts": process(bursts=BURSTS, arrivals="regular"),
    "trace": of_a_trace("poisson", scaled=False),
    "scaled trace": of_a_trace("regular", scaled=True),
    "recorded": of_a_trace("regular", scaled=False),
}
every = pytest.mark.parametrize("arrivals", PROCESSES.values(), ids=PROCESSES.keys())


def test_a_day_swings_around_its_mean_and_peaks_at_its_peak() -> None:
    traffic = Traffic.model_validate({"rate": "40/s", "daily": {"peak": "20:00", "amplitude": "60%"}})
    mean = expected(traffic, 144, 600.0)
    assert mean.sum() == pytest.approx(40 * 86_400)
    assert mean.argmax() in (119, 120)
    assert mean.max() == pytest.approx(40 * 600 * 1.6, rel=1e-3)
    assert mean.min() == pytest.approx(40 * 600 * 0.4, rel=1e-3)


def test_a_run_that_starts_at_noon_sees_the_same_day_shifted() -> None:
    said = {"rate": "1/s", "daily": {"peak": "20:00", "amplitude": "50%"}}
    midnight = expected(Traffic.model_validate(said), 144, 600.0)
    noon = expected(Traffic.model_validate({**said, "start": "12:00"}), 144, 600.0)
    assert noon == pytest.approx(np.roll(midnight, -72))


def test_factors_of_the_week_repeat() -> None:
    traffic = Traffic.model_validate({"rate": "1/s", "weekly": [1, 2, 3, 4, 5, 0, 0.5]})
    mean = expected(traffic, 8 * 24, 3600.0).reshape(8, 24)
    assert mean[:, 0].tolist() == [3600.0 * factor for factor in (1, 2, 3, 4, 5, 0, 0.5, 1)]


@given(
    at=st.integers(0, 7000), rise=st.integers(0, 2000), stays=st.integers(0, 2000), decay=st.integers(0, 3000),
    factor=st.floats(1.1, 50), tick_s=st.integers(1, 900),
)  # fmt: skip
def test_a_flash_crowd_adds_what_its_profile_holds(
    at: int, rise: int, stays: int, decay: int, factor: float, tick_s: int
) -> None:
    said = {"at": f"{at}s", "rise": f"{rise}s", "duration": f"{stays}s", "decay": f"{decay}s", "factor": factor}
    traffic = Traffic.model_validate({"rate": "3/s", "flash_crowds": [said]})
    ticks = 15_000 // tick_s
    extra = expected(traffic, ticks, float(tick_s)) / 3 - tick_s
    assert extra.sum() == pytest.approx((factor - 1) * (rise / 2 + stays + decay / 2), abs=1e-6)
    # Every tick holds the mean of the profile, here summed over a fine grid.
    fine = (np.arange(ticks * 200) + 0.5) * tick_s / 200
    height = np.interp(fine, [at, at + rise, at + rise + stays, at + rise + stays + decay], [0, 1, 1, 0], left=0, right=0)
    if rise and decay:
        profile = (factor - 1) * height.reshape(ticks, 200).mean(axis=1) * tick_s
        assert extra == pytest.approx(profile, abs=(factor - 1) * tick_s / 100)


def test_flash_crowds_add_up_and_follow_the_day() -> None:
    one, two = ({**CROWD, "at": at} for at in ("1h", "2h"))
    base, first, second, both = (
        expected(Traffic.model_validate({"rate": "40/s", "daily": DAILY, "flash_crowds": crowds}), 48, 600.0)
        for crowds in ([], [one], [two], [one, two])
    )
    assert both - base == pytest.approx((first - base) + (second - base))
    assert (first / base).max() == pytest.approx(8)


def test_arrivals_are_poisson_and_belong_to_their_replication() -> None:
    mean = np.array([0.0, 0.5, 30.0, 24_000.0])
    arrivals = Arrivals(mean, 600 * NS)
    drawn = arrivals.counts(7, np.arange(4000))
    assert not drawn[:, 0].any()
    error = np.sqrt(mean / 4000)
    assert (np.abs(drawn.mean(axis=0) - mean) <= 4 * error).all()
    # Var of a Poisson's sample variance: (m + 2 m^2) / n.
    assert (np.abs(drawn.var(axis=0) - mean) <= 4 * np.sqrt((mean + 2 * mean**2) / 4000)).all()
    assert np.array_equal(drawn[[17, 3000]], arrivals.counts(7, [17, 3000]))


@every
def test_a_replication_is_the_same_in_every_block_and_process(arrivals: Arrivals) -> None:
    counts = arrivals.counts(7, np.arange(20))
    sent = pickle.loads(pickle.dumps(arrivals))
    assert np.array_equal(counts[[3, 17]], sent.counts(7, [3, 17]))
    whole, part = arrivals.schedule(7, np.arange(20)), sent.schedule(7, [17, 3])
    for tick in (0, 5, 11):
        rows = whole.pieces(np.array([3, 8, 17]), tick)
        for pieces, row in ((part.pieces(np.array([1]), tick), 0), (arrivals.pieces(7, [3], tick), 0)):
            for name in ("offset_ns", "level"):
                ours, theirs = getattr(rows, name), getattr(pieces, name)
                assert np.array_equal(ours[rows.first[0] : rows.last[0] + 1], theirs[pieces.first[row] : pieces.last[row] + 1])
            assert pieces.ahead[row] == rows.ahead[0]


@every
def test_pieces_span_their_tick_and_hold_its_arrivals(arrivals: Arrivals) -> None:
    rows = np.arange(6)
    schedule = arrivals.schedule(3, np.arange(100, 106))
    counts = schedule.counts()
    for tick in range(12):
        pieces = schedule.pieces(rows, tick)
        for row in rows.tolist():
            own = slice(pieces.first[row], pieces.last[row] + 1)
            offset, level = pieces.offset_ns[own], pieces.level[own]
            assert (offset[0], level[0], offset[-1]) == (0, 0.0, 600 * NS)
            assert (np.diff(offset) >= 0).all()
            assert (np.diff(level) >= 0).all()
            count = int(counts[row, tick])
            times = within(pieces, row, count, np.random.default_rng(1))
            assert (np.diff(times) >= 0).all()
            assert ((times >= 0) & (times < 600 * NS)).all()
            if pieces.law == "regular":
                assert count == 0 or pieces.ahead[row] + count - 1 <= level[-1] + 1e-6
                assert arrivals.recorded or pieces.ahead[row] + count >= level[-1] - 1e-6


def test_regular_arrivals_are_evenly_spaced_and_shifted_in_every_replication() -> None:
    arrivals = process(arrivals="regular", rate="40/s", tick_s=7.0)
    first = set()
    for replication in range(5):
        times = placed(arrivals, 7, replication, 12)
        assert times.size == 40 * 84
        assert np.abs(np.diff(times) - 25_000_000).max() <= 1
        assert times[0] < 25_000_000
        first.add(int(times[0]))
    assert len(first) == 5


def test_regular_arrivals_are_closer_where_the_rate_is_higher() -> None:
    """Arrival j lies where the cumulated intensity is the phase + j."""
    arrivals = process(arrivals="regular", daily=DAILY, ticks=144)
    times = placed(arrivals, 7, 4, 144)
    edges_ns = arrivals.tick_ns * np.arange(145)
    level = np.interp(times, edges_ns, np.concatenate([[0], np.cumsum(arrivals.mean)]))
    assert level - np.arange(times.size) == pytest.approx(level[0], abs=1e-6)
    assert (np.abs(arrivals.counts(7, np.arange(50)) - arrivals.mean) < 1).all()


@pytest.mark.parametrize("window", [1, 3, 12])
def test_bursts_have_the_mean_and_the_dispersion_of_their_process(window: int) -> None:
    """Counts of 6,000 replications over a window, against Fischer & Meier-Hellstern (1993), within 4 standard errors.

    Var N(t) = E N(t) + 2 (l1 - l0)^2 p (1 - p) (r t - 1 + exp(-r t)) / r^2 with r = 1 / every + 1 / duration.
    """
    arrivals = process(bursts=BURSTS, rate="0.2/s", tick_s=100.0)
    counts = arrivals.counts(11, np.arange(6000))[:, :window].sum(axis=1)
    t, p, r = 100.0 * window, 120 / 720, 1 / 600 + 1 / 120
    calm = 0.2 / (1 + 4 * p)
    mean = 0.2 * t
    variance = mean + 2 * (4 * calm) ** 2 * p * (1 - p) * (r * t - 1 + np.exp(-r * t)) / r**2
    assert variance > 1.9 * mean
    assert abs(counts.mean() - mean) < 4 * np.sqrt(variance / 6000)
    squares = (counts - mean) ** 2
    assert abs(squares.mean() - variance) < 4 * squares.std() / np.sqrt(6000)


def test_a_burst_has_its_factor_times_the_rate_of_calm_and_its_share_of_time() -> None:
    """Time in bursts of 3,000 replications within 4 standard errors of its share, at the start and over all."""
    arrivals = process(bursts=BURSTS, ticks=6)
    schedule = arrivals.schedule(11, np.arange(3000))
    share = []
    for tick in range(6):
        pieces = schedule.pieces(np.arange(3000), tick)
        inner = np.ones(pieces.offset_ns.size - 1, bool)
        inner[pieces.last[:-1]] = False
        length = np.diff(pieces.offset_ns)[inner]
        slope = np.diff(pieces.level)[inner][length > 0] / length[length > 0]
        low, high = slope.min(), slope.max()
        assert high == pytest.approx(5 * low)
        assert ((slope < low * 1.000001) | (slope > high * 0.999999)).all()
        row = np.repeat(np.arange(3000), pieces.last - pieces.first)
        burst = np.diff(pieces.level)[inner] > 2 * low * length
        share.append(np.bincount(row, length * burst, minlength=3000) / (600 * NS))
    for found in (*share, np.mean(share, axis=0)):
        assert abs(found.mean() - 1 / 6) < 4 * found.std() / np.sqrt(3000)


def test_poisson_streams_superpose_and_thin_to_poisson_streams() -> None:
    """Gaps of two merged replications, and of one thinned to 30%, are exponential: Kolmogorov-Smirnov at 1 in 1,000."""
    arrivals = process(rate="1/s", ticks=20)
    one, two = placed(arrivals, 7, 0, 20), placed(arrivals, 7, 1, 20)
    kept = one[np.random.default_rng(2).random(one.size) < 0.3]
    for times, rate in ((np.sort(np.concatenate([one, two])), 2.0), (kept, 0.3)):
        gaps = np.diff(times) / NS
        assert stats.kstest(gaps, "expon", args=(0, 1 / rate)).pvalue > 1e-3
        assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / np.sqrt(gaps.size)


def test_a_rate_that_overflows_is_refused() -> None:
    for said, key in (
        ({"rate": "1e300/s", "flash_crowds": [{**CROWD, "factor": 1e300}]}, "flash_crowds"),
        ({"rate": "1e13/s"}, "rate"),
        ({"rate": "1e12/s", "bursts": {"factor": 1e9, "every": "10m", "duration": "1s"}}, "bursts"),
    ):
        with pytest.raises(InputError, match=rf"^traffic\.{key}: a replication must have fewer than 10\^12 requests"):
            process(**said)


def test_what_cannot_go_together_is_refused_without_a_file_too() -> None:
    traffic = Traffic.model_validate({"trace": {"file": "a.csv", "count": "n", "interval": "1h"}, "daily": DAILY})
    with pytest.raises(InputError, match=r"traffic\.daily: cannot be given with a trace"):
        arrivals_of(traffic, 2, 600.0, of_counts(np.ones(2), 3600 * NS))
