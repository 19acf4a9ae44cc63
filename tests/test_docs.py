"""What is written down holds: generated files are current, links lead somewhere, and examples are accepted."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jsonschema
import numpy as np
import pytest
import yaml

from sim.cli import main
from sim.errors import InputError
from sim.policy.base import Allocation, View
from sim.policy.setting import Metric, Setting
from sim.registry.behaviour import ModelsFile
from sim.workflow import load_scenario

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
SCHEMA = ROOT / "sim" / "scenario" / "scenario.schema.json"


def blocks(kind: str) -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


EXAMPLES = [block for block in blocks("yaml") if block.startswith("name:")]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_page_and_schema_are_current(generator: ModuleType) -> None:
    assert generator.PAGE.read_text(encoding="utf-8") == generator.reference_text(), "run scripts/reference"
    assert SCHEMA.read_text(encoding="utf-8") == generator.schema_text(), "run scripts/reference"
    assert generator.ROLLOUTS.read_text(encoding="utf-8") == generator.rollouts_text(), "run scripts/reference"


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    found = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_scenarios_fit_the_schema_that_editors_use(file: Path, schema: jsonschema.Draft202012Validator) -> None:
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert [error.message for error in schema.iter_errors(found)] == []


@pytest.mark.parametrize(
    ("change", "about"),
    [({"horizon": 7}, "horizon"), ({"polices": []}, "polices"), ({"policies": [{"name": "ab", "kind": "abc"}]}, "policies")],
)
def test_schema_refuses_what_the_program_refuses(
    change: dict[str, object], about: str, schema: jsonschema.Draft202012Validator
) -> None:
    scenario = yaml.safe_load(SCENARIOS[0].read_text(encoding="utf-8")) | change
    (error,) = schema.iter_errors(scenario)
    assert about in f"{error.json_path} {error.message}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.split()[1])
def test_scenarios_in_the_docs_are_accepted(example: str, tmp_path: Path, schema: jsonschema.Draft202012Validator) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(example, encoding="utf-8")
    load_scenario(file)
    assert [error.message for error in schema.iter_errors(yaml.safe_load(example))] == []


def test_models_files_in_the_docs_are_accepted() -> None:
    found = [ModelsFile.model_validate(yaml.safe_load(block)) for block in blocks("yaml") if block.startswith("model:")]
    assert found


def test_tutorial_shows_the_messages_of_its_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (wrong,) = (block for block in blocks("yaml") if block.startswith("# wrong"))
    (shown,) = (block for block in blocks("console") if "unknown key" in block)
    monkeypatch.chdir(tmp_path)
    file = Path("signup/rollout.yaml")
    file.parent.mkdir()
    file.write_text(wrong, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_scenario(file)
    assert str(caught.value).splitlines() == shown.splitlines()[1:-1]


def test_tutorial_shows_what_check_says_of_its_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = next(block for block in blocks("yaml") if block.startswith("name: signup"))
    (shown,) = (block for block in blocks("console") if block.startswith("$ sim check signup") and ": ok (" in block)
    monkeypatch.chdir(tmp_path)
    file = Path("signup/rollout.yaml")
    file.parent.mkdir()
    file.write_text(right, encoding="utf-8")
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == shown.splitlines()[1:]


def test_allocation_of_the_extending_page_works() -> None:
    (source,) = (block for block in blocks("python") if "(Allocation)" in block)
    names: dict[str, type[Allocation]] = {}
    exec(compile(source, "extending.md", "exec", dont_inherit=True), names)  # type: ignore[arg-type]
    setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, True, 1.0, 0.5, 0.5)})
    part = names["Proportional"]()
    columns = {name: place for place, name in enumerate(part.needs(setting))}
    total = np.array([[[98, 29], [98, 9]]])
    view = View(setting, 0, np.array([1]), np.ones((1, 2), bool), total, total, columns, mirrored=False)
    np.testing.assert_allclose(part.live(view), [[0.75, 0.25]])


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_commands_in_the_docs_exist() -> None:
    from sim.cli import make_parser

    texts = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = {command.split("#")[0].strip() for command in re.findall(r"^\$ sim (.+)$", texts, re.MULTILINE)}
    assert commands
    for command in commands:
        make_parser().parse_args(shlex.split(command))
    for script in set(re.findall(r"scripts/\w+\b(?!\.)", texts)):
        assert (ROOT / script).stat().st_mode & 0o111, script
