"""The comparison as columns of text that fit a width: columns are shortened, then left out, if there is no room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sim.compare.result import Comparison, PointComparison, PolicySummary
from sim.compare.trials import BASELINES
from sim.compare.wording import duration, plus_minus, quantity, share, with_interval
from sim.report.many import is_many, thinned
from sim.run.record import Record
from sim.stats.intervals import Estimate

Write = Callable[[Estimate], str]

GAP = 2
LONGEST_NAME = 24
BROKEN = "!"
"""The mark of a policy whose promise does not hold: warned of before the run, or seen in A/A tests."""
NEVER = "never"
"""A time that is not reached by the horizon."""

_ASCII = str.maketrans({"±": "+/-", "–": "-", "…": "..."})


def in_ascii(text: str) -> str:
    """The text in ASCII, for a terminal without other characters."""
    return text.translate(_ASCII)


def _bare(write: Callable[[float], str], missing: str = "–") -> Write:
    return lambda estimate: missing if estimate.estimate is None else write(estimate.estimate)


def _share_interval(estimate: Estimate) -> str:
    return with_interval(estimate, "share") if estimate.n else "–"


@dataclass(frozen=True)
class TableColumn:
    """One measure: its heading in two lines, and how it is written, from the widest form to the narrowest.

    `is_time`: whether an estimate may be beyond the horizon.
    """

    measure: str
    heading: tuple[str, str]
    forms: tuple[Write, ...]
    is_time: bool = False

    def cell(self, form: int, estimate: Estimate) -> str:
        """The text of an estimate."""
        return NEVER if self.unreached(estimate) else self.forms[form](estimate)

    def unreached(self, estimate: Estimate) -> bool:
        """Whether the estimate is of a time that is not reached by the horizon."""
        return self.is_time and estimate.estimate is None and estimate.n > 0

    @property
    def called(self) -> str:
        """The heading in one line."""
        return " ".join(self.heading).replace("- ", "").strip()


@dataclass(frozen=True)
class Columns:
    """The columns of a table, and what gives way where the width is too small: each time a measure is named it is written in
    its next shorter form, or at last left out.
    """

    columns: tuple[TableColumn, ...]
    shrink: tuple[str, ...]


def _time(measure: str, *heading: str) -> TableColumn:
    first, second = heading
    return TableColumn(measure, (first, second), (_bare(duration),), is_time=True)


_SHARE = _bare(share)
_UNDECIDED = TableColumn("undecided", ("un-", "decided"), (_SHARE,))
_REGRET = TableColumn("regret", ("", "regret"), (plus_minus, _bare(quantity)))
_NET_VALUE = TableColumn("net_value", ("net", "value"), (plus_minus, _bare(quantity)))
_A_YEAR = TableColumn("value_per_year", ("value", "a year"), (plus_minus, _bare(quantity)))
_HALF_BY = _time("time_to_decision_p50", "half", "by")
ONE_POINT = Columns(
    (
        TableColumn("ship", ("", "ship"), (_SHARE,)),
        TableColumn("keep", ("", "keep"), (_SHARE,)),
        TableColumn("inconclusive", ("incon-", "clusive"), (_SHARE,)),
        _UNDECIDED,
        _HALF_BY,
        TableColumn("correct", ("", "correct"), (_SHARE,)),
        TableColumn("wrong_ship", ("wrong", "ship"), (_share_interval, _SHARE)),
        TableColumn("no_better_if_shipped", ("no better,", "if shipped"), (_SHARE,)),
        TableColumn("missed_win", ("missed", "win"), (_share_interval, _SHARE)),
        TableColumn("aa_declared", ("declares", "in A/A"), (_SHARE,)),
        _NET_VALUE,
        TableColumn("net_value_worst", ("in worst", "5%"), (_bare(quantity),)),
        _A_YEAR,
        _REGRET,
        TableColumn("peak_exposure", ("peak", "exposure"), (_SHARE,)),
        TableColumn("harmed_requests", ("harmed", "requests"), (_bare(quantity),)),
        TableColumn("lost_requests", ("lost", "requests"), (_bare(quantity),)),
        TableColumn("duplicated_writes", ("writes", "twice"), (_bare(quantity),)),
        TableColumn("slo_violation_rate", ("failed", "or slow"), (_SHARE,)),
        TableColumn("budget_burned", ("budget", "burned"), (_SHARE,)),
    ),
    (
        "regret", "regret", "missed_win", "wrong_ship", "peak_exposure", "inconclusive", "correct", "harmed_requests",
        "net_value", "budget_burned", "keep", "no_better_if_shipped", "missed_win", "slo_violation_rate", "net_value_worst",
        "time_to_decision_p50", "wrong_ship", "ship", "undecided", "aa_declared", "lost_requests",
        "duplicated_writes", "net_value", "value_per_year", "value_per_year",
    ),
)  # fmt: skip
"""Policies side by side."""
RELEASE = Columns(
    (
        TableColumn("ship", ("", "ship"), (_SHARE,)),
        TableColumn("keep", ("roll", "back"), (_SHARE,)),
        TableColumn("inconclusive", ("incon-", "clusive"), (_SHARE,)),
        _UNDECIDED,
        _HALF_BY,
        TableColumn("correct", ("", "correct"), (_SHARE,)),
        TableColumn("false_rollback", ("healthy,", "rolled back"), (_share_interval, _SHARE)),
        TableColumn("missed_regression", ("bad,", "shipped"), (_share_interval, _SHARE)),
        TableColumn("bad_ship_effect", ("how bad,", "if shipped"), (_SHARE,)),
        _time("time_to_keep_if_worse", "bad, until", "rolled back"),
        _NET_VALUE,
        TableColumn("net_value_worst", ("in worst", "5%"), (_bare(quantity),)),
        TableColumn("peak_exposure", ("peak", "exposure"), (_SHARE,)),
        TableColumn("harmed_requests", ("harmed", "requests"), (_bare(quantity),)),
        TableColumn("lost_requests", ("lost", "requests"), (_bare(quantity),)),
        TableColumn("duplicated_writes", ("writes", "twice"), (_bare(quantity),)),
        TableColumn("slo_violation_rate", ("failed", "or slow"), (_SHARE,)),
        TableColumn("budget_burned", ("budget", "burned"), (_SHARE,)),
    ),
    (
        "peak_exposure", "inconclusive", "correct", "net_value", "net_value_worst", "budget_burned", "keep",
        "missed_regression", "slo_violation_rate", "bad_ship_effect", "false_rollback", "time_to_decision_p50", "ship",
        "undecided", "lost_requests", "duplicated_writes", "net_value", "harmed_requests", "time_to_keep_if_worse",
    ),
)  # fmt: skip
"""Policies side by side, where a challenger only must not be worse: what becomes of healthy releases and of bad ones."""
ALONG = Columns(
    (
        TableColumn("ship", ("", "ship"), (_share_interval, _SHARE)),
        TableColumn("wrong_ship", ("wrong", "ship"), (_SHARE,)),
        _UNDECIDED,
        _time("time_to_decision_p20", "20%", "by"),
        _HALF_BY,
        _time("time_to_decision_p80", "80%", "by"),
        _time("time_to_decision", "mean", "time"),
        _NET_VALUE,
        _A_YEAR,
        _REGRET,
    ),
    (
        "regret", "regret", "time_to_decision_p20", "time_to_decision_p80", "ship", "time_to_decision", "net_value",
        "time_to_decision_p50", "wrong_ship", "ship", "undecided", "net_value", "value_per_year", "value_per_year",
    ),
)  # fmt: skip
"""How the policies change along swept values."""


@dataclass(frozen=True)
class Layout:
    """The table as text: heading (two lines of cells), rows of (cell, is best), what did not fit, and which rows are quiet.

    `unreached`: whether some cell is a time that is not reached by the horizon.
    """

    heading: tuple[tuple[str, str], ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    left_out: tuple[str, ...]
    quiet: tuple[bool, ...]
    unreached: bool

    @property
    def has_mark(self) -> tuple[bool, ...]:
        """Whether each column has a cell that is marked as best."""
        return tuple(any(row[at][1] for row in self.rows) for at in range(len(self.heading)))

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each column in characters, with room for the mark if the column has one."""
        return tuple(
            max(*map(len, heading), *(len(row[at][0]) + marked for row in self.rows))
            for at, (heading, marked) in enumerate(zip(self.heading, self.has_mark, strict=True))
        )

    @property
    def width(self) -> int:
        """The width of a row in characters."""
        return sum(self.widths) + GAP * (len(self.widths) - 1)

    def cells(self, row: tuple[tuple[str, bool], ...]) -> list[str]:
        """The texts of a row, with their marks."""
        return [text + ("*" if marked else " " * room) for (text, marked), room in zip(row, self.has_mark, strict=True)]

    def in_ascii(self) -> Layout:
        """The layout in ASCII, for a terminal without other characters."""
        return replace(self, rows=tuple(tuple((in_ascii(text), marked) for text, marked in row) for row in self.rows))


@dataclass(frozen=True)
class Line:
    """A row of the table to be: a policy, its values of the keys, and the measures in which it is marked as best.

    `name` is empty where it stands in a row above.
    """

    name: str
    values: tuple[str, ...]
    policy: PolicySummary
    best: Collection[str] = ()
    warned: bool = False


def fitted(comparison: Comparison, width: int) -> Layout:
    """The layout of a comparison in a number of characters: policy by policy, a row a point."""
    keys = [path.rpartition(".")[2] for path in comparison.paths]
    side_by_side = RELEASE if comparison.run.goal == "not_worse" else ONE_POINT
    return fit(_lines(comparison), keys, priced(ALONG if comparison.paths else side_by_side, comparison.run), width)


def priced(columns: Columns, run: Record) -> Columns:
    """The columns with the currency in the heading of the net value, where the run has one."""
    if run.value is None or run.value.currency is None:
        return columns
    unit = shortened(printable(run.value.currency), 12)

    def named(column: TableColumn) -> TableColumn:
        return replace(column, heading=("net value", unit)) if column.measure == "net_value" else column

    return replace(columns, columns=tuple(map(named, columns.columns)))


def fit(lines: Sequence[Line], keys: Sequence[str], chosen: Columns, width: int) -> Layout:
    """The layout of some rows in a number of characters; `keys` are the headings of their values."""
    columns = {column.measure: column for column in chosen.columns}
    forms = dict.fromkeys(columns, 0)
    # What never happened, and what is not known, has no column.
    for measure in ("inconclusive", "lost_requests", "duplicated_writes", "slo_violation_rate"):
        if not any(_ever(lines, measure)):
            forms.pop(measure, None)
    for measure in ("aa_declared", "net_value", "net_value_worst", "value_per_year", "bad_ship_effect", "budget_burned"):
        if not _known(lines, measure):
            forms.pop(measure, None)
    shrink = chosen.shrink
    if "net_value" not in forms:
        # Policies are chosen by regret then, so it gives way last.
        shrink = tuple("regret" if measure == "net_value" else measure for measure in shrink if measure != "regret")
    left_out: list[str] = []
    layout = _layout(lines, keys, columns, forms, (), width)
    for measure in shrink:
        if layout.width <= width:
            break
        if measure not in forms:
            continue
        forms[measure] += 1
        if forms[measure] == len(columns[measure].forms):
            del forms[measure]
            left_out.append(columns[measure].called)
        layout = _layout(lines, keys, columns, forms, tuple(left_out), width)
    return layout


def _known(lines: Sequence[Line], measure: str) -> bool:
    return any(estimate is not None for estimate in _ever(lines, measure))


def _ever(lines: Sequence[Line], measure: str) -> list[float | None]:
    return [line.policy.measures[measure].estimate for line in lines]


def _lines(comparison: Comparison) -> list[Line]:
    """A row a policy and point. Of several points, the name of a policy stands in the first of its rows only."""
    lines = []
    for each in comparison.run.policies:
        name = each.name
        for point in thinned(comparison.points) if is_many(comparison) else comparison.points:
            policy = point.policy(each.name)
            if policy is not None:
                best = [measure for measure in policy.measures if _is_best(comparison, point, policy, measure)]
                lines.append(Line(name, point.values, policy, best, each.warned))
                name = ""
    return lines


def _layout(
    lines: Sequence[Line], keys: Sequence[str], columns: Mapping[str, TableColumn], forms: Mapping[str, int],
    left_out: tuple[str, ...], width: int,
) -> Layout:  # fmt: skip
    longest_name = min(LONGEST_NAME, max(width // (4 if keys else 3), 8))
    longest_value = min(LONGEST_NAME, max(width // 4, 8))
    rows = []
    unreached = False
    for line in lines:
        name = shortened(line.name, longest_name) + (BROKEN if line.name and line.warned else "")
        row = [(name, False), *((shortened(printable(value), longest_value), False) for value in line.values)]
        for measure, form in forms.items():
            column, estimate = columns[measure], line.policy.measures[measure]
            unreached |= column.unreached(estimate)
            broken = BROKEN if measure == "aa_declared" and line.policy.breaks_promise else ""
            row.append((column.cell(form, estimate) + broken, measure in line.best))
        rows.append(tuple(row))
    heading = (
        ("", "policy"), *(("", shortened(key, longest_value)) for key in keys),
        *(columns[measure].heading for measure in forms),
    )  # fmt: skip
    return Layout(heading, tuple(rows), left_out, tuple(line.policy.kind in BASELINES for line in lines), unreached)


def _is_best(comparison: Comparison, point: PointComparison, policy: PolicySummary, measure: str) -> bool:
    """Whether a cell is marked: side by side, where the best are not all that there are to choose from."""
    if comparison.paths:
        return False
    best = point.best.get(measure, ())
    return policy.policy in best and len(best) < sum(each.kind not in BASELINES for each in point.policies)


def shortened(name: str, most: int) -> str:
    """The name, with its middle left out if it is too long: names often differ at their ends.

    >>> shortened("relative_effect", 10), shortened("rate", 10)
    ('relati…ect', 'rate')
    """
    tail = (most - 1) // 3
    return name if len(name) <= most else f"{name[: most - 1 - tail]}…{name[len(name) - tail :]}"


def printable(text: str) -> str:
    """The text without control characters of a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
