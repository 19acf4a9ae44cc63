"""The Mann-Whitney judge: what fails a metric, how the score decides, and how often it is wrong."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from sim.policy.base import Finding, Guardrail, Verdict
from sim.policy.columns import Above, Moment
from sim.policy.guardrails import MannWhitney
from sim.policy.machine import StagedPolicy
from sim.testing.guardrail_contract import PATHS, GuardrailContract, Ticks, ever
from sim.testing.paths import standard_error
from sim.testing.settings import ANSWERS, ERRORS, look_at, make_setting
from tests.policy.scripted import TOLD, make_stage, play

U, P, F = Finding.UNDECIDED, Finding.PASS, Finding.FAIL


def judge(*metrics: dict[str, Any], **said: Any) -> MannWhitney:
    return MannWhitney.model_validate({"metrics": metrics or [{"metric": "error_rate"}], "every": "2h", **said})


def errors(rates: list[float], ticks: int = 48, rows: int = PATHS, seed: int = 5) -> Ticks:
    rng = np.random.default_rng(seed)
    return [{ANSWERS: 1000, ERRORS: rng.binomial(1000, rates, (rows, len(rates)))} for _ in range(ticks)]


class TestOneMetric(GuardrailContract):
    # Promised is nothing; measured over four looks of twelve ticks: .040, and .083 for three challengers.
    error: ClassVar[tuple[float, float]] = (0.04, 0.083)

    @pytest.fixture
    def part(self) -> Guardrail:
        return judge()

    def well(self, arms: int) -> Ticks:
        return errors([0.05] * arms)

    def unwell(self) -> Ticks:
        return errors([0.05, 0.07])


def found(part: MannWhitney, ticks: Ticks) -> list[int]:
    return [int(each[0, 1]) for each in look_at(part, make_setting(), ticks)]


def tick(champion: int, challenger: int, answers: int = 1000) -> dict[str, list[int]]:
    return {ANSWERS: [answers, answers], ERRORS: [champion, challenger]}


def test_it_looks_once_an_interval_and_keeps_what_it_said() -> None:
    ticks = [tick(50 + at % 3, 50 + at % 4) for at in range(30)]
    assert found(judge(), ticks) == [U] * 11 + [P] * 19


def test_only_the_bad_direction_counts_unless_either_does() -> None:
    better = [tick(50 + at % 3, 30 + at % 3) for at in range(12)]
    assert found(judge(), better)[-1] == P
    assert found(judge({"metric": "error_rate", "direction": "either"}), better)[-1] == F


def test_a_difference_within_the_tolerance_is_none() -> None:
    worse = [tick(50 + at % 3, 55 + at % 3) for at in range(12)]
    assert found(judge(), worse)[-1] == F
    assert found(judge({"metric": "error_rate", "tolerance": 0.2}), worse)[-1] == P


def test_the_window_forgets() -> None:
    ticks = [tick(50 + at % 3, 70 + at % 3) for at in range(12)] + [tick(50 + at % 3, 50 + at % 3) for at in range(12)]
    assert found(judge(marginal="10%", **{"pass": "90%"}), ticks)[11::12] == [F, P]
    assert found(judge(window="4h"), ticks)[11::12] == [F, F]


def test_ticks_without_answers_are_left_out_and_too_few_are_no_judgement() -> None:
    ticks = [tick(5, 5, answers=0 if at % 3 else 100) for at in range(12)]
    assert found(judge(), ticks)[-1] == U
    assert found(judge(min_ticks=4), ticks)[-1] == P


@pytest.mark.parametrize(("weight", "expected"), [(1, U), (3, F), (0.2, P)])
def test_the_score_is_the_weight_of_what_passes(weight: float, expected: Finding) -> None:
    """Errors are worse, revenue is not: 1 of 2 is marginal, 1 of 4 fails, 1 of 1.2 passes."""
    part = judge({"metric": "error_rate", "weight": weight}, {"metric": "revenue"})
    ticks = [
        {
            **tick(50 + at % 3, 70 + at % 3),
            Moment("revenue", "count"): [100, 100],
            Moment("revenue", "sum"): [100_000 + at, 100_001 + at],
        }
        for at in range(12)
    ]
    assert found(part, ticks)[-1] == expected


def test_a_marginal_canary_does_not_ship() -> None:
    part = judge({"metric": "error_rate"}, {"metric": "latency", "limit": "250ms"})
    stage = make_stage(checks=(part,))
    for slow, verdict in ((10, Verdict.INCONCLUSIVE), (0, Verdict.SHIP)):
        policy = StagedPolicy([stage])
        ticks = [
            {
                TOLD: "P" if at == 11 else ".",
                **tick(50 + at % 3, 50 + at % 3),
                Above(0.25): [10 + at % 3, 10 + at % 3 + slow],
            }
            for at in range(12)
        ]
        play(policy, make_setting(), ticks)
        assert policy.verdicts.verdict[0] == verdict


def test_a_healthy_canary_passes_most_of_the_time() -> None:
    assert ever(judge(), errors([0.05, 0.05]), finding=P) > 0.95


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"metrics": []}, "at least 1 item"),
        ({"metrics": [{"metric": "latency"}]}, "limit is for latency, which needs one, got none for latency"),
        ({"metrics": [{"metric": "error_rate", "limit": "1s"}]}, "got one for error_rate"),
        ({"metrics": [{"metric": "error_rate"}], "marginal": "80%"}, "marginal must not exceed pass, got 80% and 75%"),
        ({"metrics": [{"metric": "error_rate", "tolerance": -1}]}, "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MannWhitney.model_validate({"every": "2h", **said})


def test_what_does_not_fit_the_scenario_is_refused() -> None:
    setting = make_setting()
    assert judge().problems(setting) == []
    assert judge(every="1h").problems(setting) == [("every", "1h holds 6 ticks, fewer than min_ticks, 8")]
    assert judge(window="55m").problems(setting)[0] == ("window", "must be a whole number of ticks of 10m, got 55m")
    ((key, message),) = judge({"metric": "clicks"}).problems(setting)
    assert (key, message) == (
        "metrics[0].metric",
        "no metric 'clicks'; there are error_rate, latency, mean_latency, conversion, revenue, cost",
    )


def test_every_look_is_another_chance_to_err() -> None:
    """The figure of docs/methods.md, 24 looks, measured with another seed on 4,000 trials."""
    rows = 1500
    stopped = ever(judge(), errors([0.05, 0.05], ticks=288, rows=rows, seed=7))
    assert abs(stopped - 0.19) < 4 * (standard_error(0.19, rows) + standard_error(0.19, PATHS))
