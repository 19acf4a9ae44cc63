"""A registry with two real versions that differ, a data file, and a scenario of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from sim.registry.store import client
from tests.evaluation.made import of_function, of_sklearn, rows

SCENARIO = """\
name: live
seed: 5
horizon: 1h
tick: 10m
replications: 10
traffic: {rate: 20/s}
models:
  - {arm: champion, uri: "models:/reader/1"}
  - {arm: challenger, uri: "models:/reader/2"}
data: {file: rows.csv}
metrics:
  - {name: accuracy, role: primary, reward: correct}
policies:
  - {name: hold, kind: hold}
  - name: careful
    kind: stages
    stages:
      - {name: shadow, kind: shadow, mirror: 80%, duration: 2s, checks: [{metric: error_rate, max: 50%, min_requests: 3}]}
      - {name: split, kind: ab, split: [60%, 40%], evidence: {kind: fixed_horizon, sample: 100000}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything of these tests is; the store is `mlflow.db`."""
    found = tmp_path_factory.mktemp("live")
    registry = client(f"sqlite:///{found / 'mlflow.db'}")
    frame = rows()[["a", "target"]]
    frame.to_csv(found / "rows.csv", index=False)
    of_sklearn(registry, "reader", LogisticRegression().fit(frame[["a"]], frame["target"]), frame[["a"]])
    of_function(registry, "reader", "yes", frame[["a"]])
    (found / "live.yaml").write_text(SCENARIO)
    return found
