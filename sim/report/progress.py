"""What a run will take, said before it is played, and asked where it is long."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from sim.compare.wording import number
from sim.run.blocks import rounds_of
from sim.run.cost import costs_of
from sim.run.crew import current
from sim.run.effort import Effort, size
from sim.run.machine import processors
from sim.run.plan import Plan
from sim.scenario.labels import JOINT

# Above this, a person is asked first.
_LONG_S = 3600.0
# Of a run of fewer seconds of work, one line says enough; of one with many policies, the dearest are listed.
_SHORT_S, _MOST_LISTED = 10.0, 12


def lines(plan: Plan) -> Iterator[str]:
    """Lines about the plan: its points, engines and versions."""
    name = plan.scenario.name
    if plan.paths:
        yield f"{name}: {len(plan.points)} points of {JOINT.join(plan.paths)}"
    yield from dict.fromkeys(f"{name}: engine {each.engine.name} ({each.engine.reason})" for each in plan.points)
    yield from dict.fromkeys(f"  {of.arm}: {of.pinned} ({of.kind})" for each in plan.points for of in each.versions)
    yield from _alike(plan)
    yield from varied(plan)


def taken(plan: Plan, effort: Effort) -> str:
    """The line about what the plan will take."""
    processes = "1 process" if effort.workers == 1 else f"{effort.workers} processes"
    if (crew := current()) is not None:
        workers = f"{crew.workers} {'worker' if crew.workers == 1 else 'workers'} of {crew.name}"
        alone = effort.seconds * effort.workers / processors()
        processes = f"{workers} ({spoken(alone)} on the {processors()} processors of this machine)"
    name, memory = plan.scenario.name, f"up to {size(effort.memory)} of memory"
    if plan.scenario.enough is None:
        return f"{name}: about {spoken(effort.seconds)} on {processes}, and {memory}"
    first = rounds_of(plan)[0]
    begin = sum(seconds for task, seconds in effort.expected.items() if task.end <= first) / effort.workers
    most = f"{plan.scenario.replications:,}, as many as are needed"
    return (
        f"{name}: about {spoken(begin)} for the first {first:,} replications, {spoken(effort.seconds)} for all {most}, on "
        f"{processes}, and {memory}"
    )


def by_policy(plan: Plan, effort: Effort, *, always: bool = False) -> Iterator[str]:
    """The lines about what each policy takes of that, and on which engine; none of a short run, unless `always`."""
    costs = [cost for cost in costs_of(plan, effort) if cost.seconds]
    if not costs or (not always and sum(cost.seconds for cost in costs) < _SHORT_S):
        return
    dearest = sorted(costs, key=lambda cost: -cost.seconds)[:_MOST_LISTED]
    names, engines = (max(len(getattr(cost, name)) for cost in dearest) for name in ("policy", "engine"))
    for cost in costs:
        if cost in dearest:
            # What decides at once is over before it could be measured.
            note = "" if cost.seen or cost.seconds < 1 else "; by the figures of the engine, not measured here"
            time, memory = spoken(cost.seconds), size(cost.memory)
            yield f"  {cost.policy:<{names}}  {cost.engine:<{engines}}  {time:>7} of one process of up to {memory}{note}"
    if len(costs) > len(dearest):
        rest = spoken(sum(cost.seconds for cost in costs) - sum(cost.seconds for cost in dearest))
        yield f"  and {len(costs) - len(dearest)} more that take less, {rest} in all"


def _alike(plan: Plan) -> Iterator[str]:
    """The line about the A/A tests; none where none are played."""
    tests = [(point, sum(point.policy(form).immediate is None for form in point.forms)) for point in plan.points]
    count = sum(each for _, each in tests)
    if not plan.scenario.aa or not count:
        return
    said = f"{plan.scenario.name}: A/A tests of {count} {'policies' if count > 1 else 'policy'} beside the run"
    one_by_one = [(point, each) for point, each in tests if point.engine.entry.tells_calls]
    requests = sum(each * float(point.world.requests.sum()) * point.scenario.replications for point, each in one_by_one)
    # Where requests are played one by one, this costs what the policies cost.
    cost = f" play at most {number(requests, 'requests')} requests, as the run itself" if requests else ""
    yield f"{said}{cost} (aa: false leaves them out)"


def varied(plan: Plan) -> Iterator[str]:
    """The lines about the other worlds that are played beside the run, and those that are left out."""
    name = plan.scenario.name
    if plan.variants:
        count = plan.variants[0].point.scenario.replications
        worlds = "world" if len(plan.variants) == 1 else "worlds"
        yield (
            f"{name}: what would change the choice, in {len(plan.variants)} other {worlds} of {count:,} replications "
            "(sensitivity: off leaves them out)"
        )
        yield from (f"  {variant.change}" for variant in plan.variants)
    yield from (f"  not varied: {what}: {why}" for what, why in plan.left_out.items())


def spoken(seconds: float) -> str:
    """A length of time, for people.

    >>> spoken(0.4), spoken(75), spoken(5400), spoken(3e6)
    ('1 s', '75 s', '90 min', '35 d')
    """
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * length - 0.5 * length:
            count = seconds / length
            return f"{count:.1f} h".replace(".0 ", " ") if unit == "h" else f"{max(round(count), 1)} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def confirm(effort: Effort) -> None:
    """Ask on a terminal before a run that may take more than an hour. Raises `KeyboardInterrupt` unless the answer is yes.

    Where nobody can answer, it goes on: what it will take has been said.
    """
    if effort.seconds <= _LONG_S or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print(f"This may take {spoken(effort.seconds)}. Go on? (--yes does not ask) [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise KeyboardInterrupt
