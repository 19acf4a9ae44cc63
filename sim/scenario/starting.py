"""A scenario to start from, of the facts of a rollout: what a team knows, and in comments what it must think about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sim.errors import InputError, Problem
from sim.policy.forms import Name
from sim.scenario.examples import Start, write_new
from sim.scenario.reading import read
from sim.units import UnitError, format_duration, parse_duration, parse_rate, parse_share, shown

_TICKS = ("1h", "30m", "10m", "5m", "1m", "10s", "1s")
# So many ticks resolve when a rollout decides; bakes of a canary are a fraction of the horizon.
_LEAST_TICKS, _BAKES = 144, 168
# No draw of a normal prior is so far out, in as many replications as anybody plays.
_DEVIATIONS = 5


@dataclass(frozen=True)
class Fact:
    """Something to know of a rollout. `default` is None where it must be given; `problem` says what is wrong with an answer."""

    flag: str
    question: str
    example: str
    default: str | None
    problem: Callable[[str], str]
    paths: tuple[str, ...] = ()
    """Where the scenario has it, or what is made of it."""

    @property
    def key(self) -> str:
        """The name of its flag in a program."""
        return self.flag.removeprefix("--").replace("-", "_")


def _by(parse: Callable[[object], float], *, within: bool = False) -> Callable[[str], str]:
    """Says what is wrong with a quantity; `within`: 0% and 100% are none."""

    def problem(text: str) -> str:
        try:
            value = parse(text)
        except UnitError as error:
            return str(error)
        return f"must be above 0% and below 100%; got {shown(text)}" if within and not 0 < value < 1 else ""

    return problem


def _name(text: str) -> str:
    try:
        TypeAdapter(Name).validate_python(text)
    except ValidationError:
        return f"must be a name of at most 64 letters, digits, _ and -, such as checkout-ranker; got {shown(text)}"
    return ""


def _metric(text: str) -> str:
    taken = ("error_rate", "latency", "agreement")
    return f"must be an outcome; {text} is built in" if text in taken else _name(text)


def _horizon(text: str) -> str:
    least = _TICKS[-1]
    problem = _by(parse_duration)(text)
    return problem or (f"must be at least {least}; got {shown(text)}" if parse_duration(text) < parse_duration(least) else "")


def _too_wide(facts: Mapping[str, str]) -> str:
    """What is wrong with the spread of effects on the baseline; empty where no draw leaves a share that is none."""
    baseline, spread = parse_share(facts["baseline"]), parse_share(facts["spread"])
    most = min(1.0, 1 / baseline - 1) / _DEVIATIONS
    if spread <= most:
        return ""
    rule = f"must be at most {100 * most:.3g}%, so that {_DEVIATIONS} standard deviations leave the outcome between 0% and 100%"
    return f"{rule} of requests; got {shown(facts['spread'])}, with a baseline of {facts['baseline']}"


_SHARE = _by(parse_share, within=True)
FACTS = (
    Fact("--model", "What is the model called?", "checkout-ranker", None, _name, ("name",)),
    Fact("--primary", "Which outcome of a request decides, counted as yes or no?", "conversion", "conversion", _metric),
    Fact("--baseline", "In what share of requests is it a yes today?", "5%", None, _SHARE),
    Fact(
        "--smallest-effect", "Below which relative change of it does shipping not matter?", "1%", "1%", _SHARE,
        ("metrics[0].smallest_effect", "policies[2].evidence.mde"),
    ),
    Fact("--spread", "By how much do new versions usually change it, relatively (one standard deviation)?", "2%", "2%", _SHARE),
    Fact("--traffic", "How many requests arrive?", "40/s", None, _by(parse_rate), ("traffic.rate",)),
    Fact(
        "--horizon", "By when must the rollout be over?", "14d", "14d", _horizon,
        ("horizon", "tick", *(f"policies[4].steps[{step}].bake" for step in range(3))),
    ),
    Fact(
        "--lifetime", "How long does a version serve until the next one, from the start of its rollout?", "90d", "90d",
        _by(parse_duration), ("value.lifetime",),
    ),
)  # fmt: skip
"""In the order in which they are asked."""


def write(facts: Mapping[str, str], into: Path) -> Start:
    """Write a commented scenario and its models file into a folder, which run as they are. Nothing is overwritten.

    `facts` are texts by the key of each of `FACTS`; those left out have their default. Raises `InputError`, at the flags, for
    facts that are missing or cannot be, and for files that exist: then nothing is written.
    """
    problems = []
    given: dict[str, str] = {}
    for fact in FACTS:
        text = facts.get(fact.key, fact.default or "").strip()
        if not text:
            problems.append(Problem(f"is required, such as {fact.example}", fact.flag))
        elif problem := fact.problem(text):
            problems.append(Problem(problem, fact.flag))
        else:
            given[fact.key] = text
    if not problems and (problem := _too_wide(given)):
        problems.append(Problem(problem, "--spread"))
    if problems:
        raise InputError(problems)
    model = given["model"]
    scenario, models = _scenario(given), _models(given)
    flags = {path: fact.flag for fact in FACTS for path in fact.paths}
    try:
        read(scenario)
    except InputError as error:
        # What it is made of are facts: what cannot be is told at its flag, once, as of the fact itself where that is wrong.
        by_flag: dict[str, Problem] = {}
        for each in sorted(error.problems, key=lambda problem: [*flags, problem.path].index(problem.path)):
            flag = flags.get(each.path, each.path)
            by_flag.setdefault(flag, Problem(each.message, flag))
        raise InputError(by_flag.values()) from None
    files = {into / f"{model}.yaml": scenario, into / "models" / f"{model}.yaml": models}
    write_new(files)
    scenario_file, models_file = files
    return Start(
        tuple(files),
        (f"sim models register {models_file}", f"sim check {scenario_file}", f"sim run {scenario_file}"),
    )


def timing(horizon: str) -> tuple[str, str]:
    """The tick and the bake of a canary's steps that suit a horizon, as files write them.

    >>> timing("14d")
    ('1h', '2h')
    """
    horizon_s = parse_duration(horizon)
    # The longest tick that divides the horizon into enough; the shortest where none does.
    fitting = [each for each in _TICKS if (horizon_s / parse_duration(each)).is_integer()]
    tick = next((each for each in fitting if horizon_s / parse_duration(each) >= _LEAST_TICKS), _TICKS[-1])
    tick_s = parse_duration(tick)
    return tick, format_duration(max(round(horizon_s / _BAKES / tick_s), 1) * tick_s)


def usual_policies(
    smallest_effect: str, bake: str, most_errors: str = "1%", *, arms: int = 2, adjust: str = "", late: bool = False
) -> str:
    """The policies that most teams choose among, as the end of a scenario file.

    `adjust` is that of the test, if it has one; `late`: successes are known later than failures.
    """
    of_test = f", adjust: {adjust}" if adjust else ""
    split = "\n    split: [50%, 50%]" if arms == 2 else ""
    # A posterior pools visits of all ages; a rule that compares within ticks does not.
    rule = f"{{kind: mixture_sprt, mde: {smallest_effect}{of_test}}}" if late else "{kind: posterior, threshold: 95%}"
    return f"""\
policies:
  - {{name: switch, kind: switch}}   # ship at once, and
  - {{name: hold, kind: hold}}       # never ship: what the others are compared with
  - name: ab          # half and half, until the test has the sample that it needs
    kind: ab{split}
    evidence: {{kind: fixed_horizon, alpha: 5%, power: 80%, mde: {smallest_effect}{of_test}}}
  - {{name: bandit, kind: bandit, allocation: {{kind: thompson, floor: 5%}}, evidence: {rule}}}
  - name: canary
    kind: canary
    steps: [{{weight: 5%, bake: {bake}}}, {{weight: 25%, bake: {bake}}}, {{weight: 50%, bake: {bake}}}]
    checks: [{{metric: error_rate, max: {most_errors}, trip: 2, min_requests: 100}}]
  - {{name: careful, kind: stages, stages: [canary, ab]}}   # a canary, and then a test
baseline: ab          # differences are taken to it

# What a policy must be shown to meet to be recommended, such as:
# require: {{wrong_ship: "< 10%", peak_exposure: "<= 50%"}}
"""


def registered(model: str) -> str:
    """The name under which behaviour models are registered: not that of a real model, whose aliases they would take."""
    return f"{model}-rehearsal"


def _scenario(facts: Mapping[str, str]) -> str:
    model, primary = facts["model"], facts["primary"]
    tick, bake = timing(facts["horizon"])
    name, uri, metric = (json.dumps(text) for text in (model, f"models:/{registered(model)}", primary))
    return f"""\
# A rehearsal of the next rollout of {model}, written by `sim init`.
# Needs: sim models register models/{model}.yaml
# Every line is an assumption: change it, and run it again. `sim run FILE --set KEY=VALUE` tries another value.
name: {name}
question: "Should the next version of {model} ship, and which rollout finds out at the least cost?"
seed: 1               # the same seed gives the same numbers
replications: 1000    # how often every policy is tried; more make intervals narrower
{_beside("horizon: " + facts["horizon"])}# by when the rollout must be over
{_beside("tick: " + tick)}# how often monitoring is read, and a policy may act

traffic:
  rate: {facts["traffic"]}
  # Does it follow the day? Then when is its peak, and how far above the mean?
  # daily: {{peak: "20:00", amplitude: 60%}}

models:               # the champion, which serves today, comes first
  - {{arm: champion, uri: {uri[:-1]}@champion"}}
  - {{arm: challenger, uri: {uri[:-1]}@challenger"}}

metrics:
  # Below smallest_effect, shipping and keeping are both right. Is the outcome known late? Then add: delay: {{exponential: 6h}}
  - {{name: {metric}, role: primary, smallest_effect: {facts["smallest_effect"]}}}
  - {{name: error_rate, role: guardrail, max: 1%}}

truth:
  # How good new versions are, before one is tested. Your last releases say it best: the mean and spread of what they changed.
  challenger:
    {metric}: {{relative_effect: {{normal: {{mean: 0%, sd: {facts["spread"]}}}}}}}

value:
{_beside("  lifetime: " + facts["lifetime"])}# the verdict lasts until the next version takes over
  # What is one {primary} worth, and what does a failed request, or a day of two versions, cost beside?
  # per: 3
  # currency: EUR
  # per_error: 0.1
  # per_day: 200

{usual_policies(facts["smallest_effect"], bake)}"""


def _beside(text: str) -> str:
    """A key and its value, with room up to where comments begin."""
    return f"{text:<21} "


def _models(facts: Mapping[str, str]) -> str:
    return f"""\
# How the versions of {facts["model"]} behave, written by `sim init`. These are stand-ins, which say how a version behaves
# instead of predicting. They have a name of their own, so that the aliases of the real model stay where they are.
model: {json.dumps(registered(facts["model"]))}
versions:
  - alias: champion
    description: Serves today.
    outcomes: {{{json.dumps(facts["primary"])}: {{bernoulli: {facts["baseline"]}}}}}
    # Measure these two where you can: how long an answer takes, and how often there is none.
    latency: {{lognormal: {{median: 50ms, p99: 200ms}}}}
    error_rate: 0.1%
  - alias: challenger
    description: The next version. What it changes is drawn by `truth` in the scenario, replication by replication.
    outcomes: {{{json.dumps(facts["primary"])}: {{bernoulli: {facts["baseline"]}}}}}
    latency: {{lognormal: {{median: 50ms, p99: 200ms}}}}
    error_rate: 0.1%
"""
