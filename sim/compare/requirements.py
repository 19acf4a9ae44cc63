"""Requirements: rules such as `wrong_ship: "< 5%"` that a policy must be shown to meet to be recommended."""

from __future__ import annotations

from collections.abc import Mapping

from sim.compare.measures import MEASURES
from sim.compare.rules import Rule, parse
from sim.compare.trials import Trials
from sim.compare.wording import with_interval
from sim.stats.intervals import Estimate


def unmet(require: Mapping[str, str], trials: Trials, *, in_doubt: bool = False) -> tuple[str, ...]:
    """The requirements that a policy is not shown to meet, each with its estimate; none of those for other policies.

    A requirement is shown to be met where the whole 95% interval meets it, and where no trial is a case of it. With `in_doubt`
    a policy is given the benefit of it: only what it is shown to break counts.
    """
    found = []
    for key, rule in require.items():
        required = parse(key, rule, "require")
        if required.policy in (None, trials.policy):
            measure = MEASURES[required.measure]
            estimate = measure.estimate(trials)
            if shown_broken(required, estimate) if in_doubt else not shown(required, estimate):
                rule_text = f"{required.measure} {' '.join(rule.split())}"
                found.append(f"{rule_text}: {with_interval(estimate, measure.unit)}")
    return tuple(found)


def shown(required: Rule, estimate: Estimate) -> bool:
    """Whether an estimate shows that a requirement is met.

    >>> required = parse("wrong_ship", "< 5%")
    >>> shown(required, Estimate(0.03, 0.02, 0.045, 900)), shown(required, Estimate(0.03, 0.01, 0.08, 90))
    (True, False)
    """
    if estimate.n == 0:
        return True
    bound = estimate.upper if required.comparison in ("<", "<=") else estimate.lower
    return bound is not None and required.holds(bound)


def shown_broken(required: Rule, estimate: Estimate) -> bool:
    """Whether an estimate shows that a requirement is broken.

    >>> required = parse("wrong_ship", "< 5%")
    >>> shown_broken(required, Estimate(0.09, 0.06, 0.12, 900)), shown_broken(required, Estimate(0.09, 0.01, 0.3, 9))
    (True, False)
    """
    bound = estimate.lower if required.comparison in ("<", "<=") else estimate.upper
    return bound is not None and not required.holds(bound)
