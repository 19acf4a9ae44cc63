"""The data set that real versions are scored on: read, split and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.files import reading, unreadable
from sim.scenario.offline import OfflineRows
from sim.scenario.schema import Data as DataSpec
from sim.spelling import there_are
from sim.tables import check_names

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Data", "DataSpec", "digest_frame", "load_data", "numbers", "training_part"]

_WEIGHTS, _OFFLINE = "data.shift.weights", "data.shift.offline"


@dataclass(frozen=True, eq=False)
class Data:
    """Rows to score: `features` without the target, `target` the truth, `frame` both; equal length `rows`.

    `weights` (rows,), from `weights_column`, says how many live requests each row stands for, relative to the others; None
    where all are alike. `offline` (rows,), from `offline_column` or from labels, is whether offline evaluations have the row;
    None where they have all.
    """

    features: pd.DataFrame
    target: pd.Series
    frame: pd.DataFrame
    digest: str
    rows: int
    name: str
    weights: np.ndarray | None = None
    weights_column: str | None = None
    offline: np.ndarray | None = None
    offline_column: str | None = None

    def take(self, rows: np.ndarray) -> Data:
        """Some of the rows, in this order, and as often as they are named. The digest stays that of all."""
        weights = None if self.weights is None else self.weights[rows]
        features, target, frame = self.features.iloc[rows], self.target.iloc[rows], self.frame.iloc[rows]
        return replace(self, features=features, target=target, frame=frame, rows=len(rows), weights=weights)


def load_data(spec: DataSpec, base_dir: Path | None = None) -> Data:
    """The rows that requests are replayed from: the held-out part of a scikit-learn set, or a whole file.

    A relative `file` is looked up in `base_dir` (the current folder). Raises `InputError` for a file that
    cannot be read, has no rows, lacks the target column, or has gaps in it, and for weights that are none.

    >>> load_data(DataSpec(sklearn="iris")).rows
    60
    """
    frame, name = _frame(spec, base_dir)
    return _data(frame.iloc[_held_out(spec, len(frame))] if spec.sklearn else frame, spec, name)


def training_part(spec: DataSpec) -> Data:
    """The rows of a scikit-learn set that `load_data` holds back from training; none of them is replayed.

    Raises `InputError` for a file, which has no such part.

    >>> training_part(DataSpec(sklearn="iris")).rows
    90
    """
    if spec.sklearn is None:
        raise InputError([Problem(f"must name a scikit-learn set; got the file {spec.file!r}", path="data")])
    import numpy as np

    frame, name = _frame(spec, None)
    kept = np.setdiff1d(np.arange(len(frame)), _held_out(spec, len(frame)))
    return _data(frame.iloc[kept], spec, name)


def digest_frame(frame: pd.DataFrame) -> str:
    """sha256, in hexadecimal, of column names, types and values; the index does not count.

    >>> import pandas as pd
    >>> digest_frame(pd.DataFrame({"a": [1, 2]})) == digest_frame(pd.DataFrame({"a": [1, 2]}, index=[5, 6]))
    True
    """
    import pandas as pd

    digest = hashlib.sha256(repr([(str(name), type_name(frame[name])) for name in frame.columns]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def type_name(column: pd.Series) -> str:
    """The type of a column's values. Text is "object", as before pandas 3, whatever the version of pandas.

    >>> import pandas as pd
    >>> type_name(pd.Series(["a", "b"])), type_name(pd.Series([1, 2]))
    ('object', 'int64')
    """
    name = str(column.dtype)
    return "object" if name in ("str", "string") else name


def _frame(spec: DataSpec, base_dir: Path | None) -> tuple[pd.DataFrame, str]:
    if spec.sklearn is not None:
        import sklearn.datasets

        return getattr(sklearn.datasets, f"load_{spec.sklearn}")(as_frame=True).frame, spec.sklearn
    file = (base_dir or Path.cwd()) / Path(spec.file or "").expanduser()
    return _read(file), file.name


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.parquet as pq

    kind = file.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise _wrong(f"must end in .csv or .parquet; got {file.name!r}")
    if reason := unreadable(file):
        raise _wrong(f"{reason}: {file}")

    def at(message: str) -> Problem:
        return Problem(f"{file.name} {message}", path="data.file")

    with reading(at), file.open("rb") as opened:
        if kind == ".csv":
            # pandas gives the second of two columns of one name another name.
            check_names(pd.read_csv(opened, header=None, nrows=1, dtype=str).iloc[0].dropna(), at)
            opened.seek(0)
            frame: pd.DataFrame = pd.read_csv(opened)
        else:
            check_names(pq.read_schema(opened).names, at)
            opened.seek(0)
            frame = pd.read_parquet(opened)
        frame.columns = frame.columns.map(str)
    if frame.empty:
        raise _wrong(f"{file.name} has no rows")
    return frame


def _held_out(spec: DataSpec, rows: int) -> np.ndarray:
    import numpy as np

    count = min(max(round(spec.holdout * rows), 1), rows - 1)
    return np.sort(np.random.default_rng(spec.split_seed).permutation(rows)[:count])


def _data(frame: pd.DataFrame, spec: DataSpec, name: str) -> Data:
    if spec.target not in frame.columns:
        columns = ", ".join(map(str, frame.columns[:20])) + (", …" if len(frame.columns) > 20 else "")
        raise InputError([Problem(f"{name} has no column {spec.target!r}; it has {columns}", path="data.target")])
    frame = frame.reset_index(drop=True)
    if gaps := int(frame[spec.target].isna().sum()):
        raise InputError(
            [
                Problem(
                    f"column {spec.target!r} of {name} has no value in {gaps} of {len(frame)} rows",
                    path="data.target",
                )
            ]
        )
    try:
        digest = digest_frame(frame)
    except TypeError as error:
        raise _wrong(f"{name} has a column of lists or tables; columns must hold numbers, texts or dates") from error
    weights = _weights(frame, spec.shift.weights, name)
    target, features = frame[spec.target], frame.drop(columns=spec.target)
    rows, column = spec.shift.offline, None if spec.shift.offline is None else spec.shift.offline.column
    had = None if rows is None else _offline(frame, rows, spec.target, name)
    return Data(features, target, frame, digest, len(frame), name, weights, spec.shift.weights, had, column)


def _weights(frame: pd.DataFrame, column: str | None, name: str) -> np.ndarray | None:
    """The weights, (rows,), in a column: finite, not negative, and not all 0."""
    if column is None:
        return None
    found = numbers(frame, column, "weights", name, _WEIGHTS)
    if (found < 0).any():
        where = f"in {int((found < 0).sum())} of {len(found)} rows"
        raise InputError([Problem(f"weights must not be negative; column {column!r} of {name} is {where}", path=_WEIGHTS)])
    if not found.any():
        raise InputError([Problem(f"column {column!r} of {name} holds only zeros: no row would be drawn", path=_WEIGHTS)])
    return found


def _offline(frame: pd.DataFrame, rows: OfflineRows, target: str, name: str) -> np.ndarray:
    """(rows,) whether offline evaluations have a row: at least one of them."""
    import numpy as np

    if rows.column is not None:
        path = f"{_OFFLINE}.column"
        found = numbers(frame, rows.column, "what says which rows offline evaluations have", name, path)
        if odd := next((value for value in found.tolist() if value not in (0, 1)), None):
            raise InputError([Problem(f"column {rows.column!r} of {name} must hold 0 and 1, got {odd:g}", path=path)])
        had = np.asarray(found == 1)
    else:
        path, lost = f"{_OFFLINE}.lacks", rows.lacks or ()
        labels = frame[target].unique().tolist()
        unknown = [
            Problem(
                f"no row of {name} has the {target} {label!r}; {there_are(sorted(map(str, labels)))}", path=f"{path}[{place}]"
            )
            for place, label in enumerate(lost)
            if label not in labels
        ]
        if unknown:
            raise InputError(unknown)
        had = np.asarray(~frame[target].isin(lost), bool)
    if not had.any():
        raise InputError([Problem(f"leaves offline evaluations none of the {len(frame)} rows of {name}", path=path)])
    return had


def numbers(frame: pd.DataFrame, column: str, what: str, name: str, path: str) -> np.ndarray:
    """The numbers, (rows,), in a column. Raises `InputError` at `path` where it is absent, not of numbers or not finite."""
    import numpy as np

    if column not in frame.columns:
        columns = ", ".join(map(str, frame.columns[:20])) + (", …" if len(frame.columns) > 20 else "")
        raise InputError([Problem(f"{name} has no column {column!r}; it has {columns}", path=path)])
    values = frame[column]
    if values.dtype.kind not in "iufb":
        found = f"column {column!r} of {name} holds {type_name(values)}"
        raise InputError([Problem(f"{what} must be numbers; {found}", path=path)])
    amounts = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(amounts))
    if bad.size:
        where = f"in {bad.size} of {len(frame)} rows, first in row {bad[0] + 1}"
        raise InputError([Problem(f"{what} must be finite; column {column!r} of {name} is not {where}", path=path)])
    return amounts


def _wrong(message: str) -> InputError:
    return InputError([Problem(message, path="data.file")])
