"""A stage: a route, evidence, guardrails, a longest duration, and what follows each outcome."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sim.policy.allocation import AnyAllocation, Fixed
from sim.policy.base import Part, Setting, outcome_columns
from sim.policy.evidence import AnyEvidence, Survive
from sim.policy.guardrails import AGREEMENT, Check
from sim.units import Duration, format_duration

SHIP, KEEP, INCONCLUSIVE, NEXT = "ship", "keep", "inconclusive", "next"
ENDS = (SHIP, KEEP, INCONCLUSIVE)


class On(BaseModel):
    """What follows each outcome of a stage: `ship`, `keep`, `inconclusive`, `next`, or the name of a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    passed: str = Field(NEXT, alias="pass", description="some arm passed; it goes on alone (`next` after the last stage ships)")
    fail: str = Field(KEEP, description="no arm passed: each failed, or finished with nothing declared")
    inconclusive: str = Field(
        INCONCLUSIVE, description="no arm passed, and one was still undecided at the longest duration, or a check saw no data"
    )


class Stage(BaseModel):
    """One stage of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="what other stages call it; named after its policy if left out")
    allocation: AnyAllocation = Field(default_factory=Fixed, description="how live traffic is split")
    evidence: AnyEvidence = Field(description="how the stage decides")
    checks: tuple[Check, ...] = Field((), description="guardrails, which stop an arm whatever the evidence says")
    max_duration: Duration | None = Field(None, description="arms still undecided after this are inconclusive")
    on: On = Field(default_factory=lambda: On.model_validate({}), description="what follows each outcome")

    def completed(self, setting: Setting) -> Stage:
        """The stage with what follows from its allocation written out."""
        length = self.allocation.length_s(setting)
        if isinstance(self.evidence, Survive) and self.evidence.duration is None and length is not None:
            survive = Survive.model_validate({"duration": format_duration(length)})
            return self.model_copy(update={"evidence": survive})
        return self

    def parts(self) -> tuple[Part, ...]:
        """The evidence, the checks, the allocation: the order in which memory is kept."""
        return (self.evidence, *self.checks, self.allocation)

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        """What is wrong with this stage in this setting: (key, message) pairs."""
        found = [(f"allocation.{key}", message) for key, message in self.allocation.problems(setting)]
        evidence = self.completed(setting).evidence
        if evidence is self.evidence or not found:
            found += [(f"evidence.{key}", message) for key, message in evidence.problems(setting)]
        length = evidence.duration if isinstance(evidence, Survive) else self.max_duration
        for index, check in enumerate(self.checks):
            found += [(f"checks[{index}].{key}", message) for key, message in check.problems(setting)]
            if check.every and length and check.every > length:
                every, longest = format_duration(check.every), format_duration(length)
                found.append((f"checks[{index}].every", f"{every} is longer than the stage, {longest}: it would never look"))
            if check.metric == AGREEMENT and not self.allocation.mirrors:
                found.append((f"checks[{index}].metric", "agreement is only seen where calls are mirrored"))
            if check.metric in setting.metrics and self.allocation.mirrors:
                found.append(
                    (f"checks[{index}].metric", f"a shadow cannot see users' {check.metric}: its answers reach no user")
                )
        if self.allocation.mirrors and self.evidence.reads_reward:
            found.append(("evidence.kind", f"{self.evidence.kind} reads users' reactions, which a mirrored arm does not have"))
        if self.on.fail not in (KEEP, INCONCLUSIVE) and not self.evidence.can_be_null:
            left = f"no challenger is left to {'ship' if self.on.fail == SHIP else f'go on to {self.on.fail!r}'}"
            found.append(("on.fail", f"{left}: must be {KEEP} or {INCONCLUSIVE}, got {self.on.fail!r}"))
        return found

    def needs(self, setting: Setting) -> tuple[str, ...]:
        """The telemetry columns of this stage, those of mirrored calls beside the live ones where it mirrors."""
        names = [name for part in self.parts() for name in part.needs(setting)]
        if not self.allocation.mirrors:
            # The best of several survivors is shipped by its observed mean.
            if len(setting.arms) > 2:
                names += outcome_columns(setting.metrics[setting.primary])[:2]
            return tuple(names)
        live = [name for name in names if not name.startswith(AGREEMENT)]
        return (*live, *(f"mirror.{name}" for name in names))


def chain_problems(stages: tuple[Stage, ...]) -> list[tuple[int, str, str]]:
    """Names used twice or taken, and stages that `on` names and that are not there: (index of the stage, key, message).

    >>> canary = Stage(name="canary", evidence={"kind": "survive", "duration": "1h"}, on={"pass": "ab"})
    >>> chain_problems((canary,))
    [(0, 'on.pass', "no stage 'ab'; there are ship, keep, inconclusive, next, canary")]
    """
    names = [stage.name for stage in stages]
    there = (*ENDS, NEXT, *names)
    found = []
    for index, stage in enumerate(stages):
        if stage.name in names[:index]:
            found.append((index, "name", f"two stages are called {stage.name!r}"))
        if stage.name in (*ENDS, NEXT):
            found.append((index, "name", f"a stage cannot be called {stage.name!r}, which is what can follow one"))
        for key, target in (("pass", stage.on.passed), ("fail", stage.on.fail), ("inconclusive", stage.on.inconclusive)):
            if target not in there:
                found.append((index, f"on.{key}", f"no stage {target!r}; there are {', '.join(there)}"))
    return found
