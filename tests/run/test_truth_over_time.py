"""What a run says of worlds in which the better arm changes: regret, harm and verdicts, against sums by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from sim.run.rehearse import rehearse
from sim.scenario.check import check
from sim.scenario.schema import Scenario
from tests.worlds import behaves, make_plan, make_scenario

HOLD, SWITCH = {"name": "hold", "kind": "hold"}, {"name": "switch", "kind": "switch"}
CASES = Path(__file__).parents[3] / "shared" / "cases" / "13-regret-comparator"


def by_policy(rates: Sequence[float], scenario: Scenario, **said: Any) -> pd.DataFrame:
    """Means of the trials' columns by policy."""
    arms = [behaves(outcomes={scenario.primary.name: {"bernoulli": rate}}, **said) for rate in rates]
    trials = rehearse(make_plan(scenario, arms), workers=1).trials
    return trials.groupby("policy")[trials.select_dtypes(("number", "bool")).columns].mean()


def two_days(*drifts: dict[str, Any], **changes: Any) -> Scenario:
    """Two days of 24,000 requests each."""
    timeline = [{"kind": "drift", "arm": "challenger", "metric": "conversion", **drift} for drift in drifts]
    return make_scenario(
        horizon="2d", tick="1h", traffic={"rate": "1000/h", "arrivals": "regular"}, timeline=timeline,
        policies=[HOLD, SWITCH], **changes,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_regret_is_against_the_best_arm_of_each_tick_and_against_the_best_arm(engine: str) -> None:
    """10% against 20% and then 5%: holding sells 4,800, switching 6,000, and the better of each day 7,200."""
    some = two_days({"at": "1d", "to": "-75%"}, replications=2, engine=engine)
    found = by_policy((0.1, 0.2), some, error_rate="0%")
    # Each tick has one request more or less, as regular arrivals start at a random phase.
    assert found.regret.to_dict() == pytest.approx({"hold": 2400, "switch": 1200}, abs=1)
    assert found.regret_fixed.to_dict() == pytest.approx({"hold": 1200, "switch": 0}, abs=1)
    assert found.harmed_requests.to_dict() == pytest.approx({"hold": 0, "switch": 24_000}, abs=1)
    assert found.harm.to_dict() == pytest.approx({"hold": 0, "switch": 1200}, abs=1)
    assert found.correct.to_dict() == {"hold": 0, "switch": 1}


def test_the_same_backwards() -> None:
    found = by_policy((0.1, 0.2), two_days({"to": "-75%"}, {"at": "1d", "to": "0%"}, replications=2), error_rate="0%")
    assert found.regret.to_dict() == pytest.approx({"hold": 2400, "switch": 1200}, abs=1)
    assert found.regret_fixed.to_dict() == pytest.approx({"hold": 1200, "switch": 0}, abs=1)


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not here")
@pytest.mark.parametrize(
    ("file", "regret", "fixed"),
    [
        ("scenario.yaml", {"hold": 2400, "switch": 1200}, {"hold": 1200, "switch": 0}),
        # Its second drift is 300% of what is registered, so that the second day is at 80%.
        ("scenario-reversed.yaml", {"hold": 16_800, "switch": 1200}, {"hold": 15_600, "switch": 0}),
    ],
)
def test_the_case_of_the_regret_comparator(file: str, regret: dict[str, float], fixed: dict[str, float]) -> None:
    some = Scenario.model_validate(yaml.safe_load((CASES / file).read_text()))
    found = by_policy((0.1, 0.2), some, error_rate="0%", latency={"constant": "20ms"})
    assert found.regret.to_dict() == pytest.approx(regret, abs=1)
    assert found.regret_fixed.to_dict() == pytest.approx(fixed, abs=1)


def test_an_incident_of_the_better_arm_costs_what_it_costs() -> None:
    """Challenger 4% better, and 90% of its calls fail from 26 h to 50 h; a canary that looks at latency ships it at 24 h.

    With half of the traffic for a day it forgoes 86,400 (1 - 50%) 0.002 99.9% = 86.3 before it ships. The incident then costs
    86,400 (0.04995 - 0.00519), and every one of its requests is harmed. Holding forgoes 0.002 99.9% for six days.
    """
    spike = {"kind": "errors", "arm": "challenger", "at": "26h", "duration": "24h", "rate": "90%"}
    canary = {
        "name": "canary", "kind": "canary", "steps": [{"weight": "50%", "bake": "24h"}],
        "checks": [{"metric": "latency", "quantile": 0.99, "max": "10s"}],
    }  # fmt: skip
    some = make_scenario(
        replications=5, horizon="7d", tick="1h", traffic={"rate": "1/s", "arrivals": "regular"}, timeline=[spike],
        policies=[canary, HOLD],
    )  # fmt: skip
    found = by_policy((0.05, 0.052), some, error_rate="0.1%")
    gap, lost = 0.002 * 0.999, 0.05 * 0.999 - 0.052 * 0.999 * 0.1
    # The canary's half is binomial: 147 requests more or less, of 0.002.
    assert found.regret["canary"] == pytest.approx(43_200 * gap + 86_400 * lost, abs=1.5)
    assert found.regret["hold"] == pytest.approx(6 * 86_400 * gap, abs=1.5) == pytest.approx(1036, abs=1.5)
    assert found.harmed_requests.to_dict() == pytest.approx({"canary": 86_400, "hold": 0}, abs=2)
    assert found.harm["canary"] == pytest.approx(86_400 * lost, abs=1.5)
    # From 24 h on the challenger earns less than the champion, and over the whole week too.
    assert not found.shipped_better["canary"]
    assert found.correct.to_dict() == {"canary": 0, "hold": 1}


def test_a_week_with_a_weekday_effect_is_judged_by_the_whole_of_it() -> None:
    """The challenger is 4% better but for an hour in the end, in which it is worse: shipping it is right."""
    found = by_policy((0.05, 0.052), two_days({"at": "47h", "to": "-20%"}, replications=2))
    assert found.correct.to_dict() == {"hold": 0, "switch": 1}
    assert found.any_better.all()
    assert found.harmed_requests["switch"] == pytest.approx(1000, abs=1)


def test_where_less_is_better_failing_makes_no_arm_better() -> None:
    """Both arms have 5% complaints, and the challenger fails 30% of calls: each counts as a complaint."""
    metrics = [{"name": "complaint", "role": "primary", "direction": "decrease"}]
    some = make_scenario(
        metrics=metrics, horizon="1h", tick="10m", traffic={"rate": "1/s", "arrivals": "regular"}, policies=[HOLD, SWITCH],
        replications=3,
    )  # fmt: skip
    arms = [behaves(outcomes={"complaint": {"bernoulli": 0.05}}, error_rate=rate) for rate in ("0%", "30%")]
    trials = rehearse(make_plan(some, arms), workers=1).trials
    hold, switch = (trials[trials.policy == name] for name in ("hold", "switch"))
    assert hold.correct.all()
    assert set(hold.best_arm) == {"champion"}
    assert switch.shipped_worse.all()
    assert switch.regret.to_numpy() == pytest.approx(3600 * 0.3 * 0.95, abs=0.3)
    assert switch.harm.to_numpy() == pytest.approx(switch.regret.to_numpy())


@pytest.mark.parametrize(
    ("direction", "failure", "each", "fixed"),
    [
        ("increase", None, 0.05, 0.05), ("decrease", None, 0.95, 0.95), ("decrease", {"worth": 3}, 2.95, 2.95),
        # Who says that a failure is the best that can happen gets no regret of it.
        ("increase", {"worth": -1}, 1.05, 1.05), ("decrease", {"worth": 0}, 0.0, -0.05),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_a_lost_request_costs_what_a_served_one_is_worth_more(
    direction: str, failure: dict[str, float] | None, each: float, fixed: float, engine: str
) -> None:
    """One server for a second of work, no queue, and two requests a second: half of them, and more, are rejected."""
    metric = {"name": "complaint", "role": "primary", "direction": direction}
    some = make_scenario(
        metrics=[metric if failure is None else {**metric, "failure": failure}], horizon="10m", tick="1m",
        traffic={"rate": "2/s"}, capacity={"champion": {"replicas": 1, "concurrency": 1, "queue": 0}}, policies=[HOLD],
        replications=2, engine=engine,
    )  # fmt: skip
    said = behaves(outcomes={"complaint": {"bernoulli": 0.05}}, error_rate="0%", latency={"constant": "1s"})
    trials = rehearse(make_plan(some, [said, said]), workers=1).trials
    assert (trials.lost_requests > 500).all()
    assert trials.regret.to_numpy() == pytest.approx(trials.lost_requests.to_numpy() * each)
    assert trials.regret_fixed.to_numpy() == pytest.approx(trials.lost_requests.to_numpy() * fixed)


@pytest.mark.parametrize(
    ("metric", "outcome", "told"),
    [
        ({"direction": "decrease"}, {"gamma": {"mean": 5, "sd": 3}}, True),
        ({"direction": "decrease", "failure": {"worth": 60}}, {"gamma": {"mean": 5, "sd": 3}}, False),
        ({"direction": "increase"}, {"gamma": {"mean": 5, "sd": 3}}, False),
        ({"direction": "increase"}, {"normal": {"mean": -5, "sd": 3}}, True),
        ({"direction": "decrease"}, {"bernoulli": 0.05}, False),
    ],
)
def test_a_scenario_that_leaves_the_worth_of_a_failure_unclear_is_warned(
    metric: dict[str, Any], outcome: dict[str, Any], told: bool
) -> None:
    some = make_scenario(metrics=[{"name": "wait", "role": "primary", **metric}], policies=[HOLD])
    warnings = make_plan(some, [behaves(outcomes={"wait": outcome}, error_rate="1%")] * 2).warnings
    found = ["metrics[0].name" in each and "a failed request counts as 0, which is better" in each for each in warnings]
    assert found == [True] * told
    assert not make_plan(some, [behaves(outcomes={"wait": outcome}, error_rate="0%")] * 2).warnings


@pytest.mark.parametrize(
    ("metric", "path"),
    [
        ({"name": "conversion", "failure": {"worth": 0}}, "metrics[1].failure"),
        ({"name": "error_rate", "role": "guardrail", "failure": {"worth": 0}}, "metrics[1].failure"),
    ],
)
def test_only_the_primary_metric_says_what_a_failure_is_worth(metric: dict[str, Any], path: str) -> None:
    primary = {"name": "buy", "role": "primary", "failure": {"worth": -3}}
    assert not check(make_scenario(metrics=[primary]))
    assert [(problem.path, problem.message) for problem in check(make_scenario(metrics=[primary, metric]))] == [
        (path, "is for the primary metric")
    ]
