"""Flagger: its Canaries and MetricTemplates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.flagger.canary import Canary
from sim.interop.flagger.fields import CANARY, TEMPLATE
from sim.interop.objects import Object
from sim.interop.read import Plan, Read, name_of


def read(objects: list[Object], bindings: Mapping[str, Binding], found: Read) -> list[Object]:
    """Adds the canaries of Flagger among objects to what was found; returns the objects that are not Flagger's."""
    canaries = [each for each in objects if each.kind == "Canary"]
    if not canaries:
        return objects
    templates = {each.name: Account(each, TEMPLATE) for each in objects if each.kind == "MetricTemplate"}
    for each in canaries:
        account = Account(each, CANARY)
        canary = Canary(account, templates, bindings, found)
        name = name_of(each.name, found.taken)
        found.accounts.append(account)
        found.plans.append(Plan(name, account, canary.times, _form(name, canary)))
    found.accounts += templates.values()
    return [each for each in objects if each.kind not in ("Canary", "MetricTemplate")]


def _form(name: str, canary: Canary) -> Any:
    return lambda tick_s, approval: canary.form(name, approval)
