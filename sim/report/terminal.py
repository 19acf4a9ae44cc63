"""The comparison as a table in a terminal: what each policy decides, how soon, and what it costs."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TextIO

from sim.compare.result import Comparison, PolicySummary
from sim.compare.sweep import SweepComparison
from sim.compare.trials import BASELINES
from sim.compare.wording import duration, plus_minus, quantity, share, with_interval
from sim.engine.catalogue import ENGINES
from sim.stats.intervals import Estimate

Display = Literal["auto", "rich", "plain", "none"]
Write = Callable[[Estimate], str]

# Lines of text longer than this are hard to read, however wide the screen.
WIDEST_TEXT = 100
WIDTH_OF_A_FILE = 120
GAP = 2
LONGEST_NAME = 24

_ASCII = str.maketrans({"±": "+/-", "–": "-", "…": "..."})


def _bare(write: Callable[[float], str], missing: str = "–") -> Write:
    return lambda estimate: missing if estimate.estimate is None else write(estimate.estimate)


def _time(estimate: Estimate) -> str:
    return "–" if estimate.n == 0 else "never" if estimate.estimate is None else duration(estimate.estimate)


def _share_interval(estimate: Estimate) -> str:
    return with_interval(estimate, "share") if estimate.n else "–"


@dataclass(frozen=True)
class TableColumn:
    """One measure: its heading in two lines, and how it is written, from the widest form to the narrowest."""

    measure: str
    heading: tuple[str, str]
    forms: tuple[Write, ...]


_SHARE = _bare(share)
COLUMNS = (
    TableColumn("ship", ("", "ship"), (_SHARE,)),
    TableColumn("keep", ("", "keep"), (_SHARE,)),
    TableColumn("inconclusive", ("incon-", "clusive"), (_SHARE,)),
    TableColumn("undecided", ("un-", "decided"), (_SHARE,)),
    TableColumn("time_to_decision_p50", ("half", "by"), (_time,)),
    TableColumn("correct", ("", "correct"), (_SHARE,)),
    TableColumn("wrong_ship", ("wrong", "ship"), (_share_interval, _SHARE)),
    TableColumn("missed_win", ("missed", "win"), (_share_interval, _SHARE)),
    TableColumn("regret", ("", "regret"), (plus_minus, _bare(quantity))),
    TableColumn("peak_exposure", ("peak", "exposure"), (_SHARE,)),
    TableColumn("harmed_requests", ("harmed", "requests"), (_bare(quantity),)),
)
SWEPT = (
    TableColumn("ship", ("", "ship"), (_share_interval,)),
    TableColumn("wrong_ship", ("wrong", "ship"), (_SHARE,)),
    TableColumn("undecided", ("un-", "decided"), (_SHARE,)),
    TableColumn("time_to_decision_p20", ("20%", "by"), (_time,)),
    TableColumn("time_to_decision_p50", ("half", "by"), (_time,)),
    TableColumn("time_to_decision_p80", ("80%", "by"), (_time,)),
    TableColumn("time_to_decision", ("mean", "time"), (_time,)),
    TableColumn("regret", ("", "regret"), (plus_minus,)),
)
SWEPT_SHRINK = tuple(SWEPT[place] for place in (2, 3, 5, 7, 1, 6, 4, 0))
# What goes first where the terminal is too narrow: a measure is written shorter, and then left out.
SHRINK = (
    "missed_win", "wrong_ship", "peak_exposure", "harmed_requests", "regret", "inconclusive", "correct",
    "regret", "keep", "missed_win", "undecided", "wrong_ship",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The table as text: heading (two lines of cells), rows of (cell, is best), what did not fit, and which rows are quiet."""

    heading: tuple[tuple[str, str], ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    left_out: tuple[str, ...]
    quiet: tuple[bool, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Of each column, a place for the mark included where a cell of it has one."""
        return tuple(
            max(
                *(len(line) for line in heading),
                *(len(text) + any(row[at][1] for row in self.rows) for text, _ in (row[at] for row in self.rows)),
            )
            for at, heading in enumerate(self.heading)
        )

    @property
    def width(self) -> int:
        """Of a row."""
        return sum(self.widths) + GAP * (len(self.widths) - 1)

    def in_ascii(self) -> Layout:
        """The same, for a terminal that knows no other characters."""
        rows = tuple(tuple((text.translate(_ASCII), marked) for text, marked in row) for row in self.rows)
        return replace(self, rows=rows)


def table(comparison: Comparison | SweepComparison, *, display: Display = "auto", file: TextIO) -> None:
    """Write the verdict and the comparison table to `file`; of a sweep, a row a policy and point.

    `auto` takes `rich` where the file is a terminal, and `plain`, which has no control characters, elsewhere. `none`
    writes nothing. Columns that do not fit the width are written shorter or left out, and the footnote names them.

    >>> import io
    >>> table(None, display="none", file=io.StringIO())  # type: ignore[arg-type]
    """
    if display == "none":
        return
    tty = file.isatty()
    pretty = display == "rich" or (display == "auto" and tty and _is_utf(file))
    width = max(shutil.get_terminal_size((WIDTH_OF_A_FILE, 24)).columns, 20) if tty or display == "rich" else WIDTH_OF_A_FILE
    layout = fitted_sweep(comparison, width) if isinstance(comparison, SweepComparison) else fitted(comparison, width)
    if not _is_utf(file):
        layout = layout.in_ascii()
    text_width = min(width, WIDEST_TEXT)
    above = "\n".join(_wrapped(line, text_width) for line in _above(comparison))
    below = "\n".join(_wrapped(line, text_width) for line in _below(comparison, layout))
    if not _is_utf(file):
        above, below = above.translate(_ASCII), below.translate(_ASCII)
    if pretty:
        _rich(layout, above, below, file, width)
        return
    lines = [above, "", *_plain(layout), "", below] if layout.rows else [above, below]
    encoding = getattr(file, "encoding", None) or "utf-8"
    # A terminal that cannot show a name's letters must not end the program.
    file.write(("\n".join(lines).rstrip() + "\n").encode(encoding, "replace").decode(encoding))


def fitted(comparison: Comparison, width: int) -> Layout:
    """The layout of a comparison in a number of characters."""
    forms = {column.measure: 0 for column in COLUMNS}
    if not any(policy.measures["inconclusive"].estimate for policy in comparison.policies):
        del forms["inconclusive"]
    left_out: list[str] = []
    layout = _layout(comparison, forms, (), width)
    for measure in SHRINK:
        if layout.width <= width:
            break
        column = next(column for column in COLUMNS if column.measure == measure)
        if measure not in forms:
            continue
        forms[measure] += 1
        if forms[measure] == len(column.forms):
            del forms[measure]
            left_out.append(_called(column))
        layout = _layout(comparison, forms, tuple(left_out), width)
    return layout


def _layout(comparison: Comparison, forms: Mapping[str, int], left_out: tuple[str, ...], width: int) -> Layout:
    columns = [column for column in COLUMNS if column.measure in forms]
    candidates = sum(policy.kind not in BASELINES for policy in comparison.policies)

    def cells(policy: PolicySummary) -> tuple[tuple[str, bool], ...]:
        found = [(_shortened(policy.policy, min(LONGEST_NAME, max(width // 3, 8))), False)]
        for column in columns:
            best = comparison.best[column.measure]
            # Where none is shown to be worse, nothing stands out.
            marked = policy.policy in best and len(best) < candidates
            found.append((column.forms[forms[column.measure]](policy.measures[column.measure]), marked))
        return tuple(found)

    heading = (("", "policy"), *(column.heading for column in columns))
    quiet = tuple(policy.kind in BASELINES for policy in comparison.policies)
    return Layout(heading, tuple(cells(policy) for policy in comparison.policies), left_out, quiet)


def fitted_sweep(sweep: SweepComparison, width: int) -> Layout:
    """The layout of a sweep in a number of characters: policy by policy, a row a point."""
    columns = [*SWEPT]
    while True:
        layout = _swept(sweep, columns, width)
        if layout.width <= width or not columns:
            return layout
        columns.remove(next(column for column in SWEPT_SHRINK if column in columns))


def _swept(sweep: SweepComparison, columns: Sequence[TableColumn], width: int) -> Layout:
    """A row a policy and point. The name of a policy stands in the first of its rows only."""
    rows, quiet = [], []
    for each in sweep.run.policies:
        found = [
            (point.values, policy)
            for point in sweep.points
            for policy in point.comparison.policies
            if policy.policy == each.name
        ]
        for at, (values, policy) in enumerate(found):
            name = _shortened(each.name, min(LONGEST_NAME, max(width // 4, 8))) if at == 0 else ""
            texts = [name, *(_shortened(_printable(value), LONGEST_NAME) for value in values)]
            texts += [column.forms[0](policy.measures[column.measure]) for column in columns]
            rows.append(tuple((text, False) for text in texts))
            quiet.append(each.kind in BASELINES)
    keys = [("", _shortened(path.rpartition(".")[2], LONGEST_NAME)) for path in sweep.paths]
    heading = (("", "policy"), *keys, *(column.heading for column in columns))
    left_out = tuple(_called(column) for column in SWEPT if column not in columns)
    return Layout(heading, tuple(rows), left_out, tuple(quiet))


def _called(column: TableColumn) -> str:
    return " ".join(column.heading).replace("- ", "").strip()


def _above(comparison: Comparison | SweepComparison) -> list[str]:
    question = _printable(comparison.run.question)
    return [*([question, ""] if question else []), _printable(comparison.verdict)]


def _below(comparison: Comparison | SweepComparison, layout: Layout) -> list[str]:
    run = comparison.run
    lines = []
    if layout.rows:
        lines.append(_footnote(comparison, layout))
    lines += [
        f"threshold {judgement}" for judgement in comparison.thresholds if judgement.breached or judgement.estimate.n == 0
    ]
    if run.status != "finished":
        if isinstance(comparison, SweepComparison):
            lines.append("Interrupted: not every policy has trials at every point; run again to resume.")
        else:
            done = {policy.policy for policy in comparison.policies}
            missing = [each.name for each in run.policies if each.name not in done]
            lines.append(f"Interrupted: no trials yet of {', '.join(missing) or 'nothing'}; run again to resume.")
    return lines


def _footnote(comparison: Comparison | SweepComparison, layout: Layout) -> str:
    runs = comparison.run.runs
    every = [each.comparison for each in comparison.points] if isinstance(comparison, SweepComparison) else [comparison]
    engines = list(dict.fromkeys(run.engine for run in runs))
    counts = {policy.measures["ship"].n for each in every for policy in each.policies}
    replications = f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"
    lasting = " or ".join(dict.fromkeys(duration(run.horizon_s) for run in runs))
    parts = [f"{replications} replications of {lasting} each", f"engine {' and '.join(engines)}" if any(engines) else ""]
    if len(engines) == 1 and engines[0] in ENGINES:
        parts.append(ENGINES[engines[0]].common)
    parts.append("± and ranges are 95% Monte-Carlo intervals")
    if any("never" in (text for text, _ in row) for row in layout.rows):
        parts.append("never: not by the horizon")
    if any(marked for row in layout.rows for _, marked in row):
        parts.append("* best, or not shown to be worse, of the policies that decide half of their trials (baselines aside)")
    if layout.left_out:
        parts.append(f"left out for want of width: {', '.join(layout.left_out)}")
    return "; ".join(part for part in parts if part) + "."


def _plain(layout: Layout) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, layout.widths, strict=True))
        ]
        return (" " * GAP).join(padded).rstrip()

    has_mark = [any(row[at][1] for row in layout.rows) for at in range(len(layout.heading))]

    def cells(row: tuple[tuple[str, bool], ...]) -> list[str]:
        return [text + ("*" if marked else " " * room) for (text, marked), room in zip(row, has_mark, strict=True)]

    first, second = (line([heading[at] for heading in layout.heading]) for at in (0, 1))
    return [first, second, "-" * layout.width, *(line(cells(row)) for row in layout.rows)]


def _rich(layout: Layout, above: str, below: str, file: TextIO, width: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, force_terminal=True, width=width, highlight=False)
    question, _, answer = above.rpartition("\n\n")
    if question:
        console.print(Text(question, style="dim"))
        console.print()
    console.print(Text(answer, style="bold"))
    if layout.rows:
        has_mark = [any(row[at][1] for row in layout.rows) for at in range(len(layout.heading))]
        shown = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
        for at, heading in enumerate(layout.heading):
            title = Text("\n".join(heading))
            shown.add_column(title, justify="left" if at == 0 else "right", no_wrap=True, vertical="bottom")
        for quiet, row in zip(layout.quiet, layout.rows, strict=True):
            texts = [
                Text(text + ("*" if marked else " " * room), style="bold green" if marked else "")
                for (text, marked), room in zip(row, has_mark, strict=True)
            ]
            shown.add_row(*texts, style="dim" if quiet else "")
        console.print()
        console.print(shown)
        console.print()
    console.print(Text(below, style="dim"))


def _wrapped(text: str, width: int) -> str:
    kept = re.sub(r"(?<=\d) (?=(?:s|min|h|d)\b)", "\N{NO-BREAK SPACE}", text)
    wrapped = textwrap.fill(kept, width, break_long_words=False, break_on_hyphens=False)
    return wrapped.replace("\N{NO-BREAK SPACE}", " ")


def _shortened(name: str, most: int) -> str:
    """Both ends of a name that is too long, for that is where names differ."""
    tail = (most - 1) // 3
    return name if len(name) <= most else f"{name[: most - 1 - tail]}…{name[len(name) - tail :]}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _is_utf(file: TextIO) -> bool:
    return (getattr(file, "encoding", None) or "utf-8").lower().startswith("utf")
