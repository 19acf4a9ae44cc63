"""Pydantic's errors in plain words, each at its place in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sim.errors import Place
from sim.policy.catalogue import FAMILY
from sim.policy.forms import NAME
from sim.spelling import closest, did_you_mean
from sim.units import shown

Error = tuple[Place, Mapping[str, Any]]  # the rest of pydantic's location, and its details
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A problem at a place: the rule that is broken, the value if it helps, and a hint."""

    place: Place
    rule: str
    got: str = ""
    hint: str = ""
    at_key: bool = False

    @property
    def message(self) -> str:
        return "; ".join(part for part in (self.rule, self.got and f"got {self.got}", self.hint) if part)


class Explainer:
    """Follows pydantic's locations through its core schema, to tell a union's tags in a location from keys of the file."""

    _WRAPPERS = frozenset(("default", "nullable", "model", "function-before", "function-after", "function-wrap", "definitions"))

    def __init__(self, schema: Schema, put: Collection[Place] = ()) -> None:
        """`put` are places of values that a sweep or an option put there: of an unknown one, or one on the way to it, the known
        key beside it is what was meant.
        """
        self.top = schema
        self._put = {place[:length] for place in put for length in range(1, len(place) + 1)}
        self._definitions: dict[str, Schema] = {}
        self._of_parts: list[Schema] = []

    def explain(self, schema: Schema, errors: list[Error], place: Place, value: Any) -> Iterator[Finding]:
        """Findings for the errors at and below one place. The locations of `errors` start at `schema`."""
        schema = self._unwrap(schema, value)
        if schema.get("type") == "union":
            yield from self._union(schema, errors, place, value)
            return
        if _lacks_items(schema, errors, value):
            yield Finding(place, f"must have {_count(schema, {'ctx': {}})}", str(len(value)))
            return
        for part, group in _by_first_part(errors).items():
            if part is None:
                yield from (self._finding(schema, e, place, value) for _, e in group if not _miscounted(e, value))
            elif (group[0][1]["type"] == "extra_forbidden" and not group[0][0]) or _misspelt(part, schema, value):
                present = {} if (*place, part) in self._put else value
                hint = _suggest(part, [str(name) for name in _fields(schema)], present=present)
                yield Finding((*place, part), f"unknown key {shown(part)}", hint=hint, at_key=True)
            else:
                yield from self.explain(*self._child(schema, part, group, place, value))

    def _unwrap(self, schema: Schema, value: Any = None) -> Schema:
        parts = False
        while True:
            kind = schema.get("type")
            if kind == "definitions":
                self._definitions |= {part["ref"]: part for part in schema["definitions"]}
            if kind in self._WRAPPERS:
                schema = schema["schema"]
            elif family := schema.get("metadata", {}).get(FAMILY):
                schema, parts = family.reader(value).core_schema, True
            elif kind == "definition-ref":
                schema = self._definitions[schema["schema_ref"]]
            elif kind == "lax-or-strict":
                schema = schema["lax_schema"]
            elif kind == "json-or-python":
                schema = schema["python_schema"]
            elif kind == "chain":
                schema = schema["steps"][-1]
            else:
                if parts:
                    self._of_parts.append(schema)
                return schema

    def _child(
        self, schema: Schema, part: str | int, errors: list[Error], place: Place, value: Any
    ) -> tuple[Schema, list[Error], Place, Any]:
        kind = schema.get("type")
        if kind == "tagged-union":
            return self._choice(schema, part), errors, place, value
        if isinstance(value, dict):
            known = part in value
        else:
            known = isinstance(part, int) and isinstance(value, list) and part < len(value)
        missing = any(details["type"] == "missing" and not rest for rest, details in errors)
        if not known and not missing:
            return {}, errors, place, value
        if kind == "dict":
            child = schema.get("values_schema", {})
        elif kind == "tuple":
            items = schema["items_schema"]
            child = items[min(int(part), len(items) - 1)]
        elif kind in ("list", "set", "frozenset", "generator"):
            child = schema.get("items_schema", {})
        else:
            child = _fields(schema).get(part, {})
        return child, errors, (*place, part), value[part] if known else None

    def _choice(self, schema: Schema, tag: str | int) -> Schema:
        """The schema of a tag. The choice that applies without `kind`, such as a stage written out, also gets that field."""
        choice = self._unwrap(schema["choices"].get(tag, {}))
        kinds = [
            fields["kind"] for case in schema["choices"].values() if "kind" in (fields := self._unwrap(case).get("fields", {}))
        ]
        if kinds and "fields" in choice and "kind" not in choice["fields"]:
            return {**choice, "fields": {"kind": kinds[0], **choice["fields"]}}
        return choice

    def _union(self, schema: Schema, errors: list[Error], place: Place, value: Any) -> Iterator[Finding]:
        groups = _by_first_part(errors)
        for _, details in groups.pop(None, []):
            yield self._finding(schema, details, place, value)
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
        if len(choices) != len(groups):  # two branches with the same label: their schemas cannot be distinguished
            choices = [{}] * len(groups)
        branches = [
            list(self.explain(choice, group, place, value)) for choice, group in zip(choices, groups.values(), strict=True)
        ]
        deeper = [findings for findings in branches if any(len(finding.place) > len(place) for finding in findings)]
        if deeper:
            yield from min(deeper, key=len)
        elif branches:
            findings = [finding for branch in branches for finding in branch]
            rules = dict.fromkeys(_alternative(finding.rule) for finding in findings)
            hint = next((finding.hint for finding in findings if finding.hint), "")
            yield Finding(place, f"must be {', or '.join(rules)}", shown(value), hint)

    def _finding(self, schema: Schema, details: Mapping[str, Any], place: Place, value: Any) -> Finding:
        kind, context = details["type"], details.get("ctx", {})
        if kind == "missing":
            return Finding(place, "is required")
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            return self._tag_finding(schema, place, value)
        if kind in ("value_error", "assertion_error"):
            rule, _, got = str(context["error"]).partition("; got ")
            first, _, rest = rule.partition(" ")
            if isinstance(value, dict) and first in value and first in _fields(schema):
                # The rule is about several keys and begins with the key that is wrong.
                return Finding((*place, first), rest, got)
            scalar = not isinstance(value, dict | list) and shown(value) not in rule
            return Finding(place, rule, got or (shown(value) if scalar else ""))
        if kind in ("literal_error", "enum"):
            names = [str(getattr(name, "value", name)) for name in schema.get("expected") or schema.get("members", ())]
            return Finding(place, _one_of(names), shown(value), did_you_mean(value, names))
        if kind in ("too_short", "too_long"):
            return Finding(place, f"must have {_count(schema, details)}", str(len(value)))
        if kind == "string_pattern_mismatch" and context["pattern"] == NAME:
            return Finding(place, NAME_RULE, shown(value))
        if kind not in _RULES:
            return Finding(place, str(details["msg"]).replace("Input should", "must", 1), shown(value))
        unquoted = kind == "string_type" and not isinstance(value, dict | list | None)
        got = shown(value)
        bounds = {name: str(bound).removesuffix(".0") for name, bound in context.items()}
        return Finding(place, _RULES[kind].format_map(bounds), got, "put it in quotes" if unquoted else "")

    def _tag_finding(self, schema: Schema, place: Place, value: Any) -> Finding:
        choices, key = schema.get("choices", {}), schema.get("discriminator")
        tags = [str(getattr(tag, "value", tag)) for tag in choices]
        if isinstance(key, str) and isinstance(value, dict):
            if key not in value:
                if slips := [given for given in value if closest(given, [key])]:
                    return Finding(
                        (*place, slips[0]), f"unknown key {shown(slips[0])}", hint=f"did you mean {key!r}?", at_key=True
                    )
                return Finding((*place, key), f"is required: {_one_of(tags).removeprefix('must be ')}")
            return Finding((*place, key), _one_of(tags), shown(value[key]), self._other(schema, value[key], tags))
        if isinstance(value, dict) and "kind" in value:
            return Finding((*place, "kind"), _one_of(tags), shown(value["kind"]), self._other(schema, value["kind"], tags))
        if not isinstance(value, dict):
            return Finding(place, _one_of(tags), shown(value), did_you_mean(value, tags))
        fields = {tag: _fields(self._unwrap(choice)) for tag, choice in choices.items()}
        keys = [str(tag) for tag, known in fields.items() if tag in known] or tags
        # What any choice may have besides, such as a share, tells none from the others.
        telling = [key for key in value if not all(key in known for known in fields.values())]
        slips = [given for given in telling if closest(given, keys)] if not value.keys() & set(keys) else []
        if len(telling) == 1 or slips:
            given = (slips or telling)[0]
            return Finding((*place, given), f"unknown key {shown(given)}", hint=_suggest(given, keys, present={}), at_key=True)
        got = f"the keys {', '.join(value)}" if value else "none"
        return Finding(place, f"must have exactly one key, {_one_of(keys).removeprefix('must be ')}", got)

    def _other(self, schema: Schema, kind: object, tags: list[str]) -> str:
        """What an unknown kind may have been meant to be; of a part, also one that a file of the user's would define."""
        meant = did_you_mean(kind, tags)
        return meant or ("a part of your own needs --parts FILE" if any(each is schema for each in self._of_parts) else "")


NAME_RULE = "must be a name of at most 64 letters, digits, _ and -, a letter or a digit first"
_MAPPING = "must be a mapping (key: value)"
_RULES = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _MAPPING),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), "must be a list"),
    "string_type": "must be text",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} or fewer characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
}


def _by_first_part(errors: list[Error]) -> dict[str | int | None, list[Error]]:
    """Errors grouped by the first part of their location, with that part removed; `None` for an empty location."""
    groups: dict[str | int | None, list[Error]] = {}
    for rest, details in errors:
        groups.setdefault(rest[0] if rest else None, []).append((rest[1:], details))
    return groups


def _fields(schema: Schema) -> dict[str | int, Schema]:
    """Fields by the key that a file uses for them."""
    fields: dict[str | int, Schema] = {}
    for name, details in schema.get("fields", {}).items() if isinstance(schema.get("fields"), dict) else ():
        alias = details.get("validation_alias", name)
        fields[alias if isinstance(alias, str) else name] = details["schema"]
    return fields


def _one_of(names: list[str]) -> str:
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"must be one of {listed}" if len(names) > 1 else f"must be {listed}"


def _misspelt(part: str | int, schema: Schema, value: Any) -> bool:
    """Whether a key of a model that may have keys of any name, and whose value is none for such a key, is one of its own."""
    names = [str(name) for name in _fields(schema)]
    return bool(names) and isinstance(value, dict) and part in value and part not in names and bool(closest(part, names))


def _suggest(key: object, names: list[str], present: Mapping[str, Any]) -> str:
    near = closest(key, names)
    if len(near) == 1 and near[0] in present:
        # The key meant is given already; a suggestion of another key would be a guess.
        return f"{near[0]!r} is given already"
    absent = [name for name in names if name not in present]
    hint = did_you_mean(key, [name for name in near if name in absent] or absent)
    if not absent:
        beside = f"nothing may stand beside {' and '.join(map(repr, names))}"
        return beside if len(names) < 4 else "all keys that are allowed are given"
    return hint or f"allowed: {_one_of(absent).removeprefix('must be ').removeprefix('one of ')}"


def _count(schema: Schema, details: Mapping[str, Any]) -> str:
    """The required number of items or keys: both bounds, whichever is broken."""
    context = details["ctx"]
    least = schema.get("min_length", context.get("min_length") or 0)
    most = schema.get("max_length", context.get("max_length"))
    if schema.get("type") == "tuple" and schema.get("variadic_item_index") is None:
        least = most = len(schema["items_schema"])
    what = "key" if schema.get("type") == "dict" or context.get("field_type") == "Dictionary" else "item"
    if most is None:
        return f"{least} or more {what}s"
    if least == most:
        return f"exactly {least} {what}{'' if least == 1 else 's'}"
    return f"{least} to {most} {what}s" if least else f"{most} or fewer {what}s"


def _alternative(rule: str) -> str:
    """A rule as one of several of which one must hold, behind "must be".

    >>> _alternative("must be a number"), _alternative("must have exactly 2 items"), _alternative("must have 3 or more keys")
    ('a number', 'a list of exactly 2 items', 'a mapping of 3 or more keys')
    """
    of = {"item": "a list", "items": "a list", "key": "a mapping", "keys": "a mapping", "characters": "text"}
    if rule.startswith("must have ") and (what := of.get(rule.split()[-1])):
        return f"{what} of {rule.removeprefix('must have ')}"
    return rule.removeprefix("must be ")


def _lacks_items(schema: Schema, errors: list[Error], value: Any) -> bool:
    """Whether a list is shorter than the fixed number of items that it must have."""
    if schema.get("type") != "tuple" or not isinstance(value, list):
        return False
    return any(
        details["type"] == "missing" and len(rest) == 1 and isinstance(rest[0], int) and rest[0] >= len(value)
        for rest, details in errors
    )


def _miscounted(details: Mapping[str, Any], value: Any) -> bool:
    """Whether pydantic calls a list too short only because it dropped invalid items."""
    return bool(details["type"] == "too_short" and len(value) >= details["ctx"]["min_length"])
