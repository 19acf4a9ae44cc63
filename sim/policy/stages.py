"""A stage: a route, evidence, guardrails, a longest duration, and what follows each outcome."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sim.policy.allocation import AnyAllocation, Fixed
from sim.policy.base import DeclaredSetting, Part, Setting
from sim.policy.columns import Column, mean_of
from sim.policy.evidence import AnyEvidence, Survive
from sim.policy.guardrails import AGREEMENT, AnyGuardrail, MannWhitney, SampleRatio
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
    checks: tuple[AnyGuardrail, ...] = Field((), description="guardrails, which stop an arm whatever the evidence says")
    max_duration: Duration | None = Field(None, description="arms still undecided after this are inconclusive")
    on: On = Field(default_factory=lambda: On.model_validate({}), description="what follows each outcome")

    def completed(self, setting: DeclaredSetting) -> Stage:
        """The stage with what follows from its allocation written out."""
        changes: dict[str, object] = {}
        length = self.allocation.length_s(setting)
        if isinstance(self.evidence, Survive) and self.evidence.duration is None and length is not None:
            changes["evidence"] = Survive.model_validate({"duration": format_duration(length)})
        if isinstance(self.allocation, Fixed) and any(isinstance(check, SampleRatio) for check in self.checks):
            shares = tuple(self.allocation.shares(setting).tolist())
            changes["checks"] = tuple(
                check.model_copy(update={"split": shares}) if isinstance(check, SampleRatio) and check.split is None else check
                for check in self.checks
            )
        return self.model_copy(update=changes) if changes else self

    def parts(self) -> tuple[Part, ...]:
        """The evidence, the checks, the allocation: the order in which memory is kept."""
        return (self.evidence, *self.checks, self.allocation)

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        """What is wrong with this stage in this setting: (key, message) pairs."""
        return self.declared_problems(setting) or self.registered_problems(setting)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        """What is wrong given what the models registered, of a stage with which nothing is wrong by the file alone."""
        completed = self.completed(setting)
        named: list[tuple[str, Part]] = [("allocation", completed.allocation), ("evidence", completed.evidence)]
        named += [(f"checks[{index}]", check) for index, check in enumerate(completed.checks)]
        return [(f"{place}.{key}", message) for place, part in named for key, message in part.registered_problems(setting)]

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        """What is wrong with this stage by the scenario file alone: (key, message) pairs."""
        found = [(f"allocation.{key}", message) for key, message in self.allocation.declared_problems(setting)]
        # What follows from an allocation is not judged where that is wrong itself.
        sound, completed = not found, self.completed(setting)
        evidence = completed.evidence
        if evidence is self.evidence or sound:
            found += [(f"evidence.{key}", message) for key, message in evidence.declared_problems(setting)]
        length = evidence.duration if isinstance(evidence, Survive) else self.max_duration
        for index, check in enumerate(completed.checks if sound else self.checks):
            found += [(f"checks[{index}].{key}", message) for key, message in self._check_problems(check, length, setting)]
        if self.allocation.mirrors and self.evidence.reads_reward:
            found.append(("evidence.kind", f"{self.evidence.kind} reads users' reactions, which a mirrored arm does not have"))
        if self.on.fail not in (KEEP, INCONCLUSIVE) and not self.evidence.can_be_null:
            left = f"no challenger is left to {'ship' if self.on.fail == SHIP else f'go on to {self.on.fail!r}'}"
            found.append(("on.fail", f"{left}: must be {KEEP} or {INCONCLUSIVE}, got {self.on.fail!r}"))
        return found

    def _check_problems(self, check: AnyGuardrail, length: float | None, setting: DeclaredSetting) -> list[tuple[str, str]]:
        found = check.declared_problems(setting)
        first = check.first_look_s()
        if first and length and first > length:
            key = "looks" if isinstance(check, SampleRatio) else "every"
            said = f"{format_duration(first)} is longer than the stage, {format_duration(length)}"
            found.append((key, f"{said}: it would never look"))
        key = "metrics" if isinstance(check, MannWhitney) else "metric"
        if AGREEMENT in check.reads() and not self.allocation.mirrors:
            found.append((key, "agreement is only seen where calls are mirrored"))
        for metric in check.reads() if self.allocation.mirrors else ():
            if metric in setting.metrics:
                found.append((key, f"a shadow cannot see users' {metric}: its answers reach no user"))
        if check.compares_traffic and not isinstance(self.allocation, Fixed):
            found.append(
                ("kind", f"needs weights that stay as they are, and live traffic: allocation fixed, got {self.allocation.kind}")
            )
        return found

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        """The telemetry columns of this stage, those of mirrored calls beside the live ones where it mirrors."""
        columns = [column for part in self.parts() for column in part.needs(setting)]
        if not self.allocation.mirrors:
            # The best of several survivors is shipped by its observed mean.
            return (*columns, *(mean_of(setting.primary) if len(setting.arms) > 2 else ()))
        live = [column for column in columns if not column.of_copies]
        return (*live, *(column.as_mirrored() for column in columns))


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
        last = index == len(stages) - 1
        if any(check.compares_traffic for check in stage.checks) and stage.on.inconclusive in (
            (SHIP, NEXT) if last else (SHIP,)
        ):
            rule = "a stage whose traffic did not follow its weights must not ship"
            found.append((index, "on.inconclusive", f"{rule}: must not be {stage.on.inconclusive!r} with a check of it"))
        for key, target in (("pass", stage.on.passed), ("fail", stage.on.fail), ("inconclusive", stage.on.inconclusive)):
            if target not in there:
                found.append((index, f"on.{key}", f"no stage {target!r}; there are {', '.join(there)}"))
    return found
