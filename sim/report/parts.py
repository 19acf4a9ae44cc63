"""The parts that reports are made of, as HTML: tables, charts with their data, the comparison of the policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from sim.report import tables
from sim.report.figures import Chart
from sim.report.numbers import MISSING, in_line
from sim.report.source import Source


def table_row(name: str, cells: Iterable[str], kind: str = "") -> str:
    """A row of a table: its heading, and its cells, which are HTML already."""
    said = f'<span class="kind">{escape(kind)}</span>' if kind else ""
    return f'<tr><th scope="row">{escape(name)}{said}</th>{"".join(cells)}</tr>'


def scrolling_table(label: str, header: Sequence[str], body: Iterable[str], style: str = "") -> str:
    """A table that scrolls where it is too wide."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    rows = "\n".join(body)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table class="{style}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def figure(chart: Chart) -> str:
    """A chart, and its data below it."""
    body = (table_row(first, (f"<td>{escape(text)}</td>" for text in rest)) for first, *rest in chart.rows)
    data = scrolling_table(f"{chart.title}: data", chart.header, body)
    return (
        f"<figure><figcaption>{escape(chart.title)}</figcaption>\n{chart.svg}\n"
        f"<details><summary>data</summary>{data}</details></figure>"
    )


def judgement(source: Source, row: dict[str, Any]) -> str:
    """The row of one threshold."""
    measure = source.summary["measures"][row["measure"]]
    tone, word = ("worse", "breached") if row["breached"] else ("better", "met")
    found = row["estimate"]
    if not found or found["estimate"] is None:
        tone, word = "", "no case"
    cells = (measure["label"], row["rule"], in_line(found, measure["unit"]))
    texts = "".join(f"<td>{escape(text)}</td>" for text in cells)
    return f'<tr><th scope="row">{escape(row["policy"])}</th>{texts}<td class="{tone}">{word}</td></tr>'


def comparison(source: Source) -> str:
    """The policies side by side: the main measures, their differences to the baseline, and all measures."""
    measures = source.summary["measures"]
    main = tables.columns(source)
    # None where an interrupted run has no trials of its baseline yet.
    baseline = str(source.summary["baseline"] or source.run.baseline)
    kinds = {row["policy"]: _kind(row, baseline) for row in source.policies}
    labels = [measures[name]["label"] for name in main]
    body = [
        table_row(row["policy"], (_cell(row, name, source) for name in main), kinds[row["policy"]]) for row in source.policies
    ]
    gaps = [
        table_row(row["policy"], (f"<td>{escape(tables.difference(row, name, measures[name]))}</td>" for name in main))
        for row in source.policies
        if row["policy"] != baseline
    ]
    every = [
        table_row(
            measure["label"],
            (f"<td>{escape(in_line(row['measures'].get(name), measure['unit']))}</td>" for row in source.policies),
        )
        for name, measure in measures.items()
    ]
    names = [row["policy"] for row in source.policies]
    return f"""\
<p>Each estimate with its 95% interval below it. A third line is the difference to <b>{escape(baseline)}</b>, paired by
replication, and is there only if its interval excludes zero: <span class="better">▲ better</span> or
<span class="worse">▼ worse</span>.</p>
{scrolling_table("Comparison of the policies", ("policy", *labels), body)}
<details><summary>All differences to {escape(baseline)}, with intervals</summary>
{scrolling_table(f"Differences to {baseline}", ("policy", *labels), gaps)}</details>
<details><summary>All measures</summary>
{scrolling_table("All measures", ("measure", *names), every)}</details>"""


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


def estimates(source: Source) -> str:
    """What the estimates at the verdict are worth, of the policies that have some; empty where none has."""
    measures = source.summary["measures"]
    names = tables.known(source, tables.ESTIMATES)
    rows = [row for row in source.policies if tables.known(replace(source, summary={"policies": [row]}), tables.ESTIMATES)]
    if not rows:
        return ""
    body = [table_row(row["policy"], (_cell(row, name, source) for name in names)) for row in rows]
    header = ("policy", *(measures[name]["label"] for name in names))
    return f"""<h2>What are the estimates worth?</h2>
<p>What a team would report of the shipped challenger (or of the best, where none was shipped) at the verdict, against what is
true. A rule that may stop early stops when luck is high, so winners look better than they are.</p>
{scrolling_table("Estimates at the verdict", header, body)}"""


def versions(source: Source) -> str:
    """The model version that each arm was."""
    fields = ("name", "version", "uri", "kind", "model_id", "digest")
    rows = [
        table_row(version["arm"], (f"<td>{escape(str(version[field] or MISSING))}</td>" for field in fields))
        for version in ({**version.model_dump(), "digest": version.digest[:12]} for version in source.run.versions)
    ]
    header = ("arm", "registered model", "version", "URI", "kind", "model id", "digest")
    return scrolling_table("Model versions", header, rows, style="text")


def measures_told(source: Source) -> str:
    """How to read the measures."""
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
