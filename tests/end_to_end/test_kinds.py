"""Every kind that a file may name, from a file: each scenario of tests/kinds goes through `sim check` and `sim run`.

And every key and every choice of the schema stands in one of them, so that nothing is advertised that nobody has seen work.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from sim.cli import main
from sim.policy.catalogue import families
from sim.registry.behaviour import ModelsFile
from sim.scenario.loading import load
from sim.scenario.reading import read
from sim.scenario.schema import Scenario
from sim.scenario.sweep import points
from tests.undrawn import leave_empty

# Pictures of every example are drawn.
pytestmark = pytest.mark.drawn

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "kinds"
MODELS = sorted(FOLDER.rglob("*models.yaml"))
SCENARIOS = sorted(set(FOLDER.rglob("*.yaml")) - set(MODELS))
CASE = ROOT.parent / "shared" / "cases" / "32-outcome-kinds" / "models.yaml"
EXAMPLES = sorted((ROOT / "scenarios").glob("*.yaml"))
# They take a model that was trained on each of them; `digits` stands for the others.
NOT_PLAYED = {("Data", "sklearn", name) for name in ("breast_cancer", "iris", "wine")}
# A server must have been measured first: tests/serving plays it.
NOT_PLAYED |= {(model, "concurrency", "measured") for model in ("PoolSpec", "Servers")}

Key = tuple[str, ...]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of tests/kinds, with the data file that two scenarios read."""
    from sklearn.datasets import load_digits

    copy = tmp_path_factory.mktemp("kinds") / "kinds"
    shutil.copytree(FOLDER, copy)
    frame = load_digits(as_frame=True).frame.iloc[:300]
    label = frame["target"]
    columns = {"worth": 1 + label % 3, "likely": 0.02 + label / 50, "saving": label / 10, "seen": 1 + (label > 6)}
    columns["collected"] = 1 * (label < 8)
    frame.assign(**columns).to_csv(copy / "digits.csv", index=False)
    return copy


@pytest.fixture(scope="module")
def registered(store: str) -> str:
    """The store with the models of the kinds beside the examples'."""
    assert main(["models", "register", *map(str, MODELS), "--tracking-uri", store]) == 0
    return store


def name_of(file: Path) -> str:
    return str(file.relative_to(file.parents[1]).with_suffix(""))


@pytest.mark.parametrize("file", SCENARIOS, ids=name_of)
def test_a_scenario_of_each_kind_runs(
    file: Path, folder: Path, registered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_empty(monkeypatch)
    copy = folder / file.relative_to(FOLDER)
    assert main(["check", str(copy)]) == 0
    ran = main(["run", str(copy), "--registry-uri", registered, "--no-tracking", "--quiet", "--reports", str(tmp_path)])
    assert ran == 0
    (run,) = tmp_path.glob("*/run.json")
    record = json.loads(run.read_text())
    assert record["status"] == "finished"
    assert record["completed"] == [policy["name"] for policy in record["policies"]]
    assert (run.parent / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("file", EXAMPLES, ids=name_of)
def test_every_example_runs(file: Path, registered: str, tmp_path: Path) -> None:
    """At a few replications and without A/A tests, which is all that is changed."""
    lines = file.read_text(encoding="utf-8").split("\n")
    few = ["replications: 3" if line.startswith("replications:") else line for line in lines if not line.startswith("aa:")]
    small = tmp_path / file.name
    small.write_text("\n".join([*few, "aa: false"]), encoding="utf-8")
    assert main(["check", str(small)]) == 0
    ran = main(["run", str(small), "--registry-uri", registered, "--no-tracking", "--quiet", "--reports", str(tmp_path)])
    # 3 is a threshold that so few replications breach.
    assert ran in (0, 3)


def classes(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation; where a part may stand, all that ship."""
    for family in families():
        if annotation is family.base:
            yield from (kind.part for kind in family.shipped)
            return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from classes(inner)


def choices(annotation: Any) -> Iterator[Any]:
    """The values that an annotation lists."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for inner in get_args(annotation):
            yield from choices(inner)


def reachable(tops: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    """The models that a file may be made of."""
    found: list[type[BaseModel]] = []
    pending = list(tops)
    while pending:
        model = pending.pop()
        if model not in found:
            found.append(model)
            pending += [inner for field in model.model_fields.values() for inner in classes(field.annotation)]
    return found


def advertised() -> set[Key]:
    """(model, key) of all there is to write, and (model, key, choice)."""
    found: set[Key] = set()
    parts = [kind.part for family in families() for kind in family.shipped]
    for model in set(reachable([Scenario, ModelsFile, *parts])) - {family.base for family in families()}:
        for name, field in model.model_fields.items():
            found.add((model.__name__, name))
            found |= {(model.__name__, name, str(choice)) for choice in choices(field.annotation)}
    return found


def written(value: Any) -> Iterator[Key]:
    """(model, key) of all that a file says, and (model, key, choice)."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            inner = getattr(value, name)
            yield type(value).__name__, name
            for each in inner if isinstance(inner, tuple) else (inner,):
                if isinstance(each, str | int):
                    yield type(value).__name__, name, str(each)
            yield from written(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from written(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from written(inner)


def test_every_key_and_every_choice_of_the_schema_stands_in_a_file_that_is_played() -> None:
    played: set[Key] = set()
    for file in SCENARIOS:
        scenario, document = read(file)
        played |= set(written(scenario))
        for point in points(scenario, document):
            played |= set(written(point.scenario))
    for file in MODELS:
        played |= set(written(load(file, ModelsFile)))
    missing = advertised() - played - NOT_PLAYED
    assert not missing, f"write these into a scenario of tests/kinds: {sorted(missing)}"


@pytest.mark.skipif(not CASE.exists(), reason="the cases are kept beside the repository, not in it")
def test_the_case_that_asked_for_outcome_kinds_registers(tmp_path: Path) -> None:
    assert main(["models", "register", str(CASE), "--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]) == 0
