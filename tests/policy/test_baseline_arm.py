"""A baseline: served beside the challengers, seen by the checks that ask for it, and never decided about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, poisson

from sim.engine.catalogue import make
from sim.errors import InputError
from sim.policy.base import Telemetry
from sim.policy.columns import Count
from sim.run.trial import Play, play
from sim.scenario.check import check
from sim.scenario.loading import load, read_yaml
from sim.scenario.schema import Scenario
from sim.world.world import World
from sim.world.worth import Worth
from tests.worlds import behaves, make_scenario, make_world

CASE = Path(__file__).parents[3] / "shared" / "cases" / "21-cold-canary"
MODELS = [
    {"arm": "champion", "uri": "models:/ranker/1"},
    {"arm": "challenger", "uri": "models:/ranker/2"},
    {"arm": "fresh", "uri": "models:/ranker/1", "role": "baseline"},
]
COLD = {"errors": "20%", "half_life": "20m"}
OLD = {
    "name": "old", "kind": "canary", "steps": [{"weight": "20%", "bake": "1h"}],
    "checks": [{"metric": "error_rate", "max_difference": "5%", "trip": 2}],
}  # fmt: skip
SAME = {
    **OLD, "name": "same", "baseline": True,
    "checks": [{"metric": "error_rate", "max_difference": "5%", "trip": 2, "against": "baseline"}],
}  # fmt: skip


def said(**changes: Any) -> dict[str, Any]:
    models = [MODELS[0], *({**model, "warm_up": COLD} for model in MODELS[1:])]
    return {
        "models": models,
        "policies": [OLD, SAME],
        "horizon": "2h",
        "traffic": {"rate": "10/s"},
        "goal": "not_worse",
        **changes,
    }


def world(challenger: dict[str, Any] | None = None, **changes: Any) -> World:
    champion = behaves(latency={"constant": "1ms"})
    return make_world(make_scenario(**said(**changes)), [champion, {**champion, **(challenger or {})}, champion])


def played(name: str, of: World, rows: int = 200) -> Play:
    scenario = make_scenario(**said())
    forms = {form.name: form for form in scenario.policies}
    return play(of.realise(np.arange(rows)), forms[name].build(forms, scenario.arms), make("compiled"), 10)


def test_a_healthy_version_that_is_cold_fails_against_an_old_champion_and_not_against_one_of_its_age() -> None:
    # 1,200 requests a tick: a standard error of 1.7 points where both fail in 20%, two ticks in a row.
    healthy = world()
    assert (played("old", healthy).columns["shipped_arm"] == -1).all()
    assert (played("same", healthy).columns["shipped_arm"] == 1).mean() > 0.97


def test_one_that_is_worse_is_found_beside_it() -> None:
    assert (played("same", world({"error_rate": "15%"})).columns["shipped_arm"] == -1).all()


def test_it_is_no_challenger_in_what_is_true() -> None:
    columns = played("same", world({"error_rate": "15%"}), rows=20).columns
    assert not columns["worth_shipping"].any()
    assert not columns["any_better"].any()
    # Half a point of 5% of conversions is what 15% more failures take.
    np.testing.assert_allclose(columns["best_effect"], 0.85 / 0.999 - 1, rtol=1e-9)


def test_the_baseline_is_neither_best_nor_right_to_ship() -> None:
    for not_worse in (None, 0.0):
        worth = Worth(np.array([[1.0, 0.9, 1.1]]), np.ones((1, 3), bool), 0.0, not_worse, baseline=True)
        assert worth.best.tolist() == [0]
        assert worth.better.tolist() == [[False, False, False]]


@pytest.mark.skipif(not CASE.is_dir(), reason="the shared cases are not here")
def test_the_shared_case_of_a_canary_that_is_slow_after_it_starts() -> None:
    # A slowdown that begins as the arm is deployed, in place of one that begins at 0 s.
    written = read_yaml(CASE / "scenario.yaml").data
    del written["timeline"]
    written |= {"aa": False, "replications": 40}
    written["models"][1]["warm_up"] = {"slowdown": 8, "half_life": "90s"}
    versions = read_yaml(CASE / "models.yaml").data["versions"]
    behaviours = [{key: each[key] for key in ("outcomes", "latency")} for each in versions]
    scenario = Scenario.model_validate(written)
    forms, built = {form.name: form for form in scenario.policies}, make_world(scenario, behaviours)
    found = {
        name: play(built.realise(np.arange(40)), form.build(forms, scenario.arms), make("compiled"), 10).columns
        for name, form in forms.items()
    }
    # All of the healthy canaries are rolled back, and by what is added at the next weight: a warm-up at 1% warms 1%.
    assert all((columns["shipped_arm"] < 0).all() for columns in found.values())
    when = {name: columns["time_to_decision_s"] / 60 for name, columns in found.items()}
    assert (when["at-once"] == 2).all()
    # Two looks at 60 calls each, most of them cold: one slow call is above 1%.
    assert np.median(when["warm-first"]) == 5
    # A shadow of a tenth has warmed a canary of a tenth: it fails as its weight rises to 50%, after 30 minutes. Before that a
    # warm call of a thousand is slow, and one of 60 is above 1%: two such looks of twenty are in two trials of five.
    p, per_look = float(built.realise(np.arange(1)).latency_above(0.5)[0, 1]), np.arange(0, 200)
    bad = 1 - float(np.sum(poisson.pmf(per_look, 60) * (1 - p) ** per_look))
    early, expected = (when["shadow-first"] <= 30).mean(), binom.sf(1, 20, bad)
    assert abs(early - expected) < 4 * np.sqrt(expected * (1 - expected) / 40) + 0.1
    assert np.isin(when["shadow-first"], [31, 32]).mean() >= 1 - early - 1e-9


def test_it_gets_what_each_challenger_gets_and_exposes_nobody() -> None:
    found = played("same", world(), rows=3)
    np.testing.assert_allclose(found.live[:, 0], [[0.6, 0.2, 0.2]] * 3)
    aside = played("old", world(), rows=3)
    np.testing.assert_allclose(aside.live[:, 0], [[0.8, 0.2, 0.0]] * 3)
    np.testing.assert_allclose(aside.columns["peak_exposure"], 0.2)


@pytest.mark.parametrize(
    ("against", "fails"), [({"against": "champion"}, True), ({"against": "baseline"}, False), ({"against": "service"}, False)]
)
def test_what_a_check_is_held_against(against: dict[str, str], fails: bool) -> None:
    # The champion fails in 1%, challenger and baseline in 10%, all of the service in (8 + 20) / 1000: a multiple of 3.6 of it.
    rule = {"metric": "error_rate", "max_ratio": 4, **against}
    scenario = make_scenario(**said(policies=[{**SAME, "checks": [rule]}]))
    policy = scenario.policies[0].build({"same": scenario.policies[0]}, scenario.arms)
    setting = world().setting(1)
    routing = policy.start(setting)
    columns = {column: place for place, column in enumerate(policy.needs(setting))}
    counts = np.zeros((1, 3, len(columns)), np.int64)
    for name, seen in (("responses", [800, 100, 100]), ("errors", [8, 10, 10])):
        counts[0, :, columns[Count(name)]] = seen
    policy.step(Telemetry(0, counts, columns, routing.live))
    assert (policy.verdicts.verdict[0] != 0) == fails


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": MODELS[:2]}, "policies[1].baseline: no model has the role baseline"),
        ({"models": [MODELS[0], MODELS[2], MODELS[1]]}, "models[1].role: a baseline must be the last model"),
        ({"models": [MODELS[0], MODELS[2]]}, "models[1].role: a baseline needs a champion and a challenger"),
        ({"models": [*MODELS[:2], {**MODELS[2], "uri": "models:/ranker/3"}]}, "models[2].uri: a baseline is the champion's"),
        ({"truth": {"fresh": {"conversion": {"relative_effect": "1%"}}}}, "truth.fresh: no challenger 'fresh'"),
        (
            {"timeline": [{"kind": "drift", "arm": "fresh", "metric": "conversion", "to": "1%"}]},
            "timeline[0].arm: a baseline follows the champion",
        ),
        ({"policies": [{**OLD, "checks": SAME["checks"]}]}, "policies[0].checks[0].against: the baseline gets no traffic"),
        (
            {"policies": [{**SAME, "steps": [{"weight": "100%", "bake": "1h"}]}]},
            "policies[0].steps[0].weight: leaves no traffic",
        ),
        ({"policies": [{"name": "it", "kind": "switch", "arm": "fresh"}]}, "policies[0].arm: no challenger 'fresh'"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], problem: str) -> None:
    told = [f"{each.path}: {each.message}" for each in check(make_scenario(**said(**changes)))]
    assert any(each.startswith(problem) for each in told), told


@pytest.mark.parametrize(
    "text", ["{half_life: 1m}", "{errors: 1%}", "{slowdown: 0.5, half_life: 1m}", "{errors: 100%, half_life: 1m}"]
)
def test_a_warm_up_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    models = f"[{{arm: champion, uri: 'models:/a/1'}}, {{arm: b, uri: 'models:/a/2', warm_up: {text}}}]"
    file.write_text(
        f"name: a\nhorizon: 1d\ntraffic: {{rate: 1/s}}\nmodels: {models}\nmetrics: [{{name: m, role: primary}}]\n"
        "policies: [{name: hold, kind: hold}]\n"
    )
    with pytest.raises(InputError) as found:
        load(file, Scenario)
    assert all("models[1].warm_up" in str(problem) for problem in found.value.problems)


def test_neither_is_played_live() -> None:
    from sim.live.playable import problems

    told = [f"{each.path}: {each.message}" for each in problems(make_scenario(**said(aa=True)), "same")]
    found = [each.split(":")[0] for each in told if "models" in each]
    assert found == ["models[2].role", "models[1].warm_up", "models[2].warm_up"]
