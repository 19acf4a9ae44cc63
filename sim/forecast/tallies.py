"""What monitoring has shown of a rollout that is under way: tallies by time and arm, read from a table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError, Problem
from sim.files import unreadable
from sim.policy.columns import COUNTS, MOMENTS, Above, Agreement, Column, Count, Moment
from sim.spelling import did_you_mean, there_are
from sim.tables import parsed, read_rows
from sim.units import UnitError, format_duration, parse_duration, shown
from sim.world.metric import OutcomeWorld
from sim.world.world import AGREEMENT, World

if TYPE_CHECKING:
    import pyarrow as pa

TIME, ARM = "time", "arm"
REQUESTS, RESPONSES, ERRORS = Count("requests"), Count("responses"), Count("errors")
_ABOVE, _MIRROR = "latency.above.", "mirror."
_LARGEST = 2.0**62


@dataclass(frozen=True)
class Tallies:
    """What was seen, look by look.

    ends (L,) ticks completed at each look, increasing; counts {column: (L, K)} what was added since the look before, in units
    of the metric's grid; source: the file or the run that it comes from; rows (L, K) where in it, from 0.
    """

    arms: tuple[str, ...]
    ends: Ints
    counts: Mapping[Column, Ints]
    source: str
    rows: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def ticks(self) -> int:
        """Ticks completed at the last look."""
        return int(self.ends[-1])

    @property
    def starts(self) -> Ints:
        """(L,) ticks completed at the look before each."""
        return np.concatenate([[0], self.ends[:-1]])

    @property
    def digest(self) -> str:
        """The same for the same tallies, whatever file they are from."""
        found = hashlib.blake2b(repr((self.arms, self.ends.tolist())).encode(), digest_size=16)
        for column in sorted(self.counts, key=lambda each: each.name):
            found.update(repr((column.name, self.counts[column].tolist())).encode())
        return found.hexdigest()

    def total(self, column: Column) -> Ints:
        """(K,) a column, over all looks."""
        return np.asarray(self.counts[column].sum(axis=0))

    def by_tick(self, columns: Sequence[Column], expected: Floats) -> Ints:
        """(t, K, C) columns by tick; what came in several ticks is spread in proportion to the `expected` (T,) requests.

        Of the running sum, whole units are in. So each look's total is kept.

        >>> seen = Tallies(("a",), np.array([2, 3]), {REQUESTS: np.array([[5], [1]])}, "seen.csv")
        >>> seen.by_tick([REQUESTS], np.array([1.0, 1.0, 1.0]))[:, 0, 0].tolist()
        [2, 3, 1]
        """
        spread = np.zeros((self.ticks, len(self.arms), len(columns)), np.int64)
        for look, (first, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            weight = np.cumsum(expected[first:end])
            share = weight / weight[-1] if weight[-1] > 0 else np.arange(1, end - first + 1) / (end - first)
            for place, column in enumerate(columns):
                own = self.counts[column][look]
                up_to = np.floor(share[:, None] * own + 1e-9).astype(np.int64)
                up_to[-1] = own
                spread[first:end, :, place] = np.diff(up_to, axis=0, prepend=0)
        return spread


def read_tallies(file: Path, world: World, per_interval: bool = False) -> Tallies:
    """The tallies of a CSV or Parquet file, cumulative or `per_interval`. Raises `InputError` with all that is wrong.

    Rows are counted from 1, without the header.
    """
    if (why := unreadable(file)) is not None:
        raise InputError([Problem(why, file=str(file))])
    return tallies_of(read_rows(file), str(file), world, per_interval)


def tallies_of(table: pa.Table, source: str, world: World, per_interval: bool = False) -> Tallies:
    """The tallies of a table: a row for each time and arm."""
    return _Reader(table, source, world, per_interval).read()


class _Reader:
    """Reads one table. `problems` are those found so far."""

    def __init__(self, table: pa.Table, source: str, world: World, per_interval: bool) -> None:
        self.table, self.source, self.world, self.per_interval = table, source, world, per_interval
        self.problems: list[Problem] = []

    def read(self) -> Tallies:
        named = self._named()
        self._stop()
        if self.table.num_rows == 0:
            raise InputError([Problem("has no rows", file=self.source)])
        tick, arm = self._ticks(), self._arms()
        units = {name: self._units(name, column) for name, column in named.items()}
        self._stop()
        ends, rows = self._laid_out(tick, arm)
        self._stop()
        table = {column: units[name][rows] for name, column in named.items()}
        counts = {}
        for name, column in named.items():
            counts[column] = self._added(name, column, table[column], rows)
        counts |= self._implied(counts)
        self._consistent(counts, rows, {column: name for name, column in named.items()})
        self._stop()
        return Tallies(self.world.arms, ends, counts, self.source, rows)

    def _stop(self) -> None:
        if self.problems:
            raise InputError(self.problems)

    def _wrong(self, column: str, row: int, message: str) -> None:
        self.problems.append(Problem(f"row {row + 1}: {message}", column, self.source))

    def _named(self) -> dict[str, Column]:
        """The telemetry column of each column of the table."""
        names = [name for name in self.table.column_names if name not in (TIME, ARM)]
        known = _known(self.world)
        found: dict[str, Column] = {}
        for name in names:
            column = known.get(name) or _above(name)
            if column is None:
                hint = did_you_mean(name, known) or there_are([*known, f"{_ABOVE}250ms"])
                self.problems.append(Problem(f"no such count or metric; {hint}", name, self.source))
            elif column in found.values():
                self.problems.append(Problem(f"says the same as another column: {column.name}", name, self.source))
            else:
                found[name] = column
        for name in (TIME, ARM, REQUESTS.name):
            if name not in self.table.column_names:
                hint = did_you_mean(name, names)
                self.problems.append(Problem(f"has no column {name}{f'; {hint}' if hint else ''}", file=self.source))
        return found

    def _ticks(self) -> Ints:
        """(N,) ticks completed at the time of each row."""
        values, world = self.table.column(TIME), self.world
        seconds, unread = parsed(values), []
        for row in np.flatnonzero(np.isnan(seconds)).tolist():
            try:
                seconds[row] = parse_duration(values[row].as_py())
            except UnitError:
                unread.append(row)
        if unread:
            rule = "must be the time since the start of the rollout, as 6h or in seconds"
            self._wrong(TIME, unread[0], f"{rule}; got {shown(values[unread[0]].as_py())}{_more(len(unread))}")
        ticks = np.rint(seconds / world.tick_s)
        # The start itself is no row: a moment after it is no tick.
        whole = (ticks >= 1) & (np.abs(seconds - ticks * world.tick_s) <= 1e-6 * world.tick_s)
        end, tick = format_duration(world.horizon_s), format_duration(world.tick_s)
        for rule, bad in (
            ("must be after the start", seconds <= 0),
            (f"must not be after the horizon of {end}", seconds > world.horizon_s * (1 + 1e-12)),
            (f"must be a whole number of ticks of {tick}", np.isfinite(seconds) & (seconds > 0) & ~whole),
        ):
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                self._wrong(TIME, row, f"{rule}, got {shown(values[row].as_py())}{_more(int(bad.sum()))}")
        usable = np.isfinite(seconds) & (np.abs(ticks) < 2**40)
        return np.where(usable, ticks, 0).astype(np.int64)

    def _arms(self) -> Ints:
        """(N,) the place of each row's arm."""
        texts = [str(value) for value in self.table.column(ARM).to_pylist()]
        place = {arm: number for number, arm in enumerate(self.world.arms)}
        bad = [row for row, text in enumerate(texts) if text not in place]
        if bad:
            hint = did_you_mean(texts[bad[0]], place) or there_are(place)
            self._wrong(ARM, bad[0], f"no arm {shown(texts[bad[0]])} in the scenario; {hint}{_more(len(bad))}")
        return np.array([place.get(text, 0) for text in texts], np.int64)

    def _units(self, name: str, column: Column) -> Ints:
        """(N,) the values of a column, in units of the metric's grid."""
        values = self.table.column(name)
        numbers = parsed(values)

        def refused(bad: Bools, rule: str) -> bool:
            at = np.flatnonzero(bad)
            if at.size:
                self._wrong(name, int(at[0]), f"{rule}, got {shown(values[int(at[0])].as_py())}{_more(at.size)}")
            return bool(at.size)

        nothing = np.zeros(numbers.size, np.int64)
        if refused(~np.isfinite(numbers), "must be a number"):
            return nothing
        scale = _scale(column, self.world)
        units = np.rint(numbers / scale)
        if refused(np.abs(units) > _LARGEST, "must be smaller in size"):
            return nothing
        if not _signed(column, self.world):
            refused(numbers < 0, "must not be negative")
        if scale == 1.0:
            refused(units != numbers, "must be a whole number")
        return units.astype(np.int64)

    def _laid_out(self, tick: Ints, arm: Ints) -> tuple[Ints, Ints]:
        """(L,) the ticks of the looks, and (L, K) the row of each look and arm."""
        ends, look = np.unique(tick, return_inverse=True)
        rows = np.full((ends.size, len(self.world.arms)), -1)
        for row, (at, who) in enumerate(zip(look.reshape(-1), arm, strict=True)):
            if rows[at, who] >= 0:
                self._wrong(ARM, row, f"{self.world.arms[who]} is there at this time already, in row {rows[at, who] + 1}")
            rows[at, who] = row
        for at, who in np.argwhere(rows < 0):
            when = format_duration(float(ends[at]) * self.world.tick_s)
            self.problems.append(Problem(f"has no row of {self.world.arms[who]} at {when}", ARM, self.source))
        return ends, rows

    def _added(self, name: str, column: Column, values: Ints, rows: Ints) -> Ints:
        """(L, K) what was added since the look before."""
        if self.per_interval:
            return values
        added = np.diff(values, axis=0, prepend=0)
        falls = np.argwhere(added < 0) if not _signed(column, self.world) else np.zeros((0, 2), np.int64)
        for look, arm in falls[:1]:
            scale = _scale(column, self.world)
            change = f"{values[look - 1, arm] * scale:,.12g} to {values[look, arm] * scale:,.12g}"
            hint = "counts are since the start; --per-interval says that they are of each interval"
            self._wrong(name, int(rows[look, arm]), f"must not fall with time, got {change}{_more(len(falls))}; {hint}")
        return added

    def _implied(self, counts: Mapping[Column, Ints]) -> dict[Column, Ints]:
        """Columns that are left out where they follow from others."""
        found: dict[Column, Ints] = {}
        world, nothing = self.world, np.zeros_like(counts[REQUESTS])
        for live in (True, False):
            as_seen = _live if live else _mirrored
            requests, responses, errors = (as_seen(each) for each in (REQUESTS, RESPONSES, ERRORS))
            if requests not in counts and responses not in counts:
                continue
            if responses not in counts:
                found[responses] = counts[requests]
            if requests not in counts:
                found[requests] = counts[responses]
            if errors not in counts and not world.may_fail:
                found[errors] = nothing
            found |= {as_seen(Count(kind)): nothing for kind in ("timeouts", "rejections", "retries")}
            answered = {**found, **counts}
            for outcome in world.outcomes if live else ():
                name = outcome.spec.name
                known, total, square = (Moment(name, moment) for moment in MOMENTS)
                if known not in counts and outcome.spec.delay is None:
                    if world.counts_failures or not world.may_fail:
                        found[known] = answered[responses]
                    elif errors in answered:
                        found[known] = answered[responses] - answered[errors]
                if square not in counts and total in counts and outcome.kind == "binary":
                    found[square] = counts[total]
        return {column: values for column, values in found.items() if column not in counts}

    def _consistent(self, counts: Mapping[Column, Ints], rows: Ints, names: Mapping[Column, str]) -> None:
        """Find parts that are larger than the whole."""
        pairs: list[tuple[Column, Column]] = []
        for column in counts:
            own = _mirrored if column.mirrored else _live
            if column.as_live() == RESPONSES:
                pairs.append((column, own(REQUESTS)))
            if column.as_live() == ERRORS or isinstance(column, Above | Agreement):
                pairs.append((column, own(RESPONSES)))
            if isinstance(column, Moment) and column.moment == "count":
                pairs.append((column, own(RESPONSES)))
            if isinstance(column, Moment) and column.moment == "sum" and _outcome(column, self.world).kind == "binary":
                pairs.append((column, own(Moment(column.metric, "count"))))
        for part, whole in pairs:
            if part not in counts or whole not in counts or (part not in names and whole not in names):
                continue
            so_far, most = counts[part].cumsum(axis=0), counts[whole].cumsum(axis=0)
            bad = np.argwhere(so_far > most)
            for look, arm in bad[:1]:
                named = names.get(part, part.name)
                rule = f"must not be more than {names.get(whole, whole.name)}"
                said = f"{so_far[look, arm]:,} of {most[look, arm]:,} so far"
                self._wrong(named, int(rows[look, arm]), f"{rule}, got {said}{_more(len(bad))}")
        for outcome in self.world.outcomes:
            self._spread(outcome, counts, rows, names)

    def _spread(
        self, outcome: OutcomeWorld, counts: Mapping[Column, Ints], rows: Ints, names: Mapping[Column, str]
    ) -> None:  # fmt: skip
        """Find a sum of squares that no amounts of this sum have."""
        columns = [Moment(outcome.spec.name, moment) for moment in MOMENTS]
        if outcome.kind == "binary" or any(column not in counts for column in columns):
            return
        known, total, square = (counts[column].cumsum(axis=0).astype(np.float64) for column in columns)
        bad = np.argwhere(square * known < total**2 * (1 - 1e-9))
        for look, arm in bad[:1]:
            rule = f"is less than any {known[look, arm]:,.0f} amounts of this sum have: it must be the sum of the squares"
            self._wrong(names.get(columns[2], columns[2].name), int(rows[look, arm]), f"{rule}{_more(len(bad))}")


def _known(world: World) -> dict[str, Column]:
    """The columns that a table may have, by their names; those of latency apart."""
    live: dict[str, Column] = {count.name: count for count in COUNTS}
    for outcome in world.outcomes:
        name = outcome.spec.name
        live |= {f"{name}.{moment}": Moment(name, moment) for moment in MOMENTS} | {name: Moment(name, "sum")}
    told: dict[str, Column] = {f"{_MIRROR}{count.name}": count.as_mirrored() for count in COUNTS}
    if world.agreement is not None:
        told |= {f"{_MIRROR}{AGREEMENT}.{moment}": Agreement(moment, mirrored=True) for moment in MOMENTS}
    return live | told


def _above(name: str) -> Column | None:
    """A column of responses above a limit, such as `latency.above.250ms`."""
    rest, mirrored = name.removeprefix(_MIRROR), name.startswith(_MIRROR)
    if not rest.startswith(_ABOVE):
        return None
    try:
        return Above(parse_duration(rest.removeprefix(_ABOVE)), mirrored=mirrored)
    except UnitError:
        return None


def _live(column: Column) -> Column:
    return column


def _mirrored(column: Column) -> Column:
    return column.as_mirrored()


def _outcome(column: Moment, world: World) -> OutcomeWorld:
    return world.outcome(column.metric)


def _scale(column: Column, world: World) -> float:
    """What one unit of a column is, in the unit of the table."""
    if not isinstance(column, Moment) or column.moment == "count":
        return 1.0
    grid = _outcome(column, world).grid
    return grid if column.moment == "sum" else grid**2


def _signed(column: Column, world: World) -> bool:
    """Whether a column may fall: a sum of amounts."""
    return isinstance(column, Moment) and column.moment == "sum" and _outcome(column, world).kind != "binary"


def _more(bad: int) -> str:
    return f", and so in {bad - 1:,} more rows" if bad > 1 else ""
