"""The report of a sweep: the curves, and every measure at every point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from sim.report import tables
from sim.report.numbers import MISSING, number, with_interval
from sim.report.parts import comparison, figure, judgement, measures_told, scrolling_table, table_row, versions
from sim.report.source import Source
from sim.report.sweep_figures import CURVES, curves
from sim.scenario.sweep import JOINT

MAIN = (
    "ship", "wrong_ship", "missed_win", "undecided", "time_to_decision_p20", "time_to_decision_p50", "time_to_decision_p80",
    "time_to_decision", "regret", "harmed_requests", *tables.ESTIMATES,
)  # fmt: skip
"""The measures that have a table of their own, point by policy."""


def at_points(source: Source) -> Iterator[tuple[str, Source]]:
    """Each point's label, and the source of its own comparison, as of a run without a sweep."""
    summary = source.summary
    for point, run in zip(summary["points"], source.run.runs, strict=True):
        shared = {key: summary[key] for key in ("baseline", "measures")}
        yield JOINT.join(point["values"]), Source(run, {**shared, **point}, source.scenario, {})


def shown(source: Source) -> list[str]:
    """The names among `MAIN` that were measured at some point, without outcomes that no policy ever had."""
    points = [each for _, each in at_points(source)]
    return [name for name in MAIN if any(tables.columns(each, (name,)) and tables.known(each, (name,)) for each in points)]


def body(source: Source) -> Iterator[str]:
    """The parts of the page between its header and the scenario."""
    yield f'<section class="verdict"><h2>Verdict</h2><p>{escape(source.summary["verdict"])}</p></section>'
    if said := tables.missing(source):
        yield f'<p class="warning">{escape(said)}</p>'
    if rows := source.summary["thresholds"]:
        yield "<h2>Thresholds</h2>"
        yield _thresholds(source, rows)
    for title, about, drawn_measures in CURVES:
        drawn = "\n".join(figure(each) for each in curves(source, drawn_measures))
        if drawn:
            yield f'<h2>{title}</h2>\n<p>{about}</p>\n<div class="charts">\n{drawn}\n</div>'
    yield f"<h2>Every point</h2>\n<p>Rows are the values of {escape(' and '.join(source.summary['paths']))}.</p>"
    names = [policy.name for policy in source.run.policies]
    head = (JOINT.join(path.rpartition(".")[2] for path in source.summary["paths"]), *names)
    for name in shown(source):
        label = str(source.summary["measures"][name]["label"])
        yield f"<h3>{escape(label[:1].upper() + label[1:])}</h3>\n{scrolling_table(label, head, _cells(source, name, names))}"
    yield "<h2>The policies compared, point by point</h2>"
    for label, each in at_points(source):
        if each.policies:
            yield f"<details><summary>{escape(label)}</summary>{comparison(each)}</details>"
    yield f"{_simulated(source)}\n{versions(source)}"
    yield measures_told(source)


def _cells(source: Source, name: str, names: list[str]) -> Iterator[str]:
    for label, each in at_points(source):
        rows = {policy["policy"]: policy for policy in each.policies}
        cells = (_cell(rows.get(policy), name, source.summary["measures"][name]["unit"]) for policy in names)
        yield table_row(label, cells)


def _cell(policy: dict[str, Any] | None, name: str, unit: str) -> str:
    value, interval = (MISSING, "") if policy is None else with_interval(policy["measures"].get(name), unit)
    said = f'<span class="interval">{escape(interval)}</span>' if interval else ""
    return f'<td><span class="value">{escape(value)}</span>{said}</td>'


def _thresholds(source: Source, rows: Iterable[dict[str, Any]]) -> str:
    body = (judgement(source, {**row, "policy": f"{row['policy']} at {row['point']}"}) for row in rows)
    return scrolling_table("Thresholds", ("policy and point", "measure", "rule", "found", "result"), body, style="text")


def _simulated(source: Source) -> str:
    run, points = source.run, source.run.runs

    def each(text: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(text))

    said = {
        "Swept": "; ".join(
            f"{path}: {', '.join(dict.fromkeys(point['values'][place] for point in source.summary['points']))}"
            for place, path in enumerate(source.summary["paths"])
        ),
        "Primary metric": f"{run.primary.name}, to {'increase' if run.primary.sign > 0 else 'decrease'}",
        "Traffic": each(f"{number(own.requests_expected, 'requests')} requests expected by the horizon" for own in points),
        "Horizon": each(f"{number(own.horizon_s, 's')}, a control tick every {number(own.tick_s, 's')}" for own in points),
        "Engine": each(f"{own.engine}: {own.engine_reason}" for own in points),
        "Replications": f"{run.replications:,}, with seed {each(str(own.seed) for own in points)}",
        "Digest": run.digest,
    }
    listed = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in said.items())
    return f"<h2>What was simulated</h2>\n<dl>{listed}</dl>"
