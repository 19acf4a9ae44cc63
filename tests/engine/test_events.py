"""The event log, from calls whose times were written out by hand: what it tells, in the order of the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.engine.events import COLUMNS, Steering, event_log
from sim.world.capacity import Pool
from sim.world.feedback import AT_ONCE, Feedback
from tests.engine.by_hand import Played, played, request, retrying

ONE = Pool("main", (0, 1), 1, 1, 1, 50)


def log_of(run: Played, *, verdict: str | None = None, live: Any = ((1.0, 0.0),), mirror: Any = ((0.0, 0.0),)) -> pd.DataFrame:
    steering = Steering(np.array(live), np.array(mirror), verdict)
    return event_log(run.engine.truth, run.engine.calls, steering, 6)


def told(log: pd.DataFrame) -> list[tuple[Any, ...]]:
    """(nanoseconds, event, request)."""
    return [
        (round(row.time_s * 1e9), row.event, row.request) for row in log.itertuples() if row.event not in ("tick", "verdict")
    ]


def test_a_call_arrives_starts_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(0, 10, value=1), request(1, 60), request(2, 5), request(80, 5, error=True)]
    log = log_of(played(monkeypatch, [requests], pools=(ONE,)))
    assert tuple(log.columns) == COLUMNS
    assert told(log) == [
        (0, "arrive", 0), (0, "start", 0), (1, "arrive", 1), (2, "arrive", 2), (2, "reject", 2), (2, "feedback", 2),
        (10, "finish", 0), (10, "feedback", 0), (10, "start", 1), (51, "timeout", 1), (51, "feedback", 1),
        (80, "arrive", 3), (80, "start", 3), (85, "error", 3), (85, "feedback", 3),
    ]  # fmt: skip
    detail = {(row.event, row.request): row.detail for row in log.itertuples() if row.event != "tick"}
    assert [detail["feedback", number] for number in range(4)] == ["conversion=1", *["conversion=0"] * 3]
    assert detail["start", 1] == "waited 9e-09 s"
    assert detail["timeout", 1] == "after 5e-08 s"
    assert log["user"].dropna().unique().tolist() == [100, 101, 102, 103]
    assert not log["mirrored"].fillna(False).any()


def test_later_attempts_are_retries_and_the_failed_one_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(0, 5, error=((True, False),) * 2, backoff=7)]
    log = log_of(played(monkeypatch, [requests], retry=retrying(2)))
    assert [(row.event, row.detail) for row in log.itertuples() if row.event != "tick"] == [
        ("arrive", ""), ("start", ""), ("error", "after 5e-09 s, again in 7e-09 s"), ("retry", "attempt 2"), ("start", ""),
        ("finish", "after 5e-09 s"), ("feedback", "conversion=0"),
    ]  # fmt: skip


def test_a_request_that_fails_for_good_counts_then_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(0, 5, error=True, backoff=7)]
    log = log_of(played(monkeypatch, [requests], retry=retrying(2)))
    assert [event for event in told(log) if event[1] in ("error", "feedback")] == [
        (5, "error", 0), (17, "error", 0), (17, "feedback", 0),
    ]  # fmt: skip
    left_out = log_of(played(monkeypatch, [requests], retry=retrying(2), counts_failures=False))
    assert "feedback" not in set(left_out["event"])


def test_a_copy_arrives_with_its_request_and_tells_whether_it_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = played(monkeypatch, [[request(5, 10, mirror=0.0)]], [{"mirror": [0.0, 1.0]}], pools=(ONE,))
    log = log_of(run, mirror=((0.0, 1.0),))
    shown = [(row.event, row.arm, row.mirrored) for row in log.itertuples() if row.event != "tick"]
    live, copy = ("champion", False), ("challenger", True)
    assert shown == [
        ("arrive", *live), ("start", *live), ("arrive", *copy), ("finish", *live), ("feedback", *live), ("start", *copy),
        ("finish", *copy), ("feedback", *copy),
    ]  # fmt: skip
    assert log.loc[log["event"] == "feedback", "detail"].tolist() == ["conversion=0", "agreement=1"]


def test_feedback_comes_when_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(played(monkeypatch, [[request(0, 10, delay=33), request(43, 5)]]))
    assert told(log)[-4:] == [(43, "start", 1), (43, "feedback", 0), (48, "finish", 1), (48, "feedback", 1)]


def test_an_outcome_counts_as_nothing_until_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(0, 10, delay=33, value=1), request(20, 5, delay=40, value=1), request(50, 5, delay=3)]
    late = {"conversion": Feedback((AT_ONCE,) * 2, (AT_ONCE,) * 2, 35e-9, provisional=True)}
    run = played(monkeypatch, [requests], feedback=late)
    feedback = log_of(run)
    feedback = feedback[feedback["event"] == "feedback"]
    assert list(zip((feedback["time_s"] * 1e9).round(), feedback["request"], feedback["detail"], strict=True)) == [
        (10, 0, "conversion=0"), (25, 1, "conversion=0"), (43, 0, "conversion=1"), (55, 2, "conversion=0"),
    ]  # fmt: skip
    late = {"conversion": Feedback((AT_ONCE,) * 2, (AT_ONCE,) * 2, 35e-9)}
    feedback = log_of(played(monkeypatch, [requests], feedback=late))
    feedback = feedback[feedback["event"] == "feedback"]
    assert list(zip((feedback["time_s"] * 1e9).round(), feedback["request"], feedback["detail"], strict=True)) == [
        (43, 0, "conversion=1"), (58, 2, "conversion=0"), (60, 1, "conversion=0"),
    ]  # fmt: skip


def test_at_equal_times_completions_come_before_giving_up_and_that_before_arrivals(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Pool("main", (0, 1), 1, 1, 2, 50)
    requests = [request(0, 50), request(0, 10), request(0, 10), request(50, 5)]
    log = told(log_of(played(monkeypatch, [requests], pools=(wide,))))
    # A server that is free at the deadline takes the first who waits; the client leaves in service, the other in the queue.
    assert [(event, number) for time, event, number in log if time == 50] == [
        ("finish", 0), ("feedback", 0), ("start", 1), ("timeout", 1), ("feedback", 1), ("timeout", 2), ("feedback", 2),
        ("arrive", 3),
    ]  # fmt: skip


def test_a_verdict_and_the_routing_come_before_everything_at_their_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    run = played(monkeypatch, [[request(0, 100)], [request(100, 5)]], [{}, {}])
    half = ((1.0, 0.0), (0.25, 0.75))
    log = log_of(run, live=half, mirror=((0.0, 0.5), (0.0, 0.0)))
    at_edge = log[log["time_s"] == 100e-9]
    assert at_edge["event"].tolist() == ["tick", "finish", "feedback", "arrive", "start"]
    assert log.loc[log["event"] == "tick", "detail"].tolist() == [
        "champion 100%; mirror challenger 50%", "champion 25%, challenger 75%",
    ]  # fmt: skip
    control = log[log["event"] == "tick"]
    assert control[["request", "user", "arm", "mirrored"]].isna().all(axis=None)
    decided = log_of(run, verdict="ship challenger")
    assert decided[decided["time_s"] == 100e-9]["event"].tolist()[0] == "verdict"
    assert decided.loc[decided["event"] == "verdict", "detail"].tolist() == ["ship challenger"]


def test_a_call_that_waits_for_ever_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Pool("main", (0, 1), 0, 1, None, None)
    assert told(log_of(played(monkeypatch, [[request(3)]], pools=(closed,)))) == [(3, "arrive", 0)]


def test_a_replication_in_which_nothing_happens_has_its_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(played(monkeypatch, [[]]), verdict="keep")
    assert log["event"].tolist() == ["tick", "verdict"]
