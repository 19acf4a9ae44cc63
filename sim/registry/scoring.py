"""Run a real version's code: load it from the client's registry and hand it the columns that it asks for."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
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
    from numpy.typing import NDArray

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


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Run a model's code: what it prints goes to the error stream, as standard output is for results."""
    with quiet(), contextlib.redirect_stdout(sys.stderr):
        yield


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
        with running():
            model: PyFuncModel = mlflow.pyfunc.load_model(str(path), suppress_warnings=True)
    except Exception as error:
        how = _to_install(path / "requirements.txt")
        raise _mismatch(version, f"cannot be loaded: {_reason(error)}{f'; {how}' if how else ''}") from error
    return model


def _to_install(file: Path) -> str:
    """The command that installs what a version requires and is not here, or is here in another version; empty if all is."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    lacking = []
    for line in lines:
        try:
            requirement = Requirement(line.partition("#")[0].strip())
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            if not requirement.specifier.contains(version(requirement.name), prereleases=True):
                lacking.append(str(requirement))
        except PackageNotFoundError:
            lacking.append(str(requirement))
        except InvalidRequirement:
            # An option of pip, a path or a comment.
            continue
    return f"what it requires and is not here: `{shlex.join(['pip', 'install', *lacking])}`" if lacking else ""


def predict(model: PyFuncModel, version: Version, inputs: Any) -> Any:
    """What the model answers to all rows. Raises `InputError` with the model's own reason where it fails."""
    try:
        with running():
            return model.predict(inputs)
    except Exception as error:
        raise _mismatch(version, f"cannot predict: {failing(model, inputs, error)}") from error


def failing(model: PyFuncModel, inputs: Any, error: Exception) -> str:
    """Why a model fails on rows, in a line; with the columns that its signature calls optional and the rows do not have."""
    signature = getattr(model.metadata, "signature", None)
    schema = signature.inputs if signature is not None else None
    names = schema.input_names() if schema is not None and schema.has_input_names() else []
    absent = [name for name in names if name not in getattr(inputs, "columns", names)]
    hint = f"; the data lacks {_some(absent)}, which its signature calls optional" if absent else ""
    return _reason(error) + hint


def one_per_row(version: Version, answer: Any, rows: int) -> NDArray[Any]:
    """A model's answer as one number, text or boolean per row, (rows,). Raises `InputError` for any other answer."""
    import numpy as np

    values = _plain(version, _one_output(version, answer, rows))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (rows,):
        raise _mismatch(version, f"must predict one value per row, ({rows},); got shape {values.shape}")
    if values.dtype.kind not in "iufbU":
        odd = next((place for place, each in enumerate(values.tolist()) if not isinstance(each, str | float | int)), 0)
        raise _mismatch(version, f"must predict numbers, texts or booleans; got {values[odd]!r} in row {odd + 1}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values))
        what = "NaN" if np.isnan(values[bad[0]]) else f"{values[bad[0]]:g}"
        raise _mismatch(version, f"predicts {what} in {bad.size} of {rows} rows, first in row {bad[0] + 1}")
    return values


def _plain(version: Version, answer: Any) -> NDArray[Any]:
    """An answer as an array, of a plain type if it has one. Raises `InputError` where texts stand among other values.

    NumPy would make texts of all of them.
    """
    import numpy as np

    listed = isinstance(answer, list | tuple)
    values = np.asarray(answer, dtype=object if listed and any(isinstance(each, str) for each in answer) else None)
    if values.dtype != object:
        return values
    flat = values.ravel().tolist()
    texts = [isinstance(each, str) for each in flat]
    if any(texts) and not all(texts):
        first = texts.index(False)
        raise _mismatch(version, f"predicts {flat[first]!r} in row {first + 1}, and texts in others")
    return np.array(values.tolist())


def _one_output(version: Version, answer: Any, rows: int) -> Any:
    """Of an answer of several outputs by name, as ONNX models give labels and chances, the only one with a value per row."""
    import numpy as np
    import pandas as pd

    if isinstance(answer, pd.DataFrame) and answer.shape[1] != 1:
        answer = {str(name): answer[name].to_numpy() for name in answer.columns}
    if not isinstance(answer, dict):
        return answer
    fitting = {name: values for name, values in answer.items() if np.shape(values) in ((rows,), (rows, 1))}
    if len(fitting) != 1:
        names = ", ".join(map(repr, list(answer)[:10]))
        what = f"{len(fitting)} of its outputs have one" if fitting else "none of its outputs has one"
        how = "log a model that answers with one of them"
        raise _mismatch(version, f"must predict one value per row, ({rows},); {what}: {names}; {how}")
    return next(iter(fitting.values()))


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
    # MLflow quotes the rows and the signature before it says what is wrong with them.
    _, schema, said = str(error).partition("Failed to enforce schema of data ")
    reason = said.rpartition(" Error: ")[2] if schema else str(error)
    return visible(f"{type(error).__name__}: {' '.join(reason.split())[:300]}")


def _some(names: list[Any]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(str(name)) for name in names[:5]) + more
