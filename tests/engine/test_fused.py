"""A tick in one compiled call gives the bits of the passes over arrays, from scenario files of every kind that it plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from sim import ways
from sim.engine.catalogue import make
from sim.jit import missing
from sim.policy import machine
from sim.policy.base import Routing, Telemetry
from sim.policy.machine import StagedPolicy
from sim.run.trial import play
from sim.workflow import plan_scenario, rehearse

if missing:  # pragma: no cover
    pytest.skip(f"nothing compiles: {missing}", allow_module_level=True)

SPENDS = {"kind": "group_sequential", "sample": 40000, "design": "spending", "spending": "pocock", "ends": "20h"}
SCENARIO: dict[str, Any] = {
    "name": "one-call",
    "horizon": "2d",
    "tick": "1h",
    "replications": 40,
    # Neither is compared here.
    "aa": False,
    "sensitivity": "off",
    "seed": 3,
    "engine": "aggregate",
    "traffic": {"rate": "3000/h"},
    "models": [
        {"arm": "champion", "uri": "models:/ranker/1"},
        {"arm": "challenger", "uri": "models:/ranker/2"},
        {"arm": "other", "uri": "models:/ranker/3"},
    ],
    "metrics": [{"name": "sale", "role": "primary"}, {"name": "basket"}],
    "policies": [
        {"name": "ab", "kind": "ab", "evidence": {"kind": "group_sequential", "sample": 40000}},
        {"name": "spends", "kind": "ab", "evidence": SPENDS},
        {"name": "once", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 30000}},
        {"name": "totals", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 30000, "tally": "pooled"}},
        {"name": "never", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 10**7}},
        {"name": "cut", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 10**7}, "max_duration": "31h"},
        {"name": "bandit", "kind": "bandit"},
        {
            "name": "shadow",
            "kind": "shadow",
            "mirror": "50%",
            "duration": "6h",
            "checks": [{"metric": "error_rate", "max": "5%"}, {"metric": "latency", "quantile": "90%", "max": "15s"}],
        },
        {
            "name": "canary",
            "kind": "canary",
            "steps": [{"weight": "10%", "bake": "4h"}, {"weight": "40%", "bake": "4h"}],
            "checks": [{"metric": "error_rate", "max": "5%"}],
        },
    ],
}
OBJECTIVE = [*SCENARIO["metrics"], {"name": "latency", "role": "guardrail", "quantile": "90%", "max": "12s"}]
WORLDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "day": {"traffic": {"rate": "3000/h", "daily": {"peak": "14:00", "amplitude": "60%"}}},
    "bursts": {"traffic": {"rate": "3000/h", "bursts": {"every": "5h", "duration": "30m", "factor": 4}}},
    "objective": {"metrics": OBJECTIVE},
    "drift": {"timeline": [{"kind": "drift", "arm": "challenger", "metric": "sale", "at": "6h", "to": "-20%"}]},
    "errors": {"timeline": [{"kind": "errors", "arm": "challenger", "at": "9h", "duration": "5h", "rate": "30%"}]},
    "slower": {
        "timeline": [{"kind": "slowdown", "arm": "champion", "at": "7h", "duration": "4h", "factor": 3}],
        "metrics": OBJECTIVE,
    },
    "few": {"traffic": {"rate": "6/h"}},
    "misrouted": {"router": {"misrouted": {"challenger": "2%"}}},
    "lost": {"telemetry": {"loss": "5%"}},
    "late": {"metrics": [{"name": "sale", "role": "primary", "delay": {"exponential": "2h"}}, {"name": "basket"}]},
}
MODELS = [
    {
        "outcomes": {"sale": {"bernoulli": rate}, "basket": {"lognormal": {"mean": 20, "sd": 9}}},
        "error_rate": "1%",
        "latency": {"exponential": "5s"},
    }
    for rate in (0.05, 0.055, 0.06)
]


@pytest.mark.parametrize("world", WORLDS)
def test_tables_are_equal(world: str, tmp_path: Path) -> None:
    file = tmp_path / "one-call.yaml"
    file.write_text(yaml.safe_dump(SCENARIO | WORLDS[world]))
    found = {}
    for way in ("numpy", "compiled"):
        with ways.only(way):  # type: ignore[arg-type]
            found[way] = rehearse(file, MODELS)
    assert found["numpy"].trials["errors"].sum() > 0
    pd.testing.assert_frame_equal(found["numpy"].trials, found["compiled"].trials, check_exact=True)
    pd.testing.assert_frame_equal(found["numpy"].timeline, found["compiled"].timeline, check_exact=True)


@pytest.mark.parametrize("arms", [2, 3])
def test_ticks_played_at_once_are_those_played_one_by_one(arms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies that wait for a sample stop where they must be asked again, whatever is played in a call."""
    shown = {"models": SCENARIO["models"][:arms], "metrics": SCENARIO["metrics"][:1]}
    policies = [each for each in SCENARIO["policies"] if each["kind"] == "ab"]
    (point,) = plan_scenario(SCENARIO | shown | {"policies": policies}, MODELS[:arms]).points
    for policy in policies:
        found = {}
        for longest in (1, 5, 64):
            monkeypatch.setattr(machine, "LONGEST", longest)
            with ways.only("compiled"):
                truth, calls = point.world.realise(np.arange(40)), []
                monkeypatch.setattr(StagedPolicy, "step", counted(calls))
                found[longest] = play(truth, point.policy(policy["name"]), make("aggregate"), 7)
                monkeypatch.undo()
            assert min(longest, 4) <= max(calls) <= longest
        one, *others = found.values()
        for other in others:
            for name, column in one.columns.items():
                np.testing.assert_array_equal(column, other.columns[name], err_msg=name)
            np.testing.assert_array_equal(one.regret, other.regret)
            np.testing.assert_array_equal(one.live, other.live)
        assert (one.decided >= 0).any() or policy["name"] == "never"


def counted(calls: list[int]) -> Any:
    """`StagedPolicy.step`, which notes how many ticks it is told of."""
    real = StagedPolicy.step

    def step(policy: StagedPolicy, telemetry: Telemetry) -> Routing:
        calls.append(telemetry.added)
        return real(policy, telemetry)

    return step
