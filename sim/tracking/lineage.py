"""From a version to its rehearsals: what a run that is logged leaves on the versions that were in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim.compare.support import kept, shipped
from sim.compare.trials import read_trials
from sim.registry import store
from sim.registry.annotation import annotated
from sim.registry.rehearsals import Rehearsed, Shares, mark
from sim.registry.versions import model_id_of
from sim.run.record import Record, VersionRecord
from sim.stats.intervals import Estimate
from sim.tracking.folder import RunFolder
from sim.tracking.page import address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def mark_versions(
    folder: RunFolder, run_id: str, uri: str, registry_uri: str, *, experiment_id: str | None = None, annotate: bool = False
) -> int:
    """Keep the rehearsal in a folder, logged as `run_id` to the store `uri`, on each of its versions in a registry; how many.

    A version of that name and number that is not the same one, as in another registry, is left alone. With `annotate`, the memo
    is put into the version's description, in a section of its own, which links to the run where both are in one store and
    `experiment_id` is that of the run. Raises `TrackingError` where the registry cannot be reached,
    or refuses. No registry is made.
    """
    versions = list(_registered(folder.record))
    if not versions or store.absent(uri, registry_uri):
        return 0
    marked = 0
    client = store.client(uri, registry_uri)
    with store.reaching(client):
        for version in versions:
            entity = _found(client, version)
            if entity is None or not is_that(version, entity):
                continue
            mark(client, version.name, version.version, rehearsed(folder, version, run_id))
            if annotate:
                _annotate(client, entity, folder, _linked(run_id, experiment_id if uri == registry_uri else None))
            marked += 1
    return marked


def rehearsed(folder: RunFolder, version: VersionRecord, run_id: str) -> Rehearsed:
    """What a version keeps of the rehearsal in a folder."""
    record, comparison = folder.record, folder.comparison
    champion = next((each for each in record.all_versions if each.arm == record.arms[0]), version)
    points = comparison.points if comparison is not None else ()
    policies = {}
    if len(points) == 1:
        (by_policy,) = read_trials(folder.path, record)
        policies = {
            name: Shares(_three(shipped(trials, version.arm)), _three(kept(trials))) for name, trials in by_policy.items()
        }
    return Rehearsed(
        digest=record.digest,
        name=record.name,
        at=(record.finished_at or record.started_at).isoformat(timespec="seconds"),
        run=run_id,
        arm=version.arm,
        champion=f"{champion.name}/{champion.version}",
        took=points[0].decision.chosen if len(points) == 1 else None,
        status=record.status,
        policies=policies,
        points=tuple((point.label, point.decision.chosen) for point in points) if len(points) > 1 else (),
    )


def is_that(version: VersionRecord, entity: ModelVersion) -> bool:
    """Whether a version of a run is the one in a registry, and not another one of this name and number elsewhere.

    It is by the run that made it, or else by its logged model. Without either it is not known, and taken for no.
    """
    if (version.name, version.version) != (entity.name, str(entity.version)):
        return False
    if version.run_id or entity.run_id:
        return version.run_id == entity.run_id
    return version.model_id is not None and version.model_id == model_id_of(entity)


def _registered(record: Record) -> Iterator[VersionRecord]:
    """The versions of a run that came from a registry; a version in two arms is kept as the challenger that it was."""
    by_number = {(each.name, each.version): each for each in record.all_versions if each.run_id or each.model_id}
    yield from by_number.values()


def _found(client: MlflowClient, version: VersionRecord) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(version.name, version.version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND", "NOT_FOUND"):
            raise
        return None


def _linked(run_id: str, experiment_id: str | None) -> str:
    """A run in a description: a link where its page is on the same server."""
    return run_id if experiment_id is None else f"[{run_id}]({address(experiment_id, run_id)})"


def _annotate(client: MlflowClient, entity: ModelVersion, folder: RunFolder, run: str) -> None:
    if folder.comparison is None:
        return
    record = folder.record
    heading = f"**Rehearsal {record.name}** ({record.status} {(record.finished_at or record.started_at):%Y-%m-%d}, run {run})"
    section = "\n\n".join(text for text in (heading, record.question, folder.comparison.verdict) if text)
    # Read again just before: what a person wrote since must stay.
    now = client.get_model_version(entity.name, str(entity.version)).description or ""
    if annotated(now, section) != now:
        client.update_model_version(entity.name, str(entity.version), annotated(now, section))


def _three(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return short(estimate.estimate), short(estimate.lower), short(estimate.upper)
