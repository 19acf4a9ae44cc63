"""What is assessed: a policy of manifests or of a scenario, in a world in which one version is worse by a given amount."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sim import workflow
from sim.assess.question import Worse
from sim.errors import InputError, Problem
from sim.interop.importing import problems_of, read_texts
from sim.interop.policy import tick_of
from sim.interop.read import Plan, Read
from sim.interop.writing import Facts, checks_of, has_baseline, length_s
from sim.run.plan import PlannedPoint
from sim.scenario.loading import parse_value, read_yaml
from sim.scenario.put import Change
from sim.scenario.reading import read as read_scenario
from sim.scenario.schema import Scenario
from sim.spelling import did_you_mean, there_are
from sim.units import format_duration, format_effect, format_rate, parse_rate, parse_share, shown

_TIMES = ("latency", "mean_latency")
# A run is as long as the rollout, and so much longer: for looks that fail and hold it back.
_LONGER = 1.25
_MOST_TICKS = 200_000


@dataclass(frozen=True)
class Rollout(ABC):
    """A policy, and the texts of the files that it stands in, by file."""

    name: str
    texts: Mapping[str, str]

    @property
    @abstractmethod
    def policy(self) -> dict[str, Any]:
        """The policy as a scenario writes it."""

    @property
    @abstractmethod
    def rate_per_s(self) -> float | None:
        """The rate of its own traffic; None of a trace."""

    @property
    @abstractmethod
    def champion_errors(self) -> float:
        """The share of the champion's requests that fail."""

    @abstractmethod
    def point(self, worse: Worse, rate_per_s: float | None, replications: int, seed: int) -> PlannedPoint:
        """The world with such a version, at a rate (None: its own), planned. Raises `InputError`."""

    @abstractmethod
    def edited(self, texts: Mapping[str, str]) -> Rollout:
        """The same of other texts. Raises `InputError` where they cannot be played."""

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        """The checks that can end the rollout."""
        return [check for check in checks_of(self.policy) if not check.get("report_only")]

    @property
    def timed(self) -> bool:
        """Whether a check reads times."""
        return any(check.get("metric") in _TIMES for check in self.checks)

    @property
    def bad_are(self) -> str:
        """Which requests count as bad answers."""
        return "requests that failed or were too slow" if self.timed else "requests that failed"


@dataclass(frozen=True)
class FromManifests(Rollout):
    """A rollout of manifests: their texts by file, what their measures are bound to, and what they do not say."""

    facts: Facts
    bindings: Path | None = None

    @cached_property
    def _read(self) -> tuple[Read, Plan]:
        read = read_texts(self.texts, self.bindings, self.facts)
        if problems := read.problems():
            raise InputError(problems)
        return read, plan_named(read, self.name)

    @cached_property
    def tick_s(self) -> float:
        """The control interval: every duration of the manifests is a whole number of it."""
        return tick_of(self._read[1].times)

    @cached_property
    def policy(self) -> dict[str, Any]:
        read, plan = self._read
        form = plan.form(self.tick_s, parse_value(self.facts.approval, "--approval"))
        if problems := read.problems():
            # Found as the policy was laid out.
            raise InputError(problems)
        return form

    @property
    def rate_per_s(self) -> float | None:
        return parse_rate(self.facts.rate)

    @property
    def champion_errors(self) -> float:
        return parse_share(self.facts.error_rate)

    def point(self, worse: Worse, rate_per_s: float | None, replications: int, seed: int) -> PlannedPoint:
        latency = {"lognormal": {"median": self.facts.p50, "p99": self.facts.p99}}
        champion = {"outcomes": {"answered": {"bernoulli": 1.0}}, "latency": latency, "error_rate": self.champion_errors}
        baseline = (
            [{"arm": "baseline", "uri": "models:/rollout@champion", "role": "baseline"}] if has_baseline(self.policy) else []
        )
        scenario = {
            "name": "assess", "seed": seed, "replications": replications, "aa": False, "sensitivity": "off",
            "horizon": self._horizon(), "tick": format_duration(self.tick_s),
            "traffic": {"rate": self.facts.rate if rate_per_s is None else format_rate(rate_per_s)},
            "models": [{"arm": arm, "uri": f"models:/rollout@{arm}"} for arm in ("champion", "release")] + baseline,
            "metrics": [
                {"name": "answered", "role": "primary"},
                # What counts as too slow: what the slowest one in a hundred of the champion's answers take.
                {"name": "latency", "role": "guardrail", "quantile": "99%", "max": self.facts.p99},
            ],
            "truth": truth_of("release", worse), "policies": [self.policy],
        }  # fmt: skip
        release = champion | {"error_rate": self.champion_errors + worse.errors}
        try:
            return workflow.plan_scenario(scenario, [champion, release, champion][: 2 + len(baseline)]).points[0]
        except InputError as error:
            raise InputError(problems_of(error, self._read[0])) from None

    def edited(self, texts: Mapping[str, str]) -> FromManifests:
        return replace(self, texts=texts)

    def _horizon(self) -> str:
        ticks = max(2, round(_LONGER * length_s(self.policy) / self.tick_s) + 2)
        if ticks > _MOST_TICKS:
            message = f"takes {ticks:,} ticks of {format_duration(self.tick_s)}; at most {_MOST_TICKS:,} are played"
            raise InputError([self._read[1].account.object.problem((), message)])
        return format_duration(ticks * self.tick_s)


@dataclass(frozen=True)
class FromScenario(Rollout):
    """A policy of a scenario: its file, and how the champion behaves; so does the other arm, but for what is worse."""

    file: Path
    champion: Mapping[str, Any]

    @cached_property
    def _scenario(self) -> Scenario:
        return read_scenario(self._text)[0]

    @property
    def _text(self) -> str:
        return self.texts[str(self.file)]

    @cached_property
    def policy(self) -> dict[str, Any]:
        names = [form.name for form in self._scenario.policies]
        return dict(self._scenario.dump()["policies"][names.index(self.name)])

    @property
    def rate_per_s(self) -> float | None:
        return self._scenario.traffic.rate

    @property
    def champion_errors(self) -> float:
        return parse_share(self.champion.get("error_rate", 0.0))

    def point(self, worse: Worse, rate_per_s: float | None, replications: int, seed: int) -> PlannedPoint:
        put = {
            "truth": truth_of(self._scenario.arms[1], worse), "replications": replications, "seed": seed, "aa": False,
            "sensitivity": "off", "thresholds": {}, "require": {}, "data": None,
        }  # fmt: skip
        if rate_per_s is not None:
            put["traffic"] = {"rate": format_rate(rate_per_s)}
        elif self._scenario.traffic.trace is not None:
            # A text has no folder of its own.
            put["traffic.trace.file"] = str((self.file.parent / self._scenario.traffic.trace.file).resolve())
        release = {**self.champion, "error_rate": self.champion_errors + worse.errors}
        changes = [Change(path, value) for path, value in put.items()]
        return workflow.plan_scenario(self._text, [self.champion, release], changes=changes).points[0]

    def edited(self, texts: Mapping[str, str]) -> FromScenario:
        return replace(self, texts=texts)


def truth_of(arm: str, worse: Worse) -> dict[str, Any]:
    """What is true of the challenger beside its error rate."""
    return {arm: {"latency": {"relative_effect": format_effect(worse.slower)}}} if worse.slower else {}


def plan_named(read: Read, name: str) -> Plan:
    """The rollout of a name. Raises `InputError` where there is none."""
    names = [plan.name for plan in read.plans]
    if name in names:
        return read.plans[names.index(name)]
    raise InputError([Problem(f"no rollout {shown(name)}; {did_you_mean(name, names) or there_are(names)}", "--policy")])


def of_manifests(texts: Mapping[str, str], facts: Facts, bindings: Path | None, policy: str | None) -> FromManifests:
    """The rollout of manifests. Where they have several, `policy` names one. Raises `InputError`."""
    read = read_texts(texts, bindings, facts)
    names = [plan.name for plan in read.plans]
    if policy is None and len(names) > 1:
        raise InputError([Problem(f"is required: the manifests have several rollouts; {there_are(names)}", "--policy")])
    found = FromManifests(policy or names[0], texts, facts, bindings)
    found.policy  # noqa: B018  what cannot be carried is told now
    return found


def of_scenario(
    file: Path, policy: str | None, *, tracking_uri: str | None = None, registry_uri: str | None = None
) -> FromScenario:
    """A policy of a scenario file. Raises `InputError` for a scenario that sweeps, has more arms, or replays real versions."""
    scenario, document = read_scenario(file)
    names = [form.name for form in scenario.policies]
    problems = []
    if scenario.sweep:
        problems.append(document.place(Problem("a scenario that sweeps has no one answer; leave the sweep out", "sweep")))
    if len(scenario.arms) != 2:
        message = f"a champion and one challenger are needed; got {len(scenario.arms)} arms"
        problems.append(document.place(Problem(message, "models")))
    if policy is None and len(names) > 1:
        problems.append(Problem(f"is required: the scenario has several policies; {there_are(names)}", "--policy"))
    elif policy is not None and policy not in names:
        problems.append(Problem(f"no policy {shown(policy)}; {did_you_mean(policy, names) or there_are(names)}", "--policy"))
    if problems:
        raise InputError(problems)
    point = workflow.plan_scenario(file, tracking_uri=tracking_uri, registry_uri=registry_uri).points[0]
    champion = point.versions[0]
    if champion.kind != "behaviour":
        message = "the champion is a real version, which is replayed; a behaviour model says how it fails and answers"
        raise InputError([document.place(Problem(message, "models[0].uri"))])
    return FromScenario(policy or names[0], {str(file): document.text}, file, champion.behaviour.to_dict())


def is_scenario(file: Path) -> bool:
    """Whether a file is a scenario, and no manifest: it has policies. One that cannot be read is none; its reader says why."""
    try:
        document = read_yaml(file)
    except InputError:
        return False
    return "policies" in document.data and "kind" not in document.data
