"""The report as one offline HTML file: no request leaves it, no script runs in it, and every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sim.report import figures, tables
from sim.report.figures import Chart
from sim.report.numbers import MISSING, in_line, number
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
    sim.errors.InputError: ...run.json: no such file; a report needs a run folder, as `sim run` leaves it
    ...
    """
    file = folder / NAME
    write_text(file, page(read(folder)))
    return file


def page(source: Source) -> str:
    """The whole page."""
    name = escape(str(source.run["name"]))
    body = "\n".join((_verdict(source), _comparison(source), *_figures(source), _simulated(source), _measures(source)))
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
<p class="question">{escape(source.run["question"] or "")}</p>
<p class="facts">{escape(tables.facts(source))}</p>
</header>
<main>
{body}
<h2>The resolved scenario</h2>
<details><summary>scenario.yaml</summary><pre tabindex="0"><code>{escape(source.scenario)}</code></pre></details>
</main>
<footer><p>Written by sim {escape(str(source.run["sim_version"]))}. {escape(_when(source))}</p></footer>
</body>
</html>
"""


def _verdict(source: Source) -> str:
    parts = [f'<section class="verdict"><h2>Verdict</h2><p>{escape(source.summary["verdict"])}</p></section>']
    if said := tables.missing(source):
        parts.append(f'<p class="warning">{escape(said)}</p>')
    if rows := source.summary["thresholds"]:
        parts.append("<h2>Thresholds</h2>")
        parts.append(_thresholds(source, rows))
    return "\n".join(parts)


def _thresholds(source: Source, rows: Sequence[dict[str, Any]]) -> str:
    body = []
    for row in rows:
        measure = source.summary["measures"][row["measure"]]
        tone, word = ("worse", "breached") if row["breached"] else ("better", "met")
        found = row["estimate"]
        if not found or found["estimate"] is None:
            tone, word = "", "no data"
        cells = (measure["label"], row["rule"], in_line(found, measure["unit"]))
        texts = "".join(f"<td>{escape(text)}</td>" for text in cells)
        body.append(f'<tr><th scope="row">{escape(row["policy"])}</th>{texts}<td class="{tone}">{word}</td></tr>')
    return _table("Thresholds", ("policy", "measure", "rule", "found", "result"), body, style="text")


def _comparison(source: Source) -> str:
    measures = source.summary["measures"]
    main = tables.columns(source)
    baseline = str(source.run["baseline"])
    kinds = {row["policy"]: _kind(row, baseline) for row in source.policies}
    labels = [measures[name]["label"] for name in main]
    body = [_row(row["policy"], (_cell(row, name, source) for name in main), kinds[row["policy"]]) for row in source.policies]
    gaps = [
        _row(row["policy"], (f"<td>{escape(tables.difference(row, name, measures[name]))}</td>" for name in main))
        for row in source.policies
        if row["policy"] != baseline
    ]
    every = [
        _row(
            measure["label"],
            (f"<td>{escape(in_line(row['measures'].get(name), measure['unit']))}</td>" for row in source.policies),
        )
        for name, measure in measures.items()
    ]
    names = [row["policy"] for row in source.policies]
    return f"""<h2>Comparison</h2>
<p>Each estimate with its 95% interval below it. A third line is the difference to <b>{escape(baseline)}</b>, paired by
replication, and is there only if its interval excludes zero: <span class="better">▲ better</span> or
<span class="worse">▼ worse</span>.</p>
{_table("Comparison of the policies", ("policy", *labels), body)}
<details><summary>All differences to {escape(baseline)}, with intervals</summary>
{_table(f"Differences to {baseline}", ("policy", *labels), gaps)}</details>
<details><summary>All measures</summary>
{_table("All measures", ("measure", *names), every)}</details>"""


def _kind(row: dict[str, Any], baseline: str) -> str:
    kind = str(row["kind"]) if row["kind"] != row["policy"] else ""
    return ", ".join(filter(None, (kind, "reference" if row["policy"] == baseline else "")))


def _cell(row: dict[str, Any], name: str, source: Source) -> str:
    cell = tables.cell(row, name, source.summary["measures"][name])
    parts = [f'<span class="value">{escape(cell.value)}</span>']
    if cell.interval:
        parts.append(f'<span class="interval">{escape(cell.interval)}</span>')
    if cell.gap:
        mark = {"better": "▲ ", "worse": "▼ "}.get(cell.tone, "")
        word = f' aria-label="{escape(cell.gap)}, {cell.tone}"' if cell.tone else ""
        parts.append(f'<span class="gap {cell.tone}" role="img"{word}>{mark}{escape(cell.gap)}</span>')
    return f"<td>{''.join(parts)}</td>"


def _row(name: str, cells: Iterable[str], kind: str = "") -> str:
    said = f'<span class="kind">{escape(kind)}</span>' if kind else ""
    return f'<tr><th scope="row">{escape(name)}{said}</th>{"".join(cells)}</tr>'


def _table(label: str, header: Sequence[str], body: Iterable[str], style: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    rows = "\n".join(body)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table class="{style}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _figures(source: Source) -> Iterable[str]:
    for title, about, draw in FIGURES:
        charts = draw(source)
        if charts:
            wide = " wide" if len(charts) == 1 else ""
            drawn = "\n".join(_chart(chart) for chart in charts)
            yield f'<h2>{title}</h2>\n<p>{about}</p>\n<div class="charts{wide}">\n{drawn}\n</div>'


def _chart(chart: Chart) -> str:
    body = (_row(first, (f"<td>{escape(text)}</td>" for text in rest)) for first, *rest in chart.rows)
    data = _table(f"{chart.title}: data", chart.header, body)
    return (
        f"<figure><figcaption>{escape(chart.title)}</figcaption>\n{chart.svg}\n"
        f"<details><summary>data</summary>{data}</details></figure>"
    )


def _simulated(source: Source) -> str:
    run = source.run
    data = run["data"]
    facts = {
        "Primary metric": f"{run['primary']['name']}, to {'increase' if run['primary']['sign'] > 0 else 'decrease'}; "
        f"an effect below {number(run['smallest_effect'], 'share')} does not matter",
        "Traffic": f"{number(run['requests_expected'], 'requests')} requests expected by the horizon",
        "Horizon": f"{number(run['horizon_s'], 's')}, with a control tick every {number(run['tick_s'], 's')}",
        "Engine": f"{run['engine']}: {run['engine_reason']}",
        "Replications": f"{run['replications']:,}, with seed {run['seed']}",
        "Data": f"{data['name']}, {data['rows']:,} rows, digest {data['digest']}" if data else "",
        "Digest": str(run["digest"]),
    }
    listed = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in facts.items() if text)
    fields = ("name", "version", "uri", "kind", "model_id", "digest")
    versions = [
        _row(version["arm"], (f"<td>{escape(str(version[field] or MISSING))}</td>" for field in fields))
        for version in ({**version, "digest": version["digest"][:12]} for version in run["versions"])
    ]
    header = ("arm", "registered model", "version", "URI", "kind", "model id", "digest")
    return f"<h2>What was simulated</h2>\n<dl>{listed}</dl>\n{_table('Model versions', header, versions, style='text')}"


def _measures(source: Source) -> str:
    told = "".join(
        f"<dt>{escape(measure['label'])}</dt><dd>{escape(measure['about'])}</dd>"
        for measure in source.summary["measures"].values()
    )
    return f"""<h2>How to read the measures</h2>
<p>All policies meet the same worlds: in replication i the models are as good or bad, and the traffic is the same, for each
of them. Differences are taken within a replication, so most of the luck cancels. An interval says how far the estimate may
be off because the replications are finite, not how far the scenario may be from your production.</p>
<p>Trials that are undecided at the horizon are counted with the horizon as their time, never left out. “Not reached” means
that too few trials had decided by then; “no case” that no replication met the measure's condition.</p>
<dl>{told}</dl>"""


def _when(source: Source) -> str:
    started, finished = (
        str(source.run[key] or "").replace("T", " ").replace("Z", " UTC") for key in ("started_at", "finished_at")
    )
    return f"Run from {started} to {finished}." if finished else f"Run started {started}."
