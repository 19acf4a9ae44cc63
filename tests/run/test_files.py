"""Files that are written whole or not at all, wherever their names lead; names of checkpoints, on any file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sim.errors import FileError, InputError
from sim.files import read_arrays, replacing, writable, write_arrays, write_json, write_text
from sim.run.blocks import Task, tasks
from sim.run.checkpoints import Checkpoints
from tests.run.faults import Crash, Faults, failing
from tests.run.test_folder import MODES

NAMES = [
    "ab",
    "AB",
    "Ab",
    "con",
    "NUL",
    "a/b",
    "..",
    "a" * 300,
    "a" * 301,
    "ß",
    "ss",
    "İ",
    "i̇",
    "é",
    "e\u0301",
    " ",
    "a.",
    "a",
    "\ud800",
]


def test_no_two_policies_share_a_checkpoint_where_names_are_folded() -> None:
    for policies in (NAMES, NAMES[::-1]):
        names = [task.name for point in (0, 1) for task in tasks(policies, 1500, 1000, point)]
        assert len({name.casefold() for name in names}) == len(names) == 2 * 2 * len(NAMES)
        assert all(name.isascii() and len(name) < 100 and name[0].isdigit() and "/" not in name for name in names)


def test_a_file_that_holds_another_task_is_not_taken(tmp_path: Path) -> None:
    """As when a folder is copied to a file system that folds names, or a file is renamed."""
    import numpy as np

    from sim.run.trial import Play

    play = Play({"replication": np.arange(2)}, *(np.zeros(2) for _ in range(6)))
    one, other = Task("ab", 0, 0, 2), Task("AB", 0, 0, 2, place=1)
    kept = Checkpoints(tmp_path, "0" * 64)
    kept.save(one, play)
    assert kept.load(one) is not None
    (file,) = kept.folder.iterdir()
    for task in (other, Task("ab", 0, 0, 3), Task("ab", 0, 0, 2, point=1)):
        file.copy(kept.folder / f"{task.name}.npz") if hasattr(file, "copy") else os.link(
            file, kept.folder / f"{task.name}.npz"
        )
        assert kept.load(task) is None
    assert Checkpoints(tmp_path, "1" * 64).load(one) is None


@pytest.mark.parametrize("mode", MODES)
def test_a_file_is_the_old_one_or_the_new_one_and_nothing_is_left_beside_it(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "a.txt"
    for number in range(30):
        write_text(file, "old")
        found = None
        with failing(Faults(number, mode), tmp_path) as faults:
            try:
                write_text(file, "new")
            except (FileError, Crash) as error:
                found = error
        if faults.count <= number:
            # There are no more operations that could fail.
            assert file.read_text() == "new"
            return
        assert file.read_text() in ("old", "new")
        if isinstance(found, FileError):
            assert f"{file}: cannot be written: " in str(found)
            stray = {each.name for each in tmp_path.iterdir()} - {"a.txt"}
            # Where the one operation that fails is the tidying up, it leaves what it could not remove.
            assert not stray or mode == "once", stray
        for each in tmp_path.iterdir():
            each.unlink()
    pytest.fail("never wrote")


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    link, target = tmp_path / "link.json", tmp_path / "there" / "target.json"
    link.symlink_to(target)
    writable(link, "--out")
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["link.json", "there"]
    write_json(link, {"a": 1})
    assert link.is_symlink()
    assert target.read_text() == '{\n "a": 1\n}\n'


def test_what_is_no_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(InputError, match=r"^--out: must be a file"):
            writable(path, "--out")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match=r"is a pipe or a device, not a file"):
            writable(tmp_path / "pipe", "--out")


def test_a_file_that_is_there_stays_as_it_is_when_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    writable(tmp_path / "a.json", "--out")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.json", "mine")]


def test_a_long_name_is_written(tmp_path: Path) -> None:
    file = tmp_path / ("a" * 250 + ".json")
    with replacing(file) as temporary:
        temporary.write_text("here")
    assert file.read_text() == "here"


def test_arrays_whose_bytes_changed_are_not_read(tmp_path: Path) -> None:
    import numpy as np

    file = tmp_path / "a.npz"
    write_arrays(file, a=np.arange(50.0))
    whole = file.read_bytes()
    assert read_arrays(file)["a"].tolist() == list(range(50))  # type: ignore[index]
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 255
        file.write_bytes(changed)
        found = read_arrays(file)
        # Dates and the like of a zip file are not what is read.
        assert found is None or (list(found) == ["a"] and found["a"].tolist() == list(range(50)))
    assert read_arrays(tmp_path / "none.npz") is None
