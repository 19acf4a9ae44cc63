"""The table of engines in docs/world.md: what it says that an engine plays passes `sim check`, and what not is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim.cli import main
from sim.distributions.latency import LATENCIES
from sim.engine.catalogue import ENGINES
from sim.engine.common import IN_COMMON
from sim.policy.catalogue import families
from sim.scenario.loading import read_yaml

ROOT = Path(__file__).parents[1]
KINDS = ROOT / "tests" / "kinds"

SMALL = """\
name: small
horizon: 6h
tick: 10m
replications: 2
traffic: {rate: 1000/h}
models: [{arm: champion, uri: "models:/kinds@champion"}, {arm: better, uri: "models:/kinds@better"}]
metrics: [{name: conversion, role: primary}]
policies: [{name: ab, kind: ab, evidence: {kind: mixture_sprt, mde: 10%}}]
"""
LATE = "metrics: [{name: conversion, role: primary, delay: {exponential: 1h}}]\n"
BANDIT = """\
policies:
  - {{name: b, kind: bandit, allocation: {{kind: thompson}}, evidence: {{kind: mixture_sprt, mde: 10%, tally: {}}}}}
"""
ADJUST = "policies: [{{name: ab, kind: ab, evidence: {{kind: fixed_horizon, sample: 900, adjust: {}}}}}]\n"
SHADOW = (
    "policies: [{{name: s, kind: shadow, duration: 1h, checks: [{{metric: latency, quantile: 0.9, max: 1s}}]}}]\ntick: {}\n"
)
CANARY = "policies: [{{name: c, kind: canary, steps: [{{weight: 10%, bake: 1h}}], checks: [{{metric: {}}}]}}]\n"
AMOUNT = "metrics: [{{name: clicks, role: primary, delay: {}}}]\n"
DRIFT = "timeline: [{kind: drift, arm: better, metric: clicks, duration: 1h, to: -20%}]\n"
LATE_IN_A_WINDOW = "{{name: {}, delay: {{exponential: 1h}}, attribution_window: 2h}}"
WINDOWS = ", ".join(LATE_IN_A_WINDOW.format(name) for name in ("bounce", "clicks", "revenue"))
BY_OUTCOME = "{name: conversion, role: primary, delay: {by_outcome: {success: {exponential: 1h}, failure: window}}"
SEVEN_LATE = [
    f"{{name: {name}, {'role: primary, ' if name == 'a' else ''}delay: {{gamma: {{mean: 1h, sd: 10m}}}}}}" for name in "abcdefg"
]
ONE_WINDOW = ", attribution_window: 2h}]"
FILES = "allocations", "evidence", "evidence-of-amounts", "group-sequential", "guardrails", "offline", "people"
OTHER_LAWS = {
    "gamma": "{mean: 1h, sd: 10m}",
    "lognormal": "{median: 1h, p99: 5h}",
    "weibull": "{mean: 1h, shape: 0.8}",
    "pareto": "{minimum: 5m, tail: 2.5}",
    "quantiles": "{0%: 1m, 100%: 1h}",
    "mixture": "[{share: 90%, exponential: 1h}, {share: 10%, constant: 2h}]",
}


@dataclass(frozen=True)
class Cases:
    """Scenarios with what a row of the table is about, as changes of `SMALL` or files of `tests/kinds`.

    A file may be followed by lines of changes. `aggregate` plays those `played`, and refuses those `refused`, of which each has
    a part of the message beside it.
    """

    played: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


ROWS = {
    "`traffic.rate`, `daily`, `weekly`, `flash_crowds`, `bursts`, `trace`": Cases(
        played=(
            'traffic: {rate: 9/m, daily: {peak: "20:00", amplitude: 60%}, weekly: [1, 1, 1, 1, 1, 2, 2]}',
            "traffic: {rate: 9/m, flash_crowds: [{at: 1h, factor: 3, duration: 20m}]}",
            "traffic: {rate: 9/m, bursts: {factor: 5, every: 1h, duration: 5m}}",
            "traffic: {trace: {file: uneven.csv, time: time}}",
        )
    ),
    "`traffic.arrivals: regular`": Cases(refused=(("traffic: {rate: 9/m, arrivals: regular}", "traffic.arrivals"),)),
    "outcomes of every kind, with `truth`, `segments`, `daily`, `weekly` and `shocks`": Cases(
        played=("kinds/outcomes.yaml", "kinds/truth.yaml", "kinds/day.yaml")
    ),
    "latencies of every kind, and `timeline`": Cases(
        played=(
            "kinds/latencies.yaml\nmetrics: [{name: a, role: primary}]\npolicies: [{name: hold, kind: hold}]",
            "timeline: [{kind: slowdown, arm: better, at: 1h, duration: 1h, factor: 2}]",
            "timeline: [{kind: leak, arm: better, per_hour: 1%}]",
            "timeline: [{kind: novelty, arm: better, metric: conversion, effect: 9%, half_life: 1h}]",
        ),
        refused=(
            ("tick: 1s\nhorizon: 10m", "calls of better outlast a tick of 1 s"),
            ("timeline: [{kind: slowdown, arm: better, at: 1h, duration: 1h, factor: 5000}]", "calls of better outlast a tick"),
        ),
    ),
    "errors, `failure` and `analysis`": Cases(
        played=(
            "metrics: [{name: revenue, role: primary, failure: {worth: -3}}, {name: error_rate, role: guardrail, max: 5%}]",
            "analysis: successes\ntimeline: [{kind: errors, arm: better, at: 1h, duration: 1h, rate: 9%}]",
        )
    ),
    "`telemetry` and `router`": Cases(played=("telemetry: {lag: 20m, loss: 5%}\nrouter: {misrouted: {better: 2%}}",)),
    "`capacity` and `pools`: servers, queues, timeouts, scaling, an outage": Cases(
        refused=(
            ("capacity: {better: {replicas: 4}}", "capacity: requests compete"),
            ("pools: {both: {arms: [champion, better], replicas: 4, queue: 9, timeout: 1s}}", "capacity: requests compete"),
            ("pools: {both: {arms: [better], replicas: 4, scaling: {most: 9}}}", "capacity: requests compete"),
            (
                "capacity: {better: {replicas: 4}}\ntimeline: [{kind: outage, pool: better, at: 1h, duration: 1h}]",
                "capacity: requests compete",
            ),
        )
    ),
    "`warm_up` of a model": Cases(refused=(("kinds/cold.yaml", "models[].warm_up: how a call goes"),)),
    "`retries`": Cases(refused=(("retries: {attempts: 2}", "retries: an attempt depends"),)),
    "`users` with `assignment: request`": Cases(played=("users: {count: 500, assignment: request, activity: {pareto: 2}}",)),
    "`users` with `assignment: sticky`": Cases(
        refused=(("users: {count: 500}", "users.assignment: the requests of a sticky"),)
    ),
    "`users` with `assignment: canary`": Cases(
        refused=(("users: {count: 500, assignment: canary}", "users.assignment: where a user goes depends"),)
    ),
    "`users` with `similarity`": Cases(
        refused=(("users: {count: 500, assignment: request, similarity: 10%}", "users.similarity: the outcomes of a user"),)
    ),
    "every allocation, rule of evidence and guardrail": Cases(played=tuple(f"kinds/{name}.yaml" for name in FILES)),
    "a check of `mean_latency`": Cases(
        refused=((CANARY.format("mean_latency, max: 1s"), "it takes single calls to tell, and this engine draws counts"),)
    ),
    "mirrored calls (a shadow)": Cases(
        played=(SHADOW.format("10m"),), refused=((SHADOW.format("5s"), "mirrored calls: up to 1.07%"),)
    ),
    "`adjust` of every kind": Cases(
        refused=(
            (
                ADJUST.format("{kind: cuped}") + "metrics: [{name: conversion, role: primary, covariate: {correlation: 30%}}]",
                "adjust: ",
            ),
            (
                ADJUST.format("{kind: ratio, over: clicks}") + "metrics: [{name: revenue, role: primary}, {name: clicks}]",
                "adjust: ",
            ),
            (ADJUST.format("{kind: stratify}") + "segments: [{name: a, share: 50%}, {name: b, share: 50%}]", "adjust: "),
            (ADJUST.format("{kind: winsorise, limit: 30}") + "metrics: [{name: revenue, role: primary}]", "adjust: "),
            (ADJUST.format("{kind: cluster}") + "users: {count: 500, assignment: request}", "adjust: "),
        )
    ),
    "a constant or exponential `delay`, also by arm and by outcome, with a window": Cases(
        played=(
            LATE,
            "metrics: [{name: conversion, role: primary, delay: {by_arm: {better: {constant: 1h}}}}]",
            f"metrics: [{BY_OUTCOME}, attribution_window: 2h}}]",
        ),
        refused=((f"metrics: [{{name: conversion, role: primary}}, {WINDOWS}]", "make more than 16 patterns"),),
    ),
    "a `delay` of another law, also by arm and by outcome, with a window, of several metrics": Cases(
        played=(
            *(f"metrics: [{{name: conversion, role: primary, delay: {{{law}: {size}}}}}]" for law, size in OTHER_LAWS.items()),
            "metrics: [{name: conversion, role: primary, delay: {gamma: {mean: 1h, sd: 10m}}, attribution_window: 2h}]",
            "metrics: [{name: conversion, role: primary, delay: {by_arm: {better: {weibull: {mean: 1h, shape: 0.8}}}}}]",
            BY_OUTCOME.replace("exponential: 1h", "lognormal: {median: 1h, p99: 5h}").join(("metrics: [", ONE_WINDOW)),
            "kinds/late-together.yaml",
        ),
        refused=(
            (
                "kinds/latencies.yaml\nmetrics: [" + ", ".join(SEVEN_LATE) + "]\npolicies: [{name: hold, kind: hold}]",
                "at most 6 metrics can have a delay that is neither exponential nor constant, got 7",
            ),
        ),
    ),
    "late outcomes with `bursts`": Cases(
        refused=((LATE + "traffic: {rate: 9/m, bursts: {factor: 5, every: 1h, duration: 5m}}", "with traffic.bursts the rate"),)
    ),
    "late outcomes with a `trace`": Cases(
        played=(LATE + "traffic: {trace: {file: even.csv, count: n, interval: 10m}}",),
        refused=((LATE + "traffic: {trace: {file: uneven.csv, time: time}}", "with traffic.trace the rate changes"),),
    ),
    "late amounts": Cases(
        played=(AMOUNT.format("{exponential: 1h}"), AMOUNT.format("{constant: 1h}") + DRIFT),
        refused=((AMOUNT.format("{exponential: 1h}") + DRIFT, "the mean of an amount changes from tick to tick"),),
    ),
    "late outcomes, compared within ticks": Cases(
        played=(LATE, LATE + BANDIT.format("pooled")),
        refused=((LATE + BANDIT.format("within_ticks"), "was sent under the shares of many"),),
    ),
}


def table() -> dict[str, dict[str, str]]:
    """The rows of the page: by its first cell, what is said of each engine."""
    page = (ROOT / "docs" / "world.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^\| which engine plays \|.*\n(?:\|.*\n)+", page, re.MULTILINE)
    headings, _, *rows = ([cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in lines.splitlines())
    engines = [heading.strip("`") for heading in headings[1:]]
    return {row[0]: dict(zip(engines, row[1:], strict=True)) for row in rows}


TABLE = table()


def scenario(text: str, engine: str) -> dict[str, Any]:
    """A scenario that an engine is asked to play."""
    base = yaml.safe_load(SMALL)
    if text.startswith("kinds/"):
        file, _, text = text.partition("\n")
        base = read_yaml(KINDS / file.removeprefix("kinds/")).data
    return {**base, **(yaml.safe_load(text) or {}), "engine": engine}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry, recorded traffic, and every scenario of every engine."""
    folder = tmp_path_factory.mktemp("engines")
    for models in ("models.yaml", "outcomes.models.yaml", "latencies.models.yaml"):
        assert main(["models", "register", str(KINDS / models), "--tracking-uri", f"sqlite:///{folder / 'mlflow.db'}"]) == 0
    (folder / "even.csv").write_text("n\n" + "100\n" * 40)
    (folder / "uneven.csv").write_text("time\n" + "".join(f"{at * at / 60}\n" for at in range(1200)))
    return folder


def checked(place: Path, capsys: pytest.CaptureFixture[str], engine: str, *options: str) -> dict[str, str]:
    """What `sim check` says of each scenario, by its text: every message about it, in one text, or `ok`."""
    texts = {text for row in ROWS.values() for text in (*row.played, *(text for text, _ in row.refused))}
    files = {}
    for number, text in enumerate(sorted(texts)):
        files[text] = place / f"{engine}-{number}.yaml"
        files[text].write_text(yaml.safe_dump(scenario(text, engine), sort_keys=False))
    capsys.readouterr()
    main(["check", *map(str, files.values()), *options])
    out, err = capsys.readouterr()
    said = {}
    for text, file in files.items():
        wrong = [line for line in err.splitlines() if line.startswith(f"{file}:")]
        assert bool(wrong) != (f"{file}: ok" in out), (text, wrong)
        said[text] = "\n".join(wrong) or "ok"
    return said


def test_the_table_has_a_row_for_every_case_and_every_engine() -> None:
    assert list(TABLE) == list(ROWS)
    for said in TABLE.values():
        assert list(said) == list(ENGINES)
    for row, cases in ROWS.items():
        said = TABLE[row]["aggregate"].split()[0]
        assert (bool(cases.played), bool(cases.refused)) == {"yes": (True, False), "no": (False, True), "if": (True, True)}[
            said
        ]


def kinds_in(value: Any) -> set[str]:
    """Every `kind` that stands in a scenario."""
    if isinstance(value, list):
        return set().union(*map(kinds_in, value))
    if isinstance(value, dict):
        return {value[key] for key in value if key == "kind"} | kinds_in(list(value.values()))
    return set()


def test_every_kind_is_among_the_cases() -> None:
    allocations, evidence, guardrails, adjustments = ({kind.name for kind in family.kinds()} for family in families())
    played = kinds_in([scenario(text, "auto") for text in ROWS["every allocation, rule of evidence and guardrail"].played])
    assert allocations | evidence | guardrails <= played
    assert adjustments <= kinds_in([scenario(text, "auto") for text, _ in ROWS["`adjust` of every kind"].refused])
    assert {*OTHER_LAWS, "constant", "exponential"} == set(LATENCIES)


def test_what_the_table_says_of_aggregate_is_what_check_says(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_file = checked(place, capsys, "aggregate")
    by_models = checked(place, capsys, "aggregate", "--registry-uri", f"sqlite:///{place / 'mlflow.db'}")
    for row, cases in ROWS.items():
        for text in cases.played:
            assert by_models[text] == "ok", row
        for text, reason in cases.refused:
            # What is said to need no model is refused without one.
            for said in (by_models, by_file) if TABLE[row]["aggregate"] == "no" else (by_models,):
                assert "aggregate cannot play this: " in said[text], row
                assert reason in said[text], row


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "aggregate"])
def test_event_engines_play_all_of_it(place: Path, capsys: pytest.CaptureFixture[str], engine: str) -> None:
    assert {row: said[engine] for row, said in TABLE.items()} == dict.fromkeys(ROWS, "yes")
    said = checked(place, capsys, engine, "--registry-uri", f"sqlite:///{place / 'mlflow.db'}")
    assert said == dict.fromkeys(said, "ok")


def test_of_every_engine_readers_are_told_what_its_policies_have_in_common() -> None:
    assert IN_COMMON.keys() == ENGINES.keys()
