"""The program as it is installed: a wheel in an environment of its own, used from an empty folder as `--help` says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import VERBS, make_parser
from tests.interop.manifests import ROLLOUT

ROOT = Path(__file__).parents[1]
SOURCES = ("sim", "scenarios", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt")
# Played elsewhere: for a minute and more, or with a scenario and a table of their own.
LONG = ("bench", "verify", "serve-check", "recommend", "forecast")
# Read files of the user's own: one example of each is run.
OF_FILES = ("import", "export", "assess", "replay", "calibrate")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(each) for each in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an sdist of a copy of the project, and a wheel that was made of the sdist."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb[ci]"))
        else:
            shutil.copy2(ROOT / name, source / name)
    making = "from setuptools import build_meta; print(build_meta.build_{}('..'))"
    wheel = folder / run(sys.executable, "-c", making.format("wheel"), cwd=source).split()[-1]
    sdist = folder / run(sys.executable, "-c", making.format("sdist"), cwd=source).split()[-1]
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    (unpacked.parent / "wheel").mkdir()
    again = run(sys.executable, "-c", making.format("wheel").replace("'..'", "'../wheel'"), cwd=unpacked).split()[-1]
    return {"wheel": wheel, "of sdist": unpacked.parent / "wheel" / again}


def test_a_wheel_holds_the_examples_as_they_are(built: dict[str, Path]) -> None:
    expected = {
        f"sim/examples/{file.relative_to(ROOT / 'scenarios').as_posix()}": file.read_bytes()
        for file in (ROOT / "scenarios").rglob("*.yaml")
    }
    for wheel in built.values():
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            assert {name: archive.read(name) for name in names if name.startswith("sim/examples/")} == expected
            assert "sim/scenario/scenario.schema.json" in names
            assert not [name for name in names if name.startswith(("scenarios", "tests", "setup"))]


@pytest.fixture(scope="module")
def installed(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment in which the wheel is installed; what it depends on is that of these tests."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place.parent)
    python = place / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check", "--no-deps", built["wheel"])
    run(sys.executable, *install, cwd=place.parent)
    # A path in a .pth file brings no .pth files of its own: not the editable install of these tests.
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place.parent).strip())
    (packages / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    assert str(place) in run(python, "-c", "import sim; print(sim.__file__)", cwd=place.parent)
    return place / "bin"


def examples_of(text: str) -> list[str]:
    """The commands after `examples:` or `example:`, without what is said of them."""
    shown = re.search(r"^examples?:(.*)", text, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^ +(sim .+)$", re.sub(r" *\\\n +", " ", shown[1]), re.MULTILINE) if shown else []
    return [re.split(r"  +", line)[0] for line in lines]


def shown() -> list[str]:
    """Every example of every --help, in the order of `sim --help`, whose own come first."""
    parser = make_parser()
    texts = [parser.format_help()]
    verbs = parser._verbs.choices  # type: ignore[union-attr]
    assert len(verbs) == len(VERBS)
    texts += [verb.format_help() for verb in verbs.values()]
    return list(dict.fromkeys(example for text in texts for example in examples_of(text)))


def test_every_verb_that_takes_a_file_shows_an_example() -> None:
    verbs = {line.split()[1] for line in shown()}
    assert {"init", "models", "check", "run", "show", "compare", "trace", "report", "track", "bench", "verify"} <= verbs


# Commands in a process of their own: the first ones of a user, and those whose output goes to a file. The others share one.
ALONE = ("sim init --list", "sim models demo", "sim run quickstart")
SHARED = """
import glob, shlex, sys
from sim.cli import main
for line in sys.argv[1:]:
    words = [found for word in shlex.split(line)[1:] for found in (sorted(glob.glob(word)) or [word])]
    if code := main(words):
        sys.exit(f"{line}: exit code {code}")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="examples are for a POSIX shell")
def test_every_example_of_help_works_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """In their order, as a user would paste them. Only parsed is what takes long, and another example of the same job.

    The examples that came with the wheel are made to play few replications: every command stays as it is printed.
    """
    for name in ("quickstart", "small-lift"):
        (file,) = installed.parent.glob(f"lib/python*/site-packages/sim/examples/{name}.yaml")
        few, found = re.subn(r"(?m)^replications: \d+", "replications: 20", file.read_text())
        assert found == 1, name
        file.write_text(few)
    (tmp_path / "rollout.yaml").write_text(ROLLOUT)
    (tmp_path / "policies.yaml").write_text("arms: [old, new]\npolicies: [{name: even, allocation: {kind: fixed}}]\n")
    rows = pd.DataFrame({"time": range(1_000), "arm": ["old", "new"] * 500, "reward": [0, 0, 1, 1] * 250, "propensity": 0.5})
    rows.to_parquet(tmp_path / "log.parquet")
    rows.rename(columns={"reward": "converted"}).to_parquet(tmp_path / "requests.parquet")
    played = examples_to_play()
    assert set(ALONE) <= set(played)
    environment = {
        "PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true",
        "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    for alone, lines in groupby(played, lambda line: line in ALONE or ">" in line):
        if alone:
            commands: list[list[str]] = [["bash", "-c", line] for line in lines]
        else:
            commands = [[str(installed / "python"), "-c", SHARED, *lines]]
        for command in commands:
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert (tmp_path / "team.db").exists()
    assert len(list(tmp_path.glob("reports/*/report.html"))) >= 2


def examples_to_play() -> list[str]:
    """The first example of each job, in order; all others are parsed, and so is what is played elsewhere."""
    played, done_before = [], set[tuple[str, ...]]()
    for line in (line for command in shown() for line in command.split(" && ")):
        _, verb, *rest = shlex.split(line)
        # A scenario is played once, by its name or its file.
        job = (verb,) if verb in OF_FILES else (verb, Path(rest[0]).stem)
        if verb in LONG or (job in done_before and verb != "init"):
            make_parser().parse_args([verb, *rest])
        else:
            done_before.add(job)
            played.append(line)
    return played
