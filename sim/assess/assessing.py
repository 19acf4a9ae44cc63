"""The assessment of a rollout: what is played, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sim.assess.around import Beside, besides, tried_of
from sim.assess.figures import Row, as_dict, row_of, times
from sim.assess.mending import Mend, Needed, mended, needed
from sim.assess.playing import Case, Watch, cost_s, planned, play
from sim.assess.question import SAME, Question
from sim.assess.requiring import MEASURES as UNITS
from sim.assess.requiring import Judged, Requirement, estimate_of, parse_rules
from sim.assess.rollout import Rollout
from sim.errors import InputError, Problem
from sim.stats.intervals import Estimate
from sim.units import format_duration, format_rate

# Fewer replications are played where all of them would take longer than this on one processor, but not fewer than these.
_LONGEST_S = 120.0
_LEAST = 200


@dataclass(frozen=True)
class At:
    """A rollout at some traffic: a row for each version that was tried, the one that is no worse first."""

    name: str
    rate: str
    rows: tuple[Row, ...]
    alarms: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The same as data."""
        rows = [row.to_dict() for row in self.rows]
        return {"name": self.name, "rate": self.rate, "false_alarms_per_year": as_dict(self.alarms), "versions": rows}


@dataclass(frozen=True)
class Assessment:
    """What was found of a rollout. `notes` say what is not as one may think."""

    policy: str
    question: Question
    replications: int
    engine: str
    champion_errors: float
    bad_are: str
    traffic: tuple[At, ...]
    besides: tuple[Beside, ...] = ()
    mend: Mend | None = None
    needed: Needed | None = None
    judged: tuple[Judged, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether all that is required is shown."""
        return all(each.met for each in self.judged)

    def to_dict(self) -> dict[str, Any]:
        """The assessment as data, for `--json`."""
        return {
            "policy": self.policy,
            "replications": self.replications,
            "seed": self.question.seed,
            "engine": self.engine,
            "releases_per_year": self.question.releases,
            "champion_error_rate": self.champion_errors,
            "bad_answers_are": self.bad_are,
            "traffic": [each.to_dict() for each in self.traffic],
            "neighbours": [each.to_dict() for each in self.besides],
            "mend": self.mend.to_dict() if self.mend else None,
            "needed": self.needed.to_dict() if self.needed else None,
            "require": [
                {"rule": each.rule, "found": as_dict(each.found), "unit": each.unit, "met": each.met} for each in self.judged
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def assess(
    rollout: Rollout,
    question: Question,
    require: Sequence[str] = (),
    *,
    workers: int | None = None,
    watch: Watch | None = None,
    exactly: bool = False,
    neighbours: bool = True,
) -> Assessment:
    """Assess a rollout. Raises `InputError` for rules that cannot be, and for what cannot be played.

    With `neighbours`, settings beside the present ones are played too. With `exactly`, as many replications are played as the
    question says, however long that takes.
    """
    worlds = question.worlds(rollout.champion_errors, timed=rollout.timed)
    rules = parse_rules(require, [each.key for each in worlds[1:]], night=question.night_per_s is not None)
    rates = [("at this traffic", question.rate_per_s)]
    if question.night_per_s is not None:
        rates.append(("at night", question.night_per_s))
    cases = [Case(rollout, worse, rate) for _, rate in rates for worse in worlds]
    _some_requests(cases, question)
    replications = question.replications if exactly else affordable(cases, question)
    played = play(cases, replications, question.seed, workers, watch)
    rows = [row_of(case.worse, releases) for case, releases in zip(cases, played, strict=True)]
    traffic = tuple(
        _at(name, rate, rollout, question, rows[number * len(worlds) : (number + 1) * len(worlds)])
        for number, (name, rate) in enumerate(rates)
    )
    judged = tuple(_judge(rule, traffic, question.releases) for rule in rules)
    aside: tuple[Beside, ...] = ()
    if neighbours:
        aside = besides(rollout, tried_of(traffic[0].rows, question), question, replications, workers, watch)
    mend = need = None
    if question.wanted:
        mend = mended(rollout, question, replications, workers, watch)
        need = needed(rollout, question, replications, workers, watch)
    return Assessment(
        rollout.name, question, replications, played[0].engine, rollout.champion_errors, rollout.bad_are, traffic, aside,
        mend, need, judged,
        tuple(_notes(rollout, traffic[0], replications, question)),
    )  # fmt: skip


def _some_requests(cases: Sequence[Case], question: Question) -> None:
    """Raise `InputError` where a rate brings less than a request in the whole rollout."""
    problems = []
    for case in {case.rate_per_s: case for case in cases if case.worse == SAME}.values():
        world = planned(case, 1, 1).world
        expected = float(world.requests.sum())
        if expected < 1:
            rate = format_rate(case.rate_per_s) if case.rate_per_s is not None else "its traffic"
            during = format_duration(world.ticks * world.tick_s)
            option = "--night-rate" if case.rate_per_s == question.night_per_s is not None else "--rate"
            problems.append(Problem(f"too low to tell anything: {rate} brings {expected:.2g} requests in {during}", option))
    if problems:
        raise InputError(problems)


def affordable(cases: Sequence[Case], question: Question) -> int:
    """As many replications as are asked for, or fewer where that takes too long."""
    whole = cost_s(cases, question.replications, question.seed)
    fewer = int(question.replications * _LONGEST_S / whole) if whole > _LONGEST_S else question.replications
    return min(question.replications, max(fewer, _LEAST))


def _at(name: str, rate: float | None, rollout: Rollout, question: Question, rows: Sequence[Row]) -> At:
    own = rollout.rate_per_s if rate is None else rate
    return At(
        name, format_rate(own) if own is not None else "as traced", tuple(rows), times(rows[0].stopped, question.releases)
    )


def _judge(rule: Requirement, traffic: Sequence[At], releases: float) -> Judged:
    found = estimate_of(rule, traffic[rule.night].rows, releases)
    return Judged(rule.text, found, UNITS[rule.measure], rule.shown_by(found))


def _notes(rollout: Rollout, at: At, replications: int, question: Question) -> list[str]:
    notes = []
    if not rollout.checks:
        notes.append("no check can end this rollout: nothing is ever caught, however bad it is")
    elif all(row.back.estimate == 0 for row in at.rows[1:]):
        notes.append("no version that was tried was ever rolled back: nothing is caught")
    blind = [row for row in at.rows[1:] if row.worse.slower] if not rollout.timed else []
    if blind:
        notes.append("no check reads times: a slower version is caught by chance alone")
    if replications < question.replications:
        notes.append(f"{replications:,} replications were played, and not {question.replications:,}, which takes too long here")
    return notes
