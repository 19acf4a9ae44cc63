"""A sweep of more points than are shown one by one: stretches and maps on the page, a table of all, one run in MLflow."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sim.cli import main
from sim.report.many import MOST_POINTS, ROWS

pytestmark = pytest.mark.drawn

COUNT = 120
TEXT = """\
name: many
replications: 20
horizon: 4d
tick: 1d
aa: false
traffic: {rate: 4000/d}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
truth: {challenger: {conversion: {relative_effect: 0%}}}
policies:
  - {name: looks, kind: ab, evidence: {kind: group_sequential, sample: 5000, looks: 4}}
  - {name: hold, kind: hold}
thresholds: {ship: '> 50%'}
"""
EFFECTS = ", ".join(f"{place / 2 - 10:g}%" for place in range(COUNT))
LINE = f"sweep: {{truth.challenger.conversion.relative_effect: [{EFFECTS}]}}\n"
RATES = ", ".join(f"{rate}/d" for rate in range(3_000, 6_000, 300))
SOME = ", ".join(EFFECTS.split(", ")[::9])
GRID = f"sweep: {{truth.challenger.conversion.relative_effect: [{SOME}], traffic.rate: [{RATES}]}}\n"


def played(folder: Path, swept: str, store: str, *more: str) -> Path:
    """The run folder of a sweep, played from its file."""
    file, out = folder / "many.yaml", folder / "out"
    file.write_text(TEXT + swept)
    # Exit code 3: many points miss the threshold.
    assert main(["run", str(file), "--out", str(out), "--workers", "1", "--tracking-uri", store, "--quiet", *more]) == 3
    return out


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    return played(tmp_path_factory.mktemp("line"), LINE, store, "--no-tracking")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    return played(tmp_path_factory.mktemp("grid"), GRID, store, "--no-tracking")


def points_told(page: str) -> list[int]:
    """The number of points in each row of the table of stretches."""
    _, _, rest = page.partition("Which policy wins where?")
    table = rest[: rest.index("</table>")]
    return [int(count) for count in re.findall(r"</th><td>(\d+)</td>", table)]


def test_the_page_tells_stretches_and_leads_to_the_table_of_all_points(line: Path) -> None:
    page = (line / "report.html").read_text(encoding="utf-8")
    assert sum(points_told(page)) == COUNT
    assert len(points_told(page)) < COUNT / 2
    assert f"All {COUNT} points are in the table <a href=" in page
    assert page.count("<summary>All measures</summary>") == 12
    with (line / "measures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["point"] for row in rows} == {str(place) for place in range(COUNT)}
    assert "120 thresholds were judged" in page


def test_a_curve_goes_through_all_points_and_its_data_through_some(line: Path) -> None:
    page = (line / "report.html").read_text(encoding="utf-8")
    (figure,) = re.findall(r"<figure[^>]*><figcaption>ships</figcaption>.*?</figure>", page, re.DOTALL)
    assert figure.count('<th scope="row">') == ROWS
    places = re.search(r'data-at="([^"]*)"', figure)
    assert places is not None
    assert len(places[1].split()) == ROWS
    # One line of all points, from the left to the right.
    assert max(path.count("L") for path in re.findall(r'<path d="([^"]*)"', figure)) >= COUNT - 1


def test_a_few_points_are_told_in_a_terminal_and_for_a_pull_request(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(line)]) == 0
    said = capsys.readouterr().out
    assert f"{ROWS} of {COUNT} points (measures.csv has all)" in " ".join(said.split())
    assert "more thresholds that are breached" in said
    assert len(said.splitlines()) < 2 * ROWS + 60
    text = (line / "report.md").read_text(encoding="utf-8")
    assert f"Of {COUNT} points, {ROWS} are below" in text
    assert len(text) < 30_000


def test_two_keys_are_told_as_maps(grid: Path) -> None:
    page = (grid / "report.html").read_text(encoding="utf-8")
    count = 14 * 10
    assert count > MOST_POINTS
    assert sum(points_told(page)) == count
    assert "<figcaption>ships, looks</figcaption>" in page
    assert page.count("data:image/png;base64,") >= 3
    # Nothing differs between the points of a baseline that ships nothing.
    assert "<figcaption>ships, hold</figcaption>" not in page


def test_the_run_has_curves_and_no_nested_runs(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    played(tmp_path, LINE, store, "--experiment", "many")
    said = capsys.readouterr().out
    assert "120 points are in measures.csv and in curves, and no runs of their own" in said
    found = re.search(r"run ([0-9a-f]{32})", said)
    assert found is not None
    client = MlflowClient(store)
    run = client.get_run(found[1])
    assert run.data.tags["sim.points"].startswith("120 points are in measures.csv")
    assert [each.info.run_id for each in client.search_runs([run.info.experiment_id])] == [found[1]]
    steps = [each.step for each in client.get_metric_history(found[1], "sweep/looks/ship")]
    assert steps == list(range(COUNT))


def test_a_check_says_how_many_values_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(TEXT + LINE)
    assert main(["check", str(file)]) == 0
    assert "sweep of truth.challenger.conversion.relative_effect: 120 values from -10% to 49.5%" in capsys.readouterr().out
