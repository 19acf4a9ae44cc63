"""`sim calibrate` of outcomes in rows of their own: the same fit as of a row a request, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.cli import main

ROWS = 6_000


def requests(rows: int = ROWS) -> pd.DataFrame:
    """A log with a row a request: sales that come late, of which the last are not known yet, and revenue."""
    rng = np.random.default_rng(5)
    start = pd.Timestamp("2026-03-02")
    time = start + pd.to_timedelta(np.sort(rng.uniform(0, 4 * 86_400, rows)).round(3), unit="s")
    arm = rng.choice(["champion", "challenger"], rows)
    sold = rng.random(rows) < np.where(arm == "champion", 0.2, 0.25)
    known = time + pd.to_timedelta(rng.exponential(6 * 3600, rows).round(3), unit="s")
    sold &= known <= start + pd.Timedelta(days=4)
    revenue = np.where(sold, rng.gamma(2.0, 15.0, rows).round(2), 0.0)
    return pd.DataFrame(
        {
            "request_id": [f"r-{number:06d}" for number in range(rows)], "time": time, "arm": arm,
            "user": rng.integers(0, 2_000, rows).astype(str), "latency_ms": rng.gamma(4.0, 12.0, rows).round(3),
            "sale": sold.astype(float), "revenue": revenue, "outcome_time": known.where(sold),
        }
    )  # fmt: skip


def outcomes(log: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """The same with a row an outcome, in no order."""
    sold = log[log["sale"] == 1]
    sale = pd.DataFrame({"request_id": sold["request_id"], "time": sold["outcome_time"], "event": "sale", "value": np.nan})
    paid = sale.assign(event="revenue", value=sold["revenue"])
    return pd.concat([sale, paid]).sample(frac=1, random_state=seed, ignore_index=True)


def alone(log: pd.DataFrame) -> pd.DataFrame:
    return log.drop(columns=["sale", "revenue", "outcome_time"])


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    return requests()


def calibrate(*arguments: str) -> int:
    return main(["calibrate", "--quiet", *arguments])


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    capsys.readouterr()
    code = calibrate(*arguments, "--json")
    said = capsys.readouterr()
    assert code == 0, said.err
    content: list[Any] = json.loads(said.out)["found"]
    return content


SALE = ("--primary", "sale")


def test_outcomes_of_their_own_give_the_fit_of_a_row_a_request(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    log.drop(columns="request_id").to_parquet("rows.parquet")
    wanted = found(capsys, "rows.parquet", "--columns", "outcome=sale,outcome=revenue")
    delay = next(each for each in wanted if each["what"] == "delay")
    assert delay["numbers"]["mean_s"]["estimate"] == pytest.approx(6 * 3600, abs=4 * delay["numbers"]["mean_s"]["error"])
    # Parquet, and CSV with other names; in two files; among the requests.
    alone(log).to_parquet("requests.parquet")
    outcomes(log).to_parquet("outcomes.parquet")
    assert found(capsys, "requests.parquet", "--outcomes", "outcomes.parquet", *SALE) == wanted
    alone(log).to_csv("requests.csv", index=False)
    named = outcomes(log, 2).rename(columns={"time": "happened", "event": "what", "value": "euros"})
    named[:700].to_csv("first.csv", index=False)
    named[700:].to_csv("second.csv", index=False)
    roles = ("--outcome-columns", "time=happened,event=what,value=euros")
    assert found(capsys, "requests.csv", "--outcomes", "first.csv", "--outcomes", "second.csv", *SALE, *roles) == wanted
    every = pd.concat([alone(log).assign(event="exposure"), outcomes(log)]).sort_values("time", kind="stable")
    every.to_parquet("events.parquet")
    assert found(capsys, "events.parquet", "--events", *SALE) == wanted
    every["event"] = every["event"].replace("exposure", "shown")
    every.to_csv("events.csv", index=False)
    assert found(capsys, "events.csv", "--events", *SALE, "--request-event", "shown") == wanted


def test_what_is_written_is_the_same_file_but_for_where_it_is_from(
    log: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a").mkdir()
    Path("b").mkdir()
    log.drop(columns="request_id").to_csv("a/log.csv", index=False)
    alone(log).to_csv("b/log.csv", index=False)
    outcomes(log).to_csv("sales.csv", index=False)
    assert calibrate("a/log.csv", "--columns", "outcome=sale,outcome=revenue", "--out", "a/made.yaml") == 0
    assert calibrate("b/log.csv", "--outcomes", "sales.csv", *SALE, "--out", "b/made.yaml") == 0
    for name in ("made.yaml", "models/log.yaml"):
        # Heads name the files.
        texts = [Path(folder, name).read_text(encoding="utf-8").splitlines() for folder in "ab"]
        first, second = ([line for line in text if not line.startswith("#")] for text in texts)
        assert first == second
    # No id of a request is written anywhere.
    assert not [
        file for file in Path("b").rglob("*") if file.suffix != ".csv" and file.is_file() and b"r-000" in file.read_bytes()
    ]


def test_outcomes_without_times_amounts_or_kinds(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    alone(log).to_csv("requests.csv", index=False)
    sold = log.loc[log["sale"] == 1, ["request_id"]]
    sold.to_csv("sold.csv", index=False)
    log.drop(columns=["request_id", "outcome_time", "revenue"]).rename(columns={"sale": "outcome"}).to_csv(
        "rows.csv", index=False
    )
    assert found(capsys, "requests.csv", "--outcomes", "sold.csv") == found(capsys, "rows.csv")
    # Twice the same is refused, or added up.
    pd.concat([sold, sold[:1]]).to_csv("sold.csv", index=False)
    assert calibrate("requests.csv", "--outcomes", "sold.csv") == 2
    said = capsys.readouterr().err
    assert (
        f"sold.csv: row {len(sold) + 1}: is one more 'outcome' of the same request: --repeats add adds them up"
        in said.replace("sold.csv row", "sold.csv: row")
    )
    added = found(capsys, "requests.csv", "--outcomes", "sold.csv", "--repeats", "add")
    mean = sum(each["numbers"]["mean"]["estimate"] * rows for each, rows in _by_arm(added, log))
    assert mean == pytest.approx(len(sold) + 1)


def _by_arm(found: list[Any], log: pd.DataFrame) -> list[tuple[Any, int]]:
    counts = log["arm"].value_counts()
    return [(each, int(counts[each["about"]])) for each in found if each["what"] == "outcome" and each["about"] in counts]


def test_outcomes_of_zero_ask_what_none_is(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    alone(log).to_csv("requests.csv", index=False)
    rated = pd.DataFrame({"request_id": log["request_id"][:3000], "value": log["sale"][:3000]})
    rated.to_csv("rated.csv", index=False)
    assert calibrate("requests.csv", "--outcomes", "rated.csv") == 2
    assert "Say --absent zero or --absent unknown" in capsys.readouterr().err
    seen = log["sale"][:3000].groupby(log["arm"]).mean()
    unknown = found(capsys, "requests.csv", "--outcomes", "rated.csv", "--absent", "unknown")
    means = {each["about"]: each["numbers"]["mean"]["estimate"] for each in unknown if each["what"] == "value"}
    assert means == {arm: pytest.approx(share) for arm, share in seen.items()}


def _keyed(log: pd.DataFrame, late: pd.DataFrame) -> pd.DataFrame:
    return late.rename(columns={"request_id": "key"})


def _early(log: pd.DataFrame, late: pd.DataFrame) -> pd.DataFrame:
    late = late.sort_values("event", kind="stable", ignore_index=True)
    at = late.index[late["event"] == "sale"][0]
    own = log.set_index("request_id")["time"][late.loc[at, "request_id"]]
    late.loc[at, "time"] = own - pd.Timedelta(hours=1)
    return late


@pytest.mark.parametrize(
    ("change", "words", "rule"),
    [
        (
            lambda log, late: late.assign(request_id="nobody-" + late["request_id"]),
            (),
            "is an outcome of a request that is in no",
        ),
        (_early, (), "must not be before its request, got 3600 s before it"),
        (lambda log, late: late.assign(event="sale"), (), "is one more 'sale' of the same request"),
        (lambda log, late: late.assign(value="much"), (), "row 1: must be a number within"),
        (lambda log, late: late.assign(time="soon"), (), "row 1: must be seconds, or a time stamp"),
        (lambda log, late: late.assign(time=late["time"].dt.tz_localize("UTC")), (), "must be a time as those of the requests"),
        (lambda log, late: late.assign(amount=1), (), "which is the value? Say --outcome-columns value="),
        (_keyed, (), "which column is the id, the id of the request?"),
        (_keyed, ("--outcome-columns", "id=key"), "no column 'key', the id by which outcomes are joined"),
        (lambda log, late: late, ("--outcome-columns", "idd=event"), "no role 'idd'; did you mean 'id'?"),
        (lambda log, late: late, ("--primary", "sales"), "no outcome 'sales'; did you mean 'sale'?"),
        (lambda log, late: late, ("--events",), "--events: says that outcomes stand in the log"),
        (lambda log, late: late, ("--request-event", "sale"), "--request-event: is of a log of events"),
        (lambda log, late: late, ("--columns", "outcome=sale"), "--columns: is said of 'sale', but outcomes stand in rows"),
        (lambda log, late: late[:0], (), "has no rows"),
    ],
)
def test_what_is_wrong_is_told(
    log: pd.DataFrame, capsys: pytest.CaptureFixture[str], change: Any, words: tuple[str, ...], rule: str
) -> None:
    alone(log).to_csv("requests.csv", index=False)
    change(log, outcomes(log)).to_csv("late.csv", index=False)
    primary = () if "--primary" in words else SALE
    assert calibrate("requests.csv", "--outcomes", "late.csv", *primary, *words, "--out", "made.yaml") == 2
    assert rule in capsys.readouterr().err
    assert not Path("made.yaml").exists()


def test_several_kinds_strays_and_requests_written_twice(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    late = outcomes(log)
    late.to_csv("late.csv", index=False)
    alone(log).to_csv("requests.csv", index=False)
    assert calibrate("requests.csv", "--outcomes", "late.csv") == 2
    assert "has several kinds of outcomes: which one decides? Say --primary NAME" in capsys.readouterr().err
    alone(log)[1_000:].to_csv("requests.csv", index=False)
    assert calibrate("requests.csv", "--outcomes", "late.csv", *SALE) == 2
    assert "--drop-strays leaves them out" in capsys.readouterr().err
    assert calibrate("requests.csv", "--outcomes", "late.csv", *SALE, "--drop-strays") == 0
    assert "requests that are in no file were left out" in capsys.readouterr().out
    twice = alone(log)
    twice.loc[17, "request_id"] = twice["request_id"][4]
    twice.to_csv("requests.csv", index=False)
    assert calibrate("requests.csv", "--outcomes", "late.csv", *SALE, "--drop-strays") == 2
    assert "requests.csv request_id: row 18: has the id of an earlier request" in capsys.readouterr().err
    assert calibrate("requests.csv", "--absent", "zero") == 2
    assert "--absent: is of outcomes in rows of their own: give --outcomes FILE or --events" in capsys.readouterr().err


def test_rows_of_a_log_of_events_are_those_of_the_file(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    every = pd.concat([alone(log).assign(event="request"), outcomes(log)]).sort_values("time", kind="stable", ignore_index=True)
    row = int(every.index[(every["event"] == "request")][500])
    every["latency_ms"] = every["latency_ms"].astype(object)
    every.loc[row, "latency_ms"] = "-3"
    every.to_csv("events.csv", index=False)
    assert calibrate("events.csv", "--events", *SALE) == 2
    assert f"latency_ms: row {row + 1}: must be a length of time of at least 0, got '-3'" in capsys.readouterr().err
    every["event"] = every["event"].replace("request", "page")
    every.to_csv("events.csv", index=False)
    assert calibrate("events.csv", "--events", *SALE) == 2
    assert "which event is a request? Say --request-event NAME" in capsys.readouterr().err
    assert calibrate("events.csv", "--events", *SALE, "--request-event", "pag") == 2
    assert "--request-event: no event 'pag'; did you mean 'page'?" in capsys.readouterr().err


def test_effects_on_what_is_0_on_average_are_refused(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    """Effects are relative, so nothing could be said but how many times 0 they are."""
    around_0 = np.random.default_rng(1).normal(0, 1, len(log))
    log[["time", "arm"]].assign(outcome=around_0).to_csv("log.csv", index=False)
    assert calibrate("log.csv") == 2
    said = capsys.readouterr().err
    assert "--primary outcome: is " in said
    assert "on average of 'champion', which is not told from 0: effects of versions are relative to it" in said
    log[["time", "arm"]].assign(outcome=around_0 + 1).to_csv("log.csv", index=False)
    assert calibrate("log.csv") == 0
