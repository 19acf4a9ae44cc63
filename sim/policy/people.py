"""People in a rollout: how long they take, and when they are at work."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sim.arrays import Floats, Ints
from sim.distributions.drawing import drawn
from sim.distributions.latency import Latency
from sim.policy.hours import Hours
from sim.policy.setting import DeclaredSetting
from sim.policy.telling import plain


class Reaction(BaseModel):
    """How long it takes from when something is asked for until it is done.

    The delay counts only within `hours`: what is asked for at night begins in the morning, and what is not done by evening goes
    on the next morning. Without a delay it is done at once, as soon as somebody is there.

    >>> Reaction.model_validate({"delay": {"constant": "90s"}}).told()
    'constant 90s later'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay: Latency | None = Field(None, description="how long it takes from when it is asked for; no time at all if left out")
    hours: Hours | None = Field(None, description="when people are at work, and only then the delay counts; always if left out")

    def due(self, asked: Ints, uniform: Floats, setting: DeclaredSetting) -> Ints:
        """(r,) the tick from which on it is done, of what is asked for at the start of ticks `asked` (r,).

        `uniform` (r,) between 0 and 1 draws the delay. What is done after the horizon is done in the first tick after it.

        >>> setting = DeclaredSetting(("a", "b"), 1, 1000, 600.0, "m", {})
        >>> nine_to_five = {"delay": {"constant": "30m"}, "hours": {"between": ("09:00", "17:00")}}
        >>> Reaction.model_validate(nine_to_five).due(np.array([0, 101]), np.full(2, 0.5), setting).tolist()
        [57, 200]
        """
        delay_s = np.zeros(asked.size) if self.delay is None else drawn(self.delay, uniform)
        # Longer than the horizon is never, however much longer it is.
        delay_s = np.asarray(np.minimum(delay_s, setting.ticks * setting.tick_s), np.float64)
        start_s = np.asarray(setting.start_s + asked * setting.tick_s, np.float64)
        done_s = start_s + delay_s if self.hours is None else self.hours.after(start_s, delay_s)
        ticks = np.ceil(np.round((done_s - setting.start_s) / setting.tick_s, 9))
        return np.minimum(ticks, setting.ticks + 1).astype(np.int64)

    def told(self) -> str:
        """The reaction in words: how much later it is done."""
        later = "at once" if self.delay is None else f"{plain(self.delay.model_dump(mode='json', exclude_none=True))} later"
        return later if self.hours is None else f"{later} by people who work{self.hours.when()}"
