"""`summary.json`: write a comparison into a run folder, and read it."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sim.compare.result import Comparison, PointComparison
from sim.errors import InputError, Problem
from sim.files import reading, write_text
from sim.run.record import Record, problems_of
from sim.units import shown

FILE = "summary.json"


def to_json(comparison: Comparison) -> str:
    """The text of `summary.json`: no NaN, no infinity. Policies stand in its `points`; a run without a sweep has one point."""
    content = {
        "sim_version": comparison.sim_version,
        "run": comparison.run.to_dict(),
        "baseline": comparison.baseline,
        "measures": {name: asdict(measure) for name, measure in comparison.measures.items()},
        "points": _points().dump_python(comparison.points),
        "memo": list(comparison.memo),
        "thresholds": [asdict(judgement) for judgement in comparison.thresholds],
    }
    return json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1)


def write_summary(comparison: Comparison, folder: Path) -> Path:
    """Write `summary.json` into a run folder, whole or not at all. Returns its path."""
    file = folder / FILE
    write_text(file, to_json(comparison) + "\n")
    return file


def read_summary(folder: Path, run: Record) -> Comparison:
    """The comparison in `summary.json`; `run` is the record in run.json.

    Raises `InputError`, with every problem, for a file that cannot be read, and for one that lacks points or policies of the
    run.

    >>> read_summary(Path("nowhere"), Record.model_construct())
    Traceback (most recent call last):
    sim.errors.InputError: nowhere/summary.json: cannot be read: No such file or directory
    """
    file = folder / FILE
    with reading(file):
        content = json.loads(file.read_bytes(), parse_constant=_refused)
        if not isinstance(content, dict):
            raise ValueError(f"must be a mapping, got {shown(content)}")
        # Take the record from run.json, not from the summary: run.json has the current state of the run.
        try:
            comparison: Comparison = _reader().validate_python({**content, "run": run})
        except ValidationError as error:
            raise InputError(problems_of(error, file)) from error
    stale = _stale(comparison, run)
    if stale:
        raise InputError([Problem(f"{stale}; compare the run again", file=str(file))])
    return comparison


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


@cache
def _reader() -> TypeAdapter[Any]:
    return TypeAdapter(Comparison)


@cache
def _points() -> TypeAdapter[Any]:
    return TypeAdapter(tuple[PointComparison, ...])


def _stale(comparison: Comparison, run: Record) -> str:
    """A message on points or policies of the run that the summary lacks; empty if it has all."""
    points = run.points
    if len(comparison.points) != len(points):
        return f"must have the {len(points)} points of run.json, got {len(comparison.points)}"
    lacking = dict.fromkeys(
        name
        for point, own in zip(comparison.points, points, strict=True)
        for name in own.run.finished
        if point.policy(name) is None
    )  # fmt: skip
    return f"lacks policies that run.json has: {', '.join(lacking)}" if lacking else ""
