"""Scenarios that are made in memory, without files or a registry, and played in the same way as a run."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import workflow
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials as Reported
from sim.policy.base import Verdict
from sim.verify.figure import Sample

# Calls take a millisecond and ticks an hour, so the calls in flight at an edge have no visible effect.
TICK = "1h"
SHORT = {"constant": "1ms"}
NAMES = ("champion", "a", "b", "c", "d", "e")


NEVER = {"kind": "fixed_horizon", "sample": 10**9}
"""Evidence whose sample is never complete."""


@dataclass(frozen=True)
class Trials:
    """The trials of one policy: columns (R,) as in trials.parquet, and the engine that played them."""

    engine: str
    columns: Mapping[str, NDArray[Any]]

    def verdict(self, verdict: Verdict) -> NDArray[np.bool_]:
        """(R,) which trials ended with this verdict."""
        return np.asarray(self.columns["verdict"] == verdict.name.lower())

    @property
    def declared(self) -> NDArray[np.bool_]:
        """(R,) whether a rule of evidence declared a difference."""
        return np.asarray(np.isfinite(self.columns["time_to_significance_s"]), bool)


def share(happened: NDArray[np.bool_], expected: float) -> Sample:
    """The share of trials in which something happened, with the standard error of the expected share."""
    return Sample(float(happened.mean()), float(np.sqrt(expected * (1 - expected) / happened.size)), happened.size)


def mean(values: NDArray[Any]) -> Sample:
    """The mean over trials, with its standard error."""
    return Sample(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)), values.size)


def measured(measure: str, trials: Trials) -> Sample:
    """A measure as in reports, with a standard error that is derived from its 95% interval."""
    estimated = MEASURES[measure].estimate(Reported("test", "ab", np.nan, trials.columns))
    if estimated.estimate is None or estimated.lower is None or estimated.upper is None:
        return Sample(np.nan, np.nan, estimated.n)
    return Sample(estimated.estimate, float(estimated.upper - estimated.lower) / 2 / 1.959963984540054, estimated.n)


def some(full: int, quick: bool) -> int:
    """The number of replications: `full`, or with `quick` a tenth of it."""
    return full // 10 if quick else full


def test_by(evidence: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    """A policy with the name `test`: an A/B test with a rule of evidence and further keys."""
    return {"name": "test", "kind": "ab", "evidence": evidence, **keys}


test_by.__test__ = False  # type: ignore[attr-defined]


def converts(*rates: float) -> list[dict[str, Any]]:
    """Arms that convert at these rates."""
    return [{"outcomes": {"conversion": {"bernoulli": rate}}} for rate in rates]


def scenario_of(
    name: str, arms: int, replications: int, ticks: int, requests: float, policies: Sequence[Any], **keys: Any
) -> dict[str, Any]:
    """A scenario of `ticks` hours with `requests` requests in each. `keys` add to its keys or replace them.

    Each name has its own seed, so that the errors of figures are independent.
    """
    common: dict[str, Any] = {
        "name": name,
        "seed": zlib.crc32(name.encode()),
        "replications": replications,
        "tick": TICK,
        "aa": False,
        "sensitivity": "off",
        "horizon": f"{ticks}h",
        "traffic": {"rate": f"{requests:.12g}/h"},
        "models": [{"arm": arm, "uri": f"models:/verify/{number}"} for number, arm in enumerate(NAMES[:arms], start=1)],
        "metrics": [{"name": "conversion", "role": "primary"}],
        "policies": list(policies),
    }
    return common | keys


def behaving(arms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Behaviours with default values: arms answer at once and never fail."""
    return [{"latency": SHORT, "error_rate": 0.0, **arm} for arm in arms]


def rehearse(scenario: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> dict[str, Trials]:
    """{policy: its trials} of a scenario with these behaviours of arms, played as by `sim run`."""
    played = workflow.rehearse(scenario, behaving(arms), samples=2)
    trials = {}
    for name in (policy.name for policy in played.run.policies):
        own = played.trials[played.trials["policy"] == name]
        trials[name] = Trials(played.run.engine, {key: own[key].to_numpy() for key in own.columns})
    return trials
