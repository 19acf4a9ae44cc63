"""A live rehearsal in words: what was seen, what was predicted, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sim.live.alone import BLOCKS
from sim.live.check import Checked
from sim.live.compared import ERROR, Compared
from sim.live.watched import Unit
from sim.units import format_duration

_BUSY = 0.5

HEADS = ("arm", "what", "seen", "predicted", "median", "")


def rows(checked: Checked) -> Iterator[Sequence[str]]:
    """The cells of the table, below `HEADS`."""
    for each in checked.compared:
        arm = f"{each.arm or 'all'}{', copies' if each.copies else ''}"
        between = f"{_shown(each.lower, each.unit)} to {_shown(each.upper, each.unit)}"
        middle = _shown(each.middle, each.unit)
        yield arm, _what(each), _shown(each.seen, each.unit), between, middle, _agrees(each.agrees)
    share = f"{checked.verdict_share:.1%} of trials"
    yield "all", "verdict", checked.verdict, share, "", _agrees(checked.verdict_agrees)
    unlike = f"{checked.unlike} of {checked.read:,}"
    yield "all", "unlike the replay", unlike, "0", "0", _agrees(checked.unlike == 0)


def above(checked: Checked) -> list[str]:
    """What was played, in lines."""
    early = checked.lasted_s < checked.horizon_s
    lasted = f"{format_duration(checked.lasted_s)} of {format_duration(checked.horizon_s)}" if early else ""
    lines = [
        f"{checked.policy} of {checked.scenario}, live: {lasted or format_duration(checked.horizon_s)} in real time, a tick of "
        f"{format_duration(checked.tick_s)}, {checked.rate_per_s:.3g} requests/s on average"
    ]
    for arm in checked.arms:
        alone = ", ".join(
            f"p{100 * level:g} {_shown(value, 's')}" for level, value in zip(arm.levels, arm.values_s, strict=True)
        )
        lines.append(
            f"{arm.arm} ({arm.uri}) alone: {alone}; {arm.calls} calls, {arm.failed} failed; the machine's speed varies by "
            f"{arm.speed_sd:.1%}"
        )
    return lines


def below(checked: Checked) -> list[str]:
    """How the intervals come about, and what follows, in lines."""
    differing = sum(not each.agrees for each in checked.compared) + (not checked.verdict_agrees) + (checked.unlike > 0)
    found = "everything is as simulated, within error" if checked.agrees else f"{differing} differ from what is simulated"
    busiest = max(checked.arms, key=lambda arm: arm.used)
    wide = [
        f"{busiest.arm}'s server is in use {busiest.used:.0%} of the time if it answers one call at a time, so calls may wait: "
        "the bounds of latencies are wide. A lower --rate tells more."
    ]  # fmt: skip
    return [
        found,
        *(wide if busiest.used > _BUSY else []),
        f"Intervals hold together with {1 - ERROR:.0%} if the simulation is right: each of {checked.comparisons} has "
        f"{1 - ERROR / checked.comparisons:.3%}, from {checked.replications:,} simulated rehearsals each with servers that "
        "answer one call at a time and with servers that answer any number.",
        f"They take the servers as {BLOCKS} blocks of calls alone show them, with what so few leave open; rows of the data are "
        f"all there is. Requests were sent at most {1000 * checked.late_s:.0f} ms late.",
    ]


def to_dict(checked: Checked) -> dict[str, Any]:
    """All of it, for JSON: seconds, shares and counts; None for what is not known or has no bound."""
    told = {**asdict(checked), "agrees": checked.agrees, "error": ERROR, "comparisons": checked.comparisons}
    found: dict[str, Any] = _finite(told)
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _what(each: Compared) -> str:
    return f"latency {each.what}" if each.unit == "s" else f"{each.what}{' of requests' if each.what == 'share' else ''}"


def _agrees(agrees: bool) -> str:
    return "agrees" if agrees else "DIFFERS"


def _shown(value: float, unit: Unit) -> str:
    if math.isnan(value):
        return "none"
    if math.isinf(value):
        return "any"
    if unit == "s":
        return f"{1000 * value:.3g} ms"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.0f}" if unit == "count" else f"{value:.4g}"
