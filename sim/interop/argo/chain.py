"""A chain of stages as the steps of a Rollout: mirrors, weights under checks, and checks that must pass before the next step.

A Rollout knows one analysis in the background, which goes on to the end. So it can be of the last stage only; the checks of
the others are analyses that are waited for, with a count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.interop.argo.export import MOST, document_of, metric_of, reacts, told_only
from sim.interop.argo.rollout import EVERY_REQUEST
from sim.interop.exporting import Source, seconds_of, whole_of
from sim.policy.allocation import Fixed, Mirror, Ramp, Step
from sim.policy.evidence import Survive
from sim.policy.forms import Placed
from sim.policy.guardrails import Check
from sim.policy.stages import NEXT, On, Stage

_ROUTE = "shadow"


@dataclass
class _Written:
    """The steps, templates and background analysis so far. `most` is what weights are shares of."""

    most: int
    steps: list[dict[str, Any]] = field(default_factory=list)
    templates: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    background: dict[str, Any] | None = None
    mirrors: bool = False


def write_chain(source: Source, placed: Sequence[Placed]) -> str:
    """The manifest of a chain. Adds to the problems of the source what Argo cannot say."""
    weights = [step.weight for each in placed for step in _steps(each.stage)]
    most = next((each for each in MOST if all((weight * each).is_integer() for weight in weights)), 100)
    written = _Written(most)
    before: Placed | None = None
    for index, each in enumerate(placed):
        following = placed[index + 1].stage.name if index + 1 < len(placed) else None
        _stage(_Part(source, each, f"{source.name}-{index + 1}", following, written), before)
        before = each
    return document_of(
        source, written.steps, written.most, written.templates, written.background, route=_ROUTE if written.mirrors else None
    )


@dataclass
class _Part:
    """A stage that is written, the name of its template, the stage after it, and where it is written to."""

    source: Source
    placed: Placed
    template: str
    following: str | None
    out: _Written

    @property
    def stage(self) -> Stage:
        return self.placed.stage

    def place(self, key: str) -> str:
        return self.placed.place(key)

    def cannot(self, key: str, what: str) -> None:
        self.source.cannot(self.place(key), what)


def _stage(part: _Part, before: Placed | None) -> None:
    stage = part.stage
    reacts(part.source, stage.checks, stage.reaction, part.place("checks"), part.place("reaction"))
    if stage.on.passed not in (NEXT, part.following or NEXT) or stage.on != On(**{"pass": stage.on.passed}):
        part.cannot("on", "`on`: what passes goes on, and what fails goes back")
    if stage.max_duration is not None:
        part.cannot("max_duration", "`max_duration`: an analysis ends by its counts")
    if not isinstance(stage.evidence, Survive):
        kind = stage.evidence.kind
        part.cannot("evidence", f"evidence of the kind {kind}: its analyses are thresholds, and no test between versions")
        return
    route = stage.allocation
    if isinstance(route, Mirror):
        _mirror(part, route, stage.evidence.duration)
    elif isinstance(route, Fixed) and (route.weights is None or len(route.weights) != 2):
        part.cannot("allocation.weights", "other weights than those of a champion and one challenger")
    elif isinstance(route, Fixed) and stage.evidence.duration is None:
        _until_passed(part)
    elif isinstance(route, Ramp | Fixed):
        _ramp(part, before)
    else:
        part.cannot("allocation", f"an allocation of the kind {route.kind}: it has weights by the clock, and mirrors")


def _mirror(part: _Part, route: Mirror, duration: float | None) -> None:
    out, percentage = part.out, round(100 * route.fraction)
    if percentage / 100 != route.fraction:
        part.cannot("allocation.fraction", f"a mirror of {100 * route.fraction:.6g}%: whole numbers only")
    out.mirrors = True
    if next((step["setWeight"] for step in reversed(out.steps) if "setWeight" in step), 0):
        out.steps.append({"setWeight": 0})
    # At a weight of 0 a canary has no pods that could answer copies.
    out.steps.append({"setCanaryScale": {"weight": max(percentage, 1)}})
    out.steps.append({"setMirrorRoute": {"name": _ROUTE, "percentage": percentage, "match": [EVERY_REQUEST]}})
    _held(part, duration or 0.0, "evidence.duration")
    out.steps += [{"setMirrorRoute": {"name": _ROUTE}}, {"setCanaryScale": {"matchTrafficWeight": True}}]


def _until_passed(part: _Part) -> None:
    """A weight that is held until every check has passed by good looks in a row."""
    checks = [check for check in part.stage.checks if isinstance(check, Check)]
    for index, check in enumerate(part.stage.checks):
        if not isinstance(check, Check) or check.pass_after is None or check.looks is not None:
            part.cannot(
                f"checks[{index}]", "a check without `pass_after`, or with `looks`, in a stage that ends as all have passed"
            )
    (step,) = _steps(part.stage)
    part.out.steps.append({"setWeight": _weight(part, step.weight, "allocation.weights")})
    if checks:
        part.out.steps.append({"analysis": _analysis(part, until_passed=True)})


def _ramp(part: _Part, before: Placed | None) -> None:
    """Weights by the clock, under checks that are waited for, or go on in the background of the last stage."""
    stage, out = part.stage, part.out
    route, steps = stage.allocation, _steps(stage)
    if isinstance(route, Ramp):
        if route.advance != "by_clock":
            part.cannot("allocation.advance", "`advance: on_good_look`: its steps go by the clock")
        if route.baseline:
            part.cannot("allocation.baseline", "`baseline`: a version beside the canary")
    ramp_before = before is not None and isinstance(before.stage.allocation, Ramp)
    if ramp_before and before is not None and (not stage.checks or _steps(before.stage)[-1].approval is None):
        part.cannot(
            "allocation", "two ramps, one after the other, with nobody's approval and a check between: make one of them"
        )
    last = part.following is None
    if stage.checks and last:
        out.background = _analysis(part) | ({"startingStep": len(out.steps)} if out.steps else {})
    elif stage.checks and len(steps) > 1:
        part.cannot("checks", "checks that go on over several weights, but for those of the last stage: it has one background")
    for index, step in enumerate(steps):
        out.steps.append({"setWeight": _weight(part, step.weight, f"allocation.steps[{index}].weight")})
        if stage.checks and not last:
            _held(part, step.bake or 0.0, f"allocation.steps[{index}].bake")
        elif step.bake:
            at = part.place(f"allocation.steps[{index}].bake")
            out.steps.append({"pause": {"duration": seconds_of(part.source, at, step.bake)}})
        if step.approval is not None:
            out.steps.append({"pause": {}})


def _held(part: _Part, length_s: float, key: str) -> None:
    """All stays as it is for a while, under the checks of the stage, which are waited for."""
    left_s = length_s
    if part.stage.checks:
        part.out.steps.append({"analysis": _analysis(part, length_s)})
        ends = [_last_s(part.source, check, length_s) for check in part.stage.checks if isinstance(check, Check)]
        left_s -= max(ends, default=0.0)
        if left_s < 0:
            part.cannot(key, "looks that go on for longer than the stage")
    if left_s > 0:
        part.out.steps.append({"pause": {"duration": seconds_of(part.source, part.place(key), left_s)}})


def _last_s(source: Source, check: Check, length_s: float) -> float:
    """Seconds after which a check that is waited for has looked for the last time."""
    every_s = source.every_s(check)
    first_s = every_s if check.start is None else check.start
    return first_s + (_count(check, every_s, first_s, length_s) - 1) * every_s


def _count(check: Check, every_s: float, first_s: float, length_s: float) -> int:
    """How often a check looks in a stage."""
    return check.looks or 1 + max(0, math.floor((length_s - first_s) / every_s + 1e-9))


def _analysis(part: _Part, length_s: float | None = None, *, until_passed: bool = False) -> dict[str, Any]:
    """The analysis of the checks of a stage, whose template is added. With a length, each look is counted."""
    source, metrics = part.source, []
    for index, check in enumerate(part.stage.checks):
        passes = until_passed and isinstance(check, Check) and check.pass_after is not None
        metric = metric_of(source, part.place(f"checks[{index}]"), check, index, until_passed=passes)
        if isinstance(check, Check) and length_s is not None:
            every_s = source.every_s(check)
            metric["count"] = _count(check, every_s, every_s if check.start is None else check.start, length_s)
        metrics.append(metric)
    part.out.templates.append((part.template, metrics))
    return told_only(source, part.template, metrics, part.stage.checks)


def _weight(part: _Part, share: float, key: str) -> int:
    return whole_of(part.source, part.place(key), share, part.out.most)


def _steps(stage: Stage) -> tuple[Step, ...]:
    """The weights of a stage; of one that is fixed, a single one."""
    route = stage.allocation
    if isinstance(route, Ramp):
        return route.each_step()
    if isinstance(route, Fixed):
        duration = stage.evidence.duration if isinstance(stage.evidence, Survive) else None
        weight = route.weights[1] if route.weights else 0.5
        return (Step.model_construct(weight=weight, bake=duration, approval=None),)
    return ()
