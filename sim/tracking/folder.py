"""A run folder as `sim run` and the comparison leave it: read and checked before any server is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sim.errors import InputError, Problem

ARTIFACTS = ("run.json", "scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet", "report.html", "report.md")
"""What is logged, by fixed names; nothing that stands in a file names a path."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "finished": ("scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet"),
    "interrupted": ("scenario.yaml",),
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PolicyName(_Part):
    """A policy that was run, and its kind."""

    name: str
    kind: str


class VersionRecord(_Part):
    """The model version that an arm was."""

    arm: str
    uri: str
    name: str
    version: str
    model_id: str | None = None
    kind: str = ""
    digest: str = ""


class DataRecord(_Part):
    """The data set that real versions were replayed on."""

    name: str
    digest: str
    rows: int


class Primary(_Part):
    """The primary metric."""

    name: str


class PointRecord(_Part):
    """A point of a sweep: its values, as in the file and as numbers, and what differs there from the run as a whole."""

    values: tuple[str, ...]
    numbers: tuple[float | None, ...]
    run: dict[str, Any]


class SweepRecord(_Part):
    """What was swept, and the points."""

    paths: tuple[str, ...]
    points: tuple[PointRecord, ...]


class Record(_Part):
    """`run.json`. Lengths in seconds, times with a time zone."""

    name: str
    digest: Annotated[str, Field(pattern=r"^[\w.:-]{1,200}$")]
    question: str = ""
    engine: str
    seed: int
    replications: int
    horizon_s: FiniteFloat
    tick_s: FiniteFloat
    arms: tuple[str, ...]
    primary: Primary
    policies: tuple[PolicyName, ...]
    baseline: str
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    status: Literal["finished", "interrupted"]
    completed: tuple[str, ...] = ()
    versions: tuple[VersionRecord, ...] = ()
    data: DataRecord | None = None
    requests_expected: FiniteFloat | None = None
    smallest_effect: FiniteFloat = 0.0
    sim_version: str = ""
    sweep: SweepRecord | None = None

    @property
    def all_versions(self) -> tuple[VersionRecord, ...]:
        """The versions of all points, each once."""
        points = self.sweep.points if self.sweep else ()
        more = (VersionRecord.model_validate(each) for point in points for each in point.run.get("versions", ()))
        return tuple(dict.fromkeys((*self.versions, *more)))

    def at(self, point: PointRecord) -> Record:
        """The record of one point of a sweep, as of a run of its own."""
        return Record.model_validate({**self.model_dump(exclude={"sweep"}), **point.run})

    @property
    def key(self) -> str:
        """What tells this run from every other: the scenario's digest and when it started."""
        return f"{self.digest} {self.started_at.astimezone(UTC).isoformat()}"

    @property
    def start_ms(self) -> int:
        """When it started, in milliseconds since 1970."""
        return round(self.started_at.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """When it ended, in milliseconds since 1970."""
        return round((self.finished_at or self.started_at).timestamp() * 1000)


class Interval(_Part):
    """An estimate with its Monte-Carlo interval."""

    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None


class PolicySummary(_Part):
    """What the comparison says of one policy."""

    policy: str
    measures: dict[str, Interval | None]
    differences: dict[str, Interval | None] = {}


class Threshold(_Part):
    """Whether a policy breached a threshold of the scenario."""

    breached: bool


class PointSummary(_Part):
    """What the comparison says of one point of a sweep."""

    policies: tuple[PolicySummary, ...]


class Summary(_Part):
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

    if not path.is_dir():
        raise InputError([Problem("is a file, not a run folder" if path.exists() else "no such folder", file=str(path))])
    if not (path / "run.json").is_file():
        raise InputError([Problem("is not a run folder: it has no run.json", file=str(path))])
    record = _read(path / "run.json", Record)
    missing = [name for name in _REQUIRED[record.status] if not (path / name).is_file()]
    if missing:
        rule = f"is missing, though run.json says that the run is {record.status}"
        raise InputError([Problem(rule, file=str(path / name)) for name in missing])
    scenario = read_yaml(path / "scenario.yaml").data
    summary = _read(path / "summary.json", Summary) if (path / "summary.json").is_file() else None
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


_M = TypeVar("_M", bound=BaseModel)


def _read(file: Path, model: type[_M]) -> _M:
    try:
        return model.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problems = [
            Problem(f"is corrupt: {each['msg']}", path=".".join(map(str, each["loc"])), file=str(file))
            for each in error.errors()
        ]
        raise InputError(problems) from error
    except OSError as error:
        raise InputError([Problem(f"cannot be read: {error.strerror}", file=str(file))]) from error


def _fingerprint(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as opened:
                digest.update(file.name.encode() + hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise InputError([Problem(f"cannot be read: {error.strerror}", file=str(file))]) from error
    return digest.hexdigest()
