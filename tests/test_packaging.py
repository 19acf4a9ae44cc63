"""What a user installs: the pins, the package's contents, and the scripts that set it up."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
SCRIPTS = ("scripts/setup", "scripts/quickstart", "scripts/test", "scripts/newest", ".ci/run")


def distribution(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_constraints_are_names_and_versions_only() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", pin)] == []
    names = [distribution(pin) for pin in PINS]
    assert len(names) == len(set(names))


def test_everything_that_is_asked_for_is_pinned() -> None:
    project = PROJECT["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    assert {distribution(requirement) for requirement in asked} <= {distribution(pin) for pin in PINS}


def test_every_import_is_a_declared_dependency() -> None:
    always = {distribution(requirement) for requirement in PROJECT["project"]["dependencies"]}
    extras = PROJECT["project"]["optional-dependencies"]
    # Three rooms have an extra of their own.
    also = {room: {distribution(requirement) for requirement in extras[room]} for room in ("bench", "testing")}
    also["run"] = {distribution(requirement) for requirement in extras["cluster"]}
    provided_by = packages_distributions()
    undeclared = set()
    for file in (ROOT / "sim").rglob("*.py"):
        declared = always | also.get(file.parent.name, set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"sim"}:
                owners = {distribution(owner) for owner in provided_by.get(name, [name])}
                if not owners & declared:
                    undeclared.add(f"{file.relative_to(ROOT)} imports {name}")
    assert not undeclared


def test_every_data_file_is_shipped() -> None:
    shipped = {
        file
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    files = {file for file in (ROOT / "sim").rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert {file for file in files if file.suffix != ".py"} <= shipped


def test_mlflow_project_agrees_with_the_package() -> None:
    environment = yaml.safe_load((ROOT / "python_env.yaml").read_text(encoding="utf-8"))
    assert environment["dependencies"] == ["-c constraints.txt", *PROJECT["project"]["dependencies"]]


def test_mlflow_builds_the_command_of_the_project() -> None:
    from mlflow.projects.utils import load_project

    main = load_project(str(ROOT)).get_entry_point("main")
    command = "python -m sim run {} --reports reports || test $? -eq 3"
    assert main.compute_command({}, None) == command.format("scenarios/quickstart.yaml")
    assert main.compute_command({"scenario": "my scenarios/a.yaml"}, None) == command.format("'my scenarios/a.yaml'")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_be_run(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


class Checkout:
    """What `scripts/setup` needs, with a Python that notes what pip is asked for and installs nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root.parent / "pip.log"
        self.python = self.fake_python("3.12.4")
        (root / "scripts").mkdir(parents=True)
        for name in ("scripts/setup", "pyproject.toml", "constraints.txt"):
            shutil.copy2(ROOT / name, root / name)

    def fake_python(self, version: str) -> str:
        python = self.root.parent / f"python {version}"
        python.write_text(
            f"""#!/usr/bin/env bash
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip --version") ;;
    "-m pip "*) echo "$*" >> '{self.log}' ;;
    *python_version*) echo {version} ;;
    *) exec '{sys.executable}' "$@" ;;
esac
"""
        )
        python.chmod(0o755)
        return str(python)

    def setup(self, *arguments: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.root / "scripts" / "setup"), *arguments]
        variables = {"PATH": "/usr/bin:/bin", "PYTHON": python or self.python}
        return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False)

    def installs(self) -> list[str]:
        """What pip was asked to install, once for each time that it was asked."""
        log = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[-1] for line in log]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "a folder").mkdir()
    return Checkout(tmp_path / "a folder" / "project")


def test_setup_installs_once(checkout: Checkout) -> None:
    first = checkout.setup()
    assert first.returncode == 0, first.stderr
    assert "Installing" in first.stdout
    again = checkout.setup()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert checkout.installs() == ["."]


def test_setup_for_tests_is_enough_for_everything(checkout: Checkout) -> None:
    for arguments in ((), ("test",), (), ("test",)):
        assert checkout.setup(*arguments).returncode == 0
    assert checkout.installs() == [".", ".[test]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_setup_follows_a_change_of_the_pins(checkout: Checkout, name: str) -> None:
    checkout.setup()
    with (checkout.root / name).open("a") as file:
        file.write("\n")
    checkout.setup()
    assert checkout.installs() == [".", "."]


def test_setup_makes_a_broken_environment_again(checkout: Checkout) -> None:
    checkout.setup()
    (checkout.root / ".venv" / "bin" / "python").write_text("#!/bin/false\n")
    assert checkout.setup().returncode == 0
    assert checkout.installs() == [".", "."]


def test_setup_makes_a_moved_environment_again(checkout: Checkout) -> None:
    checkout.setup()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    (checkout.root / ".venv" / "left over").touch()
    assert checkout.setup().returncode == 0
    assert not (checkout.root / ".venv" / "left over").exists()


def test_setup_follows_a_change_of_python(checkout: Checkout) -> None:
    checkout.setup()
    assert checkout.setup(python=checkout.fake_python("3.13.1")).returncode == 0
    assert checkout.installs() == [".", "."]


@pytest.mark.parametrize("version", ["3.10.9", "3.14.0"])
def test_setup_refuses_other_pythons_by_name(checkout: Checkout, version: str) -> None:
    done = checkout.setup(python=checkout.fake_python(version))
    assert done.returncode == 2
    assert version in done.stderr
    assert "3.11 to 3.13" in done.stderr
    assert not (checkout.root / ".venv").exists()


def test_setup_names_a_python_that_cannot_be_run(checkout: Checkout) -> None:
    done = checkout.setup(python="no-such-python")
    assert done.returncode == 2
    assert "no-such-python" in done.stderr
