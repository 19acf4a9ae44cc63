"""A made-up run folder, as `sim run` and `compare` leave it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HORIZON, TICK = 14 * 86_400.0, 600.0
MEASURES: dict[str, tuple[str, str, str]] = {
    "ship": ("shipped", "share", "none"),
    "keep": ("kept", "share", "none"),
    "inconclusive": ("inconclusive", "share", "lower"),
    "undecided": ("undecided", "share", "lower"),
    "correct": ("correct", "share", "higher"),
    "wrong_ship": ("wrong ship", "share", "lower"),
    "missed_win": ("missed win", "share", "lower"),
    "time_to_decision": ("mean time to decision", "s", "lower"),
    "time_to_decision_p50": ("half decided by", "s", "lower"),
    "net_value": ("net value", "value", "higher"),
    "net_value_worst": ("net value in the worst 5%", "value", "higher"),
    "regret": ("regret", "value", "lower"),
    "harmed_requests": ("harmed requests", "requests", "lower"),
    "peak_exposure": ("peak exposure", "share", "lower"),
    "mirrored_requests": ("mirrored requests", "requests", "lower"),
}
# kind, ship, keep, inconclusive, hours to a decision, spread of their logarithm, regret an hour before and after
POLICIES: dict[str, tuple[str, float, float, float, float, float, float, float]] = {
    "switch": ("switch", 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 130.0),
    "hold": ("hold", 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 95.0),
    "ab": ("ab", 0.47, 0.41, 0.10, 150.0, 0.12, 55.0, 12.0),
    "bandit": ("bandit", 0.62, 0.21, 0.0, 60.0, 0.9, 30.0, 28.0),
    "canary": ("canary", 0.71, 0.29, 0.0, 5.0, 0.3, 20.0, 75.0),
    "careful": ("stages", 0.41, 0.35, 0.08, 170.0, 0.2, 24.0, 10.0),
}
REGRET_AT = {"05": 0.2, "25": 0.6, "50": 0.9, "75": 1.3, "95": 2.2}
# mean and worst 5%: the canary is beaten in both by the bandit, and switch by all others
NET_VALUE = {
    "switch": (-2_000.0, -90_000.0), "hold": (0.0, 0.0), "ab": (9_000.0, -4_000.0), "bandit": (14_000.0, -21_000.0),
    "canary": (6_000.0, -40_000.0), "careful": (8_500.0, -3_000.0),
}  # fmt: skip


def estimate(value: float | None, half: float | None, n: int) -> dict[str, Any]:
    known = value is not None and half is not None and n > 1
    return {
        "estimate": value,
        "lower": value - half if known else None,  # type: ignore[operator]
        "upper": value + half if known else None,  # type: ignore[operator]
        "n": n,
    }


def share(value: float, n: int) -> dict[str, Any]:
    found = estimate(value, 2 * math.sqrt(value * (1 - value) / n) + 1 / n, n)
    return {key: min(max(each, 0.0), 1.0) if key != "n" and each is not None else each for key, each in found.items()}


def reached(hours: float, spread: float, time_s: np.ndarray) -> np.ndarray:
    """Share decided by each time, of those that ever decide: log-logistic."""
    if hours == 0:
        return np.ones_like(time_s)
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / (1 + np.exp(-(np.log(time_s / 3_600) - math.log(hours)) / (spread / 2)))


def build(folder: Path, *, replications: int = 1000, names: dict[str, str] | None = None, arms: tuple[str, ...] = (),
          question: str = "Is the retrained ranker safe to ship, and which rollout finds out soonest?",
          horizon_s: float = HORIZON, tick_s: float = TICK, interrupted: bool = False) -> Path:  # fmt: skip
    """Write run.json, summary.json, scenario.yaml and timeline.parquet to `folder`."""
    import pandas as pd

    named = names or {}
    all_arms = ["champion", *(arms or ("challenger",))]
    ticks = np.unique(np.geomspace(1, horizon_s / tick_s, 400).round()).astype(int)
    time_s = ticks * tick_s
    frames, rows = [], []
    for place, (key, (kind, ship, keep, inconclusive, hours, spread, before, after)) in enumerate(POLICIES.items()):
        policy = named.get(key, key)
        hours *= horizon_s / HORIZON
        done = reached(hours, spread, time_s)
        ends = {"ship": ship * done, "keep": keep * done, "inconclusive": inconclusive * done}
        decided = sum(ends.values())
        regret = np.cumsum(np.diff(time_s, prepend=0.0) / 3_600 * ((1 - decided) * before + decided * after))
        testing = {"switch": 1.0, "hold": 0.0, "ab": 0.5, "bandit": 0.6, "canary": 0.25, "careful": 0.1}[key]
        challenger = ends["ship"] + (1 - decided) * testing
        columns: dict[str, Any] = {"policy": policy, "tick": ticks, "time_s": time_s, "decided": decided}
        columns |= {"shipped": ends["ship"], "kept": ends["keep"], "inconclusive": ends["inconclusive"]}
        columns |= {"regret_mean": regret}
        columns |= {f"regret_q{level}": regret * share for level, share in REGRET_AT.items()}
        weights = {"champion": 1 - challenger}
        weights |= {arm: challenger / (len(all_arms) - 1) for arm in all_arms[1:]}
        for arm, weight in weights.items():
            columns[f"weight.{arm}.mean"] = weight
            columns[f"weight.{arm}.q05"] = np.where((decided < 0.95) & (weight < 0.95), np.maximum(0, weight - 0.4), weight)
            columns[f"weight.{arm}.q25"] = (weight + columns[f"weight.{arm}.q05"]) / 2
            columns[f"weight.{arm}.q50"] = weight
            columns[f"weight.{arm}.q95"] = np.where((decided < 0.95) & (weight > 0.05), np.minimum(1, weight + 0.4), weight)
            columns[f"weight.{arm}.q75"] = (weight + columns[f"weight.{arm}.q95"]) / 2
            columns[f"mirror.{arm}.mean"] = (time_s < 86_400) * 1.0 * (key == "careful" and arm != "champion")
        frames.append(pd.DataFrame(columns))
        mean_time = float(np.trapezoid(1 - decided, time_s)) if hours else 0.0
        half = next((float(t) for t, d in zip(time_s, decided, strict=True) if d >= 0.5), None) if hours else 0.0
        n = replications
        measures: dict[str, Any] = {
            "ship": share(ship, n),
            "keep": share(keep, n),
            "inconclusive": share(inconclusive, n),
            "undecided": share(max(0.0, 1 - float(decided[-1])), n),
            "correct": share(0.93 - 0.04 * place, n),
            "wrong_ship": share(ship * 0.06, n) if key != "hold" else {"estimate": None, "lower": None, "upper": None, "n": 0},
            "missed_win": share(keep * 0.3, n),
            "time_to_decision": estimate(mean_time, mean_time * 0.04, n),
            "time_to_decision_p50": estimate(half, half * 0.06 if half is not None else None, n),
            "regret": estimate(float(regret[-1]), float(regret[-1]) * 0.05, n),
            "net_value": estimate(NET_VALUE[key][0], 400.0 if kind != "hold" else 0.0, n),
            "net_value_worst": estimate(NET_VALUE[key][1], 700.0 if kind != "hold" else 0.0, n),
            "harmed_requests": estimate(24e6 * testing * 0.3, 3e5 * testing, n),
            "peak_exposure": estimate(testing, 0.0, n),
        }
        if key == "careful":
            measures["mirrored_requests"] = estimate(3_456_000.0, 2_000.0, n)
        differences: dict[str, Any] = {}
        if key != "ab":
            differences = {
                "wrong_ship": estimate(-0.011 * place, 0.012, n),
                "regret": estimate(-900.0 + 600 * place, 350.0, n),
                "time_to_decision": estimate(-3_600.0 * 30, 3_600.0 * 4, n),
                "correct": estimate(0.01, 0.02, n),
                "harmed_requests": None,
            }
        shown = np.unique(np.linspace(0, ticks.size - 1, 200).round().astype(int))
        curves: dict[str, Any] = {"time_s": time_s[shown].tolist()}
        for name, curve in {**ends, "decided": decided}.items():
            band = 2 * np.sqrt(curve * (1 - curve) / n)
            curves[name] = {"estimate": curve[shown].tolist(), "lower": np.maximum(0, curve - band)[shown].tolist(),
                            "upper": np.minimum(1, curve + band)[shown].tolist()}  # fmt: skip
            if n == 1:
                curves[name] |= {side: [None] * shown.size for side in ("lower", "upper")}
        rows.append({"policy": policy, "kind": kind, "measures": measures, "differences": differences, "incidence": curves})
    run = {
        "name": "checkout-ranker", "digest": "0f3a" * 16, "question": question, "engine": "aggregate",
        "engine_reason": "no capacity is declared, so requests do not compete", "seed": 7, "replications": replications,
        "horizon_s": horizon_s, "tick_s": tick_s, "arms": all_arms,
        "primary": {"name": "conversion", "sign": 1, "binary": True},
        "policies": [{"name": row["policy"], "kind": row["kind"], "told": [f"What {row['policy']} does."]} for row in rows],
        "baseline": named.get("ab", "ab"),
        "started_at": "2025-03-04T09:15:00Z", "finished_at": "2025-03-04T09:15:09Z",
        "status": "interrupted" if interrupted else "finished", "completed": [row["policy"] for row in rows],
        "versions": [
            {"arm": arm, "uri": f"models:/checkout-ranker@{arm}", "name": "checkout-ranker", "version": str(place + 1),
             "model_id": f"m-{place:032x}", "run_id": None, "kind": "behaviour", "digest": "9c1d" * 16}
            for place, arm in enumerate(all_arms)
        ],
        "data": None, "requests_expected": 48_384_000.0, "assumptions": {"Traffic": "40/s on average <all day>"},
        "thresholds": {"wrong_ship": "< 5%"}, "smallest_effect": 0.01,
        "sim_version": "0.1.0",
    }  # fmt: skip
    if interrupted:
        run["completed"] = run["completed"][:-2]
        rows, frames = rows[:-2], frames[:-2]
    said = [
        "Take canary: it finds out soonest.",
        "It decides within 4.9 h in half of the trials, and ships a challenger that is no better in 4.3% (3.0–5.5%) of the "
        "trials where one is; ab needs 6.2 d and loses 12% more conversions.",
    ]
    chosen, others = named.get("canary", "canary"), [each["policy"] for each in rows if each["kind"] not in ("switch", "hold")]
    decision = {"chosen": chosen, "aim": "regret", "because": "best", "pool": others, "tied": [chosen], "left": [chosen],
                "runner_up": named.get("ab", "ab"), "passed_over": {}}  # fmt: skip
    summary = {
        "run": run,
        "measures": {
            name: {"label": label, "unit": unit, "better": better, "about": f"What {label} means, in a sentence."}
            for name, (label, unit, better) in MEASURES.items()
        },
        "baseline": run["baseline"],
        "points": [
            {
                "values": [], "numbers": [], "baseline": run["baseline"], "policies": rows, "best": {}, "memo": said,
                "decision": decision,
                "frontier": [named.get(key, key) for key in ("canary", "bandit", "careful")],
            }
        ],
        "memo": said,
        "thresholds": [
            {"policy": rows[2]["policy"], "measure": "wrong_ship", "rule": "< 5%", "estimate": share(0.028, replications),
             "breached": False},
            {"policy": rows[3]["policy"], "measure": "wrong_ship", "rule": "< 5%", "estimate": share(0.062, replications),
             "breached": True},
        ],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run, allow_nan=False), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, allow_nan=False), encoding="utf-8")
    (folder / "scenario.yaml").write_text(f"name: checkout-ranker\nquestion: {question}\nseed: 7\n", encoding="utf-8")
    pd.concat(frames).to_parquet(folder / "timeline.parquet", index=False)
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Builds a run folder; see `build` for what can be varied."""
    return lambda name="run", **varied: build(tmp_path / name, **varied)


@pytest.fixture(scope="session")
def typical_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of six policies and 1,000 replications. Read-only."""
    return build(tmp_path_factory.mktemp("reports") / "checkout-ranker-0f3a0f3a0f")
