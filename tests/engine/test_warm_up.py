"""Cold deployments: how cold by hand, the event engines bit for bit, and shares of errors and slow calls as formulas say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from sim.engine.catalogue import make
from sim.engine.compiled.engine import CompiledEngine
from sim.policy.base import Routing
from sim.policy.columns import Above, Count
from sim.run.trial import play
from sim.world.change import Conditions
from sim.world.warm_up import Coldness, WarmUp, WarmUps
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

ONE = np.array([0])
NOTHING = np.zeros((1, 2))


def coldness(**said: Any) -> Coldness:
    ups = WarmUps.of((None, WarmUp.model_validate(said)), tick_s=60.0)
    assert ups is not None
    return Coldness.warm(ups, rows=1, arms=2)


def begins(cold: Coldness, share: float, mirror: float = 0.0) -> Conditions:
    warm = Conditions(np.full((1, 2), 0.01), np.ones((1, 2)), {})
    return cold.begin(ONE, np.array([[1 - share, share]]), np.array([[0.0, mirror]]), warm)


def test_only_what_is_added_is_cold() -> None:
    cold = coldness(errors="50%", half_life="1m")
    found = []
    for share in (0.1, 0.1, 0.5, 0.2, 0.5, 0.0, 0.1):
        begins(cold, share)
        found.append(float(cold.cold[0, 1]))
        cold.heal(ONE, np.array([[9, 1]]))
    # Deployed; half; a fifth of it a quarter and four fifths cold; then no more is added up to the most that it had; anew.
    grown = (0.1 * 0.25 + 0.4) / 0.5
    np.testing.assert_allclose(found, [1, 0.5, grown, grown / 2, grown / 4, 0, 1], rtol=1e-12)


def test_it_warms_by_calls_and_a_mirror_warms_it_too() -> None:
    cold = coldness(slowdown=3, half_calls=100)
    found = []
    for calls in (50, 200, 0):
        found.append(float(begins(cold, 0.0, mirror=0.2).latency_scale[0, 1]))
        cold.heal(ONE, np.array([[0, calls]]))
    np.testing.assert_allclose(found, [3, 1 + 2 * 2**-0.5, 1 + 2 * 2**-2.5], rtol=1e-12)


def test_within_a_tick_it_is_the_mean_over_the_tick() -> None:
    found = begins(coldness(errors="50%", half_life="30s"), 0.1).error_rate[0]
    time = (np.arange(100_000) + 0.5) / 100_000 * 60
    np.testing.assert_allclose(found, [0.01, 0.01 + 0.99 * 0.5 * np.exp2(-time / 30).mean()], rtol=1e-9)


def test_an_old_champion_is_warm_and_one_that_comes_back_is_not() -> None:
    ups = WarmUps.of((WarmUp.model_validate({"errors": "50%", "half_life": "1m"}), None), tick_s=60.0)
    assert ups is not None
    cold, found = Coldness.warm(ups, rows=1, arms=2), []
    for share in (0.2, 0.0, 1.0, 0.0):
        begins(cold, share)
        found.append(float(cold.cold[0, 0]))
    assert found == [0, 0, 0, 1]


def world(**changes: Any) -> World:
    ups = {"errors": "20%", "slowdown": 5, "half_life": "20m", "half_calls": 300}
    models = [
        {"arm": "champion", "uri": "models:/ranker/1", "warm_up": {"slowdown": 2, "half_life": "1h"}},
        {"arm": "challenger", "uri": "models:/ranker/2", "warm_up": ups},
    ]
    return make_world(make_scenario(models=models, horizon="3h", **changes), [behaves()] * 2)


CANARY = {
    "name": "it", "kind": "canary", "steps": [{"weight": "10%", "bake": "30m"}, {"weight": "50%", "bake": "30m"}],
    "checks": [{"metric": "error_rate", "max": "5%", "trip": 2, "start": "20m"}],
}  # fmt: skip
SHADOW = {
    "name": "it", "kind": "stages", "stages": [
        {
            "name": "shadow", "kind": "shadow", "mirror": "50%", "duration": "30m",
            "checks": [{"metric": "error_rate", "max": "40%"}],
        },
        {"name": "canary", **{key: value for key, value in CANARY.items() if key != "name"}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("policy", [CANARY, SHADOW], ids=["canary", "shadow"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retries": {"attempts": 3, "on": ["error"], "backoff": "5s"}},
        {"capacity": {"challenger": {"replicas": 1, "queue": 4, "timeout": "300ms"}}, "telemetry": {"lag": "10m"}},
        {
            "users": {"count": 50},
            "timeline": [{"kind": "slowdown", "arm": "challenger", "at": "30m", "duration": "30m", "factor": 3}],
        },
    ],
    ids=["plain", "retries", "servers", "sticky"],
)  # fmt: skip
def test_the_event_engines_play_it_bit_for_bit(policy: dict[str, Any], changes: dict[str, Any]) -> None:
    scenario = make_scenario(policies=[policy])
    built, forms = world(policies=[policy], **changes), {form.name: form for form in scenario.policies}
    found = [
        play(built.realise(np.arange(6)), forms["it"].build(forms, scenario.arms), make(engine), 10)
        for engine in ("compiled", "simpy")
    ]
    for name, column in found[0].columns.items():
        np.testing.assert_array_equal(column, found[1].columns[name], err_msg=name)
    np.testing.assert_array_equal(found[0].regret, found[1].regret)


BESIDE = {
    **CANARY, "baseline": True, "reaction": {"fail": {"delay": {"constant": "10m"}}}, "checks": [
        {"metric": "error_rate", "max_difference": "3%", "trip": 2, "against": "baseline"},
        {"metric": "error_rate", "max_ratio": 9, "against": "service"},
    ],
}  # fmt: skip


def test_the_event_engines_play_a_baseline_bit_for_bit() -> None:
    models = [
        {"arm": arm, "uri": f"models:/ranker/{number}"} for arm, number in (("champion", 1), ("challenger", 2), ("fresh", 1))
    ]
    models[1]["warm_up"] = models[2]["warm_up"] = {"errors": "20%", "half_life": "20m"}  # type: ignore[assignment]
    models[2]["role"] = "baseline"
    scenario = make_scenario(models=models, policies=[BESIDE], horizon="3h")
    built, forms = make_world(scenario, [behaves()] * 3), {form.name: form for form in scenario.policies}
    found = [
        play(built.realise(np.arange(6)), forms["it"].build(forms, scenario.arms), make(engine), 10)
        for engine in ("compiled", "simpy")
    ]
    for name, column in found[0].columns.items():
        np.testing.assert_array_equal(column, found[1].columns[name], err_msg=name)
    # A tenth each, then half and what is left; once shipped nobody serves the baseline.
    assert found[0].live[0, 0].tolist() == [0.8, 0.1, 0.1]
    assert (found[0].columns["peak_exposure"] <= 1).all()


def test_errors_and_slow_calls_are_as_many_as_the_coldness_says() -> None:
    models = [
        {"arm": "champion", "uri": "models:/ranker/1"},
        {
            "arm": "challenger",
            "uri": "models:/ranker/2",
            "warm_up": {"errors": "20%", "slowdown": 5, "half_life": "20m"},
        },
    ]
    built = make_world(
        make_scenario(models=models, horizon="1h"), [behaves(latency={"exponential": "100ms"}, error_rate="1%")] * 2
    )
    rows, limit_s = np.arange(200), 0.4
    engine = CompiledEngine(built.realise(rows), (Count("requests"), Count("errors"), Above(limit_s)), False)
    live, none = np.tile([0.5, 0.5], (rows.size, 1)), np.zeros((rows.size, 2))
    for tick in range(6):
        counts = engine.step(Routing(rows, live, none, np.zeros(rows.size, np.int64))).counts.sum(axis=0)
        cold = 2 ** (-tick / 2) * (1 - 2**-0.5) / (math.log(2) / 2)
        rates = [0.01, 0.01 + 0.99 * 0.2 * cold]
        slow = [math.exp(-limit_s / 0.1), math.exp(-limit_s / (0.1 * (1 + 4 * cold)))]
        for arm in (0, 1):
            asked, failed, late = (int(each) for each in counts[arm])
            for seen, of, rate in ((failed, asked, rates[arm]), (late, asked, slow[arm])):
                assert abs(seen - of * rate) < 5 * math.sqrt(of * rate * (1 - rate)) + 3, (tick, arm)


def test_a_false_abort_has_the_chance_of_the_binomial() -> None:
    # One look after the first tick: it fails where more than 5% of what the cold arm answered were errors.
    policy = {
        "name": "it", "kind": "canary", "steps": [{"weight": "10%", "bake": "10m"}],
        "checks": [{"metric": "error_rate", "max": "5%"}],
    }  # fmt: skip
    ups = {"errors": "5%", "half_life": "10m"}
    models = [
        {"arm": "champion", "uri": "models:/ranker/1"},
        {"arm": "challenger", "uri": "models:/ranker/2", "warm_up": ups},
    ]
    scenario = make_scenario(models=models, policies=[policy], horizon="1h", traffic={"rate": "1/s"})
    built = make_world(scenario, [behaves(error_rate="1%", latency={"constant": "1ms"})] * 2)
    forms = {form.name: form for form in scenario.policies}
    found = play(built.realise(np.arange(2000)), forms["it"].build(forms, scenario.arms), make("compiled"), 10)
    rate = 0.01 + 0.99 * 0.05 * 0.5 / math.log(2)
    # Poisson requests: the chance of an abort, given how many there are, summed over how many there may be.
    n = np.arange(1, 200)
    chance = float((np.exp(n * math.log(60) - 60 - np.cumsum(np.log(n))) * binom.sf(np.floor(0.05 * n + 1e-9), n, rate)).sum())
    kept = float(np.mean(found.columns["arm"] == 0)) if "arm" in found.columns else float(np.mean(found.verdict == 2))
    assert abs(kept - chance) < 4 * math.sqrt(chance * (1 - chance) / 2000)
    assert chance > 0.2
