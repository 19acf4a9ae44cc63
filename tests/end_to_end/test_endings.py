"""How commands end: a message and a documented exit code; heavy work is announced, and refused where there is no room."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.bench.measure import Row
from sim.bench.result import Bench
from sim.cli import main
from sim.report import progress
from sim.run import effort, machine
from sim.run.blocks import Task
from tests.end_to_end.conftest import ROOT, SMALL

BAD = {
    "a limit of 399 digits": (SMALL.replace("max: 1%, trip", f"max: {'9' * 399}, trip"), "must be a number below 1e300"),
    "a sweep key of 1,000 parts": (SMALL + f"sweep:\n  ? {'.'.join('a' * 1000)}\n  : [1, 2]\n", "must have at most 64 parts"),
    "a sweep of roles": (SMALL + 'sweep: {"metrics[0].role": [primary, secondary]}\n', "exactly one metric must have the role"),
    "a sweep of a seed over durations": (SMALL + "sweep: {seed: [1d, 2d]}\n", "seed: must be a whole number"),
    "too many policies": (
        SMALL.split("policies:")[0] + "policies: [" + ", ".join(f"{{name: p{n}, kind: hold}}" for n in range(2000)) + "]\n",
        "policies: must have 1 to 1000 items",
    ),
    "too many policies in all points": (
        SMALL.split("policies:")[0] + "policies: [" + ", ".join(f"{{name: p{n}, kind: hold}}" for n in range(500)) + "]\n"
        f"sweep: {{seed: {list(range(30))}}}\n",
        "must have at most 10,000 policies in all points, got 30 points of 500 policies",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_wrong_input_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.splitlines()[0].startswith(f"{file}:")
    assert max(map(len, said.splitlines())) < 3000


def test_a_hundred_problems_are_shown_and_the_others_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(SMALL + f"truth: {{challenger: {{{', '.join(f'm{number}: 1' for number in range(5000))}}}}}\n")
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 102
    assert said[0].endswith("truth.challenger.m0: must be a mapping (key: value); got 1")
    assert said[100:] == ["and 4,900 more problems", "sim: 5,000 problems in the input; nothing was changed"]


def test_a_key_of_three_megabytes_is_not_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(SMALL + f"? {'k' * 3_000_000}\n: 1\n")
    assert main(["check", str(file)]) == 2
    assert len(capsys.readouterr().err) < 1000


@pytest.mark.parametrize("which", ["scenario", "trace", "data", "models", "parts"])
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str], which: str) -> None:
    pipe = tmp_path / ("pipe.py" if which == "parts" else "pipe.csv")
    os.mkfifo(pipe)
    file = tmp_path / "small.yaml"
    traced = SMALL.replace("{rate: 2/s}", f"{{trace: {{file: {pipe}, time: at}}}}")
    file.write_text({"trace": traced, "data": SMALL + f"data: {{file: {pipe}}}\n"}.get(which, SMALL))
    command = {
        "scenario": ["check", str(pipe)], "models": ["models", "register", str(pipe), "--tracking-uri", "sqlite:///no.db"],
        "parts": ["check", str(file), "--parts", str(pipe)],
    }.get(which, ["check", str(file)])  # fmt: skip
    # Opened, it would wait for a writer for ever.
    assert main(command) == 2
    assert "is a pipe or a device, not a file" in capsys.readouterr().err


def test_a_fault_of_the_program_is_one_line_and_a_file(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*given: Any) -> Any:
        raise KeyError("something\nunforeseen")

    monkeypatch.setattr("sim.scenario.reading.check", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["check", str(small)]) == 70
    said = capsys.readouterr().err
    (line,) = said.splitlines()
    assert line.startswith("sim: a fault of sim ")
    kept = Path(line.rpartition(" ")[2])
    assert kept.parent == tmp_path
    assert "Traceback (most recent call last)" in kept.read_text()
    assert "in broken" in kept.read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "trials.parquet"), "'trials.parquet': No space left on device"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (MemoryError("Unable to allocate 33.5 GiB"), "memory ran out (Unable to allocate 33.5 GiB)"),
    ],
)
def test_what_the_machine_cannot_do_is_no_fault(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def broken(*given: Any) -> Any:
        raise error

    monkeypatch.setattr("sim.scenario.reading.check", broken)
    assert main(["check", str(small)]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def sim(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sim", *words]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True, timeout=100, **settings
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "words", [["check", "FILE"], ["--help"], ["run", "--help"], ["--version"], ["init", "--list"], ["schema"]]
)
def test_an_output_that_is_full_is_said_once(small: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = sim(*(str(small) if word == "FILE" else word for word in words), stdout=full)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "sim: the output cannot be written: No space left on device" in ended.stderr


@pytest.mark.parametrize("words", [["check", "FILE"], ["--help"]])
def test_an_output_that_is_closed_is_no_failure(small: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        ended = sim(*(str(small) if word == "FILE" else word for word in words), stdout=gone)
    assert (ended.returncode, ended.stderr) == (0, "")


MODELS = [{"outcomes": {"conversion": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.052)]


def heavy(**changes: Any) -> dict[str, Any]:
    import yaml

    policies = [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "mde": "2%"}}]
    scenario = yaml.safe_load(SMALL) | {"policies": policies, "baseline": "ab", "horizon": "30d", "tick": "1h"}
    return {**scenario, **changes}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"engine": "compiled", "traffic": {"rate": "3e5/s"}}, "tick: "),
        (
            {"replications": 1_000_000, "policies": [{"name": f"p{n}", "kind": "hold"} for n in range(20)], "baseline": "p0"},
            "replications: ",
        ),
    ],
)
def test_a_run_without_room_in_memory_is_refused_at_its_key(monkeypatch: pytest.MonkeyPatch, changes: Any, path: str) -> None:
    from sim.errors import InputError
    from sim.workflow import run_scenario

    monkeypatch.setattr(effort, "free_bytes", lambda: 4_000_000_000)
    with pytest.raises(InputError, match=rf"{path}needs about .* GB of memory, and 4 GB are free: take "):
        run_scenario(heavy(**changes), models=MODELS, log=False)


def test_as_many_workers_as_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.errors import InputError
    from sim.workflow import plan_scenario

    plan = plan_scenario(heavy(replications=20_000, engine="compiled"), MODELS)
    monkeypatch.setattr(effort, "processors", lambda: 4)
    monkeypatch.setattr(effort, "free_bytes", lambda: 1_200_000_000)
    found = effort.effort_of(plan)
    assert 1 <= found.workers < 4
    assert found.memory <= 1_200_000_000
    assert "as 1.2 GB of memory are free" in found.note
    with pytest.raises(InputError, match=r"--workers: must be at most \d here: 4 processes need .*; got 4"):
        effort.effort_of(plan, 4)


def test_a_million_workers_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.workflow import plan_scenario

    plan = plan_scenario(heavy(replications=20_000, engine="compiled"), MODELS)
    monkeypatch.setattr(effort, "processors", lambda: 2)
    found = effort.effort_of(plan, 1_000_000)
    assert found.workers == 8
    assert found.note.startswith("8 of 1,000,000 processes, as there are 2 processors and ")


def test_where_no_process_can_be_started_one_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without `/dev/shm`."""
    from sim.workflow import plan_scenario

    class Context:
        def Lock(self) -> None:
            raise OSError(errno.ENOSYS, "Function not implemented")

    machine.no_second_process.cache_clear()
    monkeypatch.setattr(machine.multiprocessing, "get_context", lambda method: Context())
    found = effort.effort_of(plan_scenario(heavy(replications=20_000, engine="compiled"), MODELS), 2)
    machine.no_second_process.cache_clear()
    assert (found.workers, found.note) == (1, "1 process, as no other can be started: Function not implemented")


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)])
def test_more_than_an_hour_is_asked_about_on_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", said)
    long = effort.Effort({Task("ab", 0, 0, 1): 7201.0}, 1, 1e9, None)
    if goes_on:
        progress.confirm(long)
    else:
        with pytest.raises(KeyboardInterrupt):
            progress.confirm(long)
    assert said.getvalue() == "This may take 2 h. Go on? (--yes does not ask) [y/N] "


def test_nobody_is_asked_who_cannot_answer_or_need_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    progress.confirm(effort.Effort({Task("ab", 0, 0, 1): 1e9}, 1, 1e9, None))
    assert capsys.readouterr().err == ""


def test_a_run_says_first_what_it_will_take(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(small), "--reports", str(tmp_path), "--registry-uri", store, "--no-tracking", "--workers", "1"]
    assert main(command) == 0
    assert re.search(r"^small: about 1 s on 1 process, and up to \d+ MB of memory$", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_an_error_stream_that_cannot_be_written_ends_nothing(tmp_path: Path, closed: str) -> None:
    """Progress is told on it, and results are worth more."""
    if "full" in closed and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = f"{shlex.quote(sys.executable)} -m sim verify --only queues.mm4 --json kept.json {closed}"
    ended = subprocess.run(command, shell=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=100)
    assert ended.returncode == 0
    assert json.loads((tmp_path / "kept.json").read_text())["passed"]
    assert [file.name for file in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize("verb", ["verify", "bench"])
def test_what_was_worked_out_is_kept_before_it_is_shown(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    kept = tmp_path / "\x1b[2J" / "kept.json"
    measured = Bench({}, 1, [Row("simpy_plain", "SimPy", (1.0,), (1.0,), (1.0,))], [], None, [])
    monkeypatch.setattr("sim.bench.run.bench", lambda **settings: measured)
    monkeypatch.setattr(sys, "stdout", Full())
    options = {"verify": ["--only", "queues.mm4", "--json"], "bench": ["--out"]}[verb]
    assert main([verb, "--quiet", *options, str(kept)]) == 0
    assert kept.exists()
    said = capsys.readouterr().err
    assert said.startswith("sim: standard output cannot be written: No space left on device; the results are in ")
    assert "\x1b" not in said


def test_the_page_and_the_figures_are_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, link = tmp_path / "page.md", tmp_path / "link"
    link.symlink_to(page)
    assert main(["verify", "--write", str(page), "--json", str(link)]) == 2
    assert "--json: must be another file than that of --write" in capsys.readouterr().err
    link.unlink()
    link.symlink_to(link)
    assert main(["verify", "--only", "queues.mm4", "--json", str(link)]) == 2
    assert "is a link that leads to itself" in capsys.readouterr().err
    assert link.is_symlink()
