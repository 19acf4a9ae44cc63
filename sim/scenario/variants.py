"""The worlds of a sensitivity: the scenario with one thing otherwise, each as a scenario of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sim.errors import InputError, Place, Problem, format_path
from sim.scenario.check import check
from sim.scenario.delays import delay_told, times
from sim.scenario.labels import text_of
from sim.scenario.loading import Document, parse_path
from sim.scenario.opening import opened
from sim.scenario.priors import Prior, prior_told
from sim.scenario.put import put
from sim.scenario.schema import Scenario
from sim.scenario.sensitivity import Sensitivity
from sim.scenario.sweep import MOST_PLAYED, More, otherwise, places_of
from sim.units import format_rate, rounded_rate

MOST = 100
WIDER, LOWERED, LATER = 1.5, 0.5, 2.0
"""How many times as wide or as narrow a prior is taken to be; by how many of its sd it is worse; how many times as late
feedback is.
"""
TRAFFIC = {"a third of the traffic": 1 / 3, "three times the traffic": 3.0}


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise: what, in words, and the values that it has instead, as in a file, by path."""

    what: str
    told: str
    values: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.what}: {self.told}"


@dataclass(frozen=True)
class Variant:
    """The scenario with one thing otherwise, and its document. `own`: the file names it, so that it must be played."""

    change: Change
    scenario: Scenario
    document: Document
    own: bool


@dataclass(frozen=True)
class Usual:
    """What is varied in a scenario that does not say so, and what cannot be, with the reason."""

    changes: tuple[Change, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def wanted(scenario: Scenario) -> bool:
    """Whether the policies are to be played in other worlds: not where a sweep does so, nor where the file says `off`."""
    return scenario.sweep is None and scenario.sensitivity != "off"


def keys_of(scenario: Scenario) -> Mapping[str, tuple[Any, ...]]:
    """The values by path that a file names; none where the usual things are varied."""
    return scenario.sensitivity.keys if isinstance(scenario.sensitivity, Sensitivity) else {}


def usual(scenario: Scenario, sign: int = 1) -> Usual:
    """What is varied in a scenario that names nothing; `sign` is that of the champion's primary metric.

    Priors are those of the primary metric, all challengers together, and of the gap between the data and live traffic.
    """
    found = [_traffic(scenario), _priors(scenario, sign), _delays(scenario)]
    left_out = {what: why for each in found for what, why in each.left_out.items()}
    return Usual(tuple(change for each in found for change in each.changes), left_out)


def variants(
    scenario: Scenario, document: Document, more: More | None = None, sign: int = 1
) -> tuple[tuple[Variant, ...], Mapping[str, str]]:
    """The worlds in which a scenario is played again, and what is left out of the usual ones, with the reason.

    None where `wanted` says so. Raises `InputError` with every problem of what the file names.
    """
    if scenario.sweep is not None and keys_of(scenario):
        message = "cannot be given beside a sweep, which plays other worlds itself; leave one of them out"
        raise InputError([document.place(Problem(message, path="sensitivity"))])
    if not wanted(scenario):
        return (), {}
    if keys_of(scenario):
        return tuple(_named(scenario, document, keys_of(scenario), more)), {}
    asked = usual(scenario, sign)
    made, left_out = [], dict(asked.left_out)
    for change in asked.changes:
        try:
            made.append(Variant(change, *_with(scenario, document, change), own=False))
        except InputError as error:
            left_out[change.what] = reason(error)
    return tuple(made), left_out


def reason(error: InputError) -> str:
    """Why a world is left out: the first of its problems, without the place in a file that does not hold it."""
    first = error.problems[0]
    return f"{first.path}: {first.message}" if first.path else first.message


def _named(
    scenario: Scenario, document: Document, keys: Mapping[str, Sequence[Any]], more: More | None
) -> Iterator[Variant]:  # fmt: skip
    places = places_of(document, "sensitivity", keys, together=False)
    count = sum(map(len, keys.values()))
    if count > MOST or count * len(scenario.policies) > MOST_PLAYED:
        rule = f"must name at most {MOST} values, and {MOST_PLAYED:,} policies in all of them"
        got = f"{count} values and {len(scenario.policies):,} policies"
        raise InputError([document.place(Problem(f"{rule}, got {got}", path="sensitivity"))])
    problems: list[Problem] = []
    for key, place in places.items():
        now = _now(scenario, document, place)
        for index, value in enumerate(keys[key]):
            text = text_of(value)
            if text == now:
                at = ("sensitivity", key, index)
                problems.append(document.place(Problem(f"must differ from what the file has, got {text}", format_path(at))))
                continue
            try:
                made = otherwise(scenario, document, {place: ("sensitivity", key, index)}, more)
            except InputError as error:
                where = f"; in sensitivity with {key} {text}"
                problems += [replace(each, message=f"{each.message}{where}") for each in error.problems]
                continue
            instead = f"{text} instead of {now}" if now is not None else text
            yield Variant(Change(key, instead, {key: value}), *made, own=True)
    if problems:
        raise InputError(dict.fromkeys(problems))


def _now(scenario: Scenario, document: Document, place: Place) -> str | None:
    """What stands at a place, as in the file, or else by default; None where nothing does."""
    for data in (document.data, scenario.dump()):
        here: Any = data
        try:
            for part in place:
                here = here[part]
        except (LookupError, TypeError):
            continue
        return text_of(here)
    return None


def _with(scenario: Scenario, document: Document, change: Change) -> tuple[Scenario, Document]:
    """A scenario with a change, and its document; raises `InputError` where they do not go together."""
    data = {name: value for name, value in document.data.items() if name != "sensitivity"}
    for path, value in change.values.items():
        data = put(data, parse_path(path), value)
    own = replace(document, data=data)
    read = opened(own)
    problems = check(read)
    if problems:
        raise InputError(problems)
    return read, own


def _traffic(scenario: Scenario) -> Usual:
    rate = scenario.traffic.rate
    if rate is None:
        return Usual((), {"traffic": "it is played as recorded; a traffic.rate in the file scales it"})
    texts = {what: rounded_rate(rate * factor) for what, factor in TRAFFIC.items()}
    now = format_rate(rate)
    return Usual(tuple(Change(what, f"{text} instead of {now}", {"traffic.rate": text}) for what, text in texts.items()))


def _priors(scenario: Scenario, sign: int) -> Usual:
    """The prior of effects: wider, narrower, and worse, which is lower where more is better."""
    primary = scenario.primary
    what = f"prior of {primary.name}"
    stated = dict(_stated(scenario))
    spread = {path: prior for path, prior in stated.items() if not isinstance(prior, float) and prior.sd > 0}
    if not spread:
        why = "it is a constant, which has no spread" if stated else "the scenario states none"
        return Usual((), {what: f"{why}; `sensitivity` takes values of your own"})
    down = -LOWERED * sign * (1 if primary.direction == "increase" else -1)
    changes = []
    for name, wide, by in (("wider", WIDER, 0.0), ("narrower", 1 / WIDER, 0.0), ("worse", 1.0, down)):
        values = {path: prior.moved(wide, by * prior.sd) for path, prior in spread.items()}
        told = dict.fromkeys(_shift(prior, values[path]) for path, prior in spread.items())
        changes.append(Change(f"a {name} {what}", "; ".join(told), values))
    return Usual(tuple(changes))


def _stated(scenario: Scenario) -> Iterator[tuple[str, Prior]]:
    """The priors of the primary metric by path, and that of the gap to live traffic."""
    name = scenario.primary.name
    for arm, metrics in scenario.truth.items():
        if name in metrics:
            place = ("truth", arm, name)
            yield format_path((*place, "relative_effect")), metrics[name].relative_effect
            for index, timed in enumerate(metrics[name].when):
                yield format_path((*place, "when", index, "relative_effect")), timed.relative_effect
    if scenario.data is not None and scenario.data.shift.gap is not None:
        yield "data.shift.gap", scenario.data.shift.gap


def _shift(prior: Prior, moved: Mapping[str, Any]) -> str:
    """What a prior is instead, in words: of one with a mean and a spread, only what differs.

    >>> from sim.scenario.priors import NormalEffect, NormalPrior
    >>> prior = NormalEffect(normal=NormalPrior(mean=0.0, sd=0.03))
    >>> _shift(prior, prior.moved(1.5, 0.0)), _shift(prior, prior.moved(1.0, -0.015))
    ('sd 4.5% instead of 3%', 'mean -1.5% instead of 0%')
    """
    kind, now = next(iter(moved.items()))
    if kind in ("normal", "student_t", "spike_slab") and not isinstance(prior, float):
        before = prior.moved(1.0, 0.0)[kind]
        return ", ".join(f"{name} {now[name]} instead of {before[name]}" for name in now if now[name] != before[name])
    if "low" in now:
        return f"uniform from {now['low']} to {now['high']} instead of {prior_told(prior)}"
    return f"{', '.join(now['values'])} instead of {prior_told(prior)}"


def _delays(scenario: Scenario) -> Usual:
    """Feedback that is later, of every metric whose feedback is late at all."""
    late = {index: metric for index, metric in enumerate(scenario.metrics) if metric.delay is not None}
    if not late:
        why = "it is known as a call ends; `sensitivity` takes a delay of your own"
        return Usual((), {"feedback": f"{why}, such as {{metrics[0].delay: [{{exponential: 1h}}]}}"})
    values, told = {}, []
    for index, metric in late.items():
        assert metric.delay is not None
        values[f"metrics[{index}].delay"] = times(metric.delay, LATER)
        told.append(f"of {metric.name} {LATER:g} times {delay_told(metric.delay)}")
    return Usual((Change("feedback twice as late", "; ".join(told), values),))
