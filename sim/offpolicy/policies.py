"""The policies that are evaluated on a log: allocations of a file of their own, or policies of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Floats
from sim.errors import InputError, Problem, format_path
from sim.offpolicy.log import Log
from sim.offpolicy.models import best_arm
from sim.policy.allocation import AnyAllocation
from sim.policy.base import Evidence, Finding, View
from sim.policy.columns import Column, Count, Moment
from sim.policy.forms import Name
from sim.policy.machine import StagedPolicy
from sim.policy.setting import Setting
from sim.policy.stages import On, Stage
from sim.scenario.loading import load
from sim.scenario.reading import read as read_scenario
from sim.spelling import did_you_mean, there_are
from sim.units import Share, shown

REWARD = "reward"
_MOST_ARMS = 100


Weights = Annotated[tuple[Share, ...], Field(min_length=2, max_length=_MOST_ARMS)]


class Allocated(BaseModel):
    """A policy that holds for the whole log, and its name: an allocation, a choice by a column, or the best by a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="what the table calls it")
    allocation: AnyAllocation | None = Field(None, description="how traffic is split, as in a stage of a scenario")
    by: str | None = Field(None, min_length=1, description="the column of the log that `choose` chooses by")
    choose: dict[str, str | Weights] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="by value of the column, the arm that serves, or the weights of all arms",
    )
    otherwise: str | Weights | None = Field(None, description="the same of all other values, and of rows without one")
    greedy: Share | None = Field(
        None, gt=0, le=1,
        description="the share of each row that goes to the arm of which the model expects most; all arms get the rest evenly",
    )  # fmt: skip

    @model_validator(mode="after")
    def _one(self) -> Allocated:
        given = [name for name in ("allocation", "choose", "greedy") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs one of allocation, choose and greedy, got {' and '.join(given) or 'none'}")
        if (self.by is None) != (self.choose is None):
            raise ValueError("by is the column that choose chooses by: give both or neither")
        if self.otherwise is not None and self.choose is None:
            raise ValueError("otherwise belongs to choose")
        return self


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


@dataclass(frozen=True)
class ByContext:
    """A policy whose weights depend on what is known of a row. `shares` gives them, (N, K), of a log and its model (N, K).

    `unfit` says why a log cannot tell them. It adapts to nothing: the weights of a row are fixed before the log is played.
    """

    name: str
    where: Problem
    shares: Callable[[Log, Floats], Floats]
    unfit: Callable[[Log], Sequence[str]] = lambda log: ()

    def problems(self, log: Log) -> list[Problem]:
        """Why it cannot be evaluated on a log."""
        return [replace(self.where, message=message) for message in self.unfit(log)]


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
    each: tuple[Candidate | ByContext, ...]
    primary: str = REWARD
    sign: int = 1
    tick_s: float | None = None
    columns: tuple[str, ...] = ()
    """The columns of the log that policies choose by."""


def of_file(file: Path, names: Sequence[str] = ()) -> Candidates:
    """The policies of a file of allocations: all of them, or those named, in that order. Raises `InputError`."""
    read = load(file, PoliciesFile, check=_wrong)
    by_name = {policy.name: (index, policy) for index, policy in enumerate(read.policies)}
    each: list[Candidate | ByContext] = []
    chosen = _chosen(names, list(by_name))
    for name in chosen:
        index, policy = by_name[name]
        where = Problem("", f"policies[{index}]", str(file))
        if policy.allocation is None:
            each.append(_by_context(policy, read.arms, where))
            continue
        on, checks, evidence = On.model_validate({}), (), Endless()
        stage = Stage.model_construct(
            name=name, allocation=policy.allocation, evidence=evidence, checks=checks, max_duration=None, on=on, reaction=None
        )
        each.append(Candidate(name, _builder(stage), where, True))
    columns = dict.fromkeys(by for name in chosen if (by := by_name[name][1].by) is not None)
    return Candidates(read.arms, tuple(each), columns=tuple(columns))


def _by_context(policy: Allocated, arms: Sequence[str], where: Problem) -> ByContext:
    if policy.greedy is not None:
        rest = (1 - policy.greedy) / len(arms)
        main = policy.greedy
        return ByContext(policy.name, where, lambda log, model: rest + main * np.eye(len(arms))[best_arm(model)])
    by, choose, otherwise = policy.by or "", policy.choose or {}, policy.otherwise

    def unfit(log: Log) -> list[str]:
        classes = log.classes[by]
        absent = [value for value in choose if value not in classes.labels]
        found = [
            f"no row has {by} {shown(each)}; {did_you_mean(each, classes.labels) or there_are(classes.labels)}"
            for each in absent
        ]
        left = [f"{by} {shown(label)}" for label in classes.labels if label not in choose]
        left += [f"no {by}"] if (classes.codes < 0).any() else []
        if left and otherwise is None:
            more = f", and {len(left) - 1:,} more values" if len(left) > 1 else ""
            found.append(f"says nothing of rows with {left[0]}{more}: add `otherwise`")
        return found

    def shares(log: Log, model: Floats) -> Floats:
        classes = log.classes[by]
        # The last is that of rows without a value, as -1 is the last place.
        rows = [choose.get(label, otherwise) for label in classes.labels] + [otherwise]
        table = np.stack([_weights(row, arms) if row is not None else np.zeros(len(arms)) for row in rows])
        weights: Floats = table[classes.codes]
        return weights

    return ByContext(policy.name, where, shares, unfit)


def _weights(of: str | Sequence[float], arms: Sequence[str]) -> Floats:
    return np.eye(len(arms))[arms.index(of)] if isinstance(of, str) else np.array(of)


def _wrong_weights(of: str | Sequence[float], arms: Sequence[str]) -> str:
    """What is wrong with an arm or weights; empty if nothing is."""
    if isinstance(of, str):
        return "" if of in arms else f"no arm {shown(of)}; {did_you_mean(of, arms) or there_are(arms)}"
    if len(of) != len(arms):
        return f"must be a weight for each of {len(arms)} arms, got {len(of)}"
    return "" if abs(sum(of) - 1) < 1e-9 else f"weights must add up to 100%, got {100 * sum(of):g}%"


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


def _wrong(read: PoliciesFile) -> list[Problem]:
    problems = []
    for key, names in (("arms", list(read.arms)), ("policies", [policy.name for policy in read.policies])):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problems.append(Problem(f"has {twice[0]!r} more than once", key))
    for index, policy in enumerate(read.policies):
        parts: list[tuple[tuple[str, ...], str | tuple[float, ...]]] = [
            (("choose", value), of) for value, of in (policy.choose or {}).items()
        ]
        parts += [(("otherwise",), policy.otherwise)] if policy.otherwise is not None else []
        problems += [
            Problem(message, format_path(("policies", index, *key)))
            for key, of in parts
            if (message := _wrong_weights(of, read.arms))
        ]
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
