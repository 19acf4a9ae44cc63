"""The example of docs/extending.md, as a file and as a package that is installed, through the verbs of the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

SCENARIO = """\
name: with-parts
seed: 3
replications: 1200
horizon: 1d
tick: 1h
engine: aggregate
traffic: {rate: 2/s}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics:
  - {name: conversion, role: primary}
policies:
  - {name: hold, kind: hold}
"""


def block(kind: str, word: str) -> str:
    """The example of docs/extending.md in which a word stands."""
    (found,) = (each for each in re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if word in each)
    return str(found)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario with the policy of the page."""
    file = tmp_path / "rollout.yaml"
    policy = "".join(f"  {line}\n" for line in block("yaml", "proportional").splitlines())
    file.write_text(SCENARIO + policy, encoding="utf-8")
    return file


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """The file of the page."""
    file = tmp_path / "proportional.py"
    file.write_text(block("python", "(Allocation)"), encoding="utf-8")
    return file


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder into which the package of the page is installed, as a wheel of it would be."""
    folder = tmp_path / "site"
    folder.mkdir()
    said = tomllib.loads(block("toml", "[project]"))["project"]
    (folder / "proportional.py").write_text(block("python", "(Allocation)"), encoding="utf-8")
    about = folder / f"{said['name']}-{said['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {said['name']}\nVersion: {said['version']}\n")
    lines = [
        line
        for group, points in said["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def ran(*arguments: object, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command in a fresh process."""
    paths = [str(ROOT), *([str(packages)] if packages else [])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_a_package_is_checked_run_and_described(scenario: Path, packages: Path, store: str, tmp_path: Path) -> None:
    sim = ("-m", "sim")
    checked = ran(*sim, "check", scenario, packages=packages)
    assert checked.returncode == 0, checked.stderr
    assert "policies hold, mine" in checked.stdout
    without = ran(*sim, "check", scenario)
    assert without.returncode == 2
    assert "17:24 policies[1].allocation.kind: must be one of fixed, ramp" in without.stderr
    schema = json.loads(ran(*sim, "schema", packages=packages).stdout)
    assert schema["$defs"]["Proportional"]["properties"]["power"]["maximum"] == 50
    trials = []
    for workers in (1, 2):
        reports = tmp_path / f"by {workers}"
        options = ("--workers", workers, "--registry-uri", store, "--no-tracking", "--quiet", "--reports", reports)
        done = ran(*sim, "run", scenario, *options, packages=packages)
        assert done.returncode == 0, done.stderr
        (folder,) = reports.glob("with-parts-*")
        trials.append(pd.read_parquet(folder / "trials.parquet"))
        (found,) = json.loads((folder / "run.json").read_text())["parts"]
        assert (found["family"], found["kind"]) == ("allocation", "proportional")
        assert found["origin"] == "proportional:Proportional of proportional 1.0"
    pd.testing.assert_frame_equal(*trials, check_exact=True)


def test_a_file_is_run_by_any_number_of_workers(scenario: Path, part: Path, store: str, tmp_path: Path) -> None:
    trials = []
    for workers in (1, 2):
        reports = tmp_path / f"by {workers}"
        options = ("--workers", str(workers), "--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(reports))
        assert main(["run", str(scenario), "--parts", str(part), *options]) == 0
        (folder,) = reports.glob("with-parts-*")
        trials.append(pd.read_parquet(folder / "trials.parquet"))
    pd.testing.assert_frame_equal(*trials, check_exact=True)
    assert trials[0].groupby("policy").size().to_dict() == {"hold": 1200, "mine": 1200}


def test_another_text_is_another_run(scenario: Path, part: Path, store: str, tmp_path: Path) -> None:
    scenario.write_text(scenario.read_text().replace("1200", "5"))
    options = ("--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path))
    digests = []
    for text in (part.read_text(), part.read_text(), part.read_text() + "# the same, in other words\n"):
        part.write_text(text)
        assert main(["run", str(scenario), "--parts", str(part), *options]) == 0
        digests.append({folder.name for folder in tmp_path.glob("with-parts-*")})
    assert [len(found) for found in digests] == [1, 1, 2]
    runs = [json.loads(file.read_text()) for file in tmp_path.glob("with-parts-*/run.json")]
    assert len({run["digest"] for run in runs}) == len({run["parts"][0]["digest"] for run in runs}) == 2
    assert {run["parts"][0]["origin"] for run in runs} == {str(part)}


def test_a_file_is_traced_and_what_is_wrong_is_said(
    scenario: Path, part: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["trace", str(scenario), "--policy", "mine", "--replication", "0", "--until", "1h", "--registry-uri", store]
    assert main([*arguments, "--parts", str(part), "--reports", str(tmp_path)]) == 0
    assert "arrive" in capsys.readouterr().out
    assert main(["check", str(scenario), "--parts", str(tmp_path / "gone.py")]) == 2
    assert "gone.py: cannot be read: no such file" in capsys.readouterr().err
    scenario.write_text(scenario.read_text().replace("power: 4", "power: 400"))
    assert main(["check", str(scenario), "--parts", str(part)]) == 2
    assert "policies[1].allocation.power: must be at most 50; got 400" in capsys.readouterr().err


def test_what_a_part_says_of_the_registered_models_is_said_at_its_line(
    scenario: Path, part: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for old, new in (("checkout-ranker", "offers"), ("@challenger", "@discount"), ("name: conversion", "name: revenue")):
        scenario.write_text(scenario.read_text().replace(old, new))
    assert main(["check", str(scenario), "--parts", str(part)]) == 0
    options = ["--registry-uri", store, "--no-tracking", "--quiet", "--reports", str(tmp_path)]
    assert main(["run", str(scenario), "--parts", str(part), *options]) == 2
    assert "policies[1].allocation.kind: proportional is for a metric of 0 and 1" in capsys.readouterr().err


def test_the_reference_has_it(part: Path) -> None:
    done = ran(ROOT / "scripts" / "reference.py", "--parts", part)
    assert done.returncode == 0, done.stderr
    assert "### allocation proportional\n" in done.stdout
    assert "(#allocation-proportional)" in done.stdout


def test_the_contract_of_the_page_holds(part: Path, packages: Path, tmp_path: Path) -> None:
    test = tmp_path / "test_proportional.py"
    test.write_text(block("python", "AllocationContract"), encoding="utf-8")
    done = ran("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, test, packages=packages)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.MULTILINE)
