"""The points of a sweep: the scenario with other values for one or two keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sim.errors import InputError, Problem
from sim.scenario.check import check
from sim.scenario.labels import JOINT, text_of
from sim.scenario.loading import Document, Place, format_path, parse_path
from sim.scenario.opening import opened
from sim.scenario.plain_yaml import MAX_DEPTH
from sim.scenario.put import put
from sim.scenario.schema import Scenario

MOST_POINTS = 10_000
MOST_PLAYED = 10_000
"""Policies, counted at every point: what is told of each of them is in memory at once, and in one file."""
# The keys that must be the same at all points, because the run is named, compared and reported by them.
COMMON = ("name", "question", "replications", "enough", "baseline", "require", "thresholds")

More = Callable[[Scenario], Iterable[Problem]]


@dataclass(frozen=True)
class Point:
    """One point of a sweep: the values of its keys and the scenario with those values.

    `texts` has each value as in the file. `numbers` has it as a number in its unit (seconds, requests a second, shares of 1),
    or None if the value is no number.
    """

    texts: tuple[str, ...]
    numbers: tuple[float | None, ...]
    scenario: Scenario
    document: Document

    @property
    def label(self) -> str:
        """The name of the point in errors, tables and the terminal."""
        return JOINT.join(self.texts)


def points(scenario: Scenario, document: Document, more: More | None = None) -> tuple[Point, ...]:
    """The points of a scenario's sweep in the order of the file; the last key varies fastest.

    A scenario without a sweep has one point, without values.
    Raises `InputError` with every problem, each naming the points that have it.
    """
    if scenario.sweep is None:
        return (Point((), (), scenario, document),)
    places = places_of(document, "sweep", scenario.sweep, together=True)
    count = 1
    for values in scenario.sweep.values():
        count *= len(values)
    split = "what is told of all of them is in memory at once: split the sweep into several scenarios"
    if count > MOST_POINTS:
        message = f"must make at most {MOST_POINTS:,} points, got {count:,}; {split}"
        raise InputError([document.place(Problem(message, path="sweep"))])
    if count * len(scenario.policies) > MOST_PLAYED:
        rule = f"must have at most {MOST_PLAYED:,} policies in all points"
        got = f"{count:,} points of {len(scenario.policies):,} policies"
        raise InputError([document.place(Problem(f"{rule}, got {got}; {split}", path="sweep"))])
    # The places of thousands of values would be gone through, and copied, for each point.
    common = {place: mark for place, mark in document.marks.items() if len(place) < 3 or place[0] != "sweep"}
    own_marks: dict[Place, dict[Place, Any]] = {}
    for place, mark in document.marks.items():
        if place not in common:
            own_marks.setdefault(place[:3], {})[place] = mark
    by_point: list[tuple[str, list[Problem]]] = []
    made = []
    for picked in product(*(range(len(values)) for values in scenario.sweep.values())):
        texts = tuple(text_of(values[index]) for values, index in zip(scenario.sweep.values(), picked, strict=True))
        sources = {place: ("sweep", key, index) for (key, place), index in zip(places.items(), picked, strict=True)}
        marks = dict(common)
        for source in sources.values():
            marks |= own_marks.get(source, {})
        found: list[Problem] = []
        try:
            read, own = otherwise(scenario, replace(document, marks=marks), sources, more)
            made.append(Point(texts, tuple(_number(read, place) for place in places.values()), read, own))
        except InputError as error:
            found += error.problems
        by_point.append((JOINT.join(texts), found))
    wrong = gathered(by_point)
    if wrong:
        raise InputError(wrong)
    return tuple(made)


def otherwise(
    scenario: Scenario, document: Document, sources: Mapping[Place, Place], more: More | None = None
) -> tuple[Scenario, Document]:
    """The scenario and its document without what plays it in several worlds, and with other values: at each place that at a
    source in the document.

    Raises `InputError` with every problem.
    """
    several = ("sweep", "sensitivity")
    own = replace(document, data={name: value for name, value in document.data.items() if name not in several})
    try:
        for place, source in sources.items():
            own = replaced(own, place, document, source)
        read = opened(own, put=sources)
        problems = (*check(read), *(more(read) if more else ()), *common_problems(read, scenario))
        found = [own.place(problem) for problem in problems]
    except InputError as error:
        found = list(error.problems)
    if found:
        # What is not in the file, such as a default, is blamed on the value that does not go with it.
        file, line, column = document.locate(next(iter(sources.values())))
        raise InputError(each if _written(each, own) else replace(each, file=file, line=line, column=column) for each in found)
    return read, own


def in_points(problem: Problem, labels: Sequence[str]) -> Problem:
    """The problem, with the points that have it added to its message.

    >>> print(in_points(Problem("is too low", path="traffic.rate"), ["1/s", "2/s"]))
    traffic.rate: is too low; in the sweep at 1/s; 2/s
    """
    places = "; ".join(labels[:4]) + (f" and {len(labels) - 4} more points" if len(labels) > 4 else "")
    return replace(problem, message=f"{problem.message}; in the sweep at {places}")


def gathered(by_point: Sequence[tuple[str, Sequence[Problem]]]) -> list[Problem]:
    """Every problem once, with the points that have it, unless all points have it."""
    labels: dict[Problem, list[str]] = {}
    first: dict[tuple[str, str], Problem] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for label, problems in by_point:
        for problem in problems:
            labels.setdefault(problem, []).append(label)
            first.setdefault((problem.path, problem.message), problem)
        counts.update({(problem.path, problem.message) for problem in problems})
    everywhere = {place: problem for place, problem in first.items() if counts[place] == len(by_point)}
    partly = [in_points(problem, at) for problem, at in labels.items() if (problem.path, problem.message) not in everywhere]
    return [*everywhere.values(), *partly]


def replaced(document: Document, place: Place, origin: Document, source: Place) -> Document:
    """A copy of the document whose value at `place` is the value of `origin` at `source`, with the latter's line numbers.

    Missing mappings on the way to `place` are created. Raises `InputError`, at the key of `source`, if a list has no such item
    or the way leads through a value that is neither a mapping nor a list.

    >>> from sim.scenario.loading import parse_yaml
    >>> document = parse_yaml("traffic: {rate: 1/s}\\nsweep: {traffic.rate: [2/s]}", "a.yaml")
    >>> other = replaced(document, ("traffic", "rate"), document, ("sweep", "traffic.rate", 0))
    >>> other.data["traffic"], other.mark(("traffic", "rate"))
    ({'rate': '2/s'}, (2, 24))
    """
    value: Any = origin.data
    for part in source:
        value = value[part]
    try:
        data = put(document.data, place, value)
    except InputError as error:
        at = source[:2]
        raise InputError(
            Problem(problem.message, format_path(at), *origin.locate(at, key=True)) for problem in error.problems
        ) from None
    marks = {at: mark for at, mark in document.marks.items() if at[: len(place)] != place}
    marks |= {(*place, *at[len(source) :]): mark for at, mark in origin.marks.items() if at[: len(source)] == source}
    origins = {at: option for at, option in document.origins.items() if at[: len(place)] != place}
    option, line, _ = origin.locate(source)
    if not line and option != origin.path:
        origins[place] = option
    return replace(document, data=data, marks=marks, origins=origins)


def _written(problem: Problem, document: Document) -> bool:
    """Whether a file has the place of a problem, or one that leads to it."""
    try:
        place = parse_path(problem.path)
    except InputError:
        return True
    known = document.marks.keys() | document.origins.keys()
    return not document.marks or any(place[:length] in known for length in range(1, len(place) + 1))


def places_of(document: Document, name: str, by_key: Mapping[str, Sequence[Any]], *, together: bool) -> dict[str, Place]:
    """The place of each key of the part `name` of a scenario, which has values by path; several may be put `together`.

    Raises `InputError` for what is no path, for keys of the run as a whole, and for values that are listed twice.
    """
    places: dict[str, Place] = {}
    problems = []

    def wrong(message: str, *place: str | int) -> None:
        at = (name, *place)
        problems.append(Problem(message, format_path(at), *document.locate(at, key=len(place) == 1)))

    of_all = (*COMMON, "sweep", "sensitivity")
    for key, values in by_key.items():
        try:
            place = parse_path(key)
        except InputError as error:
            wrong(error.problems[0].message, key)
            continue
        if len(place) > MAX_DEPTH:
            wrong(f"must have at most {MAX_DEPTH} parts, got {len(place):,}", key)
            continue
        if not place or place[0] in of_all:
            wrong(f"cannot be varied: {', '.join(of_all[:-1])} and {of_all[-1]} are of the run as a whole", key)
        for other, before in places.items() if together else ():
            shorter = min(len(place), len(before))
            if place[:shorter] == before[:shorter]:
                wrong(f"must not be swept together with {other}: one is a part of the other", key)
        places[key] = place
        texts = [text_of(value) for value in values]
        for index, text in enumerate(texts):
            if text in texts[:index]:
                wrong(f"{text} is listed twice", key, index)
    if problems:
        raise InputError(problems)
    return places


def common_problems(point: Scenario, scenario: Scenario) -> Iterator[Problem]:
    """Problems of a point that differs from the scenario in what the comparison needs to be equal."""
    if point.arms != scenario.arms:
        yield Problem("must keep its arms in all worlds of a run", path="models")
    names, expected = ([(policy.name, policy.kind) for policy in one.policies] for one in (point, scenario))
    if names != expected:
        yield Problem("must keep its names and kinds in all worlds of a run", path="policies")
    primary, expected_primary = (
        [(metric.name, metric.direction) for metric in one.metrics if metric.role == "primary"] for one in (point, scenario)
    )
    if primary != expected_primary:
        yield Problem("must keep its primary metric and its direction in all worlds of a run", path="metrics")


def _number(scenario: Scenario, place: Place) -> float | None:
    if format_path(place) in scenario.calibrated:
        return None
    value: Any = scenario.model_dump(mode="python", by_alias=True)
    try:
        for part in place:
            value = value[part]
    except (LookupError, TypeError):
        # The parsed policy may hold the key at another place than its short form.
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
