"""What live traffic bore over the whole horizon, which includes the time after a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import Column, Measure, known, mean, recorded
from sim.compare.trials import Trials
from sim.stats.intervals import paired_difference
from sim.stats.risk import cvar


def _served(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["requests"] > 0)


def _per_request(name: str, times: float = 1.0) -> Column:
    return lambda trials: np.asarray(times * trials[name] / np.maximum(trials["requests"], 1))


TRAFFIC = (
    mean(
        "regret", "regret", "value",
        "What users forgo by the horizon: the expected primary metric of the arm that is best and acceptable in the tick less "
        "the serving arm's, summed over live requests, before and after the verdict, plus the worth of lost requests.",
        recorded("regret"),
    ),
    mean(
        "regret_fixed", "regret against one arm", "value",
        "The same against the one arm that is best over the whole horizon. Below 0 where a policy did better than any one arm.",
        recorded("regret_fixed"),
    ),
    mean(
        "regret_per_1000", "regret per 1,000 requests", "value",
        "Mean over trials of the regret per 1,000 live requests.", _per_request("regret", 1000.0), _served,
    ),
    Measure(
        "regret_cvar95", "regret in the worst 5%", "value", "lower",
        "Mean regret of the worst 5% of trials (conditional value at risk).",
        lambda trials: cvar(trials["regret"], 0.95), None, paired_difference,
    ),
    mean(
        "harmed_requests", "harmed requests", "requests",
        "Mean number of live requests served by an arm that is truly worse than the champion or breaks a limit in that tick.",
        recorded("harmed_requests"),
    ),
    mean(
        "harm", "harm", "value",
        "What the users of worse arms lost: the champion's expected primary metric less the serving arm's where that is less "
        "in the tick, summed over live requests. A broken limit and a lost request are not in it.",
        recorded("harm"),
    ),
    mean(
        "peak_exposure", "peak exposure", "share",
        "Mean of the largest share of live traffic that challengers had before the verdict; all of it if shipped at once.",
        recorded("peak_exposure"), part=True,
    ),
    mean("errors", "errors", "count", "Mean number of live requests that ended in an error.", recorded("errors")),
    mean(
        "budget_burned", "error budget burned", "share",
        "Mean share of the error budget of its period that requests burned which failed from the start to the end of the "
        "rollout, or to the horizon, whoever served them. It may be above 100%.",
        recorded("budget_burned"), known("budget_burned"),
    ),
    mean(
        "slo_violation_rate", "SLO violations", "share",
        "Mean share of live requests that failed or were slower than the latency objective.",
        _per_request("slo_violations"), _served, part=True,
    ),
    mean(
        "lost_requests", "lost requests", "requests",
        "Mean number of live requests that ended in a timeout or a rejection, after whatever attempts there were.",
        recorded("lost_requests"),
    ),
    mean(
        "mirrored_requests", "mirrored requests", "requests",
        "Mean number of requests that were copied to a challenger without showing its answer.", recorded("mirrored_requests"),
    ),
    mean(
        "duplicated_writes", "duplicated writes", "count",
        "Mean number of copies of requests that write: side effects, such as orders, that happened a second time. Of runs that "
        "say it.",
        recorded("duplicated_writes"), known("duplicated_writes"),
    ),
    mean(
        "cost_s", "compute", "s", "Mean service time of all calls, live and mirrored.", recorded("cost_s"),
    ),
)  # fmt: skip
