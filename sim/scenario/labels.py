"""What a value, and a point of a sweep, is called: in errors, tables and charts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

JOINT = " × "
"""The separator between the two values of a point of two keys."""
_MOST_LISTED = 50


def text_of(value: Any) -> str:
    """A value as people write it in a file.

    >>> text_of("4%"), text_of(0.5), text_of({"normal": {"mean": "0%"}})
    ('4%', '0.5', '{normal: {mean: 0%}}')
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, dict | list):
        return json.dumps(value)
    # A reader of a run folder needs the separator, and no YAML.
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf).strip()


def summed(texts: Sequence[str]) -> str:
    """The values of a key in one text; of many, how many there are, with the first and the last.

    >>> summed(["1/s", "2/s"]), summed([f"{rate}/s" for rate in range(1, 2001)])
    ('1/s, 2/s', '2,000 values from 1/s to 2000/s')
    """
    return ", ".join(texts) if len(texts) <= _MOST_LISTED else f"{len(texts):,} values from {texts[0]} to {texts[-1]}"
