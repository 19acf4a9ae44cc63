"""Parts from outside: what a file must hold, and that they are read, explained and described like those that ship."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from sim.errors import InputError
from sim.policy import catalogue
from sim.policy.allocation import ALLOCATIONS, Fixed
from sim.policy.catalogue import outside, parts_in, using
from sim.policy.parts_file import PartsFile, file_of
from sim.policy.stages import Stage
from sim.scenario.loading import parse_yaml, validate
from sim.scenario.schema import Scenario, json_schema
from sim.workflow import load_scenario
from tests.worlds import make_scenario

EVEN = """
from typing import Literal

import numpy as np
from pydantic import Field

from sim.policy.base import Allocation, Evidence, Guardrail
from sim.policy.adjust.base import Adjust
from sim.units import Duration, Share


class Even(Allocation):
    \"\"\"Every arm alike.\"\"\"

    kind: Literal["even"] = "even"
    pause: Duration = Field(60.0, description="how long")
    least: Share = Field(0.0, description="how little")

    def live(self, view):
        return view.arms_in / view.arms_in.sum(axis=1, keepdims=True)
"""
OTHERS = """
class Never(Evidence):
    \"\"\"Controls nothing.\"\"\"

    kind: Literal["never_ever"] = "never_ever"

    def judge(self, view):
        return np.zeros(view.arms_in.shape, np.int8)


class Blind(Guardrail):
    kind: Literal["blind"] = "blind"

    def judge(self, view):
        return np.ones(view.arms_in.shape, np.int8)


class Plain(Adjust):
    kind: Literal["plain"] = "plain"

    def needs(self, setting):
        return ()

    def estimates(self, view, rows):
        raise ArithmeticError
"""
SCENARIO = """\
name: small
replications: 2
horizon: 1d
traffic: {rate: 2/s}
models: [{arm: champion, uri: "models:/a/1"}, {arm: challenger, uri: "models:/a/2"}]
metrics: [{name: conversion, role: primary}]
policies:
  - name: mine
    kind: bandit
    allocation: ALLOCATION
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of parts."""

    def written(text: str = EVEN, name: str = "mine.py") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return written


def said(allocation: str, tmp_path: Path, *parts: Path) -> list[str]:
    """What is wrong with a scenario of this allocation, without the file's name."""
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO.replace("ALLOCATION", allocation), encoding="utf-8")
    try:
        load_scenario(file, parts=parts)
    except InputError as error:
        return [str(problem).removeprefix(f"{file}:") for problem in error.problems]
    return []


def refused(*files: Path) -> list[str]:
    with pytest.raises(InputError) as caught, using(files):
        pass
    return [str(problem) for problem in caught.value.problems]


def test_a_part_of_a_file_is_read_and_explained_at_its_line(write: Write, tmp_path: Path) -> None:
    mine = write()
    assert said("{kind: even, pause: 1h}", tmp_path, mine) == []
    assert said("{kind: even, pause: 60}", tmp_path, mine) == [
        "10:37 policies[0].allocation.pause: must be a duration above zero: write a unit, such as 10m; got 60"
    ]
    assert said("{kind: even, pase: 1h}", tmp_path, mine) == [
        "10:30 policies[0].allocation.pase: unknown key 'pase'; did you mean 'pause'?"
    ]
    assert said("{kind: evn}", tmp_path, mine)[0].endswith("risk_budget, sqr, …; got 'evn'; did you mean 'even'?")


def test_a_part_is_known_only_while_its_file_is_used(write: Write, tmp_path: Path) -> None:
    mine = write()
    assert said("{kind: even}", tmp_path, mine) == []
    assert "must be one of fixed, ramp" in said("{kind: even}", tmp_path)[0]
    with using([mine]), using():
        assert [kind.name for kind in ALLOCATIONS.kinds()][-1] == "even"


def test_parts_of_every_role(write: Write, tmp_path: Path) -> None:
    policy = {
        "name": "mine", "kind": "bandit", "allocation": {"kind": "even"}, "evidence": {"kind": "never_ever"},
        "checks": [{"kind": "blind"}, {"metric": "error_rate", "max": "1%"}],
    }  # fmt: skip
    test = {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 100, "adjust": {"kind": "plain"}}}
    with using([write(EVEN + OTHERS)]):
        scenario = make_scenario(policies=[policy, test])
        again = Scenario.model_validate(scenario.dump())
        assert again == scenario
        definitions = json_schema()["$defs"]
        assert {"Even", "Never", "Blind", "Plain"} <= definitions.keys()
        assert definitions["Even"]["description"] == "Every arm alike."
        assert "kind" in definitions["Even"]["required"]
    assert [(part.family, part.kind) for part in outside(parts_in(scenario.policies))] == [
        ("allocation", "even"), ("evidence", "never_ever"), ("guardrail", "blind"), ("adjust", "plain"),
    ]  # fmt: skip
    assert "Even" not in json_schema()["$defs"]


def test_a_text_is_what_a_part_is_made_of(write: Write) -> None:
    def digest(file: Path) -> str:
        with using([file]):
            (part,) = outside(parts_in(make_scenario(policies=[policy]).policies))
        assert part.origin == str(file)
        return part.digest

    policy = {"name": "mine", "kind": "bandit", "allocation": {"kind": "even"}}
    first = digest(write())
    assert digest(write(name="elsewhere.py")) == first
    assert digest(write(EVEN + "\n# another thought\n")) != first
    assert outside(parts_in(make_scenario().policies)) == ()


def test_what_a_scenario_does_not_use_is_not_counted(write: Write) -> None:
    with using([write()]):
        assert outside(parts_in(make_scenario().policies)) == ()


def test_another_process_makes_the_same_classes_of_the_same_text(write: Write) -> None:
    with using([write()]):
        stage = Stage(allocation={"kind": "even"}, evidence={"kind": "survive", "duration": "1h"})  # type: ignore[arg-type]
    file, kept = file_of(type(stage.allocation)), pickle.dumps(stage)
    assert file is not None
    del sys.modules[file.module_name]
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(kept)
    module = pickle.loads(pickle.dumps(file)).load()
    assert type(pickle.loads(kept).allocation) is module.Even


def test_a_part_that_is_made_needs_no_kind_to_stand_in_a_stage(write: Write) -> None:
    part = PartsFile.read(write()).load().Even()
    assert Stage(allocation=part, evidence={"kind": "survive"}).allocation is part  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        ('    kind: Literal["even"] = "even"\n', 12, 'Even has no kind, a field such as kind: Literal["even"] = "even"'),
        ('"even"] = "even"', 12, "the kind of Even must be small letters, digits and _, a letter first, got 'E ven'"),
        ("    def live(", 12, "Even must define live, as sim.policy.base.Allocation says"),
        ('    pause: Duration = Field(60.0, description="how long")', 12, "Even must stay frozen and refuse unknown keys"),
    ],
)
def test_a_class_that_lacks_something_is_refused_at_its_line(change: str, line: int, message: str, write: Write) -> None:
    instead = {
        '    kind: Literal["even"] = "even"\n': "    kind: str\n",
        '"even"] = "even"': '"E ven"] = "E ven"',
        "    def live(": "    def alive(",
    }.get(change, '    model_config = {"frozen": False}')
    file = write(EVEN.replace(change, instead))
    (found,) = refused(file)
    assert found.startswith(f"{file}:{line}:1: {message}")


def test_kinds_that_clash_are_refused_with_both_origins(write: Write) -> None:
    thompson = write(EVEN.replace('"even"', '"thompson"'))
    assert refused(thompson) == [f"{thompson}:12:1: Even has the kind of Thompson of rollout-sim, 'thompson': rename one"]
    one, two = write(name="one.py"), write(EVEN + "\n", name="two.py")
    assert refused(one, two) == [f"{two}:12:1: Even has the kind of Even of {one}, 'even': rename one"]
    with using([one, one]):
        assert len(ALLOCATIONS.kinds()) == len(ALLOCATIONS.shipped) + 1


def test_roles_have_kinds_of_their_own(write: Write, tmp_path: Path) -> None:
    assert said("{kind: posterior}", tmp_path, write(EVEN.replace('"even"', '"posterior"'))) == []


def test_a_file_that_is_no_file_of_parts_is_refused(write: Write, tmp_path: Path) -> None:
    file = write("x = 1\n")
    assert "has no part: a part is a class derived from Allocation, Evidence or Guardrail" in refused(file)[0]
    assert refused(write("class A(:\n"))[0].startswith(f"{file}:1:9: is not Python: ")
    assert refused(write("x = 1\n\ny = x / 0\n")) == [f"{file}:3:1: cannot be run: ZeroDivisionError: division by zero"]
    (tmp_path / "beside.py").write_text("z = 1\n", encoding="utf-8")
    assert "a file stands alone" in refused(write("import beside\n"))[0]
    missing = tmp_path / "missing.py"
    assert refused(missing, write("x = 1")) == [f"{missing}: cannot be read: no such file", *refused(file)]


def test_what_parts_share_needs_no_kind(write: Write) -> None:
    """A base class, a helper and what is imported are no parts."""
    kind = '    kind: Literal["even"] = "even"\n'
    shared = EVEN.replace("class Even(", "class Shared(").replace(kind, "")
    with using([write(f"{shared}\n\nclass Even(Shared):\n{kind}")]):
        assert [kind.part.__name__ for kind in ALLOCATIONS.kinds()[len(ALLOCATIONS.shipped) :]] == ["Even"]


class Installed:
    """Entry points as if of a package."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.loaded = 0
        self._monkeypatch, self._folder = monkeypatch, tmp_path / "packages"
        self._folder.mkdir()
        monkeypatch.syspath_prepend(self._folder)
        catalogue._installed.cache_clear()

    def add(self, text: str, *values: str, name: str = "for_sim") -> None:
        file = self._folder / f"{name}.py"
        file.write_text(text, encoding="utf-8")
        points = [EntryPoint(f"point{number}", value, catalogue.GROUP) for number, value in enumerate(values)]

        def found(group: str) -> list[EntryPoint]:
            self.loaded += 1
            return points

        self._monkeypatch.setattr(catalogue, "entry_points", found)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installed:
    yield Installed(monkeypatch, tmp_path)  # type: ignore[misc]
    catalogue._installed.cache_clear()
    sys.modules.pop("for_sim", None)


@pytest.mark.parametrize("value", ["for_sim", "for_sim:Even"])
def test_a_part_of_a_package_is_found_when_it_is_asked_for(value: str, installed: Installed, tmp_path: Path) -> None:
    installed.add(EVEN, value)
    assert said("{kind: thompson}", tmp_path) == []
    assert "for_sim" not in sys.modules
    assert said("{kind: even}", tmp_path) == []
    assert installed.loaded == 1
    assert "must be a share" in said("{kind: even, least: 120%}", tmp_path)[0]
    scenario = validate(parse_yaml(SCENARIO.replace("ALLOCATION", "{kind: even}"), "s.yaml"), Scenario)
    (part,) = outside(parts_in(scenario.policies))
    assert (part.kind, part.origin) == ("even", f"{value} of an unknown package")
    assert "Even" in json_schema()["$defs"]
    with using(installed=False):
        assert "Even" not in json_schema()["$defs"]
        assert "must be one of" in said("{kind: even}", tmp_path)[0]


def test_a_package_that_is_wrong_stops_only_who_asks(installed: Installed, tmp_path: Path, write: Write) -> None:
    installed.add(EVEN + "\nx = 1\n", "for_sim:x", "for_sim:Gone", "json", "not_there")
    assert said("{kind: fixed}", tmp_path) == []
    assert said("{kind: even}", tmp_path, write()) == []
    nothing, gone, *others = said("{kind: evn}", tmp_path)
    assert gone.startswith("for_sim:Gone of an unknown package: cannot be loaded: AttributeError")
    assert nothing.startswith("for_sim:x of an unknown package: 1 is no part: a part is a class derived from")
    assert [each.partition(":")[0] for each in others] == ["json of an unknown package", "not_there of an unknown package"]


def test_a_file_and_a_package_clash(installed: Installed, write: Write) -> None:
    installed.add(EVEN, "for_sim")
    mine = write()
    assert refused(mine) == [f"{mine}:12:1: Even has the kind of Even of for_sim of an unknown package, 'even': rename one"]


def test_the_digest_of_a_package_is_of_all_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def digest() -> str:
        for name in [name for name in sys.modules if name.partition(".")[0] == "many_files"]:
            del sys.modules[name]
        from importlib import import_module

        (part,) = outside([import_module("many_files.parts").Even])
        return part.digest

    package = tmp_path / "many_files"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(EVEN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    first = digest()
    assert digest() == first
    (package / "helper.py").write_text("x = 1\n", encoding="utf-8")
    assert digest() != first


def test_parts_that_ship_are_parts() -> None:
    for family in catalogue.families():
        for kind in family.shipped:
            assert list(family.faults(kind.part)) == []
        assert len({kind.name for kind in family.shipped}) == len(family.shipped)


def test_a_stage_says_what_ships_as_before() -> None:
    """A core schema of its own must not change what is written."""
    stage = Stage(name="x", allocation=Fixed(weights=(0.25, 0.75)), evidence={"kind": "survive", "duration": 60})  # type: ignore[arg-type]
    assert stage.model_dump(mode="json", by_alias=True, exclude_none=True) == json.loads(
        dedent("""\
        {"name": "x", "allocation": {"kind": "fixed", "weights": ["25%", "75%"]},
         "evidence": {"kind": "survive", "duration": "1m"}, "checks": [],
         "on": {"pass": "next", "fail": "keep", "inconclusive": "inconclusive"}}""")
    )
    assert Stage.model_validate_json(stage.model_dump_json(by_alias=True)) == stage
