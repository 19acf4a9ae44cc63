"""Kayenta: its canary configs, with the stage of Spinnaker or the request that says when they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.kayenta.fields import CONFIG, REQUEST, STAGE
from sim.interop.kayenta.judge import Analysis
from sim.interop.kayenta.times import ALONE_S, OF_REQUEST, OF_STAGE, Keys
from sim.interop.objects import Object
from sim.interop.read import Plan, Read, name_of
from sim.units import format_duration


@dataclass(frozen=True)
class _Found:
    """The configs among objects, and what says when they are judged: each with where it has its settings."""

    configs: list[Object]
    judged: list[tuple[Object, Keys]]


def read(objects: list[Object], bindings: Mapping[str, Binding], found: Read) -> list[Object]:
    """Adds the analyses of Kayenta among objects to what was found; returns the objects that are not Kayenta's."""
    parts = [(each, _parts(each)) for each in objects]
    ours = _Found([config for _, part in parts for config in part.configs], [one for _, part in parts for one in part.judged])
    if not ours.configs and not ours.judged:
        return objects
    configs = [Account(each, CONFIG) for each in ours.configs]
    found.accounts += configs
    used: set[int] = set()
    for each, keys in ours.judged:
        account = Account(each, REQUEST if keys is OF_REQUEST else STAGE)
        found.accounts.append(account)
        config = _config_of(account, configs, keys)
        if config is not None:
            used.add(id(config))
            _plan(account, keys, config, bindings, found)
    for config in configs:
        if id(config) not in used:
            config.remark(
                (), "nothing says when it is judged: it is played with one look, after "
                f"{format_duration(ALONE_S)}, at what serves", "give the stage of the pipeline, or the request, too",
            )  # fmt: skip
            _plan(config, None, config, bindings, found)
    return [each for each, part in parts if not part.configs and not part.judged]


def _plan(account: Account, keys: Keys | None, config: Account, bindings: Mapping[str, Binding], found: Read) -> None:
    analysis = Analysis(account, keys, config, bindings, found)
    name = name_of(str(config.object.get(("name",)) or "kayenta"), found.taken)
    found.plans.append(Plan(name, account, analysis.times.all, lambda tick_s, approval: analysis.form(name, tick_s)))


def _config_of(account: Account, configs: list[Account], keys: Keys) -> Account | None:
    """The config that a stage or a request is judged by. Where none can be told, this is refused."""
    place = (*keys.base, "canaryConfigId")
    wanted = account.object.get(place)
    named = [
        each for each in configs if wanted is not None and wanted in (each.object.get(("id",)), each.object.get(("name",)))
    ]
    beside = [each for each in configs if each.object.document is account.object.document]
    for some in (named, beside, configs):
        if len(some) == 1:
            return some[0]
    account.refuse(
        place if keys.base else (), "no canary config in the files given: give its JSON too" if not configs else
        "which of the canary configs is meant cannot be told: one of them must have this id or name",
    )  # fmt: skip
    return None


def _parts(each: Object) -> _Found:
    """What an object is, or has in it: a config, a stage, a pipeline of stages, a request, or a request with its config."""
    data = each.data
    if each.kind:
        return _Found([], [])
    if isinstance(data.get("metrics"), list) and ("classifier" in data or "judge" in data):
        return _Found([each], [])
    if data.get("type") == "kayentaCanary":
        return _Found([], [(each, OF_STAGE)])
    if isinstance(stages := data.get("stages"), list):
        inner = [Object(each.document, (*each.base, "stages", index)) for index in range(len(stages))]
        return _Found([], [(stage, OF_STAGE) for stage in inner if stage.data.get("type") == "kayentaCanary"])
    if isinstance(data.get("canaryConfig"), dict) and isinstance(data.get("executionRequest"), dict):
        config, request = (Object(each.document, (*each.base, key)) for key in ("canaryConfig", "executionRequest"))
        return _Found([config], [(request, OF_REQUEST)])
    if isinstance(data.get("scopes"), list) and isinstance(data.get("thresholds"), dict):
        return _Found([], [(each, OF_REQUEST)])
    return _Found([], [])


__all__ = ["read"]
