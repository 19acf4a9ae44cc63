"""The entries that are logged of a run: one for the run, one per policy, or one per point of a sweep. Needs no server."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.compare.result import PointComparison
from sim.run.record import Record, RunPoint
from sim.run.timeline import FILE, read_timeline
from sim.scenario.sweep import JOINT
from sim.stats.intervals import Estimate
from sim.tracking.folder import RunFolder
from sim.tracking.names import safe_names
from sim.tracking.runs import FOLDER, KEY

POINTS = 200
"""The largest number of points that are logged of a series of the timeline."""

_PARAM = 500
_TAG = 5000


@dataclass(frozen=True)
class Point:
    """One value of a series; `tick` counts ticks completed."""

    key: str
    value: float
    tick: int


@dataclass(frozen=True)
class Entry:
    """One MLflow run: `estimates` are metrics of one value, `series` are metrics of one value per tick; all are finite.

    `key` identifies the run, so that logging finds it again and does not create it twice.
    """

    key: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    estimates: Mapping[str, float]
    series: tuple[Point, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A digest that changes whenever anything in the entry does."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def scenario_entry(folder: RunFolder) -> Entry:
    """The parent run: the scenario, its versions, and every policy's estimates; as curves if there are several points."""
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
    note = "\n\n".join(text for text in (record.question, comparison.verdict if comparison else "") if text)
    if note:
        tags["mlflow.note.content"] = note
    by_point = [_side_by_side(record, point, bounds=False) for _, point in _points(folder)]
    # In curves along the points, the tick is the number of the point.
    curves = [Point(f"sweep/{key}", value, at) for at, values in enumerate(by_point) for key, value in values.items()]
    estimates, series = ({}, curves) if record.paths else (by_point[0] if by_point else {}, [])
    return _entry(record.key, record.name, params, {**tags, KEY: record.key}, estimates, series)


def nested_entries(folder: RunFolder) -> list[Entry]:
    """The nested runs: each policy, or where keys are swept each point.

    Raises `InputError` where the timeline cannot be read.
    """
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
        estimates = _side_by_side(record, point, bounds=True)
        short = (path.rpartition(".")[2] for path in record.paths)
        name = ", ".join(f"{path} = {text}" for path, text in zip(short, own.values, strict=True))
        entries.append(_entry(key, name, params, tags, estimates))
    return entries


def _points(folder: RunFolder) -> Iterator[tuple[RunPoint, PointComparison]]:
    """The points that were compared: the record of each, and its comparison."""
    if folder.comparison is not None:
        yield from zip(folder.record.points, folder.comparison.points, strict=True)


def _side_by_side(record: Record, point: PointComparison, *, bounds: bool) -> dict[str, float]:
    """Every policy's estimates at a point, by policy and measure."""
    names = safe_names(policy.name for policy in record.policies)
    estimates: dict[str, float] = {}
    for policy in point.policies:
        estimates |= _estimates(f"{names[policy.policy]}/", policy.measures, bounds=bounds)
    return estimates


def policy_entries(folder: RunFolder) -> list[Entry]:
    """The nested runs: each policy that ran to its end, its settings, estimates with bounds, and timeline.

    Raises `InputError` where the timeline cannot be read.
    """
    record = folder.record
    settings = {str(spec.get("name")): spec for spec in _list(folder.scenario.get("policies")) if isinstance(spec, Mapping)}
    series = _timeline(folder)
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
        estimates: dict[str, float] = {}
        if summary is not None:
            estimates = {**_estimates("", summary.measures), **_estimates("difference/", summary.differences)}
        entries.append(_entry(key, policy.name, params, tags, estimates, series.get(policy.name, ())))
    return entries


def _entry(
    key: str,
    name: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    estimates: Mapping[str, float],
    series: Sequence[Point] = (),
) -> Entry:
    return Entry(
        key=key,
        name=_cut(name, 200) or "unnamed",
        params={key: _cut(value, _PARAM) for key, value in params.items()},
        tags={key: _cut(value, _TAG) for key, value in tags.items()},
        estimates=estimates,
        series=tuple(series),
    )


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
    return {FOLDER: folder.record.key, "sim.digest": folder.record.digest, "sim.scenario": folder.record.name}


def _lineage(record: Record) -> dict[str, str]:
    names = safe_names(version.arm for version in record.versions)
    tags: dict[str, str] = {}
    for version in record.versions:
        arm = f"sim.arm.{names[version.arm]}"
        tags |= {f"{arm}.model": version.name, f"{arm}.version": version.version, f"{arm}.uri": version.uri}
        if version.model_id:
            tags[f"{arm}.model_id"] = version.model_id
    return tags


def _estimates(prefix: str, intervals: Mapping[str, Estimate | None], *, bounds: bool = True) -> dict[str, float]:
    names = safe_names(intervals)
    values: dict[str, float | None] = {}
    for measure, interval in intervals.items():
        if interval is not None:
            key = prefix + names[measure]
            values[key] = interval.estimate
            if bounds:
                values |= {f"{key}.lower": interval.lower, f"{key}.upper": interval.upper}
    return {key: value for key, value in values.items() if value is not None and math.isfinite(value)}


def _timeline(folder: RunFolder) -> dict[str, list[Point]]:
    """Policy → points of all its series."""
    if folder.file(FILE) is None:
        return {}
    import numpy as np

    points: dict[str, list[Point]] = {}
    for policy, columns in read_timeline(folder.path, folder.record).items():
        if policy not in folder.record.finished:
            continue
        ticks = columns["tick"]
        names = safe_names(name for name in columns if name not in ("tick", "time_s"))
        rows = np.unique(np.linspace(0, ticks.size - 1, min(ticks.size, POINTS)).round().astype(np.int64))
        points[policy] = []
        for name, key in names.items():
            series = columns[name][rows]
            # A line through a level stretch needs only its ends.
            drawn = np.isfinite(series)
            drawn[1:-1] &= (series[1:-1] != series[:-2]) | (series[1:-1] != series[2:])
            pairs = zip(ticks[rows[drawn]].tolist(), series[drawn].tolist(), strict=True)
            points[policy] += [Point(f"timeline/{key}", value, int(tick)) for tick, value in pairs]
    return points


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


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
