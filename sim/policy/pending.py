"""Outcomes of stages that are found and not yet acted on: somebody must see them first, or a rollback takes its time."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Bools, Floats, Ints
from sim.policy.alarms import Muting
from sim.policy.people import Reaction


class Reactions(BaseModel):
    """How long it takes until what follows an outcome of a stage is done; at once where an outcome is left out.

    Until then all weights stay as they are, whatever the checks go on to find: nothing is rolled back before somebody or
    something acts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fail: Reaction | None = Field(
        None, description="after no arm passed: the time that a rollback takes, or an operator where the rollout only freezes"
    )
    inconclusive: Reaction | None = Field(None, description="after an inconclusive outcome: the time until somebody has looked")
    muting: Muting | None = Field(
        None, description="after too many alarms nobody heeds an outcome at first; every one is heeded if left out"
    )

    @model_validator(mode="after")
    def _of_people(self) -> Reactions:
        if self.muting is not None and self.fail is None and self.inconclusive is None:
            raise ValueError("muting delays what people do: needs fail, inconclusive or both; `fail: {}` is done at once")
        return self

    def told(self) -> str:
        """The reactions in words, as a sentence; empty without any."""
        said = [
            f"what {which} is acted on {reaction.told()}"
            for which, reaction in (("failed", self.fail), ("is in doubt", self.inconclusive))
            if reaction is not None
        ]
        muted = "" if self.muting is None else f"; {self.muting.told()}"
        return f"{', and '.join(said)}, and until then the weights stay{muted}" if said else ""


class Pending:
    """Which replications (R,) wait for a reaction, what follows then, and at which weights they wait."""

    def __init__(self, replications: int, arms: int, baseline: bool = False) -> None:
        self._due = np.full(replications, -1)
        self._target = np.full(replications, "", object)
        self._carried: Bools = np.zeros((replications, arms), bool)
        self._live, self._mirror, self._writes = np.zeros((3, replications, arms + baseline))
        self._rests: Bools = np.zeros(replications, bool)
        # What waits before any tick was routed leaves all traffic to the champion.
        self._live[:, 0] = 1

    def waits(self, rows: Ints) -> Bools:
        """(r,) whether these replications wait."""
        return np.asarray(self._due[rows] >= 0)

    def reacts(self, rows: Ints) -> Bools:
        """(r,) whether these replications wait for a reaction to an outcome, and not for another try."""
        return np.asarray(self.waits(rows) & ~self._rests[rows])

    def rest(self, rows: Ints, due: Ints, target: str) -> None:
        """Replications (r,) wait until ticks `due` (r,) for `target`, all arms on, and the champion serves everybody."""
        self.add(rows, due, target, np.ones((rows.size, self._carried.shape[1]), bool))
        self._rests[rows] = True
        self._live[rows], self._mirror[rows], self._writes[rows] = 0.0, 0.0, 0.0
        self._live[rows, 0] = 1.0

    def due(self, rows: Ints) -> Ints:
        """(r,) the tick in which those that wait are acted on; -1 of others."""
        return self._due[rows]

    def add(self, rows: Ints, due: Ints, target: str, carried: Bools) -> None:
        """Replications (r,) wait until ticks `due` (r,) for `target`, with the arms `carried` (r, K) on."""
        self._due[rows], self._target[rows], self._carried[rows] = due, target, carried

    def take(self, rows: Ints, done: int) -> list[tuple[str, Ints, Bools]]:
        """Of replications (r,) those that are acted on after `done` ticks, which then wait no more: by what follows."""
        ready = rows[self._due[rows] == done]
        targets = self._target[ready]
        self._due[ready], self._rests[ready] = -1, False
        return [
            (target, found, self._carried[found])
            for target in dict.fromkeys(targets)
            if (found := ready[targets == target]).size
        ]

    def hold(self, rows: Ints, *shares: Floats) -> None:
        """Set the shares of those that wait to what they were, and remember those of the others, in place.

        (r, K) each: of live traffic, of what is copied, and of what is copied of requests that write.
        """
        waits = self.waits(rows)
        for kept, now in zip((self._live, self._mirror, self._writes), shares, strict=True):
            now[waits] = kept[rows[waits]]
            kept[rows] = now
