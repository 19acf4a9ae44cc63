"""Parts of a document that say what another key says: read in their place, and known by their lines in the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from sim.errors import InputError, Place, format_path
from sim.scenario.loading import Document, validate

M = TypeVar("M", bound=BaseModel)


def value_at(data: Any, place: Place) -> Any:
    """What stands at a place."""
    for part in place:
        data = data[part]
    return data


def validate_part(document: Document, place: Place, model: type[M]) -> M:
    """What stands at a place, as a model. Raises `InputError` as `validate` does, with whole paths."""
    file, line, _ = document.locate(place)
    origins = {at[len(place) :]: origin for at, origin in document.origins.items() if at[: len(place)] == place}
    if not line and file != document.path:
        origins[()] = file
    marks = {at[len(place) :]: mark for at, mark in document.marks.items() if at[: len(place)] == place}
    part = Document(document.text, document.path, value_at(document.data, place), marks, origins)
    try:
        return validate(part, model)
    except InputError as error:
        where = format_path(place)
        whole = (replace(each, path=f"{where}.{each.path}" if each.path else where) for each in error.problems)
        raise InputError(whole, error.more) from None


def relocated(document: Document, source: Place, target: Place) -> Document:
    """The document, in which the lines and options of what stands at one place are also those of another."""
    marks = {(*target, *at[len(source) :]): mark for at, mark in document.marks.items() if at[: len(source)] == source}
    origins = {(*target, *at[len(source) :]): name for at, name in document.origins.items() if at[: len(source)] == source}
    return replace(document, marks={**document.marks, **marks}, origins={**document.origins, **origins})
