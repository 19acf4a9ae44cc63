"""When a rehearsal supports that a version is shipped, and each reason why it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.compare.comparison import compare
from sim.compare.support import Support, support
from sim.compare.trials import read_trials
from sim.run.record import read_run
from tests.compare.synthetic import BETTER, WORSE, decided, frame, write

ARMS = ("champion", "challenger")
VERSIONS = [
    {"arm": arm, "uri": f"models:/m@{arm}", "name": "m", "version": str(number), "kind": "replay", "run_id": "f" * 32}
    for number, arm in enumerate(ARMS, 1)
]
SHIP = decided("ship", 3600.0, shipped_arm="challenger", shipped_better=True, correct=True, **BETTER)
WRONGLY = decided("ship", 3600.0, shipped_arm="challenger", shipped_worse=True, **WORSE)
KEEP = decided("keep", 3600.0, **BETTER)


def told(
    folder: Path, ab: list[dict[str, Any]], arm: str = "challenger", truth: dict[str, Any] | None = None, **changes: Any
) -> Support:
    trials = frame({"hold": [decided("keep", 0.0)] * len(ab), "ab": ab})
    write(folder, trials, {"hold": "hold", "ab": "ab"}, **{"versions": VERSIONS, **changes})
    run = read_run(folder)
    return support(run, compare(folder), read_trials(folder, run), arm, truth or {})


def test_a_policy_that_ships_it_rightly_in_most_trials_supports_it(tmp_path: Path) -> None:
    found = told(tmp_path, [SHIP] * 80 + [KEEP] * 20)
    assert (found.took, found.against) == ("ab", ())
    assert found.ships is not None
    assert found.ships.estimate == 0.8


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([KEEP] * 80 + [SHIP] * 20, "it ships it in 20%"),
        ([SHIP] * 55 + [KEEP] * 45, "is not shown to ship the version, and rightly, in most trials"),
        ([SHIP] * 50 + [WRONGLY] * 15 + [{**KEEP, **WORSE}] * 35, "rightly in 50%"),
        ([WRONGLY] * 90 + [KEEP] * 10, "it recommends no policy"),
    ],
    ids=["keeps", "open", "half of them wrong", "unfit"],
)
def test_a_policy_that_does_not_is_no_support(tmp_path: Path, trials: list[dict[str, Any]], reason: str) -> None:
    (found,) = told(tmp_path, trials).against
    assert reason in found


def test_shipping_another_arm_is_no_support(tmp_path: Path) -> None:
    other = {**SHIP, "shipped_arm": "other"}
    arms = ["champion", "challenger", "other"]
    versions = [*VERSIONS, {**VERSIONS[1], "arm": "other", "version": "3"}]
    trials = [other] * 90 + [SHIP] * 10
    assert told(tmp_path / "a", trials, "other", arms=arms, versions=versions).against == ()
    (found,) = told(tmp_path / "b", trials, arms=arms, versions=versions).against
    assert "it ships it in 10%" in found


def test_what_is_stated_is_not_evidence(tmp_path: Path) -> None:
    behaviour = [VERSIONS[0], {**VERSIONS[1], "kind": "behaviour"}]
    (found,) = told(tmp_path / "a", [SHIP] * 100, versions=behaviour).against
    assert "what 'challenger' earns was stated in a models file, not measured" in found
    truth = {"challenger": {"accuracy": {"relative_effect": "2%"}}}
    (found,) = told(tmp_path / "b", [SHIP] * 100, truth=truth).against
    assert "`truth.challenger`" in found
    assert told(tmp_path / "c", [SHIP] * 100, truth={"other": {}}).against == ()


def test_the_champion_of_a_rehearsal_is_not_promoted_by_it(tmp_path: Path) -> None:
    assert told(tmp_path, [SHIP] * 100, "champion").against == ("the version was the champion in it, not a challenger",)


def test_a_breached_threshold_and_a_broken_promise_are_reasons(tmp_path: Path) -> None:
    (found,) = told(tmp_path / "a", [SHIP] * 100, thresholds={"ship": "< 50%"}).against
    assert found.startswith("a threshold of it is breached: ab.ship")
    policies = [{"name": "hold", "kind": "hold"}, {"name": "ab", "kind": "ab", "promised": 0.05}]
    declares = [{**SHIP, "aa_declared": 1.0}] * 100
    trials = frame({"hold": [decided("keep", 0.0)] * 100, "ab": declares})
    trials["aa_declared"] = [0.0] * 100 + [1.0] * 100
    write(tmp_path / "b", trials, {"hold": "hold", "ab": "ab"}, versions=VERSIONS, policies=policies)
    run = read_run(tmp_path / "b")
    found_b = support(run, compare(tmp_path / "b"), read_trials(tmp_path / "b", run), "challenger", {}).against
    assert any("declares more in A/A tests than it promises" in each for each in found_b)


def test_an_interrupted_rehearsal_is_no_support(tmp_path: Path) -> None:
    (found,) = told(tmp_path, [SHIP] * 100, status="interrupted").against
    assert "interrupted" in found


def test_trials_that_do_not_say_which_arm_was_shipped_are_no_support(tmp_path: Path) -> None:
    """A table without the column, as an early version of the program wrote it."""
    trials = frame({"hold": [decided("keep", 0.0)] * 100, "ab": [SHIP] * 100}).drop(columns="shipped_arm")
    write(tmp_path, trials, {"hold": "hold", "ab": "ab"}, versions=VERSIONS)
    run = read_run(tmp_path)
    assert support(run, compare(tmp_path), read_trials(tmp_path, run), "challenger", {}).against != ()
