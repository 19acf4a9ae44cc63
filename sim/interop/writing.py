"""A whole scenario of policies that were imported, with comments, and the models file that it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.interop.policy import tick_of
from sim.interop.read import BASELINES, Plan
from sim.scenario.loading import parse_value
from sim.units import format_duration, format_effect, format_share, parse_duration, parse_rate, parse_share

# Ticks of a run; a finer one would take long to play.
MOST_TICKS = 200_000
_HORIZONS = ("30m", "1h", "2h", "4h", "8h", "12h", "1d", "2d", "3d", "7d", "14d", "28d", "84d", "365d")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*|-?[0-9.]+(?:%|/s|ns|us|ms|s|m|h|d)(?:[0-9.]+(?:ms|s|m|h))*")
_WORDS = ("true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL")


@dataclass(frozen=True)
class Facts:
    """What a manifest does not say, each as a scenario writes it: the traffic, the champion, how long people take.

    `weight` is the canary's share of the traffic, for programs that only judge it; `load_test` what a load test sends to a
    canary that no user meets, as a share of the traffic, if anything.

    >>> Facts(rate="30/s").error_rate
    '0.1%'
    """

    rate: str = "10/s"
    error_rate: str = "0.1%"
    p50: str = "50ms"
    p99: str = "250ms"
    approval: str = "{delay: {lognormal: {median: 30m, p99: 8h}}}"
    weight: str = "5%"
    load_test: str = ""


def flow(value: Any) -> str:
    """A value in one line of YAML.

    >>> flow({"weight": "5%", "checks": [{"metric": "error_rate", "report_only": True}], "at": "20:00"})
    '{weight: 5%, checks: [{metric: error_rate, report_only: true}], at: "20:00"}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value not in _WORDS else json.dumps(value)
    return json.dumps(value)


def scenario_of(name: str, plans: Sequence[Plan], facts: Facts, sources: Sequence[str]) -> str:
    """The text of a scenario of imported policies, beside shipping at once and never shipping."""
    tick_s = tick_of(time for plan in plans for time in plan.times)
    approval = parse_value(facts.approval, "--approval")
    policies = [plan.form(tick_s, approval) for plan in plans]
    longest_s = max(length_s(policy) for policy in policies)
    horizon = _horizon(longest_s, tick_s)
    errors = parse_share(facts.error_rate)
    bad = min(10 * errors, (1 + errors) / 2)
    slow = any(check.get("metric") in ("latency", "mean_latency") for policy in policies for check in checks_of(policy))
    arms = ["champion", "release"]
    models = [f'{{arm: {arm}, uri: "models:/{name}-rehearsal@{arm}"}}' for arm in arms]
    if any(has_baseline(policy) for policy in policies):
        models.append(
            f'{{arm: baseline, uri: "models:/{name}-rehearsal@champion", role: baseline}}   # deployed with the release'
        )
    truth = [
        "    # Nine releases in ten fail as the champion does, and one in ten more often.",
        f"    error_rate: {{relative_effect: {{choice: {{values: [0%, {format_effect(round(bad / errors - 1, 6))}], "
        "weights: [90%, 10%]}}}",
    ]
    metrics = [
        "  - {name: answered, role: primary}   # every answer is worth the same; a failure is worth nothing",
        f"  - {{name: error_rate, role: guardrail, max: {format_share(round(min(2 * errors, 1.0), 12))}}}   "
        "# a version that truly fails more must not be shipped",
    ]
    if slow:
        truth += [
            "    # One release in ten takes twice as long.",
            "    latency: {relative_effect: {choice: {values: [0%, 100%], weights: [90%, 10%]}}}",
        ]
        limit = format_duration(round(1.5 * parse_duration(facts.p99), 9))
        metrics.append(f"  - {{name: latency, role: guardrail, quantile: 99%, max: {limit}}}")
    listed = "\n".join(_policy(policy) for policy in policies)
    written_from = ", ".join(" ".join(source.split()) for source in sources)
    return f"""\
# How {", ".join(plan.name for plan in plans)} rolls out, written by `sim import` from {written_from}.
# Needs: sim models register models/{name}.yaml
# The policy is what the manifest says. All else is an assumption: change it, and run it again.
name: {json.dumps(name)}
question: "How often does this rollout abort a release that is fine, and how long does one that is not stay?"
seed: 1
replications: 1000
horizon: {horizon}
tick: {format_duration(tick_s)}   # every duration of the manifest is a whole number of these
goal: not_worse        # a release ships unless it is worse
margin: 1%

traffic:
  rate: {facts.rate}   # how many requests arrive, of all users
  # Does it follow the day? daily: {{peak: "20:00", amplitude: 60%}}

models:
{chr(10).join(f"  - {model}" for model in models)}

metrics:
{chr(10).join(metrics)}

truth:
  release:
{chr(10).join(truth)}

policies:
{listed}
  - {{name: {BASELINES[0]}, kind: switch}}   # ship without a look, and
  - {{name: {BASELINES[1]}, kind: hold}}       # never ship: what the others are compared with
baseline: {json.dumps(policies[0]["name"])}
"""


def models_of(name: str, facts: Facts) -> str:
    """The text of the models file of the scenario: a champion, and a release that `truth` makes worse."""
    latency = f"{{lognormal: {{median: {facts.p50}, p99: {facts.p99}}}}}"
    version = f"outcomes: {{answered: {{bernoulli: 100%}}}}\n    latency: {latency}\n    error_rate: {facts.error_rate}"
    return f"""\
# How the versions behave, written by `sim import`: how long an answer takes, and how often there is none.
# Measure these where you can. They are stand-ins, which say how a version behaves instead of predicting.
model: {json.dumps(f"{name}-rehearsal")}
versions:
  - alias: champion
    description: Serves today.
    {version}
  - alias: release
    description: The next version. What is wrong with it is drawn by `truth` in the scenario, replication by replication.
    {version}
"""


def problem_of(facts: Facts) -> dict[str, str]:
    """What is wrong with the facts, by the option that gives each."""
    found: dict[str, str] = {}
    for flag, parse, text in (
        ("--rate", parse_rate, facts.rate),
        ("--error-rate", parse_share, facts.error_rate),
        ("--p50", parse_duration, facts.p50),
        ("--p99", parse_duration, facts.p99),
        ("--weight", parse_share, facts.weight),
        *([("--load-test", parse_share, facts.load_test)] if facts.load_test else []),
    ):
        try:
            value = parse(text)
        except ValueError as error:
            found[flag] = str(error)
            continue
        if flag in ("--error-rate", "--weight") and not 0 < value < 1:
            found[flag] = f"must be above 0% and below 100%; got {text}"
        if flag == "--load-test" and not 0 < value <= 1:
            found[flag] = f"must be above 0% and at most 100%; got {text}"
    if not found and parse_duration(facts.p50) >= parse_duration(facts.p99):
        found["--p99"] = f"must be longer than the median of {facts.p50} (--p50); got {facts.p99}"
    return found


def _policy(policy: Mapping[str, Any]) -> str:
    """A policy, a key a line, and a step, check or stage a line."""
    lines = []
    for index, (key, value) in enumerate(policy.items()):
        start = "  - " if index == 0 else "    "
        if isinstance(value, list) and value and isinstance(value[0], dict) and key != "steps":
            lines.append(f"{start}{key}:")
            lines += [f"      - {flow(item)}" for item in value]
        else:
            lines.append(f"{start}{key}: {flow(value)}")
    return "\n".join(lines)


def checks_of(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The checks of a policy, of all of its stages, also those that are counted together, and the metrics of a judge."""
    own = [each for part in (policy, *policy.get("stages", ())) for each in part.get("checks", ())]
    return [inner for each in own for inner in each.get("checks", each.get("metrics", [each]))]


def has_baseline(policy: Mapping[str, Any]) -> bool:
    """Whether a policy serves a baseline."""
    return any(part.get("allocation", part).get("baseline") for part in (policy, *policy.get("stages", ())))


def length_s(policy: Mapping[str, Any]) -> float:
    """About how long a policy takes: its bakes, a day for each person, and what failed looks may add."""
    total = 0.0
    for part in (policy, *policy.get("stages", ())):
        route = part.get("allocation", part)
        for step in route.get("steps", ()):
            total += parse_duration(step["bake"]) if "bake" in step else 0.0
            total += 86_400.0 if "approval" in step else 0.0
        total += parse_duration(part["evidence"]["duration"]) if "duration" in part.get("evidence", {}) else 0.0
        for check in part.get("checks", ()):
            if "on_good_look" in (part.get("advance"), route.get("advance")):
                every = check["every"] if "every" in check else check["checks"][0]["every"]
                total += check.get("trip", 1) * parse_duration(every)
            total += 10 * check["pass_after"] * parse_duration(check["every"]) if "pass_after" in check else 0.0
    return total


def _horizon(length_s: float, tick_s: float) -> str:
    """The first usual duration of at least twice the length, a whole number of ticks."""
    usual = next((text for text in _HORIZONS if parse_duration(text) >= 2 * length_s), _HORIZONS[-1])
    ticks = -(-round(1000 * parse_duration(usual)) // round(1000 * tick_s))
    return format_duration(ticks * round(1000 * tick_s) / 1000)
