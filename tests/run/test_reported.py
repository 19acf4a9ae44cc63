"""How often a check that only reports would have failed: as often as the same check stops, in the same worlds."""

from __future__ import annotations

from typing import Any

import numpy as np

import sim

CHECK: dict[str, Any] = {"metric": "error_rate", "max": "4%", "every": "5m", "trip": 2}
WORSE = {"choice": {"values": ["0%", "300%"], "weights": ["80%", "20%"]}}


def rehearsed(*policies: dict[str, Any]) -> sim.Results:
    scenario = {
        "name": "reported", "horizon": "2h", "tick": "5m", "replications": 400, "traffic": {"rate": "2/s"}, "seed": 5,
        "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
        "metrics": [{"name": "sale", "role": "primary"}, {"name": "error_rate", "role": "guardrail", "max": "6%"}],
        "truth": {"challenger": {"error_rate": {"relative_effect": WORSE}}},
        "goal": "not_worse", "margin": "1%", "aa": False, "sensitivity": "off", "policies": list(policies),
    }  # fmt: skip
    models = [{"outcomes": {"sale": {"bernoulli": 0.05}}, "latency": {"constant": "45ms"}, "error_rate": 0.02}] * 2
    return sim.rehearse(scenario, models)


def canary(name: str, *checks: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "kind": "canary", "steps": [{"weight": "10%", "bake": "1h"}], "checks": list(checks)}


def test_as_often_as_the_same_check_stops() -> None:
    together = {"kind": "together", "trip": 2, "checks": [{key: CHECK[key] for key in ("metric", "max", "every")}]}
    found = rehearsed(
        canary("stops", CHECK), canary("reports", {**CHECK, "report_only": True}),
        canary("together", {**together, "report_only": True}),
    )  # fmt: skip
    trials = {name: frame.set_index("replication") for name, frame in found.trials.groupby("policy", observed=True)}
    kept = (trials["stops"]["verdict"] == "keep").to_numpy()
    assert 0.1 < kept.mean() < 0.9
    assert trials["stops"]["reported_failure"].isna().all()
    for name in ("reports", "together"):
        assert (trials[name]["verdict"] == "ship").all()
        np.testing.assert_array_equal(trials[name]["reported_failure"].to_numpy() == 1, kept)
    table = found.to_pandas().set_index(["policy", "measure"])["estimate"]
    fine = ~trials["stops"]["any_worse"].to_numpy(bool)
    assert table["reports", "reported_failure"] == kept.mean()
    assert table["reports", "false_report"] == kept[fine].mean()
    assert np.isnan(table.get(("stops", "reported_failure"), np.nan))
