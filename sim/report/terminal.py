"""The comparison as a table in a terminal: what each policy decides, how soon, and what it costs."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TextIO

from sim.compare.elsewhere import unplayed
from sim.compare.result import Comparison, PolicySummary
from sim.compare.wording import duration, where_missing
from sim.engine.common import IN_COMMON
from sim.errors import plain
from sim.report import elsewhere
from sim.report.layout import BROKEN, GAP, NEVER, Layout, fitted, in_ascii, printable
from sim.report.listed import NAME as LISTED
from sim.report.many import MOST_WARNED, ROWS, is_many

Display = Literal["auto", "rich", "plain", "none"]

# Longer lines of text are hard to read, even on a wide screen.
WIDEST_TEXT = 100
WIDTH_OF_A_FILE, NARROWEST = 120, 20


def table(comparison: Comparison, *, display: Display = "auto", file: TextIO, width: int | None = None) -> None:
    """Write the verdict and the comparison table to `file`: a row a policy, or where keys are swept a row a policy and point.

    `auto` takes `rich` where the file is a terminal, and `plain`, which has no control characters, elsewhere. `none`
    writes nothing. Columns that do not fit the width are written shorter or left out, and the footnote names them. `width` is
    in characters, and that of the terminal if left out.

    >>> import io
    >>> table(None, display="none", file=io.StringIO())  # type: ignore[arg-type]
    """
    written(
        lambda most: fitted(comparison, most), lambda: _above(comparison), lambda layout: _below(comparison, layout),
        display=display, file=file, width=width,
    )  # fmt: skip


def written(
    fit: Callable[[int], Layout],
    above: Callable[[], Sequence[str]],
    below: Callable[[Layout], Sequence[str]],
    *,
    display: Display,
    file: TextIO,
    width: int | None,
) -> None:
    """Write paragraphs, a table that `fit` makes for a width, and lines about it, as `table` says."""
    if display == "none":
        return
    tty = file.isatty()
    pretty = display == "rich" or (display == "auto" and tty and _is_utf(file))
    found = width or (shutil.get_terminal_size((WIDTH_OF_A_FILE, 24)).columns if tty or display == "rich" else WIDTH_OF_A_FILE)
    width = max(found, NARROWEST)
    layout = fit(width)
    if not _is_utf(file):
        layout = layout.in_ascii()
    text_width = min(width, WIDEST_TEXT)
    head = "\n".join(_wrapped(line, text_width) for line in above())
    foot = "\n".join(_wrapped(line, text_width) for line in below(layout))
    if not _is_utf(file):
        head, foot = in_ascii(head), in_ascii(foot)
    if pretty:
        _rich(layout, head, foot, file, width)
        return
    lines = [head, "", *_plain(layout), "", foot] if layout.rows else [head, foot]
    encoding = getattr(file, "encoding", None) or "utf-8"
    # A terminal that cannot show a name's letters must not end the program.
    file.write(("\n".join(lines).rstrip() + "\n").encode(encoding, "replace").decode(encoding))


def _above(comparison: Comparison) -> list[str]:
    question = printable(plain(comparison.run.question))
    return [*([question, ""] if question else []), printable(comparison.verdict)]


def _below(comparison: Comparison, layout: Layout) -> list[str]:
    run = comparison.run
    lines = []
    if layout.rows:
        lines.append(_footnote(comparison, layout))
    judged = [each for each in comparison.thresholds if each.breached or each.estimate.n == 0]
    lines += [f"threshold {judgement}" for judgement in judged[:MOST_WARNED]]
    if len(judged) > MOST_WARNED:
        lines.append(f"and {len(judged) - MOST_WARNED:,} more thresholds that are breached, or have no case (summary.json)")
    if len(comparison.points) == 1:
        lines += elsewhere.lines(run, comparison.points[0])
    if run.status != "finished":
        having = [[policy.policy for policy in point.policies] for point in comparison.points]
        missing = [*filter(None, [where_missing([policy.name for policy in run.policies], having)]), *unplayed(run)]
        lines.append(f"Interrupted: no trials yet of {', '.join(missing) or 'nothing'}; run again to resume.")
    return lines


def _footnote(comparison: Comparison, layout: Layout) -> str:
    runs = [point.run for point in comparison.run.points]
    engines = list(dict.fromkeys(run.engine for run in runs))
    counts = {policy.measures["ship"].n for point in comparison.points for policy in point.policies}
    replications = f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"
    lasting = " or ".join(dict.fromkeys(duration(run.horizon_s) for run in runs))
    shown = f"{ROWS} of {len(comparison.points):,} points ({LISTED} has all)" if is_many(comparison) else ""
    parts = [shown, f"{replications} replications of {lasting} each", f"engine {' and '.join(engines)}" if any(engines) else ""]
    if len(engines) == 1 and engines[0] in IN_COMMON:
        parts.append(IN_COMMON[engines[0]])
    policies = [policy for point in comparison.points for policy in point.policies]
    parts += notes(layout, policies, warned=any(policy.warned for policy in comparison.run.policies))
    return "; ".join(part for part in parts if part) + "."


def notes(layout: Layout, policies: Iterable[PolicySummary], *, warned: bool) -> list[str]:
    """What to know of the cells of a table: their marks, and the columns that there was no room for."""
    parts = ["± and ranges are 95% Monte-Carlo intervals"]
    if layout.unreached:
        parts.append(f"{NEVER}: not by the horizon")
    if any(layout.has_mark):
        parts.append(
            "* best, or not shown to be worse, of the policies that decide half of their trials, and are not shown to ship "
            "wrongly more often than promised (baselines aside)"
        )
    if any(policy.breaks_promise for policy in policies):
        parts.append(f"{BROKEN} declares more often than it promises where all arms are alike, beyond chance")
    if warned:
        parts.append(f"{BROKEN} after a name: warned of before the run")
    if layout.left_out:
        parts.append(f"left out for want of width: {', '.join(layout.left_out)}")
    return parts


def _plain(layout: Layout) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, layout.widths, strict=True))
        ]
        return (" " * GAP).join(padded).rstrip()

    first, second = (line([heading[at] for heading in layout.heading]) for at in (0, 1))
    return [first, second, "-" * layout.width, *(line(layout.cells(row)) for row in layout.rows)]


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
        shown = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
        for at, heading in enumerate(layout.heading):
            title = Text("\n".join(heading))
            shown.add_column(title, justify="left" if at == 0 else "right", no_wrap=True, vertical="bottom")
        for quiet, row in zip(layout.quiet, layout.rows, strict=True):
            texts = [
                Text(text, style="bold green" if marked else "")
                for text, (_, marked) in zip(layout.cells(row), row, strict=True)
            ]
            shown.add_row(*texts, style="dim" if quiet else "")
        console.print()
        console.print(shown)
        console.print()
    console.print(Text(below, style="dim"))


def _wrapped(text: str, width: int) -> str:
    kept = re.sub(r"(?<=\d) (?=(?:s|min|h|d)\b)", "\N{NO-BREAK SPACE}", text)
    # What goes on of a row of columns stands further in than the row.
    below = "      " if text.startswith("  ") else ""
    wrapped = textwrap.fill(kept, width, break_long_words=False, break_on_hyphens=False, subsequent_indent=below)
    return wrapped.replace("\N{NO-BREAK SPACE}", " ")


def _is_utf(file: TextIO) -> bool:
    return (getattr(file, "encoding", None) or "utf-8").lower().startswith("utf")
