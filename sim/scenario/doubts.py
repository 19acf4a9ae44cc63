"""What to warn of before a run: rules of evidence whose promise does not hold in a scenario, each with its cure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sim.errors import Problem
from sim.policy.base import Evidence
from sim.policy.forms import Form, Placed
from sim.policy.setting import DeclaredSetting
from sim.policy.stages import Stage
from sim.scenario.calibrate import AA_PROMISE
from sim.scenario.check import declared_setting, open_numbers
from sim.scenario.delays import by_outcome, unlike
from sim.scenario.schema import Scenario
from sim.scenario.timeline import Drift, Novelty
from sim.units import format_duration


def doubts(scenario: Scenario, calibrated: Collection[str] = ()) -> Iterator[Problem]:
    """The warnings of a scenario that has passed `check`, each at the key that it is about.

    `calibrated` are policies with a number at which they keep their promise in A/A tests of this scenario; so will be those
    that the scenario has still to be calibrated for.
    """
    keeping = {*calibrated, *(each.policy for each in open_numbers(scenario) if each.promise[0] == AA_PROMISE)}
    setting = declared_setting(scenario)
    others: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    for index, policy in enumerate(scenario.policies):
        for placed in policy.placed(others, set()):
            if placed.here:
                yield from _of_stage(scenario, setting, placed, f"policies[{index}]", policy.name in keeping)


def _of_stage(
    scenario: Scenario, setting: DeclaredSetting, placed: Placed, policy: str, keeps: bool
) -> Iterator[Problem]:  # fmt: skip
    stage = placed.stage.completed(setting)
    evidence, allocation = stage.evidence, stage.allocation
    if not evidence.reads_reward:
        return

    def at(key: str) -> str:
        return f"{policy}.{placed.place(f'evidence.{key}')}"

    promised = None if keeps else evidence.promised(setting)
    moving, changing = allocation.constant_weights(setting) is None, _changing(scenario)
    # A key that stands in no file is told at the kind.
    tally = "tally" if getattr(evidence, "tally", None) else "kind"
    primary = setting.metrics[setting.primary]
    turns = allocation.turns() is not None
    cure = "compare periods, by evidence by_period" if turns else _cure(evidence)
    later, pools = unlike(scenario.primary.delay, scenario.arms), evidence.pools(setting)
    apart = primary.provisional or by_outcome(scenario.primary.delay)
    if primary.provisional and later:
        reason = (
            f"outcomes of {setting.primary} count as failures until they are known; delays differ by arm, and the later one"
        )
        yield Problem(
            f"{reason} has more of them still to come, which {evidence.kind} takes for an effect; use until_known: unknown",
            path=at("kind"),
        )
    elif pools and moving and apart:
        reason = (
            f"{evidence.kind} pools outcomes over weights that change, and of {setting.primary} successes come at other times"
        )
        rest = f"than failures: visits of another age then look like an effect; {cure}"
        yield Problem(f"{reason} {rest}", path=at(tally))
    elif pools and moving and changing:
        reason = f"{evidence.kind} pools outcomes over weights that change, while {setting.primary} changes ({changing})"
        yield Problem(f"{reason}: what changes for both arms then looks like an effect; {cure}", path=at(tally))
    elif pools and allocation.adaptive and promised:
        reason = f"{evidence.kind} pools outcomes, which keeps its promise only under weights that do not depend on them"
        yield Problem(f"{reason}, and {allocation.kind} follows them; {cure}", path=at(tally))
    if later and not primary.provisional and (by_outcome(scenario.primary.delay) or changing):
        yield Problem(_known_unlike(scenario, evidence, changing), path=at("kind"))
    if turns and not pools and not evidence.of_turns:
        reason = f"{evidence.kind} compares what was sent in the same tick, and {allocation.kind} sends all of it to one arm"
        yield Problem(f"{reason}: it never ends; {cure}", path=at(tally))
    by_time = evidence.looks_by_time()
    if evidence.waits and not by_time and allocation.adaptive and allocation.least_share(setting) == 0:
        reason = f"{allocation.kind} can leave an arm next to no traffic, tick after tick, and {evidence.kind} waits until it"
        where = f"{policy}.{placed.place('allocation.kind')}"
        yield Problem(f"{reason} has been compared: it may never end; give every arm a share (floor: 5%)", path=where)
    if by_time and allocation.adaptive:
        reason = f"{evidence.kind} looks at planned times, and {allocation.kind} follows the outcomes: it is then not normal"
        yield Problem(f"{reason}; let it look when its information has arrived (group_sequential)", path=at(by_time))
    if promised and _alike(scenario) and not _clustered(stage) and not evidence.of_turns:
        reason = f"{evidence.kind} takes requests as independent, and those of a user are alike (users.similarity)"
        rule = "adjust: {kind: cluster}" if hasattr(evidence, "adjust") else "a rule with adjust: {kind: cluster}"
        yield Problem(f"{reason}: it declares more often than it promises; use {rule}", path=at("kind"))


def _known_unlike(scenario: Scenario, evidence: Evidence, changing: str) -> str:
    """What goes wrong where the outcomes of one arm are known sooner than those of another, and what to do about it."""
    primary, window = scenario.primary.name, scenario.primary.attribution_window
    if by_outcome(scenario.primary.delay):
        known = f"of what is known of {primary}, the arms have unlike shares of successes, as their delays differ by outcome"
    else:
        known = f"what is known of {primary} is older in one arm than in the other, and it changes on the way ({changing})"
    late = "as long" if window is None else f"as long as the window ({format_duration(window)})"
    cure = f"count every outcome of every arm {late} after its call: one constant delay for all of them"
    return f"{known}, which {evidence.kind} takes for an effect; {cure}"


def _changing(scenario: Scenario) -> str:
    """The first key that changes the primary metric on the way; empty if none does."""
    name = scenario.primary.name
    for index, event in enumerate(scenario.timeline):
        if isinstance(event, Drift | Novelty) and event.metric == name:
            return f"timeline[{index}]"
    place = next(index for index, metric in enumerate(scenario.metrics) if metric.name == name)
    cycles = (key for key in ("daily", "weekly", "shocks") if getattr(scenario.primary, key, None) is not None)
    return next((f"metrics[{place}].{key}" for key in cycles), "")


def _cure(evidence: Evidence) -> str:
    adjust = getattr(evidence, "adjust", None)
    if adjust is not None and adjust.pools:
        return "use weights that stay as they are, or an adjustment that compares within ticks"
    return "use tally: within_ticks" if hasattr(evidence, "tally") else "use a rule that compares within ticks"


def _alike(scenario: Scenario) -> bool:
    return scenario.users is not None and scenario.users.similarity > 0


def _clustered(stage: Stage) -> bool:
    adjust = getattr(stage.evidence, "adjust", None)
    return adjust is not None and adjust.kind == "cluster"
