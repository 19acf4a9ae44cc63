"""Policies as manifests: what of a policy a program can say, and what it cannot, each at its line of the scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import InputError, Problem
from sim.policy.allocation import Ramp, Step
from sim.policy.evidence import Survive
from sim.policy.forms import Canary, Chain, Form, Shadow
from sim.policy.guardrails import Check
from sim.policy.pending import Reactions
from sim.policy.stages import Stage
from sim.scenario.loading import Document
from sim.scenario.reading import read
from sim.spelling import did_you_mean, there_are
from sim.units import format_duration, shown


@dataclass
class Source:
    """A policy to write, and where the scenario has it. `problems` collects what the program cannot say."""

    program: str
    form: Form
    index: int
    tick_s: float
    document: Document
    problems: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the policy, as services are called."""
        return self.form.name.lower().replace("_", "-")

    def cannot(self, path: str, what: str) -> None:
        """Say that the program cannot say what stands at a path of the policy."""
        place = f"policies[{self.index}]" + (f".{path}" if path else "")
        self.problems.append(self.document.place(Problem(f"{self.program} cannot say {what}", place)))

    def every_s(self, check: Check) -> float:
        """Seconds from one look of a check to the next."""
        return check.every or self.tick_s

    def only(self, path: str, part: Any, keys: set[str]) -> None:
        """Refuse every setting of a part that is not one of these keys and is not its default."""
        for name, info in type(part).model_fields.items():
            value = getattr(part, name)
            if name not in keys and value != info.get_default(call_default_factory=True):
                self.cannot(f"{path}.{name}" if path else name, f"`{name}`")


@dataclass(frozen=True)
class Ramped:
    """A policy that a program may have: one ramp with its checks. Paths lead to the parts in the policy."""

    steps: tuple[Step, ...]
    checks: tuple[Any, ...]
    on_good_look: bool
    reaction: Reactions
    steps_path: str
    checks_path: str
    reaction_path: str


Exporter = Callable[[Source, "Ramped"], str]
"""Writes a policy; adds to the problems of the source what cannot be said."""


def ramped(source: Source) -> Ramped | None:
    """The ramp of a policy and its checks; None, with a problem, for a policy that is another thing."""
    form = source.form
    if isinstance(form, Canary):
        source.only("", form, {"name", "kind", "steps", "ramp", "advance", "checks", "reaction"})
        good = form.advance == "on_good_look"
        reaction = form.reaction or Reactions()
        return Ramped(form.each_step(), form.checks, good, reaction, "steps", "checks", "reaction")
    stage = form.stages[0] if isinstance(form, Chain) and len(form.stages) == 1 else None
    if isinstance(stage, Stage) and isinstance(stage.allocation, Ramp) and isinstance(stage.evidence, Survive):
        source.only("stages[0]", stage, {"name", "allocation", "evidence", "checks", "reaction"})
        source.only("stages[0].evidence", stage.evidence, {"kind"})
        route = stage.allocation
        good = route.advance == "on_good_look"
        paths = ("stages[0].allocation.steps", "stages[0].checks", "stages[0].reaction")
        return Ramped(route.each_step(), stage.checks, good, stage.reaction or Reactions(), *paths)
    what = f"a policy of {len(form.stages)} stages" if isinstance(form, Chain) else f"a policy of the kind {form.kind}"
    source.cannot("kind", f"{what}: it has one ramp with its checks")
    return None


def programs() -> dict[str, Exporter]:
    """The programs that policies are written for, by name."""
    from sim.interop.argo import export as argo
    from sim.interop.flagger import export as flagger
    from sim.interop.sagemaker import export as sagemaker

    return {"argo": argo.write, "flagger": flagger.write, "sagemaker": sagemaker.write}


def export_policy(scenario: Path, policy: str, program: str) -> str:
    """The manifest of a policy of a scenario file.

    Raises `InputError` for a policy that is not there, and, at its line, for everything that the program cannot say.
    """
    read_scenario, document = read(scenario)
    names = [form.name for form in read_scenario.policies]
    if policy not in names:
        hint = did_you_mean(policy, names) or there_are(names)
        raise InputError([Problem(f"no policy {shown(policy)}; {hint}", "--policy")])
    index = names.index(policy)
    source = Source(program, read_scenario.policies[index], index, read_scenario.tick, document)
    text = _chain(source, read_scenario.policies) if program == "argo" else None
    if text is None:
        found = ramped(source)
        text = programs()[program](source, found) if found is not None else ""
    problems = sorted(source.problems, key=lambda problem: (problem.line, problem.column))
    if problems:
        raise InputError(problems)
    return text


def _chain(source: Source, policies: Sequence[Form]) -> str | None:
    """The manifest of a shadow, or of a chain of several stages, for Argo; None for another policy."""
    from sim.interop.argo.chain import write_chain

    form = source.form
    if not isinstance(form, Chain | Shadow):
        return None
    placed = form.placed({each.name: each for each in policies}, {form.name})
    if len(placed) == 1 and isinstance(placed[0].stage.allocation, Ramp):
        return None
    return write_chain(source, placed)


def whole_percents(source: Source, found: Ramped, most: int = 100) -> list[int]:
    """The weights of the steps as whole numbers of `most`; with a problem for each that is none."""
    weights = []
    for index, step in enumerate(found.steps):
        weights.append(whole_of(source, f"{found.steps_path}[{index}].weight", step.weight, most))
    return weights


def whole_of(source: Source, path: str, share: float, most: int) -> int:
    """A share as a whole number of `most`; with a problem for one that is none."""
    weight = round(share * most)
    if weight / most != share:
        source.cannot(path, f"a weight of {100 * share:.6g}%: whole numbers only")
    return weight


def seconds_of(source: Source, path: str, seconds: float) -> str:
    """A duration in seconds, as Go reads it; with a problem for one that is no whole number of seconds."""
    if not float(seconds).is_integer():
        source.cannot(path, f"{format_duration(seconds)}: whole seconds only")
    return f"{round(seconds)}s"


def window_of(source: Source, path: str, check: Check) -> str:
    """How far back a look of a check sees, in seconds as Go and Prometheus read it."""
    every_s = source.every_s(check)
    if check.over == "stage":
        source.cannot(f"{path}.over", "`over: stage`: a query has a window")
        return "1s"
    if check.over == "interval" and check.start not in (None, every_s):
        source.cannot(f"{path}.over", "`over: interval` with a `start` of its own: the first look would see another time")
    seconds = every_s if check.over == "interval" else float(check.over)
    return seconds_of(source, f"{path}.over", seconds)


def dump(*documents: Any) -> str:
    """The text of YAML documents."""
    import yaml

    written = [yaml.safe_dump(each, sort_keys=False, width=1000, allow_unicode=True) for each in documents]
    return "---\n".join(written)
