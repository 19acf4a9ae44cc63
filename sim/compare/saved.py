"""What a run folder says of its run, read again as it was saved."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from sim.compare.measures import MEASURES
from sim.compare.result import Comparison
from sim.compare.summary import FILE, read_summary
from sim.errors import InputError, Problem
from sim.run.folder import TEXT
from sim.run.held import check_all_intact, check_intact, held
from sim.run.record import read_run
from sim.units import shown
from sim.version import VERSION


def read_saved(folder: Path) -> Comparison:
    """The comparison in a run folder. Nothing is played or computed, and the folder is not changed.

    Raises `InputError`, which says what to do, for a folder that is no run's, is truncated or damaged, or was compared by
    another version of the program, whose measures may mean something else.

    >>> read_saved(Path("nowhere"))
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    if not (folder / "run.json").is_file():
        # Raises an error that tells a folder without a run from none.
        read_run(folder)
    try:
        comparison = read_summary(folder, read_run(folder))
    except InputError as error:
        *others, last = error.problems
        raise InputError([*others, replace(last, message=f"{last.message}; {_mended(folder)}")]) from None
    if comparison.sim_version != VERSION:
        other = f"by sim {comparison.sim_version}" if comparison.sim_version else "by an earlier version of sim"
        message = f"was compared {other}, and this is {VERSION}, whose measures may differ; {_mended(folder)}"
        raise InputError([Problem(message, file=str(folder / FILE))])
    if lacking := _lacking(comparison):
        raise InputError([Problem(f"is corrupt: {lacking}; {_mended(folder)}", file=str(folder / FILE))])
    try:
        # What was said of files that have been changed since is not shown as if it were of them.
        check_all_intact(folder, comparison.run)
    except InputError as error:
        *others, last = error.problems
        raise InputError([*others, replace(last, message=f"{last.message}; {_mended(folder)}")]) from None
    return comparison


def _lacking(comparison: Comparison) -> str:
    """What a comparison of this version of the program has and this one has not; empty if it has all."""
    known = {policy.name for policy in comparison.run.policies}
    if not comparison.memo or not all(point.memo for point in comparison.points):
        return "it has no memo"
    for point in comparison.points:
        for policy in point.policies:
            if policy.policy not in known:
                return f"policy {shown(policy.policy)} is none of run.json"
            if missing := [name for name in MEASURES if name not in policy.measures]:
                return f"policy {policy.policy} has no {missing[0]}"
    return ""


def _mended(folder: Path) -> str:
    """What to do with a folder whose comparison cannot be used."""
    try:
        run = held(folder)
    except InputError:
        run = None
    name = shlex.quote(str(folder))
    if run is not None:
        return f"its trials are whole, and `sim report {name}` compares them again"
    scenario = folder / TEXT
    if scenario.is_file() and _as_written(folder):
        return f"to play it again: `sim run {shlex.quote(str(scenario))} --out {name} --again`"
    return f"put it back, or play the scenario that the run was of again: `sim run FILE --out {name} --again`"


def _as_written(folder: Path) -> bool:
    """Whether the scenario's text is that of the run, as far as run.json can be read."""
    try:
        run = read_run(folder)
    except InputError:
        return True
    try:
        check_intact(folder / TEXT, run)
    except InputError:
        return False
    return True
