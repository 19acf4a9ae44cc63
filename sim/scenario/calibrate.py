"""Numbers of a policy that are found before the run, so that an error that is named stays at what is asked for.

A file writes one in place of the number, as `alpha: calibrated` or `threshold: {calibrate: {wrong_ship: 5%}}`. Reading moves it
to the scenario's key `calibrated`, by its path, and puts a number in its place that the other rules can be checked with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field

from sim.errors import InputError, Place, Problem, format_path
from sim.scenario.loading import Document, parse_path
from sim.scenario.moving import relocated, validate_part, value_at
from sim.scenario.put import put
from sim.scenario.spec import Spec
from sim.units import Share, format_duration, format_share, parse_duration, parse_share

ERRORS = ("aa_declared", "aa_ship", "false_declaration", "wrong_ship", "missed_win", "false_rollback", "missed_regression")
"""The errors that a number can be found for: measures of a comparison, each the share of trials with an error."""
AA_PROMISE = "aa_declared"
"""What rules of evidence promise: how often, at most, they declare a difference where there is none."""
IN_AA = (AA_PROMISE, "aa_ship")
"""Those that are measured where all arms are alike; the others in the scenario's own worlds."""

KEY, WORD = "calibrated", "calibrated"
OF_ALPHA = f"{WORD!r} is for alpha, and of any other number the error is named: {{calibrate: {{wrong_ship: 5%}}}}"
NO_START = "has no default, at which the search could begin: give the smallest and the largest number, between: [LOW, HIGH]"


class Calibrate(Spec):
    """A number of a rule of evidence or a guardrail that is found by simulation before the run.

    It is written in the place of the number, `{calibrate: {wrong_ship: 5%}}`, and `alpha: calibrated` is short for an alpha at
    which the rule declares a difference as often as it says it does at its default, where all arms are alike.
    """

    calibrate: dict[str, Annotated[Share, Field(gt=0, lt=1)]] | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="the error, and what it is to be: aa_declared or aa_ship, where all arms are alike; or, in the worlds of "
        "the scenario, false_declaration, wrong_ship, missed_win, false_rollback or missed_regression. If left out, "
        "aa_declared at what the rule promises with the number that it has by default",
    )
    between: tuple[str | float, str | float] | None = Field(
        None, description="the smallest and the largest number to try; if left out, the search begins at the default"
    )
    replications: int = Field(
        10_000,
        ge=100,
        le=200_000,
        description="how many trials a number is judged by; as many fresh ones measure the error at the number that is found",
    )


@dataclass(frozen=True)
class Quantity:
    """How a number stands in a file: `share` as 5%, `duration` as 10m, `number` as 2.5, `whole` as 3.

    >>> share = Quantity.of("5%", whole=False)
    >>> share, share.read("2%"), share.text(0.0158)
    (Quantity(kind='share'), 0.02, '1.58%')
    """

    kind: Literal["share", "duration", "number", "whole"]

    @classmethod
    def of(cls, written: Any, *, whole: bool) -> Quantity | None:
        """The quantity of a value as files have it; None of what is no number."""
        if isinstance(written, bool):
            return None
        if isinstance(written, int | float):
            return cls("whole" if whole else "number")
        if isinstance(written, str):
            if written.endswith("%"):
                return cls("share")
            with suppress(ValueError):
                parse_duration(written)
                return cls("duration")
            with suppress(ValueError):
                float(written)
                return cls("number")
        return None

    def read(self, written: Any) -> float:
        """The number of a value as files have it. Raises `ValueError`, which says what it must be."""
        if self.kind == "share":
            return parse_share(written)
        if self.kind == "duration":
            return parse_duration(written)
        if isinstance(written, int | float) and not isinstance(written, bool):
            return float(written)
        return float(str(written))

    def written(self, number: float) -> Any:
        """The number as files have it."""
        if self.kind == "share":
            return format_share(number)
        if self.kind == "duration":
            return format_duration(number)
        return round(number) if self.kind == "whole" else number

    def text(self, number: float) -> str:
        """The number in a sentence."""
        written = self.written(number)
        return f"{written:.10g}" if isinstance(written, float) else str(written)


def hoisted(document: Document) -> Document:
    """The document with every number that is to be calibrated moved to `calibrated`, by its path.

    Raises `InputError` for one that is not written as it must be.

    >>> from sim.scenario.loading import parse_yaml
    >>> text = "policies: [{evidence: {kind: peeking, alpha: calibrated}}]"
    >>> hoisted(parse_yaml(text, "a.yaml")).data["calibrated"]
    {'policies[0].evidence.alpha': {}}
    """
    places = list(_places(document.data.get("policies"), ("policies",)))
    if not places:
        return document
    problems: list[Problem] = []
    data, moved = document.data, document
    for place in places:
        node = value_at(document.data, place)
        try:
            spec = validate_part(document, place, Calibrate) if isinstance(node, dict) else Calibrate()
        except InputError as error:
            problems += error.problems
            continue
        by_path = (KEY, format_path(place))
        moved = relocated(moved, place, by_path)
        data = put(data, by_path, node if isinstance(node, dict) else {})
        data = put(data, place, spec.between[0]) if spec.between else _without(data, place)
    if problems:
        raise InputError(problems)
    return replace(moved, data=data)


def unread(error: InputError, document: Document) -> InputError:
    """The error of a scenario that cannot be read, in words of numbers that are to be calibrated where it is about one."""
    return InputError((_of_number(each, document) for each in error.problems), error.more)


def _of_number(problem: Problem, document: Document) -> Problem:
    try:
        place = parse_path(problem.path)
        if place[:1] == ("policies",) and problem.path in document.data.get(KEY, {}):
            required, _, names = problem.message.partition(": ")
            if required == "is required":
                return replace(problem, message=f"is no number to be found; must be {names}" if names else NO_START)
        node = value_at(document.data, place) if place[:1] == ("policies",) else None
    except (InputError, LookupError, TypeError):
        return problem
    if isinstance(node, str) and get_close_matches(node, (WORD,), cutoff=0.8):
        return replace(problem, message=f"{problem.message}; {f'did you mean {WORD!r}?' if place[-1] == 'alpha' else OF_ALPHA}")
    meant = get_close_matches("calibrate", node, n=1) if isinstance(node, dict) else []
    if not meant:
        return problem
    return replace(problem, message=f"unknown key {meant[0]!r}; did you mean 'calibrate'?", path=f"{problem.path}.{meant[0]}")


def _places(data: Any, place: Place) -> Iterator[Place]:
    """Where numbers are to be calibrated: mappings with the key `calibrate`, and the word, where a key is `alpha`."""
    if isinstance(data, Mapping):
        if "calibrate" in data:
            yield place
            return
        for key, value in data.items():
            if key == "alpha" and value == WORD:
                yield (*place, key)
            else:
                yield from _places(value, (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _places(value, (*place, index))


def _without(data: Any, place: Place) -> Any:
    """The data without the key at a place."""
    above = value_at(data, place[:-1])
    if isinstance(above, list):
        return put(data, place, None)
    return put(data, place[:-1], {key: value for key, value in above.items() if key != place[-1]})
