"""The architecture as a test: imports point one way, and `import sim` stays quick."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sim.workflow

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("errors", "version", "arrays", "spelling", "locking", "files", "jit", "ways"),
    ("units", "stats", "tables"),
    ("distributions",),
    ("policy",),
    ("scenario",),
    ("registry",),
    ("evaluation", "serving"),
    ("world",),
    ("engine",),
    ("run",),
    ("compare",),
    ("calibration", "report", "tracking"),
    ("fitting", "given", "interop", "workflow"),
    ("assess", "bench", "forecast", "live", "offpolicy", "recommend", "verify", "testing"),
    ("cli", "__init__", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = ("matplotlib", "mlflow", "numba", "optuna", "pandas", "pyarrow", "rich", "scipy.stats", "sklearn")
MLFLOW_USERS = ("registry", "evaluation", "serving", "tracking")
# MLflow runs these from their text ("models from code"), outside this program.
# The one module that loads the compiler; what plays event by event imports it, and nothing on the way to `sim check` may.
COMPILER = "sim.jit"
BEFORE_PLAY = ("sim", "sim.cli", "sim.workflow", "sim.run.plan", "sim.engine.catalogue", "sim.engine.aggregate")
RUN_BY_MLFLOW = ("sim.registry.behaviour_model",)

FILES = sorted((ROOT / "sim").rglob("*.py"))


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {module_of(file): file for file in FILES}


def rank_of(module: str) -> float:
    """The layer of a dotted name."""
    parts = module.split(".")
    return RANK[parts[1] if len(parts) > 1 else "__init__"]


@cache
def resolved(name: str) -> str:
    """`sim.engine.base.Engine` is the module `sim.engine.base`; a name from `sim` itself is `sim.__init__`."""
    while name not in MODULES and "." in name and not (ROOT / name.replace(".", "/")).is_dir():
        name = name.rpartition(".")[0]
    return "sim.__init__" if name == "sim" else name


def imports(node: ast.AST, file: Path) -> Iterator[tuple[int, str]]:
    """The line and the full dotted names that one statement imports."""
    if isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = file.relative_to(ROOT).parent.parts
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
        yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


@cache
def all_imports(file: Path) -> tuple[tuple[int, str], ...]:
    return tuple(found for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) for found in imports(node, file))


@cache
def imports_on_load(file: Path) -> tuple[tuple[int, str], ...]:
    """What runs when the module is imported: not the bodies of functions, not `if TYPE_CHECKING`."""
    found: list[tuple[int, str]] = []
    pending: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        found += imports(node, file)
        pending.extend(ast.iter_child_nodes(node))
    return tuple(found)


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_every_file_has_a_layer() -> None:
    strangers = {module for module in MODULES if module.split(".")[1] not in RANK}
    assert not strangers, f"give these a layer in LAYERS and in docs/architecture.md: {sorted(strangers)}"


def test_imports_point_down() -> None:
    wrong = []
    for file, (line, name) in ((each, found) for each in FILES for found in all_imports(each)):
        if is_under(name, "sim") and rank_of(resolved(name)) > rank_of(module_of(file)):
            wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}, of a later layer")
        if is_under(name, "mlflow") and module_of(file).split(".")[1] not in MLFLOW_USERS:
            wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}: only {MLFLOW_USERS} may")
    assert not wrong, "\n".join(wrong)


def test_heavy_modules_are_imported_where_they_are_used() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name} when it is loaded"
        for file in FILES
        for line, name in imports_on_load(file)
        for package in HEAVY
        if is_under(name, package) and module_of(file) not in (*RUN_BY_MLFLOW, COMPILER)
    ]
    assert not wrong, "\n".join(wrong)


def packages_of(module: str) -> list[str]:
    """The packages that a module is in, which are loaded before it."""
    return [resolved(module[:at]) for at, letter in enumerate(module) if letter == "."]


@cache
def loads(module: str) -> frozenset[str]:
    """Our modules that come along when one is imported."""
    found: set[str] = set()
    pending = [resolved(module)]
    while pending:
        name = pending.pop()
        if name in MODULES and name not in found:
            found.add(name)
            pending += [resolved(imported) for _, imported in imports_on_load(MODULES[name])]
            pending += packages_of(name)
    return frozenset(found)


def test_the_compiler_loads_only_where_something_plays_event_by_event() -> None:
    assert [module for module in BEFORE_PLAY if COMPILER in loads(module)] == []


def test_nothing_imports_what_mlflow_runs() -> None:
    imported = {resolved(name) for file in FILES for _, name in all_imports(file)}
    assert imported.isdisjoint(RUN_BY_MLFLOW)


# `sim.testing` is for other projects, and `sim.workflow` for all doors: their faces list classes and functions.
FACES = [file.parent for file in FILES if file.name == "__init__.py" and file.parents[1].name == "sim"]
FOLDERS = sorted(folder for folder in FACES if folder.name not in ("testing", "workflow"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_what_it_answers_and_which_modules_others_use(folder: Path) -> None:
    package = f"sim.{folder.name}"
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{package} does not say what it answers"
    used = {
        resolved(name).split(".")[2]
        for file in FILES
        if not is_under(module_of(file), package)
        for _, name in all_imports(file)
        if is_under(name, package) and len(resolved(name).split(".")) > 2
    }
    listed = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    assert set(ast.literal_eval(listed[0]) if listed else ()) == used, f"{package}.__all__ lists what others use"


def test_the_workflow_offers_what_others_ask_for() -> None:
    asked = set()
    for file in FILES:
        if not is_under(module_of(file), "sim.workflow"):
            text = file.read_text(encoding="utf-8")
            asked |= set(re.findall(r"\bworkflow\.(\w+)", text))
            asked |= {name.rpartition(".")[2] for _, name in all_imports(file) if name.startswith("sim.workflow.")}
    offered = set(sim.workflow.__all__)
    of_modules = {module.rpartition(".")[2] for module in MODULES if module.startswith("sim.workflow.")}
    assert asked - of_modules == offered


def test_stats_knows_only_the_ground_floor() -> None:
    ours = {
        resolved(name)
        for module, file in MODULES.items()
        if is_under(module, "sim.stats")
        for _, name in all_imports(file)
        if is_under(name, "sim") and not is_under(name, "sim.stats")
    }
    assert ours <= {"sim.errors", "sim.arrays", "sim.jit", "sim.ways"}


def needs(module: str) -> set[str]:
    """Our modules that must have run for one to run: those that it imports, and the packages in which these are.

    The packages that it is itself in have begun before it, and load whether or not it is the first of them to be asked for.
    """
    begun = {module, *packages_of(module)}
    asked = {resolved(name) for _, name in imports_on_load(MODULES[module])}
    around = {package for name in asked for package in packages_of(name) if package not in begun}
    return {name for name in asked | around if name in MODULES and name != module}


def test_each_module_loads_on_its_own() -> None:
    """A cycle shows only when the right module is imported first. Where nothing leads back to itself, none is the wrong one."""
    order = TopologicalSorter({module: needs(module) for module in MODULES})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f"each of these is imported, when it loads, by the one after it: {' -> '.join(error.args[1])}")


def test_what_loads_is_what_is_written_and_nothing_heavy_comes_along() -> None:
    """Each module once, in a process of its own: so the tests above, which read the text, see all that happens."""
    script = """
import importlib, sys
before = set()
for module in sys.argv[1].split():
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(f"{module} does not load: {error}".replace("\\n", " "))
    now = {name for name in sys.modules if name.partition(".")[0] == "sim"} - {"sim.__init__"}
    print(module, *sorted(now - before))
    before = now
print("heavy", *(name for name in sys.argv[2].split() if name in sys.modules))
"""
    modules = [name for name in MODULES if name not in {"sim.__main__", *RUN_BY_MLFLOW}]
    light = [name for name in modules if COMPILER not in loads(name)]
    for asked, never in ((light, HEAVY), ([name for name in modules if name not in light], ())):
        command = [sys.executable, "-c", script, " ".join(asked), " ".join(never)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        *lines, heavy = done.stdout.splitlines()
        assert heavy == "heavy"
        assert len(lines) == len(asked)
        for line in lines:
            module, *loaded = line.split()
            assert {resolved(name) for name in loaded} <= loads(module), line


def test_architecture_page_shows_these_layers() -> None:
    page = ROOT / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("no docs/architecture.md")
    blocks = re.findall(r"^```text\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shown = [tuple(tuple(re.findall(r"\w+", layer)) for layer in block.split("→")) for block in blocks]
    assert LAYERS in shown, f"show the layers as {' → '.join(map(', '.join, LAYERS))}"
