"""The verb and the page that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cli import main
from sim.scenario.schema import json_schema
from sim.verify import page, run
from sim.verify.figure import Figure, Sample, exact, played

ROOT = Path(__file__).parents[2]


def test_the_page_has_every_figure() -> None:
    """Its numbers are CI's business, but what it is about is not out of date."""
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    assert page.names(text) == [figure.name for figure in run.figures()], "run sim verify --write docs/validation.md"
    assert text.startswith(page.INTRODUCTION), "run sim verify --write docs/validation.md"
    assert "**off**" not in text


def test_every_bandit_of_the_literature_is_played() -> None:
    kinds = json.dumps(json_schema()["$defs"])
    played = {figure.name for figure in run.figures()}
    for kind in ("thompson", "ucb1", "kl_ucb", "kl_lucb", "track_and_stop"):
        assert f'"{kind}"' in kinds
        assert any(name.startswith(f"bandits.play-{kind.replace('_', '-')}") for name in played)


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    found: tuple[Figure, ...] = (
        exact("fixed.good", "a half", "arithmetic", 0.5, lambda: 1 / 2),
        played("fixed.slow", "a third", "arithmetic", 1 / 3, lambda quick: Sample(0.33, 0.01, 100), slow=True),
        exact("queues.bad", "two | three", "arithmetic", (2, 3), lambda: [2, float("nan")], recalled=True),
    )
    monkeypatch.setattr(run, "figures", lambda: found)


@pytest.mark.usefixtures("three")
def test_a_number_that_is_off_ends_in_3(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["verify", "--json", str(tmp_path / "new" / "out.json"), "--write", str(tmp_path / "page.md")]) == 3
    said = capsys.readouterr()
    assert "3 figures, 1 of them played: 1 off: queues.bad" in said.out
    assert "fixed" in said.err
    kept = json.loads((tmp_path / "new" / "out.json").read_text(encoding="utf-8"))
    assert kept["passed"] is False
    assert [row["name"] for row in kept["figures"]] == ["fixed.good", "fixed.slow", "queues.bad"]
    assert kept["figures"][1]["trials"] == 100
    assert kept["figures"][2]["ours"] == [2, None]
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page.names(text) == ["fixed.good", "fixed.slow", "queues.bad"]
    assert "two \\| three" in text
    assert "**off**" in text


@pytest.mark.usefixtures("three")
def test_a_part_that_agrees_ends_in_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--only", "fixed", "--quiet"]) == 0
    assert main(["verify", "--quick", "--only", "fixed.good", "--quiet"]) == 0
    said = capsys.readouterr()
    assert "2 figures, 1 of them played: all agree" in said.out
    assert said.err == ""


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (["--only", "fxed"], "--only: no figure's name begins so"),
        (["--quick", "--write", "page.md"], "--write: the page has every figure in full"),
        (["--only", "fixed", "--write", "page.md"], "--write: the page has every figure in full"),
    ],
)
def test_what_cannot_be_asked_is_refused(more: list[str], rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *more]) == 2
    said = capsys.readouterr()
    assert rule in said.err
    assert said.out == ""


@pytest.mark.usefixtures("three")
def test_a_file_that_cannot_be_written_is_said_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--json", "--write"):
        only = ["--only", "fixed"] if option == "--json" else []
        assert main(["verify", *only, option, str(tmp_path)]) == 2
        said = capsys.readouterr()
        assert f"{option}: must be a file that can be written, got {tmp_path}" in said.err
        assert "%" not in said.err, "nothing is worked out before"
