"""The other worlds of a plan, in which its policies are played again to see whether the choice stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.errors import InputError
from sim.run.blocks import rounds_of, tasks_of, works_of
from sim.run.effort import expected_of
from sim.run.plan import Plan, PlannedPoint, PlannedVariant, Resolver, in_file, plan_point
from sim.scenario.check import open_numbers
from sim.scenario.check_calibrated import with_number
from sim.scenario.loading import Document
from sim.scenario.schema import Scenario
from sim.scenario.sensitivity import Sensitivity
from sim.scenario.variants import reason, variants, wanted

SHARE, ENOUGH, LEAST = 0.5, 100, 50
"""The other worlds of a run that does not say how many replications they have add at most half of its work. Where that is less
than `ENOUGH` replications, as a tick costs much whatever the number of replications, they add at most as much as its work, for
up to so many. Fewer than `LEAST` tell nothing, and are not played unless the file names worlds.
"""


def with_variants(plan: Plan, document: Document, resolver: Resolver) -> Plan:
    """The plan with its other worlds: none beside a sweep, where its scenario says `sensitivity: off`, and of baselines alone.

    A usual world that cannot be planned, as an engine refuses it, is left out with its reason. `document` and `resolver` are
    those that the plan was made of. Raises `InputError` where a world that the file names cannot be planned.
    """
    if not wanted(plan.scenario):
        return plan
    (point,) = plan.points
    if all(point.policy(name).immediate is not None for name in point.forms):
        # There is nothing to choose.
        return plan
    # Effects are relative to the champion's mean: of one below 0 a positive one is worse.
    sign = -1 if float(np.asarray(point.world.primary_outcome.mean[0])) < 0 else 1
    made, left_out = variants(plan.scenario, document, sign=sign)
    planned, found = [], dict(left_out)
    for variant in made:
        change = variant.change
        alone = _settled(variant.scenario, point).model_copy(update={"aa": False, "sensitivity": None})
        try:
            world = plan_point(alone, resolver(alone, point.base), point.base, point.calibrated)
        except InputError as error:
            if variant.own:
                raise InputError(variant.document.place(in_file(problem, alone)) for problem in error.problems) from None
            found[change.what] = reason(error)
            continue
        planned.append(PlannedVariant(change, world))
    plan = replace(plan, variants=tuple(planned), left_out=found)
    return _counted(plan) if planned else plan


def _settled(scenario: Scenario, point: PlannedPoint) -> Scenario:
    """The scenario of another world with the numbers that were calibrated in the world of the run."""
    numbers = {each.path: each for each in open_numbers(scenario)}
    for found in point.calibrated:
        number = numbers[found.path]
        scenario = with_number(scenario, number, number.quantity.read(found.value))
    return scenario


def _counted(plan: Plan) -> Plan:
    """The plan with the number of replications of its other worlds; without these where so few would tell nothing."""
    asked, most = plan.scenario.sensitivity, rounds_of(plan)[0]
    # Where there may be enough replications after the first round, that is all that is sure to be there to compare with.
    surely = plan.scenario.model_copy(update={"replications": most, "enough": None})
    if isinstance(asked, Sensitivity) and asked.replications is not None:
        return _of(plan, min(asked.replications, most))
    work = _work(replace(plan, scenario=surely, variants=()))
    count = _within(plan, SHARE * work)
    if count < ENOUGH:
        count = min(_within(plan, work), ENOUGH)
    if count >= LEAST or isinstance(asked, Sensitivity):
        return _of(plan, min(max(count, LEAST), most))
    least = min(LEAST, most)
    why = (
        f"{least} replications of each of {len(plan.variants)} would take longer than the run itself; "
        f"`sensitivity: {{replications: {least}}}` plays them all the same"
    )
    return replace(plan, variants=(), left_out={"other worlds": why, **plan.left_out})


def _within(plan: Plan, seconds: float) -> int:
    """The most replications of the other worlds of a plan that take so long, of two digits; 0 where none do."""
    others = replace(plan, points=())
    low, high = 0, plan.scenario.replications
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _work(_of(others, middle)) <= seconds else (low, middle - 1)
    # A number that can be said, and that does not hang on the last digit of a cost.
    digit: int = 10 ** max(len(str(low)) - 2, 0)
    return low // digit * digit


def _of(plan: Plan, replications: int) -> Plan:
    """The plan with so many replications in each of its other worlds."""
    return replace(plan, variants=tuple(each.of(replications) for each in plan.variants))


def _work(plan: Plan) -> float:
    """The seconds of all tasks if nothing is decided early."""
    return sum(expected_of(works_of(plan), tasks_of(plan)).values())
