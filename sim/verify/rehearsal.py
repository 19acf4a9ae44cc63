"""Scenarios made in memory, without files and without a registry, and played the way a run plays them."""

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

# Calls of a millisecond in ticks of an hour: what is under way at an edge does not show.
TICK = "1h"
SHORT = {"constant": "1ms"}
NAMES = ("champion", "a", "b", "c", "d", "e")


NEVER = {"kind": "fixed_horizon", "sample": 10**9}
"""Evidence that never has enough."""


@dataclass(frozen=True)
class Trials:
    """The trials of one policy: columns (R,) as in trials.parquet, and the engine that played them."""

    engine: str
    columns: Mapping[str, NDArray[Any]]

    def verdict(self, verdict: Verdict) -> NDArray[np.bool_]:
        """(R,) which trials ended so."""
        return np.asarray(self.columns["verdict"] == verdict.name.lower())

    @property
    def declared(self) -> NDArray[np.bool_]:
        """(R,) whether a rule of evidence declared a difference."""
        return np.asarray(np.isfinite(self.columns["time_to_significance_s"]), bool)


def share(happened: NDArray[np.bool_], expected: float) -> Sample:
    """The share of trials in which something happened, with the standard error that the expected share has."""
    return Sample(float(happened.mean()), float(np.sqrt(expected * (1 - expected) / happened.size)), happened.size)


def mean(values: NDArray[Any]) -> Sample:
    """The mean over trials."""
    return Sample(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)), values.size)


def measured(measure: str, trials: Trials) -> Sample:
    """A measure as reports have it, with the standard error that its 95% interval is made of."""
    found = MEASURES[measure].estimate(Reported("test", "ab", np.nan, trials.columns))
    if found.estimate is None or found.lower is None or found.upper is None:
        return Sample(np.nan, np.nan, found.n)
    return Sample(found.estimate, float(found.upper - found.lower) / 2 / 1.959963984540054, found.n)


def some(full: int, quick: bool) -> int:
    """Replications: as many as said, or a tenth of them."""
    return full // 10 if quick else full


def test_by(evidence: Mapping[str, Any], **said: Any) -> dict[str, Any]:
    """A policy named test: an A/B test by a rule of evidence."""
    return {"name": "test", "kind": "ab", "evidence": evidence, **said}


test_by.__test__ = False  # type: ignore[attr-defined]


def converts(*rates: float) -> list[dict[str, Any]]:
    """Arms that convert at these rates."""
    return [{"outcomes": {"conversion": {"bernoulli": rate}}} for rate in rates]


def scenario_of(
    name: str, arms: int, replications: int, ticks: int, requests: float, policies: Sequence[Any], **said: Any
) -> dict[str, Any]:
    """A scenario of so many hours with so many requests each; `said` are further keys, or others than these.

    Each name has draws of its own, so that figures err independently.
    """
    common: dict[str, Any] = {
        "name": name,
        "seed": zlib.crc32(name.encode()),
        "replications": replications,
        "tick": TICK,
        "horizon": f"{ticks}h",
        "traffic": {"rate": f"{requests:.12g}/h"},
        "models": [{"arm": arm, "uri": f"models:/verify/{at}"} for at, arm in enumerate(NAMES[:arms], start=1)],
        "metrics": [{"name": "conversion", "role": "primary"}],
        "policies": list(policies),
    }
    return common | said


def behaving(arms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Arms that answer at once and never fail, unless they say so."""
    return [{"latency": SHORT, "error_rate": 0.0, **said} for said in arms]


def rehearse(scenario: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> dict[str, Trials]:
    """Play every policy of a scenario whose arms behave as told, as `sim run` would."""
    played = workflow.rehearse(scenario, behaving(arms), samples=2)
    (point,) = played.plan.points
    found = {}
    for name in point.forms:
        own = played.trials[played.trials["policy"] == name]
        found[name] = Trials(point.engine.name, {key: own[key].to_numpy() for key in own.columns})
    return found
