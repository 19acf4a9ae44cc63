"""The parts that a report is made of, as HTML: tables, charts with their data, the comparison of the policies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from sim.compare import wording
from sim.compare.result import NOTHING, Comparison, Judgement, PointComparison, PolicySummary
from sim.report import many, tables
from sim.report.figures import Chart
from sim.report.numbers import MISSING, in_line, number, value_and_interval
from sim.report.source import Source
from sim.run.record import Record
from sim.scenario.labels import JOINT, summed
from sim.stats.intervals import Estimate


def table_row(name: str, cells: Iterable[str], kind: str = "") -> str:
    """A row of a table: its heading, and its cells, which are HTML already."""
    kind_text = f'<span class="kind">{escape(kind)}</span>' if kind else ""
    return f'<tr><th scope="row">{escape(name)}{kind_text}</th>{"".join(cells)}</tr>'


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
    at = " ".join(f"{x:g}" if y is None else f"{x:g},{y:g}" for x, y in chart.places)
    places = f' data-at="{at}"' if at else ""
    return (
        f"<figure{places}><figcaption>{escape(chart.title)}</figcaption>\n{chart.svg}\n"
        f"<details><summary>data</summary>{data}</details></figure>"
    )


def thresholds(comparison: Comparison) -> str:
    """The table of the judged thresholds, point by point if there are several; of very many, of those that are breached."""
    first = "policy and point" if comparison.paths else "policy"
    shown, note = many.judged(comparison)
    body = (_judgement(comparison, judged) for judged in shown)
    told = f"<p>{escape(note)}</p>\n" if note else ""
    return told + scrolling_table("Thresholds", (first, "measure", "rule", "found", "result"), body, style="text")


def _judgement(comparison: Comparison, judged: Judgement) -> str:
    measure = comparison.measures[judged.measure]
    tone, word = ("worse", "breached") if judged.breached else ("better", "met")
    if judged.estimate.estimate is None:
        tone, word = "", "no case"
    cells = (measure.label, judged.rule, in_line(judged.estimate, measure.unit))
    texts = "".join(f"<td>{escape(text)}</td>" for text in cells)
    return f'<tr><th scope="row">{escape(judged.about)}</th>{texts}<td class="{tone}">{word}</td></tr>'


def policies_compared(comparison: Comparison, point: PointComparison) -> str:
    """The policies side by side at a point: the main measures, their differences to the baseline, and all measures.

    The script of a report sorts the first table, and takes more columns for it from the last.
    """
    measures = comparison.measures
    main = tables.columns(comparison, point)
    baseline = comparison.baseline
    labels = [measures[name].label for name in main]
    scales = {name: _scale(point.policies, name) for name in main}
    body = [
        table_row(
            policy.policy,
            (_cell(policy, name, comparison, scale=scales[name]) for name in main),
            _kind(policy, baseline),
        )
        for policy in point.policies
    ]
    gaps = [
        table_row(policy.policy, (f"<td>{escape(tables.difference(policy, name, measures[name]))}</td>" for name in main))
        for policy in point.policies
        if policy.policy != baseline
    ]
    every = [
        table_row(
            measure.label,
            (
                f"<td{_sorted_by(policy, name)}>{escape(in_line(policy.measures.get(name), measure.unit))}</td>"
                for policy in point.policies
            ),
        )
        for name, measure in measures.items()
    ]
    names = [policy.policy for policy in point.policies]
    return f"""\
<div class="compared">
<p>Each estimate with its 95% interval below it, drawn as a bar with a mark at the estimate, on one scale a column that has 0
in it. A last line is the difference to <b>{escape(baseline)}</b>, paired by
replication, and is there only if its interval excludes zero: <span class="better">▲ better</span> or
<span class="worse">▼ worse</span>.</p>
{scrolling_table("Comparison of the policies", ("policy", *labels), body)}
<details><summary>All differences to {escape(baseline)}, with intervals</summary>
{scrolling_table(f"Differences to {baseline}", ("policy", *labels), gaps)}</details>
<details><summary>All measures</summary>
{scrolling_table("All measures", ("measure", *names), every)}</details></div>"""


def _kind(policy: PolicySummary, baseline: str) -> str:
    kind = policy.kind if policy.kind != policy.policy else ""
    return ", ".join(filter(None, (kind, "reference" if policy.policy == baseline else "")))


def _scale(policies: Iterable[PolicySummary], name: str) -> tuple[float, float]:
    """The least and the greatest number of a measure in a column, with 0."""
    found = [policy.measures.get(name, NOTHING) for policy in policies]
    known = [each for estimate in found for each in (estimate.estimate, estimate.lower, estimate.upper) if each is not None]
    return min(0.0, *known, 0.0), max(0.0, *known, 0.0)


def _bar(estimate: Estimate, scale: tuple[float, float]) -> str:
    """An interval and its estimate, drawn on the scale of a column; nothing where there is none or the scale is a point."""
    lowest, highest = scale
    middle, lower, upper = estimate.estimate, estimate.lower, estimate.upper
    if middle is None or lower is None or upper is None or not lowest < highest:
        return ""
    left, mark, right = (100 * (value - lowest) / (highest - lowest) for value in (lower, middle, upper))
    places = f"--l:{left:.3g}%;--w:{right - left:.3g}%;--p:{mark:.3g}%"
    return f'<span class="bar" style="{places}" aria-hidden="true"></span>'


def _cell(policy: PolicySummary, name: str, comparison: Comparison, scale: tuple[float, float] | None = None) -> str:
    cell = tables.cell(policy, name, comparison.measures[name])
    parts = [f'<span class="value">{escape(cell.value)}</span>']
    if cell.interval:
        parts.append(f'<span class="interval">{escape(cell.interval)}</span>')
    if scale is not None:
        parts.append(_bar(policy.measures.get(name, NOTHING), scale))
    if cell.gap:
        mark = {"better": "▲ ", "worse": "▼ "}.get(cell.tone, "")
        word = f' aria-label="{escape(cell.gap)}, {cell.tone}"' if cell.tone else ""
        parts.append(f'<span class="gap {cell.tone}" role="img"{word}>{mark}{escape(cell.gap)}</span>')
    return f"<td{_sorted_by(policy, name)}>{''.join(parts)}</td>"


def _sorted_by(policy: PolicySummary, name: str) -> str:
    """The attribute of a cell that has its number for the script of a report; empty where there is none."""
    value = policy.measures.get(name, NOTHING).estimate
    return "" if value is None else f' data-value="{value:.9g}"'


def winners(comparison: Comparison) -> str:
    """The section on which policy to take at which point of a sweep, and where that changes."""
    if many.is_many(comparison):
        return _stretches(comparison)
    aim, found = tables.winners(comparison)
    keys = JOINT.join(path.rpartition(".")[2] for path in comparison.paths)
    body = []
    for winner in found:
        mark = ' <span class="kind">changes here</span>' if winner.changes else ""
        cells = (winner.value, winner.runner_up, winner.its_value, winner.told_by)
        texts = "".join(f"<td>{escape(text)}</td>" for text in cells)
        style = ' class="change"' if winner.changes else ""
        taken = f"<td><b>{escape(winner.policy)}</b>{mark}</td>"
        body.append(f'<tr{style}><th scope="row">{escape(winner.point)}</th>{taken}{texts}</tr>')
    header = (keys, "take", aim, "runner-up", f"its {aim}", "why")
    return f"""<h2>Which policy wins where?</h2>
<p>At each value of {escape(" and ".join(comparison.paths))}: which policy to take, and how the next best that is fit does.</p>
{scrolling_table("Winners", header, body, style="text")}"""


def _stretches(comparison: Comparison) -> str:
    """The section on which policy to take, in stretches of points."""
    aim, found = many.stretches(comparison)
    keys = JOINT.join(path.rpartition(".")[2] for path in comparison.paths)
    body = (
        table_row(each.where, (f"<td>{cell}</td>" for cell in (each.points, f"<b>{escape(each.policy)}</b>", each.values)))
        for each in found[: many.MOST_STRETCHES]
    )
    more = many.more_stretches(found)
    return f"""<h2>Which policy wins where?</h2>
<p>In the order of {escape(" and ".join(comparison.paths))}: which policy to take at how many points, and what it gives there,
from the least to the greatest estimate.{escape(more)}</p>
{scrolling_table("Winners", (keys, "points", "take", aim), body, style="text")}"""


def along(comparison: Comparison) -> Iterator[str]:
    """Where keys are swept, a table for each measure: a row a point, a column a policy."""
    names = [policy.name for policy in comparison.run.policies]
    head = (JOINT.join(path.rpartition(".")[2] for path in comparison.paths), *names)
    for name in tables.along(comparison):
        label = comparison.measures[name].label
        body = (table_row(point.label, _estimates_of(comparison, point, name, names)) for point in comparison.points)
        yield f"<h3>{escape(label[:1].upper() + label[1:])}</h3>\n{scrolling_table(label, head, body)}"


def _estimates_of(comparison: Comparison, point: PointComparison, name: str, policies: Sequence[str]) -> Iterator[str]:
    for policy_name in policies:
        policy = point.policy(policy_name)
        estimate = None if policy is None else policy.measures.get(name)
        value, interval = value_and_interval(estimate, comparison.measures[name].unit)
        interval_text = f'<span class="interval">{escape(interval)}</span>' if interval else ""
        yield f'<td><span class="value">{escape(value)}</span>{interval_text}</td>'


def estimates(comparison: Comparison, point: PointComparison) -> str:
    """The section on the accuracy of the estimates at the verdict; empty if no policy has estimates."""
    return _only_where_known(
        comparison, point, tables.ESTIMATES, "What are the estimates worth?",
        "What a team would report of the shipped challenger (or of the best, where none was shipped) at the verdict, against "
        "what is true. A rule that may stop early stops when luck is high, so winners look better than they are.",
        "Estimates at the verdict",
    )  # fmt: skip


def offline(comparison: Comparison, point: PointComparison) -> str:
    """The section on offline scores beside live traffic; empty if no policy has an offline stage."""
    return _only_where_known(
        comparison, point, tables.OFFLINE, "What is offline evaluation worth?",
        "What the offline stage of each policy would have done alone, and what was true. It ships before the first request "
        "what scores better by enough. Of several challengers the luckiest scores best, and labelled rows are not live "
        "traffic: so what is picked gains less there than it did offline. Every trial is in trials.parquet: "
        "offline_estimate beside offline_true.",
        "Offline beside online",
    )  # fmt: skip


def _only_where_known(
    comparison: Comparison, point: PointComparison, among: Sequence[str], heading: str, text: str, caption: str
) -> str:
    """A section with a table of the measures `among` which some policy has, and of the policies that have one; or nothing."""
    names = tables.known(point.policies, among)
    having = [policy for policy in point.policies if tables.known([policy], among)]
    if not having:
        return ""
    body = [table_row(policy.policy, (_cell(policy, name, comparison) for name in names)) for policy in having]
    header = ("policy", *(comparison.measures[name].label for name in names))
    return f"""<h2>{heading}</h2>
<p>{text}</p>
{scrolling_table(caption, header, body)}"""


def promises(comparison: Comparison, point: PointComparison) -> str:
    """The section on what A/A tests measured; empty if none was played."""
    having = [policy for policy in point.policies if tables.known([policy], ("aa_declared",))]
    # A release that equals the champion is no worse: to declare so is right there.
    if not having or comparison.run.goal == "not_worse":
        return ""
    gave_up = tables.known(having, ("planned_information",))
    body = []
    for policy in having:
        said = "no promise" if policy.promised is None else f"{number(policy.promised, 'share')} at most"
        tone, word = ("worse", "broken") if policy.breaks_promise else ("better", "kept")
        held = "<td></td>" if policy.promised is None else f'<td class="{tone}">{word}</td>'
        measured = [_cell(policy, name, comparison) for name in ("aa_declared", "aa_ship")]
        arrived = [_cell(policy, name, comparison) for name in gave_up]
        cells = (f"<td>{escape(said)}</td>", *measured, held, _cell(policy, "false_declaration", comparison), *arrived)
        body.append(table_row(policy.policy, cells))
    header = (
        "policy", "promised", "declares", "ships", "promise", "declares falsely, as played",
        *("information when it gave up" for _ in gave_up),
    )  # fmt: skip
    why = (
        "\n<p>A test that waits for information gives up at its longest duration where too little arrives: at shares near 0 or "
        "1 a tick says little of the difference between the arms.</p>"
    )
    waited = why if gave_up else ""
    return f"""<h2>Does every rule keep its promise?</h2>
<p>Every policy was also played where the challengers equal the champion, under the same traffic, cycles and drift, and with the
champion's latency, failures and delays in every arm. What it declares there is false. A promise is broken where the 95%
interval of what was measured lies above it. What delays that differ by arm do stands beside it: how often it declares, in the
world as played, a difference that is none or has the other sign.</p>{waited}
{scrolling_table("A/A tests", header, body)}"""


def simulated(source: Source) -> str:
    """The section on what was simulated. Facts that differ between points list every distinct value."""
    run, comparison = source.run, source.comparison
    own = [point.run for point in run.points]

    def joined(texts: Iterable[str]) -> str:
        found = list(dict.fromkeys(filter(None, texts)))
        return "; ".join(found) if len(found) <= many.FEW else wording.listed(found)

    facts = {
        "Swept": "; ".join(
            f"{path}: {summed(list(dict.fromkeys(point.values[place] for point in comparison.points)))}"
            for place, path in enumerate(comparison.paths)
        ),
        "Primary metric": joined(_aim(one) for one in own),
        "Traffic": joined(f"{number(one.requests_expected, 'requests')} requests expected by the horizon" for one in own),
        "Horizon": joined(f"{number(one.horizon_s, 's')}, with a control tick every {number(one.tick_s, 's')}" for one in own),
        "Engine": joined(f"{one.engine}: {one.engine_reason}" for one in own),
        "Replications": f"{run.replications:,}, with seed {joined(str(one.seed) for one in own)}",
        "Data": joined(_data(one) for one in own),
        "Digest": run.digest,
    }
    listed = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in facts.items() if text)
    return f"<h2>What was simulated</h2>\n<dl>{listed}</dl>"


def _aim(run: Record) -> str:
    aim = f"{run.primary.name}, to {'increase' if run.primary.sign > 0 else 'decrease'}"
    return f"{aim}; an effect below {number(run.smallest_effect, 'share')} does not matter" if run.smallest_effect else aim


def _data(run: Record) -> str:
    return f"{run.data.name}, {run.data.rows:,} rows, digest {run.data.digest}" if run.data else ""


def versions(run: Record) -> str:
    """The model version of each arm."""
    fields = ("name", "version", "uri", "kind", "model_id", "digest")
    rows = [
        table_row(version["arm"], (f"<td>{escape(str(version[field] or MISSING))}</td>" for field in fields))
        for version in ({**version.model_dump(), "digest": version.digest[:12]} for version in run.all_versions)
    ]
    header = ("arm", "registered model", "version", "URI", "kind", "model id", "digest")
    return scrolling_table("Model versions", header, rows, style="text")


def _code(text: str) -> str:
    """HTML of a text in which Markdown's backticks mark code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def measures_told(comparison: Comparison) -> str:
    """How to read the measures."""
    definitions = "".join(
        f"<dt>{escape(measure.label)}</dt><dd>{_code(measure.about)}</dd>" for measure in comparison.measures.values()
    )
    return f"""<h2>How to read the measures</h2>
<p>All policies meet the same worlds: in replication i the models are as good or bad, and the traffic is the same, for each
of them. Differences are taken within a replication, so most of the luck cancels. An interval says how far the estimate may
be off because the replications are finite, not how far the scenario may be from your production.</p>
<p>Trials that are undecided at the horizon, or have given up, are counted with the horizon as their time, never left out.
“Not reached” means that too few trials had decided by then; “no case” that no replication met the measure's condition.</p>
<dl>{definitions}</dl>"""
