"""What a shell completes, by the script that `sim completion` prints, asked of the shell itself."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.cli import main

Ask = Callable[[str], set[str]]

# What bash does at a tab: words up to the cursor, the function that is registered for the command, its answers.
BASH = """
source {script}
function=$(complete -p sim | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
"$function" 2>&1
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with scenarios, run folders and other things."""
    for name in ("mine.yaml", "more.yml", "notes.txt", "parts.py", "page.html", "my file.yaml"):
        (tmp_path / name).write_text("x")
    for name in ("reports/mine-1", "reports/mine-2", "src/inner", "empty"):
        (tmp_path / name).mkdir(parents=True)
    for run in ("reports/mine-1", "reports/mine-2"):
        (tmp_path / run / "run.json").write_text("{}")
    return tmp_path


def script(shell: str, place: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    assert main(["completion", shell]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    file = place / f".completion.{shell}"
    file.write_text(said.out)
    return file


@pytest.fixture
def ask(place: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    file = script("bash", place, capsys)

    def asked(line: str) -> set[str]:
        words = " ".join(map(shlex.quote, shlex.split(line))) + (" ''" if line.endswith(" ") else "")
        program = BASH.format(script=shlex.quote(str(file)), words=words)
        plain = {key: value for key, value in os.environ.items() if not key.startswith("BASH")}
        done = subprocess.run([bash, "--norc", "-c", program], cwd=place, env=plain, capture_output=True, text=True, check=True)
        return set(filter(None, done.stdout.splitlines()))

    return asked


def test_verbs_and_options(ask: Ask) -> None:
    assert {"init", "run", "show", "compare", "completion"} <= ask("sim ")
    assert ask("sim comp") == {"compare", "completion"}
    assert ask("sim models re") == {"register"}
    assert {"--set", "--seed", "--out"} <= ask("sim run --")
    assert ask("sim run mine.yaml --quie") == {"--quiet"}
    assert ask("sim show --display ") == {"auto", "rich", "plain", "none"}
    assert ask("sim completion ") == {"bash", "zsh", "fish"}


def test_scenarios_are_files_examples_and_the_way_to_them(ask: Ask) -> None:
    assert ask("sim run m") == {"mine.yaml", "more.yml", "my file.yaml"}
    assert ask("sim run quick") == {"quickstart"}
    everything = ask("sim check mine.yaml ")
    assert {"mine.yaml", "small-lift", "src", "reports"} <= everything
    assert not {"notes.txt", "parts.py"} & everything
    assert ask("sim models register che") == {"checkout"}
    assert ask("sim init --example small") == {"small-lift", "small-test-set"}


def test_run_folders(ask: Ask) -> None:
    # A folder is a run's, or on the way to one.
    assert ask("sim show ") == {"reports", "src"}
    assert ask("sim show reports/") == {"reports/mine-1", "reports/mine-2"}
    assert ask("sim compare reports/mine-1 reports/mine-") == {"reports/mine-1", "reports/mine-2"}
    assert ask("sim report rep") == {"reports"}


def test_values_of_options(ask: Ask) -> None:
    assert {"auto", "simpy", "compiled", "aggregate"} == ask("sim run mine.yaml --engine ")
    assert {"simpy", "compiled"} == ask("sim trace mine.yaml --engine ")
    assert ask("sim report reports/mine-1 --format ") == {"html", "md", "csv", "png", "json"}
    assert ask("sim run mine.yaml --parts p") == {"parts.py"}
    assert ask("sim compare reports/mine-1 reports/mine-2 --out p") == {"parts.py", "page.html"}
    assert ask("sim run mine.yaml --out ") == {"reports", "src", "empty"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_read_by_them(shell: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = script(shell, place, capsys)
    text = file.read_text()
    assert "small-lift" in text
    assert "run.json" in text or shell == "zsh"
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell}")
    done = subprocess.run([found, "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if shell == "fish":
        asked = f"source {shlex.quote(str(file))}; complete -C 'sim show reports/'"
        done = subprocess.run([found, "-N", "-c", asked], cwd=place, capture_output=True, text=True, check=False)
        assert {line.partition("\t")[0] for line in done.stdout.splitlines()} == {"reports/mine-1/", "reports/mine-2/"}
        asked = f"source {shlex.quote(str(file))}; complete -C 'sim run m'"
        done = subprocess.run([found, "-N", "-c", asked], cwd=place, capture_output=True, text=True, check=False)
        assert {line.partition("\t")[0] for line in done.stdout.splitlines()} == {"mine.yaml", "more.yml", "my file.yaml"}


def test_a_shell_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "csh"])
    assert "'csh'" in capsys.readouterr().err
