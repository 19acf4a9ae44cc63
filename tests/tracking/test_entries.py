"""What is recorded of a run: settings as params, estimates as metrics, the timeline in a few points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sim.tracking.entries import POINTS, policy_entries, scenario_entry
from sim.tracking.folder import read_folder
from tests.tracking.folders import timeline, write_folder


def test_a_policys_settings_and_estimates(tmp_path: Path) -> None:
    hold, canary = policy_entries(read_folder(write_folder(tmp_path)))
    assert canary.name == "canary"
    assert canary.params["steps"] == '[{"bake": "1h", "weight": "10%"}]'
    assert canary.params["on.fail"] == "keep"
    assert canary.params["kind"] == "canary"
    assert canary.params["replications"] == "1000"
    bounds = {"wrong_ship": 1.25, "wrong_ship.lower": 1.2, "wrong_ship.upper": 1.3}
    assert canary.estimates == {**bounds, **{f"difference/{key}": value for key, value in bounds.items()}}
    assert set(hold.estimates) == set(bounds)


def test_the_scenario_shows_policies_side_by_side(tmp_path: Path) -> None:
    entry = scenario_entry(read_folder(write_folder(tmp_path)))
    assert entry.estimates == {"hold/wrong_ship": 0.25, "canary/wrong_ship": 1.25}
    assert (
        entry.tags["mlflow.note.content"] == "Is the retrained ranker safe to ship?\n\nTake canary. It decides 2 days sooner."
    )
    assert entry.tags["sim.arm.challenger.version"] == "2"


def test_a_long_timeline_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    entry = policy_entries(read_folder(write_folder(tmp_path, ticks=2016)))[0]
    decided = [point.tick for point in entry.series if point.key == "timeline/decided"]
    assert len(decided) == POINTS
    assert (decided[0], decided[-1]) == (1, 2016)


def test_level_stretches_leave_the_drawn_line_as_it_is(tmp_path: Path) -> None:
    write_folder(tmp_path, ("canary",))
    frame = timeline("canary", 150)
    steps = np.repeat([0.0, 0.1, 0.1, 0.5, 0.0], 30)
    frame["weight.challenger.mean"] = steps
    frame["mirror.challenger.mean"] = np.where(frame["tick"] == 7, np.nan, 1.0)
    frame.to_parquet(tmp_path / "timeline.parquet")
    (entry,) = policy_entries(read_folder(tmp_path))
    drawn = [(point.tick, point.value) for point in entry.series if point.key == "timeline/weight.challenger.mean"]
    assert len(drawn) == 8
    np.testing.assert_array_equal(np.interp(frame["tick"], *zip(*drawn, strict=True)), steps)
    assert all(np.isfinite(point.value) for point in entry.series)
    assert isinstance(pd.read_parquet(tmp_path / "timeline.parquet"), pd.DataFrame)


def test_untrusted_names_and_long_texts_fit(tmp_path: Path) -> None:
    names = ("../../etc/passwd", "x" * 1000, 'a "b" `c`')
    folder = read_folder(write_folder(tmp_path, names, question="?" * 9000))
    for entry in [scenario_entry(folder), *policy_entries(folder)]:
        assert max(map(len, entry.params.values())) <= 500
        assert max(map(len, entry.tags.values())) <= 5000
        assert max(map(len, entry.estimates), default=0) <= 250
        assert not any(".." in key.split("/") for key in entry.estimates)
