"""Rules that an assessment must be shown to keep, such as `false_abort < 2%`, for a job that is to fail where it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.assess.figures import Row
from sim.compare.rules import compares
from sim.errors import InputError, Problem
from sim.spelling import did_you_mean, there_are
from sim.stats.intervals import Estimate
from sim.units import parse_duration, parse_share, shown

_RULE = re.compile(r"\s*(?:(night)\.)?([A-Za-z_0-9]+)(?:@(\S+?))?\s*(<=|>=|<|>)\s*(\S+)\s*")
_OF_SAME = {"false_abort": "share", "false_pause": "share", "false_alarms_per_year": "count"}
_OF_WORSE = {"caught": "share", "missed": "share", "time_to_catch_p50": "s", "time_to_catch_p95": "s", "bad_answers": "count"}
MEASURES: Mapping[str, str] = _OF_SAME | _OF_WORSE
"""Measure → unit: those of a version that is no worse, and those of one that is, named behind an @."""


@dataclass(frozen=True)
class Requirement:
    """A rule of one measure, in its unit. `version` is the key of a version that is worse, or empty."""

    text: str
    night: bool
    measure: str
    version: str
    comparison: str
    value: float

    def shown_by(self, estimate: Estimate) -> bool:
        """Whether the whole 95% interval keeps the rule. A time that is not reached is later than any."""
        upper = self.comparison in ("<", "<=")
        bound = estimate.upper if upper else estimate.lower
        if bound is None:
            return not upper and estimate.n > 0 and MEASURES[self.measure] == "s"
        return compares(self.comparison, bound, self.value)


@dataclass(frozen=True)
class Judged:
    """A rule, what was found, and whether it is shown to be kept."""

    rule: str
    found: Estimate
    unit: str
    met: bool


def parse_rules(texts: Sequence[str], versions: Sequence[str], *, night: bool) -> list[Requirement]:
    """The rules. `versions` are the keys of those that are tried. Raises `InputError` with every rule that cannot be.

    >>> parse_rules(["caught@5% >= 95%"], ["1%", "5%"], night=False)[0].value
    0.95
    """
    found, problems = [], []
    for text in texts:
        try:
            found.append(_parsed(text, versions, night))
        except ValueError as error:
            problems.append(Problem(str(error), "--require"))
    if problems:
        raise InputError(problems)
    return found


def _parsed(text: str, versions: Sequence[str], night: bool) -> Requirement:
    match = _RULE.fullmatch(text)
    if match is None:
        raise ValueError(f'must be MEASURE <, <=, > or >= VALUE, such as "false_abort < 2%"; got {shown(text)}')
    by_night, measure, version, comparison, value = match.groups()
    if measure not in MEASURES:
        raise ValueError(f"no measure {shown(measure)}; {did_you_mean(measure, MEASURES) or there_are(MEASURES)}")
    if (measure in _OF_WORSE) != (version is not None):
        rule = f"{measure} is of a version that is worse, such as {measure}@5%" if version is None else f"{measure} has no @"
        raise ValueError(f"{rule}; got {shown(text)}")
    if version is not None and version not in versions:
        raise ValueError(f"no version {shown(version)} is tried; {there_are(versions)}")
    if by_night and not night:
        raise ValueError(f"there is no night without --night-rate; got {shown(text)}")
    parse = {"share": parse_share, "s": parse_duration, "count": _count}[MEASURES[measure]]
    return Requirement(" ".join(text.split()), bool(by_night), measure, version or "", comparison, parse(value))


def _count(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e300:
        raise ValueError(f"must be a number of at least 0; got {shown(text)}")
    return value


def estimate_of(rule: Requirement, rows: Sequence[Row], releases: float) -> Estimate:
    """What was found of the measure of a rule. `rows` begin with the version that is no worse."""
    from sim.assess.figures import times

    row = next(row for row in rows if row.worse.key == rule.version) if rule.version else rows[0]
    return {
        "false_abort": row.back,
        "false_pause": row.paused,
        "false_alarms_per_year": times(row.stopped, releases),
        "caught": row.back,
        "missed": row.shipped,
        "time_to_catch_p50": row.half,
        "time_to_catch_p95": row.most,
        "bad_answers": row.bad,
    }[rule.measure]
