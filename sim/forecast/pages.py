"""A forecast as text and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sim.forecast.forecasting import Estimate, Forecast, Way
from sim.units import format_duration, format_effect

_HEADINGS = ("way to go on", "right ship", "wrong ship", "rolled back", "open", "half by", "95% by", "value from now")


def to_text(found: Forecast) -> str:
    """Where the rollout is, what is believed, the ways to go on, and what to know of them."""
    rows = [_HEADINGS, *(_row(way) for way in found.ways)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADINGS))]
    table = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*_head(found), "", *table, "", *_foot(found)])


def to_markdown(found: Forecast) -> str:
    """The same as Markdown, for a pull request or a chat."""
    head, *rest = _head(found)
    lines = [f"**{_safe(head)}**", "", *(f"- {_safe(line)}" for line in rest), ""]
    lines += [_cells(_HEADINGS), _cells(["---"] * len(_HEADINGS)), *(_cells(_row(way)) for way in found.ways), ""]
    return "\n".join([*lines, *(f"- {_safe(line)}" for line in _foot(found))]) + "\n"


def _head(found: Forecast) -> Iterator[str]:
    look, horizon = format_duration(found.look_s), format_duration(found.horizon_s)
    requests = ", ".join(f"{arm} {count:,}" for arm, count in found.requests)
    yield f"{found.scenario}: {found.policy} after {look} of {horizon}; requests seen: {requests}"
    for each in found.believed:
        if not each.informed:
            yield f"{each.metric} of {each.arm}: the table says nothing of it; as before, {_effect(each.mean)} ± {each.sd:.2%}"
            continue
        interval = f"95% {_effect(each.lower)} to {_effect(each.upper)}"
        before = f"before, {_effect(each.prior_mean)} ± {each.prior_sd:.2%}"
        yield f"{each.metric} of {each.arm}: {_effect(each.mean)} ({interval}); {before}"
    for arm, share in found.better:
        yield f"{arm} is better than the champion with a chance of {_percent(share)}"


def _foot(found: Forecast) -> Iterator[str]:
    if found.predictive_power is not None:
        power = _percent(found.predictive_power)
        yield f"predictive power: {power}, the chance that {found.policy} as planned declares a challenger better from now on"
    unit = found.unit
    yield f"value of waiting: {_amount(found.waiting)} {unit}, as planned against the better way to stop now"
    lifetime = format_duration(found.lifetime_s)
    yield f"value: {unit} from now until {lifetime} after the start, more than the champion alone would give, less costs"
    yield (
        f"{found.replications:,} rehearsals from the posterior of {found.size:,.0f} effective candidates; ± are "
        "standard errors of the simulation"
    )
    yield from (
        f"the champion is taken to be as the scenario says: {fit.name} {fit.expected:.5g}; in the table {fit.seen:.5g}, "
        f"{abs(fit.z):.1f} standard errors from it" for fit in found.champion
    )  # fmt: skip
    yield from (f"left out: {name}: {why}" for name, why in found.left_out)
    yield from (f"doubt: {doubt}" for doubt in found.doubts)


def _row(way: Way) -> tuple[str, ...]:
    shares = (way.right_ship, way.wrong_ship, way.rolled_back, way.open)
    return (
        way.told, *(_percent(share) for share in shares), _time(way.half_by_s), _time(way.most_by_s), _amount(way.value)
    )  # fmt: skip


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} ± {share.se:.1%}"


def _amount(value: Estimate) -> str:
    return f"{_short(value.value)} ± {_short(value.se)}"


def _short(number: float) -> str:
    """Three digits, with k or M.

    >>> _short(1234567.0), _short(-1234.0), _short(0.5)
    ('1.23M', '-1.23k', '0.5')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _time(seconds: float) -> str:
    if math.isinf(seconds):
        return "never"
    if seconds == 0:
        return "now"
    size, letter = next(
        ((size, letter) for size, letter in ((86400, "d"), (3600, "h"), (60, "m")) if seconds >= size), (1, "s")
    )
    return f"{seconds / size:.3g} {letter}"


def _effect(effect: float) -> str:
    return format_effect(float(f"{effect:.3g}") + 0.0)


def _cells(row: Sequence[str]) -> str:
    return f"| {' | '.join(_safe(cell) for cell in row)} |"


def _safe(text: str) -> str:
    """Text without power over Markdown: names are of files."""
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("\n", " ")
