"""The report as Markdown, for a pull request: the verdict and the comparison table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sim.compare.result import Comparison, Judgement, PointComparison
from sim.files import write_text
from sim.report import elsewhere, many, tables, told
from sim.report.listed import NAME as LISTED
from sim.report.numbers import in_line
from sim.report.source import Source, read
from sim.run.record import Record
from sim.scenario.labels import JOINT

NAME = "report.md"


def write(folder: Path, into: Path | None = None) -> Path:
    """Write `report.md` to a run folder from the files in it, whole or not at all, and return its path.

    `into` is as in `sim.report.html.write`. Raises `InputError` naming each file that is missing or unreadable.
    """
    file = (into or folder) / NAME
    write_text(file, page(read(folder, into)))
    return file


def page(source: Source) -> str:
    """The verdict, unfinished policies, thresholds, and the main measures: a row per policy, or in a sweep a row per point."""
    run, comparison = source.run, source.comparison
    parts = [f"# {escape(run.name)}"]
    if run.question:
        parts.append(f"_{escape(run.question)}_")
    answer, *rest = comparison.memo
    parts.append(f"**{escape(answer)}**")
    if rest:
        parts.append("\n".join(f"- {escape(sentence)}" for sentence in rest))
    if notice := tables.missing(source):
        parts.append(escape(notice))
    parts += [f"Warning: {escape(warning)}" for warning in tables.warnings(run)]
    if comparison.paths:
        parts += _winners(comparison)
    parts += _told(run)
    if comparison.thresholds:
        shown, note = many.judged(comparison)
        parts += [escape(note)] if note else []
        parts.append("\n".join(f"- {_threshold(comparison, judged)}" for judged in shown))
    if source.only:
        parts.append(_by_policy(comparison, source.only))
        parts += _elsewhere(run, source.only)
    if many.is_many(comparison):
        parts.append(f"Of {len(comparison.points):,} points, {many.ROWS} are below; {LISTED} beside this file has all.")
    parts += [_by_point(comparison, name) for name in tables.along(comparison)]
    parts.append(escape(tables.facts(source)))
    parts.append(f"Scenario digest `{run.digest[:10]}`, sim {escape(run.sim_version)}.")
    return "\n\n".join(parts) + "\n"


def _told(run: Record) -> Iterator[str]:
    """What was compared, and what it rests on."""
    for title, entries in (
        ("What was compared", [(name, texts) for name, _, texts in told.policies(run)]),
        ("What it rests on", told.assumptions(run)),
    ):
        if entries:
            lines = (f"- **{escape(name)}**: {escape(' '.join(texts))}" for name, texts in entries)
            yield f"## {title}\n\n" + "\n".join(lines)


def _elsewhere(run: Record, point: PointComparison) -> Iterator[str]:
    """What becomes of the choice in other worlds."""
    if found := elsewhere.rows(point):
        header = [_line([*elsewhere.HEADER]), _line(["---"] * len(elsewhere.HEADER), raw=True)]
        table = [_line([row.what, row.told, row.choice, row.lead]) for row in found]
        yield f"## What would change the choice\n\n{escape(elsewhere.about(point))}"
        yield "\n".join([*header, *table])
    if left_out := elsewhere.left_out(run):
        yield f"Not varied: {escape('; '.join(left_out))}."


def _winners(comparison: Comparison) -> Iterator[str]:
    """Which policy to take at which point of a sweep: a row a point."""
    if many.is_many(comparison):
        yield from _stretches(comparison)
        return
    aim, found = tables.winners(comparison)
    if found:
        keys = JOINT.join(comparison.paths)
        lines = [_line([keys, "take", aim, "runner-up", f"its {aim}", "why"]), _line(["---"] * 6, raw=True)]
        for winner in found:
            taken = f"**{escape(winner.policy)}**" if winner.changes else escape(winner.policy)
            rest = map(escape, (winner.value, winner.runner_up, winner.its_value, winner.told_by))
            lines.append(_line([escape(winner.point), taken, *rest], raw=True))
        yield "\n".join(lines)


def _stretches(comparison: Comparison) -> Iterator[str]:
    """Which policy to take, in stretches of points."""
    aim, found = many.stretches(comparison)
    if found:
        lines = [_line([JOINT.join(comparison.paths), "points", "take", aim]), _line(["---", "---:", "---", "---"], raw=True)]
        lines += [_line([each.where, f"{each.points:,}", each.policy, each.values]) for each in found[: many.MOST_STRETCHES]]
        yield "\n".join(lines)
    if more := many.more_stretches(found):
        yield escape(more)


def _by_policy(comparison: Comparison, point: PointComparison) -> str:
    """The main measures at a point: a row a policy."""
    measures, main = comparison.measures, tables.columns(comparison, point)
    lines = [_line(["policy", *(measures[name].label for name in main)]), _line(["---", *("---:" for _ in main)], raw=True)]
    for policy in point.policies:
        lines.append(_line([policy.policy, *(in_line(policy.measures.get(name), measures[name].unit) for name in main)]))
    return "\n".join(lines)


def _by_point(comparison: Comparison, name: str) -> str:
    """A measure where keys are swept: a row a point, a column a policy."""
    names = [policy.name for policy in comparison.run.policies]
    measure = comparison.measures[name]
    lines = [_line([JOINT.join(comparison.paths), *names]), _line(["---", *("---:" for _ in names)], raw=True)]
    for point in many.thinned(comparison.points) if many.is_many(comparison) else comparison.points:
        own = {policy.policy: policy.measures.get(name) for policy in point.policies}
        lines.append(_line([point.label, *(in_line(own.get(policy), measure.unit) for policy in names)]))
    return f"## {escape(measure.label)}\n\n" + "\n".join(lines)


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no link, on one line.

    >>> escape("a|b <i> [x](y)")
    'a\\\\|b \\\\<i\\\\> \\\\[x\\\\](y)'
    """
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", " ".join(text.split()))


def _threshold(comparison: Comparison, judged: Judgement) -> str:
    measure = comparison.measures[judged.measure]
    result = "no case" if judged.estimate.estimate is None else "**breached**" if judged.breached else "met"
    rule = f"{judged.about}: {measure.label} {judged.rule}, found {in_line(judged.estimate, measure.unit)}: "
    return escape(rule) + " " + result


def _line(cells: list[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(escape, cells))} |"
