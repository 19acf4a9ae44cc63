"""Reading, splitting and refusing data sets."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.errors import InputError
from sim.registry.data import DataSpec, digest_frame, load_data, training_part

FRAME = pd.DataFrame({"x": [1.5, 2.5, 3.5], "word": ["a", "b", "c"], "target": [0, 1, 0]})


def write(frame: pd.DataFrame, file: Path) -> DataSpec:
    (frame.to_csv if file.suffix == ".csv" else frame.to_parquet)(file, index=False)
    return DataSpec(file=file.name)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "iris", "wine"])
def test_training_and_replay_share_no_row_and_lose_none(name: str) -> None:
    spec = DataSpec.model_validate({"sklearn": name})
    live, training = load_data(spec), training_part(spec)
    import sklearn.datasets

    whole = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    both = pd.concat([live.frame, training.frame])
    assert live.rows == round(0.4 * len(whole))
    pd.testing.assert_frame_equal(
        both.sort_values(list(both.columns), ignore_index=True),
        whole.sort_values(list(whole.columns), ignore_index=True),
    )


def test_the_split_follows_its_seed() -> None:
    zero, again, one = (load_data(DataSpec(sklearn="iris", split_seed=seed)) for seed in (0, 0, 1))
    assert zero.digest == again.digest != one.digest


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_replayed_whole(tmp_path: Path, suffix: str) -> None:
    data = load_data(write(FRAME, tmp_path / f"rows{suffix}"), tmp_path)
    pd.testing.assert_frame_equal(data.frame, FRAME)
    assert list(data.features.columns) == ["x", "word"]
    assert data.target.tolist() == [0, 1, 0]
    assert data.digest == digest_frame(FRAME)


def test_the_digest_of_text_is_that_of_any_pandas() -> None:
    """From pandas 3 on text has a type of its own; the same data names the same run all the same."""
    frame = pd.read_csv(io.StringIO("a,word,d\n1,x,2026-01-01\n2,,2026-01-02\n"))
    assert digest_frame(frame) == "4c17f930115a92b08d2c74f370e97b186a12b76132894a3f1eee8820874e4315"


def test_the_digest_sees_names_types_values_and_order() -> None:
    others = [
        FRAME.rename(columns={"x": "y"}),
        FRAME.astype({"target": "int32"}),
        FRAME.assign(x=[1.5, 2.5, 3.6]),
        FRAME.iloc[::-1],
        FRAME[["word", "x", "target"]],
    ]
    assert len({digest_frame(frame) for frame in [FRAME, *others]}) == 6


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.csv", None, "no such file"),
        ("rows.xlsx", b"", "must end in .csv or .parquet"),
        ("empty.csv", b"", "is corrupt"),
        ("header.csv", b"x,target\n", "has no rows"),
        ("ragged.csv", b"x,target\n1,2\n1,2,3\n", "is corrupt"),
        ("latin.csv", b"x,target\n\xff\xfe,1\n", "is corrupt"),
        ("broken.parquet", b"PAR1 and no more", "is corrupt"),
        ("other.csv", b"x,label\n1,2\n", "has no column 'target'; it has x, label"),
        ("gaps.csv", b"x,target\n1,2\n3,\n", "has no value in 1 of 2 rows"),
    ],
)
def test_an_unreadable_file_says_why(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load_data(DataSpec(file=name), tmp_path)
    assert caught.value.problems[0].path in ("data.file", "data.target")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        load_data(DataSpec(file="rows.csv"), tmp_path)


def test_columns_of_lists_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [np.array([1, 2]), np.array([3])], "target": [0, 1]})
    with pytest.raises(InputError, match="column of lists"):
        load_data(write(frame, tmp_path / "lists.parquet"), tmp_path)


def test_a_file_has_no_training_part() -> None:
    with pytest.raises(InputError, match="must name a scikit-learn set"):
        training_part(DataSpec(file="rows.csv"))


@pytest.mark.parametrize(
    ("weights", "values", "said"),
    [
        ("seen", "1", "rows.csv has no column 'seen'; it has w, target"),
        ("w", "a", "weights must be numbers; column 'w' of rows.csv holds object"),
        ("w", "-1", "weights must not be negative; column 'w' of rows.csv is in 2 of 2 rows"),
        ("w", "0", "holds only zeros: no row would be drawn"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path: Path, weights: str, values: str, said: str) -> None:
    (tmp_path / "rows.csv").write_text(f"w,target\n{values},1\n{values},2\n")
    with pytest.raises(InputError, match=said) as caught:
        load_data(DataSpec.model_validate({"file": "rows.csv", "shift": {"weights": weights}}), tmp_path)
    assert caught.value.problems[0].path == "data.shift.weights"
