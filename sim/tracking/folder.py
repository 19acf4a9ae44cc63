"""A run folder as `sim run` and the comparison leave it: read and checked before any server is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from sim.errors import InputError, Problem
from sim.run.record import PolicyName, Record, Stored, read_json, read_run

ARTIFACTS = ("run.json", "scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet", "report.html", "report.md")
"""What is logged, by fixed names; nothing that stands in a file names a path."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "finished": ("scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet"),
    "interrupted": ("scenario.yaml",),
}


class Interval(Stored):
    """An estimate with its Monte-Carlo interval."""

    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None


class PolicySummary(Stored):
    """What the comparison says of one policy."""

    policy: str
    measures: dict[str, Interval | None]
    differences: dict[str, Interval | None] = Field(default_factory=dict)


class Threshold(Stored):
    """Whether a policy breached a threshold of the scenario."""

    breached: bool


class PointSummary(Stored):
    """What the comparison says of one point of a sweep."""

    policies: tuple[PolicySummary, ...]


class Summary(Stored):
    """`summary.json`: of a sweep, by point."""

    policies: tuple[PolicySummary, ...] = ()
    points: tuple[PointSummary, ...] = ()
    verdict: str = ""
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class RunFolder:
    """A run folder. `scenario` is its file as plain data; `summary` is None where an interrupted run has none.

    `files` are the artifacts that there are. `fingerprint` changes whenever one of them does.
    """

    path: Path
    record: Record
    scenario: Mapping[str, Any]
    summary: Summary | None
    files: tuple[Path, ...]
    fingerprint: str

    @property
    def policies(self) -> tuple[PolicyName, ...]:
        """The policies that ran to their end."""
        if self.record.status == "finished":
            return self.record.policies
        return tuple(policy for policy in self.record.policies if policy.name in self.record.completed)

    def file(self, name: str) -> Path | None:
        """The file of that name, if the folder has it."""
        return next((file for file in self.files if file.name == name), None)


def read_folder(path: Path) -> RunFolder:
    """The run folder at `path`. Raises `InputError` naming each file that is missing or cannot be read.

    >>> read_folder(Path("nowhere"))
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    from sim.scenario.loading import read_yaml

    record = read_run(path)
    missing = [name for name in _REQUIRED[record.status] if not (path / name).is_file()]
    if missing:
        rule = f"is missing, though run.json says that the run is {record.status}"
        raise InputError([Problem(rule, file=str(path / name)) for name in missing])
    scenario = read_yaml(path / "scenario.yaml").data
    summary = read_json(path / "summary.json", Summary) if (path / "summary.json").is_file() else None
    files = tuple(path / name for name in ARTIFACTS if (path / name).is_file())
    folder = RunFolder(path, record, scenario, summary, files, _fingerprint(files))
    if summary is not None and record.sweep is None:
        known = {policy.policy for policy in summary.policies}
        lacking = [policy.name for policy in folder.policies if policy.name not in known]
        if lacking:
            message = f"lacks policies that run.json has: {', '.join(lacking)}; compare the run again"
            raise InputError([Problem(message, file=str(path / "summary.json"))])
    if summary is not None and record.sweep is not None and len(summary.points) != len(record.sweep.points):
        message = (
            f"must have the {len(record.sweep.points)} points of run.json, got {len(summary.points)}; compare the run again"
        )
        raise InputError([Problem(message, file=str(path / "summary.json"))])
    return folder


def _fingerprint(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as opened:
                digest.update(file.name.encode() + hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise InputError([Problem(f"cannot be read: {error.strerror}", file=str(file))]) from error
    return digest.hexdigest()
