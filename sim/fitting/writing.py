"""A commented scenario and a models file of what was found of a log."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.special import ndtri

from sim.errors import InputError, Problem, visible
from sim.fitting.fitting import LogFit, Version
from sim.fitting.found import rounded
from sim.policy.forms import NAME
from sim.scenario.reading import read
from sim.scenario.starting import registered, timing, usual_policies
from sim.units import parse_duration, parse_share, rounded_rate

ASSUMED_LATENCY = {"lognormal": {"median": "50ms", "p99": "200ms"}}
ASSUMED_ERRORS = "0.1%"
_BUILT_IN = ("error_rate", "latency", "agreement")
# No draw of a normal prior is so far out, in as many replications as anybody plays.
_DEVIATIONS = 5
_LEAST_LIMIT = 0.01


@dataclass(frozen=True)
class Facts:
    """What no log tells: the model's name, by when a rollout must be over, how long its verdict lasts, what does not matter."""

    name: str
    horizon: str = "14d"
    lifetime: str = "90d"
    smallest_effect: str = "1%"
    spread: str = "2%"
    sources: tuple[str, ...] = ()
    priors: tuple[Any, ...] = ()
    """Priors of effects of past experiments, as a scenario writes them: the chosen one, and others that fit about as well.
    Without any, a normal one of `spread`."""
    prior_told: tuple[str, ...] = ()


def texts(fit: LogFit, facts: Facts) -> tuple[str, str]:
    """The scenario and the models file. Raises `InputError` where what was found can make no scenario."""
    names = Names(fit)
    scenario, models = _scenario(fit, facts, names), _models(fit, facts, names)
    try:
        read(scenario)
    except InputError as error:
        raise InputError([Problem(f"what was found can make no scenario: {each}") for each in error.problems]) from None
    return scenario, models


class Names:
    """Names that a scenario can have, of those in a log."""

    def __init__(self, fit: LogFit) -> None:
        first, *others = fit.versions
        taken: set[str] = set()
        self.metrics = {name: _fit_name(name, "outcome", taken) for name in first.outcomes}
        taken = {"champion"}
        self.arms = {first.arm: "champion", **{each.arm: _fit_name(each.arm, "arm", taken) for each in others}}


def _fit_name(text: str, otherwise: str, taken: set[str]) -> str:
    """A name of letters, digits, _ and - that nobody has yet."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:56] or otherwise
    if slug in _BUILT_IN:
        slug = f"{slug}-outcome"
    name, number = slug, 2
    while name in taken:
        name, number = f"{slug}-{number}", number + 1
    taken.add(name)
    return name


def model_name(text: str) -> str:
    """A model's name, of the name of a file."""
    name = _fit_name(text, "model", set())
    return name if re.match(NAME, name) else "model"


def _flow(value: Any) -> str:
    """A value in one line, as YAML reads it."""
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str, indent: str = "") -> str:
    """Lines of a comment; text from elsewhere cannot end it."""
    words = visible(" ".join(text.split())).split(" ")
    lines, line = [], f"{indent}#"
    for word in words:
        if len(line) + 1 + len(word) > 118 and line != f"{indent}#":
            lines.append(line)
            line = f"{indent}#"
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"


def _scenario(fit: LogFit, facts: Facts, names: Names) -> str:
    tick, bake = timing(facts.horizon)
    first, *others = fit.versions
    arms = [names.arms[each.arm] for each in others] or ["challenger"]
    uri = f"models:/{registered(facts.name)}"
    primary = names.metrics[fit.primary]
    most_errors = _most_errors(first)
    limit = "ASSUMED" if first.error_rate is None else "Twice what it is today, and at least 1%"
    own = "" if others else " # the next version: as the champion, but for what `truth` says"
    parts = [
        _comment(f"A rehearsal of the next rollout of {facts.name}, written by `sim calibrate` of {', '.join(facts.sources)}."),
        f"# Needs: sim models register models/{facts.name}.yaml\n",
        _comment("Comments say what each line rests on. What is marked ASSUMED no log tells: change it."),
        *(_comment(f"{each[:1].upper()}{each[1:]}.") for each in fit.remarks),
        f"name: {_flow(facts.name)}\n",
        "seed: 1              # the same seed gives the same numbers\nreplications: 1000\n",
        _comment("ASSUMED: by when a rollout must be over, and how often monitoring is read."),
        f"horizon: {facts.horizon}\ntick: {tick}\n\n",
        _traffic(fit),
        _users(fit),
        "\nmodels:\n",
        f"  - {{arm: champion, uri: {_flow(f'{uri}@champion')}}}\n",
        *(f"  - {{arm: {_flow(arm)}, uri: {_flow(f'{uri}@{arm}')}}}{own}\n" for arm in arms),
        "\nmetrics:\n",
        _metric(fit, facts, primary),
        *(f"  - {{name: {_flow(name)}}}\n" for key, name in names.metrics.items() if key != fit.primary),
        _comment(f"{limit}: what share of requests may fail.", "  "),
        f"  - {{name: error_rate, role: guardrail, max: {most_errors}}}\n",
        _truth(fit, facts, names, primary),
        _comment("ASSUMED: how long the verdict lasts. What is one more of the primary metric worth? Then add: per: 3"),
        f"value: {{lifetime: {facts.lifetime}}}\n\n",
        _comment("ASSUMED, as are the settings of all policies."),
        _comment(_needed(fit, facts)),
        usual_policies(
            facts.smallest_effect, bake, most_errors, arms=max(len(fit.versions), 2), adjust=_adjust(fit),
            late=fit.counts_as_failure,
        ),
    ]  # fmt: skip
    return "".join(parts)


def _traffic(fit: LogFit) -> str:
    found = {each.what: each for each in fit.traffic}
    cyclic = any(found[key].written is not None for key in ("daily cycle", "weekly cycle"))
    lines = ["traffic:\n"]
    for key, what in (
        ("rate", "rate"),
        ("daily", "daily cycle"),
        ("weekly", "weekly cycle"),
        ("bursts", "bursts"),
        ("", "trend"),
    ):
        each = found[what]
        lines.append(_comment(f"{what}: {each.told}", "  "))
        if each.written is not None and key:
            lines.append(f"  {key}: {each.written if key == 'rate' else _flow(each.written)}\n")
    if cyclic:
        lines.append('  start: "00:00"   # ASSUMED: a rollout starts at midnight, on a Monday where days differ\n')
    return "".join(lines)


def _users(fit: LogFit) -> str:
    found = {each.what: each for each in fit.users}
    lines = []
    if "users.count" in found:
        lines.append("\nusers:\n")
        for key in ("count", "activity", "assignment", "similarity"):
            each = found.get(f"users.{key}")
            if each is None:
                continue
            lines.append(_comment(f"{key}: {each.told}", "  "))
            if each.written is not None:
                lines.append(f"  {key}: {_flow(each.written)}\n")
    elif found:
        lines += ["\n", *(_comment(f"users: {each.told}") for each in fit.users)]
    segments = fit.segments
    if segments is not None and segments.written is None:
        lines.append(_comment(f"segments: {segments.told}"))
    elif segments is not None:
        names = Names(fit).metrics
        lines.append(
            "\n" + _comment("Segments: shares, and what each earns relative to all where that is sure.") + "segments:\n"
        )
        for each in segments.written:
            relative = {names[key]: value for key, value in each.get("relative", {}).items()}
            lines.append(f"  - {_flow({**each, **({'relative': relative} if relative else {})})}\n")
    return "".join(lines)


def _metric(fit: LogFit, facts: Facts, primary: str) -> str:
    lines = [
        _comment("ASSUMED: below smallest_effect, shipping and keeping are both right.", "  "),
        f"  - name: {_flow(primary)}\n    role: primary\n    smallest_effect: {facts.smallest_effect}\n",
        _comment(f"{fit.daily.what}: {fit.daily.told}", "    "),
    ]  # fmt: skip
    if fit.daily.written is not None:
        lines.append(f"    daily: {_flow(fit.daily.written)}\n")
    if fit.delay is not None:
        lines.append(_comment(f"delay: {fit.delay.told}", "    "))
        if fit.delay.written is not None:
            lines.append(f"    delay: {_flow(fit.delay.written)}\n")
            if fit.counts_as_failure:
                lines.append("    until_known: failure   # in the log an outcome is 0 until it is known\n")
    if fit.covariate is not None:
        lines.append(_comment(f"covariate: {fit.covariate.told}", "    "))
        if fit.covariate.written is not None:
            lines.append(f"    covariate: {_flow(fit.covariate.written)}\n")
    return "".join(lines)


def _truth(fit: LogFit, facts: Facts, names: Names, primary: str) -> str:
    first, *others = fit.versions
    lines = ["\ntruth:\n"]
    if not others:
        if facts.priors:
            lines += [_comment(each, "  ") for each in facts.prior_told]
            prior = facts.priors[0]
        else:
            lines.append(
                _comment("ASSUMED: how much new versions change it. Past experiments say it best: name their table too.", "  ")
            )
            prior = {"normal": {"mean": "0%", "sd": _spread(first, fit.primary, facts.spread)}}
        lines.append(f"  challenger: {_flow({primary: {'relative_effect': prior}})}\n\n")
        if len(facts.priors) > 1:
            lines += [
                "# The choice is played again with priors that fit past experiments about as well.\nsensitivity:\n",
                f"  traffic.rate: {_flow(_other_rates(fit))}\n",
                f"  truth.challenger.{primary}.relative_effect:\n",
                *(f"    - {_flow(each)}\n" for each in facts.priors[1:]), "\n",
            ]  # fmt: skip
        return "".join(lines)
    for version in others:
        assert version.effect is not None
        lines.append(_comment(f"{version.arm}: {version.effect.told}. What the log leaves open is drawn.", "  "))
        lines.append(f"  {_flow(names.arms[version.arm])}: {_flow({primary: {'relative_effect': version.effect.written}})}\n")
    return f"{''.join(lines)}\n"


def _other_rates(fit: LogFit) -> list[str]:
    """A third of the traffic, and three times as much."""
    rate = next(each for each in fit.traffic if each.what == "rate").numbers["rate"].estimate
    return [rounded_rate(rate / 3), rounded_rate(rate * 3)]


def _spread(champion: Version, primary: str, spread: str) -> str:
    """The standard deviation of effects, so that hardly any draw leaves a share that is none."""
    written = champion.outcomes[primary].written
    if "bernoulli" not in written:
        return spread
    baseline = parse_share(written["bernoulli"])
    most = min(1.0, 1 / baseline - 1) / _DEVIATIONS
    return spread if parse_share(spread) <= most else f"{100 * rounded(most, 2):.4g}%"


def _needed(fit: LogFit, facts: Facts) -> str:
    """How long the test takes, by the usual formula of two means."""
    first = fit.versions[0].outcomes[fit.primary]
    mean, error = first.numbers["mean"].estimate, first.numbers["mean"].error
    rate = next(each for each in fit.traffic if each.what == "rate").numbers["rate"].estimate
    variance = mean * (1 - mean) if "bernoulli" in first.written else error**2 * fit.versions[0].requests
    each = 2 * variance * ((ndtri(0.975) + ndtri(0.8)) / (parse_share(facts.smallest_effect) * mean)) ** 2
    arms = max(len(fit.versions), 2)
    days = each * arms / rate / 86_400
    long = f"about {days:,.1f} days of this traffic"
    said = f"A test of {facts.smallest_effect} needs about {each:,.0f} requests an arm: {long}"
    if each * arms / rate > parse_duration(facts.horizon):
        said += ", which is more than the horizon: take a larger mde, or a later end"
    return said


def _adjust(fit: LogFit) -> str:
    """How a test counts requests of users who are alike."""
    alike = any(each.what == "users.similarity" and each.written is not None for each in fit.users)
    return "{kind: cluster}" if alike else ""


def _most_errors(champion: Version) -> str:
    if champion.error_rate is None:
        return "1%"
    return f"{100 * max(rounded(2 * champion.error_rate.numbers['share'].estimate, 2), _LEAST_LIMIT):.4g}%"


def _models(fit: LogFit, facts: Facts, names: Names) -> str:
    first, *others = fit.versions
    lines = [
        _comment(f"How the versions of {facts.name} behave, written by `sim calibrate` of {', '.join(facts.sources)}."),
        "# These are stand-ins, which say how a version behaves instead of predicting, under a name of their own.\n",
        f"model: {_flow(registered(facts.name))}\nversions:\n",
    ]  # fmt: skip
    shown: Sequence[tuple[str, Version, str]] = [
        (names.arms[each.arm], each, f"{visible(each.arm)}, of {each.requests:,} requests of the log.") for each in fit.versions
    ]
    if not others:
        shown = [*shown, ("challenger", first, "The next version. What it changes is drawn by `truth` in the scenario.")]
    for alias, version, about in shown:
        lines.append(f"  - alias: {_flow(alias)}\n    description: {_flow(about)}\n    outcomes:\n")
        for name, found in version.outcomes.items():
            lines.append(_comment(found.told, "      "))
            lines.append(f"      {_flow(names.metrics[name])}: {_flow(found.written)}\n")
        latency, errors = version.latency, version.error_rate
        lines.append(_comment(latency.told if latency is not None else "ASSUMED: the log has no latency.", "    "))
        lines.append(f"    latency: {_flow(latency.written if latency is not None else ASSUMED_LATENCY)}\n")
        lines.append(_comment(errors.told if errors is not None else "ASSUMED: the log has no errors.", "    "))
        lines.append(f"    error_rate: {errors.written if errors is not None else ASSUMED_ERRORS}\n")
    return "".join(lines)


def files_of(out: Path, facts: Facts) -> tuple[Path, Path, Path]:
    """Where the scenario, the models file and the page go."""
    return out, out.parent / "models" / f"{facts.name}.yaml", out.parent / "calibration.html"
