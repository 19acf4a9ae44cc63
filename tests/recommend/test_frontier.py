"""`sim recommend` for a frontier of measures: against one that is known, that it is the same every time, what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sim.cli import main
from sim.compare.frontier import dominates
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials
from sim.recommend.aims import Frontier, crowding, fronts
from sim.recommend.proposing import Proposals
from tests.logged_here import logged_here as logged_here
from tests.recommend.test_recommend import MODELS, SCENARIO

# Its picture is one of its files.
pytestmark = pytest.mark.drawn

# Tests of one look, of 50% or 2% of the traffic: by theory the smaller the effect that a test is sized for, the later it ends
# and the fewer wins it misses, and a test of 2% ends (1/0.02 + 1/0.98) / 4 = 12.8 times later at the same power. So the
# frontier are the four of 50%.
SIZES = (
    "search={families: [ab], rules: [fixed_horizon], candidates: 40, replications: 180, finalists: 6, "
    "frontier: [time_to_decision, missed_win], "
    "settings: {alpha: [5%], mde: [10%, 14%, 20%, 28%], share: [2%, 50%]}}"
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scenario and its models registered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    Path("shop.yaml").write_text(SCENARIO.replace("require: {wrong_ship: < 20%}\n", ""), encoding="utf-8")
    assert main(["models", "register", "models.yaml"]) == 0
    return tmp_path


def recommend(*more: str) -> int:
    return main(["recommend", "shop.yaml", "--quiet", "--set", SIZES, *more])


def candidates(folder: str) -> list[dict[str, str]]:
    with Path(folder, "candidates.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_known_frontier_is_found_told_and_logged(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "shop.yaml", "--set", SIZES]) == 0
    assert recommend("--out", "found") == 0
    said = capsys.readouterr().out
    tried = {each["name"]: each for each in candidates("found")}
    policies = {name: json.loads(each["policy"]) for name, each in tried.items()}
    finalists = {name for name, each in tried.items() if each["fate"] == "finalist"}
    found: dict[str, Any] = json.loads(Path("found/frontier.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in found["measures"]] == ["time_to_decision", "missed_win"]
    of = {each["policy"]: each for each in found["policies"]}
    on = _on(found)
    assert {policies[name]["split"][1] for name in on} == {"50%"}
    # The larger the test the later; the ends of the frontier are there.
    assert [policies[name]["evidence"]["mde"] for name in on] == sorted(
        (policies[name]["evidence"]["mde"] for name in on), reverse=True
    )
    assert {"10%", "28%"} <= {policies[name]["evidence"]["mde"] for name in on}
    # The canary ships at once what does not fail, so it misses nothing: but it ships what is worse as often.
    assert found["taken"] is None or found["taken"] in of
    head = Path("found/recommended.yaml").read_text(encoding="utf-8")
    said_so = " ".join(line.removeprefix("# ") for line in head.splitlines() if line.startswith("#"))
    assert f"On the frontier of time_to_decision and missed_win, of this seed: {', '.join(_on(found))}." in said_so
    assert {each["name"] for each in yaml.safe_load(head)["policies"]} == {"hold", "today", *finalists}
    assert "The frontier of time to decision and missed win on fresh seeds, with 95% intervals:" in said
    assert Path("found/frontier.png").read_bytes().startswith(b"\x89PNG")
    with Path("found/frontier.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["policy"] for row in rows if row["on_frontier"] == "true"] == _on(found)
    _logged(found)


def _on(found: dict[str, Any]) -> list[str]:
    return [each["policy"] for each in found["policies"] if each["on_frontier"]]


def _logged(found: dict[str, Any]) -> None:
    """The run of the finals has the files and names the frontier."""
    import mlflow

    client = mlflow.MlflowClient()
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.`sim.kind` = 'scenario'")
    assert run.data.tags["sim.frontier"] == ", ".join(_on(found))
    there = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"frontier.json", "frontier.csv", "frontier.png", "summary.json"} <= there


def test_a_frontier_depends_on_the_scenario_alone(shop: Path) -> None:
    few = ("--no-tracking", "--set", "search.candidates=12", "--set", "search.replications=60", "--set", "replications=60")
    assert recommend("--out", "one", "--workers", "1", "--reports", "a", *few) == 0
    assert recommend("--out", "two", "--workers", "2", "--reports", "b", *few) == 0
    # Of what was kept.
    assert recommend("--out", "three", "--workers", "1", "--reports", "b", *few) == 0
    for name in ("candidates.csv", "recommended.yaml", "frontier.json", "frontier.csv", "frontier.png"):
        first = Path("one", name).read_bytes()
        assert Path("two", name).read_bytes() == first
        assert Path("three", name).read_bytes() == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("search.frontier=[net_valeu, wrong_ship]", "search.frontier[0]: no measure 'net_valeu'; did you mean net_value?"),
        ("search.frontier=[net_value, ship]", "search.frontier[1]: neither more nor less of ship is better"),
        ("search.frontier=[net_value, today.wrong_ship]", "search.frontier[1]: is of all policies: leave out today"),
        ("search.frontier=[net_value]", "search.frontier: must name two or three measures, each once"),
        ("search.frontier=[regret, regret]", "search.frontier: must name two or three measures, each once"),
        ("search.frontier=[regret, harm, errors, correct]", "search.frontier"),
        ("search={frontier: [regret, harm], finalists: 1}", "search.finalists: must be at least as many as the measures"),
    ],
)
def test_a_frontier_that_cannot_be_is_refused(shop: Path, capsys: pytest.CaptureFixture[str], change: str, said: str) -> None:
    assert main(["check", "shop.yaml", "--set", change]) == 2
    assert said in capsys.readouterr().err
    assert main(["recommend", "shop.yaml", "--out", "found", "--set", change]) == 2
    assert not Path("found").exists()


def trials(name: str, time: Any, regret: Any) -> Trials:
    n = len(time)
    columns = {"replication": np.arange(n), "time_to_decision_s": np.asarray(time, float), "regret": np.asarray(regret, float)}
    return Trials(name, "ab", 1e9, columns)


def test_who_is_dominated_is_shown_to_be() -> None:
    rng = np.random.default_rng(3)
    rows = [MEASURES["time_to_decision"], MEASURES["regret"]]
    time, regret = rng.exponential(10, 400), rng.exponential(5, 400)
    base = trials("base", time, regret)
    assert dominates(rows, base, trials("later", time + 1, regret), 0.99)
    assert dominates(rows, base, trials("worse", time + 1, regret + 0.5), 0.99)
    # Not by one that is better in one measure and worse in the other, nor by one that is the same.
    assert not dominates(rows, base, trials("other", time + 1, regret - 0.5), 0.99)
    assert not dominates(rows, base, trials("same", time, regret), 0.99)
    # Nor where one measure leaves it open.
    noisy = trials("noisy", time + 1, regret + rng.normal(0, 5, 400))
    assert not dominates(rows, base, noisy, 0.99)


def test_that_few_trials_have_the_same_verdicts_shows_nothing() -> None:
    rows = [MEASURES["time_to_decision"], MEASURES["inconclusive"]]
    first, second = (trials(name, [time] * 13, [0.0] * 13) for name, time in (("first", 1.0), ("second", 2.0)))
    for each in (first, second):
        each.columns["verdict"] = np.array(["ship"] * 13)  # type: ignore[index]
    assert not dominates(rows, first, second, 0.99)
    assert dominates(rows[:1], first, second, 0.99)


def test_equals_are_dropped_by_chance_as_seldom_as_is_said() -> None:
    """Of pairs that are equal in one measure and far apart in the other: one side of 99% is wrong in half a percent."""
    rng = np.random.default_rng(8)
    rows = [MEASURES["time_to_decision"], MEASURES["regret"]]
    wrong = 0
    for _ in range(2_000):
        base = rng.exponential(5, (2, 100))
        first = trials("first", base[0], base[1])
        second = trials("second", base[0] + 5, base[1] + rng.normal(0, 1, 100))
        wrong += dominates(rows, first, second, 0.99)
    # 10 of 2,000 are expected; 24 are more than four standard errors above.
    assert wrong <= 24


def test_fronts_are_those_of_brute_force() -> None:
    points = np.random.default_rng(5).integers(0, 8, (60, 3)).astype(float)
    front = fronts(points)
    for row, own in enumerate(points):
        beating = [at for at, other in enumerate(points) if (other <= own).all() and (other < own).any()]
        assert front[row] == (1 + max(front[at] for at in beating) if beating else 0)


def test_the_sampler_nears_a_known_frontier() -> None:
    """Of 21 × 21 places, those with the second at 0 are the frontier of x and (1 - x) + y: later proposals are nearer to it."""
    proposals = Proposals(3, directions=("minimize", "maximize"))
    seen = []
    for batch in range(12):
        proposals.next_batch()
        asked = [proposals.ask() for _ in range(10)]
        for each in asked:
            x, y = each.value("x", range(21)), each.value("y", range(21))
            proposals.tell(each, [x, x - y], fit=True, about={"batch": batch})
            seen.append(y)
    # At random it is 10 on average, ± 6.1 / sqrt(40).
    assert np.mean(seen[-40:]) < 10 - 4 * 6.1 / np.sqrt(40)


def test_ends_are_kept_where_a_front_is_thinned() -> None:
    points = np.column_stack([np.arange(9.0), 8 - np.arange(9.0)])
    apart = crowding(points)
    assert np.isinf(apart[[0, 8]]).all()
    assert np.isfinite(apart[1:8]).all()
    points[4] = points[5] - 0.1
    assert int(np.argmin(crowding(points))) in (4, 5, 6)
    aim = Frontier((MEASURES["time_to_decision"], MEASURES["net_value"]))
    assert aim.directions == ("minimize", "maximize")
    assert aim.leads({"a": (1.0, 2.0), "b": (2.0, 5.0), "c": (3.0, 3.0)}) == "2 on the frontier"
