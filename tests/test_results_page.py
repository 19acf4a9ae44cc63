"""docs/results.md tells what a run folder holds: every file, column and key, when it is empty, and what is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.cli import main
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials, read_trials
from sim.compare.worth import net_value
from sim.run.folder import FILES, SENSITIVITY
from sim.run.record import Record, read_run

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")

MODELS = """\
model: page
versions:
  - {alias: champion, outcomes: {sale: {bernoulli: 20%}}, latency: {constant: 45ms}}
  - {alias: challenger, outcomes: {sale: {bernoulli: 20%}}, latency: {exponential: 60ms}, error_rate: 2%}
  - {alias: failing, outcomes: {sale: {bernoulli: 20%}}, latency: {constant: 45ms}, error_rate: 5%}
"""
HEAD = """\
name: {name}
replications: 12
horizon: 8h
tick: 30m
traffic: {{rate: 600/h}}
models:
  - {{arm: champion, uri: "models:/page@champion"}}
  - {{arm: other, uri: "models:/page@{other}"}}
"""
# Users who come back, outcomes that are late, calls that compete, an adjustment, copies: all that fills a column.
EVERYTHING = (
    HEAD.format(name="everything", other="challenger")
    + """\
error_budget: {slo: 99%, period: 30d}
users: {count: 500, assignment: request, similarity: 20%}
capacity: {other: {replicas: 1, concurrency: 4, queue: 2, timeout: 80ms}}
retries: {attempts: 2}
metrics:
  - {name: sale, role: primary, smallest_effect: 5%, delay: {exponential: 30m}, covariate: {correlation: 30%}}
  - {name: latency, role: guardrail, quantile: 50%, max: 70ms}
truth: {other: {sale: {relative_effect: {normal: {mean: 0%, sd: 40%}}}}}
programme: {candidates: 100/y}
sensitivity: {replications: 6, traffic.rate: [500/h]}
policies:
  - {name: hold, kind: hold}
  - {name: switch, kind: switch}
  - {name: cuped, kind: ab, evidence: {kind: mixture_sprt, mde: 20%, adjust: {kind: cuped}}}
  - {name: planned, kind: ab, evidence: {kind: group_sequential, mde: 25%}}
  - name: gives-up
    kind: ab
    max_duration: 2h
    evidence: {kind: fixed_horizon, mde: 5%}
  - name: bandit
    kind: bandit
    allocation: {kind: thompson, floor: 5%}
    evidence: {kind: mixture_sprt, mde: 20%, tally: pooled}
  - name: shadow
    kind: shadow
    mirror: 100%
    duration: 2h
    checks: [{metric: latency, quantile: 0.99, max: 2s}, {metric: error_rate, max: 50%, report_only: true}]
  - {name: offline, kind: offline, rows: 200}
"""
)
# A challenger that breaks a limit, at two points of a sweep, without A/A tests.
SWEPT = (
    HEAD.format(name="swept", other="failing")
    + """\
aa: false
metrics: [{name: sale, role: primary}, {name: error_rate, role: guardrail, max: 1%}]
policies: [{name: ab, kind: ab, evidence: {kind: fixed_horizon, sample: 2000}}]
sweep: {"policies[0].evidence.sample": [2000, 3000]}
"""
)


@dataclass(frozen=True)
class Row:
    """A row of a table of the page: the name in its first cell, and its other cells by their heading."""

    name: str
    cells: dict[str, str]

    @property
    def measures(self) -> set[str]:
        """The measures that the row names."""
        return set(re.findall(r"`(\w+)`", self.cells["measure"]))


def section(heading: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> Iterator[Row]:
    """The rows of all tables in a text; a row whose first cell names several things counts once for each."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        headings, _, *body = ([cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in table.splitlines())
        for cells in body:
            assert len(cells) == len(headings), cells
            for name in re.findall(r"`([^`]+)`", cells[0]):
                yield Row(name, dict(zip(headings, cells, strict=True)))


def by_name(heading: str) -> dict[str, Row]:
    found = list(rows(section(heading)))
    assert len({row.name for row in found}) == len(found), f"a name stands twice in {heading}"
    return {row.name: row for row in found}


TRIALS, TIMELINE, RUN = by_name("trials.parquet"), by_name("timeline.parquet"), by_name("run.json")
OF_SWEEP = {"point", "sweep.<key>"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of two runs from the command line, which fill every kind of column."""
    place = tmp_path_factory.mktemp("played")
    store, models = f"sqlite:///{place / 'mlflow.db'}", place / "models.yaml"
    models.write_text(MODELS)
    assert main(["models", "register", str(models), "--tracking-uri", store]) == 0
    for name, text in {"everything": EVERYTHING, "swept": SWEPT}.items():
        file = place / f"{name}.yaml"
        file.write_text(text)
        options = ["--tracking-uri", store, "--no-tracking", "--quiet", "--reports", str(place / "reports")]
        assert main(["run", str(file), *options]) == 0
    return {folder.name.split("-")[0]: folder for folder in (place / "reports").iterdir() if (folder / "run.json").exists()}


def tables(folders: dict[str, Path], name: str) -> dict[str, pd.DataFrame]:
    return {run: pd.read_parquet(folder / name) for run, folder in folders.items()}


def test_the_folder_holds_the_files_of_the_page(folders: dict[str, Path]) -> None:
    told = {row.name for row in rows(PAGE.split("\n## ")[0])}
    assert told == {*FILES, "tracking.json"}
    for folder in folders.values():
        there = {file.name for file in folder.iterdir()}
        # A sweep is played in no other worlds.
        assert there - {".lock"} == set(FILES) - ({SENSITIVITY} if folder.name.startswith("swept") else set())
        assert main(["check", str(folder / "scenario.yaml"), "--quiet"]) == 0


def test_every_column_of_the_trials_is_told_and_no_other(folders: dict[str, Path]) -> None:
    found = tables(folders, "trials.parquet")
    plain = set(TRIALS) - OF_SWEEP
    assert set(found["everything"].columns) == plain
    swept = {"point", "sweep.policies[0].evidence.sample"}
    assert set(found["swept"].columns) == (plain - {"aa_declared", "aa_shipped"}) | swept


def test_every_column_of_other_worlds_is_told_and_no_other(folders: dict[str, Path]) -> None:
    frame = pd.read_parquet(folders["everything"] / SENSITIVITY)
    assert next(iter(frame.columns)) == "variant"
    assert set(frame.columns) == {*by_name(SENSITIVITY)} | (set(TRIALS) - OF_SWEEP - {"aa_declared", "aa_shipped"})
    assert frame.groupby(["variant", "policy"]).size().unique().tolist() == [6]


def test_every_column_of_the_timeline_is_told_and_no_other(folders: dict[str, Path]) -> None:
    found = tables(folders, "timeline.parquet")
    plain = {name.replace("<arm>", arm) for name in TIMELINE for arm in ("champion", "other")}
    assert set(found["everything"].columns) == plain
    assert set(found["swept"].columns) == plain | {"point", "sweep.policies[0].evidence.sample"}
    assert not any(frame.isna().any(axis=None) for frame in found.values())
    assert {row.cells["empty"] for row in TIMELINE.values()} == {"never"}


def test_every_key_of_the_record_is_told_and_no_other(folders: dict[str, Path]) -> None:
    assert set(RUN) == set(Record.model_fields)
    played = {run: set(json.loads((folder / "run.json").read_text())) for run, folder in folders.items()}
    assert played == {"everything": set(RUN) - {"sweep"}, "swept": set(RUN) - {"sensitivity"}}


def test_a_column_is_empty_where_the_page_says_so_and_only_there(folders: dict[str, Path]) -> None:
    frames = tables(folders, "trials.parquet")
    both = pd.concat([frame.assign(aa=run == "everything") for run, frame in frames.items()], ignore_index=True)
    ended, at_once = both["verdict"], both["policy"].isin(["hold", "switch"])
    assert set(ended) == {"ship", "keep", "inconclusive", "undecided"}
    exactly = {
        "never": np.zeros(len(both), bool),
        "nothing was shipped": ended != "ship",
        "nothing was shipped, or the champion's mean is 0": ended != "ship",
        "not `decided`": ~both["decided"],
        "`undecided`": ended == "undecided",
        "no challenger is acceptable, or the champion's mean is 0": ~both["aa"],
        "the policy decides at once (`switch`, `hold`)": ~both["aa"] | at_once,
        "the trial is not `inconclusive`, or its rule waits for nothing": ended != "inconclusive",
        "no check only reports": both["policy"] != "shadow",
        "the scenario has no `error_budget`": ~both["aa"],
    }
    exactly["as `aa_declared`"] = exactly[TRIALS["aa_declared"].cells["empty"]]
    # A stage that reads no reward, or none, has no estimate; outcomes are late in the run with the bandit, whose shares move.
    offline = both["policy"] == "offline"
    exactly |= {TRIALS[name].cells["empty"]: ~offline for name in TRIALS if name.startswith("offline_")}
    unread = (ended == "undecided") | at_once | both["policy"].isin(["shadow", "offline"])
    exactly |= {TRIALS["effect_estimate"].cells["empty"]: unread, TRIALS["effect_true"].cells["empty"]: unread}
    moves = unread | (both["policy"] == "bandit")
    for name in ("aipw_estimate", "contrast_estimate"):
        exactly |= {TRIALS[name].cells["empty"]: moves, f"as `{name}`": moves}
    # What else it depends on is in no column.
    surely = {
        TRIALS["time_to_significance_s"].cells["empty"]: at_once | both["policy"].isin(["shadow", "offline"]),
        **dict.fromkeys(
            (TRIALS["effect_unbiased"].cells["empty"], "as `effect_unbiased`"), unread | (both["policy"] != "planned")
        ),
    }
    for name in set(TRIALS) - OF_SWEEP:
        said, empty = TRIALS[name].cells["empty"], both[name].isna()
        wrong = empty != exactly[said] if said in exactly else surely[said] & ~empty
        assert not wrong.any(), f"{name} is said to be empty where: {said}\n{both.loc[wrong, ['policy', 'verdict', name]]}"
        assert said == "never" or (empty.any() and not empty.all()), name


def test_units_fit_what_is_written(folders: dict[str, Path]) -> None:
    frame = tables(folders, "trials.parquet")["everything"]
    kinds: dict[str, Any] = {"text": pd.api.types.is_object_dtype, "true or false": pd.api.types.is_bool_dtype}
    for name in set(TRIALS) - OF_SWEEP:
        unit = TRIALS[name].cells["unit"]
        fits = kinds.get(unit, lambda column: pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))
        assert fits(frame[name]) or str(frame[name].dtype) == "string", f"{name} is not {unit} but {frame[name].dtype}"
        assert name.endswith("_s") <= (unit == "s"), name
        if unit == "share":
            assert frame[name].dropna().between(0, 1).all(), name


def test_columns_stand_to_each_other_as_the_page_says(folders: dict[str, Path]) -> None:
    frames, timelines = tables(folders, "trials.parquet"), tables(folders, "timeline.parquet")
    met = frames["everything"]
    assert met["lost_requests"].max() > 0
    for less, more in (
        ("lost_requests", "errors"), ("errors", "slo_violations"), ("slo_violations", "requests"),
        ("harmed_requests", "requests"), ("users", "requests"), ("users_to_decision", "requests_to_decision"),
    ):  # fmt: skip
        assert (met[less].isna() | (met[less] <= met[more])).all(), f"{less} exceeds {more}"
        assert (met[less] < met[more]).any(), f"{less} is always {more}"
    assert met.loc[met["decided"], "time_to_decision_s"].equals(met.loc[met["decided"], "time_to_end_s"])
    swept = frames["swept"]
    assert (swept["users"] == swept["requests"]).all()
    assert swept.groupby("point").size().to_dict() == {0: 12, 1: 12}
    for frame in frames.values():
        assert (frame["decided"] == frame["verdict"].isin(["ship", "keep"])).all()
        assert (frame.loc[frame["verdict"] != "ship", "gain_per_day"] == 0).all()
        assert not frame.loc[~frame["decided"], "correct"].any()
    # Policies meet the same worlds and the same arrivals.
    assert (met.groupby("replication")[["requests", "best_effect", "best_value", "any_better"]].nunique() == 1).all(axis=None)
    last = timelines["everything"].groupby("policy").last()
    by_policy = met.groupby("policy")
    assert last["regret_mean"].to_numpy() == pytest.approx(by_policy["regret"].mean().to_numpy())
    for column, verdict in {"shipped": "ship", "kept": "keep", "inconclusive": "inconclusive"}.items():
        share = met["verdict"].eq(verdict).groupby(met["policy"]).mean()
        assert last[column].to_numpy() == pytest.approx(share.to_numpy()), column


class Watched(dict[str, Any]):
    """Columns that note which of them are read."""

    def __init__(self, columns: dict[str, Any]) -> None:
        super().__init__(columns)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


def watched(trials: Trials) -> tuple[Trials, Watched]:
    columns = Watched(dict(trials.columns))
    return replace(trials, columns=columns), columns


def test_a_measure_is_named_at_every_column_that_it_is_made_of_and_at_no_other(folders: dict[str, Path]) -> None:
    run = read_run(folders["everything"])
    (by_policy,) = read_trials(folders["everything"], run)
    made_of: dict[str, set[str]] = {name: set() for name in set(TRIALS) - OF_SWEEP}
    for measure in MEASURES.values():
        trials, columns = watched(by_policy["planned"])
        measure.estimate(trials)
        # Every trial has a replication: it says how many there are. Net value is a column that is worked out.
        for name in columns.read - {"replication", "net_value"}:
            made_of[name].add(measure.name)
    assert run.value is not None
    for competing in (False, True):
        trials, columns = watched(by_policy["planned"])
        value = run.value.model_copy(update={"competing": competing})
        net_value(value, run.horizon_s, trials.columns, by_policy["hold"].columns)
        for name in columns.read - {"replication"}:
            made_of[name].add("net_value")
    assert {name: TRIALS[name].measures for name in made_of} == made_of
    of_net_value = {"net_value_worst"}
    assert set().union(*made_of.values()) | of_net_value == set(MEASURES)
