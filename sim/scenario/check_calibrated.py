"""Rules of the numbers that are to be calibrated, and a scenario with a number in the place of one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from sim.errors import InputError, Place, Problem
from sim.policy.base import Evidence, Guardrail
from sim.policy.forms import Form
from sim.policy.setting import DeclaredSetting
from sim.scenario.calibrate import AA_PROMISE, ERRORS, KEY, NO_START, Calibrate, Quantity
from sim.scenario.loading import format_path, parse_path
from sim.scenario.put import put
from sim.scenario.schema import Scenario
from sim.spelling import did_you_mean, there_are
from sim.units import format_share, shown


@dataclass(frozen=True)
class OpenNumber:
    """A number that is to be calibrated: where it stands, in which policy and part, and what it is to hold.

    `start` is the number that stands in its place; `between` are the smallest and the largest to try, None without.
    `promise` is (measure, share).
    """

    path: str
    policy: str
    quantity: Quantity
    start: float
    between: tuple[float, float] | None
    promise: tuple[str, float]
    replications: int

    @property
    def key(self) -> str:
        """Its own key, such as alpha."""
        return str(parse_path(self.path)[-1])


def opened_numbers(scenario: Scenario, setting: DeclaredSetting) -> list[OpenNumber]:
    """The numbers to calibrate of a scenario without problems, those first that other policies take stages with."""
    found = [_opened(scenario, setting, path, spec) for path, spec in scenario.calibrated.items()]
    numbers = {each.policy: each for each in found if isinstance(each, OpenNumber)}
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    ordered: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in ordered and name in forms:
            for other in forms[name].names():
                visit(other)
            ordered[name] = None

    for name in numbers:
        visit(name)
    return [numbers[name] for name in ordered if name in numbers]


def calibrated_problems(scenario: Scenario, setting: DeclaredSetting) -> Iterator[Problem]:
    """What is wrong with the numbers that are to be calibrated."""
    first: dict[str, str] = {}
    for path, spec in scenario.calibrated.items():
        found = _opened(scenario, setting, path, spec)
        if isinstance(found, Problem):
            yield found
        elif found.policy in first:
            yield Problem(f"one number of a policy can be calibrated, and {first[found.policy]} is one", path=path)
        else:
            first[found.policy] = path
            yield from _refused(scenario, found)


def unknown_keys(scenario: Scenario) -> Iterator[Problem]:
    """Numbers to calibrate under a key that there is not: it was moved, so that nothing else would refuse it."""
    for path in scenario.calibrated:
        try:
            place = parse_path(path)
        except InputError:
            continue
        owners = list(_owners(scenario, place))
        key = str(place[-1]) if place else ""
        owner = owners[-1] if len(owners) == len(place) else None
        if isinstance(owner, BaseModel) and key not in type(owner).model_fields:
            hint = did_you_mean(key, type(owner).model_fields)
            yield Problem(f"unknown key {shown(key)}{f'; {hint}' if hint else ''}", path=path)


def with_number(scenario: Scenario, number: OpenNumber, value: float) -> Scenario:
    """The scenario with a value in the place of a number that is to be calibrated."""
    data = put(scenario.dump(), parse_path(number.path), number.quantity.written(value))
    left = {path: spec for path, spec in data.get(KEY, {}).items() if path != number.path}
    return Scenario.model_validate({**data, KEY: left})


def _refused(scenario: Scenario, number: OpenNumber) -> Iterator[Problem]:
    """The ends of what is to be tried that cannot stand in its place."""
    for index, end in enumerate(number.between or ()):
        try:
            with_number(scenario, number, end)
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            yield Problem(f"{number.quantity.text(end)} cannot stand here: {message}", path=f"{number.path}.between[{index}]")


def _opened(scenario: Scenario, setting: DeclaredSetting, path: str, spec: Calibrate) -> OpenNumber | Problem:
    """What a number to calibrate is, or the first thing that is wrong with it."""
    try:
        place = parse_path(path)
    except InputError as error:
        return Problem(error.problems[0].message, path=format_path((KEY, path)))
    owners = list(_owners(scenario, place))
    if len(place) < 3 or place[0] != "policies" or len(owners) != len(place):
        return Problem("must be the path of a number of a policy, such as policies[0].evidence.alpha", path=path)
    part = next((owner for owner in owners if isinstance(owner, Evidence | Guardrail)), None)
    if part is None:
        return Problem("cannot be calibrated: only numbers of rules of evidence and of guardrails can", path=path)
    owner, key = owners[-1], place[-1]
    value = owner.model_dump(mode="json").get(str(key)) if isinstance(owner, BaseModel) else None
    # Ends that are given say how the number is written, which their place has been read with.
    written = value if spec.between is None else spec.between[0]
    quantity = Quantity.of(written, whole=isinstance(getattr(owner, str(key), None), int))
    if quantity is None or value is None:
        return Problem(NO_START if value is None else "cannot be calibrated: it is no number", path=path)
    between = None
    if spec.between is not None:
        try:
            between = quantity.read(spec.between[0]), quantity.read(spec.between[1])
        except ValueError as error:
            return Problem(f"{error}", path=f"{path}.between")
        if not between[0] < between[1]:
            texts = [quantity.text(each) for each in between]
            return Problem(f"must be a smaller and a larger number, got {texts[0]} and {texts[1]}", path=f"{path}.between")
    elif quantity.kind == "whole" or not 0 < quantity.read(value) < (1 if quantity.kind == "share" else math.inf):
        return Problem("needs the smallest and the largest number to try, between: [LOW, HIGH]", path=path)
    promise = next(iter(spec.calibrate.items())) if spec.calibrate else None
    if promise is not None and promise[0] not in ERRORS:
        hint = did_you_mean(promise[0], ERRORS)
        return Problem(f"no error {shown(promise[0])} to calibrate for; {hint or there_are(ERRORS)}", path=f"{path}.calibrate")
    if promise is None:
        promised = part.promised(setting) if isinstance(part, Evidence) else None
        if not promised or not promised < 1:
            rule = "does not say how often it declares a difference where there is none: write {calibrate: {aa_declared: 5%}}"
            return Problem(f"{part.kind} {rule}", path=path)
        promise = (AA_PROMISE, promised)
    policy = scenario.policies[int(place[1])].name
    return OpenNumber(path, policy, quantity, quantity.read(written), between, promise, spec.replications)


def _owners(scenario: Scenario, place: Place) -> Iterator[Any]:
    """What stands on the way to a place, from the scenario to that which has the last key; ends early where there is none."""
    here: Any = scenario
    for part in place:
        yield here
        if isinstance(part, int):
            if not isinstance(here, list | tuple) or part >= len(here):
                return
            here = here[part]
        elif not isinstance(here, BaseModel) or part not in type(here).model_fields:
            return
        else:
            here = getattr(here, part)


def told(number: OpenNumber) -> str:
    """What is to be found, in words."""
    measure, share = number.promise
    return f"{number.path} is found before the run, so that {measure} of {number.policy} is {format_share(share)}"
