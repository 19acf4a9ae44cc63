"""What a shadow does twice, from a file: how often, at which price, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main

RATE_S, SHARE, WRITES, FILTERED, LENGTH_S, PRICE = 2.0, 0.5, 0.1, 0.9, 3600, 0.5
FILE = """\
name: writes
seed: 3
replications: 400
horizon: 6h
tick: 10m
aa: false
sensitivity: off
traffic: {rate: 2/s, writes: 10%}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
value: {per_duplicate: 0.5}
policies:
  - {name: hold, kind: hold}
  - {name: bare, kind: shadow, mirror: 50%, duration: 1h, checks: [{metric: error_rate, max: 50%}]}
  - {name: filtered, kind: shadow, mirror: 50%, writes_filtered: 90%, duration: 1h, checks: [{metric: error_rate, max: 50%}]}
  - name: waits
    kind: stages
    stages:
      - allocation: {kind: mirror, fraction: 50%, writes_filtered: 100%}
        evidence: {kind: survive, duration: 5h}
        max_duration: 1h
        checks: [{metric: error_rate, max: 50%}]
        reaction: {inconclusive: {delay: {constant: 1h}}}
"""


@pytest.mark.parametrize("engine", ["aggregate", "compiled"])
def test_duplicates_are_counted_and_priced(engine: str, store: str, tmp_path: Path) -> None:
    file = tmp_path / "writes.yaml"
    file.write_text(FILE)
    assert main(["check", str(file)]) == 0
    where = ["--registry-uri", store, "--no-tracking", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["run", str(file), *where, "--set", f"engine={engine}"]) == 0
    trials = pd.read_parquet(tmp_path / "run" / "trials.parquet").set_index("policy")
    twice = trials["duplicated_writes"]
    # Of Poisson requests those that are copied and write are Poisson.
    expected = RATE_S * LENGTH_S * SHARE * WRITES
    for policy, mean in (("bare", expected), ("filtered", expected * (1 - FILTERED))):
        assert abs(twice.loc[policy].mean() - mean) < 4 * np.sqrt(mean / 400)
        copies = RATE_S * LENGTH_S * SHARE * (1 if policy == "bare" else 1 - WRITES * FILTERED)
        assert abs(trials.loc[policy, "mirrored_requests"].mean() - copies) < 4 * np.sqrt(copies / 400)
    assert not twice.loc["hold"].any()
    # It waits an hour for a reaction, and copies on: the filter stays as it was.
    assert not twice.loc["waits"].any()
    assert trials.loc["waits", "mirrored_requests"].mean() > 1.9 * RATE_S * LENGTH_S * SHARE * (1 - WRITES)
    # Both shadows ship in the same tick: they differ by what is duplicated, at its price.
    gain = trials.loc["bare", "gain"].to_numpy() - trials.loc["filtered", "gain"].to_numpy()
    assert np.abs(gain).max() < 1e-9
    told = (tmp_path / "run" / "report.md").read_text()
    assert "10% of requests write" in told
    assert "without 90% of those that write" in told
    assert f"a duplicated write costs {PRICE:g}" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("traffic.writes=0%", "policies[2].writes_filtered: filters nothing: no request writes without traffic.writes"),
        ("traffic.writes=0%", "policies[3].stages[0].allocation.writes_filtered: filters nothing"),
        ("traffic.writes=0%", "value.per_duplicate: needs traffic.writes"),
        ("traffic.writes=110%", "traffic.writes: "),
        ("policies[2].writes_filtered=-1%", "policies[2].writes_filtered: "),
        ("value.per_duplicate=-1", "value.per_duplicate: "),
        ("traffic.write=10%", "traffic.write: "),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(
    change: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "writes.yaml"
    file.write_text(FILE)
    assert main(["check", str(file), "--set", change]) == 2
    assert said in capsys.readouterr().err
