"""A registry with the demo models and the example behaviour models, and a scenario small enough to run in a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.cli import main
from tests.undrawn import undrawn as undrawn

ROOT = Path(__file__).parents[2]

SMALL = """\
name: small
question: Is it?
seed: 3
replications: 40
horizon: 1d
tick: 30m
traffic: {rate: 2/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics:
  - {name: conversion, role: primary}
  - {name: error_rate, role: guardrail, max: 1%}
policies:
  - {name: hold, kind: hold}
  - {name: ab, kind: ab, split: [50%, 50%], evidence: {kind: fixed_horizon, sample: 20000}}
  - name: canary
    kind: canary
    steps: [{weight: 10%, bake: 1h}, {weight: 50%, bake: 1h}]
    checks: [{metric: error_rate, max: 1%, trip: 2, min_requests: 50}]
baseline: ab
"""


@pytest.fixture(scope="session")
def store(demo_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a SQLite store in which the demo and all example models are registered."""
    uri = demo_store(tmp_path_factory.mktemp("store") / "mlflow.db")
    files = sorted(str(file) for file in (ROOT / "scenarios" / "models").glob("*.yaml"))
    assert main(["models", "register", *files, "--tracking-uri", uri]) == 0
    return uri


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small scenario file."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file
