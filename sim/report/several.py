"""Several runs on one page: what follows, one table of their policies, paired differences, and where the scenarios differ."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from sim.compare.measures import MEASURES
from sim.compare.result import PolicySummary
from sim.compare.several import Several, Side, World
from sim.compare.wording import duration, listed
from sim.errors import plain, visible
from sim.files import write_text
from sim.report.layout import ONE_POINT, Line, fit, printable, shortened
from sim.report.numbers import MISSING, in_line
from sim.report.sections import Section, html_page, markdown_page
from sim.report.tables import MAIN, RARE
from sim.report.terminal import Display, notes, written

# A sentence names at most so many keys, and the terminal lists at most so many; the page has all.
_MOST_NAMED, _MOST_LISTED = 6, 12
_LONGEST_VALUE, _LONGEST_IN_LINE = 300, 60
_DIGEST = re.compile(r"[0-9a-f]{64}")


def write(several: Several, file: Path) -> None:
    """Write the page, as Markdown where the file's name ends in .md, else as HTML; whole or not at all."""
    write_text(file, to_markdown(several) if file.suffix == ".md" else to_html(several))


def sentences(several: Several) -> tuple[str, ...]:
    """What follows from the runs, the answer first; then what it rests on."""
    texts: list[str] = []
    if len(several.choices) > 1:
        texts.append(_choices(several))
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


def title(several: Several) -> str:
    """How many runs are compared, and how many points they have."""
    runs, sides = len(several.folders), len(several.sides)
    return f"{runs} runs compared" + (f", at {sides} points in all" if sides > runs else "")


def _choices(several: Several) -> str:
    """Which policy to take in which world: the answer where the runs are not all of one."""
    by_policy: dict[str | None, list[str]] = {}
    for labels, chosen in several.choices:
        by_policy.setdefault(chosen, []).extend(labels)
    worlds = len(several.choices)
    if len(by_policy) == 1:
        (chosen,) = by_policy
        return f"None is fit to be taken in any of the {worlds} worlds." if chosen is None else (
            f"Take {chosen} in each of the {worlds} worlds."
        )  # fmt: skip
    told = "; ".join(
        f"{'none' if chosen is None else chosen} in {listed(labels, _MOST_NAMED)}" for chosen, labels in by_policy.items()
    )
    return f"Which policy to take depends on the world: {told}."


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
    return not any(policy.measures[name].estimate for side in several.sides for policy in side.point.policies)


def _value(value: str | None, longest: int = _LONGEST_VALUE) -> str:
    if value is None:
        return MISSING
    # So much of a digest tells it from all others.
    return shortened(f"{value[:12]}…" if _DIGEST.fullmatch(value) else value, longest)


def to_html(several: Several) -> str:
    """One offline file without scripts; every text is escaped."""
    return html_page(title(several), sentences(several), tuple(sections(several)))


def to_markdown(several: Several) -> str:
    """The page for a pull request."""
    return markdown_page(title(several), sentences(several), tuple(sections(several)))


def table(several: Several, *, display: Display = "auto", file: TextIO, width: int | None = None) -> None:
    """Write what follows, one table of all policies, and where the runs differ, as `sim.report.terminal.table` does."""
    columns = tuple(column for column in ONE_POINT.columns if column.measure in several.measures)
    lines, before, warned_of = [], "", False
    for policy, side in _rows(several):
        warned = any(each.warned for each in side.run.policies if each.name == policy.policy)
        warned_of |= warned
        lines.append(Line("" if policy.policy == before else policy.policy, (side.label,), policy, (), warned))
        before = policy.policy
    above = [" ".join(printable(plain(text)) for text in sentences(several))]
    matters = [each for each in several.differences if each.matters]
    below = [
        f"differs in {shortened(printable(each.path), _LONGEST_IN_LINE)}: "
        + " | ".join(printable(_value(value, _LONGEST_IN_LINE)) for value in each.values)
        for each in [*matters, *(each for each in several.differences if not each.matters)][:_MOST_LISTED]
    ]
    more = len(several.differences) - _MOST_LISTED
    below += [f"and in {more} more keys (--out FILE.html has all)"] if more > 0 else []
    chosen = replace(ONE_POINT, columns=columns)
    written(
        lambda most: fit(lines, ["run"], chosen, most),
        lambda: above,
        lambda layout: [f"{'; '.join(notes(layout, [line.policy for line in lines], warned=warned_of))}.", *below],
        display=display,
        file=file,
        width=width,
    )
