"""The inputs of a run in MLflow: the model versions, the traffic and the data set."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from sim.tracking.folder import RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModelInput

# MLflow accepts digests of up to 36 characters; half a SHA-256 is enough.
_DIGEST = 32


def datasets(folder: RunFolder) -> list[DatasetInput]:
    """The traffic, and the data set that real versions were replayed on, if there was one."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    record = folder.record
    traffic = {
        "traffic": folder.scenario.get("traffic"),
        "seed": record.seed,
        "replications": record.replications,
        "horizon_s": record.horizon_s,
    }
    text = json.dumps(traffic, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    # "code" is MLflow's word for a data set that a program made.
    source = json.dumps({"tags": {"mlflow.source.name": "rollout-sim", "mlflow.source.type": "LOCAL"}})
    profile = json.dumps({**traffic, "requests_expected": record.requests_expected}, default=str)
    data_sets = [Dataset(f"{record.name} traffic"[:500], digest[:_DIGEST], "code", source, profile=profile)]
    if record.data is not None:
        spec = folder.scenario.get("data")
        file = spec.get("file") if isinstance(spec, dict) else None
        kind, where = ("local", json.dumps({"uri": str(file)})) if file else ("code", source)
        rows = json.dumps({"num_rows": record.data.rows})
        data_sets.append(Dataset(record.data.name[:500] or "data", record.data.digest[:_DIGEST], kind, where, profile=rows))
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "simulation")]) for dataset in data_sets]


def models(folder: RunFolder, client: MlflowClient) -> list[LoggedModelInput]:
    """The logged models of the versions, as far as this store has them: the registry may be in another store."""
    from mlflow.entities import LoggedModelInput
    from mlflow.exceptions import MlflowException

    inputs = []
    for model_id in dict.fromkeys(version.model_id for version in folder.record.all_versions):
        if model_id is None or not re.fullmatch(r"m-[0-9a-zA-Z]{1,64}", model_id):
            continue
        try:
            client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND", "NOT_FOUND"):
                raise
        else:
            inputs.append(LoggedModelInput(model_id))
    return inputs
