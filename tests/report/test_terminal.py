"""The table in a terminal: readable at any width, without control characters where it is not a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from sim.compare.comparison import Comparison, compare
from sim.report.terminal import table
from tests.compare.synthetic import KINDS, decided, frame, realistic, write

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare(write(tmp_path_factory.mktemp("run"), realistic(300), KINDS))


def shown(comparison: Comparison, monkeypatch: pytest.MonkeyPatch, width: int, display: Any = "plain") -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    file = Terminal()
    table(comparison, display=display, file=file)
    return file.getvalue()


@pytest.mark.parametrize("display", ["plain", "rich"])
@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_every_policy_is_there(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch, width: int, display: str
) -> None:
    text = ANSI.sub("", shown(comparison, monkeypatch, width, display))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    rows = {line.split()[0]: line for line in text.splitlines() if line.split() and line.split()[0] in KINDS}
    assert set(KINDS) <= set(rows)
    assert "never" in text
    assert " ".join(comparison.verdict.split()) in " ".join(text.split())


def test_columns_line_up(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(comparison, monkeypatch, 200).splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("---"))
    rows = lines[rule + 1 : rule + 1 + len(KINDS)]
    # The first three columns are shares, whose units stand below each other.
    assert len({tuple(found.start() for found in re.finditer("%", row))[:3] for row in rows}) == 1


def test_a_narrow_terminal_leaves_columns_out_and_says_which(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, wide = (" ".join(shown(comparison, monkeypatch, width).split()) for width in (80, 200))
    assert "left out for want of width: peak exposure, correct, harmed requests." in narrow
    assert "left out" not in wide
    assert "wrong ship" not in narrow.split("left out")[1]


def test_a_file_gets_no_control_characters_and_a_terminal_does(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    table(comparison, display="auto", file=file)
    assert "\x1b" not in file.getvalue()
    assert "\x1b[" in shown(comparison, monkeypatch, 100, "auto")
    assert shown(comparison, monkeypatch, 100, "none") == ""


def test_the_footnote_says_what_is_common_and_how_many(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(shown(comparison, monkeypatch, 120).split())
    assert "300 replications of 14 d each; engine aggregate" in text
    assert "the same arrivals, and the same outcomes while their routing agrees" in text
    assert "95% Monte-Carlo intervals" in text


def test_best_is_marked_among_policies_that_decide_and_never_a_baseline(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {line.split()[0]: line for line in shown(comparison, monkeypatch, 200).splitlines() if line.split()}
    assert "*" in rows["canary"]
    assert not any("*" in rows[name] for name in ("switch", "hold", "careful"))


def test_breached_thresholds_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds = {"wrong_ship": "< 0.1%", "correct": "> 1%"}
    text = shown(compare(write(tmp_path, realistic(50), KINDS, thresholds=thresholds)), monkeypatch, 120)
    assert "threshold canary.wrong_ship < 0.1%: breached, " in text
    assert "correct > 1%" not in text


def test_an_interrupted_run_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"ab": "ab", "canary": "canary"}
    folder = write(tmp_path, frame({"ab": [decided("keep", 60.0)] * 3}), kinds, status="interrupted")
    assert "no trials yet of canary; run again to resume" in shown(compare(folder), monkeypatch, 120)
    empty = compare(write(tmp_path, frame({}), kinds, status="interrupted"))
    assert "nothing to compare" in shown(empty, monkeypatch, 120, "rich")


def test_never_is_explained_where_a_time_is_not_reached_whatever_policies_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = {name: [decided("keep", 60.0)] * 3 for name in ("never", "ab")}
    text = shown(compare(write(tmp_path / "soon", frame(soon), dict.fromkeys(soon, "ab"))), monkeypatch, 120)
    assert "never" in text
    assert "not by the horizon" not in text
    late = {"ab": [{}] * 3}
    text = shown(compare(write(tmp_path / "late", frame(late), {"ab": "ab"})), monkeypatch, 120)
    assert "never: not by the horizon" in " ".join(text.split())


@pytest.mark.parametrize("width", [50, 60, 80])
def test_regret_and_undecided_give_way_last(comparison: Comparison, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = " ".join(shown(comparison, monkeypatch, width).split())
    left_out = text.partition("left out for want of width: ")[2]
    assert left_out
    assert "regret" not in left_out
    assert "undecided" not in left_out


def test_backticks_of_markdown_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, realistic(20), KINDS, question="Is `ranker` safe?")
    assert "Is 'ranker' safe?" in shown(compare(folder), monkeypatch, 100)


def test_untrusted_text_reaches_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, realistic(20), KINDS, question="[bold red]Safe?\x1b[2J\x07[/bold red]")
    for display in ("plain", "rich"):
        text = shown(compare(folder), monkeypatch, 100, display)
        assert "\x1b[2J" not in text
        assert "\x07" not in text
        assert "[bold red]Safe?" in text


def test_long_names_are_shortened_at_neither_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["careful-rollout-with-a-long-bake-time-" + end for end in ("one", "two")]
    trials = frame({name: [decided("keep", 60.0)] * 3 for name in names})
    text = shown(compare(write(tmp_path, trials, dict.fromkeys(names, "ab"))), monkeypatch, 80)
    assert re.search(r"careful-rollou\S*…\S*me-one ", text)
    assert re.search(r"careful-rollou\S*…\S*me-two ", text)


def test_a_terminal_of_another_encoding_gets_letters_that_it_has(comparison: Comparison) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    table(comparison, display="auto", file=file)
    file.flush()
    assert "+/-" in raw.getvalue().decode("ascii")
