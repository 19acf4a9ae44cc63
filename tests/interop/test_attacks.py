"""Manifests with values of wrong kinds, fields left out, doubled and misspelt: each is carried or refused, none is a fault."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim.errors import InputError, Place, Problem
from sim.interop.importing import import_manifests, write_scenario
from sim.interop.writing import Facts
from tests.interop.manifests import ALARMS, CANARY, CANARY_STAGE, CONFIG, DEPLOYMENT, ROLLOUT

MANIFESTS = [
    list(yaml.safe_load_all(ROLLOUT)), list(yaml.safe_load_all(CANARY)), [yaml.safe_load(DEPLOYMENT), yaml.safe_load(ALARMS)],
    [yaml.safe_load(CONFIG), yaml.safe_load(CANARY_STAGE)],
]  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 10**18, 1.5, float("nan"), float("inf"), "", "x", "5m", "1e9h", "-3", "{{args.a}}", "{{",
    "result[0] > 1", "0%", "100%", [], {}, [1], {"a": 1}, [[]], [{}], "25%", "sum(rate(a[5m]))", "0", "9" * 30, "é",
)  # fmt: skip


def places(value: Any, place: Place = ()) -> list[Place]:
    """The places of all that is in a value."""
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(inner for step, item in steps for inner in places(item, (*place, step)))]


def changed(manifest: list[Any], draw: random.Random) -> str:
    """The text of a manifest with one to three of its values changed."""
    documents = copy.deepcopy(manifest)
    for _ in range(draw.randint(1, 3)):
        document = draw.choice(documents)
        *path, last = draw.choice([place for place in places(document) if place] or [("kind",)])
        at = document
        for step in path:
            at = at[step]
        change = draw.choice(["set", "set", "delete", "misspell", "double"])
        if change == "delete" and last in (at if isinstance(at, dict) else range(len(at))):
            del at[last]
        elif change == "misspell" and isinstance(at, dict) and last in at:
            at[f"{last}x"] = at.pop(last)
        elif change == "double" and isinstance(at, list):
            at.insert(last, copy.deepcopy(at[last]))
        else:
            at[last] = copy.deepcopy(draw.choice(VALUES))
    return yaml.safe_dump_all(documents)


def refusals(file: Path, out: Path) -> tuple[Problem, ...]:
    """Why a manifest is refused; empty where the scenario of it is written."""
    try:
        found, _ = import_manifests([file])
        if problems := found.problems():
            return tuple(problems)
        write_scenario(found, Facts(), out, ["m.yaml"])
    except InputError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("manifest", MANIFESTS, ids=["argo", "flagger", "sagemaker", "kayenta"])
def test_every_change_is_carried_or_refused_at_a_line(manifest: list[Any], tmp_path: Path) -> None:
    draw, file, ends = random.Random(14), tmp_path / "m.yaml", {"written": 0, "refused": 0}
    for number in range(80):
        file.write_text(changed(manifest, draw))
        out = tmp_path / f"{number}.yaml"
        problems = refusals(file, out)
        ends["refused" if problems else "written"] += 1
        assert out.exists() == (not problems)
        assert all(problem.file for problem in problems)
    assert min(ends.values()) > 5
