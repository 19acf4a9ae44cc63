"""Move an alias to a version because of a rehearsal that supports it, or in spite of one that does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.compare.support import Support, support
from sim.compare.wording import with_interval
from sim.errors import InputError, Problem
from sim.registry import moves
from sim.registry.behaviour import alias_rule
from sim.registry.moves import Move, Reason
from sim.registry.versions import find
from sim.run.record import VersionRecord
from sim.tracking.lineage import is_that
from sim.tracking.rehearsal import Rehearsal, read_rehearsal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Promoted:
    """What became of a promotion. `move` is None where the alias was at the version already."""

    name: str
    alias: str
    version: str
    move: Move | None


def promote(uri: str, alias: str, client: MlflowClient, *, because: str | None, force: bool = False) -> Promoted:
    """Move `alias` to the version that `uri` names, because of the rehearsal `because` (a run folder, or an MLflow run's id).

    Raises `InputError`, and moves nothing, where the rehearsal does not support it, unless with `force`: then the reasons are
    kept with the move. Without a rehearsal it moves with `force` only. Two at once: see `sim.registry.moves`.
    """
    checked(alias)
    if because is None and not force:
        rule = "name the rehearsal that supports it: a run folder, or the id of its MLflow run; or move it with --force"
        raise InputError([Problem(rule, path="--because")])
    model, entity = find(uri, client)
    name, version = model.name, str(entity.version)
    now = {each: str(at) for each, at in model.aliases.items()}.get(alias)
    if now == version:
        return Promoted(name, alias, version, None)
    reason: Reason | None = None
    against: tuple[str, ...] = ("no rehearsal was named",)
    if because is not None:
        rehearsal = read_rehearsal(because, client)
        told = _support(rehearsal, entity, now)
        reason, against = _reason(rehearsal, told), told.against
    if against and not force:
        what = f"the rehearsal {rehearsal.record.name} does not support that models:/{name}/{version} becomes {alias}"
        *others, last = against
        how = "to move it all the same, and have the reasons kept: --force"
        raise InputError(Problem(f"{what}: {each}", path="--because") for each in (*others, f"{last}; {how}"))
    move = moves.promote(client, name, alias, version, seen=now, because=reason, forced=against)
    return Promoted(name, alias, version, move)


def undo(name: str, alias: str, client: MlflowClient) -> Promoted:
    """Lead an alias back. `name` is the model's, or the URI of one of its versions. Raises as `sim.registry.moves.undo`."""
    checked(alias)
    plain = re.sub(r"^models:/([^/@]+).*$", r"\1", name)
    move = moves.undo(client, plain, alias)
    return Promoted(plain, alias, move.target or "", move)


def checked(alias: str) -> None:
    """Raise `InputError` for an alias that MLflow does not take."""
    try:
        alias_rule(alias)
    except ValueError as error:
        raise InputError([Problem(str(error), path="--alias")]) from None


def _support(rehearsal: Rehearsal, entity: ModelVersion, now: str | None) -> Support:
    """What a rehearsal says of a version that is to take the place of version `now`."""
    record = rehearsal.record
    same = [each for each in record.all_versions if is_that(each, entity)]
    if not same:
        had = ", ".join(f"{each.arm} {each.name}/{each.version}" for each in record.all_versions)
        return Support(None, None, (f"the version was not in it; it had {had}",))
    challenger = next((each for each in same if each.arm != record.arms[0]), same[0])
    truth = rehearsal.scenario.get("truth")
    told = support(record, rehearsal.comparison, rehearsal.trials, challenger.arm, truth if isinstance(truth, dict) else {})
    against = list(told.against)
    champion = next(each for each in record.all_versions if each.arm == record.arms[0])
    if now is not None and (champion.name, champion.version) != (entity.name, now):
        against.append(
            f"it held the version against {_pinned(champion)}, and the alias points to models:/{entity.name}/{now} now"
        )
    return Support(told.took, told.ships, tuple(against))


def _pinned(version: VersionRecord) -> str:
    return f"models:/{version.name}/{version.version}"


def _reason(rehearsal: Rehearsal, told: Support) -> Reason:
    ships = with_interval(told.ships, "share") if told.ships is not None else ""
    return Reason(rehearsal.where, rehearsal.record.name, rehearsal.record.digest, told.took, ships)
