"""The policies that are evaluated on a log: allocations of a file of their own, or policies of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sim.errors import InputError, Problem
from sim.policy.allocation import AnyAllocation
from sim.policy.base import Evidence, Finding, Setting, View
from sim.policy.columns import Column, Count, Moment
from sim.policy.forms import Name
from sim.policy.machine import StagedPolicy
from sim.policy.stages import On, Stage
from sim.scenario.loading import load
from sim.scenario.reading import read as read_scenario
from sim.spelling import did_you_mean, there_are

REWARD = "reward"
_MOST_ARMS = 100


class Allocated(BaseModel):
    """An allocation that holds for the whole log, and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="what the table calls it")
    allocation: AnyAllocation = Field(description="how traffic is split, as in a stage of a scenario")


class PoliciesFile(BaseModel):
    """What `sim replay --policies` reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arms: tuple[str, ...] = Field(min_length=2, max_length=_MOST_ARMS, description="as the log writes them, the champion first")
    policies: tuple[Allocated, ...] = Field(min_length=1, max_length=50, description="in the order of the table")


class Endless(Evidence):
    """Decides nothing: what is evaluated is the allocation, for as long as the log lasts."""

    declares: ClassVar[bool] = False

    kind: Literal["endless"] = "endless"

    def judge(self, view: View) -> NDArray[np.int8]:
        return np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)


@dataclass(frozen=True)
class Candidate:
    """A policy to evaluate. `build` makes the machine that would roll it out; `stages` are its stages, `where` its place.

    `lasting`: its only stage never ends, so that its allocation holds for the whole log.
    """

    name: str
    build: Callable[[], StagedPolicy]
    where: Problem
    lasting: bool

    def problems(self, setting: Setting) -> list[Problem]:
        """Why it cannot be replayed on a log, in this setting."""
        policy = self.build()
        found = [
            (f"{key}", message) for stage in policy.stages for key, message in stage.problems(setting)
        ]  # fmt: skip
        if not found:
            found = [(stage.name, message) for stage in policy.stages for message in _unlogged(stage)]
            known = {str(column) for column in shown_by_logs(setting)}
            lacking = [] if found else [each for each in policy.needs(setting) if str(each) not in known]
            if lacking:
                names = ", ".join(str(column) for column in lacking[:3])
                found.append(("", f"reads {names}, which a log of rewards does not have"))
        start = self.where.path
        return [
            Problem(message, f"{start}.{key}".strip("."), self.where.file, self.where.line, self.where.column)
            for key, message in found
        ]


def shown_by_logs(setting: Setting) -> tuple[Column, ...]:
    """The columns of telemetry that a log can fill."""
    moments = (Moment(setting.primary, "count"), Moment(setting.primary, "sum"), Moment(setting.primary, "square"))
    return (*moments, Count("requests"), Count("responses"))


def _unlogged(stage: Stage) -> list[str]:
    """What a stage needs beside rewards."""
    found = []
    if stage.allocation.mirrors:
        found.append("copies requests to challengers, and a log has one answer for each request")
    if stage.reaction is not None:
        found.append("waits for a reaction, whose length a log does not tell")
    if stage.evidence.before_traffic:
        found.append("decides by scores on labelled data, which a log does not have")
    return found


@dataclass(frozen=True)
class Candidates:
    """The policies to evaluate, the arms they are of (the champion first), and what more reward is worth: +1, or -1 if harm.

    `primary` is the name of the reward in the policies; `tick_s` is the scenario's, None without one.
    """

    arms: tuple[str, ...]
    each: tuple[Candidate, ...]
    primary: str = REWARD
    sign: int = 1
    tick_s: float | None = None


def of_file(file: Path, names: Sequence[str] = ()) -> Candidates:
    """The policies of a file of allocations: all of them, or those named, in that order. Raises `InputError`."""
    read = load(file, PoliciesFile, check=_twice)
    by_name = {policy.name: (index, policy) for index, policy in enumerate(read.policies)}
    each = []
    for name in _chosen(names, list(by_name)):
        index, policy = by_name[name]
        on, checks, evidence = On.model_validate({}), (), Endless()
        stage = Stage.model_construct(
            name=name, allocation=policy.allocation, evidence=evidence, checks=checks, max_duration=None, on=on, reaction=None
        )
        each.append(Candidate(name, _builder(stage), Problem("", f"policies[{index}]", str(file)), True))
    return Candidates(read.arms, tuple(each))


def of_scenario(file: Path, names: Sequence[str] = ()) -> Candidates:
    """The policies of a scenario, with the arms and the primary metric of the scenario. Raises `InputError`."""
    scenario, _ = read_scenario(file)
    others = {policy.name: policy for policy in scenario.policies}
    each = tuple(
        Candidate(
            name, lambda form=others[name]: form.build(others, scenario.arms),  # type: ignore[misc]
            Problem("", f"policies.{name}", str(file)), False,
        )
        for name in _chosen(names, list(others))
    )  # fmt: skip
    primary = next((metric for metric in scenario.metrics if metric.role == "primary"), None)
    if primary is None:
        raise InputError([Problem("needs a primary metric, which is the log's reward", "metrics", str(file))])
    return Candidates(scenario.arms, each, primary.name, 1 if primary.direction == "increase" else -1, scenario.tick)


def _builder(stage: Stage) -> Callable[[], StagedPolicy]:
    return lambda: StagedPolicy((stage,))


def _twice(read: PoliciesFile) -> list[Problem]:
    problems = []
    for key, names in (("arms", list(read.arms)), ("policies", [policy.name for policy in read.policies])):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problems.append(Problem(f"has {twice[0]!r} more than once", key))
    return problems


def _chosen(names: Sequence[str], known: Sequence[str]) -> list[str]:
    problems = [
        Problem(f"no policy {name!r}; {did_you_mean(name, known) or there_are(known)}", "--policy")
        for name in names
        if name not in known
    ]
    problems += [
        Problem(f"is given twice: {name!r}", "--policy") for name in sorted({n for n in names if list(names).count(n) > 1})
    ]
    if problems:
        raise InputError(problems)
    return list(names) or list(known)
