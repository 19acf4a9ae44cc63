"""The task pages: each is about a scenario that comes with the program, quotes it as it is, and has its picture."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from sim.scenario import examples

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tasks").glob("*.md"))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """scripts/pictures.py."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "scripts" / "pictures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["pictures"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def scenario_of(page: Path) -> str:
    """The one scenario that a page tells to run."""
    (name,) = set(re.findall(r"^\$ sim run (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    return name


def test_there_are_the_pages_that_are_linked() -> None:
    for place, start in (("README.md", "docs/tasks/"), ("docs/tutorial.md", "tasks/")):
        text = (ROOT / place).read_text(encoding="utf-8")
        assert {page.name for page in PAGES} == set(re.findall(rf"\({start}([\w-]+\.md)\)", text))


@each_page
def test_a_page_has_a_shipped_scenario_and_its_picture(page: Path, pictures: ModuleType) -> None:
    text, name = page.read_text(encoding="utf-8"), scenario_of(page)
    assert name in examples.scenarios()
    assert f"(../../scenarios/{name}.yaml)" in text
    assert pictures.PICTURES[page.stem].scenario == name
    # A picture says in words what it shows.
    ((told, file),) = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", text)
    assert page.parent / file == pictures.PICTURES[page.stem].file(page.stem)
    assert len(told.split()) >= 10
    needed = re.search(r"^# Needs: (.*)$", examples.scenarios()[name].read_text(encoding="utf-8"), re.MULTILINE)
    assert needed
    assert f"$ {needed[1]}\n$ sim run {name}" in text


@each_page
def test_a_picture_is_small_white_and_of_this_run(page: Path, pictures: ModuleType) -> None:
    file = pictures.PICTURES[page.stem].file(page.stem)
    assert file.stat().st_size < 40_000
    root = ElementTree.parse(file).getroot()
    texts = " ".join(filter(None, (each.text for each in root.iter("{http://www.w3.org/2000/svg}text"))))
    ground = root.find(".//{http://www.w3.org/2000/svg}g[@id='patch_1']/{http://www.w3.org/2000/svg}path")
    assert ground is not None
    assert "#ffffff" in ground.attrib["style"]
    policies = [policy["name"] for policy in read(page)["policies"]]
    assert [name for name in policies if name not in texts] == []


def read(page: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(examples.scenarios()[scenario_of(page)].read_text(encoding="utf-8"))
    return found


@each_page
def test_what_a_page_quotes_of_its_scenario_stands_in_it(page: Path) -> None:
    scenario = read(page)
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for block in blocks:
        if block.startswith("apiVersion"):
            continue
        for key, value in yaml.safe_load(block).items():
            if key in ("metrics", "policies"):
                assert [one for one in value if one not in scenario[key]] == []
            else:
                assert scenario[key] == value


def test_the_argo_rollout_is_the_policy_beside_it() -> None:
    """Step by step, and its analysis: Argo Rollouts aborts when more than `failureLimit` measurements have failed."""
    page = ROOT / "docs" / "tasks" / "argo.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    rollout, template = yaml.safe_load_all(next(block for block in blocks if block.startswith("apiVersion")))
    (policy,) = next(yaml.safe_load(block)["policies"] for block in blocks if block.startswith("policies:"))
    canary = rollout["spec"]["strategy"]["canary"]
    weights = [f"{step['setWeight']}%" for step in canary["steps"] if "setWeight" in step]
    bakes = [step["pause"]["duration"] for step in canary["steps"] if "pause" in step]
    assert policy["steps"] == [{"weight": weight, "bake": bake} for weight, bake in zip(weights, bakes, strict=True)]
    assert canary["analysis"]["templates"] == [{"templateName": template["metadata"]["name"]}]
    (metric,) = template["spec"]["metrics"]
    (check,) = policy["checks"]
    assert check["every"] == metric["interval"]
    assert check["trip"] == metric["failureLimit"] + 1
    assert metric["successCondition"] == f"result[0] <= {float(check['max'].rstrip('%')) / 100:g}"
