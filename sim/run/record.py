"""The schema of `run.json`, which describes a run; every reader of a run folder uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, FiniteFloat, ValidationError, model_validator

from sim.errors import InputError, Problem, format_path
from sim.files import reading
from sim.run.folder import holding, unsettled
from sim.run.found import CalibrationRecord, EnoughRecord
from sim.run.stored import Length, NotNegative, Stored
from sim.scenario.labels import JOINT

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

When = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def now() -> datetime:
    """The time as a run may carry it: a clock that stands before 1970 counts as 1970."""
    return min(max(datetime.now(UTC), _FIRST), _LAST)


class PolicyName(Stored):
    """The name and the kind of a policy that was run."""

    name: str
    kind: str
    promised: float | None = None
    """How often, at most, it says that it declares a difference where all arms are alike; None if it does not say."""
    warned: bool = False
    """Whether the run warned of it: what it promises does not hold in this scenario."""
    told: tuple[str, ...] = ()
    """What it does, in words: a text for each of its stages. None of a run of an earlier version."""


class VersionRecord(Stored):
    """The model version of an arm."""

    arm: str
    uri: str
    name: str
    version: str
    model_id: str | None = None
    run_id: str | None = None
    kind: str = ""
    digest: str = ""


class DataRecord(Stored):
    """The data set on which real versions were replayed."""

    name: str
    digest: str
    rows: int
    columns: dict[str, str] = Field(default_factory=dict)
    """The type of each column's values, in pandas' words, the target among them. None of a run of an earlier version."""


class Span(Stored):
    """When something was played: from the start of the first task to the end of the last."""

    started_at: When
    finished_at: When

    def with_(self, other: Span | None) -> Span:
        """The span of both."""
        if other is None:
            return self
        return Span(started_at=min(self.started_at, other.started_at), finished_at=max(self.finished_at, other.finished_at))


class PartRecord(Stored):
    """A policy part from outside this package: its role, its kind, its origin, and a digest of its text."""

    family: str
    kind: str
    origin: str
    digest: str


class Primary(Stored):
    """The primary metric: `sign` is 1 where more is better, else -1."""

    name: str
    sign: Literal[1, -1]
    binary: bool = False
    mean: FiniteFloat | None = None
    """The champion's, as registered."""


class ValueRecord(Stored):
    """What a decision is worth, as in the scenario's `value`, with its lifetime.

    `competing`: what a request meets depends on others, so that keeping the champion must be played to know what it loses.
    """

    lifetime_s: Length
    currency: str | None = None
    per: dict[str, NotNegative] = Field(default_factory=dict)
    per_error: NotNegative = 0.0
    per_slow: NotNegative = 0.0
    per_lost: NotNegative = 0.0
    per_duplicate: NotNegative = 0.0
    per_day: NotNegative = 0.0
    per_ship: NotNegative = 0.0
    per_rollback: NotNegative = 0.0
    delay: NotNegative = 0.0
    competing: bool = False
    stated: bool = False
    """Whether the scenario has a `value`."""


class ProgrammeRecord(Stored):
    """Releases that queue for the traffic: how many candidates come up in a year of 365 days, how many rollouts run at once."""

    candidates_per_year: Length
    at_once: Annotated[int, Field(ge=1)] = 1


class PointRecord(Stored):
    """A point of a sweep: its values as in the file and as numbers, and the keys of `run` that differ from the whole run."""

    values: tuple[str, ...]
    numbers: tuple[FiniteFloat | None, ...]
    run: dict[str, Any]


class SweepRecord(Stored):
    """The swept keys and the points of a sweep."""

    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    points: Annotated[tuple[PointRecord, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_value_a_path(self) -> SweepRecord:
        for number, point in enumerate(self.points):
            if not len(point.values) == len(point.numbers) == len(self.paths):
                raise ValueError(f"point {number} must have a value and a number for each of {len(self.paths)} paths")
        return self


class VariantRecord(Stored):
    """Another world in which the policies were played again: what is otherwise, in words and as in a file by path, and the keys
    of `run` that differ from the run.
    """

    what: str
    told: str
    values: dict[str, Any]
    run: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.what} ({self.told})"


class SensitivityRecord(Stored):
    """The other worlds of a run, and those that are usual and were left out, with the reason."""

    variants: tuple[VariantRecord, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class RunPoint:
    """A point as a run of its own, with its values of the swept keys: as in the file, and as numbers."""

    values: tuple[str, ...]
    numbers: tuple[float | None, ...]
    run: Record

    @property
    def label(self) -> str:
        """The values in one text; empty where nothing is swept."""
        return JOINT.join(self.values)


class Record(Stored):
    """A run. Durations are in seconds; times have a time zone."""

    name: str
    digest: Annotated[str, Field(pattern=r"^[\w.:-]{1,200}$")]
    question: str = ""
    engine: str
    engine_reason: str = ""
    seed: int
    replications: Annotated[int, Field(ge=1)]
    horizon_s: Length
    tick_s: Length
    arms: Annotated[tuple[str, ...], Field(min_length=2)]
    primary: Primary
    policies: Annotated[tuple[PolicyName, ...], Field(min_length=1)]
    baseline: str
    started_at: When
    finished_at: When | None = None
    status: Literal["finished", "interrupted"]
    completed: tuple[str, ...] = ()
    played: dict[str, Span] = Field(default_factory=dict)
    """When each policy was played, as far as it is known; with a sweep, at any point. None of a run of an earlier version."""
    versions: tuple[VersionRecord, ...] = ()
    data: DataRecord | None = None
    parts: tuple[PartRecord, ...] = ()
    requests_expected: NotNegative
    assumptions: dict[str, str] = Field(default_factory=dict)
    """What the run takes for given, in words; none of a run of an earlier version."""
    value: ValueRecord | None = None
    """None of a run of an earlier version."""
    programme: ProgrammeRecord | None = None
    """None where the scenario has none, and of a run of an earlier version."""
    calibrated: tuple[CalibrationRecord, ...] = ()
    """The numbers that were found before the run."""
    enough: EnoughRecord | None = None
    """Where replications were added until there were enough; None of a run with a number that was given."""
    goal: Literal["better", "not_worse"] = "better"
    require: dict[str, str] = Field(default_factory=dict)
    thresholds: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    smallest_effect: NotNegative = 0.0
    sim_version: str = ""
    sources: str = ""
    """A digest of the program's sources that decide the bits of a trial."""
    files: dict[str, Digest] = Field(default_factory=dict)
    """The sha256, in hexadecimal, of the scenario's text and of each table, as they were written."""
    sensitivity: SensitivityRecord | None = None
    """None with a sweep, where it is off, and of a run of an earlier version."""
    sweep: SweepRecord | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        if self.tick_s > self.horizon_s:
            raise ValueError(f"tick_s must not exceed horizon_s, got {self.tick_s:g} and {self.horizon_s:g}")
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names):
            raise ValueError("policies must differ in their names")
        strangers = [name for name in (self.baseline, *self.completed) if name not in names]
        if strangers:
            raise ValueError(f"baseline and completed must name policies, got {strangers[0]!r}")
        for number, point in enumerate(self.points):
            # What a policy promises may differ from point to point, where its settings are swept.
            same = [(each.name, each.kind) for each in point.run.policies] == [(each.name, each.kind) for each in self.policies]
            if not same or point.run.sweep is not None:
                raise ValueError(f"sweep.points[{number}].run must keep the policies of the run")
        for number, run in enumerate(self.variants):
            same = [(each.name, each.kind) for each in run.policies] == [(each.name, each.kind) for each in self.policies]
            if not same or run.arms != self.arms:
                raise ValueError(f"sensitivity.variants[{number}].run must keep the policies and arms of the run")
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """The swept keys; empty without a sweep."""
        return self.sweep.paths if self.sweep else ()

    @property
    def points(self) -> tuple[RunPoint, ...]:
        """The points, each as a run of its own; without a sweep, this run is the only point."""
        return self.swept or (RunPoint((), (), self),)

    @cached_property
    def swept(self) -> tuple[RunPoint, ...]:
        """The points of a sweep, made once: there may be thousands, and each is validated. None without a sweep."""
        return tuple(
            RunPoint(point.values, point.numbers, self._with(point.run, f"sweep.points[{number}].run"))
            for number, point in enumerate(self.sweep.points if self.sweep else ())
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Record:
        """A copy with other values, whose points are made anew."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("swept", None)
        return copied

    @property
    def variants(self) -> tuple[Record, ...]:
        """The other worlds, each as a run of its own."""
        variants = self.sensitivity.variants if self.sensitivity else ()
        return tuple(self._with(each.run, f"sensitivity.variants[{number}].run") for number, each in enumerate(variants))

    def _with(self, other: dict[str, Any], place: str) -> Record:
        """This run with other values; raises `ValueError`, naming the place, where they are none."""
        try:
            return Record.model_validate({**self.model_dump(exclude={"sweep", "sensitivity", "played"}), **other})
        except ValidationError as error:
            message = "; ".join(f"{format_path(detail['loc'])}: {detail['msg']}" for detail in error.errors())
            raise ValueError(f"{place}: {message}") from None

    @property
    def all_versions(self) -> tuple[VersionRecord, ...]:
        """The versions of all points, each once."""
        return tuple(dict.fromkeys((*self.versions, *(version for point in self.points for version in point.run.versions))))

    @property
    def finished(self) -> tuple[str, ...]:
        """The policies that ran to their end; with a sweep, at every point."""
        return tuple(policy.name for policy in self.policies if self.status == "finished" or policy.name in self.completed)

    @property
    def key(self) -> str:
        """A unique key of the run: the scenario's digest and the start time."""
        return f"{self.digest} {self.started_at.astimezone(UTC).isoformat()}"

    @property
    def start_ms(self) -> int:
        """The start time, in milliseconds since 1970."""
        return round(self.started_at.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """The end time, in milliseconds since 1970."""
        return round((self.finished_at or self.started_at).timestamp() * 1000)

    def to_dict(self) -> dict[str, Any]:
        """The run as a dictionary, as in `run.json`."""
        return self.model_dump(mode="json", exclude=None if self.sweep else {"sweep"})


def read_run(folder: Path) -> Record:
    """The `run.json` of a run folder. Raises `InputError` if there is none, or with every problem in it.

    A replacement of the folder's files that did not come to its end is brought to it first.

    >>> read_run(Path("nowhere"))
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    if not folder.is_dir():
        raise InputError([Problem("is a file, not a run folder" if folder.exists() else "no such folder", file=str(folder))])
    if unsettled(folder):
        with holding(folder):
            pass
    if not (folder / "run.json").is_file():
        raise InputError([Problem("is not a run folder: it has no run.json", file=str(folder))])
    return read_json(folder / "run.json", Record)


M = TypeVar("M", bound=BaseModel)


def read_json(file: Path, model: type[M]) -> M:
    """A JSON file of a run folder, parsed as a model. Raises `InputError` with every problem in it."""
    with reading(file):
        content = file.read_bytes()
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise InputError(problems_of(error, file)) from error


def problems_of(error: ValidationError, file: Path) -> Iterator[Problem]:
    """Every problem in a file of a run folder."""
    for detail in error.errors():
        message = detail["msg"].removeprefix("Value error, ")
        yield Problem(f"is corrupt: {message}", path=format_path(detail["loc"]), file=str(file))
