"""A policy as a DeploymentConfig of SageMaker, with the alarms of CloudWatch that it names."""

from __future__ import annotations

import json
from typing import Any

from sim.interop.exporting import Ramped, Source, whole_percents
from sim.policy.guardrails import Check
from sim.policy.pending import Reactions

_SAID = {"kind", "metric", "quantile", "max", "min", "trip", "of", "no_data", "every"}
_MISSING = {"wait": "missing", "pass": "notBreaching", "fail": "breaching"}
_LARGEST, _LONGEST_S = 50, 3600


def write(source: Source, found: Ramped) -> str:
    """The manifest of a policy: a request to update an endpoint, with its alarms. Adds problems for what cannot be said."""
    if found.on_good_look:
        source.cannot("advance", "`advance: on_good_look`: its shares go by the clock")
    if found.reaction != Reactions():
        source.cannot(found.reaction_path, "`reaction`: it rolls back at once")
    for index, step in enumerate(found.steps):
        if step.approval is not None:
            source.cannot(f"{found.steps_path}[{index}].approval", "an approval")
    bakes = {step.bake for step in found.steps}
    wait_s = found.steps[0].bake or 0.0
    if len(bakes) > 1 or not wait_s.is_integer() or not 0 < wait_s <= _LONGEST_S:
        source.cannot(found.steps_path, f"other bakes than one whole number of seconds up to {_LONGEST_S}, the same for all")
    weights = whole_percents(source, found)
    alarms = [_alarm(source, f"{found.checks_path}[{index}]", check, index) for index, check in enumerate(found.checks)]
    content: dict[str, Any] = {
        "EndpointName": source.form.name,
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {**_routing(source, found, weights), "WaitIntervalInSeconds": round(wait_s)}
            }
        },
    }
    if alarms:
        named = [{"AlarmName": each["AlarmName"]} for each in alarms]
        content["DeploymentConfig"]["AutoRollbackConfiguration"] = {"Alarms": named}
        content["MetricAlarms"] = alarms
    return json.dumps(content, indent=2) + "\n"


def _routing(source: Source, found: Ramped, weights: list[int]) -> dict[str, Any]:
    if weights == [100]:
        return {"Type": "ALL_AT_ONCE"}
    size = {"Type": "CAPACITY_PERCENT", "Value": weights[0]}
    linear = [min(weights[0] * (step + 1), 100) for step in range(len(weights))]
    if not 1 <= weights[0] <= _LARGEST or weights[-1] != 100 or (len(weights) != 2 and weights != linear):
        source.cannot(
            found.steps_path, "other weights than all at once, one part and then all, or steps of one size up to 100%"
        )
    if len(weights) == 2 and weights != linear:
        return {"Type": "CANARY", "CanarySize": size}
    return {"Type": "LINEAR", "LinearStepSize": size}


def _alarm(source: Source, path: str, check: Any, index: int) -> dict[str, Any]:
    name = f"{source.form.name}-{index + 1}"
    if not isinstance(check, Check):
        source.cannot(path, f"a check of the kind {check.kind}: it has alarms only")
        return {"AlarmName": name}
    source.only(path, check, _SAID)
    if (check.max is None) == (check.min is None):
        source.cannot(path, "a bound above and one below in one alarm, or neither")
    if check.of is None and check.trip > 1:
        source.cannot(f"{path}.trip", "failed looks that add up: it counts those of the last few (`of`)")
    if check.of is not None and check.of == 1:
        source.cannot(f"{path}.of", "`of: 1`, which says nothing")
    if check.no_data not in _MISSING:
        source.cannot(f"{path}.no_data", f"`no_data: {check.no_data}`")
    every_s = source.every_s(check)
    if not every_s.is_integer():
        source.cannot(f"{path}.every", "a period that is no whole number of seconds")
    bound = float(check.max if check.max is not None else check.min or 0.0)
    measured: dict[str, Any] = {}
    if check.metric == "error_rate":
        measured = {"MetricName": "Invocation5XXErrors", "Statistic": "Average"}
    elif check.metric == "mean_latency":
        measured, bound = {"MetricName": "ModelLatency", "Statistic": "Average"}, float(f"{1e6 * bound:.12g}")
    elif check.metric == "latency":
        level = 99.0 if check.quantile is None else float(f"{100 * check.quantile:.12g}")
        measured, bound = {"MetricName": "ModelLatency", "ExtendedStatistic": f"p{level:.12g}"}, float(f"{1e6 * bound:.12g}")
    elif check.metric == "requests":
        measured, bound = {"MetricName": "Invocations", "Statistic": "Sum"}, float(f"{bound * every_s:.12g}")
    else:
        source.cannot(f"{path}.metric", f"{check.metric}: no metric of an endpoint measures it")
    return {
        "AlarmName": name,
        **measured,
        "Period": round(every_s),
        "EvaluationPeriods": check.of or 1,
        "DatapointsToAlarm": check.trip,
        "Threshold": bound,
        "ComparisonOperator": "GreaterThanThreshold" if check.max is not None else "LessThanThreshold",
        "TreatMissingData": _MISSING.get(check.no_data, "missing"),
    }
