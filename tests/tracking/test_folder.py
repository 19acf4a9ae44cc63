"""A folder that is no run folder is refused by name, before any server is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.run.held import digest_of
from sim.tracking.entries import policy_entries
from sim.tracking.folder import read_folder
from tests.tracking.folders import write_folder


def test_an_empty_folder_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run folder: it has no run\.json"):
        read_folder(tmp_path)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is a file, not a run folder"):
        read_folder(tmp_path / "run.json")


@pytest.mark.parametrize("name", ["scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_folder(tmp_path) / name).unlink()
    with pytest.raises(InputError, match=f"{name}: is missing, though run.json says that the run is finished"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "summary.json", "timeline.parquet"])
@pytest.mark.parametrize("content", [b"", b'{"name": "che', b"\xff\x00", b"[]"])
def test_a_corrupt_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (write_folder(tmp_path) / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*is corrupt"):
        policy_entries(read_folder(tmp_path))


def test_every_wrong_key_of_run_json_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, seed="many", digest="' or '1'='1", status="running")
    with pytest.raises(InputError) as caught:
        read_folder(tmp_path)
    assert {problem.path for problem in caught.value.problems} == {"seed", "digest", "status"}


def test_a_summary_of_another_state_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    summary["points"][0]["policies"].pop()
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match=r"summary\.json: lacks policies that run\.json has: canary"):
        read_folder(tmp_path)


def test_an_interrupted_run_needs_no_results(tmp_path: Path) -> None:
    write_folder(tmp_path, completed=())
    for name in ("summary.json", "trials.parquet", "timeline.parquet", "report.html"):
        (tmp_path / name).unlink()
    assert read_folder(tmp_path).comparison is None


def test_trials_that_are_not_as_the_run_wrote_them_are_refused(tmp_path: Path) -> None:
    """They are not read to be logged, so only their digest tells."""
    file = write_folder(tmp_path) / "trials.parquet"
    run = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(run | {"files": {"trials.parquet": digest_of(file)}}))
    assert read_folder(tmp_path).file("trials.parquet") == file
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InputError, match=r"trials\.parquet: is corrupt: it is not as the run wrote it"):
        read_folder(tmp_path)
