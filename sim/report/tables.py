"""The comparison table as rows of cells, which HTML and Markdown both print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.report.numbers import in_line, number, with_interval
from sim.report.source import Source
from sim.scenario.sweep import JOINT

MAIN = (
    "ship",
    "keep",
    "inconclusive",
    "undecided",
    "correct",
    "wrong_ship",
    "missed_win",
    "time_to_decision_p50",
    "time_to_decision",
    "regret",
    "harmed_requests",
    "peak_exposure",
)
"""The measures that a reader needs first, in order; the others follow in a table of all."""

ESTIMATES = (
    "winner_bias", "winner_bias_unbiased", "exaggeration", "wrong_sign", "effect_coverage", "effect_coverage_unbiased",
)  # fmt: skip
"""What the estimates at the verdict are worth."""

RARE = ("inconclusive", "undecided")


@dataclass(frozen=True)
class Cell:
    """An estimate, its interval, and the difference to the baseline where that is beyond chance.

    `tone` is "better", "worse" or "" (no difference beyond chance, or no better direction).
    """

    value: str
    interval: str
    gap: str = ""
    tone: str = ""


def columns(source: Source, wanted: tuple[str, ...] = MAIN) -> list[str]:
    """The names among `wanted` that this run has measured, without outcomes that no policy ever had."""
    return [name for name in wanted if name in source.summary["measures"] and not (name in RARE and _never(source, name))]


def known(source: Source, wanted: tuple[str, ...]) -> list[str]:
    """The names among `wanted` of which some policy has an estimate."""

    def has(name: str) -> bool:
        found = (row["measures"].get(name) for row in source.policies)
        return any(estimate and estimate["estimate"] is not None for estimate in found)

    return [name for name in wanted if has(name)]


def cell(row: Mapping[str, Any], name: str, measure: Mapping[str, str]) -> Cell:
    """The cell of one policy (`row` of the summary) and one measure.

    >>> row = {"measures": {"regret": {"estimate": 5.0, "lower": 4.0, "upper": 6.0, "n": 9}},
    ...        "differences": {"regret": {"estimate": -2.0, "lower": -3.0, "upper": -1.0, "n": 9}}}
    >>> cell(row, "regret", {"unit": "value", "better": "lower"})
    Cell(value='5', interval='4–6', gap='−2', tone='better')
    """
    value, interval = with_interval(row["measures"].get(name), measure["unit"])
    difference = row["differences"].get(name)
    if not difference or not _beyond_chance(difference):
        return Cell(value, interval)
    gap, _ = with_interval(difference, measure["unit"], signed=True)
    falls = difference["estimate"] < 0
    tone = {"lower": "better" if falls else "worse", "higher": "worse" if falls else "better"}.get(measure["better"], "")
    return Cell(value, interval, gap, tone)


def difference(row: Mapping[str, Any], name: str, measure: Mapping[str, str]) -> str:
    """The paired difference to the baseline with its interval, in one text."""
    return in_line(row["differences"].get(name), measure["unit"], signed=True)


def facts(source: Source) -> str:
    """What stands behind the numbers, in one sentence."""
    run, count = source.run, source.run.replications
    spans = " or ".join(dict.fromkeys(number(own.horizon_s, "s") for own in run.runs))
    engines = " and ".join(dict.fromkeys(own.engine for own in run.runs))
    where = f" at each of {len(run.runs)} points of {JOINT.join(run.sweep.paths)}," if run.sweep else ""
    return (
        f"{count:,} replication{'s' if count != 1 else ''} of each of {len(run.policies)} policies{where} over {spans} of "
        f"simulated time, on the {engines} engine{'' if run.sweep else f' with seed {run.seed}'}. "
        + ("One replication has no interval." if count == 1 else "Intervals are 95%.")
    )


def missing(source: Source) -> str:
    """A sentence about what an interrupted run has not finished; empty for a finished one."""
    run = source.run
    if run.status == "finished":
        return ""
    if run.sweep:
        left = f"{sum(len(own.unfinished) for own in run.runs)} policies at points"
        return f"The run was interrupted: {left} are not finished, and not in this report. Run it again to go on."
    return f"The run was interrupted. Not finished, and not in this report: {', '.join(run.unfinished) or 'none'}."


def _never(source: Source, name: str) -> bool:
    found = [row["measures"].get(name) for row in source.policies]
    return all(estimate is not None and estimate["estimate"] == 0 for estimate in found)


def _beyond_chance(difference: Mapping[str, Any]) -> bool:
    lower, upper = difference["lower"], difference["upper"]
    return lower is not None and upper is not None and (lower > 0 or upper < 0)
