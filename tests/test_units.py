"""Quantities in scenario files: what is read, what is refused and how it is said, and exact round trips."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from sim.errors import InputError
from sim.units import (
    AS_WRITTEN,
    Clock,
    Duration,
    Effect,
    Rate,
    Share,
    UnitError,
    format_clock,
    format_duration,
    format_effect,
    format_rate,
    format_share,
    parse_clock,
    parse_duration,
    parse_effect,
    parse_rate,
    parse_share,
)

Parse = Callable[[object], float]
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


class Everything(BaseModel):
    duration: Duration
    rate: Rate
    share: Share
    effect: Effect
    clock: Clock
    longest: Duration | None = None


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (parse_duration, "2s", 2.0),
        (parse_duration, "1.5h", 5400.0),
        (parse_duration, "14d", 1_209_600.0),
        (parse_duration, "1w", 604_800.0),
        (parse_duration, "100us", 1e-4),
        (parse_duration, "3ns", 3e-9),
        (parse_duration, " 1h 30m ", 5400.0),
        (parse_duration, "1e3ms", 1.0),
        (parse_rate, "1200/m", 20.0),
        (parse_rate, "40 / s", 40.0),
        (parse_rate, "1e6/d", 1e6 / 86_400),
        (parse_share, "10%", 0.1),
        (parse_share, "0.1%", 0.001),
        (parse_share, 1, 1.0),
        (parse_share, 0, 0.0),
        (parse_effect, "-2%", -0.02),
        (parse_effect, "+5%", 0.05),
        (parse_effect, "150%", 1.5),
        (parse_clock, "6:30", 23_400.0),
        (parse_clock, "23:59:59", 86_399.0),
    ],
)
def test_reads_what_people_write(parse: Parse, text: object, expected: float) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "value", "message"),
    [
        (parse_duration, 10, "write a unit, such as 10m; got 10"),
        (parse_duration, 0, "write a unit, such as 10m; got 0"),
        (parse_duration, "10", "write a unit, such as 10m; got '10'"),
        (parse_duration, "0m", "above zero .* got '0m'"),
        (parse_duration, "10x", "such as 10m, .* got '10x'"),
        (parse_duration, "-5m", "got '-5m'"),
        (parse_duration, "30m1h", "got '30m1h'"),
        (parse_duration, "", "got ''"),
        (parse_duration, "1e999d", "got '1e999d'"),
        (parse_duration, "1e-999s", "got '1e-999s'"),
        (parse_duration, "1e9999999999s", "got"),
        (parse_duration, "nans", "got 'nans'"),
        (parse_duration, True, "got true"),
        (parse_duration, None, "got nothing"),
        (parse_duration, [1], "got a list"),
        (parse_duration, "٣m", "got"),
        (parse_duration, "9" * 1000 + "s", r"got '9+\.\.\."),
        (parse_rate, "40", "such as 40/s; got '40'"),
        (parse_rate, 40, "such as 40/s; got 40"),
        (parse_rate, "0/s", "above zero"),
        (parse_share, "150%", "from 0% to 100%.* got '150%'"),
        (parse_share, -0.1, "got -0.1"),
        (parse_share, math.nan, "got nan"),
        (parse_share, True, "got true"),
        (parse_share, 10**400, "got a very large number"),
        (parse_effect, "-100%", "above -100%.* got '-100%'"),
        (parse_effect, math.inf, "got inf"),
        (parse_effect, ".nan", "got '.nan'"),
        (parse_clock, "24:00", "such as 20:00; got '24:00'"),
        (parse_clock, "20", "got '20'"),
        (parse_clock, 1200, "got 1200"),
    ],
)
def test_refusals_name_the_rule_and_the_value(parse: Parse, value: object, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        parse(value)


def test_an_error_of_a_unit_is_an_input_error_that_survives_pickling() -> None:
    with pytest.raises(InputError) as caught:
        parse_share("150%")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, UnitError)
    assert again.problems == caught.value.problems


def test_formats_are_the_usual_ones() -> None:
    assert [format_duration(s) for s in (600.0, 1_209_600.0, 0.25, 1e-4, 5400.0, 2.5)] == [
        *("10m", "14d", "250ms", "100us", "90m", "2.5s")
    ]
    assert [format_rate(r) for r in (40.0, 0.5, 1e6 / 86_400)] == ["40/s", "30/m", "1000000/d"]
    assert [format_share(s) for s in (0.0, 0.001, 0.5, 1.0)] == ["0%", "0.1%", "50%", "100%"]
    assert [format_effect(e) for e in (-0.02, 0.0, 0.05)] == ["-2%", "0%", "+5%"]
    assert format_clock(23_400.0) == "06:30"


@given(positive)
def test_durations_and_rates_survive_a_round_trip_bit_for_bit(number: float) -> None:
    assert parse_duration(format_duration(number)) == number
    assert parse_rate(format_rate(number)) == number


@given(st.integers(1, 999), st.sampled_from(["d", "h", "m", "s", "ms", "us", "ns"]))
def test_a_whole_duration_is_written_short_and_means_the_same(count: int, unit: str) -> None:
    seconds = parse_duration(f"{count}{unit}")
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?[a-z]+", format_duration(seconds))
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.floats(0, 1), st.floats(min_value=-1, exclude_min=True, allow_infinity=False))
def test_shares_and_effects_survive_a_round_trip(share: float, effect: float) -> None:
    assert parse_share(format_share(share)) == share
    assert parse_effect(format_effect(effect)) == effect


@given(st.integers(0, 23), st.integers(0, 59), st.decimals(0, 59, places=6))
def test_times_of_day_survive_a_round_trip(hours: int, minutes: int, seconds: object) -> None:
    time_s = parse_clock(f"{hours:02}:{minutes:02}:{seconds:09.6f}")
    assert parse_clock(format_clock(time_s)) == time_s


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_anything_is_read_or_refused_and_never_crashes(value: object) -> None:
    for parse in (parse_duration, parse_rate, parse_share, parse_effect, parse_clock):
        message, number = "such as", 0.0
        try:
            number = parse(value)
        except UnitError as error:
            message = str(error)
        assert math.isfinite(number)
        assert "such as" in message


@given(
    st.builds(
        Everything,
        duration=positive.filter(lambda seconds: seconds < 2.8e8).map(format_duration),
        rate=positive.map(format_rate),
        share=st.floats(0, 1),
        effect=st.floats(-0.99, 10),
        clock=st.times().map(lambda time: time.isoformat()),
        longest=st.none() | st.just("1h30m"),
    )
)
def test_a_model_is_written_readable_and_read_back_exactly(model: Everything) -> None:
    written = model.model_dump(mode="json")
    assert all(isinstance(text, str) for text in written.values() if text is not None)
    assert Everything.model_validate(written) == model


def test_pydantic_collects_all_errors_of_units_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate(dict(duration=1, rate=1, share=2, effect=-2, clock=3), context=AS_WRITTEN)
    assert caught.value.error_count() == 5


@pytest.mark.parametrize("change", [{"duration": 1}, {"rate": 1.5}, {"clock": 3}])
def test_only_python_code_may_leave_units_out(change: dict[str, float]) -> None:
    said = {"duration": "1s", "rate": "1.5/s", "share": 0.2, "effect": 0, "clock": "00:00:03"}
    by_text, by_number = Everything.model_validate(said), Everything.model_validate({**said, **change})
    assert by_number == by_text
    with pytest.raises(ValidationError, match="; got "):
        Everything.model_validate({**said, **change}, context=AS_WRITTEN)
    with pytest.raises(ValidationError, match="; got "):
        Everything.model_validate_json(json.dumps({**said, **change}))


@given(st.floats(0, 9 * 365 * 86_400, exclude_min=True), positive, st.integers(0, 86_399))
def test_numbers_and_texts_are_the_same_bits(seconds: float, rate: float, time_s: int) -> None:
    made = Everything(duration=seconds, rate=rate, share=0.1, effect=0.0, clock=time_s)
    assert Everything.model_validate(made.model_dump()) == made
    assert Everything.model_validate_json(made.model_dump_json()) == made
    assert Everything.model_validate(made.model_dump(mode="json"), context=AS_WRITTEN) == made


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"duration": 0}, "must be a duration above zero, in seconds; got 0"),
        ({"duration": -1.5}, "must be a duration above zero, in seconds; got -1.5"),
        ({"duration": math.nan}, "must be a duration above zero, in seconds; got nan"),
        ({"duration": 10**400}, "must be a duration above zero, in seconds; got a very large number"),
        ({"duration": 1e9}, "must be at most 9 years"),
        ({"duration": True}, "such as 10m"),
        ({"rate": 0.0}, "must be a rate above zero, in events a second; got 0.0"),
        ({"clock": 86_400}, "must be a time of day, in seconds after midnight; got 86400"),
    ],
)
def test_a_number_that_is_no_such_quantity_is_refused(wrong: dict[str, float], rule: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(rule)):
        Everything.model_validate({"duration": 1, "rate": 1, "share": 0, "effect": 0, "clock": 0, **wrong})


def test_the_json_schema_describes_text_with_examples_that_it_accepts() -> None:
    properties = Everything.model_json_schema()["properties"]
    for name, schema in properties.items():
        if name == "longest":
            continue
        assert schema["description"]
        branches = schema.get("anyOf", [schema])
        pattern = next(branch["pattern"] for branch in branches if branch["type"] == "string")
        texts = [example for example in schema["examples"] if isinstance(example, str)]
        assert texts
        assert all(re.search(pattern, text) for text in texts)


def test_a_field_can_narrow_a_unit() -> None:
    class Narrow(BaseModel):
        share: Share = Field(0.5, gt=0, lt=1)
        wait: Duration | None = Field(None, le=60)

    assert Narrow.model_validate({"share": "1%", "wait": "1m"}).wait == 60
    for wrong in ({"share": "0%"}, {"share": 1}, {"wait": "61s"}):
        with pytest.raises(ValidationError):
            Narrow.model_validate(wrong)
