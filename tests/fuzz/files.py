"""Attacks on files that people hand to the program: what may come of it is a result or a message, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sim import run_scenario
from sim.errors import SimError
from tests.fuzz.damage import damaged
from tests.fuzz.doors import DOORS
from tests.fuzz.ends import ends

SCENARIO: dict[str, Any] = {
    "name": "small", "horizon": "6h", "tick": "1h", "replications": 12, "traffic": {"rate": "1000/h"},
    "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    "metrics": [{"name": "sale", "role": "primary"}],
    "policies": [
        {"name": "hold", "kind": "hold"},
        {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 2000}},
    ],
}  # fmt: skip
MODELS = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.07)]
CHECKED = """\
name: replayed
horizon: 6h
tick: 1h
replications: 5
traffic: {{{traffic}}}
models:
  - {{arm: champion, uri: "models:/digits@champion"}}
  - {{arm: challenger, uri: "models:/digits@challenger"}}
data: {{{data}, target: label, shift: {{weights: weight}}}}
metrics:
  - {{name: revenue, role: primary, reward: {{column: paid, as: amount}}}}
policies:
  - {{name: ab, kind: ab, evidence: {{kind: fixed_horizon, sample: 500}}}}
"""

Attack = Callable[[Path], None]
"""Makes a command read the files in a folder; raises whatever is no message."""


def run_folder(at: Path) -> Path:
    """A small finished run, whose tables may be damaged without their digests telling."""
    folder = run_scenario(SCENARIO, models=MODELS, reports=at, log=False).folder
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "files": {}}))
    (folder / "tracking.json").write_text(json.dumps({"key": "x", "tracking_uri": "sqlite:///mlflow.db", "complete": True}))
    return folder


def input_files(at: Path) -> Path:
    """Data and recorded traffic, as CSV and as Parquet, and the scenarios that read them."""
    at.mkdir()
    rng = np.random.default_rng(1)
    rows = 30
    data = pd.DataFrame(
        {"a": rng.normal(size=rows), "b": rng.integers(0, 9, rows), "c": rng.choice(["x", "y"], rows),
         "label": rng.integers(0, 2, rows), "weight": rng.random(rows), "paid": rng.random(rows) * 9}
    )  # fmt: skip
    traffic = pd.DataFrame({"at": np.arange(rows) * 700.0, "requests": rng.integers(0, 90, rows)})
    for name, frame in (("data", data), ("traffic", traffic)):
        frame.to_csv(at / f"{name}.csv", index=False)
        frame.to_parquet(at / f"{name}.parquet", index=False)
    for kind in ("csv", "parquet"):
        for name, trace in (("times", "time: at"), ("counts", "count: requests, interval: 12m")):
            text = CHECKED.format(traffic=f"trace: {{file: traffic.{kind}, {trace}}}", data=f"file: data.{kind}")
            (at / f"{name}-{kind}.yaml").write_text(text)
    return at


def report(folder: Path) -> None:
    """`sim report` on a run folder, then the reading of `sim track`."""
    from sim.tracking.entries import nested_entries, scenario_entry
    from sim.tracking.folder import read_folder
    from sim.tracking.marker import read_marker

    with contextlib.suppress(SimError):
        read = read_folder(folder)
        read_marker(folder)
        scenario_entry(read)
        nested_entries(read)
    ends(["report", str(folder), "--display", "plain"], folder)


def check(folder: Path) -> None:
    """`sim check` on every scenario in a folder, and the columns as models get them."""
    ends(["check", *map(str, sorted(folder.glob("*.yaml")))], folder)


def attacks(good: Path, names: list[str], attack: Attack, tries: int, seed: int, at: Path) -> Iterator[tuple[int, str, str]]:
    """Damage a copy of a folder `tries` times and attack it; yields each try that failed: its number, the file, and why."""
    for number in range(tries):
        rng = np.random.default_rng([seed, number])
        name = names[int(rng.integers(0, len(names)))]
        copy = at / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(good, copy)
        (copy / name).write_bytes(damaged(name, (good / name).read_bytes(), rng))
        try:
            attack(copy)
        except Exception:
            yield number, name, traceback.format_exc()


def where(trace: str) -> str:
    """The last line of ours in a traceback, and the exception."""
    ours = [line.strip() for line in trace.splitlines() if "/sim/" in line and line.strip().startswith("File")]
    place = ours[-1].split("/sim/")[-1].replace('", line ', ":").split(", in")[0] if ours else "?"
    return f"{place} {trace.strip().splitlines()[-1][:100]}"


RESULTS = ["run.json", "summary.json", "scenario.yaml", "tracking.json", "trials.parquet", "timeline.parquet"]
INPUTS = ["data.csv", "data.parquet", "traffic.csv", "traffic.parquet"]
TARGETS: dict[str, tuple[Callable[[Path], Path], list[str], Attack]] = {
    "results": (run_folder, RESULTS, report),
    "inputs": (input_files, INPUTS, check),
    **DOORS,
}


def campaign(target: str, tries: int, seed: int, at: Path) -> list[tuple[int, str, str]]:
    """All tries on a target that failed."""
    make, names, attack = TARGETS[target]
    return list(attacks(make(at / "good"), names, attack, tries, seed, at))


if __name__ == "__main__":
    import sys
    import tempfile

    for each in TARGETS:
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)
            failed = campaign(each, int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, Path(scratch))
        places = Counter(where(trace) for _, _, trace in failed)
        print(f"{each}: {len(failed)} of {sys.argv[1]} failed, in {len({each.split()[0] for each in places})} places")
        for place, count in places.most_common(200):
            print(f"  {count:5} {place}")
