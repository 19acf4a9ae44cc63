"""Attacks on files of teams and of other programs: request logs, past experiments, tallies, decisions, manifests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from sim.errors import InputError
from sim.forecast.forecasting import forecast
from sim.forecast.pages import to_text
from tests.forecast.scenarios import MODEL, scenario
from tests.fuzz.ends import ends
from tests.interop.manifests import ALARMS, CANARY, CANARY_STAGE, CONFIG, DEPLOYMENT, ROLLOUT

POLICIES = """\
arms: [old, new]
policies:
  - {name: even, allocation: {kind: fixed}}
  - {name: thompson, allocation: {kind: thompson, floor: 5%}}
"""
EXPERIMENTS = """\
experiment,arm,requests,conversion
a,control,9000,450
a,treatment,9100,470
b,control,5000,260
b,treatment,5000,255
c,control,7000,340
c,treatment,7100,380
d,control,8000,400
d,treatment,8000,409
"""
TALLIES = """\
time,arm,requests,errors,conversion
2d,champion,2400,3,720
2d,challenger,2400,4,735
5d,champion,6000,8,1800
5d,challenger,6000,9,1840
"""
MANIFESTS = {
    "argo.yaml": ROLLOUT, "flagger.yaml": CANARY, "deployment.yaml": DEPLOYMENT, "alarms.yaml": ALARMS,
    "config.yaml": CONFIG, "stage.yaml": CANARY_STAGE,
}  # fmt: skip


def request_logs(at: Path) -> Path:
    """Two days of requests, as CSV and as Parquet, and a table of past experiments."""
    at.mkdir()
    rng, rows = np.random.default_rng(1), 240
    start = pd.Timestamp("2026-01-01")
    seconds = np.sort(rng.integers(0, 2 * 86_400, rows))
    time = start + pd.to_timedelta(seconds, unit="s")
    sale = rng.integers(0, 2, rows)
    log = pd.DataFrame(
        {"time": time, "arm": rng.choice(["champion", "challenger"], rows), "user": rng.integers(0, 40, rows).astype(str),
         "sale": sale, "outcome_time": time + pd.to_timedelta(rng.integers(1, 9_000, rows), unit="s"),
         "latency_ms": rng.gamma(4, 20, rows), "error": rng.integers(0, 20, rows) == 0, "segment": rng.choice(["x", "y"], rows)}
    )  # fmt: skip
    log.to_csv(at / "log.csv", index=False)
    log.to_parquet(at / "log.parquet", index=False)
    (at / "experiments.csv").write_text(EXPERIMENTS)
    return at


def decisions(at: Path) -> Path:
    """Logged decisions, as CSV and as Parquet, and policies."""
    at.mkdir()
    rng, rows = np.random.default_rng(1), 400
    arm = rng.choice(2, rows, p=[0.7, 0.3])
    log = pd.DataFrame(
        {"time": np.arange(rows) * 10.0, "arm": np.array(["old", "new"])[arm],
         "reward": (rng.random(rows) < np.array([0.3, 0.5])[arm]).astype(int), "propensity": np.array([0.7, 0.3])[arm]}
    )  # fmt: skip
    log.to_csv(at / "decisions.csv", index=False)
    log.to_parquet(at / "decisions.parquet", index=False)
    (at / "policies.yaml").write_text(POLICIES)
    return at


def tallies(at: Path) -> Path:
    """What was seen of a rollout, as CSV and as Parquet."""
    at.mkdir()
    (at / "tallies.csv").write_text(TALLIES)
    pd.read_csv(at / "tallies.csv").to_parquet(at / "tallies.parquet", index=False)
    (at / "it.yaml").write_text(yaml.safe_dump(scenario(tick="1d")))
    return at


def manifests(at: Path) -> Path:
    """Manifests of four programs."""
    at.mkdir()
    for name, text in MANIFESTS.items():
        (at / name).write_text(text)
    return at


def calibrate(folder: Path) -> None:
    """`sim calibrate` on every log, and on the experiments with a log."""
    for log in ("log.csv", "log.parquet"):
        ends(["calibrate", str(folder / log), "--quiet", "--out", str(folder / f"of-{log}.yaml")], folder)
    ends(["calibrate", str(folder / "experiments.csv"), "--quiet", "--json"], folder)


def replay(folder: Path) -> None:
    """`sim replay` on every log of decisions."""
    for log in ("decisions.csv", "decisions.parquet"):
        words = ["--policies", str(folder / "policies.yaml"), "--tick", "10m", "--replays", "20", "--samples", "50"]
        ends(["replay", str(folder / log), *words], folder)


def foretell(folder: Path) -> None:
    """What `sim forecast` tells of every table, by models in memory."""
    for table in ("tallies.csv", "tallies.parquet"):
        with contextlib.suppress(InputError):
            to_text(forecast(folder / "it.yaml", "ab", folder / table, models=[MODEL] * 2, replications=50))


def imports(folder: Path) -> None:
    """`sim import` on every manifest, alone and with what it names."""
    for given in (("argo.yaml",), ("flagger.yaml",), ("deployment.yaml", "alarms.yaml"), ("config.yaml", "stage.yaml")):
        out = folder / f"of-{given[0]}"
        ends(["import", *(str(folder / name) for name in given), "--out", str(out)], folder)


DOORS: dict[str, tuple[Callable[[Path], Path], list[str], Callable[[Path], None]]] = {
    "logs": (request_logs, ["log.csv", "log.parquet", "experiments.csv"], calibrate),
    "decisions": (decisions, ["decisions.csv", "decisions.parquet", "policies.yaml"], replay),
    "tallies": (tallies, ["tallies.csv", "tallies.parquet"], foretell),
    "manifests": (manifests, list(MANIFESTS), imports),
}
"""By name: what makes the good files, which of them are damaged, and what reads them."""
