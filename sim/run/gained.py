"""What a policy gave more than the champion alone would have, in a trial, and what it leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.ledger import Ledger
from sim.policy.base import Verdict
from sim.policy.hours import DAY_S
from sim.policy.machine import Verdicts
from sim.scenario.value import priced
from sim.world.world import Truth


def gained(truth: Truth, verdicts: Verdicts, ledger: Ledger) -> dict[str, NDArray[Any]]:
    """What the policy gave more than the champion alone: by the horizon, and in every day after it, at the prices of metrics.

    Columns (R,) of trials.parquet. best_value is what the acceptable arm that gives most by the end of the verdict's lifetime
    would give if it were shipped at once, less what shipping costs; 0 where that is the champion.
    """
    world, value = truth.world, truth.world.value
    assert world.usual is not None
    per_day, rows = world.usual.per_day(truth), np.arange(truth.rows)
    arrived = np.concatenate([np.zeros((truth.rows, 1), np.int64), ledger.arrived], axis=1)
    days_after = (value.lasts(world.horizon_s) - world.horizon_s) / DAY_S
    by_arm = priced(value, *truth.worths.gained(arrived)) + days_after * priced(value, *per_day)
    by_arm[:, 1:] -= value.per_ship
    # What is undecided at the horizon ends there, and the champion serves on.
    left = np.where(verdicts.verdict == Verdict.SHIP, verdicts.arm, 0)
    gain, failed, slow = per_day[:, rows, left]
    return {
        "gain": ledger.gain,
        "failed_more": ledger.failed_more,
        "slow_more": ledger.slow_more,
        "gain_per_day": gain,
        "failed_more_per_day": failed,
        "slow_more_per_day": slow,
        "best_value": np.where(truth.worths.overall.acceptable, by_arm, 0.0).max(axis=1),
    }
