"""Tables that grow on disk: the same as those that are written at once, and read again point by point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import sim
from sim.compare import trials
from sim.compare.comparison import compare
from sim.errors import FileError, InputError
from sim.files import write_parquet
from sim.run import growing
from sim.run.growing import Growing
from sim.run.record import read_run
from tests.run.test_enough import MODELS, SCENARIO

SWEPT: dict[str, Any] = {
    **{key: value for key, value in SCENARIO.items() if key != "enough"},
    "replications": 30, "sweep": {"traffic.rate": ["1000/h", "1500/h", "2000/h", "2500/h"]},
}  # fmt: skip


def frame(first: int, rows: int, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"replication": np.arange(first, first + rows), "policy": "ab", **more})


def test_of_few_rows_it_is_the_file_of_one_table(tmp_path: Path) -> None:
    parts = [frame(0, 10), frame(10, 5)]
    write_parquet(tmp_path / "once.parquet", pd.concat(parts, ignore_index=True))
    grown = Growing(tmp_path / "hidden" / "part")
    for each in parts:
        grown.add(each)
    assert grown.keep(tmp_path / "grown.parquet")
    assert (tmp_path / "grown.parquet").read_bytes() == (tmp_path / "once.parquet").read_bytes()
    assert list((tmp_path / "hidden").iterdir()) == []


def test_many_rows_are_groups_and_none_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "GROUP_ROWS", 10)
    grown = Growing(tmp_path / "part")
    parts = [frame(4 * number, 4) for number in range(9)]
    for each in parts:
        grown.add(each)
        assert sum(map(len, grown._waiting)) < 10
    grown.keep(tmp_path / "grown.parquet")
    content = pq.ParquetFile(tmp_path / "grown.parquet")
    assert [content.metadata.row_group(number).num_rows for number in range(content.num_row_groups)] == [12, 12, 12]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "grown.parquet"), pd.concat(parts, ignore_index=True))


def test_later_tables_may_have_other_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaps where others have texts, whole numbers where others have fractions, and columns that are not everywhere."""
    monkeypatch.setattr(growing, "GROUP_ROWS", 3)
    parts = [
        frame(0, 3, arm=None, swept=1),
        frame(3, 3, arm="challenger", swept=1.5, aa=0.5),
        frame(6, 3, arm=None, swept=2),
    ]
    grown = Growing(tmp_path / "part")
    for each in parts:
        grown.add(each)
    grown.keep(tmp_path / "grown.parquet")
    found = pd.read_parquet(tmp_path / "grown.parquet")
    assert found["replication"].tolist() == list(range(9))
    assert found["arm"].tolist() == [None] * 3 + ["challenger"] * 3 + [None] * 3
    assert found["swept"].tolist() == [1.0] * 3 + [1.5] * 3 + [2.0] * 3
    assert found["aa"].isna().tolist() == [True] * 3 + [False] * 3 + [True] * 3
    assert [each.name for each in tmp_path.iterdir()] == ["grown.parquet"]


def test_nothing_is_kept_of_nothing_and_what_is_dropped_is_gone(tmp_path: Path) -> None:
    assert not Growing(tmp_path / "none").keep(tmp_path / "grown.parquet")
    (tmp_path / "file").write_text("")
    blocked = Growing(tmp_path / "file" / "part")
    blocked.add(frame(0, 1))
    with pytest.raises(FileError, match="cannot be written"):
        blocked.keep(tmp_path / "grown.parquet")
    blocked.drop()
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose tables are one group."""
    return sim.run_scenario(SWEPT, models=MODELS, out=tmp_path_factory.mktemp("whole") / "out", log=False, workers=1).folder


def test_a_sweep_of_many_groups_is_read_and_compared_as_one_of_one(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less than a policy at a point has, and so that some points are in two groups.
    monkeypatch.setattr(growing, "GROUP_ROWS", 40)
    folder = sim.run_scenario(SWEPT, models=MODELS, out=tmp_path / "out", log=False, workers=1).folder
    groups = pq.ParquetFile(folder / "trials.parquet").num_row_groups
    assert groups > 1
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "trials.parquet"), pd.read_parquet(whole / "trials.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "timeline.parquet"), pd.read_parquet(whole / "timeline.parquet"))
    by_point = trials.read_trials(folder, read_run(folder))
    assert isinstance(by_point, trials._ByPoint)
    for one, other in zip(by_point, trials.read_trials(whole, read_run(whole)), strict=True):
        assert list(one) == list(other)
        for name, own in one.items():
            for column, values in own.columns.items():
                np.testing.assert_array_equal(values, other[name][column])
    assert compare(folder).points == compare(whole).points
    assert (folder / "measures.csv").read_bytes() == (whole / "measures.csv").read_bytes()


def test_a_point_that_is_none_is_refused_in_many_groups(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.read_parquet(whole / "trials.parquet")
    table.loc[len(table) - 1, "point"] = 17
    file = tmp_path / "trials.parquet"
    table.to_parquet(file, row_group_size=50, index=False)
    record = read_run(whole)
    with pytest.raises(InputError, match="point must be one of 0 to 3, got 17"):
        trials.read_trials(tmp_path, record.model_copy(update={"files": {}}))
    table.drop(columns="regret").to_parquet(file, row_group_size=50, index=False)
    with pytest.raises(InputError, match="lacks the columns regret"):
        trials.read_trials(tmp_path, record.model_copy(update={"files": {}}))
