"""What the settings beside the present ones would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.assess.figures import Row, as_dict, row_of
from sim.assess.playing import Case, Releases, Watch, planned, play
from sim.assess.question import SAME, Question, Worse
from sim.assess.rollout import Rollout
from sim.assess.settings import Setting, Value, settings_of
from sim.errors import InputError
from sim.stats.intervals import Estimate, mean_interval

REPLICATIONS = 1_000
"""How many releases neighbouring settings are played with, at most."""


@dataclass(frozen=True)
class Beside:
    """A setting and what it does: to a version that is no worse, and to the `tried` one. takes_s: until a good one is shipped.

    The present settings have no `setting`.
    """

    setting: str
    now: str
    value: str
    same: Row
    tried: Row
    takes_s: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The same as data."""
        names = {"setting": self.setting, "now": self.now, "value": self.value}
        found = {
            "false_abort": self.same.back, "false_pause": self.same.paused, "caught": self.tried.back,
            "time_to_catch_p95_s": self.tried.most, "bad_answers": self.tried.bad, "time_to_ship_s": self.takes_s,
        }  # fmt: skip
        return names | {name: as_dict(each) for name, each in found.items()}


def playable(rollout: Rollout, seed: int) -> bool:
    """Whether a rollout that was turned can be played at all."""
    try:
        planned(Case(rollout, SAME), 1, seed)
    except InputError:
        return False
    return True


def besides(
    rollout: Rollout, tried: Worse, question: Question, replications: int, workers: int | None, watch: Watch | None
) -> tuple[Beside, ...]:
    """The present settings, and each setting turned to its nearest values, all with the same seeds."""
    turned: list[tuple[Setting | None, Value]] = [(None, Value("", 0, rollout))]
    for setting in settings_of(rollout):
        turned += [(setting, value) for value in setting.values if value.steps == 1 and playable(value.rollout, question.seed)]
    cases = [Case(value.rollout, worse, question.rate_per_s) for _, value in turned for worse in (SAME, tried)]
    played = play(cases, min(replications, REPLICATIONS), question.seed, workers, watch)
    return tuple(
        Beside(
            setting.label if setting else "", setting.now if setting else "", value.text,
            row_of(SAME, played[2 * at]), row_of(tried, played[2 * at + 1]), _shipping(played[2 * at]),
        )
        for at, (setting, value) in enumerate(turned)
    )  # fmt: skip


def tried_of(rows: Sequence[Row], question: Question) -> Worse:
    """The version that neighbours are compared by: that of a wish, or the least that is surely caught, or the worst."""
    if question.wanted.catch:
        return question.wanted.catch[0].worse
    return next((row.worse for row in rows[1:] if (row.back.lower or 0.0) >= 0.95), rows[-1].worse)


def _shipping(releases: Releases) -> Estimate:
    return mean_interval(releases.end_s[releases.shipped & np.isfinite(releases.end_s)])
