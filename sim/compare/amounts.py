"""What the numbers of a measure are in: shares, seconds, requests, units of the primary metric, or money."""

from __future__ import annotations

from sim.compare.memo import unit_of
from sim.compare.result import MeasureLabel
from sim.run.record import Record

# Amounts at the prices of `value`; all others are of the primary metric.
_PRICED = ("net_value", "net_value_worst", "value_lost", "value_lost_cvar95")
_RATIOS = ("exaggeration",)
_PER_1000 = ("regret_per_1000",)


def measured_in(name: str, measure: MeasureLabel, run: Record) -> str:
    """The unit of a measure in a run: share (of 1), s, requests, users, count, ratio, the primary metric or a currency.

    >>> from sim.run.record import Primary
    >>> run = Record.model_construct(primary=Primary(name="sale", sign=1), value=None)
    >>> amount, share = MeasureLabel("", "value", "lower", ""), MeasureLabel("", "share", "lower", "")
    >>> measured_in("regret", amount, run), measured_in("exaggeration", amount, run), measured_in("ship", share, run)
    ('sale', 'ratio', 'share')
    """
    if measure.unit != "value":
        return measure.unit
    if name in _RATIOS:
        return "ratio"
    if name in _PRICED:
        return unit_of(run)
    return f"{run.primary.name} per 1,000 requests" if name in _PER_1000 else run.primary.name
