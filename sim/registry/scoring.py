"""Run a real version's code: load it from the client's registry and hand it the columns that it asks for."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem, visible
from sim.registry import trust
from sim.registry.data import Data
from sim.registry.store import quiet, reaching
from sim.registry.versions import Version, artifacts, signature_of

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.pyfunc import PyFuncModel

INTEGERS_AS_FLOATS = ("float", "double")


def model_inputs(version: Version, data: Data, client: MlflowClient, *, rewards: Collection[str] = ()) -> pd.DataFrame | Any:
    """The features of the version's signature, in its order; without a signature all features but `rewards`.

    Integers are cast where the signature has floats, as reading a CSV file loses that difference. A
    signature of one tensor gets the features as an array. Raises `InputError` where columns are missing.
    """
    features = data.features
    signature = signature_of(version, client)
    if signature is None or signature.inputs is None or not signature.inputs.has_input_names():
        features = features.drop(columns=list(rewards), errors="ignore")
    if signature is None or signature.inputs is None:
        return features
    if signature.inputs.is_tensor_spec():
        return _tensor(version, features, signature.inputs.inputs)
    wanted = signature.inputs.input_names()
    if not signature.inputs.has_input_names():
        _check_count(version, features, len(signature.inputs.inputs))
        return features
    required = signature.inputs.required_input_names()
    if missing := [name for name in required if name not in features.columns]:
        extra = [name for name in features.columns if name not in wanted]
        more = f"; it has {_some(extra)} instead" if extra else ""
        raise _mismatch(version, f"{data.name} lacks {_some(missing)}, which its signature names{more}")
    types = dict(zip(wanted, signature.inputs.input_types(), strict=True))
    chosen = features[[name for name in wanted if name in features.columns]]
    floats = {
        name: "float64"
        for name in chosen.columns
        if chosen[name].dtype.kind in "iu" and getattr(types[name], "name", "") in INTEGERS_AS_FLOATS
    }
    return chosen.astype(floats)


def load(version: Version, client: MlflowClient) -> PyFuncModel:
    """The version through `mlflow.pyfunc`. **This runs code from the registry**: open only one you trust.

    Raises `InputError` where nobody vouches for its store (`trust`), or the model cannot be loaded here, and `TrackingError`
    where it cannot be fetched.
    """
    import mlflow.pyfunc

    trust.check(client, "data", f"{version.arm} ({version.pinned}) is a real model")

    with reaching(client):
        path = artifacts(version, client)
    try:
        with quiet():
            model: PyFuncModel = mlflow.pyfunc.load_model(str(path), suppress_warnings=True)
    except Exception as error:
        raise _mismatch(version, f"cannot be loaded: {_reason(error)}") from error
    return model


def predict(model: PyFuncModel, version: Version, inputs: Any) -> Any:
    """What the model answers to all rows. Raises `InputError` with the model's own reason where it fails."""
    try:
        with quiet():
            return model.predict(inputs)
    except Exception as error:
        raise _mismatch(version, f"cannot predict: {_reason(error)}") from error


def _tensor(version: Version, features: pd.DataFrame, specs: list[Any]) -> Any:
    import numpy as np

    if len(specs) != 1 or len(specs[0].shape) != 2:
        shapes = ", ".join(str(tuple(spec.shape)) for spec in specs)
        raise _mismatch(version, f"takes tensors of shape {shapes}; only one of shape (rows, columns) can be replayed")
    if specs[0].shape[1] >= 0:
        _check_count(version, features, specs[0].shape[1])
    try:
        return np.ascontiguousarray(features.to_numpy(), dtype=specs[0].type)
    except (TypeError, ValueError) as error:
        raise _mismatch(version, f"takes a tensor of {specs[0].type}: {_reason(error)}") from error


def _check_count(version: Version, features: pd.DataFrame, count: int) -> None:
    if features.shape[1] != count:
        raise _mismatch(version, f"takes {count} columns; the data has {features.shape[1]} besides the target")


def _mismatch(version: Version, message: str) -> InputError:
    return InputError([Problem(f"{version.arm} ({version.pinned}): {message}", path="data")])


def _reason(error: Exception) -> str:
    return visible(f"{type(error).__name__}: {str(error).strip()[:300]}".replace("\n", " "))


def _some(names: list[Any]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(str(name)) for name in names[:5]) + more
