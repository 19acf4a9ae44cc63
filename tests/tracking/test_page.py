"""What MLflow's page reads: the kind of the experiment, its view, descriptions with links, times of nested runs, schemas."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote

from mlflow import MlflowClient

from sim.compare.comparison import compare
from sim.compare.summary import write_summary
from sim.registry import store
from sim.report.listed import write
from sim.report.picture import picture
from sim.report.source import read
from tests.compare.sweeps import write_sweep
from tests.tracking.folders import write_folder
from tests.tracking.stores import children, here


def test_an_experiment_is_one_of_models_and_has_a_view(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    logged = here(write_folder(tmp_path, digest="kind"), uri, "kind")
    tags = mlflow.get_experiment(logged.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    view = json.loads(tags["mlflow.sharedViewState.rehearsals"])
    columns = json.loads(view["state"])["selectedColumns"]
    assert {"tags.`sim.took`", "metrics.`net_value`", "metrics.`wrong_ship`"} <= set(columns)


def test_what_a_team_has_set_of_its_experiment_stays(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    experiment = store.experiment(mlflow, "ours")
    ours = {"mlflow.experimentKind": "genai_development", "mlflow.sharedViewState.rehearsals": "ours"}
    for key, value in ours.items():
        mlflow.set_experiment_tag(experiment, key, value)
    here(write_folder(tmp_path, digest="ours"), uri, "ours")
    assert mlflow.get_experiment(experiment).tags.items() >= ours.items()


def test_the_description_leads_everywhere(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    folder = write_folder(tmp_path, digest="description", chosen="canary")
    (folder / "policies.png").write_bytes(b"a picture")
    run = mlflow.get_run(here(folder, uri).run_id)
    note, run_id, experiment = run.data.tags["mlflow.note.content"], run.info.run_id, run.info.experiment_id
    assert note.startswith("Is the retrained ranker safe to ship?\n\nTake canary. It decides 2 days sooner.\n\n")
    assert "those of the policy taken, canary" in note
    assert f"![policies side by side](get-artifact?path=policies.png&run_uuid={run_id})" in note
    links = dict(re.findall(r"\[([^\]]+)\]\((#[^)]+)\)", note))
    own = f"#/experiments/{experiment}/runs/{run_id}"
    assert links["report.html"] == f"{own}/artifacts/report.html?workflowType=machine_learning"
    # The page asks the store as its address says: for the nested runs, in an order that it takes.
    asked = parse_qs(links["charts of the policies"].partition("?")[2])
    found = mlflow.search_runs([experiment], asked["searchFilter"][0], order_by=[f"{asked['orderByKey'][0]} ASC"])
    assert [each.info.run_name for each in found] == ["canary", "hold"]


def test_a_long_memo_is_shortened_and_the_links_stay(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    folder = write_folder(tmp_path, digest="long", question="Why? " * 200)
    summary = json.loads((folder / "summary.json").read_text())
    summary["points"][0]["memo"] = summary["memo"] = ["It is long. " * 900]
    (folder / "summary.json").write_text(json.dumps(summary))
    note = mlflow.get_run(here(folder, uri).run_id).data.tags["mlflow.note.content"]
    assert len(note) == 5000
    assert "…\n\n[report.html](" in note
    assert "charts of the policies" in unquote(note)


def test_a_question_is_asked_for_by_its_text(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    """As docs/mlflow.md shows it."""
    for name, question in (("one", "Is it  late?\nOr\tnot?"), ("two", "Is it  late?\nOr\tnot?"), ("other", "Another?")):
        here(write_folder(tmp_path / name, digest=f"question-{name}", question=question), uri, f"question {name}")
    everywhere = [each.experiment_id for each in mlflow.search_experiments()]
    asked = "tags.`sim.question` = 'Is it late? Or not?'"
    rehearsals = mlflow.search_runs(everywhere, f"{asked} AND tags.`sim.kind` = 'scenario'")
    assert {run.data.tags["sim.digest"] for run in rehearsals} == {"question-one", "question-two"}
    policies = mlflow.search_runs(everywhere, f"{asked} AND tags.`sim.policy` = 'canary' AND metrics.wrong_ship > 1")
    assert len(policies) == 2
    page = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()
    assert "tags.`sim.question` = '" in page


def test_a_nested_run_lasts_as_long_as_its_policy_was_played(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    played = {"canary": {"started_at": "2026-01-02T03:04:10Z", "finished_at": "2026-01-02T03:04:30.5Z"}}
    canary, hold = children(mlflow, here(write_folder(tmp_path, digest="lasts", played=played), uri).run_id)
    assert canary.info.end_time - canary.info.start_time == 20_500
    # That of hold is not known: it is that of the run.
    assert hold.info.end_time - hold.info.start_time == 60_000


def test_a_data_set_has_its_schema(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    columns = {"age": "float64", "visits": "int64", "city": "object", "member": "bool", "since": "datetime64[ns]"}
    data = {"name": "digits", "digest": "cd" * 32, "rows": 719, "columns": columns}
    run = mlflow.get_run(here(write_folder(tmp_path, digest="schema", data=data), uri).run_id)
    (found,) = (each.dataset for each in run.inputs.dataset_inputs if each.dataset.name == "digits")
    assert (found.digest, json.loads(found.profile)) == ("cd" * 16, {"num_rows": 719})
    named = {each["name"]: each["type"] for each in json.loads(found.schema)["mlflow_colspec"]}
    assert named == {"age": "double", "visits": "long", "city": "string", "member": "boolean", "since": "datetime"}


def test_the_table_and_the_picture_are_made_of_the_summary(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, replications=40)
    write_summary(compare(folder), folder)
    rows = list(csv.DictReader(write(folder).read_text().splitlines()))
    assert len(rows) == len(compare(folder).to_dicts())
    assert {row["unit"] for row in rows if row["measure"] == "ship"} == {"share"}
    drawn = picture(read(folder))
    assert drawn.startswith(b"\x89PNG")
    assert drawn == picture(read(folder))
