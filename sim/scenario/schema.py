"""A scenario file: the one source of the YAML schema, the JSON Schema, the reference page and the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from sim.distributions.base import single_key
from sim.policy.forms import AnyPolicy, Name
from sim.policy.hours import Hours
from sim.scenario.calibrate import Calibrate
from sim.scenario.capacity import MEASURED, PoolSpec, Retries, Servers
from sim.scenario.cycles import ShocksSpec
from sim.scenario.delays import Delay
from sim.scenario.enough import Enough
from sim.scenario.error_budget import ErrorBudget
from sim.scenario.offline import OfflineRows, OfflineScoring
from sim.scenario.priors import Prior, prior_told
from sim.scenario.search import Search
from sim.scenario.sensitivity import Sensitivity
from sim.scenario.spec import Spec
from sim.scenario.timeline import Event, RouterSpec, TelemetrySpec
from sim.scenario.traffic import Daily, Traffic, Weekly
from sim.scenario.users import SegmentSpec, Users
from sim.scenario.value import Programme, Value
from sim.scenario.warm_up import WarmUp
from sim.units import Duration, Share

CHAMPION = "champion"


class Model(Spec):
    """An arm: a registered model version in its role."""

    arm: Name = Field(description="`champion` for today's production, which comes first; any other name for a challenger")
    uri: str = Field(description="models:/NAME@ALIAS or models:/NAME/VERSION")
    role: Literal["baseline"] | None = Field(
        None,
        description="baseline: the champion's version, deployed anew beside a canary, which checks compare with; it is never "
        "shipped, and comes last",
    )
    warm_up: WarmUp | None = Field(
        None,
        description="how it is while cold: as it is deployed, and its added part as its weight rises; always warm if left out",
    )


class Shift(Spec):
    """How live traffic may differ from the data that models are replayed on."""

    weights: str | None = Field(
        None,
        min_length=1,
        description="column of the data that says how many live requests each row stands for, relative to the others; "
        "every row stands for as many if left out. No model gets it that does not ask for it",
    )
    gap: Prior | None = Field(
        None,
        description="the gap between offline and online: in every replication, what each challenger earns of each metric is "
        "1 + this times what the data say, each drawn on its own",
    )
    offline: OfflineRows | None = Field(
        None, description="which rows offline evaluations have, for policies with an offline stage; all of them if left out"
    )


class Data(Spec):
    """The data set that real model versions are scored on once, and replayed from."""

    sklearn: Literal["digits", "breast_cancer", "iris", "wine"] | None = Field(
        None, description="a set that scikit-learn ships"
    )
    file: str | None = Field(None, description="a CSV or Parquet file, relative to the scenario file")
    target: str = Field("target", description="the column of the right answers")
    holdout: Share = Field(0.4, gt=0, lt=1, description="for sklearn: the share of rows kept from training, and replayed")
    split_seed: int = Field(0, ge=0, description="for sklearn: which rows those are")
    population: Literal["bootstrap", "rows"] = Field(
        "bootstrap",
        description="what requests are drawn from: `bootstrap` gives the rows other weights in every replication, so that what "
        "so few rows cannot tell stays open; `rows` takes these rows for all there is",
    )
    shift: Shift = Field(default_factory=Shift, description="how live traffic may differ from the data")

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if (self.sklearn is None) == (self.file is None):
            raise ValueError("needs exactly one of sklearn and file")
        return self


class Payoff(Spec):
    """A reward that stands in the data."""

    column: str = Field(
        min_length=1,
        description="column of what a right answer earns; with {prediction} in it, the column is picked by the answer",
    )
    as_: Literal["amount", "chance"] | None = Field(
        None,
        alias="as",
        description="`amount`: each request earns just that; `chance`: it earns 1 with that chance, else 0. "
        "Required where all pay-offs lie between 0 and 1",
    )


class Within(Spec):
    """A reward of 1 for a number that is near the right one, else 0."""

    within: float = Field(
        gt=0, le=1e12, allow_inf_nan=False, description="how far a number may be from the target, in the target's own unit"
    )


ERRORS = ("absolute_error", "squared_error")
"""How far a number is from the target. Less is better."""
OF_NUMBERS = (*ERRORS, "{within: …}")
REWARDS = ("correct", *OF_NUMBERS, "{column: …}")
"""The rules of rewards, as messages name them."""
_KEY = single_key(("column", "within"))
Reward = Annotated[
    Annotated[Literal["correct", "absolute_error", "squared_error"], Tag("rule")]
    | Annotated[Payoff, Tag("column")]
    | Annotated[Within, Tag("within")],
    Discriminator(lambda value: _KEY(value) if isinstance(value, Mapping | Spec) else "rule"),
]
"""What an answer to a row earns: 1 if it is right, its error, 1 if it is near, or what stands in a column of the data."""


class CovariateSpec(Spec):
    """What is known of a request before the test, such as what its user earned then. The arm cannot change it.

    It is distributed as an outcome of the champion. With `users` it is one value a user, who must be alike for it to tell
    anything: its correlation is at most the square root of `users.similarity`. Without, it is a value of the request.
    """

    correlation: Share = Field(gt=0, lt=1, description="with an outcome of the champion, within a segment")


class FailureSpec(Spec):
    """What a request is worth that fails, or that is lost to a timeout or a rejection, in the primary metric's own units."""

    worth: float = Field(
        allow_inf_nan=False, ge=-1e12, le=1e12, description="what such a request earns, or costs where less is better"
    )


class MetricSpec(Spec):
    """A metric: what is improved, and what must not get worse."""

    name: Name = Field(description="an outcome of the models, or the built-in error_rate, latency or agreement")
    role: Literal["primary", "secondary", "guardrail"] = Field("secondary", description="exactly one metric is primary")
    direction: Literal["increase", "decrease"] = Field("increase", description="which way is better; ignored for built-ins")
    reward: Reward | None = Field(
        None,
        description="for replayed models: what an answer earns. `correct`: 1 for a right one, else 0; `absolute_error` and "
        "`squared_error`: how far a number is from the target",
    )
    grid: float | None = Field(
        None,
        ge=1e-12,
        le=1e12,
        allow_inf_nan=False,
        description="the step that monitoring rounds an amount to, which must leave mean and sd of every arm as they are, "
        "and be at most the sd of a normal one; chosen to fit if left out",
    )
    smallest_effect: Share = Field(
        0.0, description="relative effect on the primary metric below which shipping and keeping are both right"
    )
    failure: FailureSpec | None = Field(
        None,
        description="for the primary metric: what a failed or lost request is worth; if left out the worst outcome of a binary "
        "metric (0, or 1 where less is better), and 0 of an amount",
    )
    quantile: Share | None = Field(None, gt=0, lt=1, description="for latency: the quantile that `max` is about")
    max: str | float | None = Field(
        None, description="for error_rate and latency: an arm that is truly above this must not be shipped"
    )
    delay: Delay | None = Field(
        None, description="conversion delay, the time from a call's end to its feedback; none if left out"
    )
    until_known: Literal["unknown", "failure"] = Field(
        "unknown",
        description="what an outcome is until then. unknown: monitoring leaves it out; failure: it counts as 0 as the call "
        "ends, and its value is added when it becomes known",
    )
    attribution_window: Duration | None = Field(
        None,
        description="what would become known later than this after a call's end counts as 0 for ever, from when the window "
        "closes; a whole number of ticks. No window if left out",
    )
    covariate: CovariateSpec | None = Field(None, description="a value known before the test, for `adjust: {kind: cuped}`")
    daily: Daily | None = Field(None, description="a cycle over the day that the means of all arms follow")
    weekly: Weekly | None = Field(None, description="a cycle over the week that the means of all arms follow")
    shocks: ShocksSpec | None = Field(None, description="random shocks that move the means of all arms together")

    @field_validator("max", mode="before")
    @classmethod
    def _seconds_as_text(cls, limit: Any, info: ValidationInfo) -> Any:
        from sim.units import as_written, format_duration, read_duration

        seconds = isinstance(limit, int | float) and info.data.get("name") == "latency" and not as_written(info)
        return format_duration(read_duration(limit, info)) if seconds else limit

    @model_validator(mode="after")
    def _limits(self) -> MetricSpec:
        from sim.units import parse_duration, parse_share

        if self.max is not None and self.name not in ("error_rate", "latency"):
            raise ValueError(f"max is for error_rate and latency, got it for {self.name}")
        if self.quantile is not None and self.name != "latency":
            raise ValueError(f"quantile is for latency, got it for {self.name}")
        if self.max is not None:
            (parse_duration if self.name == "latency" else parse_share)(self.max)
        return self

    @property
    def limit(self) -> float | None:
        """The value of `max`: a share, or seconds."""
        from sim.units import parse_duration, parse_share

        return None if self.max is None else (parse_duration if self.name == "latency" else parse_share)(self.max)


class TimedEffect(Hours):
    """At some hours, or on some days of the week, an effect is another one."""

    relative_effect: Prior = Field(description="what the effect is then, in place of the usual one; drawn on its own")

    def told(self) -> str:
        """The effect, and when it holds, in words."""
        return f"{prior_told(self.relative_effect)}{self.when()}"


class Effects(Spec):
    """What varies from replication to replication in one metric of one challenger."""

    relative_effect: Prior = Field(
        description="the challenger's value is the champion's times 1 + this, whatever the challenger registered; of a "
        "replayed metric, it is what the challenger earns in the data times 1 + this"
    )
    when: tuple[TimedEffect, ...] = Field(
        (), max_length=24, description="for an outcome: hours and days at which the effect is another one"
    )


Sweep = dict[str, Annotated[tuple[Any, ...], Field(min_length=2, max_length=10_000)]]


class Scenario(Spec):
    """One scenario file: traffic, models, truth, metrics, policies, horizon."""

    name: Name = Field(description="names the run's folder and its MLflow run")
    question: str = Field("", max_length=1000, description="the question that the comparison answers, in a sentence")
    seed: int = Field(0, ge=0, lt=2**63, description="the same scenario and seed give the same bits")
    replications: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="how many times every policy is tried; or {target: ..., max: 20000}, as many times as estimates need",
    )
    enough: Enough | None = Field(
        None, description="with `replications` as the most: the same as the mapping there, without its `max`"
    )
    horizon: Duration = Field(description="how long a trial lasts, verdict or not")
    tick: Duration = Field("10m", validate_default=True, description="the control interval: monitoring and decisions")
    engine: Literal["auto", "aggregate", "compiled", "simpy"] = Field(
        "auto", description="auto takes aggregate where it is exact and not the slower one, else compiled"
    )
    traffic: Traffic
    users: Users | None = Field(None, description="users who come back; every request is a user of its own if left out")
    segments: tuple[SegmentSpec, ...] = Field((), max_length=100, description="kinds of users that behave differently")
    models: tuple[Model, ...] = Field(min_length=2, max_length=32, description="the arms, the champion first")
    data: Data | None = Field(None, description="for real model versions: what they are replayed on")
    offline: OfflineScoring | None = Field(
        None, description="how offline evaluations differ from live traffic, for policies with an offline stage"
    )
    metrics: tuple[MetricSpec, ...] = Field(min_length=1, max_length=100)
    truth: dict[str, dict[str, Effects]] = Field(
        default_factory=dict, description="by challenger and metric: what varies between replications"
    )
    timeline: tuple[Event, ...] = Field((), max_length=1000, description="what changes on the way: drift, novelty, incidents")
    capacity: dict[str, Servers] = Field(
        default_factory=dict,
        description="by arm: servers of its own; without any, its calls do not compete. `measured` gives each arm one server, "
        "as `sim models measure --serve` found it",
    )
    pools: dict[str, PoolSpec] = Field(default_factory=dict, description="by name: servers that several arms share")
    retries: Retries | None = Field(None, description="clients that try again; they do not if left out")
    telemetry: TelemetrySpec = Field(default_factory=TelemetrySpec, description="how well monitoring sees")
    router: RouterSpec = Field(default_factory=RouterSpec, description="what is wrong with the router")
    analysis: Literal["requests", "successes"] = Field(
        "requests",
        description="whose outcomes are analysed. requests: those of every request, and one that fails counts as "
        "`failure.worth`, or else as the worst outcome of a binary metric and as 0 of an amount; successes: those of requests "
        "that are answered, so that an arm that fails more may look better than it is",
    )
    policies: tuple[AnyPolicy, ...] = Field(min_length=1, max_length=1000, description="the rollout policies to compare")
    aa: bool = Field(
        True,
        description="play every policy once more where the challengers equal the champion, to measure its false declarations",
    )
    baseline: str | None = Field(None, description="the policy that others are paired with; the first if left out")
    value: Value | None = Field(
        None,
        description="what a decision is worth, and for how long. If left out, what it gives of the primary metric by the "
        "horizon",
    )
    error_budget: ErrorBudget | None = Field(
        None, description="how many requests may fail in a period, which measures what share of that a rollout burns"
    )
    programme: Programme | None = Field(
        None, description="releases that queue for the traffic, which adds the value of a year of them; one release if left out"
    )
    goal: Literal["better", "not_worse"] = Field(
        "better",
        description="what makes shipping right. better: the challenger is better than the champion; not_worse: it is not worse "
        "by more than `margin`, as for a refactoring, a cheaper model or a security fix; keeping it back is a false rollback",
    )
    margin: Share = Field(
        0.0, description="for `goal: not_worse`: how much worse it may be on the primary metric, relative to the champion"
    )
    require: dict[str, str] = Field(
        default_factory=dict,
        description="by measure, such as wrong_ship: '< 5%', or by policy.measure: what a policy must be shown to meet to be "
        "recommended",
    )
    thresholds: dict[str, str] = Field(
        default_factory=dict, description="by measure, such as wrong_ship: '< 5%'; the run exits 3 if one is breached"
    )
    sensitivity: Literal["off"] | Sensitivity | None = Field(
        None,
        description="in which other worlds the policies are played again, to see whether the choice stays: `off`, or own keys. "
        "If left out the usual ones; none beside a sweep",
    )
    search: Search | None = Field(
        None, description="among which policies `sim recommend` looks for one; the usual ones if left out"
    )
    calibrated: dict[str, Calibrate] = Field(
        default_factory=dict,
        max_length=1000,
        description="by the path of a number of a policy, such as policies[0].evidence.alpha: that it is found before the run, "
        "and what it is to hold. The same as `{calibrate: ...}` in its place",
    )
    sweep: Sweep | None = Field(
        None,
        min_length=1,
        max_length=2,
        description="by the path of a key, such as traffic.rate or policies[0].evidence.mde: the values that it takes in turn. "
        "Each makes a point, which is the scenario with that key replaced; two keys make a grid",
    )

    @field_validator("capacity", mode="before", json_schema_input_type=dict[str, Servers] | Literal["measured"])
    @classmethod
    def _measured_of_each(cls, given: Any, info: ValidationInfo) -> Any:
        return {model.arm: MEASURED for model in info.data.get("models", ())} if given == "measured" else given

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms in order, the champion first."""
        return tuple(model.arm for model in self.models)

    @property
    def has_baseline_arm(self) -> bool:
        """Whether the last arm is a baseline: the champion's version, deployed anew."""
        return self.models[-1].role == "baseline"

    @property
    def told_arms(self) -> tuple[str, ...]:
        """The arms that policies decide between: all but a baseline."""
        return self.arms[:-1] if self.has_baseline_arm else self.arms

    @property
    def ticks(self) -> int:
        """How many ticks the horizon has."""
        return round(self.horizon / self.tick)

    @property
    def primary(self) -> MetricSpec:
        """The primary metric."""
        return next(metric for metric in self.metrics if metric.role == "primary")

    def dump(self) -> dict[str, Any]:
        """The scenario as data of a file, with all defaults."""
        dumped: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    for part in (schema, *schema["$defs"].values()):
        # In Python `kind` has a default; in a file it is required, so that an editor can distinguish the parts.
        if "const" in part.get("properties", {}).get("kind", {}):
            part["required"] = sorted({"kind", *part.get("required", ())})
        # An editor shows the description on hovering: drop the doctest.
        part["description"] = part.get("description", "").split("\n\n>>>")[0]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Scenario", **schema}
