"""A policy as a Rollout of Argo with an AnalysisTemplate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.interop.exporting import Ramped, Source, dump, seconds_of, whole_percents, window_of
from sim.interop.promql_text import query_of
from sim.policy.guardrails import Check
from sim.policy.pending import Reactions

_SAID = {
    "kind", "metric", "quantile", "max", "min", "max_ratio", "min_ratio", "max_difference", "min_difference", "doubt_above",
    "doubt_below", "doubt_trip", "sees", "trip", "no_data", "every", "start", "looks", "over", "report_only", "pass_after",
}  # fmt: skip
METRICS = ("error_rate", "latency", "mean_latency", "requests")
MOST = (100, 1000, 10_000, 100_000, 1_000_000)


def write(source: Source, found: Ramped) -> str:
    """The manifest of a policy. Adds to the problems of the source what Argo cannot say."""
    if found.on_good_look:
        source.cannot("advance", "`advance: on_good_look`: its steps go by the clock")
    reacts(source, found.checks, found.reaction, found.checks_path, found.reaction_path)
    most = next((each for each in MOST if all((step.weight * each).is_integer() for step in found.steps)), 100)
    weights = whole_percents(source, found, most)
    steps: list[dict[str, Any]] = []
    for index, (step, weight) in enumerate(zip(found.steps, weights, strict=True)):
        steps.append({"setWeight": weight})
        if step.bake:
            duration = seconds_of(source, f"{found.steps_path}[{index}].bake", step.bake)
            steps.append({"pause": {"duration": duration}})
        if step.approval is not None:
            steps.append({"pause": {}})
    metrics = [metric_of(source, f"{found.checks_path}[{index}]", check, index) for index, check in enumerate(found.checks)]
    if not metrics:
        return document_of(source, steps, most, [], None)
    template = f"{source.name}-checks"
    return document_of(source, steps, most, [(template, metrics)], told_only(source, template, metrics, found.checks))


def reacts(source: Source, checks: Sequence[Any], reaction: Reactions | None, checks_path: str, reaction_path: str) -> None:
    """Adds the problems of what is done after an outcome: it aborts at once, and pauses in doubt until a person looks."""
    reaction = reaction or Reactions()
    if reaction.fail is not None:
        source.cannot(f"{reaction_path}.fail", "`reaction.fail`: it aborts at once")
    if reaction.muting is not None:
        source.cannot(f"{reaction_path}.muting", "`reaction.muting`: it knows no alarms that nobody heeds")
    doubts = any(isinstance(check, Check) and (check.doubts() or check.no_data == "doubt") for check in checks)
    if doubts != (reaction.inconclusive is not None):
        source.cannot(
            reaction_path if reaction.inconclusive else checks_path,
            "what is in doubt without `reaction.inconclusive`, or that without what is: it pauses until a person looks",
        )


def told_only(source: Source, template: str, metrics: Sequence[Mapping[str, Any]], checks: Sequence[Any]) -> dict[str, Any]:
    """The analysis of a template; checks that only report are dry runs."""
    analysis: dict[str, Any] = {
        "templates": [{"templateName": template}],
        "args": [
            {"name": "canary-service", "value": f"{source.name}-canary"},
            {"name": "stable-service", "value": f"{source.name}-stable"},
        ],
    }
    told = [each["name"] for each, check in zip(metrics, checks, strict=True) if getattr(check, "report_only", False)]
    if told:
        analysis["dryRun"] = [{"metricName": each} for each in told]
    return analysis


def document_of(
    source: Source, steps: list[dict[str, Any]], most: int, templates: Sequence[tuple[str, list[dict[str, Any]]]],
    background: dict[str, Any] | None, *, route: str | None = None,
) -> str:  # fmt: skip
    """The Rollout of steps, whose weights are shares of `most`, and its templates; `route` is the name of a mirror."""
    name = source.name
    # Of the routers, Istio alone mirrors.
    istio = {"managedRoutes": [{"name": route}], "istio": {"virtualService": {"name": name}}}
    routing: dict[str, Any] = istio if route is not None else {"nginx": {"stableIngress": name}}
    if most != 100:
        routing["maxTrafficWeight"] = most
    canary: dict[str, Any] = {
        "canaryService": f"{name}-canary",
        "stableService": f"{name}-stable",
        "trafficRouting": routing,
        "steps": steps,
    }
    if background is not None:
        canary["analysis"] = background
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": source.form.name},
        "spec": {"strategy": {"canary": canary}},
    }
    written = [
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": template},
            "spec": {"args": [{"name": "canary-service"}, {"name": "stable-service"}], "metrics": metrics},
        }
        for template, metrics in templates
    ]
    return dump(rollout, *written)


def metric_of(source: Source, path: str, check: Any, index: int, *, until_passed: bool = False) -> dict[str, Any]:
    """A metric of the template; `until_passed` is of a step that ends as all of its metrics have passed."""
    if not isinstance(check, Check):
        source.cannot(path, f"a check of the kind {check.kind}: it has thresholds only")
        return {"name": "unsaid"}
    source.only(path, check, _SAID)
    if check.metric not in METRICS:
        source.cannot(f"{path}.metric", f"{check.metric}: its queries measure {', '.join(METRICS)}")
        return {"name": "unsaid"}
    _one_comparison(source, path, check)
    every_s = source.every_s(check)
    start_s = every_s if check.start is None else check.start
    query = query_of(
        check, window_of(source, path, check),
        {"canary": 'service="{{args.canary-service}}"', "stable": 'service="{{args.stable-service}}"'},
        filtered=check.no_data == "wait",
    )  # fmt: skip
    if check.metric == "latency" and check.no_data == "wait":
        source.cannot(f"{path}.no_data", "`no_data: wait` of a quantile, which is no number then")
    metric: dict[str, Any] = {
        "name": f"{check.metric.replace('_', '-')}-{index + 1}",
        "interval": seconds_of(source, f"{path}.every", every_s),
        "initialDelay": seconds_of(source, f"{path}.start", start_s),
    }
    if check.looks is not None:
        metric["count"] = check.looks
    if until_passed:
        metric["consecutiveSuccessLimit"] = check.pass_after
    elif check.pass_after is not None:
        source.cannot(f"{path}.pass_after", "`pass_after` where nothing waits for it: it is for a stage of a fixed weight")
    metric |= _conditions(check)
    metric["failureLimit"] = check.trip - 1
    if check.doubt_trip > 1:
        metric["inconclusiveLimit"] = check.doubt_trip - 1
    metric["provider"] = {"prometheus": {"address": "http://prometheus:9090", "query": query}}
    return metric


def _one_comparison(source: Source, path: str, check: Check) -> None:
    kinds = {
        "a fixed bound": (check.max, check.min, check.doubt_above, check.doubt_below),
        "a ratio": (check.max_ratio, check.min_ratio),
        "a difference": (check.max_difference, check.min_difference),
    }
    given = [kind for kind, bounds in kinds.items() if any(bound is not None for bound in bounds)]
    if len(given) > 1:
        source.cannot(path, f"{' and '.join(given)} in one check: a query measures one of them")
    if given != ["a fixed bound"] and check.metric == "latency":
        source.cannot(path, "a comparison of quantiles")
    if given != ["a fixed bound"] and check.no_data == "wait":
        source.cannot(f"{path}.no_data", "`no_data: wait` of a comparison, which is no number then")


def _conditions(check: Check) -> dict[str, str]:
    """The conditions of a check: by which of them there are, and what they say of no number, `no_data` is what it is."""
    low, high = (_first(check, key) for key in ("min", "max"))
    sure_low, sure_high = check.doubt_below, check.doubt_above
    doubts = sure_low is not None or sure_high is not None
    good = _both(sure_low if sure_low is not None else low, ">=", sure_high if sure_high is not None else high, "<=", " && ")
    bad = _both(low, "<", high, ">", " || ")
    if not doubts and check.no_data in ("fail", "wait"):
        return {"successCondition": good}
    if not doubts and check.no_data == "pass":
        return {"failureCondition": bad}
    if check.no_data == "pass":
        good = f"isNaN(result[0]) || {good}"
    if check.no_data == "fail":
        bad = f"isNaN(result[0]) || {bad}" if bad else "isNaN(result[0])"
    return {"successCondition": good, "failureCondition": bad or "result[0] < 0"}


def _first(check: Check, side: str) -> Any:
    values = (getattr(check, key) for key in (side, f"{side}_ratio", f"{side}_difference"))
    return next((value for value in values if value is not None), None)


def _both(low: Any, above: str, high: Any, below: str, join: str) -> str:
    parts = [f"result[0] {sign} {float(bound)!r}" for sign, bound in ((above, low), (below, high)) if bound is not None]
    return join.join(parts)
