"""New files, as `sim init`, `calibrate --out`, `import --out` and `export --out` write them: all of them whole, or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sim.errors import FileError, InputError
from sim.scenario.examples import write_new
from tests.run.faults import Crash, Faults, failing

NAMES = ("made/scenario.yaml", "made/models/shop.yaml", "made/page.html")


def contents(folder: Path) -> dict[Path, str]:
    # Longer than a buffer, so that there are several writes.
    return {folder / name: f"{name}\n" * 1000 for name in NAMES}


def found(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("mode", ["once", "full", "crash"])
def test_whatever_file_operation_fails_no_file_is_half_written(mode: str, tmp_path: Path) -> None:
    whole = {name: f"{name}\n" * 1000 for name in NAMES}
    with failing(Faults(), tmp_path) as counting:
        write_new(contents(tmp_path / "good"))
    assert found(tmp_path / "good") == whole
    assert counting.count > 20
    ends = set()
    for number in range(counting.count):
        folder = tmp_path / str(number)
        folder.mkdir()
        with failing(Faults(number, mode), tmp_path):
            try:
                write_new(contents(folder))
                said = "written"
            except Crash:
                said = "crash"
            except FileError as refused:
                said = str(refused)
        assert said in ("written", "crash") or ("cannot be written" in said and ".sim-" not in said)
        ends.add(said.partition(":")[2] or said)
        left = found(folder)
        named = {name: text for name, text in left.items() if ".sim-" not in name}
        assert named.items() <= whole.items()
        if mode == "crash":
            # What the scenario names is there before it.
            assert "made/scenario.yaml" not in named or len(named) == len(whole)
        elif mode == "full":
            assert named in ({}, whole)
            assert named or not any(folder.iterdir()), "what was made is taken away again"
    assert ends - {"written"}


def test_an_interrupt_takes_away_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, times = os.link, iter(range(9))

    def interrupted(*names: Path) -> None:
        if next(times) == 1:
            raise KeyboardInterrupt
        link(*names)

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_new(contents(tmp_path))
    assert not any(tmp_path.iterdir())


def test_without_links_files_are_new_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*names: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    write_new(contents(tmp_path))
    assert set(found(tmp_path)) == set(NAMES)
    with pytest.raises(InputError, match="is there already, and is not overwritten"):
        write_new(contents(tmp_path))


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_wrong_input(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written: (File name too long|embedded null byte)"):
        write_new({tmp_path / "made" / "it.yaml": "text", tmp_path / "made" / name: "text"})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["a link that leads nowhere", "a file for a folder"])
def test_a_place_that_cannot_be_used_is_wrong_input(what: str, tmp_path: Path) -> None:
    if what.startswith("a link"):
        (tmp_path / "it.yaml").symlink_to(tmp_path / "nothing")
    else:
        (tmp_path / "folder").write_text("")
    file = tmp_path / ("it.yaml" if what.startswith("a link") else "folder/it.yaml")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"{file.name}: cannot be written"):
        write_new({file: "text"})
    assert sorted(tmp_path.iterdir()) == before
