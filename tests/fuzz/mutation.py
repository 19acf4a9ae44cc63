"""Changed files: bytes that are flipped, and values that are put where others stood."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 10**18, 2**63, 10**299, 10**399, -(10**300), 0.1, 1e-300, 1e300, 5e-324, -0.0, float("nan"), float("inf"),
    "", " ", "0", "nan", "~", "1e308/ms", "1e-300s", "3000d", "9999w", "0s", "1ns", "1e12", "100%", "0%", "-100%", "1e6",
    "101%", "40%", "1/s", "1e-9/w", "24:00", "23:59", "challenger", "champion", "conversion", "latency", "error_rate",
    "primary", "secondary", "models:/a@b", "x" * 3000, "é\u202e", "a.b[0]", "../../etc/passwd", "null\x00",
    None, True, False, [], {}, [[]], {"": 1}, {"a": {"b": {"c": 1}}}, [1] * 70, {"normal": {"mean": 0, "sd": 1e12}},
    {"lognormal": {"median": "1e-300s", "p99": "9w"}}, {"lognormal": {"median": 1e-12, "p99": 1e12}}, {"constant": "1e-9s"},
)  # fmt: skip
"""Values at the edges of what keys take, and beyond them."""

Place = tuple[Any, ...]


def places(data: Any, place: Place = ()) -> Iterator[Place]:
    """Every place in a tree of mappings and lists, the top left out."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


def at(data: Any, place: Place) -> Any:
    """The value at a place."""
    for part in place:
        data = data[part]
    return data


def path(place: Place) -> str:
    """A place as a sweep writes it."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def values_changed(random: Random, data: dict[str, Any], donors: list[Any]) -> dict[str, Any]:
    """A copy of a tree in which one to four things are changed; `donors` are trees that values are taken from."""
    changed = copy.deepcopy(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        there = list(places(changed))
        if not there:
            return changed
        place = random.choice(there)
        above, key = at(changed, place[:-1]), place[-1]
        kind = random.randrange(8)
        if kind == 0:
            del above[key]
        elif kind == 1 and isinstance(above, list):
            above.insert(key, copy.deepcopy(above[key]))
        elif kind == 2 and isinstance(above, dict):
            name = str(key)
            cut = random.randrange(len(name) + 1)
            above[name[:cut] + random.choice("aex_. ") + name[cut + random.randrange(2) :]] = above.pop(key)
        elif kind == 3:
            new = [copy.deepcopy(_value(random, donors)) for _ in range(random.choice((1, 2, 2, 3)))]
            changed.setdefault("sweep", {})
            if isinstance(changed["sweep"], dict):
                changed["sweep"][path(place)] = new
        elif kind == 4:
            other = random.choice(there)
            above[key] = copy.deepcopy(at(data, other) if _has(data, other) else None)
        else:
            above[key] = copy.deepcopy(_value(random, donors))
    return changed


def _has(data: Any, place: Place) -> bool:
    try:
        at(data, place)
    except (LookupError, TypeError):
        return False
    return True


def _value(random: Random, donors: list[Any]) -> Any:
    if random.random() < 0.6:
        return random.choice(HOSTILE)
    donor = random.choice(donors)
    return at(donor, random.choice(list(places(donor))))


def bytes_changed(random: Random, text: bytes) -> bytes:
    """A copy of a file with one to eight changes: bytes replaced, cut out, written twice, or taken from another place."""
    changed = bytearray(text)
    for _ in range(random.choice((1, 1, 2, 8))):
        first = random.randrange(len(changed) + 1)
        last = min(len(changed), first + random.choice((1, 1, 2, 8, 64)))
        kind = random.randrange(4)
        if kind == 0:
            changed[first:last] = bytes(
                random.choice((random.randrange(256), *b":-{}[],\"'#&*!|>%@ \n\t\x00\xff0")) for _ in range(1)
            )
        elif kind == 1:
            del changed[first:last]
        elif kind == 2:
            changed[first:first] = changed[first:last] * random.choice((1, 2, 50))
        else:
            other = random.randrange(len(changed) + 1)
            changed[first:last] = changed[other : other + last - first]
    return bytes(changed)


def written(data: Any) -> bytes:
    """A tree as a YAML file, on one line."""
    text = json.dumps(data, ensure_ascii=False)
    return text.replace("NaN", ".nan").replace("Infinity", ".inf").encode("utf-8", "surrogatepass")
