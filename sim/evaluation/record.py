"""Keep an evaluation: a run that names data, rows and seed, with MLflow's own evaluation, and scores on the version's tags."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.evaluation.evaluate import Evaluation, Scored
from sim.registry.scores import Score
from sim.registry.store import experiment, given, logged_models, quiet, reaching, said

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelInput

EXPERIMENT = "offline-evaluations"
"""The experiment of the runs of evaluations."""
FILE = "evaluation.json"


def keep(found: Evaluation, client: MlflowClient) -> tuple[str, str]:
    """Log an evaluation to a run of its own, then to the version's tags; the run's id, and what MLflow's own part lacks.

    A run that is not logged whole ends as FAILED, and the version's tags are then as they were. Raises `TrackingError`.
    """
    where = experiment(client, EXPERIMENT)
    with reaching(client):
        info = client.create_run(where, run_name=f"{found.version.name}/{found.version.version} {found.method}").info
        run_id = str(given(info.run_id, "the id of a run", client))
        try:
            _log(found, run_id, client)
            lacks = _by_mlflow(found, run_id, client)
        except BaseException:
            with contextlib.suppress(Exception):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
        for score in scores(found, run_id):
            client.set_model_version_tag(found.version.name, found.version.version, score.key, score.to_tag())
    return run_id, lacks


def scores(found: Evaluation, run_id: str) -> list[Score]:
    """The scores as the version keeps them."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    data = found.data
    return [
        Score(
            each.metric, found.method, each.estimate, each.intervals, data.name[:200], data.digest[:32], data.rows, found.seed,
            found.folds, run_id, at,
        )
        for each in found.scores
    ]  # fmt: skip


def to_dict(found: Evaluation) -> dict[str, Any]:
    """The evaluation as plain data, as in `evaluation.json` and with `--json`."""
    pairwise = found.pairwise
    return {
        "uri": found.version.pinned,
        "task": found.task,
        "method": found.method,
        "folds": found.folds,
        "seed": found.seed,
        "data": {"name": found.data.name, "digest": found.data.digest, "rows": found.data.rows},
        "scores": [asdict(each) for each in found.scores],
        "against": None
        if pairwise is None
        else {
            "uri": pairwise.against.pinned,
            "scores": [asdict(each) for each in pairwise.scores],
            "differences": [asdict(each) for each in pairwise.differences],
            "only_first_right": pairwise.only_first,
            "only_second_right": pairwise.only_second,
            "mcnemar_p": pairwise.p_value,
        },
    }


def _log(found: Evaluation, run_id: str, client: MlflowClient) -> None:
    from mlflow.entities import Metric, Param, RunTag

    version, data = found.version, found.data
    params = {
        "version": version.pinned, "task": found.task, "method": found.method, "seed": found.seed, "data": data.name,
        "data_digest": data.digest, "rows": data.rows, "target": data.target.name,
    }  # fmt: skip
    params |= {"folds": found.folds} if found.folds else {}
    params |= {"against": found.pairwise.against.pinned} if found.pairwise else {}
    tags = {"sim.kind": "evaluation", "sim.evaluated": version.pinned, "mlflow.source.name": "rollout-sim"}
    now = round(time.time() * 1000)
    values = {key: value for each in found.scores for key, value in _metrics(each, "").items()}
    if found.pairwise is not None:
        values |= {key: value for each in found.pairwise.differences for key, value in _metrics(each, "difference.").items()}
        values |= {} if found.pairwise.p_value is None else {"mcnemar_p": found.pairwise.p_value}
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, now, 0) for key, value in values.items()],
        params=[Param(key, str(value)[:500]) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    client.log_inputs(run_id, datasets=[_dataset(found)], models=_models(found, client))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_text(json.dumps(to_dict(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        client.log_artifact(run_id, str(file))


def _metrics(scored: Scored, prefix: str) -> dict[str, float]:
    """A score and its bounds by the names of metrics, such as accuracy.bca.lower."""
    found = {f"{prefix}{scored.metric}": scored.estimate}
    for each in scored.intervals:
        how = each.how.lower().replace(", ", "_").replace(" ", "_")
        bounds = {"lower": each.lower, "upper": each.upper}
        found |= {f"{prefix}{scored.metric}.{how}.{side}": bound for side, bound in bounds.items() if bound is not None}
    return found


def _dataset(found: Evaluation) -> Any:
    from mlflow.entities import Dataset as DatasetEntity
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.types.utils import _infer_schema

    data = found.data
    with quiet():
        schema = json.dumps({"mlflow_colspec": _infer_schema(data.frame).to_dict()})
    source = json.dumps({"tags": {"mlflow.source.name": "rollout-sim", "mlflow.source.type": "LOCAL"}})
    rows = json.dumps({"num_rows": data.rows})
    dataset = DatasetEntity(data.name[:500], data.digest[:32], "code", source, schema=schema, profile=rows)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "evaluation")])


def _models(found: Evaluation, client: MlflowClient) -> list[LoggedModelInput]:
    """The logged models of the versions, as far as this store has them: the registry may be in another store."""
    versions = [found.version, *([found.pairwise.against] if found.pairwise else [])]
    return logged_models((version.model_id for version in versions), client)


def _by_mlflow(found: Evaluation, run_id: str, client: MlflowClient) -> str:
    """Have MLflow evaluate the same answers into the run, with its own metrics and charts; why it did not, if it did not.

    The model is not run again. Its metrics are named mlflow_NAME.
    """
    import mlflow.models
    from mlflow.exceptions import MlflowException

    frame = _frame(found)
    try:
        with _fluent(client, run_id), quiet():
            mlflow.models.evaluate(  # type: ignore[no-untyped-call]
                data=frame,
                targets="target",
                predictions="prediction",
                model_type="classifier" if found.task == "classification" else "regressor",
                evaluators="default",
                evaluator_config={"log_model_explainability": False, "metric_prefix": "mlflow_"},
            )
    except (MlflowException, ValueError, TypeError) as error:
        return f"MLflow's own evaluation of the same answers failed: {said(error, client.tracking_uri)[:300]}"
    return ""


def _frame(found: Evaluation) -> pd.DataFrame:
    import pandas as pd

    truth, answer = found.answers.in_words()
    return pd.DataFrame({"target": truth, "prediction": answer})


@contextlib.contextmanager
def _fluent(client: MlflowClient, run_id: str) -> Iterator[None]:
    """MLflow's global state set to one run, for what has no other way; afterwards as it was."""
    import mlflow

    # MLflow sets the environment variable too, which would name a registry for whatever comes next, and name it as one whose
    # models may run code. What a program had set by MLflow stands in the variable as well, so that restores both.
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        with mlflow.start_run(run_id=run_id):
            yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
