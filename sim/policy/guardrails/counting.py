"""What the looks of a threshold check add up to: when an arm is stopped, in doubt, or has passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Bools, Ints
from sim.policy.base import Finding
from sim.policy.setting import Setting
from sim.policy.telling import counted

# As NumPy's scalars, so that findings are integers of 8 bits from the start.
_GOING, _PASS, _FAIL, _DOUBT = (np.int8(each) for each in (Finding.UNDECIDED, Finding.PASS, Finding.FAIL, Finding.INCONCLUSIVE))


@dataclass(frozen=True)
class Looks:
    """The looks of a tick, (r, K) each: failed, good, in doubt. A look without data that is skipped is none of them.

    `doubt` is None where no look can be in doubt.
    """

    bad: Bools
    good: Bools
    doubt: Bools | None = None

    def told(self) -> Bools:
        """(r, K) whether there was a look that said something."""
        told: Bools = self.bad | self.good
        return told if self.doubt is None else told | self.doubt


class Counting(BaseModel):
    """The keys that say what failed looks, looks in doubt and good looks add up to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trip: int = Field(1, ge=1, description="failed looks that stop the arm")
    consecutive: bool = Field(False, description="a good look sets the counts of looks that failed or are in doubt back to 0")
    of: int | None = Field(None, ge=1, description="`trip` counts the last so many looks only: trip: 3 with of: 5 is 3 of 5")
    doubt_trip: int = Field(1, ge=1, description="looks in doubt that make the arm inconclusive")
    pass_after: int | None = Field(
        None, ge=1, description="the check passes only after so many good looks in a row, and the stage waits for it"
    )
    report_only: bool = Field(False, description="it looks and counts, and stops nothing")

    @model_validator(mode="after")
    def _counts(self) -> Counting:
        if self.of is not None and self.consecutive:
            raise ValueError("consecutive counts looks in a row, and `of` the last ones: give one of them")
        if self.of is not None and self.trip > self.of:
            raise ValueError(f"trip must not exceed `of`, got {self.trip} of {self.of}")
        return self

    @property
    def waits(self) -> bool:
        """Whether what the evidence passes waits for good looks."""
        return self.pass_after is not None and not self.report_only

    @property
    def stops(self) -> bool:
        """Whether what it finds counts."""
        return not self.report_only

    def count_memory(self, setting: Setting, doubts: bool) -> dict[str, NDArray[Any]]:
        """The counts with which an arm starts a stage, (K,) each, and the last looks (of, K); of doubts only if it `doubts`."""
        arms = len(setting.arms)
        memory: dict[str, NDArray[Any]] = {
            "failed": np.zeros(arms, np.int64),  # failed looks
            "seen": np.zeros(arms, bool),  # whether any look could say something
            "poor": np.zeros(arms, bool),  # whether the last look was not good
            "bad": np.zeros(arms, bool),  # whether the last look failed
        }
        if doubts:
            memory["doubtful"] = np.zeros(arms, np.int64)  # looks in doubt
        if self.of is not None:
            memory["told"] = np.zeros(arms, np.int64)  # looks that could say something
            memory["recent"] = np.zeros((self.of, arms), bool)  # which of the last ones failed
        if self.pass_after is not None:
            memory["row"] = np.zeros(arms, np.int64)  # good looks in a row
        return memory

    def count(self, memory: dict[str, NDArray[Any]], looks: Looks, now: Bools) -> None:
        """Add the looks of a tick, in place. An arm that has passed by `pass_after` is counted no more.

        `now` (r,) says whether there is a look, with or without data.
        """
        memory["poor"][now] = ~looks.good[now]
        if self.pass_after is not None:
            looks = self._in_a_row(memory["row"], looks)
        memory["bad"][now] = looks.bad[now]
        failed, seen = memory["failed"], memory["seen"]
        told = looks.told()
        failed += looks.bad
        seen |= told
        if looks.doubt is not None:
            doubtful = memory["doubtful"]
            doubtful += looks.doubt
            if self.consecutive:
                doubtful[looks.good] = 0
        if self.of is not None:
            failed -= self._forgotten(memory["told"], memory["recent"], looks.bad, told)
        if self.consecutive:
            failed[looks.good] = 0

    def _in_a_row(self, row: Ints, looks: Looks) -> Looks:
        """The looks of the arms that have not passed; `row` (r, K), of good looks, goes on in place."""
        left = row < (self.pass_after or 0)
        bad, good = looks.bad & left, looks.good & left
        doubt = None if looks.doubt is None else looks.doubt & left
        row[bad if doubt is None else bad | doubt] = 0
        row += good
        return Looks(bad, good, doubt)

    def _forgotten(self, number: Ints, recent: Bools, bad: Bools, told: Bools) -> Bools:
        """(r, K) whether the look that leaves the last `of` had failed; the new one takes its place in `recent` (r, of, K)."""
        place = (number % recent.shape[1])[:, None]
        oldest = np.take_along_axis(recent, place, axis=1)
        np.put_along_axis(recent, place, np.where(told[:, None], bad[:, None], oldest), axis=1)
        number += told
        return np.asarray(oldest[:, 0] & told)

    def found(self, memory: dict[str, NDArray[Any]], over: Bools | None) -> NDArray[np.int8]:
        """(r, K) findings of the counts; `over` (r,) says that there will be no more looks, None that there always are."""
        if self.pass_after is None:
            held = np.where(memory["seen"], _PASS, _GOING)
        else:
            held = np.where(memory["row"] >= self.pass_after, _PASS, _GOING)
            if over is not None:
                held = np.where(over[:, None] & (held == _GOING), _DOUBT, held)
        if "doubtful" in memory:
            held = np.where(memory["doubtful"] >= self.doubt_trip, _DOUBT, held)
        return np.where(memory["failed"] >= self.trip, _FAIL, held)

    def good_lately(self, memory: dict[str, NDArray[Any]], over: Bools | None) -> Bools:
        """(r, K) whether the last look was good; also true where there is none yet, and where there will be no more of them."""
        good: Bools = ~memory["poor"]
        return good if over is None else good | over[:, None]

    def told_trip(self) -> str:
        """In how many looks an arm must fail, in words."""
        if self.of is not None and self.of > 1:
            return f"in {self.trip} of the last {counted(self.of, 'look')}"
        if self.trip == 1:
            return "in a look"
        return f"in {counted(self.trip, 'look')}{' in a row' if self.consecutive else ''}"
