"""The project in MLflow's sense: `mlflow run`, with its entry points, from the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sim.cli import make_parser
from sim.registry import store

ROOT = Path(__file__).parents[2]
SCENARIO = """\
name: project
question: Does a breach fail the run?
replications: 20
horizon: 4h
tick: 1h
sensitivity: off
traffic: {rate: 100/h}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
policies:
  - {name: hold, kind: hold}
  - {name: switch, kind: switch}
thresholds: {switch.ship: "< 50%"}
"""


def mlflow_run(*arguments: str, store: str) -> subprocess.CompletedProcess[str]:
    """`mlflow run` of this project, without an environment of its own."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # What `mlflow run` starts is in the project's root; its paths are given whole.
    given = {"PATH": path, "MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager", "local", *arguments]
    return subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=540, check=False)


@pytest.mark.slow
def test_a_breached_threshold_is_no_failed_run(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    file = tmp_path / "project.yaml"
    file.write_text(SCENARIO)
    registered = subprocess.run(
        [sys.executable, "-m", "sim", "models", "register", "checkout", "--tracking-uri", uri],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert registered.returncode == 0, registered.stderr
    said = mlflow_run(
        "--experiment-name", "project", "-P", f"scenario={file}", "-P", f"reports={tmp_path / 'reports'}", store=uri
    )
    client = store.client(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("project").experiment_id], "tags.`sim.kind` = 'scenario'")
    assert said.returncode == 0, said.stderr
    # The run that MLflow made is the rehearsal's own.
    assert run.data.tags["mlflow.project.entryPoint"] == "main"
    assert (run.info.status, run.data.tags["sim.thresholds"]) == ("FINISHED", "breached")
    # MLflow's command has codes of its own: the program's is in a tag.
    assert (run.data.tags["sim.exit"], run.data.params["scenario"]) == ("3", str(file))


def test_every_entry_point_is_a_command_of_the_program() -> None:
    """With the defaults of its parameters, and something for those that have none."""
    points = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    assert list(points) == ["main", "models", "compare", "verify"]
    for name, point in points.items():
        values = {key: each.get("default", "x") for key, each in point.get("parameters", {}).items()}
        for command in point["command"].format(**values).partition(" || ")[0].split(" && "):
            start, *arguments = re.split(r"^python -m sim ", command)
            assert start == "", name
            make_parser().parse_args(arguments[0].split())


@pytest.mark.skipif(os.name == "nt", reason="MLflow runs commands with bash")
def test_only_a_breached_threshold_is_forgiven() -> None:
    command = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]["main"]["command"]
    after = command.partition(" || ")[2]
    ends = {
        code: subprocess.run(["bash", "-c", f"(exit {code}) || {after}"], check=False).returncode for code in (0, 1, 2, 3, 4)
    }
    assert {code for code, end in ends.items() if end == 0} == {0, 3}
