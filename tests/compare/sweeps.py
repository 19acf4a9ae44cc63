"""Run folders of sweeps with made-up trials, written as the runner writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.compare.synthetic import BETTER, HORIZON_S, WORSE, decided, frame, write

EFFECT = "truth.challenger.conversion.relative_effect"
KINDS = {"hold": "hold", "ab": "ab", "canary": "canary"}


def at_effect(effect: float, replications: int, seed: int) -> pd.DataFrame:
    """Trials of three policies: `ab` ships the more often the larger the effect, and late; `canary` a coin, and soon."""
    random = np.random.default_rng(seed)
    facts = {**(BETTER if effect > 0 else WORSE), "best_effect": effect}

    def play(chance: float, mean_s: float) -> list[dict[str, Any]]:
        trials = []
        for ship, time_s in zip(random.random(replications) < chance, random.exponential(mean_s, replications), strict=True):
            if time_s >= HORIZON_S:
                trials.append({**facts, "regret": abs(effect)})
                continue
            verdict = decided("ship" if ship else "keep", float(time_s), regret=abs(effect) * (ship == (effect <= 0)))
            trials.append({**facts, **verdict, "shipped_better": ship and effect > 0, "shipped_worse": ship and effect <= 0})
        return trials

    power = float(np.clip(0.05 + 20 * effect, 0, 1))
    return frame({"hold": play(0, 0), "ab": play(power, 4 * 86_400), "canary": play(0.5, 3600)})


def write_sweep(
    folder: Path,
    effects: Sequence[float] = (0.0, 0.02, 0.04),
    replications: int = 200,
    second: Sequence[str] = (),
    **changes: Any,
) -> Path:
    """A run folder of a sweep over the effect, and with `second` of a grid with seeds."""
    grid = [(effect, other) for effect in effects for other in (second or ("",))]
    tables, timelines, points = [], [], []
    for at, (effect, other) in enumerate(grid):
        trials = at_effect(effect, replications, at)
        texts = [f"{effect:.0%}", other] if second else [f"{effect:.0%}"]
        numbers = [effect, float(other)] if second else [effect]
        labels = {"point": at, f"sweep.{EFFECT}": effect} | ({"sweep.seed": other} if second else {})
        tables.append(trials.assign(**labels))
        timelines.append(pd.DataFrame({**labels, "policy": ["ab"], "tick": [0], "time_s": [0.0], "regret_mean": [0.0]}))
        points.append({"values": texts, "numbers": numbers, "run": {"completed": list(KINDS), "digest": f"{at}" * 10}})
    paths = [EFFECT, "seed"] if second else [EFFECT]
    more = {
        "sweep": {"paths": paths, "points": points}, "baseline": "ab", "replications": replications, "data": None,
        "started_at": "2026-01-02T03:04:05.678+00:00", "finished_at": "2026-01-02T03:05:05.678+00:00", "sim_version": "0.1.0",
        "requests_expected": 1e6,
        "versions": [
            {"arm": arm, "uri": f"models:/ranker@{arm}", "name": "ranker", "version": "1", "model_id": None, "run_id": None,
             "kind": "behaviour", "digest": "ab" * 32}
            for arm in ("champion", "challenger")
        ],
    }  # fmt: skip
    write(folder, pd.concat(tables, ignore_index=True), KINDS, **{**more, **changes})
    pd.concat(timelines, ignore_index=True).to_parquet(folder / "timeline.parquet", index=False)
    sweep = {path: list(dict.fromkeys(point["values"][place] for point in points)) for place, path in enumerate(paths)}
    policies = [{"name": name, "kind": kind} for name, kind in KINDS.items()]
    text = yaml.safe_dump({"name": "checkout", "traffic": {"rate": "1/s"}, "policies": policies, "sweep": sweep})
    (folder / "scenario.yaml").write_text(text, encoding="utf-8")
    return folder


def changed(folder: Path, **changes: Any) -> None:
    """Change keys of run.json."""
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | changes))
