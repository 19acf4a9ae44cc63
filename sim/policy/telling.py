"""Words that parts use to tell what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from sim.units import format_share


def listed(texts: Sequence[str], word: str = "and") -> str:
    """Texts in a sentence.

    >>> listed(["ab"]), listed(["ab", "canary", "shadow"])
    ('ab', 'ab, canary and shadow')
    """
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def settings(part: BaseModel) -> str:
    """The kind of a part, and in brackets the settings that its file may give: the words of a part that has no own ones.

    >>> from sim.policy.evidence import Posterior
    >>> settings(Posterior(threshold="99%"))
    'posterior (threshold 99%, min_outcomes 100)'
    """
    given = part.model_dump(mode="json", exclude_none=True)
    kind = given.pop("kind", type(part).__name__)
    pairs = [f"{key} {plain(value)}" for key, value in given.items() if value not in ({}, [])]
    return f"{kind} ({', '.join(pairs)})" if pairs else str(kind)


def plain(value: Any) -> str:
    """Data of a file in words.

    >>> plain({"lognormal": {"median": "45ms", "p99": "180ms"}})
    'lognormal median 45ms and p99 180ms'
    """
    if isinstance(value, dict):
        return listed([f"{key} {plain(each)}" for key, each in value.items()])
    if isinstance(value, list):
        return listed([plain(each) for each in value])
    return f"{value:g}" if isinstance(value, float) else str(value)


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "look"), counted(2000, "outcome")
    ('1 look', '2,000 outcomes')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def least(floor: float) -> str:
    """The floor of an allocation, as the end of a sentence; empty without one."""
    return f", and no arm less than {format_share(floor)}" if floor else ""


def compared(adjust: BaseModel | None, tally: str | None) -> str:
    """How outcomes are compared where that is not the usual way, as the end of a sentence."""
    adjusted = f", adjusted by {settings(adjust)}" if adjust is not None else ""
    return adjusted + (", comparing totals" if tally == "pooled" else "")
