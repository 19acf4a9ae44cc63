"""A part of the report for pages of others, such as a notebook: the memo and the table, with looks that touch nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from sim.compare.result import Comparison
from sim.report.parts import policies_compared, thresholds, winners
from sim.report.style import SCOPE, SCOPED_CSS


def fragment(comparison: Comparison, where: Mapping[str, str]) -> str:
    """HTML of the memo, the thresholds, and the policies side by side; of several points, which policy to take at which.

    `where` are the values of swept keys that the comparison is at. It needs no script and no network; every text is escaped.
    """
    run = comparison.run
    label = "".join(f", {path} = {value}" for path, value in where.items())
    answer, *rest = comparison.memo
    why = f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in rest)}</ul>" if rest else ""
    asked = f'<p class="note">{escape(run.question)}</p>' if run.question else ""
    body = [f'<section class="verdict"><h2>{escape(run.name + label)}</h2>{asked}<p>{escape(answer)}</p>{why}</section>']
    if comparison.thresholds:
        body.append(thresholds(comparison))
    (first, *others) = comparison.points
    if not others:
        body.append(policies_compared(comparison, first))
    elif any(point.policies for point in comparison.points):
        body.append(winners(comparison))
    content = "\n".join(body)
    return f'<div class="{SCOPE}"><style>{SCOPED_CSS}</style>\n{content}\n</div>'
