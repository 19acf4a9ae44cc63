"""Names as MLflow takes them, made from names that anyone may have chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 120


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Each name with only letters, digits, `_`, `.` and `-`, 1 to 120 of them; different names stay different.

    MLflow may treat a metric's name as a path, so that `/` and a leading dot are not let through.

    >>> safe_names(["ab", "a/b", "a b", ".."])
    {'ab': 'ab', 'a/b': 'a_b', 'a b': 'a_b-2', '..': '_.'}
    """
    safe: dict[str, str] = {}
    # Some stores ignore case: names must differ in more than case.
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = re.sub(r"^\.|[^A-Za-z0-9_.-]", "_", name)[:_LONGEST] or "_"
        chosen, number = plain, 1
        while chosen.lower() in taken:
            number += 1
            chosen = f"{plain}-{number}"
        taken.add(chosen.lower())
        safe[name] = chosen
    return safe
