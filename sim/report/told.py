"""What was compared, and what it rests on: the words of `run.json` on each policy, and on the world that they met."""

from __future__ import annotations

from collections.abc import Sequence

from sim.compare.wording import listed
from sim.run.record import Record

MOST_POINTS = 3
"""Where a text differs between more points than this, only the first and the last are told."""
_MOST_LABELS = 12


def policies(run: Record) -> list[tuple[str, str, list[str]]]:
    """(name, kind, texts) of each policy: a text a stage. None of a run of an earlier version, which has no words.

    Where a text differs between points, each begins with its point.
    """
    told = []
    for place, policy in enumerate(run.policies):
        texts = _along(run, [point.run.policies[place].told for point in run.points])
        if texts:
            told.append((policy.name, policy.kind, texts))
    return told


def assumptions(run: Record) -> list[tuple[str, list[str]]]:
    """(what, texts) of each thing that is taken for given, as `policies`."""
    names = dict.fromkeys(name for point in run.points for name in point.run.assumptions)
    return [(name, _along(run, [_some(point.run.assumptions.get(name)) for point in run.points])) for name in names]


def _some(text: str | None) -> tuple[str, ...]:
    return () if text is None else (text,)


def _along(run: Record, by_point: Sequence[tuple[str, ...]]) -> list[str]:
    """The texts of all points, each once; with the labels of its points where they differ."""
    labels: dict[tuple[str, ...], list[str]] = {}
    for point, texts in zip(run.points, by_point, strict=True):
        labels.setdefault(texts, []).append(point.label)
    if len(labels) == 1:
        return list(next(iter(labels)))
    told = list(labels)
    if len(told) > MOST_POINTS:
        told = [told[0], ("…",), told[-1]]
    return [f"at {_where(labels[texts])}: {text}" if texts in labels else text for texts in told for text in texts]


def _where(labels: Sequence[str]) -> str:
    """Points in a sentence: all of some, and the first of many."""
    return ", ".join(labels) if len(labels) <= _MOST_LABELS else listed(labels)
