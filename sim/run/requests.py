"""The log that a team would have of a trace: a row a request, instead of a row an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.scenario.schema import Scenario
from sim.world.clock import NS

if TYPE_CHECKING:
    import pandas as pd

FIRST_DAY = "2024-01-01"
"""A Monday: the day on which a log begins, at the time of day at which its scenario starts."""
_ENDS = ("finish", "error", "timeout", "reject")


def request_log(events: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """A row a live request, in order of time, of the event log of a trace (`sim.engine.events`).

    Columns: time; user, where users come back; arm, that of the first attempt, and propensity, the share of live traffic that
    the arm had then; latency_ms, from the request to the end of its last attempt; error, whether that failed; a column a metric
    that is no built-in one, empty where it is not known by the end of the log, or 0 where the scenario counts it so until then;
    outcome_time, when the primary metric became known, where that is late.
    """
    import pandas as pd

    live = events[~events["mirrored"].fillna(False).astype(bool)]
    arrived = live[live["event"] == "arrive"]
    log = pd.DataFrame({"request": arrived["request"].astype(np.int64), "arrive_s": arrived["time_s"], "arm": arrived["arm"]})
    if scenario.users is not None:
        log["user"] = arrived["user"].astype(np.int64)
    log = log.set_index("request")
    log["propensity"] = _propensity(events, log["arrive_s"].to_numpy(), log["arm"].tolist())
    ends = live[live["event"].isin(_ENDS)].drop_duplicates("request", keep="last").set_index(["request"])
    ends.index = ends.index.astype(np.int64)
    log["latency_ms"] = ((ends["time_s"] - log["arrive_s"]) * 1000).round(6)
    log["error"] = (ends["event"] != "finish").reindex(log.index).fillna(True).astype(np.int64)
    # What has not ended by the end of the log is not in it, as in that of a team.
    log = log[log["latency_ms"].notna()]
    fed = live[live["event"] == "feedback"]
    told = pd.DataFrame([detail.partition("=") for detail in fed["detail"]], index=fed.index, columns=range(3))
    start = pd.Timestamp(FIRST_DAY) + pd.Timedelta(seconds=scenario.traffic.start)
    for metric in scenario.metrics:
        own = fed[told[0] == metric.name]
        if not len(own) and metric.name not in told[0].unique():
            continue
        values = pd.Series(told[2][own.index].astype(np.float64).to_numpy(), own["request"].astype(np.int64).to_numpy())
        values = values[~values.index.duplicated(keep="last")]
        late = metric.delay is not None
        log[metric.name] = values.reindex(log.index)
        if late and metric.until_known == "failure":
            log[metric.name] = log[metric.name].fillna(0.0)
        if late and metric.role == "primary":
            known = pd.Series(own["time_s"].to_numpy(), own["request"].astype(np.int64).to_numpy())
            known = known[~known.index.duplicated(keep="last")].reindex(log.index)
            if metric.until_known == "failure":
                known = known[log[metric.name] != 0].reindex(log.index)
            log["outcome_time"] = start + _span(known)
    log.insert(0, "time", start + _span(log.pop("arrive_s")))
    return log.reset_index(drop=True)


def _span(seconds: pd.Series) -> pd.Series:
    """Seconds as spans of whole microseconds; none where there is none."""
    import pandas as pd

    # Whole nanoseconds, of the clock of the simulation, are more than a log's.
    micro = (seconds * (NS / 1000)).round()
    return pd.to_timedelta(micro, unit="us")


def _propensity(events: pd.DataFrame, arrive_s: Floats, arms: Sequence[str]) -> Floats:
    """(n,) the share of live traffic that each request's arm had as it came; after the verdict, that of what was chosen."""
    ticks, verdicts = (events[events["event"] == event] for event in ("tick", "verdict"))
    names, places = np.unique(np.array(arms, dtype=str), return_inverse=True)
    shares = np.array([[of.get(name, 0.0) for name in names] for of in map(_shares, ticks["detail"])])
    over = arrive_s >= (verdicts["time_s"].iloc[0] if len(verdicts) else np.inf)
    found = np.ones(len(arrive_s))
    tick = np.searchsorted(ticks["time_s"].to_numpy(), arrive_s[~over], side="right") - 1
    if tick.size:
        found[~over] = shares[tick, places[~over]]
    return found


def _shares(detail: str) -> dict[str, float]:
    """The live shares of a tick, as its event tells them.

    >>> _shares("champion 90%, a 10%; mirror b 50%")
    {'champion': 0.9, 'a': 0.1}
    """
    pairs = (part.rpartition(" ") for part in detail.partition(";")[0].split(", "))
    return {arm: float(share.rstrip("%")) / 100 for arm, _, share in pairs}
