"""Find the numbers of a scenario that are to be calibrated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sim.calibration.playing import Trying
from sim.calibration.search import Found, Look, NotFound, Scale, find
from sim.compare.wording import duration, number, share, with_interval
from sim.errors import InputError, Problem
from sim.run.found import CalibrationRecord
from sim.run.plan import Resolved, Settled
from sim.scenario.calibrate import IN_AA
from sim.scenario.check import open_numbers
from sim.scenario.check_calibrated import OpenNumber, with_number
from sim.scenario.schema import Scenario
from sim.units import format_share

FOLDER = ".calibrations"
# About how many looks at all trials a search takes, with those at fresh ones.
_USUAL_LOOKS = 8


def settle(
    scenario: Scenario,
    resolved: Resolved,
    base: Path,
    *,
    workers: int | None = None,
    kept: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Settled:
    """The scenario with a number in the place of each that is to be calibrated, and a record of how it was found.

    The same scenario gives the same numbers, with any number of workers. `kept` is a folder that keeps what was played, `say`
    is called with lines about the progress. Raises `InputError`, at its place, for a number that does not exist: the error
    stays above or below what is asked for, whatever stands there.
    """
    records: list[CalibrationRecord] = []
    for each in open_numbers(scenario):
        trying = Trying(scenario, each, resolved, base, workers, kept)
        if say:
            about = duration(max(_USUAL_LOOKS * trying.expected_s(), 1.0))
            trials = "A/A tests" if each.promise[0] in IN_AA else "trials"
            held = f"{each.promise[0]} {format_share(each.promise[1])}"
            looks = f"some {_USUAL_LOOKS} looks at {each.replications:,} {trials} each, about {about}"
            say(f"{scenario.name}: calibrating {each.key} of {each.policy} for {held}: {looks}")
        try:
            found = find(_telling(trying, each, say), each.promise[1], _scale(scenario, each), each.start, each.between)
        except NotFound as error:
            raise InputError([_unattainable(each, error.looks)]) from None
        fresh = trying.fresh(found.value)
        records.append(_record(each, found, fresh, trying.played))
        scenario = with_number(scenario, each, found.value)
    return scenario, tuple(records)


def _telling(trying: Trying, open_number: OpenNumber, say: Callable[[str], None] | None) -> Callable[[float], Look | None]:
    def look(value: float) -> Look | None:
        found = trying.look(value)
        if say and found is not None:
            text = open_number.quantity.text(value)
            say(f"  {open_number.key} {text}: {open_number.promise[0]} {share(found.share)} of {number(found.n, 'count')}")
        return found

    return look


def _scale(scenario: Scenario, each: OpenNumber) -> Scale:
    kind, ends = each.quantity.kind, each.between or (each.start, each.start)
    if kind == "whole":
        return Scale("linear", 1.0)
    if kind == "share" and ends[0] > 0 and ends[1] < 1:
        return Scale("odds")
    # Times that are whole ticks stay so: most keys ask for it.
    ticks = kind == "duration" and all(abs(end / scenario.tick - round(end / scenario.tick)) < 1e-9 for end in ends)
    return Scale("log" if ends[0] > 0 else "linear", scenario.tick if ticks else 0.0)


def _unattainable(each: OpenNumber, looks: tuple[Look, ...]) -> Problem:
    measure, asked = each.promise
    held = f"{measure} {format_share(asked)}"
    if not looks:
        return Problem(f"cannot be calibrated for {held}: no trial is a case of it", each.path)
    first, last = min(looks, key=lambda look: look.value), max(looks, key=lambda look: look.value)
    ends = " and ".join(
        f"{with_interval(look.estimate, 'share')} at {each.quantity.text(look.value)}"
        for look in ((first,) if first is last else (first, last))
    )
    if all(look.share <= asked for look in looks):
        what = "stays below that with every number that was tried"
    elif all(look.share > asked for look in looks):
        what = "stays above that with every number that was tried"
    else:
        what = "jumps from one side of it to the other and back"
    return Problem(f"cannot be calibrated for {held}: it {what}, {ends}", each.path)


def _record(each: OpenNumber, found: Found, fresh: Look, played: int) -> CalibrationRecord:
    measure, asked = each.promise
    text, measured = each.quantity.text, fresh.estimate
    return CalibrationRecord(
        policy=each.policy, path=each.path, key=each.key, value=text(found.value),
        lower=None if found.lower is None else text(found.lower), upper=None if found.upper is None else text(found.upper),
        measure=measure, asked=asked, measured=fresh.share, measured_lower=measured.lower, measured_upper=measured.upper,
        fresh=fresh.n, replications=played, alike=measure in IN_AA,
    )  # fmt: skip
