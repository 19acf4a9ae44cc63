"""Run folders with made-up trials, written as the runner writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HORIZON_S = 14 * 86_400.0
NAN = float("nan")

TRIAL: dict[str, Any] = {
    "verdict": "undecided", "shipped_arm": None, "best_arm": "champion", "correct": False, "decided": False,
    "time_to_decision_s": NAN, "time_to_end_s": NAN, "time_to_significance_s": NAN, "requests_to_decision": NAN, "regret": 0.0,
    "regret_fixed": 0.0, "harmed_requests": 0, "harm": 0.0, "peak_exposure": 0.0, "errors": 0, "slo_violations": 0,
    "lost_requests": 0, "retries": 0,
    "mirrored_requests": 0, "cost_s": 0.0, "requests": 1000, "shipped_better": False, "shipped_worse": False,
    "any_better": False, "any_not_better": False, "any_worse": False, "worth_shipping": False, "best_effect": 0.0,
}  # fmt: skip
BETTER = {"any_better": True, "worth_shipping": True, "best_effect": 0.02, "best_arm": "challenger"}
WORSE = {"any_not_better": True, "any_worse": True}


def decided(verdict: str, time_s: float, **facts: Any) -> dict[str, Any]:
    """A trial that has ended: shipped, kept or inconclusive, which is no decision."""
    ended = {"verdict": verdict, "time_to_end_s": time_s}
    if verdict == "inconclusive":
        return {**ended, **facts}
    return {**ended, "decided": True, "time_to_decision_s": time_s, "requests_to_decision": time_s, **facts}


def frame(policies: Mapping[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """The rows of trials.parquet."""
    rows = [
        {"policy": policy, "replication": replication, **TRIAL, **trial}
        for policy, trials in policies.items()
        for replication, trial in enumerate(trials)
    ]
    return pd.DataFrame(rows, columns=["policy", "replication", *TRIAL])


def write(folder: Path, trials: pd.DataFrame, kinds: Mapping[str, str], **changes: Any) -> Path:
    """A run folder. `kinds` are the policies of the scenario, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    run = {
        "name": "checkout", "digest": "0123456789", "question": "Which rollout finds out soonest?", "engine": "aggregate",
        "engine_reason": "no queues", "seed": 7, "replications": max(int(trials["replication"].nunique()), 1),
        "horizon_s": HORIZON_S, "tick_s": 600.0, "arms": ["champion", "challenger"],
        "primary": {"name": "conversion", "sign": 1, "binary": True},
        "policies": [{"name": name, "kind": kind} for name, kind in kinds.items()], "baseline": next(iter(kinds), ""),
        "status": "finished", "completed": list(kinds), "thresholds": {}, "smallest_effect": 0.0,
        "started_at": "2026-01-02T03:04:05.678Z", "requests_expected": 1e6,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run | changes), encoding="utf-8")
    trials.to_parquet(folder / "trials.parquet", index=False)
    return folder


KINDS = {"switch": "switch", "hold": "hold", "ab": "ab", "bandit": "bandit", "canary": "canary", "careful": "stages"}


def realistic(replications: int = 400, seed: int = 1) -> pd.DataFrame:
    """Six policies on the same made-up worlds: half of the challengers better, half worse. `careful` seldom decides."""
    random = np.random.default_rng(seed)
    effect = random.normal(0, 0.02, replications)
    requests = random.poisson(48_000, replications)

    def play(kind: str, right: float, median_s: float, exposure: float, finishes: float) -> list[dict[str, Any]]:
        trials = []
        for each, n in zip(effect, requests, strict=True):
            better = each > 0
            facts: dict[str, Any] = {
                "requests": int(n), "any_better": better, "any_not_better": not better, "any_worse": not better,
                "worth_shipping": each > 0.01, "best_effect": each, "best_arm": "challenger" if better else "champion",
            }  # fmt: skip
            time_s = 0.0 if median_s == 0 else min(float(random.lognormal(np.log(median_s), 0.7)), HORIZON_S)
            ship = {"switch": True, "hold": False}.get(kind, bool(better == (random.random() < right)))
            served = n if median_s == 0 else int(n * exposure * time_s / HORIZON_S)
            if random.random() > finishes:
                verdict, ship, time_s = {"verdict": "undecided"}, False, HORIZON_S
            else:
                verdict = decided("ship" if ship else "keep", time_s, requests_to_decision=n * time_s / HORIZON_S)
            wrong = n - served if ship != better else 0
            waste = served * (1 - exposure if better else 1)
            trials.append(
                facts | verdict | {
                    "correct": ship == better and verdict["verdict"] != "undecided",
                    "regret": float(abs(each) * 0.05 * (wrong + waste)), "shipped_better": ship and better,
                    "shipped_worse": ship and not better, "shipped_arm": "challenger" if ship else None,
                    "harmed_requests": int(0 if better else served + (n - served) * ship),
                    "peak_exposure": 1.0 if ship else exposure, "errors": int(random.poisson(48)),
                }
            )  # fmt: skip
        return trials

    return frame({
        "switch": play("switch", 0, 0, 1, 1), "hold": play("hold", 0, 0, 0, 1),
        "ab": play("ab", 0.96, 4 * 86_400, 0.5, 0.9), "bandit": play("bandit", 0.9, 2 * 86_400, 0.4, 0.97),
        "canary": play("canary", 0.85, 4 * 3600, 0.2, 1), "careful": play("stages", 0.97, 9 * 86_400, 0.1, 0.3),
    })  # fmt: skip
