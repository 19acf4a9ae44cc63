"""The report as one offline HTML file: no request leaves it, one script only adds to it, and every text is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from html import escape
from pathlib import Path

from sim.files import write_text
from sim.report import figures, many, tables, told
from sim.report.curves import CURVES, curves
from sim.report.curves import LEGEND as CURVE_LEGEND
from sim.report.figures import Chart
from sim.report.flips import flips
from sim.report.listed import NAME as LISTED
from sim.report.maps import MAPS, chosen, maps
from sim.report.parts import (
    along,
    estimates,
    figure,
    measures_told,
    offline,
    policies_compared,
    promises,
    simulated,
    thresholds,
    versions,
    winners,
)
from sim.report.script import ALLOWED, SCRIPT
from sim.report.source import Source, read
from sim.report.stories import stories
from sim.report.style import CSS
from sim.report.tradeoffs import tradeoffs
from sim.run.record import Record

NAME = "report.html"
POLICY = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {ALLOWED}"


@dataclass(frozen=True)
class Section:
    """Charts that answer a question: none, where a run has not what they show. `legend`: (look, meaning) pairs."""

    title: str
    about: str
    draw: Callable[[Source], list[Chart]]
    legend: tuple[tuple[str, str], ...] = ()


_FAN = (("line", "mean over trials"), ("half", "between: half of the trials"), ("most", "between: 90% of them"))
SECTIONS = (
    Section(
        "What does each policy give, and what does it risk?",
        "Each policy as a point, with 95% intervals of both numbers, and a line through those that no other beats in both. Of "
        "baselines, which decide at once and on nothing, only the value is compared.",
        tradeoffs,
        (("point", "beaten by no other in both"), ("hollow", "beaten by another in both, or a baseline")),
    ),
    Section(
        "When does each policy decide, and what?",
        "Cumulative incidence: the share of all trials that have ended with each verdict by each time. The outcomes compete: "
        "the curves of ship and keep sum to the share decided, and an inconclusive trial has ended without deciding.",
        figures.incidence,
        (("line", "share of trials, a colour a policy"), ("band", "95% interval")),
    ),
    Section(
        "Who gets the challengers?",
        "The challengers' share of live traffic, of every policy that decides on what it sees. After its verdict a trial "
        "serves what it chose. A fan ends once more trials have ended than lie outside of it: it would show their verdicts.",
        figures.traffic,
        (*_FAN, ("dashes", "one challenger, where there are several"), ("dots", "mirrored")),
    ),
    Section(
        "What has it cost so far?",
        "Regret: the primary metric lost against serving the arm that is truly best in every tick, until then. Time is linear "
        "here and the scale is the same in all of these charts, so that their slopes can be compared.",
        figures.regret,
        (*_FAN, ("other", "means of the other policies")),
    ),
    *(Section(title, about, partial(curves, measures=measures), CURVE_LEGEND) for title, about, measures in CURVES),
)
_MAPS = (
    Section(
        "Where does which policy win?",
        "The policy to take at each point: the first key upwards, the second to the right.",
        chosen,
    ),
    *(Section(title, about, partial(maps, measures=measures)) for title, about, measures in MAPS),
)
"""Where two keys are swept over many points, in place of curves."""
_ELSEWHERE = tuple(section for section in SECTIONS if section.draw in (figures.traffic, figures.regret))


Drawn = Callable[[], Sequence[str] | None]
"""Waits for what `drawn` makes elsewhere; None where that went wrong."""


def write(folder: Path, into: Path | None = None, elsewhere: Drawn | None = None) -> Path:
    """Write `report.html` to a run folder from the files in it, whole or not at all, and return its path.

    With `into`, `summary.json` is read from that folder, and the report is written to it. With `elsewhere`, another process
    draws some of the charts. The bytes depend on those files alone. Raises `InputError` naming each file that is missing or
    unreadable.

    >>> write(Path("no-such-run"))
    Traceback (most recent call last):
    sim.errors.InputError: no-such-run: no such folder
    """
    file = (into or folder) / NAME
    write_text(file, page(read(folder, into), elsewhere))
    return file


def drawn(source: Source) -> list[str]:
    """The sections of charts that another process may draw, as HTML: about as much work as the others and their tables."""
    return [_figures(section, source) for section in _ELSEWHERE]


def page(source: Source, elsewhere: Drawn | None = None) -> str:
    """The whole page."""
    name = escape(source.run.name)
    body = "\n".join(_body(source, elsewhere))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{name}: rollout comparison</title>
<style>{CSS}</style>
</head>
<body>
<header>
<h1>{name}</h1>
<p class="question">{escape(source.run.question)}</p>
<p class="facts">{escape(tables.facts(source))}</p>
</header>
<main>
{body}
<h2>The resolved scenario</h2>
<details class="printed"><summary>scenario.yaml</summary>
<pre tabindex="0"><code>{escape(source.scenario)}</code></pre></details>
</main>
<footer><p>Written by sim {escape(source.run.sim_version)}. {escape(_when(source))}</p></footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _body(source: Source, elsewhere: Drawn | None) -> Iterable[str]:
    comparison = source.comparison
    # What another process draws is waited for last.
    told = stories(source)
    mapped = many.is_many(comparison) and len(comparison.paths) > 1
    sections = _MAPS if mapped else SECTIONS
    charts = {section.title: _figures(section, source) for section in sections if not (elsewhere and section in _ELSEWHERE)}
    if elsewhere and not mapped:
        charts |= zip((section.title for section in _ELSEWHERE), elsewhere() or drawn(source), strict=True)
    yield _verdict(source)
    if comparison.paths and any(point.policies for point in comparison.points):
        yield winners(comparison)
    yield from _told(source.run)
    if source.only:
        yield f"<h2>Comparison</h2>\n{policies_compared(comparison, source.only)}"
        parts = (promises, flips, estimates, offline)
        yield from filter(None, [part(comparison, source.only) for part in parts])
    yield from filter(None, [charts[section.title] for section in sections])
    yield told
    if many.is_many(comparison):
        yield (
            f"<h2>Every point</h2>\n<p>All {len(comparison.points):,} points are in the table "
            f'<a href="{LISTED}">{LISTED}</a> beside this page: every measure of every policy with its interval, and its '
            "difference to the baseline.</p>"
        )
    elif comparison.paths:
        tabled = "\n".join(along(comparison))
        yield (
            f"<h2>Every point</h2>\n<p>Rows are the values of {escape(' and '.join(comparison.paths))}.</p>\n"
            f"<details><summary>Measure by measure</summary>{tabled}</details>"
        )
    if not source.only:
        where = "at some points" if many.is_many(comparison) else "point by point"
        yield f"<h2>The policies compared, {where}</h2>"
        for point in many.few(comparison):
            yield f"<details><summary>{escape(point.label)}</summary>{policies_compared(comparison, point)}</details>"
    yield f"{simulated(source)}\n{versions(source.run)}"
    yield measures_told(comparison)


def _verdict(source: Source) -> str:
    comparison = source.comparison
    answer, *rest = comparison.memo
    why = f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in rest)}</ul>" if rest else ""
    parts = [f'<section class="verdict"><h2>Verdict</h2><p>{escape(answer)}</p>{why}</section>']
    if notice := tables.missing(source):
        parts.append(f'<p class="warning">{escape(notice)}</p>')
    parts += [f'<p class="warning">{escape(warning)}</p>' for warning in tables.warnings(source.run)]
    if comparison.thresholds:
        parts += ["<h2>Thresholds</h2>", thresholds(comparison)]
    return "\n".join(parts)


def _told(run: Record) -> Iterable[str]:
    """What was compared, and what it rests on."""
    policies = told.policies(run)
    if policies:
        shown = "".join(_term(name, texts, kind if kind != name else "") for name, kind, texts in policies)
        yield f'<h2>What was compared</h2>\n<dl class="told">{shown}</dl>'
    given = told.assumptions(run)
    if given:
        shown = "".join(_term(name, texts) for name, texts in given)
        yield f'<h2>What it rests on</h2>\n<dl class="told">{shown}</dl>'


def _term(name: str, texts: Sequence[str], kind: str = "") -> str:
    kind_text = f'<span class="kind">{escape(kind)}</span>' if kind else ""
    return f"<dt>{escape(name)}{kind_text}</dt>{''.join(f'<dd>{escape(text)}</dd>' for text in texts)}"


def _figures(section: Section, source: Source) -> str:
    """A section of charts; empty where a run has not what they show."""
    charts = section.draw(source)
    if not charts:
        return ""
    wide = " wide" if len(charts) <= 2 else ""
    figures_ = "\n".join(figure(chart) for chart in charts)
    looks = "".join(f'<li><i class="{look}"></i>{meaning}</li>' for look, meaning in section.legend)
    legend = f'<ul class="legend">{looks}</ul>\n' if looks else ""
    return (
        f'<section class="figures"><h2>{section.title}</h2>\n<p>{section.about}</p>\n{legend}'
        f'<div class="charts{wide}">\n{figures_}\n</div></section>'
    )


def _when(source: Source) -> str:
    started, finished = source.run.started_at, source.run.finished_at
    start = f"{started.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return f"Run from {start} to {finished.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC." if finished else f"Run started {start} UTC."
