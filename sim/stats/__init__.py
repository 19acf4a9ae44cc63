"""Pure functions of statistics: arrays in, arrays out. Nothing here imports scenarios, policies or engines.

The modules by question:

Is there a difference, at one look?
    `two_sample` (means and shares), `hypotheses` (not worse, or equal, by a margin), `margin` (a margin relative to a mean),
    `within_ticks` (under weights and means that change), `by_user` (the same, of users who return), `contrast` (of adjusted
    estimates), `periods` (of arms that take turns), `rank` (Mann-Whitney), `shift` (Hodges-Lehmann), `multiplicity` and
    `dunnett` (several challengers)
How many outcomes does a test need, and what is its result worth?
    `power`, `exaggeration` (wrong signs and sizes at low power), `test_and_roll` (the test that earns most),
    `screening` (the same where most ideas do harm, and a few are very good)
Is there a difference, at several looks?
    `group_sequential`, `spending`, `running_bounds`, `stopping_probability`; `sprt`; `peeking` (several looks with a test for
    one); `stopping` (estimates after several looks)
Is there a difference, at any number of looks?
    `sequential` (mixtures, confidence sequences), `two_sample_betting`, `betting` (bounded outcomes), `rates` (of events),
    `bayes_factor`
Which quantities do Bayesian rules use?
    `posterior` and `log_odds` (probability to be best), `expected_loss`, `rope`
Which arm is best, and how many samples does that take?
    `identification`, `bandits`
How to reduce the variance, or get a correct standard error?
    `cuped`, `stratify`, `winsor`, `ratio`
Did the traffic follow the weights?
    `srm`
How often do checks fail, and how long do calls wait, by theory?
    `reliability`, `queues`, `service` (of a measured server)
What is the result of many replications?
    `intervals`, `survival` (time to a decision), `risk` (the tail), `renewal` (what many releases yield in a year)
What are effects like, over many experiments?
    `random_effects` (laws fitted to estimates with their standard errors)
How well does a model score on labelled rows?
    `scores` (of labels, chances and numbers), `resampled` (bootstrap, k-fold, paired labels), `intervals` (an exact one of a
    share)
What do all of them share?
    `moments` (counts, sums, squares), `validation` (of arguments)
"""

__all__ = [
    "bandits",
    "bayes_factor",
    "betting",
    "by_user",
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
    "periods",
    "posterior",
    "power",
    "queues",
    "random_effects",
    "rank",
    "rates",
    "ratio",
    "reliability",
    "renewal",
    "resampled",
    "risk",
    "rope",
    "running_bounds",
    "scores",
    "screening",
    "sequential",
    "service",
    "shift",
    "sprt",
    "srm",
    "stopping",
    "stopping_probability",
    "stratify",
    "survival",
    "test_and_roll",
    "two_sample",
    "two_sample_betting",
    "validation",
    "within_ticks",
]
