"""A run folder changes as a whole: whatever fails, it reads as the old result or as the new one, and running again mends it."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sim.errors import FileError, InputError, SimError
from sim.files import write_text
from sim.run.blocks import Task, Watch
from sim.run.checkpoints import Checkpoints
from sim.run.folder import COMPLETE, FILES, SENSITIVITY, STAGED, TABLES, holding, replacement
from sim.run.held import digest_of, held
from sim.run.plan import Plan
from sim.run.record import read_run
from sim.run.simulate import folder_of, simulate
from sim.run.story import FILE as STORIES
from tests import worlds
from tests.run.faults import Crash, Faults, failing
from tests.worlds import behaves, make_scenario

# Other worlds are not played here, and stories are told by `sim run`.
RESULT = tuple(name for name in FILES if name not in (SENSITIVITY, STORIES))
"""The files of a run that has no other worlds."""
Content = dict[str, bytes]
MODES = ("once", "full", "crash")


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two policies, five replications; every run of it is at the same time, so that all its bytes are the same."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    for module in ("simulate", "about"):
        monkeypatch.setattr(f"sim.run.{module}.now", lambda: at)
    # Checkpoints do not keep when they were played.
    monkeypatch.setattr("sim.run.about._spans", lambda *_: {})
    policies = [
        {"name": "hold", "kind": "hold"},
        {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 99}},
    ]
    scenario = make_scenario(policies=policies, replications=5, horizon="2h", tick="1h")
    return worlds.make_plan(scenario, [behaves(), behaves()])


def tell(new: Path) -> None:
    """Stands for the reports: they tell which tables they are of."""
    for name in ("summary.json", "measures.csv", "policies.png", "report.html", "report.md"):
        write_text(new / name, json.dumps([digest_of(new / table) for table in TABLES]))


def content(folder: Path) -> Content:
    """All that a reader sees of a result, once it holds the folder; empty where there is no folder."""
    with holding(folder):
        return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def aged(folder: Path) -> Content:
    """Have the finished run in a folder be another one, all of whose files have other bytes."""
    about = json.loads((folder / "run.json").read_text())
    for name in TABLES:
        pq.write_table(pq.read_table(folder / name), folder / name, compression="none")
    about |= {"started_at": "2020-01-01T00:00:00Z", "files": {name: digest_of(folder / name) for name in TABLES}}
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "scenario.yaml").write_text((folder / "scenario.yaml").read_text() + "# old\n")
    tell(folder)
    return content(folder)


def stop_at(policy: str) -> Watch:
    """An interrupt once a policy's first task is there."""

    def stop(task: Task, seconds: float | None) -> None:
        if task.policy == policy and seconds is not None:
            raise KeyboardInterrupt

    return stop


def played(plan: Plan, reports: Path) -> Path:
    return simulate(plan, reports, workers=1, conclude=tell).folder


@pytest.mark.parametrize("before", ["finished", "nothing"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.faults
def test_whatever_file_operation_fails_the_folder_is_the_old_one_or_the_new_one(
    plan: Plan, tmp_path: Path, mode: str, before: str
) -> None:
    new = content(played(plan, tmp_path / "new"))
    # A run whose tasks are all kept by checkpoints: what is left to do is to write the folder.
    prepared = folder_of(plan, tmp_path / "prepared")
    shutil.copytree(folder_of(plan, tmp_path / "new"), prepared)
    old = aged(prepared)
    if before == "nothing":
        old = {}
        for name in RESULT:
            (prepared / name).unlink()
    keep_checkpoints(plan, prepared, tmp_path)
    assert set(new) == set(RESULT)
    assert not set(new.values()) & set(old.values())
    with failing(Faults(), tmp_path) as counting:
        played(plan, shutil.copytree(tmp_path / "prepared", tmp_path / "counted"))
    assert counting.count > 60
    failed = False
    # All of them take a minute: each combination tries some, and `scripts/fuzz` all.
    combination = MODES.index(mode) * 2 + (before == "nothing")
    for number in range(*((0, counting.count) if "FUZZ_TRIES" in os.environ else (combination % 8, counting.count, 8))):
        reports = tmp_path / f"{number}"
        folder = folder_of(plan, reports)
        shutil.copytree(tmp_path / "prepared", reports)
        error = None
        with failing(Faults(number, mode), tmp_path) as faults:
            try:
                played(plan, reports)
            except (SimError, Crash) as raised:
                error = raised
        if error and mode == "full":
            assert re.match(
                rf"{reports}.*: cannot be written: No space left on device; free some space there, then", str(error)
            )
        read = content(folder)
        failed = failed or error is not None
        # Where there was nothing before, what was finished until then is kept.
        found = held(folder) if before == "nothing" else None
        partly = found is not None and found.status == "interrupted"
        assert read in (old, new) or partly, (number, faults.seen[number - 3 :], sorted(read))
        assert error or read == new
        assert content(played(plan, reports)) == new
        assert {each.name for each in folder.iterdir()} == {*RESULT, ".lock"}
        shutil.rmtree(reports)
    assert failed


def keep_checkpoints(plan: Plan, folder: Path, scratch: Path) -> None:
    """Have a folder hold the checkpoints of all tasks."""
    kept = Checkpoints.clear
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "clear", lambda self: None)
        source = Checkpoints(played(plan, scratch / "checkpoints"), plan.digest).folder
    assert Checkpoints.clear is kept
    shutil.copytree(source, folder / source.name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.faults
def test_a_checkpoint_that_cannot_be_written_ends_the_run_and_harms_nothing(plan: Plan, tmp_path: Path, mode: str) -> None:
    old, new = aged(played(plan, tmp_path / "old")), content(played(plan, tmp_path / "new"))
    with failing(Faults(), tmp_path) as counting:
        played(plan, shutil.copytree(tmp_path / "new", tmp_path / "counted"))
    # Nothing of the run is written before the folder of the checkpoints is made, after the run folder itself.
    first = counting.seen.index("mkdir", counting.seen.index("mkdir") + 1)
    failed = 0
    for number in range(first, first + 16, 2):
        reports = shutil.copytree(tmp_path / "old", tmp_path / f"{number}")
        with failing(Faults(number, mode), tmp_path), suppress(FileError, Crash):
            played(plan, reports)
            failed -= 1
        failed += 1
        assert content(folder_of(plan, reports)) in (old, new)
        assert content(played(plan, reports)) == new
    assert failed >= 3, failed


@pytest.mark.faults
def test_what_an_interrupted_run_finished_replaces_nothing_that_is_more(plan: Plan, tmp_path: Path) -> None:
    folder = played(plan, tmp_path)
    old = aged(folder)

    run = simulate(plan, tmp_path, workers=1, watch=stop_at("ab"), conclude=tell)
    assert (run.interrupted, run.completed, run.kept) == (True, ((0, "hold"),), False)
    assert content(folder) == old
    # One that was interrupted may be replaced by one that has finished as much.
    for name in RESULT:
        (folder / name).unlink()
    run = simulate(plan, tmp_path / "again", workers=1, watch=stop_at("ab"), conclude=tell)
    assert (run.interrupted, run.kept, read_run(run.folder).completed) == (True, True, ("hold",))
    shutil.rmtree(run.folder / ".checkpoint")
    less = simulate(plan, tmp_path / "again", workers=1, watch=stop_at("hold"), conclude=tell)
    assert (less.kept, read_run(run.folder).completed) == (False, ("hold",))
    assert simulate(plan, tmp_path / "again", workers=1, conclude=tell).kept
    assert read_run(run.folder).status == "finished"


@pytest.mark.faults
def test_an_interrupted_run_that_goes_on_keeps_its_key(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = simulate(plan, tmp_path, workers=1, watch=stop_at("ab"), conclude=tell).folder
    key = read_run(folder).key
    monkeypatch.setattr("sim.run.simulate.now", lambda: datetime(2027, 1, 1, tzinfo=UTC))
    simulate(plan, tmp_path, workers=1, conclude=tell)
    assert (read_run(folder).status, read_run(folder).key) == ("finished", key)


def test_new_files_that_are_complete_count_wherever_they_are(plan: Plan, tmp_path: Path) -> None:
    folder = played(plan, tmp_path)
    old = aged(folder)
    new = content(played(plan, tmp_path / "new"))
    (folder / COMPLETE).mkdir()
    (folder / STAGED).mkdir()
    for name in RESULT:
        (folder / (COMPLETE if name > "run.json" else ".")).joinpath(name).write_bytes(new[name])
        (folder / STAGED / name).write_text("half")
    assert read_run(folder).started_at.year == 2026
    assert content(folder) == new != old
    assert not (folder / COMPLETE).exists()
    assert not (folder / STAGED).exists()


def test_a_link_in_the_place_of_new_files_moves_nothing(plan: Plan, tmp_path: Path) -> None:
    folder = played(plan, tmp_path)
    before = content(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text("mine")
    for name in (COMPLETE, STAGED):
        (folder / name).symlink_to(elsewhere)
        assert content(folder) == before
        (folder / name).unlink()
    assert (elsewhere / "run.json").read_text() == "mine"


def test_a_table_that_is_not_as_it_was_written_is_no_result(plan: Plan, tmp_path: Path) -> None:
    folder = played(plan, tmp_path)
    assert held(folder) == read_run(folder)
    table = folder / "trials.parquet"
    changed = bytearray(table.read_bytes())
    changed[len(changed) // 2] ^= 1
    table.write_bytes(changed)
    with pytest.raises(InputError, match=r"trials.parquet: is corrupt: it is not as the run wrote it"):
        held(folder)
    (folder / "timeline.parquet").unlink()
    with pytest.raises(InputError, match=r"timeline.parquet: cannot be read: No such file"):
        held(folder)


def test_another_run_under_the_same_name_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    folder = played(plan, tmp_path)
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(about | {"digest": "0" * 64}))
    before = content(folder)
    with pytest.raises(InputError, match="holds a run of another scenario"):
        played(plan, tmp_path)
    assert content(folder) == before


def test_an_empty_file_takes_away_the_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("old")
    (tmp_path / "report.html").write_text("old")
    with holding(tmp_path), replacement(tmp_path) as new:
        (new / "report.md").write_text("")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_clock_before_1970_counts_as_1970(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Early(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(1969, 12, 31, tzinfo=UTC)

    plan = worlds.make_plan(make_scenario(replications=3, horizon="2h", tick="1h"), [behaves(), behaves()])
    monkeypatch.setattr("sim.run.record.datetime", Early)
    run = read_run(simulate(plan, tmp_path, workers=1).folder)
    assert (run.started_at.year, run.start_ms, run.end_ms) == (1970, 0, 0)
