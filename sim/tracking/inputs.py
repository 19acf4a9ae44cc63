"""The inputs of a run in MLflow: the model versions, the traffic and the data set."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from sim.registry.store import logged_models
from sim.run.record import DataRecord
from sim.tracking.folder import RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModelInput

# MLflow accepts digests of up to 36 characters; half a SHA-256 is enough.
_DIGEST = 32
# What every version of MLflow takes, in characters.
_SCHEMA = 65_535
_TYPES = {
    r"u?int(8|16)|int32|U?Int(8|16)|Int32": "integer", r"u?int|U?Int": "long", r"float(16|32)|Float32": "float",
    r"float|Float": "double", r"bool": "boolean", r"date": "datetime",
}  # fmt: skip
"""What the name of a type begins with, and MLflow's word for it; all others are texts."""


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
        name, digest = record.data.name[:500] or "data", record.data.digest[:_DIGEST]
        data_sets.append(Dataset(name, digest, kind, where, schema=_schema(record.data), profile=rows))
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "simulation")]) for dataset in data_sets]


def _schema(data: DataRecord) -> str | None:
    """The columns of a data set as MLflow writes them; None where they are not known, or are more than it takes."""
    columns = [{"type": _type(kind), "name": name, "required": True} for name, kind in data.columns.items()]
    text = json.dumps({"mlflow_colspec": columns})
    return text if columns and len(text) <= _SCHEMA else None


def _type(kind: str) -> str:
    """MLflow's word for a type of pandas.

    >>> _type("float64"), _type("int8"), _type("object"), _type("datetime64[ns]")
    ('double', 'integer', 'string', 'datetime')
    """
    return next((word for pattern, word in _TYPES.items() if re.match(pattern, kind)), "string")


def models(folder: RunFolder, client: MlflowClient) -> list[LoggedModelInput]:
    """The logged models of the versions, as far as this store has them: the registry may be in another store."""
    return logged_models((version.model_id for version in folder.record.all_versions), client)
