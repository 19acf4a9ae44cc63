"""The report of a sweep: curves with their data, every point, and no text that is taken for markup."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import pytest

from sim.compare.comparison import compare
from sim.compare.summary import write_summary
from sim.report import html, markdown
from sim.report.curves import curves
from sim.report.source import read
from sim.report.tables import winners
from sim.report.terminal import table
from tests.compare.sweeps import changed, write_sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sweep(tmp_path_factory.mktemp("sweep"), thresholds={"wrong_ship": "< 5%"}, engine_reason="no <queues>")
    write_summary(compare(folder), folder)
    return folder


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sweep(tmp_path_factory.mktemp("grid"), second=("1", "2"))
    write_summary(compare(folder), folder)
    return folder


def test_a_curve_has_a_value_for_every_point_and_policy(folder: Path) -> None:
    (ship,) = curves(read(folder), ("ship",))
    assert ship.header == ("truth.challenger.conversion.relative_effect", "ab", "canary")
    assert [row[0] for row in ship.rows] == ["0%", "2%", "4%"]
    assert all("(" in cell for row in ship.rows for cell in row[1:])
    assert "at 2%" in ship.svg


def test_baselines_are_drawn_where_they_say_something(folder: Path) -> None:
    (regret,) = curves(read(folder), ("regret",))
    assert regret.header[1:] == ("hold", "ab", "canary")


def test_a_grid_has_a_chart_for_every_value_of_its_second_key(grid: Path) -> None:
    charts = curves(read(grid), ("ship", "time_to_decision"))
    assert [chart.title for chart in charts] == [
        "ships at 1", "ships at 2", "time to decision at 1", "time to decision at 2",
    ]  # fmt: skip
    assert [row[0] for row in charts[0].rows] == ["0%", "2%", "4%"]


def test_the_page_is_whole_offline_and_the_same_each_time(folder: Path) -> None:
    page = html.write(folder).read_text(encoding="utf-8")
    assert page == html.write(folder).read_text(encoding="utf-8")
    assert "no &lt;queues&gt;" in page
    assert "<queues>" not in page
    assert page.count("<script") == 1
    assert not re.findall(r'(?:href|src)="(?!#)', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    # Nobody was harmed, which needs no chart.
    assert page.count("<figure data-at=") == 7
    assert "canary at 0%" in page
    assert "truth.challenger.conversion.relative_effect: 0%, 2%, 4%" in page


def test_the_winner_of_every_point_comes_first_and_where_it_changes(folder: Path) -> None:
    comparison = compare(folder)
    aim, found = winners(comparison)
    assert [winner.point for winner in found] == ["0%", "2%", "4%"]
    assert [winner.policy for winner in found] == [point.decision.chosen or "–" for point in comparison.points]
    assert [winner.changes for winner in found] == [
        False, *(before.policy != after.policy for before, after in itertools.pairwise(found)),
    ]  # fmt: skip
    page, marked = html.write(folder).read_text(encoding="utf-8"), markdown.write(folder).read_text(encoding="utf-8")
    assert page.index("Which policy wins where?") < page.index("How often does each policy ship")
    assert page.count("changes here") == sum(winner.changes for winner in found)
    assert f"| take | {aim} | runner-up |" in marked.replace("\\", "")
    assert "<details><summary>Measure by measure</summary>" in page


def test_amounts_over_many_powers_of_ten_have_a_logarithmic_axis_and_say_so(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, effects=(0.0001, 0.003, 0.1))
    write_summary(compare(folder), folder)
    (regret,) = curves(read(folder), ("regret",))
    assert "regret, logarithmic" in regret.svg
    (near,) = curves(read(write_close(tmp_path / "near")), ("regret",))
    assert "regret, linear" in near.svg


def write_close(folder: Path) -> Path:
    write_sweep(folder, effects=(0.02, 0.03))
    write_summary(compare(folder), folder)
    return folder


def test_markdown_has_a_table_for_each_measure(folder: Path) -> None:
    text = markdown.write(folder).read_text(encoding="utf-8")
    assert "## wrong ship" in text
    assert text.count("| 2% |") >= 8
    assert "canary at 0%: wrong ship < 5%" in re.sub(r"\\", "", text)


def test_the_terminal_shows_a_row_for_each_policy_and_point(grid: Path) -> None:
    out = io.StringIO()
    table(compare(grid), display="plain", file=out)
    lines = out.getvalue().splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith("----"))
    rows = lines[start + 1 : start + 1 + 3 * 6]
    assert [row.split()[0] for row in rows[::6]] == ["hold", "ab", "canary"]
    assert [row[:12].strip() for row in rows[1:6]] == [""] * 5
    assert all(len(line) <= 120 for line in lines)
    assert "relative_effect" in lines[start - 1]
    assert "seed" in lines[start - 1]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_gets_fewer_columns_and_says_so_but_keeps_regret_and_undecided(
    folder: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = io.StringIO()
    table(compare(folder), display="rich", file=out)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert all(len(line.rstrip()) <= width for line in plain.splitlines())
    left_out = " ".join(plain.split()).partition("left out for want of width: ")[2]
    assert "20% by" in left_out
    assert "regret" not in left_out
    assert "undecided" not in left_out
    heading = " ".join(plain.split())
    assert "regret" in heading
    assert "decided" in heading


def test_an_interrupted_sweep_says_what_is_missing(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path)
    write_summary(compare(folder), folder)
    sweep = read(folder).run.to_dict()["sweep"]
    sweep["points"][2]["run"]["completed"] = ["hold"]
    changed(folder, status="interrupted", sweep=sweep)
    assert "Not finished, and not in this report: ab at 1 of 3 points, canary at 1 of 3 points." in html.page(read(folder))
