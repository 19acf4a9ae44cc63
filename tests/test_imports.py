"""The architecture as a test: imports point one way, and `import sim` stays quick."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("errors", "version", "arrays", "spelling", "files"),
    ("units", "stats"),
    ("distributions",),
    ("policy",),
    ("scenario",),
    ("registry",),
    ("world",),
    ("engine",),
    ("run",),
    ("compare",),
    ("report", "tracking"),
    ("workflow",),
    ("bench", "verify", "testing"),
    ("cli", "__init__", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = ("matplotlib", "mlflow", "numba", "pandas", "pyarrow", "rich", "scipy.stats", "sklearn")
MLFLOW_USERS = ("registry", "tracking")
# MLflow runs these from their text ("models from code"), outside this program.
# The one module that loads the compiler; what plays event by event imports it, and nothing on the way to `sim check` may.
COMPILER = "sim.world.jit"
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


def resolved(name: str) -> str:
    """`sim.engine.base.Engine` is the module `sim.engine.base`; a name from `sim` itself is `sim`."""
    while name not in MODULES and "." in name and not (ROOT / name.replace(".", "/")).is_dir():
        name = name.rpartition(".")[0]
    return name


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


def all_imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        yield from imports(node, file)


def imports_on_load(file: Path) -> Iterator[tuple[int, str]]:
    """What runs when the module is imported: not the bodies of functions, not `if TYPE_CHECKING`."""
    pending: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        yield from imports(node, file)
        pending.extend(ast.iter_child_nodes(node))


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_every_file_has_a_layer() -> None:
    strangers = {module for module in MODULES if module.split(".")[1] not in RANK}
    assert not strangers, f"give these a layer in LAYERS and in docs/architecture.md: {sorted(strangers)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file: Path) -> None:
    wrong = []
    for line, name in all_imports(file):
        if is_under(name, "sim") and rank_of(resolved(name)) > rank_of(module_of(file)):
            wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}, of a later layer")
        if is_under(name, "mlflow") and module_of(file).split(".")[1] not in MLFLOW_USERS:
            wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}: only {MLFLOW_USERS} may")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_heavy_modules_are_imported_where_they_are_used(file: Path) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name} when it is loaded"
        for line, name in imports_on_load(file)
        for package in HEAVY
        if is_under(name, package) and module_of(file) not in (*RUN_BY_MLFLOW, COMPILER)
    ]
    assert not wrong, "\n".join(wrong)


def loads(module: str) -> set[str]:
    """Our modules that come along when one is imported."""
    found: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name in MODULES and name not in found:
            found.add(name)
            pending += [resolved(imported) for _, imported in imports_on_load(MODULES[name])]
            # A module is loaded after the packages that it is in.
            pending += ["sim", *(name[:at] for at, letter in enumerate(name) if letter == "." and at > len("sim"))]
    return found


def test_the_compiler_loads_only_where_something_plays_event_by_event() -> None:
    assert [module for module in BEFORE_PLAY if COMPILER in loads(module)] == []


def test_nothing_imports_what_mlflow_runs() -> None:
    imported = {resolved(name) for file in FILES for _, name in all_imports(file)}
    assert imported.isdisjoint(RUN_BY_MLFLOW)


# `sim.testing` is for other projects: its face lists classes.
FACES = [file.parent for file in FILES if file.name == "__init__.py" and file.parents[1].name == "sim"]
FOLDERS = sorted(folder for folder in FACES if folder.name != "testing")


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


def test_stats_knows_only_errors_and_arrays() -> None:
    ours = {
        resolved(name)
        for module, file in MODULES.items()
        if is_under(module, "sim.stats")
        for _, name in all_imports(file)
        if is_under(name, "sim") and not is_under(name, "sim.stats")
    }
    assert ours <= {"sim.errors", "sim.arrays"}


def test_each_module_loads_on_its_own_and_nothing_heavy_comes_along() -> None:
    """A cycle shows only when the right module is imported first, so each one is, in a fresh `sim`."""
    script = """
import importlib, sys
for module in sys.argv[2].split():
    for name in [name for name in sys.modules if name == "sim" or name.startswith("sim.")]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(f"{module}: {error}")
print(*(f"{name} is loaded" for name in sys.argv[1].split() if name in sys.modules), sep="\\n")
"""
    never = {"sim.__init__", "sim.__main__", *RUN_BY_MLFLOW}
    modules = [name for name in MODULES if name not in never and COMPILER not in loads(name)]
    command = [sys.executable, "-c", script, " ".join(HEAVY), " ".join(["sim", *modules])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_architecture_page_shows_these_layers() -> None:
    page = ROOT / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("no docs/architecture.md")
    blocks = re.findall(r"^```text\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shown = [tuple(tuple(re.findall(r"\w+", layer)) for layer in block.split("→")) for block in blocks]
    assert LAYERS in shown, f"show the layers as {' → '.join(map(', '.join, LAYERS))}"
