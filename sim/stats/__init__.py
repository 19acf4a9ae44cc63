"""Pure functions of statistics: arrays in, arrays out. Nothing here knows of scenarios, policies or engines.

By question:

Is there a difference, at one look?
    `two_sample` (means and shares), `hypotheses` (not worse, or equal, by a margin), `margin` (a margin relative to a mean),
    `contrast` (of adjusted estimates), `rank` (Mann-Whitney), `multiplicity` and `dunnett` (several challengers)
How many outcomes does that take, and what is it worth?
    `power`, `exaggeration` (wrong signs and sizes at low power)
Is there a difference, looked at several times?
    `group_sequential`, `spending`, `running_bounds`, `stopping_probability`; `sprt`; what looking costs a test of one look:
    `peeking`; estimates afterwards: `stopping`
Is there a difference, looked at as often as you like?
    `sequential` (mixtures, confidence sequences), `two_sample_betting`, `betting` (bounded outcomes), `rates` (of events),
    `bayes_factor`
What do Bayesian rules read?
    `posterior` and `log_odds` (probability to be best), `expected_loss`, `rope`
Which arm is best, and what does it cost to find out?
    `identification`, `bandits`
With less noise, or an honest standard error?
    `cuped`, `stratify`, `winsor`, `ratio`
Did the traffic follow its weights?
    `srm`
How often do checks fail, and queues fill, by theory?
    `reliability`, `queues`
What do many replications say?
    `intervals`, `survival` (time to a decision), `risk` (the tail)
What all of them are made of
    `moments` (counts, sums, squares), `validation` (of arguments)
"""

__all__ = [
    "bandits",
    "bayes_factor",
    "betting",
    "contrast",
    "cuped",
    "dunnett",
    "exaggeration",
    "expected_loss",
    "group_sequential",
    "hypotheses",
    "identification",
    "intervals",
    "margin",
    "moments",
    "multiplicity",
    "peeking",
    "posterior",
    "power",
    "queues",
    "rank",
    "rates",
    "ratio",
    "reliability",
    "risk",
    "rope",
    "running_bounds",
    "sequential",
    "sprt",
    "srm",
    "stopping",
    "stopping_probability",
    "stratify",
    "survival",
    "two_sample",
    "two_sample_betting",
]
