"""A policy as a Canary of Flagger, with MetricTemplates where its own two metrics do not do."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from sim.interop.exporting import Ramped, Source, dump, seconds_of, whole_percents, window_of
from sim.interop.promql_text import query_of
from sim.policy.guardrails import Check
from sim.policy.pending import Reactions
from sim.policy.people import Reaction
from sim.units import format_duration

_SAID = {
    "kind", "metric", "quantile", "max", "min", "max_ratio", "min_ratio", "max_difference", "min_difference", "sees", "trip",
    "no_data", "every", "over",
}  # fmt: skip
_METRICS = ("error_rate", "latency", "mean_latency", "requests")


def write(source: Source, found: Ramped) -> str:
    """The manifest of a policy. Adds to the problems of the source what Flagger cannot say."""
    name = source.form.name
    bakes = {step.bake for step in found.steps}
    if len(bakes) > 1 or None in bakes:
        source.cannot(found.steps_path, "steps of different lengths: each lasts one interval")
    if found.checks and not found.on_good_look:
        source.cannot("advance", "steps that go on by the clock whatever the last look found (`advance: by_clock`)")
    every_s = found.steps[0].bake or source.tick_s
    later = Reaction.model_validate({"delay": {"constant": every_s}})
    if found.checks and found.reaction != Reactions(fail=later):
        at = f"{{fail: {{delay: {{constant: {format_duration(every_s)}}}}}}}"
        source.cannot(found.reaction_path, f"another `reaction` than {at}: it rolls back at the tick after")
    weights = whole_percents(source, found)
    for index, (one, other) in enumerate(pairwise(weights)):
        if other <= one:
            source.cannot(f"{found.steps_path}[{index + 1}].weight", f"a weight that does not rise: {other}% after {one}%")
    for index, step in enumerate(found.steps):
        if step.approval is not None and index < len(found.steps) - 1:
            source.cannot(f"{found.steps_path}[{index}].approval", "an approval before the last weight")
    checks, trip = _checks(source, found)
    analysis: dict[str, Any] = {
        "interval": seconds_of(source, f"{found.steps_path}[0].bake", every_s),
        "threshold": trip,
        "stepWeights": weights,
        "metrics": [],
    }
    templates = []
    for index, (path, check) in enumerate(checks):
        metric, template = _metric(source, path, check, index, every_s)
        analysis["metrics"].append(metric)
        if template is not None:
            templates.append(template)
    if found.steps[-1].approval is not None:
        analysis["webhooks"] = [{"name": "approve", "type": "confirm-promotion", "url": "http://flagger-loadtester/gate/check"}]
    canary = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name.lower()},
            "service": {"port": 80},
            "analysis": analysis,
        },
    }
    return dump(canary, *templates)


def _checks(source: Source, found: Ramped) -> tuple[list[tuple[str, Check]], int]:
    """(path, check) of each threshold, and how many failed looks roll back."""
    if len(found.checks) > 1:
        source.cannot(found.checks_path, "several counts of failed looks: it has one for all metrics (`kind: together`)")
    if not found.checks:
        return [], 1
    path, only = f"{found.checks_path}[0]", found.checks[0]
    if isinstance(only, Check):
        return [(path, only)], only.trip
    if only.kind != "together":
        source.cannot(path, f"a check of the kind {only.kind}: it has thresholds only")
        return [], 1
    return [(f"{path}.checks[{index}]", check) for index, check in enumerate(only.checks)], only.trip


def _metric(
    source: Source, path: str, check: Check, index: int, every_s: float
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The metric of a check, and its template where it needs one."""
    source.only(path, check, _SAID)
    if check.metric not in _METRICS:
        source.cannot(f"{path}.metric", f"{check.metric}: its queries measure {', '.join(_METRICS)}")
    if check.metric != "requests" and check.no_data != "fail":
        source.cannot(f"{path}.no_data", f"`no_data: {check.no_data}`: no data is a failed look")
    if source.every_s(check) != every_s:
        source.cannot(f"{path}.every", "looks at another interval than that of the steps")
    window = window_of(source, path, check)
    bounds = {
        key: float(value)
        for key in ("min", "max")
        for value in (getattr(check, key), getattr(check, f"{key}_ratio"), getattr(check, f"{key}_difference"))
        if value is not None
    }
    relative = any(getattr(check, key) is not None for key in ("max_ratio", "min_ratio", "max_difference", "min_difference"))
    if relative and (check.max is not None or check.min is not None):
        source.cannot(path, "a fixed bound and a comparison in one check")
    if check.sees == "arm" and not relative and list(bounds) == ["max"]:
        if check.metric == "error_rate":
            least = float(f"{100 - 100 * bounds['max']:.12g}")
            return {"name": "request-success-rate", "thresholdRange": {"min": least}, "interval": window}, None
        if check.metric == "latency" and check.quantile in (None, 0.99):
            most = float(f"{1000 * bounds['max']:.12g}")
            return {"name": "request-duration", "thresholdRange": {"max": most}, "interval": window}, None
    target = 'deployment="{{ target }}"'
    query = query_of(check, window, {"canary": target, "stable": 'deployment="{{ target }}-primary"'}, filtered=False)
    called = f"{source.form.name}-{check.metric}-{index + 1}".lower().replace("_", "-")
    template = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": called},
        "spec": {"provider": {"type": "prometheus", "address": "http://prometheus:9090"}, "query": query},
    }
    return {"name": called, "templateRef": {"name": called}, "thresholdRange": bounds, "interval": window}, template
