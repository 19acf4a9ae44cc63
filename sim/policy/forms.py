"""The models of a scenario's `policies`: short forms that expand to stages, and chains of stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from sim.policy.allocation import AnyAllocation, ChampionOnly, Fixed, Mirror, Ramp, Schedule, Thompson
from sim.policy.base import Allocation, Evidence, Verdict
from sim.policy.evidence import AnyEvidence, OfflineScores, Posterior, Survive
from sim.policy.guardrails import AnyGuardrail
from sim.policy.inference.bounded import reached
from sim.policy.machine import StagedPolicy
from sim.policy.offline import Method
from sim.policy.pending import Reactions
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.stages import OF_CHAIN, On, Stage, chain_problems
from sim.spelling import there_are
from sim.units import Duration, Effect, Share

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME, description="letters, digits, _ and -")]


def _on() -> On:
    return On.model_validate({})


def _setting_of(part: type[BaseModel], name: str) -> Any:
    """A setting of a part that a form has as its own: the same rules, default and description."""
    return part.model_fields[name]


@dataclass(frozen=True)
class Placed:
    """A stage of a policy, and where the scenario file writes it.

    path: of the stage, or of the name that stands for it, in the policy. here: False where the policy only names the policy
    that defines the stage. form: the short form that the stage is written in, None where it is written out.
    """

    stage: Stage
    path: str
    here: bool
    form: Form | None

    def place(self, key: str) -> str:
        """The path of a key of the stage. Where the stage belongs to another policy, the path of the name of that policy."""
        if not self.here:
            return self.path
        return f"{self.path}.{self.form.place(key) if self.form else key}".strip(".")


class Form(BaseModel):
    """A policy as a file writes it. It expands to stages, or, without any, has a verdict at once.

    `places` maps a key of the stage to the key of the form that says it. `has_stages`: other policies may take stages from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    places: ClassVar[Mapping[str, str]] = {}
    has_stages: ClassVar[bool] = True

    name: Name = Field(description="what the tables, the report and other policies call it")
    kind: str

    def own_stages(self) -> tuple[Stage, ...]:
        """The stages that this form defines itself, without those of other policies."""
        return ()

    def placed(self, others: Mapping[str, Form], taken: set[str]) -> list[Placed]:
        """All stages of the policy in order, with those of the policies that it names.

        Skips a named policy that is already in `taken`, and adds the others to it. `own_problems` refuses repeated names;
        expanding them would double the number of stages at every level of a chain.
        """
        return [Placed(stage, "", True, self) for stage in self.own_stages()]

    def names(self) -> tuple[str, ...]:
        """The names of the other policies whose stages this policy takes, in order."""
        return ()

    def verdict_at_once(self, arms: tuple[str, ...]) -> tuple[Verdict, str] | None:
        """The verdict of a policy without stages, and the arm that serves users from then on. None for a policy with stages."""
        return None

    def own_problems(self, others: Mapping[str, Form], setting: DeclaredSetting) -> list[tuple[str, str]]:
        """Problems of the form itself, without those of its stages: (key, message) pairs."""
        return []

    def told(self, others: Mapping[str, Form], setting: Setting) -> tuple[str, ...]:
        """What the policy does, in plain words with its settings: a text a stage, which begins with its name if several."""
        stages = expand(self, others)
        after = [*(stage.name for stage in stages[1:]), None]
        texts = [stage.told(setting, following) for stage, following in zip(stages, after, strict=True)]
        if len(texts) == 1:
            return tuple(texts)
        return tuple(f"{stage.name}: {text}" for stage, text in zip(stages, texts, strict=True))

    def build(self, others: Mapping[str, Form], arms: tuple[str, ...]) -> StagedPolicy:
        """The `StagedPolicy` that runs this policy."""
        return StagedPolicy(expand(self, others), self.verdict_at_once(arms))

    def place(self, key: str) -> str:
        """The key of this form that sets a key of its stage, such as `split` for `allocation.weights`."""
        for of_stage, of_form in self.places.items():
            if key.startswith(of_stage):
                return of_form + key[len(of_stage) :]
        return key


class Switch(Form):
    """Ship at once: the baseline that risks most."""

    has_stages: ClassVar[bool] = False

    kind: Literal["switch"] = "switch"
    arm: str | None = Field(None, description="the challenger to ship; the first if left out")

    def verdict_at_once(self, arms: tuple[str, ...]) -> tuple[Verdict, str]:
        return Verdict.SHIP, self.arm or arms[1]

    def told(self, others: Mapping[str, Form], setting: Setting) -> tuple[str, ...]:
        return (f"Ships {self.arm or setting.arms[1]} to all users at once, without a look.",)

    def own_problems(self, others: Mapping[str, Form], setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.arm is None or self.arm in setting.arms[1:]:
            return []
        return [("arm", f"no challenger {self.arm!r}; {there_are(setting.arms[1:])}")]


class Hold(Form):
    """Never ship: the baseline that gains nothing."""

    has_stages: ClassVar[bool] = False

    kind: Literal["hold"] = "hold"

    def told(self, others: Mapping[str, Form], setting: Setting) -> tuple[str, ...]:
        return ("Keeps the champion, and never tries a challenger.",)

    def verdict_at_once(self, arms: tuple[str, ...]) -> tuple[Verdict, str]:
        return Verdict.KEEP, arms[0]


class AB(Form):
    """An A/B test: one stage at fixed weights with a test."""

    places: ClassVar[Mapping[str, str]] = {"allocation.weights": "split"}

    kind: Literal["ab"] = "ab"
    split: tuple[Share, ...] | None = Field(None, description="one share an arm, summing to 100%; even if left out")
    evidence: AnyEvidence = Field(description="how the test decides")
    checks: tuple[AnyGuardrail, ...] = Field((), description="guardrails")
    max_duration: Duration | None = Field(None, description="inconclusive after this; the horizon if left out")
    on: On = Field(default_factory=_on)
    reaction: Reactions | None = Field(None, description="how long it takes until what follows is done; at once if left out")

    def own_stages(self) -> tuple[Stage, ...]:
        return (_stage(self, Fixed(weights=self.split), self.evidence),)


class Bandit(Form):
    """A bandit: one stage whose weights follow the evidence."""

    kind: Literal["bandit"] = "bandit"
    allocation: AnyAllocation = Field(default_factory=Thompson, description="how weights follow what was seen")
    evidence: AnyEvidence = Field(default_factory=lambda: Posterior.model_validate({}), description="how the bandit stops")
    checks: tuple[AnyGuardrail, ...] = Field((), description="guardrails")
    max_duration: Duration | None = Field(None, description="inconclusive after this; the horizon if left out")
    on: On = Field(default_factory=_on)
    reaction: Reactions | None = Field(None, description="how long it takes until what follows is done; at once if left out")

    def own_stages(self) -> tuple[Stage, ...]:
        return (_stage(self, self.allocation, self.evidence),)


class Canary(Schedule, Form):
    """A canary: one stage, a ramp that must be survived under checks, whose counters span the steps."""

    places: ClassVar[Mapping[str, str]] = {f"allocation.{key}": key for key in ("steps", "ramp", "advance", "baseline")}

    kind: Literal["canary"] = "canary"
    checks: tuple[AnyGuardrail, ...] = Field(min_length=1, description="what the canary must survive")
    max_duration: Duration | None = Field(None, description="inconclusive after this; the ramp's length decides before")
    on: On = Field(default_factory=_on)
    reaction: Reactions | None = Field(None, description="how long it takes until what follows is done; at once if left out")

    def own_stages(self) -> tuple[Stage, ...]:
        ramp = Ramp(steps=self.steps, ramp=self.ramp, advance=self.advance, baseline=self.baseline)
        return (_stage(self, ramp, Survive.model_validate({})),)


class Shadow(Form):
    """A shadow: users get the champion's answers; challengers get copies, judged on errors, latency and agreement."""

    places: ClassVar[Mapping[str, str]] = {
        "allocation.fraction": "mirror", "allocation.writes_filtered": "writes_filtered", "evidence.duration": "duration",
    }  # fmt: skip

    kind: Literal["shadow"] = "shadow"
    mirror: Share = Field(1.0, gt=0, description="share of live requests that is copied")
    writes_filtered: Share = _setting_of(Mirror, "writes_filtered")
    duration: Duration = Field(description="how long the challengers must hold")
    checks: tuple[AnyGuardrail, ...] = Field(min_length=1, description="what the challengers must hold")
    max_duration: Duration | None = Field(None, description="inconclusive after this; `duration` decides before")
    on: On = Field(default_factory=_on)
    reaction: Reactions | None = Field(None, description="how long it takes until what follows is done; at once if left out")

    def own_stages(self) -> tuple[Stage, ...]:
        return (
            _stage(self, Mirror(fraction=self.mirror, writes_filtered=self.writes_filtered), Survive(duration=self.duration)),
        )


class Offline(Form):
    """An offline evaluation: one stage that decides by scores on labelled data alone, before any traffic."""

    places: ClassVar[Mapping[str, str]] = {"evidence.": ""}

    kind: Literal["offline"] = "offline"
    metric: str | None = _setting_of(OfflineScores, "metric")
    min_gain: Effect = _setting_of(OfflineScores, "min_gain")
    rows: int | None = _setting_of(OfflineScores, "rows")
    method: Method = _setting_of(OfflineScores, "method")
    folds: int | None = _setting_of(OfflineScores, "folds")
    takes: Duration | None = _setting_of(OfflineScores, "takes")
    on: On = Field(default_factory=_on)

    def own_stages(self) -> tuple[Stage, ...]:
        evidence = OfflineScores.model_construct(
            kind="offline", metric=self.metric, min_gain=self.min_gain, rows=self.rows, method=self.method, folds=self.folds,
            takes=self.takes,
        )  # fmt: skip
        return (Stage(name=self.name, allocation=ChampionOnly(), evidence=evidence, on=self.on),)


def _stage(form: AB | Bandit | Canary | Shadow, allocation: Allocation, evidence: Evidence) -> Stage:
    return Stage(
        name=form.name,
        allocation=allocation,
        evidence=evidence,
        checks=form.checks,
        max_duration=form.max_duration,
        on=form.on,
        reaction=form.reaction,
    )


def _link_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "reference"
    if isinstance(value, Mapping):
        return str(value.get("kind", "stage"))
    return getattr(value, "kind", "stage")


Link = Annotated[
    Annotated[str, Tag("reference")]
    | Annotated[AB, Tag("ab")]
    | Annotated[Bandit, Tag("bandit")]
    | Annotated[Canary, Tag("canary")]
    | Annotated[Shadow, Tag("shadow")]
    | Annotated[Offline, Tag("offline")]
    | Annotated[Stage, Tag("stage")],
    Discriminator(_link_kind),
]


class Chain(Form):
    """Stages one after another: names of other policies, short forms, or stages written out."""

    kind: Literal["stages"] = "stages"
    stages: tuple[Link, ...] = Field(min_length=1, description="names of policies, short forms, or whole stages, in order")

    def placed(self, others: Mapping[str, Form], taken: set[str]) -> list[Placed]:
        stages: list[Placed] = []
        for index, link in enumerate(self.stages):
            path = f"stages[{index}]"
            if isinstance(link, Stage):
                stage = link.model_copy(update={"name": link.name or f"{self.name}-{index + 1}"})
                stages.append(Placed(stage, path, True, None))
            elif not isinstance(link, str):
                stages += [Placed(stage, path, True, link) for stage in link.own_stages()]
            elif link in others and link not in taken:
                taken.add(link)
                stages += [Placed(inner.stage, path, False, None) for inner in others[link].placed(others, taken)]
        return stages

    def names(self) -> tuple[str, ...]:
        return tuple(link for link in self.stages if isinstance(link, str))

    def own_problems(self, others: Mapping[str, Form], setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        earlier: dict[str, None] = {}
        for index, link in enumerate(self.stages):
            if isinstance(link, str):
                problems += [(f"stages[{index}]", message) for message in self._link_problems(link, others, earlier)]
                earlier |= _reached(link, others, {})
        return problems

    def _link_problems(self, link: str, others: Mapping[str, Form], earlier: Mapping[str, None]) -> list[str]:
        if link not in others:
            known = there_are(name for name in others if name != self.name)
            return [f"no policy {link!r} to take stages from; {known}"]
        if not others[link].has_stages:
            return [f"{link!r} is a {others[link].kind}, which has no stages"]
        reached = _reached(link, others, {})
        if self.name in reached:
            return [f"{link!r} leads back to {self.name!r}"]
        again = [name for name in reached if name in earlier and name in others and others[name].has_stages]
        return [f"the stages of {again[0]!r} are there already, and two cannot be called alike"] if again else []


AnyPolicy = Annotated[Switch | Hold | Offline | AB | Bandit | Canary | Shadow | Chain, Field(discriminator="kind")]


def expand(policy: Form, others: Mapping[str, Form]) -> tuple[Stage, ...]:
    """The stages of a policy, with the stages of the policies that a chain names.

    >>> canary = Canary(name="canary", steps=[{"weight": "5%", "bake": "1h"}], checks=[{"metric": "error_rate", "max": "1%"}])
    >>> ab = AB(name="ab", evidence={"kind": "fixed_horizon", "sample": 1000})
    >>> chain = Chain(name="careful", stages=["canary", "ab"])
    >>> [(stage.name, stage.evidence.kind) for stage in expand(chain, {"canary": canary, "ab": ab})]
    [('canary', 'survive'), ('ab', 'fixed_horizon')]
    """
    return tuple(placed.stage for placed in policy.placed(others, {policy.name}))


def registered_problems(policy: Form, others: Mapping[str, Form], setting: Setting) -> list[tuple[str, str]]:
    """Problems that show only with what the models registered: pairs as of `declared_problems`, which must be empty first."""
    stages = policy.placed(others, {policy.name})
    return [
        (placed.place(key), message)
        for placed in stages
        if placed.here
        for key, message in placed.stage.registered_problems(setting)
    ]


def beyond(policy: Form, others: Mapping[str, Form], setting: Setting, least: float, most: float) -> list[tuple[str, str]]:
    """Problems of the bounds that parts take the primary metric to keep, where its outcomes go from `least` to `most`.

    (path within the policy, message) pairs, which `registered_problems` leaves out: a policy knows no arm's outcomes.
    """
    problems = []
    for placed in policy.placed(others, {policy.name}):
        for name, part in placed.stage.named(setting) if placed.here else ():
            low, high = part.bounds(setting) or (-math.inf, math.inf)
            for key, message in reached(setting.primary, low, high, least, most):
                path = f"{name}.{key}" if key in type(part).model_fields else name
                problems.append((placed.place(path), message))
    return problems


def declared_problems(policy: Form, others: Mapping[str, Form], setting: DeclaredSetting) -> list[tuple[str, str]]:
    """Problems of a policy that show in the scenario file alone: (path within the policy, message) pairs."""
    problems = policy.own_problems(others, setting)
    stages = policy.placed(others, {policy.name})
    # Problems of a named policy are reported at that policy. Those of a stage beside others are reported here.
    for placed in stages:
        if placed.here:
            problems += [(placed.place(key), message) for key, message in placed.stage.declared_problems(setting)]
    for index, key, message in chain_problems(tuple(placed.stage for placed in stages)):
        if stages[index].here or key in OF_CHAIN:
            problems.append((stages[index].place(key), message))
    return problems


def _reached(name: str, others: Mapping[str, Form], seen: dict[str, None]) -> dict[str, None]:
    """The name, and all names that it leads to directly or through others, in order."""
    if name not in seen:
        seen[name] = None
        for link in others[name].names() if name in others else ():
            _reached(link, others, seen)
    return seen
