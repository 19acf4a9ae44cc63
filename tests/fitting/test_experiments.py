"""Tables of past experiments as teams have them: read, or refused with every problem."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.fitting.experiments import is_experiments, read_experiments, relative_effects

ASOS = Path(__file__).parents[3] / "shared" / "data" / "asos" / "asos_digital_experiments_dataset.parquet"


def results(n: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"experiment": [f"e{index}" for index in range(n)], "estimate": rng.normal(0, 0.02, n)})
    return frame.assign(error=0.01)


def cumulative(n: int = 6, looks: int = 4) -> pd.DataFrame:
    """Experiments of two treatments and one control, told half-daily."""
    rng = np.random.default_rng(4)
    rows = []
    for index in range(n):
        for arm in ("1", "2"):
            for look in range(1, looks + 1):
                counts = {"count_c": 1000 * look, "count_t": 990 * look}
                means = {"mean_c": 0.2 + 0.01 * look, "mean_t": 0.21 + 0.01 * look + rng.normal(0, 0.005)}
                rows.append({"experiment_id": f"e{index}", "variant_id": arm, "time_since_start": look / 2, **counts, **means})
    frame = pd.DataFrame(rows)
    return frame.assign(variance_c=frame.mean_c * (1 - frame.mean_c), variance_t=frame.mean_t * (1 - frame.mean_t))


def each_arm(n: int = 6, looks: int = 1) -> pd.DataFrame:
    """The same as `cumulative`, an arm a row."""
    wide = cumulative(n, looks)
    keys = ["experiment_id", "time_since_start"]
    both = [
        wide[[*keys, "variant_id", "count_t", "mean_t", "variance_t"]],
        wide.drop_duplicates(keys).assign(variant_id="control")[[*keys, "variant_id", "count_c", "mean_c", "variance_c"]],
    ]
    names = ["experiment", "time", "arm", "count", "mean", "variance"]
    return pd.concat([part.set_axis(names, axis=1) for part in both], ignore_index=True)


def saved(place: Path, frame: pd.DataFrame, name: str = "past.csv") -> Path:
    file = place / name
    if name.endswith(".csv"):
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file)
    return file


def refused(place: Path, frame: pd.DataFrame, columns: dict[str, str] | None = None, control: str | None = None) -> list[str]:
    file = saved(place, frame)
    with pytest.raises(InputError) as raised:
        read_experiments(file, columns or {}, control)
    return [str(problem).replace(f"{file}: ", "").replace(f"{file} ", "") for problem in raised.value.problems]


@pytest.mark.parametrize("name", ["past.csv", "past.parquet"])
def test_results_are_taken_as_they_stand(tmp_path: Path, name: str) -> None:
    frame = results()
    read = read_experiments(saved(tmp_path, frame, name), {})
    assert read.estimates == pytest.approx(frame.estimate)
    assert read.errors == pytest.approx(frame.error)
    assert read.labels == tuple(frame.experiment)
    assert np.isnan(read.differences).all()
    assert read.notes == ()


def test_intervals_are_turned_into_errors(tmp_path: Path) -> None:
    frame = results().assign(
        low=lambda each: each.estimate - 1.959964 * each.error, high=lambda each: each.estimate + 1.959964 * each.error
    )
    read = read_experiments(saved(tmp_path, frame.drop(columns="error")), {})
    assert read.errors == pytest.approx(frame.error, rel=1e-6)
    assert read.notes == ("intervals are taken for 95%: no column says the confidence",)
    ninety = frame.assign(
        low=lambda each: each.estimate - 1.644854 * each.error,
        high=lambda each: each.estimate + 1.644854 * each.error,
        level="90%",
    )
    read = read_experiments(saved(tmp_path, ninety.drop(columns="error")), {})
    assert read.errors == pytest.approx(frame.error, rel=1e-6)
    assert read.notes == ()


def test_percentages_are_shares_and_names_are_given(tmp_path: Path) -> None:
    frame = pd.DataFrame({"What": list("abcde"), "Gain (rel.)": ["2%", "-1.5%", "0", "0.01", "1e-2"], "Std. Error": "1%"})
    read = read_experiments(saved(tmp_path, frame), {"experiment": "What", "estimate": "Gain (rel.)"})
    assert read.estimates.tolist() == [0.02, -0.015, 0.0, 0.01, 0.01]
    assert read.errors.tolist() == [0.01] * 5
    assert read.experiments == tuple("abcde")


@pytest.mark.parametrize("name", ["past.csv", "past.parquet"])
def test_the_last_look_of_a_cumulative_table_counts(tmp_path: Path, name: str) -> None:
    frame = cumulative()
    shuffled = frame.sample(frac=1, random_state=1)
    read = read_experiments(saved(tmp_path, shuffled, name), {})
    last = frame[frame.time_since_start == 2.0].set_index(["experiment_id", "variant_id"])
    known = last.loc[list(zip(read.experiments, read.arms, strict=True))]
    assert read.estimates == pytest.approx(known.mean_t / known.mean_c - 1)
    assert read.differences == pytest.approx(known.mean_t - known.mean_c)
    assert read.difference_errors == pytest.approx(np.sqrt(known.variance_t / known.count_t + known.variance_c / known.count_c))
    assert len(read.estimates) == 12


@pytest.mark.parametrize("looks", [1, 4])
def test_both_forms_of_a_table_say_the_same(tmp_path: Path, looks: int) -> None:
    both = read_experiments(saved(tmp_path, cumulative(looks=looks)), {})
    each = read_experiments(saved(tmp_path, each_arm(looks=looks)), {})
    assert each.labels == both.labels
    assert each.estimates == pytest.approx(both.estimates)
    assert each.errors == pytest.approx(both.errors)


def test_conversions_stand_for_means_and_variances(tmp_path: Path) -> None:
    frame = cumulative(looks=1).assign(conversions_c=210, conversions_t=lambda each: 190 + np.arange(len(each)))
    read = read_experiments(saved(tmp_path, frame.drop(columns=["mean_c", "mean_t", "variance_c", "variance_t"])), {})
    share = (190 + np.arange(12)) / 990
    assert read.estimates == pytest.approx(share / 0.21 - 1)
    assert read.errors == pytest.approx(np.sqrt(share * (1 - share) / 990 + (share / 0.21) ** 2 * 0.21 * 0.79 / 1000) / 0.21)
    each = each_arm().assign(conversions=lambda each: (each["count"] * each["mean"]).round()).drop(columns=["mean", "variance"])
    assert len(read_experiments(saved(tmp_path, each), {}).estimates) == 12


def test_errors_are_those_of_the_delta_method() -> None:
    """Against 200,000 generated experiments: the standard deviation of the estimates, within 4 of its own standard errors."""
    rng, n = np.random.default_rng(8), 200_000
    mean_c, mean_t = rng.normal(2.0, 3.0 / math.sqrt(5000), n), rng.normal(2.2, 4.0 / math.sqrt(3000), n)
    one = np.ones(1)
    effect, error = relative_effects(2.2 * one, 16 * one, 3000 * one, (2 * one, 9 * one, 5000 * one))
    drawn = mean_t / mean_c - 1
    # The delta method is of first order: what it leaves out is of the order of the control's squared relative error, 0.05%.
    assert abs(drawn.std() / error[0] - 1) < 4 / math.sqrt(2 * n) + 2e-3
    assert abs(drawn.mean() - effect[0]) < 4 * error[0] / math.sqrt(n) + 1e-3


def test_time_stamps_are_times(tmp_path: Path) -> None:
    frame = cumulative(looks=3)
    stamps = pd.Timestamp("2026-01-30") + pd.to_timedelta(frame.time_since_start * 4, unit="D")
    known = read_experiments(saved(tmp_path, frame), {}).estimates
    for told in (stamps, stamps.dt.tz_localize("UTC"), stamps.dt.date):
        assert np.array_equal(read_experiments(saved(tmp_path, frame.assign(time_since_start=told)), {}).estimates, known)
        assert np.array_equal(
            read_experiments(saved(tmp_path, frame.assign(time_since_start=told), "a.parquet"), {}).estimates, known
        )


def test_metrics_are_told_apart(tmp_path: Path) -> None:
    frame = pd.concat([results().assign(metric="sales"), results().assign(metric="visits", estimate=0.5)])
    read = read_experiments(saved(tmp_path, frame), {})
    assert read.metric_names == ("sales", "visits")
    assert read.of("visits").estimates.tolist() == [0.5] * 6
    assert read.of("sales").labels[0] == "e0 / sales"


def test_what_cannot_be_used_is_left_out_with_the_reason(tmp_path: Path) -> None:
    frame = cumulative(8, looks=1)
    frame.loc[0, "variance_t"] = np.nan
    frame.loc[1, "mean_c"] = 0.0
    frame.loc[2, "count_t"] = 1
    frame.loc[3, "variance_t"] = 0.0
    read = read_experiments(saved(tmp_path, frame), {})
    assert len(read.estimates) == 12
    assert [note.partition(", which ")[2] for note in read.notes] == [
        "has fewer than two outcomes in an arm",
        "has an empty count, mean or variance at the last look",
        "has a control whose mean is not above 0, to which nothing is relative",
        "has an arm whose outcomes are all the same, which tells no error",
    ]
    assert read.notes[1].startswith("left out: e0 / 1, ")


def test_a_small_fall_of_counts_is_a_correction_and_a_large_one_an_error(tmp_path: Path) -> None:
    frame = cumulative()
    frame.loc[frame.index[3], "count_t"] = 2960
    read = read_experiments(saved(tmp_path, frame), {})
    assert read.notes == ("count_t falls in 1 row by less than 1%, which is taken for a correction",)
    frame.loc[frame.index[3], "count_t"] = 2900
    frame.loc[frame.index[7], "count_c"] = 100
    assert refused(tmp_path, frame) == [
        "count_c: row 8: must not fall in time, as counts are cumulative; got 100 after 3,000",
        "count_t: row 4: must not fall in time, as counts are cumulative; got 2,900 after 2,970",
    ]
    long = each_arm(looks=3)
    long.loc[2, "count"] = 5
    assert refused(tmp_path, long) == ["count: row 3: must not fall in time, as counts are cumulative; got 5 after 1,980"]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    frame = cumulative(looks=2).astype({"mean_c": object, "count_t": object})
    frame.loc[1, "mean_c"] = "much"
    frame.loc[2, "variance_c"] = -1
    frame.loc[[3, 4, 5], "count_t"] = [-5, 1.5, "inf"]
    frame.loc[6, "experiment_id"] = ""
    assert refused(tmp_path, frame) == [
        "experiment_id: row 7: must not be empty",
        "count_t: row 6: must be a finite number, got 'inf'",
        "mean_c: row 2: must be a finite number, got 'much'",
        "variance_c: row 3: must be a variance, 0 or more, got -1",
        "count_t: row 4: must be a whole number, 0 or more, got -5, and so in 1 more row",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"error": -0.01}, "error: row 1: must be a standard error above 0, got -0.01, and so in 5 more rows"),
        ({"error": [0.01, None] + [0.01] * 4}, "error: row 2: must not be empty where there is an estimate, got nan"),
        ({"estimate": [0.1, -2] + [0.0] * 4}, "estimate: row 2: must be a relative change above -100%, 0.02 for +2%, got -2"),
        ({"experiment": ["a", "a", "b", "c", "d", "e"]}, "experiment: row 2: repeats row 1; of a table that is cumulative"),
    ],
)
def test_results_that_cannot_be(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    problems = refused(tmp_path, results().assign(**changes))
    assert len(problems) == 1
    assert problems[0].startswith(told)


def test_intervals_that_cannot_be(tmp_path: Path) -> None:
    frame = (
        results()
        .drop(columns="error")
        .assign(low=-0.1, high=[0.1, 0.1, 0.1, -0.2, None, 0.1], estimate=0.0, level=[0.9, 95] + [0.9] * 4)
    )
    frame.loc[0, "estimate"] = 0.2
    assert refused(tmp_path, frame) == [
        "high: row 5: must not be empty where there is an estimate, got nan",
        "high: row 4: must be above the interval's other end, got -0.2",
        "estimate: row 1: must lie within its interval, got 0.2, and so in 1 more row",
        "level: row 2: must lie between 0 and 1, 0.95 for 95%, got 95",
    ]


def test_repeated_looks_are_refused(tmp_path: Path) -> None:
    frame = cumulative(looks=2)
    assert refused(tmp_path, pd.concat([frame, frame[5:7]])) == ["variant_id: row 25: repeats row 6, and so are 1 more rows"]
    unordered = refused(tmp_path, frame, {"time": ""})
    assert unordered[0].startswith(
        "variant_id: row 2: repeats row 1; of a table that is cumulative, say which column is the time"
    )


def test_every_experiment_has_a_control_and_another_arm(tmp_path: Path) -> None:
    frame = each_arm()
    lonely = frame[~((frame.experiment == "e1") & (frame.arm != "control"))]
    assert refused(tmp_path, lonely) == ["arm: experiment 'e1' has one arm only: there is control"]
    renamed = frame.assign(arm=frame.arm.replace("control", "old"))
    assert refused(tmp_path, renamed) == [
        "arm: experiment 'e0' has no control: there are 1, 2, old; say which arm it is, and so 5 more"
    ]
    assert len(read_experiments(saved(tmp_path, renamed), {}, "old").estimates) == 12
    assert refused(tmp_path, frame, control="old") == [
        "arm: experiment 'e0' has no control: there are 1, 2, control; none is 'old', and so 5 more"
    ]


def test_an_arm_that_is_never_seen_with_its_control_is_left_out(tmp_path: Path) -> None:
    frame = each_arm(looks=2)
    frame.loc[(frame.experiment == "e0") & (frame.arm == "2"), "time"] += 100
    read = read_experiments(saved(tmp_path, frame), {})
    assert len(read.estimates) == 11
    assert read.notes == ("left out: 1 of 12, which are never seen with their control",)


@pytest.mark.parametrize(
    ("drop", "told"),
    [
        (
            ["variance_t"],
            ["has no column for variance_t (or conversions_c and conversions_t instead), with both arms in a row"],
        ),
        (["count_c", "mean_c"], ["has no column for count_c, with both arms in a row", "has no column for mean_c (or"]),
        (["experiment_id"], ["has no column for experiment, with both arms in a row"]),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, drop: list[str], told: list[str]) -> None:
    problems = refused(tmp_path, cumulative().drop(columns=drop))
    assert len(problems) == len(told)
    assert all(problem.startswith(start) for problem, start in zip(problems, told, strict=True))


def test_roles_and_names_that_are_not_there(tmp_path: Path) -> None:
    problems = refused(tmp_path, results(), {"estmate": "x", "error": "eror", "experiment": "estimate", "estimate": "estimate"})
    assert problems == [
        "no role 'estmate'; did you mean 'estimate'?",
        "no column 'eror', which is to be the error; did you mean 'error'?",
        "--experiment-columns: 'estimate' is given two roles",
    ]
    double = refused(tmp_path, results().assign(se=0.1))
    assert double == ["could take several columns for error: error, se; say which"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "past.csv"),
        (b"experiment,estimate,error\n", "has no rows"),
        (b"experiment,estimate,estimate\na,1,2\n", "has the column 'estimate' more than once"),
        (b"experiment,estimate,error\n\xff\xfe,0.1,0.1\n", "past.csv"),
        (
            b"experiment,estimate,error\n" + b"".join(b"e%d,0.1,0.1\n" % index for index in range(4)),
            "5 experiments or more, got 4",
        ),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "past.csv").write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_experiments(tmp_path / "past.csv", {})


def test_names_are_untrusted(tmp_path: Path) -> None:
    frame = each_arm()
    frame["experiment"] = frame.experiment.replace("e0", "x\x1b[2J" + "y" * 500)
    lonely = frame[~((frame.experiment.str.startswith("x")) & (frame.arm == "control"))]
    assert "\x1b" not in "".join(refused(tmp_path, lonely))


ROLES = ["experiment", "arm", "time", "metric", "estimate", "se", "count_c", "count_t", "mean", "count", "low", "x"]
CELLS = ["", "1", "-1", "0.5", "x", "nan", "inf", "2%", "1e400", "control", "2026-01-01"]


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(ROLES), min_size=1, max_size=6, unique=True),
    cells=st.lists(st.sampled_from(CELLS), min_size=6, max_size=60),
)
def test_any_table_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, names: list[str], cells: list[str]) -> None:
    rows = [cells[start : start + len(names)] for start in range(0, len(cells) - len(names) + 1, len(names))]
    file = saved(tmp_path_factory.mktemp("any"), pd.DataFrame(rows, columns=names))
    try:
        read = read_experiments(file, {})
    except InputError:
        return
    assert np.isfinite(read.estimates).all()
    assert (read.errors > 0).all()


def test_logs_of_requests_are_not_experiments() -> None:
    assert not is_experiments(["timestamp", "user_id", "variant", "converted", "latency_ms", "error"])
    assert not is_experiments([])
    for frame in (results(), cumulative(), each_arm()):
        assert is_experiments(list(frame.columns))


@pytest.mark.skipif(not ASOS.exists(), reason="the ASOS data set is not here")
def test_asos() -> None:
    read = read_experiments(ASOS, {})
    assert read.metric_names == ("1", "2", "3", "4")
    binary = read.of("1")
    assert len(binary.estimates) == 99
    assert len(set(binary.experiments)) == 78
    assert len(read.estimates) == 396 - 15
    frame = pd.read_parquet(ASOS)
    one = frame[
        (frame.experiment_id == binary.experiments[0])
        & (frame.variant_id.astype(str) == binary.arms[0])
        & (frame.metric_id == 1)
    ]
    last = one.loc[one.time_since_start.idxmax()]
    assert binary.estimates[0] == last.mean_t / last.mean_c - 1
    assert any("falls in 8 rows by less than 1%" in note for note in read.notes)
