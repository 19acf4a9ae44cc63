"""A document as a scenario: what a file may write shorter, or in another place, is moved to the key that says it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sim.errors import InputError, Place
from sim.scenario.calibrate import hoisted, unread
from sim.scenario.check_calibrated import unknown_keys
from sim.scenario.enough import UpTo, split
from sim.scenario.loading import Document, validate
from sim.scenario.moving import relocated, validate_part
from sim.scenario.schema import Scenario


def opened(document: Document, put: Collection[Place] = ()) -> Scenario:
    """The scenario of a document; `put` are places of values that a sweep has put there. Raises `InputError` as `validate`.

    >>> from sim.scenario.loading import parse_yaml
    >>> opened(parse_yaml("policies: [{kind: ab, evidence: {kind: posterior, threshold: {calibrat: 3}}}]", "a.yaml"))
    Traceback (most recent call last):
    sim.errors.InputError: ...
    """
    moved = hoisted(_counted(document))
    try:
        scenario = validate(moved, Scenario, put=put)
    except InputError as error:
        raise unread(error, moved) from None
    unknown = [moved.place(problem) for problem in unknown_keys(scenario)]
    if unknown:
        raise InputError(unknown)
    return scenario


def _counted(document: Document) -> Document:
    """The document with `replications` as a number, and what is asked of them beside it."""
    node = document.data.get("replications")
    if not isinstance(node, dict):
        return document
    validate_part(document, ("replications",), UpTo)
    most, asked = split(node)
    moved = relocated(document, ("replications",), ("enough",))
    return replace(moved, data={**document.data, "replications": most, "enough": asked})
