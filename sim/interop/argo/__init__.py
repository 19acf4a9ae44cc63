"""Argo Rollouts: its Rollouts and AnalysisTemplates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.interop.accounting import Account
from sim.interop.argo.analysis import Templates, accounts_of
from sim.interop.argo.fields import ROLLOUT
from sim.interop.argo.rollout import ops_of
from sim.interop.bindings import Binding
from sim.interop.objects import Object
from sim.interop.policy import Layout, Op, form_of, times_of
from sim.interop.read import Plan, Read, name_of

_TEMPLATES = ("AnalysisTemplate", "ClusterAnalysisTemplate")


def read(objects: list[Object], bindings: Mapping[str, Binding], found: Read) -> list[Object]:
    """Adds the rollouts of Argo among objects to what was found; returns the objects that are not Argo's."""
    rollouts = [each for each in objects if each.kind == "Rollout"]
    templates = Templates(accounts_of(objects), bindings, found.missing, found.known)
    for each in rollouts:
        account = Account(each, ROLLOUT)
        ops = ops_of(account, templates)
        found.accounts.append(account)
        name = name_of(each.name, found.taken)
        found.plans.append(Plan(name, account, times_of(ops), _form(name, account, ops)))
    if rollouts:
        found.accounts += templates.accounts.values()
    kinds = ("Rollout", *(_TEMPLATES if rollouts else ()))
    return [each for each in objects if each.kind not in kinds]


def _form(name: str, account: Account, ops: list[Op]) -> Any:
    return lambda tick_s, approval: form_of(name, Layout(account, tick_s).lay(ops), approval)
