"""The event log of one replication of one policy, which shows why the policy decided."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.engine.catalogue import ENGINES, REFERENCE, TRACERS
from sim.engine.lag import Lagged
from sim.errors import InputError, Problem
from sim.files import replacing, write_parquet
from sim.policy.base import Routing, Verdict
from sim.run.plan import PlannedPoint
from sim.run.trial import rounds
from sim.scenario.schema import Scenario
from sim.spelling import there_are
from sim.units import format_duration
from sim.world.offline import scores

if TYPE_CHECKING:
    import pandas as pd

# The log of this many requests is a file of some hundred megabytes.
MOST_REQUESTS = 2_000_000


def problems(scenario: Scenario, policy: str, replication: int, engine: str | None, out: Path | None) -> list[Problem]:
    """The problems of a request for a trace, as far as they can be detected without the registry."""
    wrong = []
    names = [form.name for form in scenario.policies]
    if policy not in names:
        close = difflib.get_close_matches(policy, names, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        wrong.append(Problem(f"no policy {policy!r}; {there_are(names)}{hint}", path="--policy"))
    if not 0 <= replication < scenario.replications:
        rule = f"must be one of the replications 0 to {scenario.replications - 1}"
        wrong.append(Problem(f"{rule}, got {replication}", path="--replication"))
    if engine is not None and engine not in TRACERS:
        why = "it draws the counts of a tick, so that no request has a time" if engine in ENGINES else "it is no engine"
        wrong.append(Problem(f"{engine} has no events: {why}; use {' or '.join(reversed(TRACERS))}", path="--engine"))
    if out is not None and out.suffix not in (".parquet", ".csv"):
        wrong.append(Problem(f"must end in .parquet or .csv, got {str(out)!r}", path="--out"))
    return wrong


def trace(
    point: PlannedPoint, policy: str, replication: int, engine: str | None = None, until_s: float | None = None,
    *, whole: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """The event log of a policy in a replication at a point of a run, with the columns of `sim.engine.events`.

    `engine` is simpy or compiled; both give the same log. The log ends at `until_s`. By default it ends when the last call that
    arrived before the horizon has ended. Where requests do not compete, it ends at the verdict, as a run draws the rest in one
    step; with `whole` it goes on, as what was chosen serves everybody. Raises `InputError` for a trace that cannot be made.
    """
    from sim.engine.events import Steering, event_log

    wrong = problems(point.scenario, policy, replication, engine, None)
    if wrong:
        raise InputError(wrong)
    world = point.world
    ticks = world.ticks if until_s is None else min(world.ticks, int(np.ceil(round(until_s / world.tick_s, 9))))
    requests = float(world.requests[:ticks].sum())
    if requests > MOST_REQUESTS:
        raise InputError([Problem(
            f"a trace has at most {MOST_REQUESTS:,} requests, got {requests:,.0f} in {format_duration(ticks * world.tick_s)}: "
            "trace a shorter time", path="--until",
        )])  # fmt: skip
    truth = world.realise(np.array([replication]))
    setting = world.setting(1, truth.replications)
    agent = point.policy(policy)
    recording = _recorder(engine or _default(point))(truth, agent.needs(setting), agent.mirrors(), record=True)
    player = Lagged(recording, 1, world.lag) if world.lag else recording
    live, mirror = [], []
    for routing in rounds(agent, setting, player, ticks, scores(truth, agent.evaluations(setting))):
        if routing.rows.size and player.tick < ticks:
            live.append(routing.live[0])
            mirror.append(routing.mirror[0])
    verdicts = agent.verdicts
    while (world.competing or whole) and recording.tick < ticks:
        shares = np.eye(len(world.arms))[verdicts.arm]
        recording.step(Routing(np.zeros(1, np.int64), shares, np.zeros_like(shares), np.zeros(1, np.int64)))
    recording.settle(np.zeros(1, np.int64), np.full(1, -1))
    verdict, end_s = Verdict(int(verdicts.verdict[0])), np.inf if until_s is None else until_s
    over = end_s >= world.ticks * world.tick_s
    decision = _verdict_text(world.arms, verdict, int(verdicts.arm[0])) if over or verdict != Verdict.UNDECIDED else None
    shape = (-1, len(world.arms))
    steering = Steering(np.array(live).reshape(shape), np.array(mirror).reshape(shape), decision)
    log = event_log(truth, recording.calls, steering, recording.tick)
    if over:
        return log
    # Later events depend on the routing after `end_s`, which the policy has not decided yet.
    before = (log["time_s"] < end_s) | ((log["event"] == "verdict") & (log["time_s"] == end_s))
    return log[before].reset_index(drop=True)


def _default(point: PlannedPoint) -> str:
    return point.engine.name if point.engine.entry.tells_calls else REFERENCE


def _recorder(engine: str) -> Any:
    # Engines that record calls take the argument `record`, which is not part of the protocol of all engines.
    return ENGINES[engine].load()


def _verdict_text(arms: tuple[str, ...], verdict: Verdict, arm: int) -> str:
    if verdict == Verdict.SHIP:
        return f"ship {arms[arm]}"
    return verdict.name.lower()


def write(log: pd.DataFrame, out: Path) -> None:
    """Write a log as Parquet or CSV, by the suffix of the file, completely or not at all. Raises `FileError`."""
    if out.suffix == ".csv":
        with replacing(out) as temporary:
            log.to_csv(temporary, index=False)
    else:
        write_parquet(out, log)


def lines(log: pd.DataFrame, limit: int) -> Iterator[str]:
    """The lines of the log as a table: all events, or the first and last, `limit` in all, and the number left out."""
    left_out = len(log) - limit
    head = len(log) if left_out <= 0 else (limit + 1) // 2
    tail = len(log) if left_out <= 0 else len(log) - (limit - head)
    shown = [_cells(row) for part in (log[:head], log[tail:]) for row in part.itertuples(index=False)]
    names = tuple(log.columns)
    widths = [max(len(row[place]) for row in [names, *shown]) for place in range(len(names))]
    yield _line(names, widths)
    for place, row in enumerate(shown):
        if place == head:
            yield f"... {left_out:,} more ..."
        yield _line(row, widths)
    if head == len(shown) < len(log):
        yield f"... {left_out:,} more ..."


def _cells(row: Any) -> tuple[str, ...]:
    """The texts of a row.

    >>> from types import SimpleNamespace
    >>> _cells(SimpleNamespace(time_s=1.5, event="start", request=3, user=4, arm="a", mirrored=True, detail="waited 1 s"))
    ('1.500000000', 'start', '3', '4', 'a', 'mirrored', 'waited 1 s')
    """
    request, user = (str(number) if isinstance(number, int | np.integer) else "" for number in (row.request, row.user))
    return f"{row.time_s:.9f}", row.event, request, user, row.arm or "", "mirrored" if row.mirrored is True else "", row.detail


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    numbers = [cell.rjust(width) if place in (0, 2, 3) else cell.ljust(width) for place, (cell, width) in
               enumerate(zip(cells, widths, strict=True))]  # fmt: skip
    return "  ".join(numbers).rstrip()
