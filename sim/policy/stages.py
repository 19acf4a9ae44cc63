"""A stage: a route, evidence, guardrails, a longest duration, and what follows each outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from sim.policy.allocation import AnyAllocation, Fixed
from sim.policy.base import Part
from sim.policy.columns import AtVisit, Column, mean_of
from sim.policy.evidence import AnyEvidence
from sim.policy.guardrails import AGREEMENT, AnyGuardrail
from sim.policy.pending import Reactions
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import counted
from sim.spelling import there_are
from sim.units import Duration, format_duration

SHIP, KEEP, INCONCLUSIVE, NEXT = "ship", "keep", "inconclusive", "next"
ENDS = (SHIP, KEEP, INCONCLUSIVE)
OF_CHAIN = ("name", "")
"""The keys of problems that a stage has only beside others: its name, and as a whole its place among them."""


class Retry(BaseModel):
    """How often what was rolled back is rolled out again, and how much later: from the first stage on, with all arms.

    The champion serves everybody until then. A try that would begin at the horizon or later is not made.

    >>> Retry(after=86_400.0, times=2).told()
    'what is rolled back is tried again 1d later, twice at most'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: Duration = Field(description="how long after the rollback the next try begins")
    times: int = Field(1, ge=1, le=1000, description="how many more tries there are at most")

    def told(self) -> str:
        """The rule in words."""
        often = {1: "once", 2: "twice"}.get(self.times, f"{counted(self.times, 'time')}")
        return f"what is rolled back is tried again {format_duration(self.after)} later, {often} at most"


class On(BaseModel):
    """What follows each outcome of a stage: `ship`, `keep`, `inconclusive`, `next`, or the name of a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    passed: str = Field(NEXT, alias="pass", description="some arm passed; it goes on alone (`next` after the last stage ships)")
    fail: str = Field(KEEP, description="no arm passed: each failed, or finished with nothing declared")
    retry: Retry | None = Field(None, description="what is kept from shipping here is tried again; not if left out")
    inconclusive: str = Field(
        INCONCLUSIVE, description="no arm passed, and one was still undecided at the longest duration, or a check saw no data"
    )


class Stage(BaseModel):
    """One stage of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="what other stages call it; named after its policy if left out")
    allocation: AnyAllocation = Field(default_factory=Fixed, description="how live traffic is split")
    evidence: AnyEvidence = Field(description="how the stage decides")
    checks: tuple[AnyGuardrail, ...] = Field((), description="guardrails, which stop an arm whatever the evidence says")
    max_duration: Duration | None = Field(None, description="arms still undecided after this are inconclusive")
    on: On = Field(default_factory=lambda: On.model_validate({}), description="what follows each outcome")
    reaction: Reactions | None = Field(None, description="how long it takes until what follows is done; at once if left out")

    def completed(self, setting: DeclaredSetting) -> Stage:
        """This stage, with settings that were left out taken from its allocation."""
        evidence = self.evidence.completed(self.allocation, setting)
        checks = tuple(check.completed(self.allocation, setting) for check in self.checks)
        return self.model_copy(update={"evidence": evidence, "checks": checks})

    def longest(self, setting: DeclaredSetting) -> float:
        """The most ticks that it takes once it is completed, as far as its settings tell; infinity if they do not."""
        if self.reaction is not None or self.on.retry is not None:
            return math.inf
        # What the evidence passes may wait for a guardrail.
        length = None if any(check.waits for check in self.checks) else self.evidence.length_s()
        known = [each for each in (length, self.max_duration) if each is not None]
        return setting.ticks_of(min(known)) if known else math.inf

    def mutes_after(self) -> int:
        """The number of alarms after which outcomes are not heeded; 0 where all are."""
        return 0 if self.reaction is None or self.reaction.muting is None else self.reaction.muting.after

    def parts(self) -> tuple[Part, ...]:
        """The evidence, the checks and the allocation, in the order in which the policy keeps their memory."""
        return (self.evidence, *self.checks, self.allocation)

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Problems of this stage in this setting: (key, message) pairs."""
        return self.declared_problems(setting) or self.registered_problems(setting)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Problems that show only with what the models registered. Call it only where `declared_problems` is empty."""
        named = self.named(setting)
        return [(f"{place}.{key}", message) for place, part in named for key, message in part.registered_problems(setting)]

    def named(self, setting: DeclaredSetting) -> list[tuple[str, Part]]:
        """The completed parts, each with its key."""
        completed = self.completed(setting)
        named: list[tuple[str, Part]] = [("allocation", completed.allocation), ("evidence", completed.evidence)]
        return named + [(f"checks[{index}]", check) for index, check in enumerate(completed.checks)]

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        """Problems of this stage that show in the scenario file alone: (key, message) pairs."""
        problems = [(f"allocation.{key}", message) for key, message in self.allocation.declared_problems(setting)]
        # Settings taken from an allocation that is wrong are not judged.
        sound, completed = not problems, self.completed(setting)
        evidence = completed.evidence
        if evidence is self.evidence or sound:
            problems += [(f"evidence.{key}", message) for key, message in evidence.declared_problems(setting)]
        length = evidence.length_s() or self.max_duration
        for index, check in enumerate(completed.checks if sound else self.checks):
            problems += [(f"checks[{index}].{key}", message) for key, message in self._check_problems(check, length, setting)]
        if evidence.leaves_it_to_checks() and not any(check.waits for check in self.checks):
            rule = "is required where the allocation has no length of its own, and the stage waits for no check"
            problems.append(("evidence.duration", rule))
        if self.allocation.heeds_looks() and not any(check.tells_looks for check in self.checks):
            rule = "on_good_look needs a check whose looks are good or not, such as a threshold"
            problems.append(("allocation.advance", rule))
        if self.allocation.mirrors and self.evidence.reads_reward:
            message = f"{self.evidence.kind} reads users' reactions, which a mirrored arm does not have"
            problems.append(("evidence.kind", message))
        problems += self._before_traffic()
        if self.on.fail not in (KEEP, INCONCLUSIVE) and not self.evidence.can_be_null:
            left = f"no challenger is left to {'ship' if self.on.fail == SHIP else f'go on to {self.on.fail!r}'}"
            problems.append(("on.fail", f"{left}: must be {KEEP} or {INCONCLUSIVE}, got {self.on.fail!r}"))
        if self.on.retry is not None and KEEP not in (self.on.passed, self.on.fail, self.on.inconclusive):
            problems.append(("on.retry", f"nothing is rolled back here: no outcome of this stage is {KEEP}"))
        return problems

    def _before_traffic(self) -> list[tuple[str, str]]:
        """Problems of a stage that decides before any traffic, and of one that has to see some and gets none."""
        if not self.evidence.before_traffic:
            if self.allocation.serves_challengers:
                return []
            rule = f"serves no challenger, so that {self.evidence.kind} sees nothing of one: it is for evidence of kind offline"
            return [("allocation.kind", rule)]
        problems: list[tuple[str, str]] = []
        rule = f"{self.evidence.kind} decides before any traffic"
        if self.allocation.serves_challengers:
            problems.append(("evidence.kind", f"{rule}: it is for a policy of kind offline, or an allocation of kind champion"))
        if self.checks:
            problems.append(("checks", f"{rule}: a check would see nothing"))
        if self.max_duration is not None:
            problems.append(("max_duration", f"{rule}: `takes` says how long that lasts"))
        return problems

    def _check_problems(self, check: AnyGuardrail, length: float | None, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = check.declared_problems(setting)
        if check.baseline_as == "champion" and not self.allocation.beside():
            problems.append(("against", "the baseline gets no traffic here: it needs a ramp or canary with `baseline: true`"))
        first = check.first_look()
        if first and length and first[1] > length:
            key, first_s = first
            reason = f"{format_duration(first_s)} is longer than the stage, {format_duration(length)}"
            problems.append((key, f"{reason}: it would never look"))
        for key, metric in check.reads():
            if metric == AGREEMENT and not self.allocation.mirrors:
                problems.append((key, "agreement is only seen where calls are mirrored"))
            if metric in setting.metrics and self.allocation.mirrors:
                problems.append((key, f"a shadow cannot see users' {metric}: its answers reach no user"))
        if check.compares_traffic and self.allocation.constant_weights(setting) is None:
            problems.append(
                ("kind", f"needs weights that stay as they are, and live traffic: allocation fixed, got {self.allocation.kind}")
            )
        return problems

    def told(self, setting: Setting, following: str | None) -> str:
        """What this stage does, in a few sentences; `following` is the stage after it, None of the last one."""
        parts = (self.completed(setting).allocation, *(part for name, part in self.named(setting)[1:]))
        sentences = [_sentence(part.told(setting)) for part in parts]
        reactions = "" if self.reaction is None else self.reaction.told()
        return " ".join([*sentences, *map(_sentence, filter(None, (self._follows(setting, following), reactions)))])

    def _follows(self, setting: Setting, following: str | None) -> str:
        """What follows its outcomes, as a sentence."""
        ends = {SHIP: "ships", KEEP: "is not shipped", INCONCLUSIVE: "ends inconclusive", NEXT: f"goes on to {following}"}
        after = SHIP if self.on.passed == NEXT and following is None else self.on.passed
        what = "what passes" if len(setting.arms) == 2 else "the best of those that pass"
        what = what if after == SHIP else "what passes"
        text = f"{what} {ends.get(after, f'goes on to {after}')}"
        none = SHIP if self.on.fail == NEXT and following is None else self.on.fail
        if none == KEEP:
            text += ", and if nothing does the champion is kept"
        elif none == INCONCLUSIVE:
            text += ", and if nothing does it ends inconclusive"
        else:
            text += f", and if nothing does, what has not failed {ends.get(none, f'goes on to {none}')}"
        if self.on.retry is not None:
            text += f"; {self.on.retry.told()}"
        if self.max_duration is None and self.on.inconclusive == INCONCLUSIVE:
            return text
        late = (
            "what is in doubt" if self.max_duration is None else f"what is in doubt after {format_duration(self.max_duration)}"
        )
        doubtful = SHIP if self.on.inconclusive == NEXT and following is None else self.on.inconclusive
        return f"{text}; {late} {ends.get(doubtful, f'goes on to {doubtful}')}"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        """The telemetry columns of this stage. A stage that mirrors has those of mirrored calls beside those of live calls."""
        if self.evidence.before_traffic:
            return ()
        columns = [column for part in self.parts() for column in part.needs(setting)]
        if not self.allocation.mirrors:
            # Of several challengers that pass, the one with the best observed mean ships.
            return (*columns, *(mean_of(setting.primary) if len(setting.arms) > 2 else ()))
        live = [column for column in columns if not column.of_copies]
        return (*live, *(column.as_mirrored() for column in columns))

    def compared(self, setting: Setting) -> tuple[Column, ...]:
        """The columns whose sums within ticks some part reads."""
        return tuple(dict.fromkeys(column for part in self.parts() for column in part.contrasts(setting)))

    def moves(self, setting: DeclaredSetting) -> bool:
        """Whether weights may change while it lasts."""
        return self.allocation.constant_weights(setting) is None

    def rests(self, setting: Setting) -> bool:
        """Whether, while its evidence is quiet, nothing changes from tick to tick but sums."""
        if self.checks or self.moves(setting) or self.allocation.mirrors or self.allocation.may_hold():
            return False
        # A class that inherits from one that rests may split traffic or judge in another way.
        own = all(vars(type(part)).get("rests") for part in (self.allocation, self.evidence))
        return own and not self.allocation.memory(setting)


def at_visit(chain: Sequence[Stage], setting: Setting) -> dict[Column, AtVisit]:
    """The columns that engines must weigh by the shares of the tick of a visit: those compared that are known late."""
    adaptive = any(stage.allocation.adaptive for stage in chain)
    return {
        column: AtVisit(column, adaptive)
        for stage in chain
        if stage.moves(setting)
        for column in stage.compared(setting)
        if any(setting.metrics[name].delayed for name in column.metrics)
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def chain_problems(stages: tuple[Stage, ...]) -> list[tuple[int, str, str]]:
    """Problems of the names in a chain: (index of the stage, key, message) for each.

    A stage must not have the name of another stage or of an ending. `on` must name an ending or a stage of the chain. A stage
    that compares traffic with its weights must not ship on an inconclusive outcome. A stage that decides before any traffic is
    the first one, and none leads back to it. Problems of the chain, and not of a stage by itself, have the keys in `OF_CHAIN`.

    >>> canary = Stage(name="canary", evidence={"kind": "survive", "duration": "1h"}, on={"pass": "ab"})
    >>> chain_problems((canary,))
    [(0, 'on.pass', "no stage 'ab'; there are ship, keep, inconclusive, next, canary")]
    """
    names = [stage.name for stage in stages]
    targets = (*ENDS, NEXT, *names)
    problems = []
    for index, stage in enumerate(stages):
        if stage.name in names[:index]:
            problems.append((index, "name", f"two stages are called {stage.name!r}"))
        if index and stage.evidence.before_traffic:
            problems.append((index, "", f"{stage.evidence.kind} decides before any traffic: it must be the first stage"))
        if stage.name in (*ENDS, NEXT):
            problems.append((index, "name", f"a stage cannot be called {stage.name!r}, which is what can follow one"))
        if stage.on.retry is not None and stages[0].evidence.before_traffic:
            problems.append((index, "on.retry", f"{names[0]!r} decides before any traffic: no stage can lead back to it"))
        last = index == len(stages) - 1
        if any(check.compares_traffic for check in stage.checks) and stage.on.inconclusive in (
            (SHIP, NEXT) if last else (SHIP,)
        ):
            rule = "a stage whose traffic did not follow its weights must not ship"
            problems.append((index, "on.inconclusive", f"{rule}: must not be {stage.on.inconclusive!r} with a check of it"))
        for key, target in (("pass", stage.on.passed), ("fail", stage.on.fail), ("inconclusive", stage.on.inconclusive)):
            if target == names[0] and stages[0].evidence.before_traffic:
                rule = f"{target!r} decides before any traffic: no stage can lead back to it"
                problems.append((index, f"on.{key}", rule))
            if target not in targets:
                problems.append((index, f"on.{key}", f"no stage {target!r}; {there_are(targets)}"))
    return problems
