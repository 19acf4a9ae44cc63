"""Examples by name, and `sim init`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.cli import main
from sim.scenario import examples
from tests.end_to_end.conftest import ROOT, SMALL


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_are_those_of_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(file.stem for file in (ROOT / "scenarios").glob("*.yaml"))
    assert list(examples.scenarios()) == files
    assert main(["init", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == files
    assert all(line.endswith("?") for line in lines)


def test_an_example_is_found_by_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "quickstart", "small-lift"]) == 0
    said = capsys.readouterr()
    assert said.out.count(": ok") == 2
    assert f"sim: quickstart is an example that comes with sim: {examples.scenarios()['quickstart']}" in said.err


@pytest.mark.parametrize("name", ["quickstart", "quickstart.yaml"])
def test_a_file_of_that_name_wins_and_is_said(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (folder / name).write_text(SMALL)
    assert main(["check", "quickstart"]) == 0
    said = capsys.readouterr()
    assert "policies hold, ab, canary" in said.out
    assert "in this folder, and taken instead of the example" in said.err


def test_a_path_is_a_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.yaml").write_text(SMALL)
    assert main(["check", "mine.yaml", "./mine.yaml"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("check quikstart", "quikstart: no such file, and no example of that name; did you mean 'quickstart'?"),
        ("check quickstart.yaml", "quickstart.yaml: no such file; there is an example of that name: quickstart"),
        ("check ./quickstart", "quickstart: no such file"),
        ("run checkout", "checkout: no such file, and no example of that name; checkout is an example of a models file"),
        ("models register ofers", "ofers: no such file, and no example of that name; did you mean 'offers'?"),
        ("models register nothing", "no example of that name; there are checkout, offers, search"),
        ("init --example quikstart", "--example: no example 'quikstart'; did you mean 'quickstart'?"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str], command: str, says: str) -> None:
    assert main(command.split()) == 2
    assert says in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_init_writes_what_the_example_needs_and_says_what_is_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--example", "small-lift", "mine"]) == 0
    out = capsys.readouterr().out
    assert (folder / "mine/models/checkout.yaml").read_text() == (ROOT / "scenarios/models/checkout.yaml").read_text()
    text = (folder / "mine/small-lift.yaml").read_text()
    assert "sim models register models/checkout.yaml" in text
    # Where the schema is from the repository's folder says nothing here.
    assert "$schema" not in text
    commands = [line.split()[1:] for line in out.split("next:\n")[1].splitlines()]
    assert commands == [["models", "register", "mine/models/checkout.yaml"], ["run", "mine/small-lift.yaml"]]
    assert main(["check", "mine/small-lift.yaml"]) == 0
    assert main([*commands[0], "--tracking-uri", "sqlite:///store.db"]) == 0
    assert main(["check", "mine/small-lift.yaml", "--registry-uri", "sqlite:///store.db"]) == 0


def test_every_example_can_be_started_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in examples.scenarios():
        start = examples.write(name, folder / name)
        assert start.commands[0] == "sim models demo" or start.files[1].exists()
        assert main(["check", str(start.files[0])]) == 0


def test_init_overwrites_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "models").mkdir()
    (folder / "models/checkout.yaml").write_text("mine")
    assert main(["init", "--example", "small-lift"]) == 2
    assert "checkout.yaml: is there already, and is not overwritten" in capsys.readouterr().err
    assert (folder / "models/checkout.yaml").read_text() == "mine"
    assert not (folder / "small-lift.yaml").exists()


def test_init_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 2
    assert "--model: is required, such as checkout-ranker" in capsys.readouterr().err
