"""What a trial was worth: its net value against keeping the champion for ever, to the end of the verdict's lifetime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats
from sim.policy.hours import DAY_S
from sim.run.record import ValueRecord
from sim.scenario.value import priced

Columns = Mapping[str, NDArray[Any]]


def net_value(value: ValueRecord, horizon_s: float, trials: Columns, alone: Columns | None) -> Floats:
    """(n,) what each trial gave more than keeping the champion for ever, less what the rollout cost.

    `trials` are the columns of one policy by ascending replication, `alone` those of one that keeps the champion. Where
    requests compete, what they lose and how they fail is taken as the difference to `alone`; NaN without it.
    """
    found = within(value, trials, alone) + (value.lifetime_s - horizon_s) / DAY_S * afterwards(value, trials)
    return found - rollout_costs(value, horizon_s, trials)


def within(value: ValueRecord, trials: Columns, alone: Columns | None) -> Floats:
    """(n,) what live requests gave more by the horizon."""
    if not value.competing:
        return priced(value, trials["gain"], trials["failed_more"], trials["slow_more"])
    if alone is None:
        return np.full(trials["replication"].size, np.nan)
    place = np.searchsorted(alone["replication"], trials["replication"]).clip(max=alone["replication"].size - 1)
    paired = alone["replication"][place] == trials["replication"]

    def more(name: str) -> Floats:
        difference: Floats = trials[name] - alone[name][place].astype(np.float64)
        return np.where(paired, difference, np.nan)

    errors, lost = more("errors"), more("lost_requests")
    # Lost requests are among the errors, and errors among the violations.
    return priced(value, more("gain"), errors - lost, more("slo_violations") - errors) - value.per_lost * lost


def afterwards(value: ValueRecord, trials: Columns) -> Floats:
    """(n,) what each day after the horizon gives more, with the arm that the trial left serving."""
    return priced(value, trials["gain_per_day"], trials["failed_more_per_day"], trials["slow_more_per_day"])


def rollout_costs(value: ValueRecord, horizon_s: float, trials: Columns) -> Floats:
    """(n,) what coming to the verdict cost, beside what requests gave."""
    running = np.fmin(trials["time_to_end_s"], horizon_s) / DAY_S
    waiting = np.fmin(trials["time_to_decision_s"], horizon_s) / DAY_S
    shipped = trials["verdict"] == "ship"
    rolled_back = ~shipped & (trials["peak_exposure"] > 0)
    costs: Floats = value.per_day * running + value.delay * waiting
    costs = costs + value.per_ship * shipped + value.per_rollback * rolled_back
    # Runs of earlier versions do not say how often writes were duplicated: nothing wrote.
    costs = costs + value.per_duplicate * np.nan_to_num(trials["duplicated_writes"].astype(np.float64))
    return costs
