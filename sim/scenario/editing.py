"""The JSON Schema for editors: that of a scenario, and what a file may write shorter or in another place."""

from __future__ import annotations

from typing import Any

from sim.policy.base import Evidence, Guardrail
from sim.policy.catalogue import families
from sim.scenario.calibrate import WORD, Calibrate
from sim.scenario.enough import UpTo
from sim.scenario.schema import json_schema

_NUMBERS = ("number", "integer")


def editor_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file as people write it: numbers to calibrate in their place, `replications` as a mapping.

    >>> [choice.get("$ref") for choice in editor_schema()["properties"]["replications"]["anyOf"]]
    [None, '#/$defs/UpTo']
    """
    schema = json_schema()
    known = schema["$defs"]
    for model in (UpTo, Calibrate):
        own = model.model_json_schema(by_alias=True)
        known |= own.pop("$defs", {})
        known[model.__name__] = own
    schema["properties"]["replications"] = _either(schema["properties"]["replications"], {"$ref": "#/$defs/UpTo"})
    for family in families():
        if issubclass(family.base, Evidence | Guardrail):
            for kind in family.kinds():
                properties = known.get(kind.part.__name__, {}).get("properties", {})
                for name, written in properties.items():
                    if _is_number(written):
                        word = [{"const": WORD}] if name == "alpha" else []
                        properties[name] = _either(written, {"$ref": "#/$defs/Calibrate"}, *word)
    return schema


def _either(written: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: written[key] for key in ("title", "description", "default") if key in written}
    return {**about, "anyOf": [{key: value for key, value in written.items() if key not in about}, *others]}


def _is_number(written: dict[str, Any]) -> bool:
    """Whether a value can be a number, a share or a duration."""
    choices = written.get("anyOf", [written])
    return any(choice.get("type") in _NUMBERS or (choice.get("type") == "string" and "pattern" in choice) for choice in choices)
