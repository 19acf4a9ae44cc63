"""Numbers as people read them stay true to the number."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.compare.wording import duration, plus_minus, quantity, share, with_interval
from sim.stats.intervals import Estimate

SECONDS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
POWERS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@given(st.floats(0, 1))
def test_a_share_is_right_to_two_digits_and_certain_only_where_it_is(value: float) -> None:
    read = float(share(value).removesuffix("%")) / 100
    assert read == pytest.approx(value, rel=0.051, abs=1e-11)
    if 1e-9 < value < 1 - 1e-9:
        assert 0 < read < 1


@given(st.floats(1e-6, 1e9))
def test_a_duration_is_right_to_two_digits(seconds: float) -> None:
    count, unit = duration(seconds).split()
    assert float(count) * SECONDS[unit] == pytest.approx(seconds, rel=0.051)


@given(st.floats(-1e14, 1e14))
def test_a_quantity_is_right_to_three_digits_and_short(value: float) -> None:
    text = quantity(value)
    number, suffix = re.fullmatch(r"(.*?)([kMGT]?)", text).groups()  # type: ignore[union-attr]
    assert float(number) * POWERS[suffix] == pytest.approx(value, rel=0.0051)
    assert len(text) <= 10


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_plus_minus_never_hides_a_width(mean: float, half: float) -> None:
    text = plus_minus(Estimate(mean, mean - half, mean + half, 10))
    _, error = text.split(" ± ")
    width = (mean + half) - (mean - half)
    assert (float(error.rstrip("kMGT")) > 0) == (width > 0)


def test_plus_minus_rounds_to_the_width() -> None:
    assert plus_minus(Estimate(5.1832, 4.15, 6.21, 10)) == "5.2 ± 1.0"
    assert plus_minus(Estimate(0.0, -0.3, 0.3, 10)) == "0.00 ± 0.30"
    assert plus_minus(Estimate(30_600.0, 30_599.0, 30_601.0, 10)) == "30.6k ± 1"
    assert plus_minus(Estimate(3.0, None, None, 1)) == "3"
    assert plus_minus(Estimate(None, None, None, 0)) == "–"


def test_intervals_do_not_repeat_the_unit() -> None:
    assert with_interval(Estimate(0.5, 0.25, 0.75, 9), "share") == "50% (25–75%)"
    assert with_interval(Estimate(7200.0, 3600.0, 10_800.0, 9), "s") == "2 h (1–3 h)"
    assert with_interval(Estimate(86_400.0, 82_000.0, 90_000.0, 9), "s") == "1 d (23 h–1.0 d)"
    assert with_interval(Estimate(1500.0, 900.0, 2100.0, 9), "requests") == "1.5k (900–2.1k)"
    assert with_interval(Estimate(5.0, None, 9.0, 9), "value") == "5 (at most 9)"
    assert with_interval(Estimate(5.0, None, None, 1), "value") == "5"
