"""Telemetry columns as values: equal by what they are, named for people, and never made of a name."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import pytest

from sim.errors import InputError
from sim.policy import columns
from sim.policy.columns import (
    COUNTS,
    MOMENTS,
    Above,
    Agreement,
    CappedMoment,
    Column,
    Count,
    CovariateMoment,
    JointUserMoment,
    Moment,
    Product,
    SegmentMoment,
    UserMoment,
    WeighedUserMoment,
    covariate_moments,
    joint_user_moments,
    mean_of,
    moments_of,
    user_moments,
    weighed_user_moments,
)
from sim.testing.settings import METRICS

ALL: tuple[Column, ...] = (
    *COUNTS,
    Above(0.25),
    *(Agreement(moment) for moment in MOMENTS),
    *(Moment("revenue", moment) for moment in MOMENTS),
    *covariate_moments("revenue"),
    *user_moments("revenue"),
    *joint_user_moments("revenue"),
    *weighed_user_moments("revenue"),
    *(SegmentMoment("revenue", "desk.top", moment) for moment in MOMENTS),
    CappedMoment("revenue", 2.5, "sum"),
    CappedMoment("revenue", 2.5, "square"),
    Product("revenue", "clicks"),
)


def test_a_column_is_the_same_as_one_that_says_the_same_and_as_no_other() -> None:
    both = [*ALL, *(column.as_mirrored() for column in ALL)]
    assert len(set(both)) == len(both) == len({column.name for column in both})
    for place, column in enumerate(both):
        again = pickle.loads(pickle.dumps(column))
        assert {again: place}[column] == place
        assert eval(repr(column), vars(columns)) == column


def test_a_column_of_mirrored_calls_is_the_same_of_other_calls() -> None:
    for column in ALL:
        copy = column.as_mirrored()
        assert (copy.mirrored, column.mirrored) == (True, False)
        assert copy.as_live() == column
        assert copy.as_mirrored() == copy
        assert copy.name == f"mirror.{column.name}"
        assert (copy.metrics, copy.per_request, copy.by_user) == (column.metrics, column.per_request, column.by_user)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (Count("rejections"), "rejections"),
        (Above(2.0), "latency.above.2s"),
        (Agreement("sum"), "agreement.sum"),
        (Moment("a.b", "square"), "a.b.square"),
        (CovariateMoment("revenue", "cross"), "revenue.covariate.cross"),
        (UserMoment("revenue", "sizes"), "revenue.user.sizes"),
        (JointUserMoment("revenue", "square"), "revenue.user.joint.square"),
        (WeighedUserMoment("revenue", "base_square", "rest"), "revenue.user.weighed.base_square.rest"),
        (SegmentMoment("revenue", "desk.top", "count"), "revenue.segment.desk.top.count"),
        (CappedMoment("revenue", 1 / 3, "sum"), "revenue.capped.0.333333333333.sum"),
        (Product("revenue", "clicks"), "revenue.with.clicks"),
    ],
)
def test_names_are_those_of_reports_and_messages(column: Column, name: str) -> None:
    assert column.name == str(column) == name


@pytest.mark.parametrize(("cap", "other"), [(0.1 + 0.2, 0.3), (1.0000000000001, 1.0)])
def test_caps_that_are_shown_alike_are_not_taken_for_each_other(cap: float, other: float) -> None:
    one, two = CappedMoment("revenue", cap, "sum"), CappedMoment("revenue", other, "sum")
    assert one.name == two.name
    assert one != two


def test_a_binary_outcome_is_its_own_square() -> None:
    assert moments_of(METRICS["conversion"]) == mean_of("conversion")
    assert moments_of(METRICS["revenue"]) == (*mean_of("revenue"), Moment("revenue", "square"))


def test_what_takes_single_requests_is_a_fact_of_the_class() -> None:
    drawn = (Count, Above, Agreement, Moment)
    assert all(column.per_request != isinstance(column, drawn) for column in ALL)
    assert all(column.by_user == isinstance(column, UserMoment | JointUserMoment | WeighedUserMoment) for column in ALL)
    assert all(column.of_copies == isinstance(column, Agreement) for column in ALL)


@pytest.mark.parametrize(
    ("made", "said", "words"),
    [
        (Count, ("erors",), "no count 'erors'; did you mean errors?"),
        (Count, ("mean",), "no count 'mean'; there are requests, responses, errors, timeouts, rejections, retries"),
        (Moment, ("revenue", "summ"), "no moment 'summ'; did you mean sum?"),
        (CappedMoment, ("revenue", 1.0, "count"), "no moment of capped outcomes 'count'; there are sum, square"),
        (UserMoment, ("revenue", "sum"), "no moment of users 'sum'; there are count, square, cross, sizes"),
        (WeighedUserMoment, ("revenue", "squares", "rest"), "no weighed moment of users 'squares'; did you mean square?"),
        (WeighedUserMoment, ("revenue", "square", "half"), "no part of a sum 'half'; there are whole, rest"),
    ],
)
def test_a_kind_that_there_is_not_is_refused(made: Any, said: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError) as raised:
        made(*said)
    assert str(raised.value) == f"telemetry has {words}"


def test_the_order_of_moments_is_what_their_readers_unpack() -> None:
    assert [column.moment for column in covariate_moments("m")] == ["sum", "square", "cross"]
    assert [column.moment for column in user_moments("m")] == ["count", "square", "cross", "sizes"]
    assert [column.moment for column in joint_user_moments("m")] == ["square", "cross", "counter", "sizes"]
    assert all(column.metrics == (name,) for name, column in product("m", mean_of("m")))
