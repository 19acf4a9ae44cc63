"""The entries that are logged of a run: one for the run, one per policy, or one per point of a sweep. Needs no server."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from sim.compare.elsewhere import summed
from sim.compare.result import PointComparison, PolicySummary
from sim.errors import EXIT_OK, EXIT_THRESHOLD
from sim.report import tables
from sim.report.many import thinned
from sim.run.record import Record, RunPoint, Span
from sim.scenario.labels import JOINT
from sim.tracking.folder import RunFolder
from sim.tracking.limits import MOST_NESTED, in_table
from sim.tracking.names import safe_names
from sim.tracking.page import cut, taken_by
from sim.tracking.runs import FOLDER, KEY
from sim.tracking.series import IN_ALL, Point, timeline_of

TAG = 5000
"""The most characters of a tag."""
_PARAM = 500


@dataclass(frozen=True)
class Entry:
    """One MLflow run: `estimates` are metrics of one value, `series` are metrics of one value per step; all are finite.

    `key` identifies the run, so that logging finds it again and does not create it twice. `start_ms` and `end_ms` are when what
    it is of was played, in milliseconds since 1970.
    """

    key: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    start_ms: int
    end_ms: int
    estimates: Mapping[str, float]
    series: tuple[Point, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A digest that changes whenever anything in the entry does."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def scenario_entry(folder: RunFolder) -> Entry:
    """The parent run: the scenario, its versions, the main estimates of the policy taken; of a sweep, every policy's curves."""
    record, comparison = folder.record, folder.comparison
    params = {
        "name": record.name,
        **_shared(folder.record),
        "arms": ", ".join(record.arms),
        "policies": ", ".join(policy.name for policy in record.policies),
        "baseline": record.baseline,
        "primary": record.primary.name,
        "smallest_effect": _number(record.smallest_effect),
    }
    params["requests_expected"] = _number(record.requests_expected)
    if record.data is not None:
        params["data"] = record.data.name
    if record.paths:
        params["sweep"] = JOINT.join(record.paths)
        params["points"] = str(len(record.points))
    tags = {
        "sim.kind": "sweep" if record.paths else "scenario",
        "sim.status": record.status,
        **_tags(folder),
        **_lineage(folder.record),
    }
    if comparison is not None and comparison.thresholds:
        tags["sim.thresholds"] = "breached" if comparison.breached else "met"
        # `mlflow run` ends with a code of its own, so the program's is kept here.
        tags["sim.exit"] = str(EXIT_THRESHOLD if comparison.breached else EXIT_OK)
    if comparison is not None and comparison.points[0].elsewhere:
        tags["sim.sensitivity"] = summed(comparison.points[0].elsewhere)
    span = Span(started_at=record.started_at, finished_at=record.finished_at or record.started_at)
    if record.paths:
        if told := in_table(len(record.points)):
            tags["sim.points"] = told
        curves = _curves([_side_by_side(folder, record, point) for _, point in _points(folder)])
        return _entry(record.key, record.name, params, {**tags, KEY: record.key}, span, {}, curves)
    estimates: dict[str, float] = {}
    if (taken := taken_by(folder)) is not None and comparison is not None:
        tags["sim.took"] = taken
        estimates = _main(folder, comparison.points[0], comparison.points[0].policy(taken))
    return _entry(record.key, record.name, params, {**tags, KEY: record.key}, span, estimates)


def _curves(by_point: Sequence[Mapping[str, float]]) -> list[Point]:
    """Estimates along the points of a sweep: the step is the number of the point. Of many points, as many as a store takes."""
    widest = max((len(values) for values in by_point), default=0)
    most = max(MOST_NESTED, IN_ALL // max(widest, 1))
    shown = thinned(range(len(by_point)), most)
    return [Point(f"sweep/{key}", value, at) for at in shown for key, value in by_point[at].items()]


def nested_entries(folder: RunFolder) -> list[Entry]:
    """The nested runs: each policy, or where keys are swept each point, unless there are very many.

    Raises `InputError` where the timeline cannot be read.
    """
    if in_table(len(folder.record.points)):
        return []
    return point_entries(folder) if folder.record.paths else policy_entries(folder)


def point_entries(folder: RunFolder) -> list[Entry]:
    """The nested runs where keys are swept: each point at which every policy ran to its end, with its values as params.

    Every policy's estimates have the same names at every point, so that MLflow draws them against the swept param.
    """
    record = folder.record
    keys = [f"sweep.{name}" for name in safe_names(record.paths).values()]
    entries = []
    for number, (own, point) in enumerate(_points(folder)):
        if len(own.run.finished) < len(own.run.policies):
            continue
        values = [text if value is None else _number(value) for text, value in zip(own.values, own.numbers, strict=True)]
        params = {**dict(zip(keys, values, strict=True)), **_shared(own.run)}
        params["requests_expected"] = _number(own.run.requests_expected)
        key = f"{record.key} point {number}"
        tags = {"sim.kind": "point", **_tags(folder), "sim.point": str(number), **_lineage(own.run), KEY: key}
        estimates = _side_by_side(folder, record, point)
        span = _span(record, own.run.played.values())
        short = (path.rpartition(".")[2] for path in record.paths)
        name = ", ".join(f"{path} = {text}" for path, text in zip(short, own.values, strict=True))
        entries.append(_entry(key, name, params, tags, span, estimates))
    return entries


def _points(folder: RunFolder) -> Iterator[tuple[RunPoint, PointComparison]]:
    """The points that were compared: the record of each, and its comparison."""
    if folder.comparison is not None:
        yield from zip(folder.record.points, folder.comparison.points, strict=True)


def _side_by_side(folder: RunFolder, record: Record, point: PointComparison) -> dict[str, float]:
    """Every policy's main estimates at a point, by policy and measure."""
    names = safe_names(policy.name for policy in record.policies)
    estimates: dict[str, float] = {}
    for policy in point.policies:
        estimates |= {f"{names[policy.policy]}/{key}": value for key, value in _main(folder, point, policy).items()}
    return estimates


def _main(folder: RunFolder, point: PointComparison, policy: PolicySummary | None) -> dict[str, float]:
    """The estimates that a reader needs first, as in the report; its table has all, with intervals and differences."""
    if policy is None or folder.comparison is None:
        return {}
    wanted = tables.columns(folder.comparison, point)
    found = {name: policy.measures[name].estimate for name in wanted if name in policy.measures}
    names = safe_names(found)
    return {names[name]: value for name, value in found.items() if value is not None and math.isfinite(value)}


def _span(record: Record, spans: Iterable[Span]) -> Span:
    """When something of a run was played; the whole run where that is not known."""
    found = list(spans)
    whole = Span(started_at=record.started_at, finished_at=record.finished_at or record.started_at)
    return reduce(Span.with_, found) if found else whole


def policy_entries(folder: RunFolder) -> list[Entry]:
    """The nested runs: each policy that ran to its end, its settings, main estimates, and timeline.

    Raises `InputError` where the timeline cannot be read.
    """
    record = folder.record
    settings = {str(spec.get("name")): spec for spec in _list(folder.scenario.get("policies")) if isinstance(spec, Mapping)}
    series = timeline_of(folder)
    entries = []
    point = next((point for _, point in _points(folder)), None)
    for policy in (candidate for candidate in record.policies if candidate.name in record.finished):
        flat = dict(_flat({key: value for key, value in settings.get(policy.name, {}).items() if key not in ("name", "kind")}))
        names = safe_names(flat)
        own = {names[key]: value for key, value in flat.items()}
        params = {**own, "policy": policy.name, "kind": policy.kind, **_shared(folder.record)}
        key = f"{record.key} {policy.name}"
        tags = {"sim.kind": "policy", **_tags(folder), "sim.policy": policy.name, KEY: key}
        summary = point.policy(policy.name) if point else None
        estimates = _main(folder, point, summary) if point is not None else {}
        spans = [record.played[policy.name]] if policy.name in record.played else []
        entries.append(_entry(key, policy.name, params, tags, _span(record, spans), estimates, series.get(policy.name, ())))
    return entries


def _entry(
    key: str,
    name: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    span: Span,
    estimates: Mapping[str, float],
    series: Sequence[Point] = (),
) -> Entry:
    return Entry(
        key=key,
        name=cut(name, 200) or "unnamed",
        params={key: cut(value, _PARAM) for key, value in params.items()},
        tags={key: cut(value, TAG) for key, value in tags.items()},
        start_ms=_ms(span.started_at),
        end_ms=_ms(span.finished_at),
        estimates=estimates,
        series=tuple(series),
    )


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _shared(record: Record) -> dict[str, str]:
    return {
        "seed": str(record.seed),
        "replications": str(record.replications),
        "horizon_s": _number(record.horizon_s),
        "tick_s": _number(record.tick_s),
        "engine": record.engine,
        "sim_version": record.sim_version,
    }


def _tags(folder: RunFolder) -> dict[str, str]:
    record = folder.record
    tags = {FOLDER: record.key, "sim.digest": record.digest, "sim.scenario": record.name}
    # In one line, so that it can be asked for.
    return tags | ({"sim.question": question} if (question := " ".join(record.question.split())) else {})


def _lineage(record: Record) -> dict[str, str]:
    names = safe_names(version.arm for version in record.versions)
    models = dict.fromkeys(f"{version.name}/{version.version}" for version in record.versions)
    tags = {"sim.models": ", ".join(models)} if models else {}
    for version in record.versions:
        arm = f"sim.arm.{names[version.arm]}"
        tags |= {f"{arm}.model": version.name, f"{arm}.version": version.version, f"{arm}.uri": version.uri}
        if version.model_id:
            tags[f"{arm}.model_id"] = version.model_id
    return tags


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted keys; a list is one value.

    >>> dict(_flat({"evidence": {"kind": "posterior", "threshold": 0.95}, "split": ["50%", "50%"]}))
    {'evidence.kind': 'posterior', 'evidence.threshold': '0.95', 'split': '["50%", "50%"]'}
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, float):
        yield prefix, _number(value)
    elif isinstance(value, list | tuple | bool):
        yield prefix, json.dumps(value, default=str)
    elif value is not None:
        yield prefix, str(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: float) -> str:
    return format(value, ".10g")
