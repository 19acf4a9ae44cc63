"""Other values in a scenario's data, by the paths that errors print: for points of a sweep, and for options such as --set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim.errors import InputError, Place, Problem, format_path
from sim.scenario.loading import Document, parse_path, parse_value, plain_data
from sim.scenario.plain_yaml import MAX_DEPTH
from sim.spelling import did_you_mean
from sim.units import shown


def put(data: Any, place: Place, value: Any) -> Any:
    """A copy of the data with another value at a place. Missing mappings on the way are made.

    Raises `InputError`, without a file, if a list has no such item or the way leads through a value that is neither a mapping
    nor a list.

    >>> put({"traffic": {"rate": "1/s"}}, ("traffic", "daily", "peak"), "20:00")
    {'traffic': {'rate': '1/s', 'daily': {'peak': '20:00'}}}
    >>> put({"models": [{"arm": "new"}]}, ("models", "new", "uri"), "")
    Traceback (most recent call last):
    sim.errors.InputError: models.new.uri: there is no models.new: models is a list of 1, numbered from [0]; new is models[0]
    """

    def below(here: Any, depth: int) -> Any:
        if depth == len(place):
            return value
        part = place[depth]
        if isinstance(here, dict | None) and isinstance(part, str):
            if depth + 1 < len(place) and isinstance(place[depth + 1], int) and (here or {}).get(part) is None:
                hint = did_you_mean(part, here or {})
                raise wrong(f"there is no {format_path(place[: depth + 1])}{f'; {hint}' if hint else ''}")
            own = dict(here or {})
            return own | {part: below(own.get(part), depth + 1)}
        if isinstance(here, list) and isinstance(part, int) and part < len(here):
            return [*here[:part], below(here[part], depth + 1), *here[part + 1 :]]
        at = format_path(place[:depth]) or "the file"
        actual = f"a list of {len(here)}, numbered from [0]" if isinstance(here, list) else shown(here)
        meant = [format_path((*place[:depth], index)) for index in _called(here, part)]
        hint = f"; {part} is {meant[0]}" if meant else ""
        raise wrong(f"there is no {format_path(place[: depth + 1])}: {at} is {actual}{hint}")

    def wrong(message: str) -> InputError:
        return InputError([Problem(message, format_path(place))])

    return below(data, 0)


def _called(items: Any, name: object) -> list[int]:
    """Where in a list a policy, a metric or an arm of this name is."""
    if not isinstance(items, list):
        return []
    return [at for at, item in enumerate(items) if isinstance(item, dict) and name in (item.get("name"), item.get("arm"))]


@dataclass(frozen=True)
class Change:
    """Another value for one key of a scenario file. `option` is what errors call it."""

    path: str
    value: Any
    option: str = "--set"

    @classmethod
    def parse(cls, text: str) -> Change:
        """A change as people write it: PATH=VALUE, a path as errors print it and a value as in the file.

        Raises `InputError` where there is no path or no value, or where the value is not plain YAML.

        >>> Change.parse("policies[1].evidence.mde=1%")
        Change(path='policies[1].evidence.mde', value='1%', option='--set')
        >>> Change.parse("traffic={rate: 3/s}").value
        {'rate': '3/s'}
        """
        ends = [at for at, letter in enumerate(text) if letter == "="]
        end = next((at for at in ends if _is_path(text[:at])), None)
        if end is None:
            raise InputError([Problem(f"must be PATH=VALUE, such as replications=200; got {shown(text)}", file="--set")])
        return cls.of("--set", text[:end], text[end + 1 :])

    @classmethod
    def of(cls, option: str, path: str, text: str) -> Change:
        """A change of one key to a value as in the file. Raises `InputError` as `parse` does."""
        if not text.strip():
            raise InputError([Problem("needs a value; null stands for none", path, option)])
        try:
            return cls(path, parse_value(text, option), option)
        except InputError as error:
            raise InputError(Problem(problem.message, path, option) for problem in error.problems) from None


def _is_path(text: str) -> bool:
    try:
        return bool(parse_path(text))
    except InputError:
        return False


def changed(document: Document, changes: Sequence[Change]) -> Document:
    """The document with other values, in order: of two changes to one place the last one holds.

    Problems of such a value name its option in place of a line. Raises `InputError` with every change that has no place, and
    those that a sweep would undo.

    >>> from sim.scenario.loading import parse_yaml
    >>> document = changed(parse_yaml("seed: 1", "a.yaml"), [Change("seed", -2)])
    >>> print(document.place(Problem("must be at least 0; got -2", path="seed")))
    --set seed: must be at least 0; got -2
    """
    problems: list[Problem] = []
    places: list[tuple[Change, Place]] = []
    for change in changes:
        try:
            place = parse_path(change.path)
            if not place or len(place) > MAX_DEPTH:
                rule = f"must be a path of 1 to {MAX_DEPTH} parts, such as traffic.rate"
                raise InputError([Problem(f"{rule}; got {len(place):,}")])
            value = plain_data(change.value, change.option)
            made = next((length for length in range(1, len(place)) if not _has(document, place[:length])), len(place))
            data = put(document.data, place, value)
        except InputError as error:
            problems += [replace(problem, file=change.option, path=problem.path or change.path) for problem in error.problems]
            continue
        marks = {at: mark for at, mark in document.marks.items() if at[: len(place)] != place}
        origins = {at: origin for at, origin in document.origins.items() if at[: len(place)] != place}
        # What was made on the way is the option's too.
        document = replace(document, data=data, marks=marks, origins=origins | {place[:made]: change.option})
        places.append((change, place))
    problems += _undone(document, places)
    if problems:
        raise InputError(problems)
    return document


def _has(document: Document, place: Place) -> bool:
    here: Any = document.data
    for part in place:
        try:
            here = here[part]
        except (LookupError, TypeError):
            return False
    return True


def _undone(document: Document, places: Iterable[tuple[Change, Place]]) -> list[Problem]:
    """Changes of what is swept: every point has the value of the sweep."""
    sweep = document.data.get("sweep")
    swept = {key: parse_path(key) for key in sweep if _is_path(key)} if isinstance(sweep, dict) else {}
    return [
        Problem(f"is swept over, by {key}; --set sweep=null plays one point", change.path, change.option)
        for change, place in places
        for key, other in swept.items()
        if place[: len(other)] == other
    ]
