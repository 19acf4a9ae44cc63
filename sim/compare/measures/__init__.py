"""What is measured of a policy: estimators over its trials. A new one goes into the file of its question."""

from __future__ import annotations

from sim.compare.measures.estimates import ESTIMATES
from sim.compare.measures.offline import OFFLINE
from sim.compare.measures.people import PEOPLE
from sim.compare.measures.times import TIMES
from sim.compare.measures.traffic import TRAFFIC
from sim.compare.measures.value import VALUE
from sim.compare.measures.verdicts import VERDICTS

MEASURES = {
    measure.name: measure for group in (VERDICTS, TIMES, PEOPLE, VALUE, TRAFFIC, ESTIMATES, OFFLINE) for measure in group
}
"""The measures by name, in the order of reports."""

_OF_RELEASES = {
    "wrong_ship": "bad release shipped",
    "no_better_if_shipped": "bad, if shipped",
    "missed_win": "healthy, not shipped",
    "false_rollback": "healthy, rolled back",
    "bad_ship_effect": "how bad, if bad is shipped",
    "time_to_keep_if_worse": "time to roll a bad one back",
    "time_to_detect_if_worse": "time to detect a bad one",
}


def label_of(measure: str, goal: str) -> str:
    """What a measure is called where the goal is `better` or `not_worse`.

    >>> label_of("missed_win", "better"), label_of("missed_win", "not_worse"), label_of("regret", "not_worse")
    ('missed win', 'healthy, not shipped', 'regret')
    """
    own = MEASURES[measure].label
    return _OF_RELEASES.get(measure, own) if goal == "not_worse" else own


__all__ = ["MEASURES", "label_of"]
