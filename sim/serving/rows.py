"""Rows of data as a scoring server takes them: one JSON text for each."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.registry.data import Data
from sim.registry.scoring import model_inputs
from sim.registry.versions import Version, signature_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST = 500
"""Rows that are made; calls take them in turn."""


def bodies(
    version: Version, data: Data, client: MlflowClient, *, rewards: Collection[str] = (), most: int | None = MOST
) -> list[bytes]:  # fmt: skip
    """The rows that a version is asked about, each as the body of a call: `dataframe_split`, or `inputs` for a tensor.

    The first `most` rows, or all; without the columns `rewards` where the version does not ask for them. No code of the model
    runs. Raises `InputError` for a version without a signature, and data that does not match it.
    """
    import numpy as np

    signature = signature_of(version, client)
    if signature is None or signature.inputs is None:
        rule = (
            f"{version.pinned} has no signature, so nobody knows what its server takes: log it again with "
            "signature=mlflow.models.infer_signature(X, model.predict(X))"
        )
        raise InputError([Problem(rule, path="uri")])
    inputs = model_inputs(version, data, client, rewards=rewards)
    count = len(inputs) if most is None else min(len(inputs), most)
    if isinstance(inputs, np.ndarray):
        return [json.dumps({"inputs": inputs[at : at + 1].tolist()}).encode() for at in range(count)]
    found = []
    for at in range(count):
        split = json.loads(inputs.iloc[at : at + 1].to_json(orient="split", date_format="iso", double_precision=15))
        found.append(json.dumps({"dataframe_split": {"columns": split["columns"], "data": split["data"]}}).encode())
    return found
