"""Scenarios made in memory, without files and without a registry, and played the way a run plays them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measures import MEASURES
from sim.compare.trials import Trials as Reported
from sim.engine.catalogue import choose
from sim.policy.base import Verdict
from sim.policy.forms import Form
from sim.registry.behaviour import Behaviour
from sim.registry.versions import Version
from sim.run.blocks import Player, Task, Work
from sim.scenario.schema import Scenario
from sim.verify.figure import Sample
from sim.world.build import build
from sim.world.world import World

# Calls of a millisecond in ticks of an hour: what is under way at an edge does not show.
TICK = "1h"
SHORT = {"constant": "1ms"}
# Replications of a block. Nothing is kept of the way, so that long horizons have room for more than in a run, at a quarter of
# its time.
ROWS = {"aggregate": 2000, "compiled": 500, "simpy": 25}
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
        return np.asarray(self.columns["verdict"] == verdict)

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
) -> Scenario:
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
    return Scenario.model_validate(common | said)


def world_of(scenario: Scenario, arms: Sequence[Mapping[str, Any]]) -> World:
    """The world of a scenario whose versions behave as told, as the registry would have resolved them."""
    versions = []
    for number, (model, said) in enumerate(zip(scenario.models, arms, strict=True), start=1):
        behaviour = Behaviour.model_validate({"latency": SHORT, "error_rate": 0.0, **said})
        versions.append(
            Version(
                arm=model.arm, uri=model.uri, name="verify", version=str(number), model_id=None, run_id=None, aliases=(),
                kind="behaviour", digest=behaviour.digest(), behaviour=behaviour, tags={},
            )
        )  # fmt: skip
    return build(scenario, versions)


def rehearse(scenario: Scenario, arms: Sequence[Mapping[str, Any]]) -> dict[str, Trials]:
    """Play every policy of a scenario: the world is built, the engine chosen and each block played as in `sim run`."""
    world = world_of(scenario, arms)
    engine = choose(scenario.engine, world).name
    forms: dict[str, Form] = {form.name: form for form in scenario.policies}
    player = Player([Work(world, forms, engine, samples=2)])
    found: dict[str, list[Mapping[str, NDArray[Any]]]] = {name: [] for name in forms}
    for block, first in enumerate(range(0, scenario.replications, ROWS[engine])):
        end = min(first + ROWS[engine], scenario.replications)
        # Block by block: the player keeps the last one's truth.
        for name in forms:
            found[name].append(player.play(Task(name, block, first, end)).columns)
    return {
        name: Trials(engine, {key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
        for name, parts in found.items()
    }
