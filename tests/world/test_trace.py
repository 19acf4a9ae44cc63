"""Recorded traffic: what is read from files, what is refused, and that what was recorded is played."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.run import plan
from sim.scenario.loading import parse_yaml, validate
from sim.scenario.schema import Scenario
from sim.scenario.traffic import TraceSpec, Traffic
from sim.world.clock import NS
from sim.world.trace import Trace, of_counts, of_times, read_trace
from sim.world.traffic import Arrivals, arrivals_of
from tests.world.placing import placed
from tests.worlds import make_scenario, make_versions

TIMES = {"file": "a.csv", "time": "t"}
COUNTS = {"file": "a.csv", "count": "n", "interval": "1m"}


def reads(folder: Path, text: str | bytes, **said: Any) -> Trace:
    (folder / "a.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_trace(TraceSpec.model_validate({"file": "a.csv", **said}), folder)


def processes(trace: Trace, ticks: int, tick_s: float, **said: Any) -> Arrivals:
    kind: dict[str, Any] = COUNTS if trace.times_ns is None else TIMES
    spec = {**kind, "repeat": said.pop("repeat", False)}
    return arrivals_of(Traffic.model_validate({"trace": spec, **said}), ticks, tick_s, trace)


def test_datetimes_count_from_the_first_and_seconds_from_the_start(tmp_path: Path) -> None:
    dates = "t,who\n2024-02-29T23:59:59.5Z,a\n2024-03-01T02:00:00+02:00,b\n2024-03-01 00:00:00.000000001Z,c\n"
    assert reads(tmp_path, dates, time="t").times_ns.tolist() == [0, 500_000_000, 500_000_001]  # type: ignore[union-attr]
    seconds = reads(tmp_path, "t\n0.25\n7\n1000000.000000001\n", time="t")
    assert seconds.times_ns is not None
    assert seconds.times_ns.tolist() == [250_000_000, 7 * NS, 10**15 + 1]


def test_a_parquet_file_gives_what_a_csv_file_gives(tmp_path: Path) -> None:
    start = datetime(2024, 5, 1, 12)
    moments = [start + timedelta(seconds=each) for each in (0, 0.25, 0.25, 9)]
    text = [each.isoformat() for each in moments]
    table = pa.table({"t": moments, "text": text, "s": [0, 0.25, 0.25, 9], "n": pa.array([3, 0, 2, 1], pa.int8())})
    pq.write_table(table, tmp_path / "a.parquet")
    csv = reads(tmp_path, "t\n0\n0.25\n0.25\n9\n", time="t")
    for name in ("t", "text", "s"):
        found = read_trace(TraceSpec(file=str(tmp_path / "a.parquet"), time=name))
        assert found.digest == csv.digest
        assert found.times_ns is not None
        assert found.times_ns.tolist() == [0, NS // 4, NS // 4, 9 * NS]
    counts = read_trace(TraceSpec(file="a.parquet", count="n", interval="1m"), tmp_path)
    assert counts.level.tolist() == [0, 3, 3, 5, 6]
    assert counts.digest == reads(tmp_path, "n\n3\n0\n2\n1\n", count="n", interval="1m").digest
    assert counts.digest != reads(tmp_path, "n\n3\n0\n2\n1\n", count="n", interval="2m").digest


@pytest.mark.parametrize(
    ("text", "said", "told"),
    [
        ("t\n1\n3\n2\n", TIMES, "time: a.csv, column 't': line 4 has '2', after '3': times must not decrease"),
        ("t\n2024-01-02\n2024-01-01\n", TIMES, "line 3 has '2024-01-01', after '2024-01-02': times must not decrease"),
        ("t\n1\n-3\n-2\n", TIMES, "time: a.csv, column 't': line 3 has -3, which must not be negative, and 1 more like it"),
        ("t,x\n1,a\n,b\n3,c\n", TIMES, "time: a.csv, column 't': line 3 has no value"),
        ("t\n1\n\n3\n", TIMES, "time: a.csv, column 't': line 3 has no value"),
        ("t\n1\nnan\n3\n", TIMES, "time: a.csv, column 't': line 3 has no value"),
        ("t\n1\nsoon\n", TIMES, "line 3 has 'soon', which is not a number of seconds since the start of the run"),
        ("t\n2024-01-01\nsoon\n", TIMES, "line 3 has 'soon', which is not an ISO datetime of the years 1678 to 2261"),
        ("t\n2024-01-01T02:00+02:00\n2024-01-01T02:00\n", TIMES, "line 3 has '2024-01-01T02:00', with no offset from UTC"),
        ("t\n1\ninf\n", TIMES, "line 3 has 'inf', which is not a number of seconds"),
        ("t\n1\n1e10\n", TIMES, "line 3 has 1e+10 seconds, which must be below 9 years"),
        ("t\n4\n4\n", TIMES, "needs requests at two or more times, got 2 at a single one"),
        ("t\n1\n2\n", {**TIMES, "time": "when"}, "time: a.csv has no column 'when'; it has t"),
        ("m,k\n1,2\n", COUNTS, "count: a.csv has no column 'n'; it has m, k"),
        ("n\n1\n-1\n", COUNTS, "count: a.csv, column 'n': line 3 has -1, which must not be negative"),
        ("n,x\n1,a\n,b\n", COUNTS, "count: a.csv, column 'n': line 3 has no value"),
        ("n\n0\n0\n", COUNTS, "count: a.csv, column 'n': needs some requests, and fewer than 10^12, got 0 in 2 rows"),
        ("n\n1e300\n", COUNTS, "count: a.csv, column 'n': needs some requests, and fewer than 10^12, got 1e+300 in 1 rows"),
        ("n\n1\n2\n", {**COUNTS, "interval": "250w"}, "interval: a trace must be shorter than 9 years, got 2 rows of 1750d"),
        ("", TIMES, "file: a.csv is empty"),
        ("t\n", TIMES, "file: a.csv has no rows"),
        ("t,x\n1,2,3\n", TIMES, "file: a.csv is corrupt: CSV parse error"),
        (b"t\n\xff\xfe\n", TIMES, "file: a.csv is corrupt"),
    ],
)  # fmt: skip
def test_a_bad_trace_is_named_with_its_line(tmp_path: Path, text: str | bytes, said: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        reads(tmp_path, text, **said)
    (problem,) = caught.value.problems
    assert problem.path.startswith("traffic.trace.")
    assert told in str(problem)


def test_a_file_that_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "b.parquet").write_text("no parquet")
    for name, told in (
        ("none.csv", "no such file"), ("a.pickle", "must end in .csv or .parquet; got 'a.pickle'"),
        ("folder.csv", "is a directory, not a file"), ("b.parquet", "b.parquet is corrupt"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=rf"^traffic\.trace\.file: {told}"):
            read_trace(TraceSpec(file=name, time="t"), tmp_path)


@pytest.mark.parametrize("arrivals", ["regular", "poisson"])
@pytest.mark.parametrize(
    ("trace", "ticks", "told"),
    [
        (of_counts(np.array([5.0, 5.0]), 60 * NS), 3, "file: is shorter than the horizon: it lasts 2m, and the horizon is 3m"),
        (of_times(np.array([5, 50, 100]) * NS), 3, "file: is shorter than the horizon: it lasts 100s, and the horizon is 3m"),
        (of_times(np.array([100, 130]) * NS), 3, None),
        (of_times(np.array([500, 501]) * NS), 3, "time: seconds count from the start of the run: the first request comes"),
    ],
)  # fmt: skip
def test_a_trace_that_does_not_cover_the_horizon_is_refused(trace: Trace, ticks: int, arrivals: str, told: str | None) -> None:
    if told is None:
        # Half a minute of silence at the end is not a whole tick.
        assert processes(trace, ticks, 60.0, arrivals=arrivals).mean.sum() > 0
        return
    with pytest.raises(InputError) as caught:
        processes(trace, ticks, 60.0, arrivals=arrivals)
    assert str(caught.value).startswith(f"traffic.trace.{told}")
    if trace.times_ns is None or trace.times_ns[0] < ticks * 60 * NS:
        assert processes(trace, ticks, 60.0, arrivals=arrivals, repeat=True).mean.sum() > 0


def test_too_many_rounds_and_too_many_requests_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"its 2 rows would be repeated 6e\+11|its 2 rows would be repeated 300,000,000,000 times"
    ):
        processes(of_times(np.array([1, 2])), 3, 600.0, repeat=True)
    with pytest.raises(InputError, match=r"traffic\.rate: a replication must have fewer than 10\^12 requests"):
        processes(of_counts(np.array([1.0, 2.0]), 60 * NS), 2, 60.0, rate="1e16/s")


sorted_times = st.lists(st.integers(0, 10**12), min_size=2, max_size=60).map(sorted).filter(lambda times: times[0] < times[-1])


@given(sorted_times, st.integers(1, 40), st.booleans())
def test_regular_arrivals_of_timestamps_are_the_recorded_ones_to_the_nanosecond(
    times: list[int], tick_s: int, coarse: bool
) -> None:
    """On a coarse clock many requests come at the same time, and at the edges of ticks."""
    recorded = np.array(times, np.int64)
    if coarse:
        recorded = recorded // (5 * NS) * (5 * NS)
        recorded[-1] += 5 * NS
    trace = of_times(recorded)
    ticks = max(1, int(trace.length_ns) // (tick_s * NS))
    ticks += ticks * tick_s * NS <= recorded[0]
    process = processes(trace, ticks, float(tick_s), arrivals="regular")
    horizon = ticks * tick_s * NS
    assert placed(process, 7, 3, ticks).tolist() == recorded[recorded < horizon].tolist()
    counts = process.counts(7, [3, 4])
    assert counts.sum(axis=1).tolist() == [(recorded < horizon).sum()] * 2
    assert process.mean.tolist() == counts[0].tolist()


@given(sorted_times, st.integers(20, 400))
def test_a_trace_that_repeats_plays_every_round_alike(times: list[int], tick_s: int) -> None:
    trace = of_times(np.array(times, np.int64) + np.array([*[0] * (len(times) - 1), NS]))
    ticks = 1 + 3 * trace.length_ns // (tick_s * NS)
    process = processes(trace, ticks, float(tick_s), arrivals="regular", repeat=True)
    rounds = np.arange(ticks * tick_s * NS // trace.length_ns + 1)[:, None] * trace.length_ns
    assert trace.times_ns is not None
    every = (rounds + trace.times_ns).ravel()
    if every.size < 5000:
        assert placed(process, 7, 0, ticks).tolist() == every[every < ticks * tick_s * NS].tolist()


def test_regular_arrivals_of_counts_are_as_many_as_were_counted() -> None:
    counts = np.array([7.0, 0.0, 3.0, 12.0])
    process = processes(of_counts(counts, 60 * NS), 8, 30.0, arrivals="regular")
    drawn = process.counts(7, np.arange(50))
    assert (drawn.reshape(50, 4, 2).sum(axis=2) == counts).all()
    assert len({tuple(row) for row in drawn.tolist()}) > 1


def test_a_trace_is_scaled_to_the_rate_that_is_wanted() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, 7200 * NS, 500))
    for trace in (of_times(times), of_counts(rng.poisson(50, 120).astype(np.float64), 60 * NS)):
        ticks = 240
        process = processes(trace, ticks, trace.length_ns / NS / ticks, rate="40/s")
        assert process.mean.sum() == pytest.approx(40 * trace.length_ns / NS)
        # What is scaled keeps its shape: the share of the first half is that of the record.
        half = np.array([trace.length_ns // 2])
        assert process.mean[: ticks // 2].sum() / process.mean.sum() == pytest.approx(
            trace.before(half, False)[0] / trace.total, abs=1e-6
        )


def test_poisson_arrivals_follow_the_record(tmp_path: Path) -> None:
    """Counts by minute of 400 replications: mean and variance within 4.5 standard errors of the recorded counts."""
    trace = reads(tmp_path, "n\n30\n0\n200\n5\n", count="n", interval="1m")
    process = processes(trace, 1, 240.0)
    reps = 400
    minutes = np.stack([np.bincount(placed(process, 7, each, 1) // (60 * NS), minlength=4) for each in range(reps)])
    mean = np.array([30.0, 0.0, 200.0, 5.0])
    assert (np.abs(minutes.mean(axis=0) - mean) <= 4.5 * np.sqrt(mean / reps)).all()
    assert (np.abs(minutes.var(axis=0) - mean) <= 4.5 * np.sqrt((mean + 2 * mean**2) / reps)).all()


def test_a_run_finds_its_trace_beside_the_scenario_and_is_known_by_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "resolve", lambda *_, **__: make_versions(make_scenario()))
    said = make_scenario().dump() | {"traffic": {"trace": {"file": "data/a.csv", "count": "n", "interval": "1d"}}}
    import yaml

    def prepared(folder: Path, counts: str) -> plan.PlannedPoint:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "a.csv").write_text(f"n\n{counts}\n")
        document = parse_yaml(yaml.safe_dump(said), str(folder / "s.yaml"))
        resolver = plan.from_registry(SimpleNamespace(), None)  # type: ignore[arg-type]
        (point,) = plan.prepare(validate(document, Scenario), document, resolver).points
        return point

    one, other, same = (prepared(tmp_path / name, counts) for name, counts in (("1", "9"), ("2", "8"), ("3", "9")))
    assert one.resolved()["traffic"]["trace"]["file"] == str(tmp_path / "1" / "data" / "a.csv")
    assert one.world.requests.sum() == pytest.approx(9)
    assert one.digest == same.digest != other.digest
    with pytest.raises(InputError, match=r"s\.yaml:\d+:\d+ traffic\.trace\.count: a\.csv, column 'n': line 2 has -1"):
        prepared(tmp_path / "4", "-1")
