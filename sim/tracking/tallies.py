"""Tallies of a rollout under way, from the metrics of an MLflow run: read, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.registry.store import absent, client, reaching
from sim.units import shown

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow import MlflowClient

# Of so many points of a metric a table is made; a rollout has far fewer looks.
_MOST_POINTS = 100_000


def run_table(
    tracking_uri: str | None, experiment: str | None, run: str | None, arms: Sequence[str], step_s: float
) -> tuple[pa.Table, str]:  # fmt: skip
    """The metrics of a run as a table with columns time, arm and one of each metric; and what the run is called in messages.

    A metric is ARM/COLUMN or ARM.COLUMN, such as challenger/requests, and its step is the number of `step_s` seconds since the
    start. Metrics that begin with no arm are left out. `run` is its id; else the newest run of the experiment. Raises
    `InputError` where there is no such run, and `TrackingError` where the store cannot be read.
    """
    import pyarrow as pa

    if absent(tracking_uri, tracking_uri):
        raise InputError([Problem("there is no MLflow store to read: name one by --tracking-uri", "--tracking-uri")])
    opened = client(tracking_uri)
    with reaching(opened):
        found = _run_id(opened, experiment, run)
        told = {key: _split(key, arms) for key in opened.get_run(found).data.metrics}
        points: dict[tuple[int, str], dict[str, float]] = {}
        source = f"run {found}"
        for key, place in told.items():
            if place is None:
                continue
            history = opened.get_metric_history(found, key)
            if len(history) > _MOST_POINTS:
                raise InputError([Problem(f"has more than {_MOST_POINTS:,} points", key, source)])
            # Of several values at a step the last one that was logged holds.
            for metric in sorted(history, key=lambda each: each.timestamp):
                points.setdefault((metric.step, place[0]), {})[place[1]] = metric.value
    if not points:
        rule = f"has no metrics of the arms, such as {arms[0]}/requests"
        raise InputError([Problem(rule, file=source)])
    names = sorted({name for values in points.values() for name in values})
    places = sorted(points)
    columns = {name: [points[place].get(name) for place in places] for name in names}
    times, which = [step * step_s for step, _ in places], [arm for _, arm in places]
    return pa.table({"time": pa.array(times, pa.float64()), "arm": which, **columns}), source


def _run_id(opened: MlflowClient, experiment: str | None, run: str | None) -> str:
    from mlflow.exceptions import MlflowException

    if run is not None:
        try:
            return str(opened.get_run(run).info.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST" and "not found" not in str(error).lower():
                raise
            raise InputError([Problem(f"no run {shown(run)} in the store", "--run")]) from None
    assert experiment is not None
    existing = opened.get_experiment_by_name(experiment)
    if existing is None:
        raise InputError([Problem(f"no experiment {shown(experiment)} in the store", "--experiment")])
    runs = opened.search_runs([existing.experiment_id], order_by=["attributes.start_time DESC"], max_results=1)
    if not runs:
        raise InputError([Problem(f"the experiment {shown(experiment)} has no runs", "--experiment")])
    return str(runs[0].info.run_id)


def _split(key: str, arms: Sequence[str]) -> tuple[str, str] | None:
    """The arm and the column of a metric's key; None of another metric.

    >>> _split("new/requests", ["old", "new"]), _split("new.v2.errors", ["new", "new.v2"]), _split("loss", ["old"])
    (('new', 'requests'), ('new.v2', 'errors'), None)
    """
    for arm in sorted(arms, key=len, reverse=True):
        for mark in "/.":
            if key.startswith(arm + mark):
                return arm, key[len(arm) + 1 :]
    return None
