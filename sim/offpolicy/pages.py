"""An evaluation of a log as text."""

from __future__ import annotations

from collections.abc import Sequence

from sim.offpolicy.evaluating import ESTIMATORS, Evaluated, Evaluation, Value

_HEADINGS = ("policy", "estimator", "mean reward", "95% normal", "95% bootstrap", "n effective")


def to_text(found: Evaluation) -> str:
    """The table, differences to the first policy, and what to know of them."""
    logged = found.logged
    lines = [f"{found.rows:,} rows; the log itself earned {logged.value:.6g} a row {_between(logged.normal)}", ""]
    rows = [row for policy in found.each for row in _rows(policy, policy.values, _size(policy))]
    lines += _table([_HEADINGS, *rows])
    others = [policy for policy in found.each[1:] if policy.differences]
    if others:
        lines += ["", f"less {found.each[0].name}, on the same rows:", ""]
        headings = (*_HEADINGS[:2], "difference", *_HEADINGS[3:5], "")
        lines += _table([headings, *(row for policy in others for row in _rows(policy, policy.differences, ""))])
    adapts = [policy.name for policy in found.each if policy.adapts]
    lines.append("")
    for policy in found.each:
        shares = ", ".join(f"{arm} {share:.1%}" for arm, share in zip(found.arms, policy.shares, strict=True))
        lines.append(f"{policy.name}: a replay accepts {policy.accepted:,.0f} rows: {shares}")
    if adapts:
        lines.append(f"replay only, as its traffic may change with time or with what it sees: {', '.join(adapts)}")
    if any("replay" in policy.values for policy in found.each):
        lines.append("intervals of replay are of replays of resampled rows, those of the others of weighted rows")
    return "\n".join([*lines, *(f"doubt: {note}" for note in found.notes)])


def _size(policy: Evaluated) -> str:
    return f"{policy.effective_size:,.0f}"


def _rows(policy: Evaluated, values: dict[str, Value], last: str) -> list[tuple[str, ...]]:
    return [
        (policy.name, name, f"{value.value:.6g}", _between(value.normal), _between(value.bootstrap), last)
        for name in ESTIMATORS
        if (value := values.get(name)) is not None
    ]


def _between(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.6g}, {interval[1]:.6g}]"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
