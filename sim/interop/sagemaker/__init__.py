"""SageMaker: its DeploymentConfigs, and the alarms of CloudWatch that roll them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.objects import Object
from sim.interop.read import Plan, Read, name_of
from sim.interop.sagemaker.deployment import Deployment
from sim.interop.sagemaker.fields import ALARM, DEPLOYMENT

_POLICIES = ("BlueGreenUpdatePolicy", "RollingUpdatePolicy")


def read(objects: list[Object], bindings: Mapping[str, Binding], found: Read) -> list[Object]:
    """Adds the deployments of SageMaker among objects to what was found; returns the objects that are not SageMaker's."""
    deployments = [inner for each in objects if (inner := _deployment(each)) is not None]
    if not deployments:
        return objects
    alarms = {
        str(alarm.data.get("AlarmName", "")): Account(alarm, ALARM) for each in objects for alarm in _alarms(each)
    }  # fmt: skip
    for each in deployments:
        account = Account(each, DEPLOYMENT)
        deployment = Deployment(account, alarms, bindings, found)
        name = name_of(str(each.document.data.get("EndpointName", "") or "sagemaker"), found.taken)
        found.accounts.append(account)
        found.plans.append(Plan(name, account, deployment.times, _form(name, deployment)))
    found.accounts += alarms.values()
    return [each for each in objects if _deployment(each) is None and not _alarms(each)]


def _deployment(each: Object) -> Object | None:
    """The deployment that an object is, or has in a request to update an endpoint."""
    inner = each.data.get("DeploymentConfig")
    if isinstance(inner, dict) and not each.kind:
        return Object(each.document, (*each.base, "DeploymentConfig"))
    return each if not each.kind and any(key in each.data for key in _POLICIES) else None


def _alarms(each: Object) -> list[Object]:
    """The alarms that an object is, or lists as `aws cloudwatch describe-alarms` does."""
    listed = each.data.get("MetricAlarms")
    if isinstance(listed, list):
        return [Object(each.document, (*each.base, "MetricAlarms", index)) for index in range(len(listed))]
    return [each] if not each.kind and "AlarmName" in each.data and "Threshold" in each.data else []


def _form(name: str, deployment: Deployment) -> Any:
    return lambda tick_s, approval: deployment.form(name)
