"""What offline scores alone would have chosen, beside the policy that is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sim.compare.measures import MEASURES
from sim.compare.trials import DECISIONS, Trials
from sim.compare.wording import with_interval
from sim.stats.intervals import proportion_interval


def offline_alone(chosen: Trials, trials: Mapping[str, Trials]) -> Iterator[str]:
    """A sentence where offline scores alone would have chosen otherwise than the policy that is taken; else none.

    The scores are those of the policy that is taken; where it has no offline stage, of the first policy that has one.
    """
    scored = next((each for each in (chosen, *trials.values()) if not np.isnan(each["offline_ships"]).all()), None)
    if scored is None or chosen.kind == "offline":
        return
    _, mine, other = np.intersect1d(chosen["replication"], scored["replication"], assume_unique=True, return_indices=True)
    decided = np.isin(chosen["verdict"][mine], DECISIONS)
    ships = scored["offline_ships"][other] == 1
    alike = np.where(
        chosen["verdict"][mine] == "ship",
        ships & (chosen["shipped_arm"][mine] == scored["offline_arm"][other]),
        ~ships,
    )
    otherwise = decided & ~alike
    if not otherwise.any():
        return
    found = with_interval(proportion_interval(float(otherwise.sum()), int(decided.sum())), "share")
    whose = "" if scored is chosen else f" (those of {scored.policy})"
    text = f"Offline scores alone{whose} would have chosen otherwise in {found} of the trials that it decides"
    wrong = MEASURES["offline_wrong_ship"].estimate(scored)
    if wrong.n:
        text += (
            f": they ship a challenger that is no better in {with_interval(wrong, 'share')} of the trials where there is one"
        )
    yield f"{text}."
