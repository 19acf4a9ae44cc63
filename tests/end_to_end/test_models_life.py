"""The life of a version from the command line: listed, shown, rehearsed, promoted, and led back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from sim.cli import main
from sim.registry.store import client
from tests.logged_here import logged_here as logged_here
from tests.tracking.stores import closed_port

REHEARSAL = """\
name: readers
question: Which reader ships?
seed: 3
replications: 40
horizon: 2d
tick: 30m
traffic: {rate: 10/m}
models:
  - {arm: champion, uri: "models:/digits@champion"}
  - {arm: challenger, uri: "models:/digits@challenger"}
  - {arm: biased, uri: "models:/digits@biased"}
data: {sklearn: digits}
metrics:
  - {name: accuracy, role: primary, reward: correct, smallest_effect: 1%}
policies:
  - {name: hold, kind: hold}
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 3%}}
"""


@pytest.fixture(scope="module")
def uri(store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of this file's own, with the example models."""
    copy = tmp_path_factory.mktemp("own") / "mlflow.db"
    shutil.copyfile(store.removeprefix("sqlite:///"), copy)
    return f"sqlite:///{copy}"


@pytest.fixture(scope="module")
def mlflow(uri: str) -> MlflowClient:
    return client(uri)


@pytest.fixture(scope="module")
def run(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished rehearsal of the readers of digits, logged."""
    folder = tmp_path_factory.mktemp("rehearsal")
    (folder / "readers.yaml").write_text(REHEARSAL)
    out = folder / "out"
    assert main(["run", str(folder / "readers.yaml"), "--out", str(out), "--quiet", "--tracking-uri", uri]) == 0
    return out


def shown(uri: str, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["models", "show", name, "--json", "--tracking-uri", uri]) == 0
    return dict(json.loads(capsys.readouterr().out))


def said(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """What a command says, on both streams, when it ends with this code."""
    capsys.readouterr()
    assert main(["models", *words]) == code
    out, err = capsys.readouterr()
    return out + err


def test_every_version_is_listed(uri: str, mlflow: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(said(capsys, 0, "list", "--json", "--tracking-uri", uri))
    there = {(version.name, version.version) for version in mlflow.search_model_versions(max_results=1000)}
    assert {(row["name"], row["version"]) for row in rows} == {(name, str(version)) for name, version in there}
    assert {row["kind"] for row in rows if row["name"] in ("digits", "biopsies")} == {"real"}
    assert {row["kind"] for row in rows if row["name"] == "checkout-ranker"} == {"behaviour"}
    table = said(capsys, 0, "list", "digits", "--tracking-uri", uri)
    assert "models:/digits/1  champion" in table
    assert "checkout" not in table


def test_a_version_says_where_it_came_from_and_where_it_was_rehearsed(
    uri: str, run: Path, mlflow: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    about = shown(uri, "models:/digits@challenger", capsys)
    made = mlflow.get_run(about["origin"]["run"])
    assert about["origin"]["experiment"] == "registered-models"
    assert about["data"] == [
        {"name": "digits, training rows", "digest": about["tags"]["sim.training_data_digest"][:32], "rows": 809,
         "context": "training"}
    ]  # fmt: skip
    assert made.inputs.dataset_inputs[0].dataset.name == "digits, training rows"
    assert len(about["signature"]["inputs"]) == 64
    assert about["latency"]["calls"] == 300
    (rehearsal,) = about["rehearsals"]
    marker = json.loads((run / "tracking.json").read_text())
    assert (rehearsal["name"], rehearsal["run"], rehearsal["arm"]) == ("readers", marker["run_id"], "challenger")
    assert (rehearsal["champion"], rehearsal["took"]) == ("digits/1", "ab")
    ships = rehearsal["policies"]["ab"]["ships"]
    assert ships[0] == 1.0
    assert rehearsal["policies"]["hold"]["keeps"][0] == 1.0
    # And from the rehearsal to its versions.
    logged = mlflow.get_run(marker["run_id"])
    assert logged.data.tags["sim.arm.challenger.version"] == about["version"]
    assert about["model_id"] in {each.model_id for each in logged.inputs.model_inputs}
    text = said(capsys, 0, "show", "models:/digits@challenger", "--tracking-uri", uri)
    for word in ("809 rows", "pixel_0_0: double", "p50", "readers", marker["run_id"], "100% (91"):
        assert word in text


def test_the_memo_goes_into_a_description_only_where_that_is_asked_for(
    uri: str, run: Path, mlflow: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    before = mlflow.get_model_version("digits", "2").description
    assert main(["track", str(run), "--tracking-uri", uri]) == 0
    assert mlflow.get_model_version("digits", "2").description == before
    for _ in range(2):
        assert main(["track", str(run), "--tracking-uri", uri, "--annotate"]) == 0
    after = mlflow.get_model_version("digits", "2").description
    assert after.startswith(before)
    assert after.count("Take ab") == 1


def test_a_registry_that_has_another_version_of_that_number_is_left_alone(run: Path, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = client(other)
    registry.create_registered_model("digits")
    for _ in range(2):
        registry.create_model_version("digits", source=str(tmp_path))
    # A copy, because a folder notes where it was logged last.
    copy = shutil.copytree(run, tmp_path / "copy")
    assert main(["track", str(copy), "--tracking-uri", other, "--annotate"]) == 0
    for number in ("1", "2"):
        version = registry.get_model_version("digits", number)
        assert (dict(version.tags), version.description or "") == ({}, "")


def test_promote_needs_a_rehearsal_that_supports_it(
    uri: str, run: Path, mlflow: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    def promote(code: int, version: str, *more: str, alias: str = "champion") -> str:
        return said(capsys, code, "promote", f"models:/digits{version}", "--alias", alias, *more, "--tracking-uri", uri)

    def champion() -> str:
        return str(mlflow.get_registered_model("digits").aliases["champion"])

    run_id = json.loads((run / "tracking.json").read_text())["run_id"]
    nested = mlflow.search_runs(
        [mlflow.get_run(run_id).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
    )[0].info.run_id  # fmt: skip
    assert "name the rehearsal that supports it" in promote(2, "@challenger")
    assert "not shown to ship the version" in promote(2, "@biased", "--because", str(run))
    assert "must be a run folder, or the id of an MLflow run; got 'nowhere'" in promote(2, "/2", "--because", "nowhere")
    assert f"it is that of one policy; name the rehearsal's own, {run_id}" in promote(2, "/2", "--because", nested)
    assert "has no run" in promote(2, "/2", "--because", "f" * 32)
    assert "has no alias 'nobody'" in promote(2, "@nobody", "--because", str(run))
    assert "reserves" in promote(2, "/2", "--because", str(run), alias="v2")
    assert "does not go with --undo" in promote(2, "/2", "--undo", "--force")
    assert champion() == "1"
    assert not [key for key in mlflow.get_registered_model("digits").tags if key.startswith("sim.mov")]

    assert "digits@champion is models:/digits/2 now, and was /1" in promote(0, "@challenger", "--because", run_id)
    assert "nothing was moved" in promote(0, "/2", "--because", str(run))
    # The rehearsal was against version 1, which is the champion no more.
    assert "it held the version against models:/digits/1" in promote(2, "/3", "--because", str(run))
    assert "in spite of: the policy" in promote(0, "/3", "--because", str(run), "--force")
    history = json.loads(said(capsys, 0, "history", "digits", "--json", "--tracking-uri", uri))
    assert [(move["source"], move["target"]) for move in history["moves"]] == [("1", "2"), ("2", "3")]
    assert history["moves"][0]["because"]["run"] == run_id
    assert len(history["moves"][1]["forced"]) == 2
    for where in ("2", "1"):
        promote(0, "", "--undo")
        assert champion() == where
    assert "nothing to undo" in promote(2, "", "--undo")
    assert "rehearsal readers" in said(capsys, 0, "history", "digits", "--tracking-uri", uri)


def test_a_rehearsal_of_behaviour_models_is_no_evidence(
    uri: str, small: Path, tmp_path: Path, mlflow: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["run", str(small), "--out", out, "--quiet", "--tracking-uri", uri]) == 0
    # The store was copied from one that other tests may have rehearsed against.
    assert "small" in [each["name"] for each in shown(uri, "models:/checkout-ranker@challenger", capsys)["rehearsals"]]
    text = said(
        capsys, 2, "promote", "models:/checkout-ranker@challenger", "--alias", "champion", "--because", out,
        "--tracking-uri", uri,
    )  # fmt: skip
    assert "was stated in a models file, not measured" in text


def test_a_registry_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = tmp_path / "mlflow.db"
    for words in (["list"], ["show", "models:/a/1"], ["history", "a"], ["promote", "models:/a/1", "--alias", "b", "--force"]):
        assert "there is no registry" in said(capsys, 2, *words, "--tracking-uri", f"sqlite:///{where}")
    assert not where.exists()


def test_a_registry_that_is_away_costs_a_warning_and_not_the_record(
    uri: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    capsys.readouterr()
    assert main(["track", str(copy), "--tracking-uri", uri, "--registry-uri", f"http://127.0.0.1:{closed_port()}"]) == 0
    out, err = capsys.readouterr()
    assert "mlflow: " in out
    assert "the versions do not name the run: the MLflow server http://127.0.0.1:" in err
    assert json.loads((copy / "tracking.json").read_text())["complete"] is True
