"""A scenario file: the one source of the YAML schema, the JSON Schema, the reference page and the defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sim.policy.forms import AnyPolicy, Name
from sim.policy.telling import listed
from sim.scenario.capacity import PoolSpec, Retries, Servers
from sim.scenario.cycles import ShocksSpec, Span, spans_of
from sim.scenario.delays import Delay
from sim.scenario.priors import Prior, prior_told
from sim.scenario.spec import Spec
from sim.scenario.timeline import Event, RouterSpec, TelemetrySpec
from sim.scenario.traffic import Daily, Traffic, Weekly
from sim.scenario.users import SegmentSpec, Users
from sim.scenario.value import Value
from sim.units import Clock, Duration, Share, format_clock

CHAMPION = "champion"


class Model(Spec):
    """An arm: a registered model version in its role."""

    arm: Name = Field(description="`champion` for today's production, which comes first; any other name for a challenger")
    uri: str = Field(description="models:/NAME@ALIAS or models:/NAME/VERSION")


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
    reward: Literal["correct"] | Payoff | None = Field(None, description="for replayed models: the rule of the reward")
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


class TimedEffect(Spec):
    """At some hours, or on some days of the week, an effect is another one."""

    between: tuple[Clock, ...] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="from one time of day up to another, which may lie beyond midnight; all day if left out",
    )
    days: tuple[Annotated[int, Field(ge=1, le=7)], ...] | None = Field(
        None,
        min_length=1,
        max_length=7,
        description="days of the week, of which day 1 is the first day of the run; hours beyond midnight belong to the day on "
        "which they fall; every day if left out",
    )
    relative_effect: Prior = Field(description="what the effect is then, in place of the usual one; drawn on its own")

    @model_validator(mode="after")
    def _some_time(self) -> TimedEffect:
        if self.between is None and self.days is None:
            raise ValueError("needs hours (`between`), `days`, or both")
        if self.days is not None and len(set(self.days)) < len(self.days):
            twice = next(day for place, day in enumerate(self.days) if day in self.days[:place])
            raise ValueError(f"days must be different days, got {twice} more than once")
        if self.between is not None and self.between[0] == self.between[1]:
            raise ValueError("between must be two different times of day")
        return self

    def told(self) -> str:
        """The effect, and when it holds, in words."""
        hours = "" if self.between is None else f" between {' and '.join(format_clock(each) for each in self.between)}"
        days = "" if self.days is None else f" on day {listed([str(day) for day in self.days])} of the week"
        return f"{prior_told(self.relative_effect)}{hours}{days}"

    @property
    def spans(self) -> list[Span]:
        """When in the week it holds."""
        return spans_of(self.between, self.days)


class Effects(Spec):
    """What varies from replication to replication in one metric of one challenger."""

    relative_effect: Prior = Field(
        description="the challenger's value is the champion's times 1 + this, whatever the challenger registered; of a "
        "replayed metric, it is what the challenger earns in the data times 1 + this"
    )
    when: tuple[TimedEffect, ...] = Field(
        (), max_length=24, description="for an outcome: hours and days at which the effect is another one"
    )


Sweep = dict[str, Annotated[tuple[Any, ...], Field(min_length=2, max_length=50)]]


class Scenario(Spec):
    """One scenario file: traffic, models, truth, metrics, policies, horizon."""

    name: Name = Field(description="names the run's folder and its MLflow run")
    question: str = Field("", max_length=1000, description="the question that the comparison answers, in a sentence")
    seed: int = Field(0, ge=0, lt=2**63, description="the same scenario and seed give the same bits")
    replications: int = Field(1000, ge=1, le=1_000_000, description="how many times every policy is tried")
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
    metrics: tuple[MetricSpec, ...] = Field(min_length=1, max_length=100)
    truth: dict[str, dict[str, Effects]] = Field(
        default_factory=dict, description="by challenger and metric: what varies between replications"
    )
    timeline: tuple[Event, ...] = Field((), max_length=1000, description="what changes on the way: drift, novelty, incidents")
    capacity: dict[str, Servers] = Field(
        default_factory=dict, description="by arm: servers of its own; without any, its calls do not compete"
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

    sweep: Sweep | None = Field(
        None,
        min_length=1,
        max_length=2,
        description="by the path of a key, such as traffic.rate or policies[0].evidence.mde: the values that it takes in turn. "
        "Each makes a point, which is the scenario with that key replaced; two keys make a grid",
    )

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms in order, the champion first."""
        return tuple(model.arm for model in self.models)

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
