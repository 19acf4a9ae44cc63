"""What is recorded of a run: settings as params, estimates as metrics, the timeline in a few points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.tracking.entries import policy_entries, scenario_entry
from sim.tracking.folder import read_folder
from sim.tracking.series import POINTS
from tests.tracking.folders import timeline, write_folder


def test_a_policys_settings_and_estimates(tmp_path: Path) -> None:
    hold, canary = policy_entries(read_folder(write_folder(tmp_path)))
    assert canary.name == "canary"
    assert canary.params["steps"] == '[{"bake": "1h", "weight": "10%"}]'
    assert canary.params["on.fail"] == "keep"
    assert canary.params["kind"] == "canary"
    assert canary.params["replications"] == "1000"
    # Only the main measures: the table in the artifacts has the others, with intervals and differences.
    assert (canary.estimates, hold.estimates) == ({"wrong_ship": 1.25}, {"wrong_ship": 0.25})


def test_the_scenario_has_the_estimates_of_the_policy_that_it_takes(tmp_path: Path) -> None:
    entry = scenario_entry(read_folder(write_folder(tmp_path, chosen="canary")))
    assert (entry.estimates, entry.tags["sim.took"]) == ({"wrong_ship": 1.25}, "canary")
    none = scenario_entry(read_folder(write_folder(tmp_path)))
    assert (none.estimates, "sim.took" in none.tags) == ({}, False)
    assert entry.tags["sim.models"] == "ranker/1, ranker/2"
    assert entry.tags["sim.arm.challenger.version"] == "2"


def test_a_long_timeline_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    entry = policy_entries(read_folder(write_folder(tmp_path, ticks=2016)))[0]
    decided = [point.step for point in entry.series if point.key == "over hours/decided"]
    assert len(decided) == POINTS
    assert (decided[0], decided[-1]) == (1, 336)


def test_many_policies_have_fewer_points_each_and_keep_the_ends(tmp_path: Path) -> None:
    entries = policy_entries(read_folder(write_folder(tmp_path, [f"p{number}" for number in range(150)], ticks=400)))
    for entry in (entries[0], entries[-1]):
        steps = [point.step for point in entry.series if point.key == "over hours/decided"]
        assert (len(steps), steps[0], steps[-1]) == (16, 1, 67)
    assert sum(len(entry.series) for entry in entries) < 20_000


def test_a_step_is_a_whole_hour_with_the_last_value_by_then(tmp_path: Path) -> None:
    """Ticks are of 10 minutes: the value at 2 hours is that after 12 ticks."""
    entry = policy_entries(read_folder(write_folder(tmp_path, ticks=13)))[0]
    decided = {point.step: point.value for point in entry.series if point.key == "over hours/decided"}
    assert decided == {1: 6 / 13, 2: 12 / 13, 3: 1.0}


@pytest.mark.parametrize(("horizon_s", "tick_s", "unit"), [(7200.0, 600.0, "minutes"), (60.0, 10.0, "seconds")])
def test_short_horizons_have_smaller_units(tmp_path: Path, horizon_s: float, tick_s: float, unit: str) -> None:
    folder = write_folder(tmp_path, ticks=0, horizon_s=horizon_s, tick_s=tick_s)
    frame = pd.concat([timeline(name, 6).assign(time_s=lambda rows: rows["tick"] * tick_s) for name in ("hold", "canary")])
    frame.to_parquet(folder / "timeline.parquet")
    entry = policy_entries(read_folder(folder))[0]
    assert {point.key.split("/")[0] for point in entry.series} == {f"over {unit}"}
    assert [point.step for point in entry.series if point.key.endswith("/decided")] == [10, 20, 30, 40, 50, 60]


def test_level_stretches_leave_the_drawn_line_as_it_is(tmp_path: Path) -> None:
    write_folder(tmp_path, ("canary",))
    frame = timeline("canary", 150)
    frame["time_s"] = frame["tick"] * 3600.0
    steps = np.repeat([0.0, 0.1, 0.1, 0.5, 0.0], 30)
    frame["weight.challenger.mean"] = steps
    frame["mirror.challenger.mean"] = np.where(frame["tick"] == 7, np.nan, 1.0)
    frame.to_parquet(tmp_path / "timeline.parquet")
    (entry,) = policy_entries(read_folder(tmp_path))
    drawn = [(point.step, point.value) for point in entry.series if point.key == "over hours/traffic.challenger"]
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
