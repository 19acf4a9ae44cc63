"""Every measure against its formula on trials made by hand, with its condition and its pairing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.compare.measures import MEASURES
from sim.compare.trials import Trials, read_trials
from sim.run.record import read_run
from sim.stats.intervals import Estimate, mean_interval, paired_proportion_difference, proportion_interval
from tests.compare.synthetic import BETTER, HORIZON_S, NAN, TRIAL, WORSE, decided, frame, write

HOUR = 3600.0
# Six worlds: the challenger is better by enough in three, better by too little in one, worse in two.
WORLDS = [BETTER, BETTER, BETTER, {**BETTER, "worth_shipping": False}, WORSE, WORSE]


def trials_of(tmp_path: Path, **policies: list[dict[str, object]]) -> dict[str, Trials]:
    worlds = {name: [{**world, **trial} for world, trial in zip(WORLDS, each, strict=False)] for name, each in policies.items()}
    folder = write(tmp_path / "run", frame(worlds), dict.fromkeys(policies, "ab"))
    return read_trials(folder, read_run(folder))[0]


@pytest.fixture
def ab(tmp_path: Path) -> Trials:
    return trials_of(
        tmp_path,
        ab=[
            decided("ship", 1 * HOUR, shipped_better=True, correct=True, regret=4.0, peak_exposure=1.0),
            decided("keep", 2 * HOUR, regret=8.0, peak_exposure=0.5),
            {"regret": 2.0, "peak_exposure": 0.5, "time_to_significance_s": 5 * HOUR},
            decided("inconclusive", 3 * HOUR, time_to_significance_s=3 * HOUR),
            decided("ship", 4 * HOUR, shipped_worse=True, harmed_requests=900, slo_violations=50, regret=6.0),
            decided("keep", 6 * HOUR, correct=True, harmed_requests=30, mirrored_requests=12, cost_s=60.0, errors=3),
        ],
    )["ab"]


def point(trials: Trials, name: str) -> float | None:
    return MEASURES[name].estimate(trials).estimate


@pytest.mark.parametrize(
    ("name", "hits", "among"),
    [
        ("ship", 2, 6), ("keep", 2, 6), ("inconclusive", 1, 6), ("undecided", 1, 6), ("correct", 2, 6),
        ("wrong_ship", 1, 2), ("missed_win", 2, 3), ("no_better_if_shipped", 1, 2),
        ("false_rollback", 1, 4), ("missed_regression", 1, 2),
    ],
)  # fmt: skip
def test_shares_are_among_the_trials_that_meet_the_condition(ab: Trials, name: str, hits: int, among: int) -> None:
    assert MEASURES[name].estimate(ab) == proportion_interval(hits, among)


def test_times_count_undecided_trials_as_the_horizon(ab: Trials) -> None:
    # An inconclusive trial has ended, and has not decided.
    assert point(ab, "time_to_decision") == pytest.approx((13 * HOUR + 2 * HORIZON_S) / 6)
    assert point(ab, "time_to_significance") == pytest.approx((8 * HOUR + 4 * HORIZON_S) / 6)
    assert point(ab, "requests_to_decision") == pytest.approx(np.minimum([3600, 7200, 1000, 1000, 14400, 21600], 1000).mean())


def test_quantiles_are_of_all_trials_and_may_not_be_reached(ab: Trials, tmp_path: Path) -> None:
    assert point(ab, "time_to_decision_p20") == 2 * HOUR
    assert point(ab, "time_to_decision_p50") == 4 * HOUR
    assert point(ab, "time_to_decision_p80") is None
    assert ab.given_up.quantile(1 / 6) == 3 * HOUR
    never = trials_of(tmp_path, never=[{}] * 6)["never"]
    assert MEASURES["time_to_decision_p50"].estimate(never) == Estimate(None, None, None, 6)


def test_time_to_roll_back_counts_a_bad_arm_that_is_never_rolled_back_as_the_horizon(ab: Trials) -> None:
    assert point(ab, "time_to_keep_if_worse") == pytest.approx((HORIZON_S + 6 * HOUR) / 2)


def test_costs(ab: Trials) -> None:
    assert MEASURES["regret"].estimate(ab) == mean_interval([4, 8, 2, 0, 6, 0])
    assert point(ab, "regret_per_1000") == pytest.approx(20 / 6)
    assert point(ab, "regret_cvar95") == pytest.approx(8.0)
    assert point(ab, "harmed_requests") == pytest.approx(155.0)
    assert point(ab, "peak_exposure") == pytest.approx(2 / 6)
    assert point(ab, "slo_violation_rate") == pytest.approx(0.05 / 6)
    assert (point(ab, "mirrored_requests"), point(ab, "cost_s"), point(ab, "errors")) == (2.0, 10.0, 0.5)


def test_a_condition_that_no_trial_meets_has_no_estimate(tmp_path: Path) -> None:
    worlds = [decided("keep", HOUR, requests=0)] * 3
    folder = write(tmp_path, frame({"ab": worlds}), {"ab": "ab"})
    trials = read_trials(folder, read_run(folder))[0]["ab"]
    conditional = ("wrong_ship", "missed_win", "false_rollback", "missed_regression", "time_to_keep_if_worse")
    for name in (*conditional, "regret_per_1000", "slo_violation_rate"):
        assert MEASURES[name].estimate(trials) == Estimate(None, None, None, 0)
        assert MEASURES[name].difference(trials, trials) == Estimate(None, None, None, 0)


def test_differences_are_paired_within_the_condition(tmp_path: Path) -> None:
    both = trials_of(
        tmp_path,
        a=[decided("keep", HOUR, regret=regret) for regret in (1.0, 5.0, 9.0, 2.0, 0.0, 0.0)],
        b=[decided(verdict, HOUR, regret=2.0) for verdict in ("ship", "keep", "ship", "ship", "keep", "keep")],
    )
    assert MEASURES["missed_win"].difference(both["a"], both["b"]) == paired_proportion_difference([1, 1, 1], [0, 1, 0])
    assert MEASURES["regret"].difference(both["a"], both["b"]) == mean_interval([-1, 3, 7, 0, -2, -2])
    assert MEASURES["regret_cvar95"].difference(both["a"], both["b"]) is None


def test_differences_use_the_replications_that_both_have(tmp_path: Path) -> None:
    both = trials_of(tmp_path, a=[{"regret": 3.0}] * 6, b=[{"regret": 1.0}] * 4)
    difference = MEASURES["regret"].difference(both["a"], both["b"])
    assert difference is not None
    assert (difference.estimate, difference.n) == (2.0, 4)


def test_difference_of_means_is_the_mean_difference(ab: Trials, tmp_path: Path) -> None:
    other = trials_of(tmp_path / "other", b=[decided("ship", HOUR, shipped_better=True, requests=1000)] * 6)["b"]
    for name, measure in MEASURES.items():
        if (difference := measure.difference(ab, other)) is not None and difference.n:
            mine, theirs = point(ab, name), point(other, name)
            assert mine is not None
            assert theirs is not None
            assert difference.estimate == pytest.approx(mine - theirs), name


trial = st.builds(
    lambda verdict, time_s, world, regret: {
        **WORLDS[world], "regret": regret, **(decided(verdict, time_s) if verdict != "undecided" else {}),
        "time_to_significance_s": time_s if world else NAN,
    },
    st.sampled_from(["ship", "keep", "inconclusive", "undecided"]), st.floats(0, HORIZON_S),
    st.integers(0, 5), st.floats(0, 1e6),
)  # fmt: skip


@settings(max_examples=25)
@given(st.lists(trial, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(tmp_path_factory: pytest.TempPathFactory, made: list, random) -> None:  # type: ignore[no-untyped-def, type-arg]
    rows: pd.DataFrame = frame({"ab": made, "hold": made})
    order = list(range(len(rows)))
    random.shuffle(order)
    found = []
    for shuffled in (rows, rows.iloc[order]):
        folder = write(tmp_path_factory.mktemp("run"), shuffled, {"ab": "ab", "hold": "hold"})
        trials = read_trials(folder, read_run(folder))[0]["ab"]
        found.append({name: measure.estimate(trials) for name, measure in MEASURES.items()})
    assert found[0] == found[1]
    for name, estimate in found[0].items():
        if estimate.estimate is not None and estimate.lower is not None and estimate.upper is not None:
            assert estimate.lower <= estimate.estimate + 1e-6, name
            assert estimate.estimate <= estimate.upper + 1e-6, name


def reported(
    estimate: float, true: float, verdict: str = "ship", significant: bool = True, **facts: float
) -> dict[str, object]:
    time_s = HOUR if significant else NAN
    return decided(
        verdict, HOUR, time_to_significance_s=time_s, effect_estimate=estimate, effect_se=0.01, effect_true=true, **facts
    )


def test_what_the_estimates_are_worth(tmp_path: Path) -> None:
    trials = [
        reported(0.05, 0.04, effect_unbiased=0.045, effect_lower=0.03, effect_upper=0.06),
        reported(0.06, 0.02, effect_unbiased=0.05, effect_lower=0.03, effect_upper=0.07),
        reported(0.03, -0.01),
        reported(-0.04, -0.03, verdict="keep"),
        reported(0.01, 0.02, verdict="keep", significant=False),
        {"verdict": "undecided"},
    ]
    rows = [{"policy": "ab", "replication": number, **TRIAL, **trial} for number, trial in enumerate(trials)]
    folder = write(tmp_path / "run", pd.DataFrame(rows), {"ab": "ab"})
    found = read_trials(folder, read_run(folder))[0]["ab"]
    assert MEASURES["winner_bias"].estimate(found) == mean_interval(
        np.array([0.05, 0.06, 0.03]) - np.array([0.04, 0.02, -0.01])
    )
    assert point(found, "winner_bias_unbiased") == pytest.approx((0.005 + 0.03) / 2)
    assert point(found, "exaggeration") == pytest.approx(0.18 / 0.10)
    assert MEASURES["wrong_sign"].estimate(found) == proportion_interval(1, 4)
    # Of all trials, one declared what is not so.
    assert MEASURES["false_declaration"].estimate(found) == proportion_interval(1, 6)
    assert MEASURES["effect_coverage"].estimate(found) == proportion_interval(3, 5)
    assert MEASURES["effect_coverage_unbiased"].estimate(found) == proportion_interval(1, 2)


def test_where_nothing_is_true_there_is_no_size_to_exaggerate(tmp_path: Path) -> None:
    rows = [{"policy": "ab", "replication": number, **TRIAL, **reported(0.03, 0.0)} for number in range(3)]
    folder = write(tmp_path / "run", pd.DataFrame(rows), {"ab": "ab"})
    found = read_trials(folder, read_run(folder))[0]["ab"]
    assert MEASURES["exaggeration"].estimate(found) == Estimate(None, None, None, 0)
    assert MEASURES["wrong_sign"].estimate(found).n == 0
    assert MEASURES["false_declaration"].estimate(found) == proportion_interval(3, 3)
    assert point(found, "winner_bias") == pytest.approx(0.03)


def test_a_champion_with_a_mean_of_zero_has_no_effect_to_be_wrong_about(tmp_path: Path) -> None:
    unbiased = {"effect_unbiased": 0.05, "effect_lower": 0.03, "effect_upper": 0.07}
    trials = [reported(0.05, NAN, **unbiased), reported(0.05, 0.04, **unbiased)]
    rows = [{"policy": "ab", "replication": number, **TRIAL, **trial} for number, trial in enumerate(trials)]
    folder = write(tmp_path / "run", pd.DataFrame(rows), {"ab": "ab"})
    found = read_trials(folder, read_run(folder))[0]["ab"]
    for name in ("winner_bias", "winner_bias_unbiased", "exaggeration", "wrong_sign", "effect_coverage", "false_declaration"):
        assert MEASURES[name].estimate(found).n == 1, name
    assert point(found, "effect_coverage_unbiased") == 1.0


def test_what_depends_on_what_a_policy_did_has_no_paired_difference(tmp_path: Path) -> None:
    def trials(shipped: int, wrong: int) -> list[dict[str, object]]:
        return [reported(-0.02 if n < wrong else 0.02, 0.02) for n in range(shipped)] + [{}] * (6 - shipped)

    both = {"few": trials(2, 1), "many": trials(6, 1)}
    rows = [{"policy": name, "replication": n, **TRIAL, **each} for name, of in both.items() for n, each in enumerate(of)]
    folder = write(tmp_path / "run", pd.DataFrame(rows), dict.fromkeys(both, "ab"))
    found = read_trials(folder, read_run(folder))[0]
    assert (point(found["few"], "wrong_sign"), point(found["many"], "wrong_sign")) == (1 / 2, 1 / 6)
    for name in ("winner_bias", "winner_bias_unbiased", "exaggeration", "wrong_sign", "effect_coverage"):
        # Of the two trials that both shipped, the same one is wrong in both: paired, they would not differ.
        assert MEASURES[name].difference(found["few"], found["many"]) is None, name


def test_folders_of_earlier_versions_have_no_estimates_and_no_users(ab: Trials) -> None:
    for name in ("winner_bias", "exaggeration", "effect_coverage", "users_to_decision"):
        assert MEASURES[name].estimate(ab).n == 0


def test_users_to_a_decision_count_all_users_where_there_is_none(tmp_path: Path) -> None:
    trials = [decided("ship", HOUR, users_to_decision=30.0, users=90.0), {"users_to_decision": NAN, "users": 80.0}]
    rows = [{"policy": "ab", "replication": number, **TRIAL, **trial} for number, trial in enumerate(trials)]
    folder = write(tmp_path / "run", pd.DataFrame(rows), {"ab": "ab"})
    assert point(read_trials(folder, read_run(folder))[0]["ab"], "users_to_decision") == 55.0
