"""The report as Markdown, for a pull request: the verdict and the comparison table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sim.report import sweep, tables
from sim.report.numbers import in_line
from sim.report.source import Source, read
from sim.run.folder import write_text

NAME = "report.md"


def write(folder: Path) -> Path:
    """Write `report.md` to a run folder from the files in it, whole or not at all, and return its path.

    Raises `InputError` naming each file that is missing or unreadable.
    """
    file = folder / NAME
    write_text(file, page(read(folder)))
    return file


def page(source: Source) -> str:
    """The verdict, what is not finished or breached, and the main measures: one row a policy, or of a sweep one a point."""
    run = source.run
    parts = [f"# {escape(run.name)}"]
    if run.question:
        parts.append(f"_{escape(run.question)}_")
    swept = run.sweep is not None
    parts.append(f"**{escape(source.summary['verdict'])}**")
    if said := tables.missing(source):
        parts.append(escape(said))
    if rows := source.summary["thresholds"]:
        parts.append("\n".join(f"- {_threshold(source, row)}" for row in rows))
    parts += _by_measure(source) if swept else [_by_policy(source)]
    parts.append(escape(tables.facts(source)))
    parts.append(f"Scenario digest `{run.digest[:10]}`, sim {escape(run.sim_version)}.")
    return "\n\n".join(parts) + "\n"


def _by_policy(source: Source) -> str:
    measures, main = source.summary["measures"], tables.columns(source)
    header = ["policy", *(measures[name]["label"] for name in main)]
    lines = [_line(header), _line(["---", *("---:" for _ in main)], raw=True)]
    for row in source.policies:
        lines.append(_line([row["policy"], *(in_line(row["measures"].get(name), measures[name]["unit"]) for name in main)]))
    return "\n".join(lines)


def _by_measure(source: Source) -> list[str]:
    """Of a sweep, a table a measure: a row a point, a column a policy."""
    names = [policy.name for policy in source.run.policies]
    found = []
    for name in sweep.shown(source):
        measure = source.summary["measures"][name]
        lines = [_line([" × ".join(source.summary["paths"]), *names]), _line(["---", *("---:" for _ in names)], raw=True)]
        for label, point in sweep.at_points(source):
            own = {row["policy"]: row["measures"].get(name) for row in point.policies}
            lines.append(_line([label, *(in_line(own.get(policy), measure["unit"]) for policy in names)]))
        found.append(f"## {escape(str(measure['label']))}\n\n" + "\n".join(lines))
    return found


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no link, on one line.

    >>> escape("a|b <i> [x](y)")
    'a\\\\|b \\\\<i\\\\> \\\\[x\\\\](y)'
    """
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", " ".join(text.split()))


def _threshold(source: Source, row: dict[str, Any]) -> str:
    measure = source.summary["measures"][row["measure"]]
    at = f" at {row['point']}" if row.get("point") else ""
    found = row["estimate"]
    result = "no case" if not found or found["estimate"] is None else "**breached**" if row["breached"] else "met"
    said = f"{row['policy']}{at}: {measure['label']} {row['rule']}, found {in_line(found, measure['unit'])}: "
    return escape(said) + " " + result


def _line(cells: list[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(escape, cells))} |"
