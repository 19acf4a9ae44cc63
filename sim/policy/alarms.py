"""Alarms of a rollout: which looks call people, and when people no longer come because too many did."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sim.arrays import Bools, Ints
from sim.policy.hours import WEEK_S
from sim.policy.setting import DeclaredSetting
from sim.policy.telling import counted
from sim.units import Duration, format_duration

_NEVER = -(2**40)


class Muting(BaseModel):
    """From how many alarms on people no longer heed what the next one says: alert fatigue.

    An outcome is heeded when it is found, if fewer than `after` alarms of the policy rang in the time `within` before it. Else
    it is heeded as soon as that is so, when the first of the last `after` is `within` old. A reaction begins only then.

    Source: Beyer et al., Site Reliability Engineering (2016), ch. 11, on how many incidents a shift can take, and The Site
    Reliability Workbook (2018), ch. 8; what people do beyond that is modelled here as the simplest rule there is.

    >>> Muting(after=10).told()
    'nobody heeds an outcome while 10 alarms rang in the 7d before it'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: int = Field(ge=1, le=1000, description="so many alarms are heeded, and while so many are recent no outcome is")
    within: Duration = Field(WEEK_S, description="for how long an alarm counts, a rolling time back")

    def told(self) -> str:
        """The rule in words."""
        rang = f"{counted(self.after, 'alarm')} rang in the {format_duration(self.within)} before it"
        return f"nobody heeds an outcome while {rang}"


class Alarms:
    """The alarms that rang in each of R replications: how many, and when the last `kept` of them did."""

    def __init__(self, replications: int, kept: int) -> None:
        self.number: Ints = np.zeros(replications, np.int64)
        self._ticks: Ints = np.full((replications, kept), _NEVER, np.int64)

    def ring(self, rows: Ints, times: Ints, done: int) -> None:
        """Some alarms `times` (r,) of replications (r,) rang in the tick that ended, after `done` ticks."""
        kept = self._ticks.shape[1]
        if kept == 0:
            self.number[rows] += times
            return
        for each in range(int(times.max(initial=0))):
            rang = rows[times > each]
            self._ticks[rang, self.number[rang] % kept] = done
            self.number[rang] += 1

    def heeded(self, muting: Muting, rows: Ints, done: int, setting: DeclaredSetting) -> Ints:
        """(r,) the tick from which on an outcome that is found after `done` ticks is heeded: `done`, or later.

        Alarms of the tick itself are those that tell of the outcome, and must not have been told to `ring` yet.

        >>> from sim.testing.settings import make_setting
        >>> alarms, everyone = Alarms(2, 2), np.arange(2)
        >>> alarms.ring(everyone, np.array([1, 2]), 1)
        >>> alarms.heeded(Muting(after=2, within=6000.0), everyone, 5, make_setting(replications=2)).tolist()
        [5, 11]
        """
        kept = self._ticks.shape[1]
        too_many = self._ticks[rows, (self.number[rows] - muting.after) % kept]
        heard: Ints = np.maximum(too_many + setting.ticks_of(muting.within), done)
        return heard


def rang_of(rings: Bools, arms_in: Bools) -> Bools:
    """(r,) whether a check rang for any challenger still in; it calls people once, however many it tells of.

    >>> rang_of(np.array([[True, False, True]]), np.array([[True, True, False]])).tolist()
    [False]
    """
    return np.asarray((rings & arms_in)[:, 1:].any(axis=1))
