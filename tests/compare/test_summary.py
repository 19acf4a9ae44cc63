"""`summary.json`: what is read is what was written, for a run of one point and of several, and what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.compare.comparison import compare
from sim.compare.summary import FILE, read_summary, to_json, write_summary
from sim.errors import InputError
from sim.run.record import read_run
from tests.compare.sweeps import changed, write_sweep
from tests.compare.synthetic import KINDS, realistic, write


def alone(path: Path) -> Path:
    return write(path, realistic(40), KINDS, thresholds={"wrong_ship": "< 5%"})


def swept(path: Path) -> Path:
    return write_sweep(path, replications=40, thresholds={"wrong_ship": "< 5%"})


@pytest.mark.parametrize("make", [alone, swept])
def test_what_is_read_is_what_was_compared(make: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = make(tmp_path)
    comparison = compare(folder)
    write_summary(comparison, folder)
    read = read_summary(folder, read_run(folder))
    assert read == comparison
    assert to_json(read) == to_json(comparison)


def test_a_run_without_a_sweep_has_one_point_without_values(tmp_path: Path) -> None:
    folder = alone(tmp_path)
    summary = json.loads(write_summary(compare(folder), folder).read_text(encoding="utf-8"))
    (point,) = summary["points"]
    assert (point["values"], point["numbers"]) == ([], [])
    assert [policy["policy"] for policy in point["policies"]] == list(KINDS)
    assert point["memo"] == summary["memo"]


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda said: said["points"][1]["policies"][0]["measures"].update(ship="often"), "points[1].policies[0].measures.ship"),
        (lambda said: said.update(memo=None), "memo"),
        (lambda said: said["thresholds"][0].pop("breached"), "thresholds[0].breached"),
        (lambda said: said.pop("points"), "points"),
    ],
)
def test_what_is_wrong_is_named_at_its_place(tmp_path: Path, spoil: Callable[[dict[str, Any]], object], path: str) -> None:
    folder = swept(tmp_path)
    file = write_summary(compare(folder), folder)
    said = json.loads(file.read_text(encoding="utf-8"))
    spoil(said)
    file.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_summary(folder, read_run(folder))
    assert [problem.path for problem in caught.value.problems] == [path]
    assert str(caught.value).startswith(f"{file} {path}: is corrupt: ")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\x00", b'{"memo": NaN}'])
def test_what_is_no_summary_is_corrupt(tmp_path: Path, content: bytes) -> None:
    folder = alone(tmp_path)
    (folder / FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"summary\.json.* is corrupt"):
        read_summary(folder, read_run(folder))


def test_a_comparison_from_before_the_run_went_on_is_refused(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, replications=40)
    write_summary(compare(folder), folder)
    changed(folder, sweep={**read_run(folder).to_dict()["sweep"], "points": read_run(folder).to_dict()["sweep"]["points"][:2]})
    with pytest.raises(InputError, match=r"must have the 2 points of run\.json, got 3; compare the run again"):
        read_summary(folder, read_run(folder))
    summary = json.loads((folder / FILE).read_text(encoding="utf-8"))
    summary["points"] = summary["points"][:2]
    del summary["points"][1]["policies"][1]
    (folder / FILE).write_text(json.dumps(summary), encoding="utf-8")
    with pytest.raises(InputError, match=r"lacks policies that run\.json has: ab; compare the run again"):
        read_summary(folder, read_run(folder))


def test_a_comparison_is_shown_in_a_line(tmp_path: Path) -> None:
    assert repr(compare(alone(tmp_path / "one"))) == "<Comparison of checkout: switch, hold, ab, bandit, canary, careful>"
    sweep = compare(swept(tmp_path / "three"))
    effect = "truth.challenger.conversion.relative_effect"
    assert repr(sweep) == f"<Comparison of checkout: hold, ab, canary at 3 points of {effect}>"
    assert len(repr(sweep.points[0])) < 400
