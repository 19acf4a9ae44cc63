"""The settings of a rollout that may be turned, where its file has them, and their neighbouring values.

A value is changed in the text of the file, and what the file then says is played. So a change means what it means to the
program that reads it, and the patch is what was played.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from sim.assess.editing import Mark, inserted, replaced, within
from sim.assess.rollout import FromManifests, Rollout
from sim.errors import InputError, Place, format_path
from sim.interop.accounting import pattern_of
from sim.interop.objects import read_objects
from sim.interop.reading import go_seconds
from sim.interop.tokens import Unread
from sim.scenario.loading import Document, parse_yaml
from sim.units import format_duration, format_share, parse_duration, parse_share


class Role(Enum):
    """How a value is turned."""

    COUNT = "a number of failures"
    LEAST = "a number of requests"
    TIME = "a time"
    BOUND = "a bound of what is good"
    CONDITION = "a condition with one bound"
    WINDOW = "the window of a query"


@dataclass(frozen=True)
class Kind:
    """A setting: the pattern of the path to what has it (`holder`), and its key there. `default` holds where it is left out."""

    holder: str
    key: str
    role: Role
    default: int | None = None


_TEMPLATE = r"spec\.metrics\[\]"
_CANARY = r"spec\.(analysis|canaryAnalysis)"
_OF_MANIFESTS = (
    Kind(_TEMPLATE, "failureLimit", Role.COUNT, 0),
    Kind(_TEMPLATE, "interval", Role.TIME),
    Kind(_TEMPLATE, "successCondition", Role.CONDITION),
    Kind(_TEMPLATE, "failureCondition", Role.CONDITION),
    Kind(rf"{_TEMPLATE}\.provider\.prometheus", "query", Role.WINDOW),
    Kind(r"spec\.strategy\.canary\.steps\[\]\.pause", "duration", Role.TIME),
    Kind(_CANARY, "threshold", Role.COUNT, 1),
    Kind(_CANARY, "interval", Role.TIME),
    Kind(rf"{_CANARY}\.metrics\[\]", "interval", Role.TIME),
    Kind(rf"{_CANARY}\.metrics\[\]\.thresholdRange", "min", Role.BOUND),
    Kind(rf"{_CANARY}\.metrics\[\]\.thresholdRange", "max", Role.BOUND),
    Kind(r"(MetricAlarms\[\])?", "DatapointsToAlarm", Role.COUNT),
    Kind(r"(MetricAlarms\[\])?", "EvaluationPeriods", Role.COUNT),
    Kind(r"(MetricAlarms\[\])?", "Period", Role.TIME),
    Kind(r"(MetricAlarms\[\])?", "Threshold", Role.BOUND),
    Kind(r"(.*\.)?TrafficRoutingConfiguration", "WaitIntervalInSeconds", Role.TIME),
)
_CHECK, _STEP = r"(.*\.)?checks\[\]", r"(.*\.)?steps\[\]"
_OF_SCENARIOS = (
    Kind(_CHECK, "trip", Role.COUNT, 1),
    Kind(_CHECK, "every", Role.TIME),
    Kind(_CHECK, "over", Role.TIME),
    Kind(_CHECK, "min_requests", Role.LEAST, 0),
    Kind(_CHECK, "max", Role.BOUND),
    Kind(_STEP, "bake", Role.TIME),
)
_WINDOW = r"\[(\d+(?:ms|s|m|h))\]"
_NUMBER = r"([<>]=?\s*)(\d+(?:\.\d+)?)"
_LEASTS = (20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Value:
    """Another value of a setting: how it is written, how many steps it is from the present one, and the texts that have it."""

    text: str
    steps: int
    rollout: Rollout


@dataclass(frozen=True)
class Setting:
    """A setting: its path and line in its file, its present value, and others. `number` is the same after others are turned."""

    number: int
    path: str
    file: str
    line: int
    role: Role
    now: str
    values: tuple[Value, ...]

    @property
    def label(self) -> str:
        """Where it is, in short."""
        return f"{Path(self.file).name}:{self.line} {self.path.rpartition('.')[2]}"


def settings_of(rollout: Rollout) -> list[Setting]:
    """The settings of a rollout, by file. Values that change nothing of what is played, or cannot be played, are left out."""
    present = rollout.policy
    found = []
    for number, place in enumerate(_places(rollout)):
        values = []
        for text, steps in place.others():
            try:
                turned = rollout.edited({**rollout.texts, place.file: place.write(rollout.texts[place.file], text)})
                if turned.policy != present:
                    values.append(Value(text, steps, turned))
            except InputError:
                # Such as an interval of which a window is no whole number: the file could not say it.
                continue
        if values:
            found.append(Setting(number, place.path, place.file, place.mark[0], place.kind.role, place.now, tuple(values)))
    return found


@dataclass(frozen=True)
class _At:
    """Where a setting stands: its file, its path, and what is there now, which is `absent` where the default holds."""

    kind: Kind
    file: str
    path: str
    value: Any
    mark: Mark
    absent: bool

    @property
    def now(self) -> str:
        if self.kind.role is Role.WINDOW:
            return ", ".join(dict.fromkeys(re.findall(_WINDOW, self.value)))
        return " ".join(str(self.value).split())

    def write(self, text: str, value: str) -> str:
        """The text of the file with another value."""
        if self.absent:
            return inserted(text, self.mark, self.kind.key, value)
        if self.kind.role is Role.WINDOW:
            return replaced(text, self.mark, within(_WINDOW, lambda _: f"[{value}]"))
        return replaced(text, self.mark, lambda written: _quoted(written, value))

    def others(self) -> Iterator[tuple[str, int]]:
        """Other values as they are written, with how many steps each is away."""
        yield from _others(self)


def _quoted(written: str, value: str) -> str:
    """The value, in the quotes that the present one has."""
    quote = written[0] if written[:1] in ("'", '"') else ""
    return f"{quote}{value}{quote}"


def _others(at: _At) -> Iterator[tuple[str, int]]:
    role, value = at.kind.role, at.value
    if role is Role.COUNT:
        number = int(value)
        yield from ((str(number + by), abs(by)) for by in (1, -1, 2, 3, 4, 6, 9) if number + by >= (at.kind.default or 0))
    elif role is Role.LEAST:
        number = int(value)
        above = [each for each in _LEASTS if each > number]
        yield from ((str(each), steps) for steps, each in enumerate(above, 1))
    elif role in (Role.TIME, Role.WINDOW):
        now = re.findall(_WINDOW, value)[:1] if role is Role.WINDOW else [value]
        for one in now:
            yield from _times(one)
    elif role is Role.BOUND:
        for factor, steps in _FACTORS:
            yield _looser(str(value), factor), steps
    elif role is Role.CONDITION and len(re.findall(_NUMBER, value)) == 1:
        for factor, steps in _FACTORS:
            match = re.search(_NUMBER, value)
            assert match is not None
            yield f"{value[: match.start(2)]}{_looser(match[2], factor)}{value[match.end(2) :]}", steps


_FACTORS = ((2.0, 1), (0.5, 1), (4.0, 2), (8.0, 3))


def _times(value: Any) -> Iterator[tuple[str, int]]:
    whole = isinstance(value, int) or str(value).isdecimal()
    try:
        seconds = float(value) if whole else _seconds(str(value))
    except (Unread, ValueError):
        return
    for factor, steps in _FACTORS:
        new = seconds * factor
        if whole and not new.is_integer():
            continue
        yield (str(round(new)) if whole else _written(new)), steps


def _seconds(text: str) -> float:
    try:
        return go_seconds(text)
    except Unread:
        return parse_duration(text)


def _written(seconds: float) -> str:
    """A duration that Go, Prometheus and a scenario read: of one unit, none longer than an hour."""
    for unit, size in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if (seconds / size).is_integer():
            return f"{round(seconds / size)}{unit}"
    return f"{round(1000 * seconds)}ms"


def _looser(text: str, factor: float) -> str:
    """A bound that allows `factor` times as much: a share of successes (0.99, 99) allows what is left of the whole.

    >>> _looser("0.99", 2), _looser("99", 0.5), _looser("500", 2), _looser("1%", 2)
    ('0.98', '99.5', '1000', '2%')
    """
    if text.endswith("%"):
        return format_share(min(1.0, round(parse_share(text) * factor, 12)))
    try:
        value = float(text)
    except ValueError:
        return format_duration(_seconds(text) * factor)
    whole = 1.0 if 0.5 < value <= 1 else 100.0 if 50 < value <= 100 else None
    new = value * factor if whole is None else whole - (whole - value) * factor
    return f"{max(new, 0.0):.10g}"


def _places(rollout: Rollout) -> list[_At]:
    """Where the settings stand, each once: a value that several places share is left alone."""
    if isinstance(rollout, FromManifests):
        found = [
            at
            for each in read_objects(rollout.texts)
            for at in _walk(_OF_MANIFESTS, each.document, each.base, each.data, each.file)
        ]
    else:
        found = []
        for file, text in rollout.texts.items():
            document = parse_yaml(text, file)
            for index, policy in enumerate(document.data["policies"]):
                if isinstance(policy, dict) and policy.get("name") == rollout.name:
                    found += _walk(_OF_SCENARIOS, document, ("policies", index), policy, file)
    return found


def _walk(kinds: tuple[Kind, ...], document: Document, base: Place, data: Any, file: str) -> Iterator[_At]:
    shared: dict[Mark, int] = {}
    for mark in document.marks.values():
        shared[mark[1]] = shared.get(mark[1], 0) + 1

    def visit(place: Place, value: Any) -> Iterator[_At]:
        if isinstance(value, dict):
            for kind in kinds:
                if re.fullmatch(kind.holder, pattern_of(place)) and (kind.key in value or kind.default is not None):
                    absent = kind.key not in value
                    own = (*place, kind.key)
                    mark = document.marks[(*base, *(place if absent else own))][1]
                    now = kind.default if absent else value[kind.key]
                    # A value behind an alias is that of others too.
                    if shared[mark] == 1 and isinstance(now, str | int | float) and not isinstance(now, bool):
                        yield _At(kind, file, format_path((*base, *own)), now, mark, absent)
            for key, inner in value.items():
                yield from visit((*place, key), inner)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from visit((*place, index), inner)

    yield from visit((), data)
