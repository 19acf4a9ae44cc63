"""The report as one offline HTML file: no request leaves it, no script runs in it, and every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from html import escape
from pathlib import Path
from typing import Any

from sim.report import figures, sweep, tables
from sim.report.numbers import number
from sim.report.parts import comparison, estimates, figure, judgement, measures_told, scrolling_table, versions
from sim.report.source import Source, read
from sim.report.style import CSS
from sim.run.folder import write_text

NAME = "report.html"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FIGURES = (
    (
        "When does each policy decide, and what?",
        "Cumulative incidence: the share of all trials that have ended with each verdict by each time. The outcomes compete, "
        "so the curves of one policy sum to the share decided.",
        figures.incidence,
    ),
    (
        "Who gets the challengers?",
        "The challengers' share of live traffic: the mean over trials, and the band that holds 90% of them. After its verdict "
        "a trial serves what it chose.",
        figures.traffic,
    ),
    (
        "What has it cost so far?",
        "Regret: the primary metric lost against always serving the arm that is truly best, until then. The mean over trials "
        "and the band that holds 90% of them; in grey, the means of the other policies.",
        figures.regret,
    ),
    (
        "Time against risk",
        "How long a decision takes, undecided trials counted to the horizon, and what the whole time to the horizon costs; "
        "with 95% intervals on both.",
        figures.frontier,
    ),
)


def write(folder: Path) -> Path:
    """Write `report.html` to a run folder from the files in it, whole or not at all, and return its path.

    The bytes depend on those files alone. Raises `InputError` naming each file that is missing or unreadable.

    >>> write(Path("no-such-run"))
    Traceback (most recent call last):
    sim.errors.InputError: no-such-run: no such folder
    ...
    """
    file = folder / NAME
    write_text(file, page(read(folder)))
    return file


def page(source: Source) -> str:
    """The whole page."""
    name = escape(source.run.name)
    swept = source.run.sweep is not None
    body = "\n".join(sweep.body(source) if swept else _body(source))
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
<details><summary>scenario.yaml</summary><pre tabindex="0"><code>{escape(source.scenario)}</code></pre></details>
</main>
<footer><p>Written by sim {escape(source.run.sim_version)}. {escape(_when(source))}</p></footer>
</body>
</html>
"""


def _body(source: Source) -> Iterable[str]:
    yield _verdict(source)
    yield f"<h2>Comparison</h2>\n{comparison(source)}"
    yield from filter(None, (estimates(source),))
    yield from _figures(source)
    yield f"{_simulated(source)}\n{versions(source)}"
    yield measures_told(source)


def _verdict(source: Source) -> str:
    parts = [f'<section class="verdict"><h2>Verdict</h2><p>{escape(source.summary["verdict"])}</p></section>']
    if said := tables.missing(source):
        parts.append(f'<p class="warning">{escape(said)}</p>')
    if rows := source.summary["thresholds"]:
        parts.append("<h2>Thresholds</h2>")
        parts.append(_thresholds(source, rows))
    return "\n".join(parts)


def _thresholds(source: Source, rows: Sequence[dict[str, Any]]) -> str:
    header = ("policy", "measure", "rule", "found", "result")
    return scrolling_table("Thresholds", header, (judgement(source, row) for row in rows), style="text")


def _figures(source: Source) -> Iterable[str]:
    for title, about, draw in FIGURES:
        charts = draw(source)
        if charts:
            wide = " wide" if len(charts) == 1 else ""
            drawn = "\n".join(figure(chart) for chart in charts)
            yield f'<h2>{title}</h2>\n<p>{about}</p>\n<div class="charts{wide}">\n{drawn}\n</div>'


def _simulated(source: Source) -> str:
    run = source.run
    data = run.data
    facts = {
        "Primary metric": f"{run.primary.name}, to {'increase' if run.primary.sign > 0 else 'decrease'}; "
        f"an effect below {number(run.smallest_effect, 'share')} does not matter",
        "Traffic": f"{number(run.requests_expected, 'requests')} requests expected by the horizon",
        "Horizon": f"{number(run.horizon_s, 's')}, with a control tick every {number(run.tick_s, 's')}",
        "Engine": f"{run.engine}: {run.engine_reason}",
        "Replications": f"{run.replications:,}, with seed {run.seed}",
        "Data": f"{data.name}, {data.rows:,} rows, digest {data.digest}" if data else "",
        "Digest": run.digest,
    }
    listed = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in facts.items() if text)
    return f"<h2>What was simulated</h2>\n<dl>{listed}</dl>"


def _when(source: Source) -> str:
    started, finished = source.run.started_at, source.run.finished_at
    said = f"{started.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return f"Run from {said} to {finished.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC." if finished else f"Run started {said} UTC."
