"""A version's description leads to the rehearsal's run, where the page of one server has both."""

from __future__ import annotations

import re
from pathlib import Path

from mlflow import MlflowClient

from sim.registry.behaviour import ModelsFile
from sim.registry.register import register
from sim.registry.store import client
from sim.registry.versions import resolve
from sim.tracking.track import track
from tests.compare.synthetic import decided, frame
from tests.logged_here import logged_here as logged_here
from tests.tracking.folders import write_folder

MODEL = ModelsFile.model_validate(
    {"model": "described", "versions": [{"outcomes": {"conversion": {"bernoulli": "5%"}}, "latency": {"constant": "45ms"}}]}
)


def rehearsed(path: Path, registry: MlflowClient, digest: str) -> Path:
    """The folder of a rehearsal that the model's first version was in."""
    register(MODEL, registry)
    (version,) = resolve([("challenger", "models:/described/1")], registry)
    fields = ("uri", "name", "version", "model_id", "run_id", "kind", "digest")
    record = {"arm": "challenger"} | {name: getattr(version, name) for name in fields}
    folder = write_folder(path, digest=digest, chosen="canary", versions=[record], replications=3)
    trials = frame({"hold": [decided("keep", 60.0)] * 3, "canary": [decided("ship", 60.0, shipped_arm="challenger")] * 3})
    trials.to_parquet(folder / "trials.parquet")
    return folder


def test_the_description_of_a_version_links_to_the_run(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    folder = rehearsed(tmp_path, mlflow, "described")
    tracked = track(folder, tracking_uri=uri, timeout_s=600, annotate=True)
    assert not tracked.unmarked
    said = mlflow.get_model_version("described", "1").description
    # A link within the page: it holds whatever the server's address is.
    (link,) = re.findall(r"run \[(\w+)\]\(#/experiments/(\w+)/runs/(\w+)\?workflowType=machine_learning\)", said)
    assert link == (tracked.run_id, tracked.experiment_id, tracked.run_id)
    assert mlflow.get_run(link[2]).info.experiment_id == link[1]


def test_a_run_in_another_store_is_named_and_not_linked(tmp_path: Path, uri: str) -> None:
    """A link would lead to whatever is at that address of the registry's own server."""
    elsewhere = f"sqlite:///{tmp_path / 'registry.db'}"
    registry = client(elsewhere)
    folder = rehearsed(tmp_path / "run", registry, "described-elsewhere")
    tracked = track(folder, tracking_uri=uri, registry_uri=elsewhere, timeout_s=600, annotate=True)
    assert not tracked.unmarked
    said = registry.get_model_version("described", "1").description
    assert f"run {tracked.run_id})" in said
    assert "](#" not in said
