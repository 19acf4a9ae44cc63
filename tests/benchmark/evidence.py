"""How long a look takes: a decision step of every rule for 1,000 replications. `python -m tests.benchmark.evidence`.

One step in every tick of a stage; the median and the slowest (for most rules those in which a look falls).
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from sim.policy.base import Evidence, View
from sim.policy.contrast import Contrasts
from sim.policy.evidence import AnyEvidence
from sim.stats.group_sequential import design
from sim.testing.settings import contrasted, fresh_memory, make_setting

ROWS, TICKS = 1000, 100
AMOUNTS = ("threshold", "region", "expected_effect")
RULES: list[dict[str, Any]] = [
    {"kind": "fixed_horizon", "sample": 5000},
    {"kind": "fixed_horizon", "sample": 5000, "effect": "relative", "hypothesis": "non_inferiority", "margin": "2%"},
    {"kind": "peeking", "sample": 50000, "every": "10m"},
    {"kind": "group_sequential", "sample": 5000},
    {"kind": "group_sequential", "sample": 5000, "design": "spending", "spending": "obrien_fleming"},
    {
        "kind": "group_sequential",
        "sample": 5000,
        "design": "spending",
        "spending": "obrien_fleming",
        "sides": 1,
        "futility": "pocock",
    },
    {"kind": "mixture_sprt", "mde": "10%"},
    {"kind": "sprt", "mde": "10%"},
    {"kind": "confidence_sequence", "sample": 5000},
    {"kind": "betting"},
    {"kind": "betting", "method": "empirical_bernstein"},
    {"kind": "posterior"},
    {"kind": "expected_loss", "threshold": "0.01%"},
    {"kind": "rope", "region": "0.1%"},
    {"kind": "bayes_factor", "expected_effect": "1%"},
    {"kind": "bayes_factor", "expected_effect": "1%", "prior": "cauchy"},
    {"kind": "best_arm"},
]


def steps(part: Evidence, arms: int) -> list[float]:
    """Seconds of every tick's decision."""
    setting = make_setting(arms, ROWS)
    rng = np.random.default_rng(0)
    columns = {name: at for at, name in enumerate(part.needs(setting))}
    total = np.zeros((ROWS, arms, len(columns)), np.int64)
    memory = fresh_memory(part, setting, ROWS)
    wanted, places = contrasted(part, setting, columns)
    contrasts = Contrasts.empty(ROWS, arms, wanted)
    took = []
    for age in range(1, TICKS + 1):
        known = rng.poisson(100, (ROWS, arms))
        last = np.stack([known, rng.binomial(known, 0.2)], axis=2)
        total = total + last
        contrasts.add(np.arange(ROWS), last, np.full((ROWS, arms), 1 / arms), places)
        view = View(
            setting, age, np.full(ROWS, age), np.ones((ROWS, arms), bool), last, total, columns, False, memory, contrasts
        )
        begun = time.perf_counter()
        part.judge(view)
        took.append(time.perf_counter() - begun)
    return took


def main() -> None:
    """Prints a table of milliseconds."""
    reader: TypeAdapter[Evidence] = TypeAdapter(AnyEvidence)
    print(f"{'ms for 1,000 replications':60}{'arms':>5}{'median':>9}{'slowest':>9}")
    for said in RULES:
        for arms in (2, 4):
            took = [1000 * seconds for seconds in steps(reader.validate_python(said), arms)]
            name = " ".join(str(value) for key, value in said.items() if key not in ("sample", "mde", "every", *AMOUNTS))
            print(f"{name:60}{arms:5}{statistics.median(took):9.3f}{max(took):9.1f}")
    for kind in ("pocock", "obrien_fleming", "spending"):
        family = {"spending": "obrien_fleming"} if kind == "spending" else {}
        design(kind, 100, **family)  # type: ignore[arg-type]
        begun = time.perf_counter()
        design(kind, 100, **family)  # type: ignore[arg-type]
        print(f"bounds of {kind}, 100 looks: {1000 * (time.perf_counter() - begun):.0f} ms")


if __name__ == "__main__":
    main()
