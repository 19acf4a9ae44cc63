"""A setting relative to the champion's registered mean (`region: 1%`), or in the metric's unit (`width: 0.3`)."""

from __future__ import annotations

from sim.policy.adjust import AnyAdjust
from sim.policy.inference.comparison import nominal
from sim.policy.setting import Setting


def amount(share: float | None, absolute: float | None, setting: Setting, adjust: AnyAdjust | None = None) -> float:
    """The amount in the unit of the primary metric, or of the quantity that an adjustment compares.

    >>> from sim.policy.setting import Metric
    >>> setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, True, 1.0, 0.05, 0.2)})
    >>> amount(0.02, None, setting), amount(None, 0.3, setting)
    (0.001, 0.3)
    """
    if absolute is not None:
        return absolute
    return (share or 0.0) * abs(nominal(setting, adjust)[0])


def amount_problems(keys: tuple[str, str], share: float | None, absolute: float | None) -> list[tuple[str, str]]:
    """The rule that exactly one of share and amount is given: (key, message) pairs, none or one.

    `keys` are those of the share and of the amount in the metric's unit.

    >>> amount_problems(("region", "width"), None, None)
    [('region', "is required: a share of the champion's registered mean (or give `width`, in the metric's unit)")]
    """
    relative, plain = keys
    if share is not None and absolute is not None:
        return [(plain, f"and {relative} say the same in two ways: give one, got {absolute:g} and {share:g}")]
    if absolute is not None:
        return []
    if share is None:
        return [(relative, f"is required: a share of the champion's registered mean (or give `{plain}`, in the metric's unit)")]
    return []


def share_problems(
    keys: tuple[str, str], share: float | None, setting: Setting, adjust: AnyAdjust | None = None
) -> list[tuple[str, str]]:
    """The rule that a share, where one is given, is of a mean that is not 0: (key, message) pairs, none or one."""
    relative, plain = keys
    if share is not None and nominal(setting, adjust)[0] == 0:
        rule = f"is relative, and the champion's registered mean of {setting.primary} is 0"
        return [(relative, f"{rule}: give `{plain}` instead")]
    return []
