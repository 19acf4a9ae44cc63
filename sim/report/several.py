"""Several runs on one page: what follows, one table of their policies, paired differences, and where the scenarios differ."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TextIO

from sim.compare.measures import MEASURES
from sim.compare.result import PolicySummary
from sim.compare.several import Several, Side, World
from sim.compare.wording import duration, listed
from sim.errors import plain, visible
from sim.files import write_text
from sim.report import markdown
from sim.report.html import POLICY
from sim.report.layout import ONE_POINT, Line, fit, printable
from sim.report.numbers import MISSING, in_line
from sim.report.parts import scrolling_table, table_row
from sim.report.style import CSS
from sim.report.tables import MAIN, RARE
from sim.report.terminal import Display, written

# A sentence names at most so many keys, and the terminal lists at most so many; the page has all.
_MOST_NAMED, _MOST_LISTED = 6, 12
_LONGEST_VALUE = 300


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, and a table whose first column names its rows."""

    title: str
    texts: tuple[str, ...]
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    style: str = ""


def write(several: Several, file: Path) -> None:
    """Write the page, as Markdown where the file's name ends in .md, else as HTML; whole or not at all."""
    write_text(file, to_markdown(several) if file.suffix == ".md" else to_html(several))


def sentences(several: Several) -> tuple[str, ...]:
    """What follows from the runs, the answer first; then what it rests on."""
    texts: list[str] = []
    for world in several.worlds:
        answer, *rest = world.memo
        if len(several.worlds) > 1 or several.alone:
            answer = f"In the world of {listed([several.sides[at].label for at in world.sides])}: {answer}"
        texts += [answer, *rest]
    texts += [f"{side.label}: {side.point.memo[0]}" for side in several.alone]
    texts += [_paired(several, world) for world in several.worlds]
    if several.alone or len(several.worlds) > 1:
        keys = [each.path for each in several.differences if each.matters]
        if keys:
            told = "Warning: not all runs are of one world; those that are not are not paired, and differ in"
            texts.append(f"{told} {listed(keys, _MOST_NAMED)}.")
    return (*texts, *several.doubts)


def _paired(several: Several, world: World) -> str:
    labels = listed([several.sides[at].label for at in world.sides])
    checked = (
        f"checked: {listed(world.shared)} {'have' if len(world.shared) > 1 else 'has'} the same trials in them, bit by bit"
        if world.shared
        else "they share no policy by which to check that their trials agree too"
    )
    return (
        f"{labels} are of one world: scenario, seed, engine, versions and program agree in all that a trial meets. So their "
        f"policies are paired by replication, {world.common:,} of them; {checked}."
    )


def sections(several: Several) -> Iterator[Section]:
    """The tables of the page."""
    main = [name for name in MAIN if name in several.measures and not (name in RARE and _never(several, name))]
    labels = tuple(MEASURES[name].label for name in main)
    rows = tuple(
        (policy.policy, side.label, *(in_line(policy.measures.get(name), MEASURES[name].unit) for name in main))
        for policy, side in _rows(several)
    )
    yield Section("The policies, run by run", (), ("policy", "run", *labels), rows)
    for world in several.worlds:
        gaps = tuple(
            (name, *(in_line(world.difference(name, measure), MEASURES[measure].unit, signed=True) for measure in main))
            for name in world.trials
            if name != world.baseline
        )
        about = f"The policy less {world.baseline}, within each replication that both have, with 95% intervals."
        yield Section(f"Paired differences to {world.baseline}", (about,), ("policy", *labels), gaps)
    found = tuple(
        (each.path, "yes" if each.matters else "no", *(_value(value) for value in each.values)) for each in several.differences
    )
    about = "What matters changes what a trial meets, or how its result is measured."
    header = ("key", "matters", *(side.label for side in several.sides))
    yield Section("Where the runs differ", (about if found else "In nothing.",), header if found else (), found, "text")
    facts = tuple(
        (
            side.label, side.run.name, side.run.question or MISSING, f"{side.run.replications:,}", str(side.run.seed),
            side.run.engine, duration(side.run.horizon_s), side.comparison.run.digest[:10], side.run.sim_version,
            f"sim run {visible(shlex.quote(str(side.folder / 'scenario.yaml')))} --again",
        )
        for side in several.sides
    )  # fmt: skip
    header = ("run", "name", "question", "replications", "seed", "engine", "horizon", "digest", "sim", "to play it again")
    yield Section("What was run", (), header, facts, "text")


def _rows(several: Several) -> Iterator[tuple[PolicySummary, Side]]:
    """Every policy at every side that has it, policy by policy."""
    for name in dict.fromkeys(policy.policy for side in several.sides for policy in side.point.policies):
        for side in several.sides:
            policy = side.point.policy(name)
            if policy is not None:
                yield policy, side


def _never(several: Several, name: str) -> bool:
    return all(policy.measures[name].estimate == 0 for side in several.sides for policy in side.point.policies)


def _value(value: str | None) -> str:
    if value is None:
        return MISSING
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"


def to_html(several: Several) -> str:
    """One offline file without scripts; every text is escaped."""
    title = escape(f"{len(several.sides)} runs compared")
    answer, *rest = sentences(several)
    body = "\n".join(map(_html, sections(several)))
    points = "".join(f"<li>{escape(text)}</li>" for text in rest)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
<style>{CSS}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
<section class="verdict"><h2>Verdict</h2><p>{escape(answer)}</p><ul>{points}</ul></section>
{body}
</main>
</body>
</html>
"""


def _html(section: Section) -> str:
    texts = "".join(f"<p>{escape(text)}</p>\n" for text in section.texts)
    if not section.rows:
        return f"<h2>{escape(section.title)}</h2>\n{texts}"
    rows = (table_row(first, (f"<td>{escape(cell)}</td>" for cell in rest)) for first, *rest in section.rows)
    return f"<h2>{escape(section.title)}</h2>\n{texts}{scrolling_table(section.title, section.header, rows, section.style)}"


def to_markdown(several: Several) -> str:
    """The page for a pull request."""
    answer, *rest = (markdown.escape(text) for text in sentences(several))
    parts = [f"# {len(several.sides)} runs compared", f"**{answer}**", "\n".join(f"- {text}" for text in rest)]
    for section in sections(several):
        parts.append(f"## {markdown.escape(section.title)}")
        parts += map(markdown.escape, section.texts)
        if section.rows:
            lines = [section.header, tuple("---" for _ in section.header), *section.rows]
            cells = [" | ".join(line if at == 1 else map(markdown.escape, line)) for at, line in enumerate(lines)]
            parts.append("\n".join(f"| {line} |" for line in cells))
    return "\n\n".join(filter(None, parts)) + "\n"


def table(several: Several, *, display: Display = "auto", file: TextIO, width: int | None = None) -> None:
    """Write what follows, one table of all policies, and where the runs differ, as `sim.report.terminal.table` does."""
    columns = tuple(column for column in ONE_POINT.columns if column.measure in several.measures)
    lines, before = [], ""
    for policy, side in _rows(several):
        warned = any(each.warned for each in side.run.policies if each.name == policy.policy)
        lines.append(Line("" if policy.policy == before else policy.policy, (side.label,), policy, (), warned))
        before = policy.policy
    above = [" ".join(printable(plain(text)) for text in sentences(several))]
    matters = [each for each in several.differences if each.matters]
    below = [
        f"differs in {printable(each.path)}: {' | '.join(printable(_value(value)) for value in each.values)}"
        for each in [*matters, *(each for each in several.differences if not each.matters)][:_MOST_LISTED]
    ]
    more = len(several.differences) - _MOST_LISTED
    below += [f"and in {more} more keys (--out FILE.html has all)"] if more > 0 else []
    chosen = replace(ONE_POINT, columns=columns)
    written(
        lambda most: fit(lines, ["run"], chosen, most),
        lambda: above,
        lambda layout: below,
        display=display,
        file=file,
        width=width,
    )
