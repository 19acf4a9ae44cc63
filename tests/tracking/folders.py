"""Small run folders, as `sim run` leaves them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from sim.run.timeline import LEVELS

ARMS = ("champion", "challenger")


def write_folder(
    path: Path,
    policies: Sequence[str] = ("hold", "canary"),
    *,
    completed: Sequence[str] | None = None,
    ticks: int = 30,
    digest: str = "0123456789abcdef",
    chosen: str | None = None,
    **changes: Any,
) -> Path:
    """A run folder of these policies, of which it takes `chosen`; interrupted where `completed` says which ran to their end."""
    path.mkdir(parents=True, exist_ok=True)
    done = list(policies if completed is None else completed)
    run = {
        "name": "checkout-ranker",
        "digest": digest,
        "question": "Is the retrained ranker safe to ship?",
        "engine": "aggregate",
        "engine_reason": "requests do not compete",
        "seed": 7,
        "replications": 1000,
        "horizon_s": 1209600.0,
        "tick_s": 600.0,
        "arms": list(ARMS),
        "primary": {"name": "conversion", "sign": 1, "binary": True},
        "policies": [{"name": name, "kind": "canary"} for name in policies],
        "baseline": policies[0],
        "started_at": "2026-01-02T03:04:05.678000+00:00",
        "finished_at": "2026-01-02T03:05:05.678000+00:00",
        "status": "finished" if completed is None else "interrupted",
        "completed": done,
        "versions": [
            {
                "arm": arm,
                "uri": f"models:/ranker@{arm}",
                "name": "ranker",
                "version": str(number),
                "model_id": None,
                "run_id": None,
                "kind": "behaviour",
                "digest": "ab" * 32,
            }
            for number, arm in enumerate(ARMS, 1)
        ],
        "data": None,
        "requests_expected": 48384000.0,
        "thresholds": {},
        "smallest_effect": 0.01,
        "sim_version": "0.1.0",
        **changes,
    }
    scenario = {
        "name": "checkout-ranker",
        "traffic": {"rate": "40/s"},
        "policies": [
            {"name": name, "kind": "canary", "steps": [{"weight": "10%", "bake": "1h"}], "on": {"fail": "keep"}}
            for name in policies
        ],
    }
    summary = {
        "run": run,
        "baseline": policies[0],
        "measures": {"wrong_ship": {"label": "wrong ship", "unit": "share", "better": "lower", "about": "ships no better"}},
        "points": [
            {
                "values": [],
                "numbers": [],
                "baseline": policies[0],
                "policies": [policy_summary(name, number) for number, name in enumerate(done)],
                "frontier": [],
                "best": {},
                "memo": ["Take canary.", "It decides 2 days sooner."],
                "decision": {"chosen": chosen, "aim": "regret", "because": "only"},
            }
        ],
        "memo": ["Take canary.", "It decides 2 days sooner."],
        "thresholds": [],
    }
    (path / "run.json").write_text(json.dumps(run))
    (path / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    (path / "summary.json").write_text(json.dumps(summary))
    (path / "report.html").write_text("<p>report</p>")
    pd.DataFrame({"policy": np.repeat(done, 3), "replication": np.tile(np.arange(3), len(done))}).to_parquet(
        path / "trials.parquet"
    )
    pd.concat([timeline(name, ticks) for name in done] or [timeline("none", 0)]).to_parquet(path / "timeline.parquet")
    return path


def policy_summary(name: str, number: int) -> dict[str, Any]:
    """One policy of summary.json."""
    estimate = {"estimate": 0.25 + number, "lower": 0.2 + number, "upper": 0.3 + number, "n": 1000}
    curve: dict[str, list[float]] = {"estimate": [], "lower": [], "upper": []}
    never = {"estimate": None, "lower": None, "upper": None, "n": 0}
    return {
        "policy": name,
        "kind": "canary",
        "measures": {"wrong_ship": estimate, "time_to_decision": never},
        "differences": {"wrong_ship": estimate, "time_to_decision": None} if number else {},
        "incidence": {"time_s": []} | dict.fromkeys(("ship", "keep", "inconclusive", "decided"), curve),
    }


def timeline(name: str, ticks: int) -> pd.DataFrame:
    """One policy of timeline.parquet."""
    at = np.arange(1, ticks + 1)
    share = at / max(ticks, 1)
    columns: dict[str, Any] = {"policy": name, "tick": at, "time_s": at * 600.0}
    columns |= {column: share for column in ("decided", "shipped", "kept", "inconclusive")}
    columns |= {f"regret_{level}": share * 10 for level in LEVELS}
    for arm in ARMS:
        columns |= {f"weight.{arm}.{level}": share for level in LEVELS}
        columns[f"mirror.{arm}.mean"] = np.where(at > 1, 0.0, np.nan)
    return pd.DataFrame(columns)
